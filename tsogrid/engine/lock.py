"""The lock of a store: one run at a time, and a dead run's lock is taken over.

The lock is a file beside the store, created exclusively. It names its process and is touched while the run lives; a lock
whose process is gone, or that was not touched for a minute, is stale.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tsogrid.errors import StoreError

HEARTBEAT = 10.0  # seconds between two touches
STALE = 60.0  # seconds without a touch after which another host's lock is stale


def lock_path(store: Path) -> Path:
    """Name the lock file of a store: a hidden file beside it."""
    return store.parent / f".{store.name}.lock"


def _me() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "born": psutil.Process().create_time(),
        "token": uuid.uuid4().hex,
    }


def _is_stale(path: Path) -> tuple[bool, str]:
    """Whether a lock file's owner is gone, and who it is."""
    age = time.time() - path.stat().st_mtime
    try:
        owner = json.loads(path.read_text())
        who = f"process {owner['pid']} on {owner['host']}"
    except (ValueError, KeyError):  # torn by a power loss
        return age > STALE, "an unknown process"
    if owner["host"] != socket.gethostname():
        return age > STALE, who
    try:
        # A number used again by another process was born at another time.
        return abs(psutil.Process(owner["pid"]).create_time() - owner["born"]) > 1.0, who
    except psutil.NoSuchProcess:
        return True, who


def holder(store: Path) -> str | None:
    """Say which process writes a store.

    Parameters
    ----------
    store : Path
        The store.

    Returns
    -------
    str or None
        None if no run lives.
    """
    with suppress(OSError):
        stale, who = _is_stale(lock_path(store))
        return None if stale else who
    return None


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Hold the lock of a store.

    Parameters
    ----------
    store : Path
        The store; it need not exist, its folder must.

    Raises
    ------
    StoreError
        Another run holds the lock, or the folder cannot be written.
    """
    path, me = lock_path(store), _me()
    _acquire(path, me, store)
    stop = threading.Event()
    beat = threading.Thread(target=_keep_fresh, args=(path, stop), daemon=True, name="tsogrid-lock")
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        with suppress(OSError, ValueError):
            if json.loads(path.read_text())["token"] == me["token"]:
                path.unlink()


def _acquire(path: Path, me: dict[str, Any], store: Path) -> None:
    for _ in range(3):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            _take_over(path, store)
            continue
        except OSError as error:
            raise StoreError(
                f"{store}: expected a folder that can be written, found: {error.strerror} ({path.parent}). "
                "Choose another --store."
            ) from None
        with os.fdopen(handle, "w") as file:
            json.dump(me, file)
        return
    raise StoreError(f"{store}: another run took the lock at the same moment. Run again.")


def _take_over(path: Path, store: Path) -> None:
    """Remove a stale lock, or say who holds it.

    The lock is moved aside before it is judged, so that of two runs that find it stale only one removes it, and a lock that
    was made in the meantime is put back.
    """
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):
        stale, who = _is_stale(path)
        if stale:
            path.rename(aside)
            stale, who = _is_stale(aside)
            if not stale:
                with suppress(FileExistsError):
                    os.link(aside, path)
            aside.unlink()
        if not stale:
            raise StoreError(f"{store}: another run is writing this store ({who}). Wait for it, or stop it, and run again.")


def _keep_fresh(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        with suppress(OSError):
            os.utime(path)
