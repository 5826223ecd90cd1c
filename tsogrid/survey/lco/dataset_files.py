"""The data set of a field in files: HDF5 with the names of the old pipeline, and zarr by xarray."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.errors import ConfigError, InputError
from tsogrid.flags import ForcedFlag, ImageFlag, cf_attributes
from tsogrid.survey.lco.whole import write_file, write_folder

Arrays = dict[str, np.ndarray]
# Of each array: dimensions, type, unit, meaning. The old pipeline's file has those up to `epscale`.
LAYOUT: dict[str, tuple[tuple[str, ...], Any, str, str]] = {
    "source_id": (("source",), np.int64, "", "number of the star in the catalogue"),
    "source_wcs": (("source", "axis"), np.float64, "deg", "right ascension and declination of the catalogue, ICRS"),
    "positions": (("source", "time", "axis"), np.float64, "pixel", "x and y on the image, the first pixel is 0"),
    "HJD": (("time",), np.float64, "d", "middle of the exposure, heliocentric, JD in UTC"),
    "flux": (("source", "time"), np.float64, "image unit / s", "flux in the scale of the usual image"),
    "err_flux": (("source", "time"), np.float64, "image unit / s", "its error, with the scatter of the scale among stars"),
    "raw_flux": (("source", "time"), np.float64, "image unit / s", "flux as measured"),
    "raw_err_flux": (("source", "time"), np.float64, "image unit / s", "its error, with that of the sky"),
    "pscale": (("percentile", "time"), np.float64, "1", "photometric scale: percentiles 16, 50, 84 over the stars"),
    "epscale": (("time",), np.float64, "1", "scatter of the scale among stars, (p84 - p16) / 2"),
    "MJD": (("time",), np.float64, "d", "middle of the exposure, MJD in UTC"),
    "exptimes": (("time",), np.float64, "s", "exposure time"),
    "scale_err": (("time",), np.float64, "1", "1 sigma error of the scale (percentile 50)"),
    "n_scale": (("time",), np.int64, "1", "stars that tell the scale"),
    "star_flags": (("source", "time"), np.int32, "1", "quality of a star in an image"),
    "image_flags": (("time",), np.int32, "1", "quality of an image"),
    "filters": (("time",), np.str_, "", "filter"),
    "files": (("time",), np.str_, "", "file of the image"),
    "messages": (("time",), np.str_, "", "what to know of the image"),
}
NEEDED = ("source_id", "source_wcs", "flux", "err_flux")
FLAGS = {"star_flags": ForcedFlag, "image_flags": ImageFlag}
SIZES = {"axis": 2, "percentile": 3}


def empty() -> Arrays:
    """Give the arrays of no stars in no images."""
    return {name: np.zeros([SIZES.get(dim, 0) for dim in dims], dtype) for name, (dims, dtype, _, _) in LAYOUT.items()}


def _h5py(path: str | Path) -> Any:
    try:
        return import_module("h5py")
    except ImportError:
        raise ConfigError(
            f'{path}: expected the package h5py, found none. Install it: python -m pip install "tsogrid[hdf5]"'
        ) from None


def read_hdf5(path: str | Path) -> Arrays:
    """Read a data set from HDF5.

    Parameters
    ----------
    path : path-like
        Of this program or of the old pipeline; what a file does not hold is NaN, empty or 0.

    Returns
    -------
    dict of ndarray

    Raises
    ------
    ConfigError
        h5py is not installed.
    InputError
        No such file, no HDF5, or not a data set of aperture photometry.
    """
    h5py = _h5py(path)
    if not Path(path).is_file():
        raise InputError(f"{path}: expected an HDF5 file of aperture photometry, found no such file.")
    try:
        with h5py.File(path, "r") as file:
            found = {str(name): np.asarray(each[()]) for name, each in file.items() if hasattr(each, "shape")}
    except OSError as error:
        raise InputError(f"{path}: expected an HDF5 file, found something else ({error}).") from None
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise InputError(f"{path}: expected a data set of aperture photometry, found no {', '.join(missing)} in it.")
    if "HJD" not in found and "timestamps" in found:
        found["HJD"] = found["timestamps"]
    sizes = SIZES | dict(zip(("source", "time"), found["flux"].shape, strict=True))
    arrays: Arrays = {}
    for name, (dims, dtype, _, _) in LAYOUT.items():
        shape = tuple(sizes[dim] for dim in dims)
        if name not in found:
            arrays[name] = np.full(shape, np.nan) if dtype is np.float64 else np.zeros(shape, dtype)
            continue
        values = found[name]
        if dtype is np.str_:
            values = np.array([each.decode("utf-8") if isinstance(each, bytes) else str(each) for each in values], str)
        if values.shape != shape:
            raise InputError(f"{path}: expected {name} of shape {shape}, found {values.shape}.")
        arrays[name] = values.astype(dtype)
    return arrays


def write_hdf5(arrays: Arrays, path: str | Path) -> None:
    """Write a data set as HDF5, whole or not at all.

    Parameters
    ----------
    arrays : dict of ndarray
        As `LAYOUT` has them.
    path : path-like

    Raises
    ------
    ConfigError
        h5py is not installed.
    StoreError
        The file cannot be written.
    """
    h5py = _h5py(path)

    def write(place: Path) -> None:
        with h5py.File(place, "w") as file:
            for name, (dims, dtype, unit, meaning) in LAYOUT.items():
                if dtype is np.str_:
                    each = file.create_dataset(name, data=list(map(str, arrays[name])), dtype=h5py.string_dtype())
                else:
                    each = file.create_dataset(name, data=arrays[name].astype(dtype))
                each.attrs["units"], each.attrs["long_name"], each.attrs["dimensions"] = unit, meaning, " ".join(dims)

    write_file(path, write)


def as_dataset(arrays: Arrays) -> Any:
    """Give the arrays as an xarray Dataset.

    Parameters
    ----------
    arrays : dict of ndarray

    Returns
    -------
    Dataset
        Dimensions ``source``, ``time``, ``axis`` (0: x or right ascension), ``percentile``.
    """
    import xarray as xr

    variables = {}
    for name, (dims, dtype, unit, meaning) in LAYOUT.items():
        attributes = {"units": unit, "long_name": meaning}
        if name in FLAGS:
            attributes |= cf_attributes(FLAGS[name])
        values = arrays[name].astype(object) if dtype is np.str_ else arrays[name]
        variables[name] = xr.Variable(dims, values, attributes)
    coordinates = {name: variables.pop(name) for name in ("source_id", "HJD", "MJD", "filters", "files")}
    coordinates["percentile"] = xr.Variable(("percentile",), np.array([16.0, 50.0, 84.0]), {"units": "percent"})
    return xr.Dataset(variables, coordinates)


def write_zarr(arrays: Arrays, path: str | Path) -> None:
    """Write a data set as a zarr folder, whole or not at all.

    Parameters
    ----------
    arrays : dict of ndarray
    path : path-like

    Raises
    ------
    StoreError
        It cannot be written.
    """
    import warnings

    def write(place: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr has no specification yet for text of variable length
            as_dataset(arrays).to_zarr(place, mode="w", consolidated=True)

    write_folder(path, write)
