"""Which store a command looks at: a folder or an address in a bucket, and how that bucket is reached."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tsogrid.config import Storage

StorageOption = Annotated[
    list[str] | None,
    typer.Option("--storage", help="How a store on s3:// is reached, as in anon=true; repeatable.", metavar="KEY=VALUE"),
]


def storage(given: list[str] | None) -> "Storage":
    """Read the values of ``--storage``: keys of ``output.storage``.

    Parameters
    ----------
    given : list of str or None
        For example ``anon=true`` or ``endpoint_url=http://host:9000``.

    Returns
    -------
    Storage

    Raises
    ------
    ConfigError
        An unknown key, or a value that it cannot have.
    """
    from tsogrid.cli.configuration import settings
    from tsogrid.config import Config

    content = {"output": {"storage": settings(given or ())}}
    return Config.from_mapping(content, where="--storage").output.storage


def file_beside(store: str, suffix: str) -> Path:
    """Name a file as the store: beside it, or in the working folder for one in a bucket."""
    from tsogrid.engine.place import local_path

    return local_path(store).with_suffix(suffix)
