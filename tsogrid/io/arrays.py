"""Frames that are in memory or come as dask arrays or as a Dataset: completed to the data model, pixels left as they are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.config import InputConfig
from tsogrid.errors import InputError
from tsogrid.io.axis import INTEGRATION_ATTRS, JD_ATTRS, NUMBER_ATTRS, choose_index
from tsogrid.io.series import DIMS

_FLOAT32_KINDS = {"f2", "f4", "i1", "u1", "i2", "u2", "b1"}
_UNIX_EPOCH_JD = 2440587.5


def is_array(value: Any) -> bool:
    """Whether `value` is an array (numpy, dask or DataArray) and not a name or a list."""
    return hasattr(value, "dtype") and hasattr(value, "ndim") and hasattr(value, "shape")


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give the dtype in which pixels are measured.

    Raises
    ------
    InputError
        Pixels that are no real numbers.
    """
    if dtype.kind not in "fiub":
        raise InputError(f"expected frames of real numbers, found an array of {dtype}")
    return np.dtype(np.float32 if f"{dtype.kind}{dtype.itemsize}" in _FLOAT32_KINDS else np.float64)


def from_arrays(arrays: Sequence[Any], config: InputConfig) -> xr.Dataset:
    """Make frames of arrays.

    Parameters
    ----------
    arrays : sequence of numpy or dask arrays
        (y, x) or (time, y, x) each, y and x the same in all. Masked pixels become NaN.
    config : InputConfig
        Numbers for ``gain``, ``read_noise`` and ``integration_time`` become attributes.

    Returns
    -------
    xarray.Dataset
        ``data`` (time, y, x); the index is the frame number.

    Raises
    ------
    InputError
        Arrays that are neither 2-D nor 3-D, of different shape, empty, or not of real numbers.
    """
    pieces = [_frames(array, i, len(arrays)) for i, array in enumerate(arrays)]
    shape = pieces[0].shape[1:]
    for i, piece in enumerate(pieces):
        if piece.shape[1:] != shape:
            raise InputError(
                f"array {i} of {len(pieces)}: expected frames of {shape[0]} × {shape[1]} pixels (y × x) as in array 0, "
                f"found {piece.shape[1]} × {piece.shape[2]}"
            )
    dtype = np.result_type(*{piece.dtype for piece in pieces})
    if all(isinstance(piece, np.ndarray) for piece in pieces):
        data = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, dtype=dtype)
    else:
        import dask.array as da

        arrays_ = [da.asarray(piece).astype(dtype) for piece in pieces]
        data = arrays_[0] if len(arrays_) == 1 else da.concatenate(arrays_)
    if not data.size:
        raise InputError(f"expected frames with pixels, found an array of shape {data.shape}")
    attrs: dict[str, Any] = {"reader": "array"}
    for name, attribute in (("gain", "gain"), ("read_noise", "read_noise"), ("integration_time", "integration_time_s")):
        given = getattr(config, name)
        if isinstance(given, str):
            raise InputError(
                f"input.{name} = {given!r} names a header keyword or a file, but arrays have no header: give a number"
            )
        if given is not None:
            attrs[attribute] = given
    number = np.arange(data.shape[0])
    coords = {
        "time": xr.Variable("time", number, dict(NUMBER_ATTRS)),
        "integration": xr.Variable("time", number + 1, dict(INTEGRATION_ATTRS)),
    }
    return xr.Dataset({"data": xr.Variable(DIMS, data)}, coords, attrs)


def _frames(array: Any, position: int, count: int) -> Any:
    where = f"array {position} of {count}: " if count > 1 else ""
    if isinstance(array, xr.DataArray):
        array = array.data
    if array.ndim not in (2, 3):
        raise InputError(f"{where}expected a 2-D frame or 3-D frames (time, y, x), found {array.ndim}-D data {array.shape}")
    dtype = float_dtype(array.dtype)
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(dtype), np.nan)
    if array.dtype != dtype or not array.dtype.isnative:
        array = array.astype(dtype)
    return array[None] if array.ndim == 2 else array


def from_dataset(frames: xr.Dataset) -> xr.Dataset:
    """Complete a Dataset with ``data[, error, dq]`` to the data model.

    Parameters
    ----------
    frames : xarray.Dataset
        Dimensions time, y, x in any order (time may be absent: one frame). A coordinate ``time`` of dates becomes JD_UTC.

    Returns
    -------
    xarray.Dataset
        Sorted by time; without usable times the index is the frame number. What is complete is passed on as it is.

    Raises
    ------
    InputError
        No ``data``, other dimensions, or ``error`` or ``dq`` of another shape.
    """
    if "data" not in frames:
        found = ", ".join(str(name) for name in frames.data_vars) or "none"
        raise InputError(f"expected a Dataset with a variable data (and error, dq), found {found}")
    frames = frames[[name for name in ("data", "error", "dq") if name in frames]]
    if "time" not in frames["data"].dims:
        frames = frames.expand_dims("time") if "time" not in frames.dims else frames
    for name, variable in frames.data_vars.items():
        if set(variable.dims) != set(DIMS):
            raise InputError(
                f"expected {name} with the dimensions time, y, x, found {', '.join(map(str, variable.dims)) or 'none'}"
            )
        # Only what differs is touched: a lazily indexed variable would be read.
        if variable.dims != DIMS:
            frames[name] = variable.transpose(*DIMS)
        wanted = np.dtype(np.uint32) if name == "dq" else float_dtype(frames["data"].dtype)
        if variable.dtype != wanted:
            frames[name] = frames[name].astype(wanted)
    if not all(frames.sizes.values()):
        raise InputError(f"expected frames with pixels, found the sizes {dict(frames.sizes)}")
    return _with_index(frames)


def _with_index(frames: xr.Dataset) -> xr.Dataset:
    import warnings

    from tsogrid.errors import TsogridWarning

    count = frames.sizes["time"]
    if "time" not in frames.coords:
        return frames.assign_coords(time=xr.Variable("time", np.arange(count), dict(NUMBER_ATTRS)))
    times, attrs = frames["time"].values, dict(frames["time"].attrs)
    if times.dtype.kind == "M":
        days = times.astype("datetime64[ns]").astype(np.int64) / 86400e9
        times, attrs = np.where(np.isnat(times), np.nan, days + _UNIX_EPOCH_JD), dict(JD_ATTRS)
    elif times.dtype.kind not in "fiu":
        raise InputError(f"expected a coordinate time of numbers or dates, found {times.dtype}")
    if times.dtype == frames["time"].dtype and np.isfinite(times).all() and (np.diff(times) > 0).all():
        return frames
    order, index, index_attrs, raw, notes = choose_index(times.astype(np.float64), attrs)
    for note in notes:
        warnings.warn(note, TsogridWarning, stacklevel=4)
    if not isinstance(order, slice):
        frames = frames.isel(time=order)
    frames = frames.assign_coords(time=xr.Variable("time", index, index_attrs))
    return frames if raw is None else frames.assign_coords(time_raw=xr.Variable("time", raw, attrs))
