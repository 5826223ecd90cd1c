"""Where a store lies: the few verbs that it needs of a folder, or of a bucket.

A folder appears under its name by a rename, and what is written counts once it is flushed. A bucket
(`tsogrid.engine.bucket`) knows no rename, and an object is there as soon as its PUT is answered. Both give the same verbs,
so that the store's own rules are written once.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tsogrid.config import Storage
from tsogrid.engine.bucket import Bucket
from tsogrid.errors import StoreError

ROOT = "zarr.json"  # holds identity and layout: what has it is a store


@dataclass(frozen=True)
class Folder:
    """A store's place on a disk.

    Parameters
    ----------
    path : Path
        The folder; that which holds it exists.
    """

    path: Path
    failures: ClassVar[tuple[type[Exception], ...]] = (OSError,)  # what a verb that fails raises
    unreachable: ClassVar[tuple[type[Exception], ...]] = ()  # errors that say nothing of a chunk: a disk's do
    at_once: ClassVar[int] = 1  # chunks that are read at a time

    def __str__(self) -> str:
        return str(self.path)

    def zarr(self) -> Path:
        """What zarr and xarray open."""
        return self.path

    def require(self) -> None:
        """Refuse a place where nothing can be made."""
        if not self.path.parent.is_dir():
            raise StoreError(
                f"{self}: expected an existing folder, found none at {self.path.parent}. Make it, or choose another."
            )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Nothing has to be worded: the system's errors say enough."""
        yield

    def exists(self) -> bool:
        """Whether something stands here; an empty folder is nothing."""
        return self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir()))

    def beside(self, what: str) -> "Folder":
        """A hidden neighbour of the same name."""
        return Folder(self.path.parent / f".{self.path.name}.{what}")

    def read(self, key: str) -> bytes:
        """Read a file whole."""
        return (self.path / key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        """Write a file whole: it is never seen half."""
        path = self.path / key
        beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            beside.write_bytes(content)
            _flush(beside)
            beside.replace(path)
        except OSError:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise

    def names(self) -> set[str]:
        """Names of all files."""
        return {path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_file()}

    @contextmanager
    def staging(self) -> Iterator[Any]:
        """What zarr writes into; it is here when this ends, though perhaps not on the disk yet."""
        yield self.path

    def flush(self, keys: Collection[str] | None = None) -> None:
        """Force files, and the names in their folders, onto the disk; all if none are given.

        Together, the disk joins them into few writes.
        """
        if keys is None:
            paths = [self.path, *self.path.rglob("*")]
        else:
            paths = [self.path / key for key in keys]
            paths += dict.fromkeys(path.parent for path in paths)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(_flush, paths))

    def take(self, other: "Folder", keys: Collection[str], missing: bool = False) -> None:
        """Take files over from another place; with ``missing`` they need not be there.

        Numbers that stay are linked, not copied; what may be written again is never linked.
        """
        for key in keys:
            source, target = other.path / key, self.path / key
            try:
                if key.startswith("progress/"):
                    shutil.copy2(source, target)
                else:
                    os.link(source, target)
            except FileNotFoundError:
                if not missing:
                    raise
            except OSError:  # a file system without hard links
                shutil.copy2(source, target)

    def remove(self) -> None:
        """Remove all that is here."""
        shutil.rmtree(self.path, ignore_errors=True)

    def become(self, made: "Folder") -> None:
        """Be what was made beside, in one step; what stood here is gone then."""
        old = self.beside("old")
        old.remove()
        made.flush()
        if self.path.exists():
            self.path.rename(old.path)
        made.path.rename(self.path)
        _flush(self.path.parent)
        old.remove()

    def recover(self) -> None:
        """Undo what a run left behind that died while it laid out a store; the caller holds the lock."""
        old = self.beside("old")
        if old.path.exists() and not self.path.exists():
            old.path.rename(self.path)
        old.remove()
        self.beside("making").remove()

    def tidy(self) -> None:
        """Remove half-written files that a killed run or worker left; the caller holds the lock, and nobody writes."""
        for leftover in self.path.rglob("*.partial"):
            leftover.unlink(missing_ok=True)


Place = Folder | Bucket


def _flush(path: Path) -> None:
    """Force a file, or the names in a folder, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def place_of(where: "str | Path | Place", storage: Storage | None = None) -> Place:
    """Give the place that a path or a URL means.

    Parameters
    ----------
    where : path-like, str or place
        A folder, ``s3://bucket/name``, or a place, which is given back.
    storage : Storage, optional
        How a bucket is reached.

    Returns
    -------
    Folder or Bucket

    Raises
    ------
    StoreError
        A URL of another kind, or one that names no store in the bucket.
    """
    if isinstance(where, Folder | Bucket):
        return where
    scheme = re.match(r"([A-Za-z][\w+.-]+):/+", str(where))  # a Path has joined the slashes
    if scheme is None:
        return Folder(Path(where))
    inside = str(where)[scheme.end() :].strip("/")
    if scheme[1].lower() != "s3" or not inside.partition("/")[2]:
        raise StoreError(
            f"{where}: expected a path, or s3://bucket/name.zarr, found something else. Choose another --store."
        )
    return Bucket(f"s3://{inside}", storage or Storage())


def local_path(where: "str | Path | Place") -> Path:
    """Name a store as far as this machine's disks go: what is kept beside it takes its name from that.

    Parameters
    ----------
    where : path-like, str or place
        The store.

    Returns
    -------
    Path
        The folder itself; of a store in a bucket its name in the working folder.
    """
    place = place_of(where)
    return place.path if isinstance(place, Folder) else Path.cwd() / place.name
