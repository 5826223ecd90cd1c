"""``tsogrid simulate``: frames with a known transit, to try things on."""

from pathlib import Path
from typing import Annotated, Any

import typer


def simulate(
    directory: Annotated[Path, typer.Argument(help="Where the files go; made if missing.", metavar="DIR")],
    night: Annotated[bool, typer.Option("--night", help="Single-frame files of a ground-based night.")] = False,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Integrations or images [default: 300, 40].", metavar="N")
    ] = None,
    segments: Annotated[int, typer.Option(min=1, help="Files of an exposure.", metavar="N")] = 2,
    shape: Annotated[tuple[int, int] | None, typer.Option(help="[default: 64 512, 200 220]", metavar="ROWS COLUMNS")] = None,
    depth: Annotated[float, typer.Option(help="Depth of the transit.")] = 0.01,
    drift: Annotated[float | None, typer.Option(help="Drift from end to end, pixels.", metavar="PIXELS")] = None,
    units: Annotated[str, typer.Option(help="MJy/sr or DN/s, of an exposure.")] = "MJy/sr",
    int_times: Annotated[str, typer.Option(help="INT_TIMES: segment, exposure or empty.")] = "segment",
    bad_frames: Annotated[list[int] | None, typer.Option("--bad-frame", help="An integration of NaN; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pixels.")] = 0,
) -> None:
    """Simulate the frames of a transit.

    A JWST exposure in segments, or a night of images. What went into them is saved beside the files, as ...-truth.npz.
    """
    from tsogrid.simulate import simulate_exposure, simulate_night

    options: dict[str, Any] = {"shape": shape, "drift": drift}
    options = {name: value for name, value in options.items() if value is not None}
    truth: Any
    if night:
        truth = simulate_night(directory, frames=frames or 40, depth=depth, seed=seed, **options)
        x, y = truth.x[0, 0], truth.y[0, 0]
    else:
        truth = simulate_exposure(
            directory,
            integrations=frames or 300,
            segments=segments,
            depth=depth,
            units=units,
            int_times=int_times,
            bad_frames=bad_frames or (),
            seed=seed,
            **options,
        )
        x, y = truth.x[0], truth.y[0]
    count = len(truth.files)
    typer.echo(f"{directory}: {count} file{'s' if count > 1 else ''}, {len(truth.time)} frames")
    typer.echo(f"the star is at x = {x:.2f}, y = {y:.2f} in the first; its transit is {depth:g} deep")
    typer.echo(f"next: tsogrid init {directory}")
