"""How kernels are compiled: to machine code, without the GIL, cached on disk, when the first of them is called.

numba and LLVM take half a second and 60 MB to load. A process that plans and watches while others measure (the client of a
cluster) needs the modules of the kernels for their types and their checks, and never calls one: so a kernel is only noted
where it is defined, and what numba makes of it (`tsogrid.kernels.machine_code`) is made at its first call.

The first compilation is what a user waits for, and most of it is numba's own work on each function and each combination of
argument types. So only the functions that Python calls get the code that unpacks Python objects and a place in the cache
(`kernel`); what they are made of does not (`part`). And a part is never called with a literal number where another call
has a variable one: numba would compile it once for each (``np.int64(0)`` is no literal).
"""

import functools
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any


def _stamp() -> tuple[tuple[str, int, int], ...]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


SOURCES = _stamp()  # of all kernels as they were loaded: an edit of any makes machine code stale
_KERNELS: list["_Kernel"] = []  # every kernel, to ask for its cache
_BY_TYPE: list[tuple[Callable[..., Any], Callable[..., Any]]] = []  # functions that numba has yet to be told of
_MAKING = Lock()


class _Compiled:
    """A function that numba compiles when it is first needed."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__module__, self.__name__, self.__qualname__ = function.__module__, function.__name__, function.__qualname__
        self.__doc__ = function.__doc__
        self.function = function
        self._dispatcher: Any = None

    @property
    def compiled(self) -> Any:
        """The dispatcher of numba."""
        if self._dispatcher is None:
            from tsogrid.kernels import machine_code  # numba is loaded here

            with _MAKING:
                while _BY_TYPE:
                    machine_code.choose_by_type(*_BY_TYPE.pop())
                if self._dispatcher is None:
                    self._dispatcher = self.made(machine_code)
        return self._dispatcher

    @property
    def _numba_type_(self) -> Any:
        """What compiled code that names this function takes it for: numba asks for it."""
        return self.compiled._numba_type_

    def made(self, machine_code: Any) -> Any:
        raise NotImplementedError

    def __reduce__(self) -> str:
        return self.__qualname__


class _Instruction:
    """An intrinsic of numba that stands in a module which loads numba."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    @property
    def _numba_type_(self) -> Any:
        from tsogrid.kernels import machine_code

        return machine_code.type_of(getattr(import_module(self.module), self.name))


def instruction(module: str, name: str) -> Any:
    """Name an intrinsic of numba without loading its module, before compiled code is made of it.

    Parameters
    ----------
    module, name : str
        Where it stands.

    Returns
    -------
    object
        For use in compiled code.
    """
    return _Instruction(module, name)


class _Kernel(_Compiled):
    def made(self, machine_code: Any) -> Any:
        return machine_code.kernel_dispatcher(self.function, SOURCES)

    def __call__(self, *arguments: Any) -> Any:
        return (self._dispatcher or self.compiled)(*arguments)


class _Part(_Compiled):
    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        super().__init__(function)
        self.options = options

    def made(self, machine_code: Any) -> Any:
        return machine_code.part_dispatcher(self.function, self.options)

    def __call__(self, *arguments: Any) -> Any:
        raise _only_inside(self.function)


def _only_inside(function: Callable[..., Any]) -> TypeError:
    return TypeError(f"{function.__name__} is a part of kernels; call it from a function compiled by kernel")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function``, which Python calls, with the settings that all kernels share.

    Parameters
    ----------
    function : callable
        A function in numba's subset of Python.

    Returns
    -------
    callable
        What compiles it; machine code is made at the first call of each argument type.
    """
    made = _Kernel(function)
    _KERNELS.append(made)
    return made


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
        What compiles it, for use in compiled code; calling it from Python raises TypeError.
    """
    return _Part(function, options)


def by_type(choose: Callable[..., Any]) -> Callable[..., Any]:
    """Make a part of functions between which the types of the arguments choose.

    Parameters
    ----------
    choose : callable
        Takes the types of the arguments, as numba has them, and gives the function in numba's subset of Python, with
        arguments of the same names.

    Returns
    -------
    callable
        For use in compiled code; calling it from Python raises TypeError.
    """

    @functools.wraps(choose)
    def named(*arguments: Any) -> Any:
        raise _only_inside(choose)

    _BY_TYPE.append((named, choose))
    return named


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
    kernels = [each for each in _KERNELS if each.__module__.rpartition(".")[2] in modules]
    folders = {(each.__module__.rpartition(".")[2], each.compiled.stats.cache_path) for each in kernels}
    return all(
        any(folder is None or any(Path(folder).glob(f"{module}.*.nbi")) for name, folder in folders if name == module)
        for module in modules
    )
