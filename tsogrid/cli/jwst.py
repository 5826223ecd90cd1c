"""``tsogrid jwst``: the pipeline's ``tso_photometry`` step, with its option names and its table."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def jwst(
    files: Annotated[list[str], typer.Argument(help="_calints segments of one exposure, in any order.", metavar="FILES")],
    output: Annotated[Path, typer.Option(help="The table (ECSV).", metavar="PATH")],
    radius: Annotated[float, typer.Option(help="Of the aperture, in pixels.")] = 3.0,
    radius_inner: Annotated[float, typer.Option(help="Inner radius of the annulus, in pixels.")] = 4.0,
    radius_outer: Annotated[float, typer.Option(help="Outer radius of the annulus, in pixels.")] = 5.0,
    centroid_source: Annotated[
        bool, typer.Option("--centroid-source/--no-centroid-source", help="Centre on the source, or stay on XREF/YREF_SCI.")
    ] = True,
    search_box_width: Annotated[int, typer.Option(help="Box of the first centre of mass, in pixels.")] = 41,
    fit_box_width: Annotated[int, typer.Option(help="Box of the second one and of the widths, in pixels.")] = 11,
    moving_centroid: Annotated[
        bool, typer.Option("--moving-centroid", help="Follow each integration, not the median of the series.")
    ] = False,
    gain: Annotated[str | None, typer.Option(help="Electron per DN, for frames in DN/s.", metavar="FILE|VALUE")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Keep the result here too, as `tsogrid run` does.", metavar="PATH")
    ] = None,
) -> None:
    """Make the JWST pipeline's TSO photometry table of _calints files."""
    from tsogrid.cli.progress import progress_on
    from tsogrid.compat.jwst_run import tso_photometry
    from tsogrid.export import check_folder, write_table

    check_folder(output)
    options: dict[str, Any] = {
        "radius": radius,
        "radius_inner": radius_inner,
        "radius_outer": radius_outer,
        "centroid_source": centroid_source,
        "search_box_width": search_box_width,
        "fit_box_width": fit_box_width,
        "moving_centroid": moving_centroid,
        "gain": gain,
    }
    if store is None:
        table = tso_photometry(files, **options)
    else:
        with progress_on(sys.stdout) as progress:
            table = tso_photometry(files, store=store, progress=progress, **options)
    write_table(table, output, "ecsv")
    typer.echo(f"{output}: {len(table)} integration{'s' if len(table) != 1 else ''}")
