"""``tsogrid explore``: a page on which a point of the light curve shows its frame."""

from pathlib import Path
from typing import Annotated

import typer

from tsogrid.cli.stored import StorageOption
from tsogrid.cli.stored import storage as reached


def explore(
    store: Annotated[str, typer.Argument(help="A result of `tsogrid run`.", metavar="STORE")],
    more: Annotated[list[str] | None, typer.Argument(metavar="FRAMES", hidden=True)] = None,
    frames: Annotated[
        list[str] | None,
        typer.Option(
            help="Files, folder or pattern [default: looked for beside the store and in its YAML].", metavar="FILES..."
        ),
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings that the page exported.", metavar="YAML")] = None,
    port: Annotated[int, typer.Option(help="Of the page; 0: any that is free.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    storage: StorageOption = None,
) -> None:
    """Look at a result in a browser, each point of the light curve with its frame.

    The page is served on this machine alone, until you stop it with Ctrl-C.
    """
    from tsogrid.cli.failures import reading
    from tsogrid.view.explore.server import explore as serve

    def started(address: str, said: str) -> None:
        typer.echo(f"{address}  (frames: {said}; Ctrl-C stops)")

    with reading(store):
        serve(
            store, [*(frames or []), *(more or [])] or None, settings=settings, port=port, show=browser, started=started,
            storage=reached(storage),
        )  # fmt: skip
