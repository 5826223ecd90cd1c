"""The memory of one block is kept for the next, as long as there is enough.

The allocator of the GNU C library gives large arrays back to the system as soon as they are free, and the system clears
every page that it hands out again: a fifth of the time of reading wide frames. But a worker near its memory limit must give
back what is free: dask pauses it there, and it would never work again. Other allocators are left alone.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

KEPT = 1 << 28  # bytes of free memory that a process may keep
SCARCE = 0.7  # of a worker's memory limit, beyond which nothing free is kept: dask pauses it at 0.8
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # parameters of mallopt(3)


@contextmanager
def memory_kept() -> Iterator[None]:
    """Measure a block within it: up to 256 MB of freed memory stay in the process, but not near a worker's limit."""
    _keep_memory()
    try:
        yield
    finally:
        limit = _memory_limit()
        if limit and _resident() > SCARCE * limit:
            give_back()


def give_back() -> None:
    """Give free memory back to the system, now."""
    library = _c_library()
    if library is not None:
        library.malloc_trim(ctypes.c_size_t(0))


@cache
def _keep_memory() -> None:
    library = _c_library()
    if library is None:
        return
    for parameter, value in ((_TRIM_THRESHOLD, KEPT), (_MMAP_THRESHOLD, KEPT), (_ARENA_MAX, 1)):
        library.mallopt(parameter, value)


@cache
def _c_library() -> Any:
    """The GNU C library; None where it is another."""
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):
        return None


def _memory_limit() -> int | None:
    """Bytes that this process may take, if it is a worker of dask that looks after its memory."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.get_worker().memory_manager.memory_limit or None
    except (ValueError, AttributeError):  # no worker, or no task of one
        return None


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)
