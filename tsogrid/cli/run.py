"""``tsogrid run``: measure the frames of a configuration into a store."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tsogrid.cli.configuration import configured
from tsogrid.cli.progress import Counted, duration, progress_on

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from tsogrid.config import Config
    from tsogrid.engine.run import Mode


def run(
    config: Annotated[
        Path, typer.Argument(help="YAML file; `tsogrid init` writes one. Or a parameter file of tshirt.", metavar="CONFIG")
    ],
    files: Annotated[list[str] | None, typer.Argument(help="In place of input.files.", metavar="FILES")] = None,
    store: Annotated[
        str | None, typer.Option(help="The result, or s3://bucket/name [default: CONFIG with .zarr].", metavar="PATH")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--set", help="Set a key, as in sky.0.inner=10; repeatable.", metavar="KEY=VALUE")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="auto, none, local, slurm, pbs, kubernetes, or tcp://host:8786.", metavar="KIND|ADDRESS"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", metavar="N")] = None,
    block: Annotated[int | None, typer.Option(min=1, help="Frames in a block; changes no number.", metavar="N")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and its cost; write nothing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; the store must exist.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the store holds.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Also measure files added since.")] = False,
    log: Annotated[Path | None, typer.Option(help="The log file [default: STORE with .log].", metavar="PATH")] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="The log as JSON, a line an event.")] = False,
    performance_report: Annotated[
        Path | None, typer.Option(help="Write dask's report of the run, an HTML page.", metavar="PATH")
    ] = None,
) -> None:
    """Measure frames into light curves.

    One for every source, aperture and sky, from one read of the pixels. Whatever stopped a run, the same command goes on
    with it; a store of another run is refused.
    """
    chosen = [name for name, flag in (("resume", resume), ("overwrite", overwrite), ("extend", extend)) if flag]
    if len(chosen) > 1:
        raise typer.BadParameter(f"choose one of --{' and --'.join(chosen)}")
    mode: Any = chosen[0] if chosen else "run"
    each = configured(config, files or (), given or (), store=store, cluster=cluster, workers=workers, block=block)
    do = _forecast if dry_run else partial(_measure, log=log, log_json=log_json, performance_report=performance_report)
    if len(each) == 1:
        do(each[0], mode)
    else:
        _batch(each, mode, do)


def _batch(each: "list[Config]", mode: "Mode", do: "Callable[[Config, Mode], None]") -> None:
    """Do the runs of a batch one after another; one that fails does not stop the others."""
    from tsogrid.errors import RunError, TsogridError

    failed = []
    for number, config in enumerate(each, 1):
        typer.echo(f"run {number} of {len(each)}: {_shown(str(config.output.store))}")
        try:
            do(config, mode)
        except TsogridError as error:
            failed.append(number)
            typer.echo(f"error: run {number} of {len(each)}: {error}", err=True)
    if failed:
        raise RunError(
            f"{len(failed)} of {len(each)} runs failed: {', '.join(map(str, failed))}. The others are done; mend what the "
            "messages above say, and give the same command again."
        )


def _forecast(config: "Config", mode: "Mode") -> None:
    from tsogrid.cli.dry_run import forecast

    typer.echo("\n".join(forecast(config, mode)))


def _measure(config: "Config", mode: "Mode", *, log: Path | None, log_json: bool, performance_report: Path | None) -> None:
    from tsogrid import run as measure
    from tsogrid.cli.run_log import logged
    from tsogrid.engine.place import local_path

    file = log or local_path(str(config.output.store)).with_suffix(".jsonl" if log_json else ".log")
    with progress_on(sys.stdout) as progress, logged(file, log_json):
        result = measure(config, mode=mode, progress=progress, performance_report=performance_report)
    path = _shown(str(config.output.store))
    typer.echo("\n".join(summary(result, path, progress)))
    if config.output.diagnostics:
        _save_diagnostics(config, result)


def _save_diagnostics(config: "Config", result: "xr.Dataset") -> None:
    from tsogrid.engine.diagnostics import sky_frames
    from tsogrid.engine.place import local_path
    from tsogrid.engine.run import prepared
    from tsogrid.view.diagnostics import save_diagnostics

    store = local_path(str(config.output.store))
    _, plan = prepared(config)
    frames = sky_frames(plan, result, config.output.diagnostics)
    saved = save_diagnostics(frames, store.with_name(f"{store.stem}_diagnostics"))
    typer.echo(f"sky before and after: {_shown(str(saved[0].parent))} ({len(saved)} files)")


def summary(result: "xr.Dataset", path: str, progress: Counted) -> list[str]:
    """Say what a run gave, and what to type next.

    Parameters
    ----------
    result : Dataset
        The opened result.
    path : str
        Its store.
    progress : Counted
        What this run has measured.

    Returns
    -------
    list of str
    """
    sizes = result.sizes
    counts = ", ".join(f"{sizes[dim]} {_MANY[dim] if sizes[dim] > 1 else dim}" for dim in _MANY)
    lines = [f"{path}: {sizes['time']} frames; {counts}"]
    if progress.measured:
        passes = max(1, progress.total // sizes["time"])
        frames = progress.measured // passes
        rate = frames / max(progress.seconds, 1e-9)
        lines.append(f"measured {frames} frames in {duration(progress.seconds)}: {rate:.0f} frames/s")
    lines.append(f"flagged: {flagged(result)}")
    lines.append(f"next: tsogrid export {path} --to ecsv        (or in Python: tsogrid.open_result({path!r}))")
    return lines


FRAMES_AT_ONCE = 100_000  # whose flags are read, where a series is long
_MANY = {"source": "sources", "aperture": "apertures", "sky": "skies"}


def flagged(result: "xr.Dataset") -> str:
    """Count the frames with each flag, in any source or aperture; ``nothing`` if there are none."""
    import numpy as np

    from tsogrid.cli.failures import reading
    from tsogrid.flags import ApertureFlag, SourceFlag

    parts = []
    with reading(str(result.encoding.get("source", "store"))):
        for name, bits in (("flags", SourceFlag), ("aperture_flags", ApertureFlag)):
            counts = np.zeros(len(bits), int)
            for start in range(0, result.sizes["time"], FRAMES_AT_ONCE):
                values = result[name][start : start + FRAMES_AT_ONCE].to_numpy()
                of_frame = np.bitwise_or.reduce(values.reshape(len(values), -1), axis=1)
                counts += [np.count_nonzero(of_frame & int(bit)) for bit in bits]
            parts += [(int(count), str(bit.name).lower()) for count, bit in zip(counts, bits, strict=True)]
    found = ", ".join(f"{count} {name}" for count, name in parts if count)
    return f"{found} (frames)" if found else "nothing"


def _shown(store: str) -> str:
    """Give a path as short as it can be typed here."""
    path = Path(store)
    if "://" in store:
        return store
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
