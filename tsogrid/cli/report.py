"""``tsogrid report``: a result as one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from tsogrid.cli.stored import StorageOption, file_beside
from tsogrid.cli.stored import storage as reached


def report(
    store: Annotated[str, typer.Argument(help="A result of `tsogrid run`.", metavar="STORE")],
    more: Annotated[list[str] | None, typer.Argument(metavar="FRAMES", hidden=True)] = None,
    output: Annotated[Path | None, typer.Option(help="The file [default: STORE with .html].", metavar="PATH")] = None,
    frames: Annotated[
        list[str] | None,
        typer.Option(
            help="Files, folder or pattern [default: looked for beside the store and in its YAML].", metavar="FILES..."
        ),
    ] = None,
    time_reference: Annotated[
        float | None, typer.Option(help="Days that plots take off the times, as 2460000.", metavar="DAYS")
    ] = None,
    storage: StorageOption = None,
) -> None:
    """Show everything there is to say of a result on one page.

    Run, light curves, noise, positions, skies, star map, statistics, reference stars, flags, failures and configuration, in
    one HTML file that needs no network and no script.
    """
    from tsogrid import open_result
    from tsogrid.cli.failures import reading
    from tsogrid.view.report import report as write

    path = output or file_beside(store, ".html")
    with reading(store):
        written = write(open_result(store, reached(storage)), path, [*(frames or []), *(more or [])] or None, time_reference)
    typer.echo(f"{written.path}: written from {store}")
    for each in written.missing:
        typer.echo(f"missing: {each}")
