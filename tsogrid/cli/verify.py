"""``tsogrid verify``: read back what a store holds."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from tsogrid.cli.stored import StorageOption
from tsogrid.cli.stored import storage as reached


def verify(
    store: Annotated[str, typer.Argument(help="A result of `tsogrid run`, finished or not.", metavar="STORE")],
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
    storage: StorageOption = None,
) -> None:
    """Read back every chunk, and name what is missing or damaged.

    Nothing is changed. Exit status 1 if something is damaged: the same `tsogrid run` again measures it anew.
    """
    from tsogrid.engine.verification import verified
    from tsogrid.errors import StoreError

    found = verified(store, reached(storage))
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
    else:
        typer.echo(f"{store}: {found.marked} of {found.shards} shards are marked, {found.chunks} chunks were read")
        for line in found.damaged:
            typer.echo(f"damaged: {line}")
    if found.damaged:
        raise StoreError(
            f"{store}: {len(found.damaged)} chunks are missing or damaged. `tsogrid run` with the same configuration "
            "measures their shards again."
        )
