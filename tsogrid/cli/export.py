"""``tsogrid export``: a result as a file for other programs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tsogrid.cli.stored import StorageOption, file_beside
from tsogrid.cli.stored import storage as reached

FORMATS = ("ecsv", "csv", "hdf5", "netcdf", "fits", "aavso", "aij")


def export(
    store: Annotated[str, typer.Argument(help="A result of `tsogrid run`.", metavar="STORE")],
    to: Annotated[str, typer.Option(help=f"{', '.join(FORMATS)}.", metavar="FORMAT")] = "ecsv",
    profile: Annotated[
        str | None,
        typer.Option(
            help="Another program's form: jwst (ecsv, csv), tshirt (fits), eureka (hdf5); or drift (ecsv, csv): the motion.",
            metavar="NAME",
        ),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Name or number [default: the first target].", metavar="NAME")] = None,
    aperture: Annotated[
        str | None, typer.Option(help="Label or radius [default: the quietest light curve's].", metavar="A")
    ] = None,
    sky: Annotated[
        str | None, typer.Option(help="Label or number [default: the quietest light curve's].", metavar="SKY")
    ] = None,
    observer: Annotated[str | None, typer.Option(help="aavso: the observer's code.", metavar="CODE")] = None,
    band: Annotated[str | None, typer.Option(help="aavso: the filter's letters [default: header].", metavar="BAND")] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The file [default: STORE with .ecsv, .nc, .tbl …; .jwst.ecsv …].", metavar="PATH"),
    ] = None,
    storage: StorageOption = None,
) -> None:
    """Write a result as a file for other programs.

    ecsv, csv, hdf5 and netcdf hold all of it, or what --source, --aperture and --sky leave; fits (for lightkurve), aavso and
    aij (AstroImageJ) one light curve: the file says which.
    """
    from tsogrid import open_result
    from tsogrid.cli.failures import reading
    from tsogrid.export import SUFFIXES
    from tsogrid.export import export as write

    if to not in FORMATS:
        raise typer.BadParameter(f"expected {', '.join(FORMATS)}; found {to!r}", param_hint="--to")
    own = f".{profile}" if profile else ""  # no profile's file takes the place of the plain form's
    path = output or file_beside(store, own + SUFFIXES[to])
    with reading(store):
        write(
            open_result(store, reached(storage)),
            path,
            to,
            profile,
            source=_number(source, int),
            aperture=_number(aperture, float),
            sky=_number(sky, int),
            observer=observer,
            band=band,
        )
    typer.echo(f"{path}: written from {store}")


def _number(text: str | None, kind: type) -> Any:
    """Read a number where the text is one; else it is a name."""
    try:
        return None if text is None else kind(text)
    except ValueError:
        return text
