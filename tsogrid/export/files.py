"""A file is whole or not there: it is written beside its place, flushed, and then renamed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tsogrid.errors import StoreError


def check_folder(path: str | Path) -> None:
    """Refuse a file whose folder does not exist, before work begins.

    Raises
    ------
    StoreError
        There is no such folder, or a folder stands under the file's name.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise StoreError(f"{path}: expected an existing folder, found none at {path.parent}. Make it, or choose another.")
    if path.is_dir():
        raise StoreError(f"{path}: expected the name of a file, found a folder.")


def write_whole(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Write a file in one step: whole or not at all.

    Parameters
    ----------
    path : path-like
        The file.
    write : callable
        Takes the path of a temporary file beside it, and fills that.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        The folder is missing or cannot be written, or the disk is full.
    """
    path = Path(path)
    check_folder(path)
    try:
        with _beside(path) as temporary:
            write(temporary)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path}: the file could not be written: {error.strerror or error}.") from None
    return path


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give a name beside the file's; what was written there takes its place when all went well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        handle = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
