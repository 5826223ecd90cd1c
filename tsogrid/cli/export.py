"""``tsogrid export``: a result as a file for other programs."""

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("ecsv", "csv", "fits")


def export(
    store: Annotated[Path, typer.Argument(help="A result of `tsogrid run`.", metavar="STORE")],
    to: Annotated[str, typer.Option(help="ecsv or csv; fits with the profile tshirt.", metavar="FORMAT")] = "ecsv",
    profile: Annotated[
        str | None,
        typer.Option(help="jwst: the JWST pipeline's table. drift: the first target's motion. tshirt: its photometry file."),
    ] = None,
    aperture: Annotated[
        str | None, typer.Option(help="Profile tshirt: which one [default: the first].", metavar="LABEL")
    ] = None,
    sky: Annotated[str | None, typer.Option(help="Profile tshirt: which one [default: the first].", metavar="LABEL")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The file [default: STORE with .ecsv, .csv or .fits; a drift's with .drift before it].", metavar="PATH"
        ),
    ] = None,
) -> None:
    """Write a result as a table, one row a frame, or in the form of another program."""
    from tsogrid import open_result
    from tsogrid.cli.failures import reading
    from tsogrid.export import export as write

    if to not in FORMATS:
        raise typer.BadParameter(f"expected {' or '.join(FORMATS)}, found {to!r}", param_hint="--to")
    # A drift file is an input of other runs: it does not take the place of the light curves.
    path = output or store.with_suffix(f".drift.{to}" if profile == "drift" else f".{to}")
    with reading(store):
        write(open_result(store), path, to, profile, aperture=aperture, sky=sky)
    typer.echo(f"{path}: written from {store}")
