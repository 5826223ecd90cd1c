"""The memory of one block is kept for the next.

The allocator of the GNU C library gives large arrays back to the system as soon as they are free, and the system clears
every page that it hands out again: a fifth of the time of reading wide frames. Other allocators are left alone.
"""

import ctypes
from functools import cache

KEPT = 1 << 28  # bytes of free memory that a process may keep
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # parameters of mallopt(3)


@cache
def keep_memory() -> None:
    """Have this process keep up to 256 MB of freed memory, in one heap for all threads; done once."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not the GNU C library
        return
    for parameter, value in ((_TRIM_THRESHOLD, KEPT), (_MMAP_THRESHOLD, KEPT), (_ARENA_MAX, 1)):
        mallopt(parameter, value)
