"""What numba makes of kernels and their parts: dispatchers, and a cache on disk that ends no run.

Every per-frame function is compiled with IEEE rules (``fastmath`` would make ``isnan`` false) and the numpy error model (a
division by zero is inf or NaN, not an exception). The machine code is kept in numba's cache, so that the second process
starts in a fraction of a second. Where no cache folder can be written, machine code is taken from one that can only be read
(`NUMBA_CACHE_DIR`, or beside the package, as in an image that was filled when it was built), else made in memory; a cache
that cannot be written or read after all costs time, and ends no run.

`tsogrid.kernels.compile` loads this page, and with it numba, when the first kernel is called.
"""

import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
from numba.core import caching
from numba.core.registry import cpu_target
from numba.extending import overload

_SETTINGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def kernel_dispatcher(function: Callable[..., Any], stamp: Any) -> Any:
    """Give the dispatcher of a kernel, with its place in the cache.

    Parameters
    ----------
    function : callable
        A function in numba's subset of Python.
    stamp : object
        What the sources of all kernels look like: machine code in the cache with another stamp is stale. (numba on its own
        looks at the kernel's file alone, and would go on to use machine code that holds an older version of a part from
        another file: wrong numbers without a word.)

    Returns
    -------
    numba dispatcher
        Machine code is made at the first call of each argument type.
    """
    compiled = numba.njit(cache=False, **_SETTINGS)(function)
    with suppress(RuntimeError):  # numba finds no folder to keep its cache in, nor one to read from
        compiled._cache = _KernelCache(function)
    index = getattr(compiled._cache, "_cache_file", None)
    if index is not None:
        index._source_stamp = stamp
    return compiled


def part_dispatcher(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Give the dispatcher of a part, whose machine code Python cannot call; calling it would end the process."""
    return numba.njit(no_cpython_wrapper=True, **_SETTINGS, **options)(function)


def choose_by_type(named: Callable[..., Any], choose: Callable[..., Any]) -> None:
    """Have compiled code that names a function use what `choose` gives for the types of the arguments."""
    overload(named)(choose)


def type_of(intrinsic: Any) -> Any:
    """Give the type under which compiled code calls an intrinsic."""
    context = cpu_target.typing_context
    context.refresh()
    return context.resolve_value_type(intrinsic)


class _ReadOnly:
    """A folder of machine code that can be read, but not written."""

    def ensure_cache_path(self: Any) -> None:
        if not os.access(self.get_cache_path(), os.R_OK | os.X_OK):
            raise OSError


_FOLDERS = list(caching.CompileResultCacheImpl._locator_classes)  # the first is the user's, the second beside the package


class _KernelCacheImpl(caching.CompileResultCacheImpl):
    # Last, where nothing can be written: machine code that is stale there could not be replaced.
    _locator_classes = _FOLDERS + [type(f"ReadOnly{each.__name__}", (_ReadOnly, each), {}) for each in _FOLDERS[:2]]


class _KernelCache(caching.FunctionCache):
    """numba's cache, which ends no run: a full disk or a damaged file only means that kernels are compiled again."""

    _impl_class = _KernelCacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            self.disable()
