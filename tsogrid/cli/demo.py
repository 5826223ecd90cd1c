"""``tsogrid demo``: an exposure is simulated, measured, and its transit found again."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tsogrid.cli.progress import progress_on


def demo(
    directory: Annotated[Path, typer.Argument(help="Where it happens; made if missing.", metavar="[DIR]")] = Path(
        "tsogrid-demo"
    ),
    seed: Annotated[int, typer.Option(help="Of the simulation.", metavar="N")] = 0,
    frames: Annotated[int, typer.Option(min=20, help="Integrations.", metavar="N")] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="Print depth, depth_err, depth_injected.")] = False,
) -> None:
    """Simulate a transit, measure it, find its depth.

    An exposure as JWST's NIRCam takes it, through the real pipeline, in about a minute.
    """
    from tsogrid.demo import demo as show

    with progress_on(sys.stderr if as_json else sys.stdout) as progress:
        found = show(directory, seed=seed, frames=frames, progress=progress)
    if as_json:
        numbers = ("depth", "depth_err", "depth_injected", "scatter", "photon_limit", "frames_per_second", "frames")
        typer.echo(json.dumps({name: getattr(found, name) for name in numbers}))
        return
    pull = (found.depth - found.depth_injected) / found.depth_err
    lines = [
        f"transit depth  {1e6 * found.depth:.0f} ± {1e6 * found.depth_err:.0f} ppm; put in "
        f"{1e6 * found.depth_injected:.0f} ppm ({pull:+.1f} sigma)",
        f"scatter        {1e6 * found.scatter:.0f} ppm a frame; photons, sky and read noise alone "
        f"{1e6 * found.photon_limit:.0f} ppm",
        f"speed          {found.frames_per_second:.0f} frames/s ({found.frames} frames)",
        f"result         {found.store}, {found.plot}",
        f"report         {found.report}      (open it in a browser)",
        f"next           tsogrid export {found.store} --to ecsv",
        f"               tsogrid init {directory}/*_calints.fits      (a configuration of your own)",
    ]
    typer.echo("\n".join(lines))
