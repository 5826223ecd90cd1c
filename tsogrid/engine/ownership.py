"""Whose a store is: the run that holds its lock says so inside, and a shard is written for that run alone.

A client can die while its tasks are still at work on somebody's workers, or be thought dead while it sleeps; meanwhile
another run may have gone on with the store, or made it anew. Who writes a shard looks here before it writes and before it
marks: what comes too late is left out.
"""

import os
import uuid
from pathlib import Path

from tsogrid.errors import StoreError

_NAME = "owner"  # in progress/


def claim(path: Path) -> str:
    """Say that a store is this run's; the caller holds its lock.

    Parameters
    ----------
    path : Path
        A laid-out store.

    Returns
    -------
    str
        By which `require` knows the run.

    Raises
    ------
    StoreError
        The store cannot be written.
    """
    token = uuid.uuid4().hex
    file = path / "progress" / _NAME
    beside = file.with_name(f".{_NAME}.{token}.partial")
    try:
        beside.write_text(token)
        os.replace(beside, file)
    except OSError as error:
        raise StoreError(f"{path}: expected a store that can be written, found: {error.strerror}.") from None
    return token


def require(path: Path, token: str) -> None:
    """Refuse to write where another run has taken the store.

    Parameters
    ----------
    path : Path
        The store.
    token : str
        From `claim`; empty where nobody else can be.

    Raises
    ------
    StoreError
        Another run has claimed it, or it is another store now.
    """
    if not token:
        return
    try:
        found = (path / "progress" / _NAME).read_text()
    except FileNotFoundError:
        found = ""
    except OSError:  # whoever cannot read cannot write either, and says so
        return
    if found != token:
        raise StoreError(f"{path}: another run has taken this store over. This one writes no more; what is marked is safe.")
