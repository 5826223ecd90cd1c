"""Byte ranges of remote files: asked for side by side, again where a server fails, and told apart where they cannot be had.

A missing file (404), a forbidden one (401, 403), a server that keeps failing (5xx, no answer, cut connections) and one that
does not know ranges are different errors, each with the name of the file. What an answer says of the file's version (ETag,
size) is held against what was seen when it was opened.
"""

import os
from collections.abc import Coroutine, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

from tsogrid.config import Storage
from tsogrid.errors import ConfigError
from tsogrid.io.byte_ranges import Range
from tsogrid.io.remote_names import scheme_of


class Wanted(NamedTuple):
    """Ranges of one file, ascending; ``version`` is what the file was when it was opened, 0 if that is not known."""

    path: str
    ranges: Sequence[Range]
    version: int = 0


class Got(NamedTuple):
    """The bytes of each range, the size of the file and its version."""

    content: list[bytes]
    size: int
    version: int


def fetch(wanted: Sequence[Wanted], storage: Storage) -> list[Got]:
    """Fetch byte ranges of files, all side by side.

    Parameters
    ----------
    wanted : sequence of Wanted
        Which.
    storage : Storage
        How the files are reached.

    Returns
    -------
    list of Got
        One a file; a range that reaches beyond the end of its file is shorter.

    Raises
    ------
    MissingError
        There is no such file, or no such bucket.
    ForbiddenError
        It may not be read.
    SourceFailingError
        The server failed in every try.
    InputError
        The server does not know byte ranges, or a file has changed since it was opened.
    ConfigError
        A scheme is not known, or a package is missing.
    """
    client = _client(storage, os.getpid())
    places = {scheme: client.place(each.path) for each in wanted if (scheme := scheme_of(each.path))}
    got: list[Got] = _wait(client.fetch(wanted, places))
    return got


def listed(path: str, storage: Storage) -> list[str]:
    """Name the files of a remote folder or pattern.

    Raises
    ------
    InputError, ConfigError
        See `fetch`; web servers cannot be listed.
    """
    return _client(storage, os.getpid()).place(path).listed(path)


_MAKING = Lock()


def _client(storage: Storage, process: int) -> Any:
    """Give the client of this process; connections are never shared with a process that was forked from it."""
    with _MAKING:
        return _made(storage, process)


@lru_cache(maxsize=4)
def _made(storage: Storage, process: int) -> Any:
    from tsogrid.io.remote_client import Client

    try:
        return Client(storage)
    except ImportError as error:
        raise ConfigError(
            f"remote files need the package {error.name}, which is not installed: pip install 'tsogrid[http]'"
        ) from None


def _wait(work: Coroutine[Any, Any, Any]) -> Any:
    """Wait for work in fsspec's event loop, which runs in a thread of its own."""
    import asyncio  # here, since local files do without

    from fsspec.asyn import get_loop

    future = asyncio.run_coroutine_threadsafe(work, get_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
