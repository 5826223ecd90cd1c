"""Headers of many files: one after the other from a disk, side by side over a network, always in the order of the names."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice

from tsogrid.config import Storage
from tsogrid.errors import InputError
from tsogrid.io.fits import FitsFile, scan
from tsogrid.io.remote_names import is_remote, shown


def scan_all(paths: Sequence[str], storage: Storage) -> Iterator[FitsFile]:
    """Read the headers of files.

    Parameters
    ----------
    paths : sequence of str
        Local paths and URLs.
    storage : Storage
        How remote files are reached; so many of them as it allows connections are under way at the same time.

    Yields
    ------
    FitsFile
        In the order of `paths`.

    Raises
    ------
    InputError
        See `tsogrid.io.fits.scan`.
    """
    if not any(map(is_remote, paths)):
        yield from map(scan, paths)
        return
    with ThreadPoolExecutor(storage.connections, "tsogrid-headers") as pool:
        yield from _ahead(pool, paths, storage)


def _ahead(pool: ThreadPoolExecutor, paths: Iterable[str], storage: Storage) -> Iterator[FitsFile]:
    """Keep some files ahead of the one that is given, but not all: headers of thousands fill the memory."""
    remaining = iter(paths)
    under_way: deque[Future[FitsFile]] = deque()
    try:
        while True:
            for path in islice(remaining, 2 * storage.connections - len(under_way)):
                under_way.append(pool.submit(scan, path, storage))
            if not under_way:
                return
            yield under_way.popleft().result()
    finally:
        for each in under_way:
            each.cancel()


@contextmanager
def without_secrets(paths: Iterable[str]) -> Iterator[None]:
    """Take passwords and signatures of URLs out of what is said of their files."""
    try:
        yield
    except InputError as error:
        words = str(error)
        for path in paths:
            if path in words:
                words = words.replace(path, shown(path))
        if words == str(error):
            raise
        raise type(error)(words) from None
