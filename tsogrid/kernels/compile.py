"""How kernels are compiled: to machine code, without the GIL, cached on disk.

Every per-frame function is compiled by numba with IEEE rules (``fastmath`` would make ``isnan`` false) and the numpy error
model (a division by zero is inf or NaN, not an exception). The compiled code is kept in numba's cache, so that the second
process starts in a fraction of a second. Where no cache folder can be written, machine code is taken from one that can only
be read (`NUMBA_CACHE_DIR`, or beside the package, as in an image that was filled when it was built), else made in memory; a
cache that cannot be written or read after all costs time, and ends no run.

The first compilation is what a user waits for, and most of it is numba's own work on each function and each combination of
argument types. So only the functions that Python calls get the code that unpacks Python objects and a place in the cache
(`kernel`); what they are made of does not (`part`). And a part is never called with a literal number where another call
has a variable one: numba would compile it once for each (``np.int64(0)`` is no literal).
"""

import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core import caching
from numba.core.registry import CPUDispatcher

_KERNELS: list[Any] = []  # every kernel, to ask for its cache


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function``, which Python calls, with the settings that all kernels share.

    Parameters
    ----------
    function : callable
        A function in numba's subset of Python.

    Returns
    -------
    callable
        The compiled dispatcher; machine code is made at the first call of each argument type.
    """
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    compiled = numba.njit(cache=False, **settings)(function)
    with suppress(RuntimeError):  # numba finds no folder to keep its cache in, nor one to read from
        compiled._cache = _KernelCache(function)
    _trust_only_these_sources(compiled)
    _KERNELS.append(compiled)
    return compiled


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


def _trust_only_these_sources(kernel: Any) -> None:
    """Make the cache look at the sources of all kernels.

    On its own it looks at the kernel's file alone, and would go on to use machine code that holds an older version of a
    part from another file: wrong numbers without a word.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    stamp = tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    index = getattr(kernel._cache, "_cache_file", None)
    if index is not None:
        index._source_stamp = stamp


class _Part(CPUDispatcher):
    """A dispatcher whose machine code Python cannot call: without this, trying to would end the process."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        raise TypeError(f"{self.__name__} is a part of kernels; call it from a function compiled by kernel")


def part(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile ``function``, which only kernels and other parts call, as a piece of their machine code.

    Parameters
    ----------
    function : callable
        A function in numba's subset of Python.
    **options
        Further options of `numba.njit`.

    Returns
    -------
    callable
        The compiled dispatcher, for use in compiled code; calling it from Python raises TypeError.
    """
    settings = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    dispatcher = numba.njit(**settings, **options)(function)
    dispatcher.__class__ = _Part
    return dispatcher


def has_machine_code(*modules: str) -> bool:
    """Whether machine code of the kernels of each module was left in the cache, by this process or another.

    Parameters
    ----------
    *modules : str
        Modules of `tsogrid.kernels` that are imported, without the package's name.

    Returns
    -------
    bool
        True also where there is no cache: then no other process can help.
    """
    folders = {(kernel.__module__.rpartition(".")[2], kernel.stats.cache_path) for kernel in _KERNELS}
    return all(
        any(folder is None or any(Path(folder).glob(f"{module}.*.nbi")) for name, folder in folders if name == module)
        for module in modules
    )
