"""``tsogrid watch``: measure frames as they land in a folder."""

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from tsogrid.cli.configuration import configured
from tsogrid.cli.progress import Lines


def watch(
    folder: Annotated[Path, typer.Argument(help="Where frames come.", metavar="DIR")],
    config: Annotated[Path, typer.Argument(help="YAML file, as for `tsogrid run`.", metavar="CONFIG")],
    store: Annotated[Path | None, typer.Option(help="The result [default: CONFIG with .zarr].", metavar="PATH")] = None,
    given: Annotated[
        list[str] | None, typer.Option("--set", help="Set a key, as in sky.0.inner=10; repeatable.", metavar="KEY=VALUE")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="The picture [default: the store with .png].", metavar="PATH")] = None,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="No picture.")] = False,
    once: Annotated[bool, typer.Option("--once", help="End when all that is there is measured.")] = False,
    until: Annotated[int | None, typer.Option(min=1, help="End with so many frames.", metavar="N")] = None,
    idle: Annotated[
        float | None, typer.Option(min=0, help="End after so long without a new frame.", metavar="SECONDS")
    ] = None,
    every: Annotated[float, typer.Option(min=0.05, help="Between two looks.", metavar="SECONDS")] = 2.0,
    settle: Annotated[float, typer.Option(min=0, help="A file must have stood still so long.", metavar="SECONDS")] = 3.0,
    broken: Annotated[
        float, typer.Option(min=0, help="Set a file aside that is not whole for so long.", metavar="SECONDS")
    ] = 60.0,
) -> None:
    """Measure frames as they land, and keep the plot current.

    Each time frames have come the store is extended, as by `tsogrid run --extend`. A file that is still being written is
    waited for; one that stays broken is named and left out until it changes. Ctrl-C ends it; the same command goes on.
    """
    from tsogrid.errors import ConfigError
    from tsogrid.watch import Patience
    from tsogrid.watch import watch as follow

    each = configured(config, (), given or (), store=store)
    if len(each) != 1:
        raise ConfigError(
            f"{config}: expected one run, found a batch of {len(each)}: watch each by a configuration of its own."
        )
    path = Path(str(each[0].output.store))
    picture = None if no_plot else plot or path.with_suffix(".png")
    patience = Patience(every, settle, broken, idle)
    stop = threading.Event()

    def end(*_: Any) -> NoReturn:
        stop.set()  # an exception that is raised in a callback of a library may be lost there; this is not
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    progress = Lines(sys.stdout)
    progress.say(f"watching {folder} for {path}; Ctrl-C ends it")
    try:
        result = follow(
            folder, each[0], patience=patience, once=once, until=until, plot=picture, progress=progress, stop=stop
        )
        if stop.is_set():
            raise KeyboardInterrupt
        count = 0 if result is None else result.sizes["time"]
        progress.say(f"done: {count} frames" + ("" if result is None else f" in {path}"))
    except KeyboardInterrupt:
        progress.say("stopped: what is measured is safe, the same command goes on")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
