"""``tsogrid status``: how far a run is, from its store alone."""

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tsogrid.cli.progress import duration
from tsogrid.cli.stored import StorageOption
from tsogrid.cli.stored import storage as reached

if TYPE_CHECKING:
    from tsogrid.engine.status import Status


def status(
    store: Annotated[str, typer.Argument(help="What `tsogrid run` or `tsogrid submit` writes.", metavar="STORE")],
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
    storage: StorageOption = None,
) -> None:
    """Say how far a run is, how fast, and what failed.

    From the store alone: from any machine that sees it, while the run lasts and after.
    """
    from tsogrid.engine.status import status as make

    found = make(store, reached(storage))
    typer.echo(json.dumps(asdict(found), indent=1) if as_json else "\n".join(lines(found)))


def lines(found: "Status") -> list[str]:
    """Word a status.

    Parameters
    ----------
    found : Status
        From `tsogrid.engine.status.status`.

    Returns
    -------
    list of str
    """
    who = f" ({found.holder}, cluster {found.cluster})" if found.holder else ""
    share = 100 * found.measured / found.total
    passes = f" in {found.passes} passes" if found.passes > 1 else ""
    rows = [f"{found.store}: {found.state}{who}"]
    rows.append(f"measured  {found.measured} of {found.total} frames{passes} ({share:.0f} %)")
    rows.append(f"shards    {found.shards_done} of {found.shards}")
    if found.frames_per_second:
        since = "" if found.seconds_since is None else f", the last {duration(found.seconds_since)} ago"
        left = f"; {duration(found.seconds_left)} left" if found.seconds_left and found.state != "complete" else ""
        rows.append(f"rate      {found.frames_per_second:.1f} frames/s{left}{since}")
    if found.block_seconds is not None and found.slowest is not None:
        slow = found.slowest
        rows.append(
            f"blocks    {found.block_cpu_seconds:.2g} s of CPU, {found.block_seconds:.2g} s in all (medians); slowest "
            f"{slow['seconds']:.2g} s, frames {slow['frames'][0]} … {slow['frames'][1]}"
        )
    if found.began is not None:
        rows.append(f"began     {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(found.began))}")
    if found.error and found.state == "failed":
        rows.append(f"ended by  {found.error.splitlines()[0]}")
    for item in found.failed[:10]:
        rows.append(f"failed    frames {item['frames'][0]} … {item['frames'][1]}: {' '.join(item['error'].split())}")
    for item in found.set_aside[:10]:
        rows.append(f"set aside {item['file']}, frames {item['first']} … {item['last']}: {' '.join(item['reason'].split())}")
    if len(found.set_aside) > 10:
        rows.append(f"          and {len(found.set_aside) - 10} more files (--json names all)")
    if len(found.failed) > 10:
        rows.append(f"          and {len(found.failed) - 10} more shards (--json names all)")
    if found.state in ("failed", "stopped"):
        rows.append("next: the same `tsogrid run` or `tsogrid submit` again goes on with what is missing")
    return rows
