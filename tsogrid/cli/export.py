"""``tsogrid export``: a result as a table."""

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("ecsv", "csv")


def export(
    store: Annotated[Path, typer.Argument(help="A result of `tsogrid run`.", metavar="STORE")],
    to: Annotated[str, typer.Option(help="ecsv or csv.", metavar="FORMAT")] = "ecsv",
    profile: Annotated[
        str | None,
        typer.Option(help="jwst: the columns of the JWST pipeline's table; drift: the motion of the first target."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The table [default: STORE with .ecsv or .csv].", metavar="PATH")
    ] = None,
) -> None:
    """Write a result as a table: one row a frame."""
    from tsogrid import open_result
    from tsogrid.cli.failures import reading
    from tsogrid.export import export as write

    if to not in FORMATS:
        raise typer.BadParameter(f"expected {' or '.join(FORMATS)}, found {to!r}", param_hint="--to")
    path = output or store.with_suffix(f".{to}")
    with reading(store):
        write(open_result(store), path, to, profile)
    typer.echo(f"{path}: written from {store}")
