"""A lock in a file, created exclusively, whose time of change is its heartbeat.

Whether the owner lives is asked of the system where both run on the same one; elsewhere (another host, or a container with
process numbers of its own) only the heartbeat tells. Its age is measured by the clock of the file system, which stamps both
the heartbeat and the file that it is compared with.
"""

import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tsogrid.engine.place import Folder
from tsogrid.errors import StoreError

STALE = 60.0  # seconds without a heartbeat after which a lock from elsewhere is stale


def lock_path(store: Path) -> Path:
    """Name the lock file of a store: a hidden file beside it."""
    return store.parent / f".{store.name}.lock"


def me() -> dict[str, Any]:
    """Say who this process is, so that another can tell whether it still lives."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "born": _born(os.getpid()),
        "system": system(),
        "token": uuid.uuid4().hex,
    }


def system() -> str:
    """Name what process numbers belong to: one boot of one machine, and a container in it.

    Containers may share the host's name and not its process numbers, and a machine that was started anew counts again.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return f"{socket.gethostname()} {psutil.boot_time():.0f}"


def _born(pid: int) -> float:
    """When a process began: seconds since the machine did, which no setting of clocks changes."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if words[0] in "ZX":  # ended, and not yet fetched by who started it
            raise ProcessLookupError
        return int(words[19]) / os.sysconf("SC_CLK_TCK")
    except FileNotFoundError:
        return float(psutil.Process(pid).create_time())  # no Linux, or no such process


def told(owner: dict[str, Any]) -> str:
    """Name the owner of a lock."""
    return f"process {owner['pid']} on {owner['host']}"


def is_gone(owner: dict[str, Any]) -> bool | None:
    """Whether the owner of a lock has ended; None if that cannot be seen from here.

    Of this very process it cannot: an earlier run in it may have ended without a way to give its lock back.
    """
    if owner.get("system") != system():
        return None
    try:
        os.kill(owner["pid"], 0)
        # A number used again by another process was born at another time.
        other = abs(_born(owner["pid"]) - owner["born"]) > 1.0
        return None if owner["pid"] == os.getpid() and not other else other
    except (ProcessLookupError, psutil.NoSuchProcess):
        return True
    except OSError:  # another user's
        return None


class FileLock:
    """The lock of a store in a folder.

    Parameters
    ----------
    place : Folder
        Where the store lies.
    """

    def __init__(self, place: Folder) -> None:
        self.store, self.me = place, me()
        self.path = lock_path(place.path.resolve())  # a link stays a link, and its store has one lock

    def acquire(self) -> bool:
        """Take the lock; whether it was a dead run's.

        Raises
        ------
        StoreError
            Another run has it, or the folder cannot be written.
        """
        try:
            after_death = False
            for _ in range(3):
                if self._create():
                    return after_death
                after_death = self._take_over()
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                f"{self.store}: expected a folder that can be written, found: {error.strerror} ({self.path.parent}). "
                "Make room or mend that, or choose another --store."
            ) from None
        raise StoreError(f"{self.store}: another run took the lock at the same moment. Run again.")

    def _create(self) -> bool:
        """Make the lock, with its content: it is never seen empty."""
        beside = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}")
        try:
            beside.write_text(json.dumps(self.me))
            try:
                os.link(beside, self.path)
                return True
            except FileExistsError:
                return beside.stat().st_nlink > 1  # over a network a link may be made twice, and complain of itself
            except OSError:  # a file system without hard links
                return self._create_there()
        finally:
            beside.unlink(missing_ok=True)

    def _create_there(self) -> bool:
        try:
            with open(self.path, "x") as file:
                json.dump(self.me, file)
        except FileExistsError:
            return False
        return True

    def _take_over(self) -> bool:
        """Remove a stale lock, or say who holds it; whether there was one to remove.

        The lock is moved aside before it is judged again, so that of two runs that find it stale only one removes it, and a
        lock that was made in the meantime is put back. Meanwhile a third one waits, where the file system knows how.
        """
        aside = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}")
        with suppress(FileNotFoundError), _alone(self.path.with_name(f"{self.path.name}.judged")):
            stale, who = self._judged(self.path)
            if stale:
                self.path.rename(aside)
                stale, who = self._judged(aside)
                if not stale:
                    with suppress(FileExistsError):
                        os.link(aside, self.path)
                aside.unlink()
            if not stale:
                raise StoreError(
                    f"{self.store}: another run is writing this store ({who}). Wait for it, or stop it, and run again."
                )
            return True
        return False

    def _judged(self, path: Path) -> tuple[bool, str]:
        """Whether a lock file's owner is gone, and who it is."""
        try:
            owner = json.loads(path.read_text())
            gone, who = is_gone(owner), told(owner)
        except (ValueError, KeyError, TypeError):  # torn by a power loss
            gone, who = None, "an unknown process"
        return (_now(path) - path.stat().st_mtime > STALE) if gone is None else gone, who

    def beat(self) -> str:
        """Show that the run lives; who has the lock now, if it is another's, else nothing."""
        try:
            owner = json.loads(self.path.read_text())
            if owner["token"] == self.me["token"]:
                os.utime(self.path)
                return ""
            return told(owner)
        except FileNotFoundError:
            return "it is gone"
        except (ValueError, KeyError, TypeError):
            return ""  # unreadable now

    def release(self) -> None:
        """Give the lock back, if it is still this run's."""
        with suppress(ValueError, KeyError, TypeError):
            if json.loads(self.path.read_text())["token"] == self.me["token"]:
                self.path.unlink()

    def holder(self) -> str | None:
        """Say who has the lock; None if nobody lives who has."""
        with suppress(FileNotFoundError):
            stale, who = self._judged(self.path)
            return None if stale else who
        return None


def _now(beside: Path) -> float:
    """The file system's own time, by a new file; this machine's where none can be made."""
    path = beside.with_name(f"{beside.name}.{uuid.uuid4().hex}.now")
    try:
        path.touch(exist_ok=False)
        try:
            return path.stat().st_mtime
        finally:
            path.unlink(missing_ok=True)
    except OSError:
        return time.time()


def _is_named(handle: int, path: Path) -> bool:
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process after the other in, by a lock of the system on a file that goes away with it."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            with suppress(OSError):  # file systems that lock no files: renames alone have to do
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_named(handle, path):  # else who was here before has removed it
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
        finally:
            os.close(handle)
