"""``tsogrid verify``: read back what a store holds."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def verify(
    store: Annotated[Path, typer.Argument(help="A result of `tsogrid run`, finished or not.", metavar="STORE")],
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Read back every chunk, and name what is missing or damaged.

    Nothing is changed. Exit status 1 if something is damaged: the same `tsogrid run` again measures it anew.
    """
    from tsogrid.engine.verification import verified
    from tsogrid.errors import StoreError

    found = verified(store)
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
