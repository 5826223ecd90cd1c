"""Whose a store is: the run that holds its lock says so inside, and a shard is written for that run alone.

A client can die while its tasks are still at work on somebody's workers, or be thought dead while it sleeps; meanwhile
another run may have gone on with the store, or made it anew. Who writes a shard looks here before it writes and before it
marks: what comes too late is left out.
"""

import uuid

from tsogrid.engine.place import Place
from tsogrid.errors import StoreError

OWNER = "progress/owner"


def claim(place: Place) -> str:
    """Say that a store is this run's; the caller holds its lock.

    Parameters
    ----------
    place : Folder or Bucket
        Of a laid-out store.

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
    try:
        place.write(OWNER, token.encode())
    except place.failures as error:
        raise StoreError(f"{place}: expected a store that can be written, found: {error}.") from None
    return token


def require(place: Place, token: str) -> None:
    """Refuse to write where another run has taken the store.

    Parameters
    ----------
    place : Folder or Bucket
        Of the store.
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
        found = place.read(OWNER).decode()
    except FileNotFoundError:
        found = ""
    except place.failures:  # whoever cannot read cannot write either, and says so
        return
    if found != token:
        raise StoreError(f"{place}: another run has taken this store over. This one writes no more; what is marked is safe.")
