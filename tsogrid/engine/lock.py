"""The lock of a store: one run at a time, and a dead run's lock is taken over.

The lock lies beside the store, made so that only one can make it. It names its process and is kept fresh while the run
lives; a lock whose process is gone, or that was not kept fresh for a minute, is stale. How that is done in a folder and in
a bucket, two neighbours know: `tsogrid.engine.file_lock` and `tsogrid.engine.object_lock`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tsogrid.engine.bucket import Bucket, failures
from tsogrid.engine.file_lock import FileLock
from tsogrid.engine.object_lock import ObjectLock
from tsogrid.engine.place import Folder, Place, place_of
from tsogrid.errors import StoreError

HEARTBEAT = 10.0  # seconds between two touches

_LOCKS: dict[type, Any] = {Folder: FileLock, Bucket: ObjectLock}


class Held:
    """A lock that is held, as far as is known.

    Parameters
    ----------
    store : str
        What is locked.
    after_death : bool
        Whether the lock was a dead run's.
    """

    def __init__(self, store: str, after_death: bool = False) -> None:
        self.store, self.lost, self.after_death = store, "", after_death

    def check(self) -> None:
        """Refuse to go on once another run has the lock.

        Raises
        ------
        StoreError
            This process stood still for so long that another took it for dead.
        """
        if self.lost:
            raise StoreError(
                f"{self.store}: this run stood still for so long that another took the lock over ({self.lost}). This one "
                "stops; what is marked is safe."
            )


def holder(store: Path | Place) -> str | None:
    """Say which process writes a store.

    Parameters
    ----------
    store : Path or place
        The store.

    Returns
    -------
    str or None
        None if no run lives.
    """
    place = place_of(store)
    with suppress(*place.failures):
        return str(found) if (found := _LOCKS[type(place)](place).holder()) else None
    return None


@contextmanager
def locked(store: Path | Place) -> Iterator[Held]:
    """Hold the lock of a store.

    Parameters
    ----------
    store : Path or place
        The store; it need not exist, its folder or bucket must.

    Returns
    -------
    context manager
        Of what knows whether the lock is still held.

    Raises
    ------
    StoreError
        Another run holds the lock, or it cannot be written.
    """
    place = place_of(store)
    lock, stop = _LOCKS[type(place)](place), threading.Event()
    held = Held(str(place), after_death=lock.acquire())
    beat = threading.Thread(target=_keep_fresh, args=(lock, held, stop), daemon=True, name="tsogrid-lock")
    beat.start()
    try:
        yield held
    finally:
        stop.set()
        beat.join()
        with suppress(*place.failures):
            lock.release()


def _keep_fresh(lock: FileLock | ObjectLock, held: Held, stop: threading.Event) -> None:
    """Keep a lock fresh; what cannot be written now (a full disk, a cut line) may be at the next beat."""
    while not stop.wait(HEARTBEAT):
        with suppress(*failures()):
            held.lost = lock.beat()
        if held.lost:
            return
