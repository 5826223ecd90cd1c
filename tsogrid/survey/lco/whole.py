"""Files and folders that are whole or not there: written beside their place, flushed, renamed."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tsogrid.errors import StoreError


def write_file(path: str | Path, write: Callable[[Path], None], mode: int = 0o644) -> None:
    """Write a file in one step; through a symbolic link, the file that it means.

    Parameters
    ----------
    path : path-like
        Its folder is made.
    write : callable
        Fills the file at the path that it is given.
    mode : int
        Permissions of the file.

    Raises
    ------
    StoreError
        The folder cannot be written, or the disk is full; what was there before stands.
    """
    place = Path(os.path.realpath(path))
    temporary = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: two runs never write one file. The ending stays: writers choose a format by it.
        descriptor, name = tempfile.mkstemp(prefix=".part-", suffix=f"-{place.name}", dir=place.parent)
        os.close(descriptor)
        temporary = Path(name)
        write(temporary)
        _flush(temporary)
        os.chmod(temporary, mode)
        os.replace(temporary, place)
        temporary = None
        _flush(place.parent)
    except OSError as error:
        raise StoreError(
            f"{path}: the file could not be written: {error.strerror or error}. Make room, or choose another folder."
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_folder(path: str | Path, write: Callable[[Path], None]) -> None:
    """Write a folder in one step; one that is there gives way.

    Parameters
    ----------
    path : path-like
        The folder.
    write : callable
        Makes the folder at the path that it is given.

    Raises
    ------
    StoreError
        It cannot be written, or the disk is full.
    """
    place = Path(path)
    beside, old = place.with_name(f".{place.name}.part"), place.with_name(f".{place.name}.old")
    try:
        for left in (beside, old):
            shutil.rmtree(left, ignore_errors=True)
        write(beside)
        if place.exists():
            os.replace(place, old)
        os.replace(beside, place)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"{path}: could not be written: {error.strerror or error}. Make room, or choose another folder."
        ) from None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
