"""Time-series image sets become light curves: lazily chunked frames, per-frame kernels, one Dataset in zarr.

The public names are loaded when first used, so that ``import tsogrid`` costs nothing.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsogrid.config import Config
    from tsogrid.engine.graph import measure
    from tsogrid.engine.run import run
    from tsogrid.engine.store import open_result
    from tsogrid.io.frames import open_frames
    from tsogrid.survey import detect

_HOME = {
    "Config": "tsogrid.config",
    "detect": "tsogrid.survey",
    "measure": "tsogrid.engine.graph",
    "open_frames": "tsogrid.io.frames",
    "open_result": "tsogrid.engine.store",
    "run": "tsogrid.engine.run",
}
_WITH_ACCESSOR = {"measure", "open_result", "run"}  # whoever holds a result also holds its methods

__all__ = ["Config", "__version__", "detect", "measure", "open_frames", "open_result", "run"]

try:
    __version__ = version("tsogrid")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tsogrid' has no attribute {name!r}")
    if name in _WITH_ACCESSOR:
        _register()
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def _register() -> None:
    """Give every Dataset its ``.tso``. What the methods need, a third of this package, is loaded when one is asked for."""
    import xarray as xr

    if not hasattr(xr.Dataset, "tso"):
        xr.register_dataset_accessor("tso")(lambda result: import_module("tsogrid.accessor").TsoAccessor(result))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
