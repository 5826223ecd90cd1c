"""A whole result as netCDF-4, and one light curve under the names of Eureka!: both are HDF5 inside.

A netCDF-4 file is an HDF5 file, so ``hdf5`` and ``netcdf`` differ in their ending only: xarray reads both, and h5py finds
every variable under its name. The profile ``eureka`` has the names that Eureka! gives aperture photometry (kevin218/Eureka,
stage 3: ``lib/apphot.py`` and ``S3_data_reduction``), over time alone.
"""

from importlib import import_module
from pathlib import Path
from typing import Final

import dask
import numpy as np
import xarray as xr

from tsogrid.ephemeris import MJD_ZERO
from tsogrid.errors import ConfigError
from tsogrid.export.chosen import Chosen
from tsogrid.export.columns import centre, values
from tsogrid.export.provenance import best_times, provenance
from tsogrid.flags import ApertureFlag, SourceFlag

ENGINE: Final = "h5netcdf"
_COMPRESSED = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
# Eureka's bits of ``status``.
_STATUS = {"not_finite": 1, "bad_pixel": 2, "off_frame": 4, "sky_failed": 8}
_TIME_UNITS = {"BJD_TDB": "BMJD_TDB", "JD_UTC": "MJD_UTC"}


def write_dataset(result: xr.Dataset, path: Path) -> None:
    """Write a whole result as netCDF-4: every variable, coordinate, unit, attribute and flag.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    path : Path
        Written, or written over.

    Raises
    ------
    ConfigError
        A package of the extra ``hdf5`` is not installed.
    """
    _require_packages()
    whole = result.drop_encoding()
    kept = {name: value for name, value in result.attrs.items() if value is not None}
    whole.attrs = {name: int(value) if isinstance(value, bool) else value for name, value in kept.items()} | provenance(
        result
    )
    encoding = {
        str(name): _COMPRESSED for name, array in whole.data_vars.items() if array.ndim and array.dtype.kind in "iuf"
    }
    with dask.config.set(scheduler="threads"):  # one process writes a file, also where a cluster is at hand
        whole.to_netcdf(path, engine=ENGINE, encoding=encoding)


def eureka_dataset(result: xr.Dataset, chosen: Chosen) -> xr.Dataset:
    """Put one light curve under Eureka's names.

    Parameters
    ----------
    result, chosen
        As in `tsogrid.export.columns.over_references`.

    Returns
    -------
    Dataset
        Over ``time`` (BJD_TDB or else JD_UTC, less 2400000.5; ``time_units`` says which): ``aplev``, ``aperr`` (flux less
        sky and its error), ``nappix`` (area of the aperture), ``skylev``, ``skyerr`` (per pixel), ``nskypix``, ``status``
        (1 not finite, 2 bad pixels, 4 off the frame, 8 no sky), ``betaper`` (radius of an aperture that follows the width
        of the star, else 0), ``centroid_x``, ``centroid_y`` (0-based pixels of the whole frame), ``centroid_sx``,
        ``centroid_sy`` (1 σ). Each has ``units`` and ``time_units``, fluxes also ``flux_units``. Eureka's ``nskyideal`` and
        wavelengths are not known here and not written.
    """
    plane = chosen.plane(result)
    unit = str(result["flux"].attrs.get("units", "") or "1")
    standard, days = best_times(result)
    days = days - MJD_ZERO if standard else days
    time_units = _TIME_UNITS[standard] if standard else "frame number"
    x, y = centre(plane)
    scaled = values(plane, "aperture_radius") if "aperture_radius" in plane else np.zeros(days.shape)
    columns = {
        "aplev": (values(plane, "flux"), unit, "flux: aperture sum less sky"),
        "aperr": (values(plane, "flux_err"), unit, "1 sigma error of aplev"),
        "nappix": (values(plane, "aperture_area"), "pixel", "area of the aperture"),
        "skylev": (values(plane, "sky_level"), unit, "sky per pixel"),
        "skyerr": (values(plane, "sky_level_err"), unit, "1 sigma error of skylev"),
        "nskypix": (values(plane, "sky_area"), "pixel", "area of the pixels that gave the sky"),
        "status": (_status(plane), "1", "1 not finite, 2 bad pixels, 4 off the frame, 8 no sky"),
        "betaper": (scaled, "pixel", "radius of an aperture that follows the star's width, else 0"),
        "centroid_x": (values(plane, x), "pixel", f"{x}, 0-based in the whole frame"),
        "centroid_y": (values(plane, y), "pixel", f"{y}, 0-based in the whole frame"),
        "centroid_sx": (values(plane, "sigma_x"), "pixel", "Gaussian width (1 sigma) along x"),
        "centroid_sy": (values(plane, "sigma_y"), "pixel", "Gaussian width (1 sigma) along y"),
    }
    curve = xr.Dataset(coords={"time": ("time", days, {"time_units": time_units, "units": "d" if standard else "1"})})
    for name, (array, its_unit, meaning) in columns.items():
        attributes = {"units": its_unit, "time_units": time_units, "long_name": meaning}
        if name in ("aplev", "aperr", "skylev", "skyerr"):
            attributes["flux_units"] = its_unit
        curve[name] = ("time", array, attributes)
    curve.attrs = provenance(result) | chosen.labels | {"choice": chosen.reason}
    if "config" in result.attrs:
        curve.attrs["config"] = result.attrs["config"]
    return curve


def _status(plane: xr.Dataset) -> np.ndarray:
    """Give tsogrid's flags as Eureka's bits; float, as Eureka stores them."""
    status = np.where(np.isfinite(values(plane, "flux")), 0, _STATUS["not_finite"])
    for name, bit, of in (
        ("bad_pixel", ApertureFlag.BAD_PIXEL, "aperture_flags"),
        ("off_frame", ApertureFlag.OFF_FRAME, "aperture_flags"),
        ("sky_failed", SourceFlag.SKY_FAILED, "flags"),
    ):
        if of in plane:
            status |= np.where(plane[of].to_numpy() & int(bit), _STATUS[name], 0)
    return status.astype(float)


def write_eureka(result: xr.Dataset, chosen: Chosen, path: Path) -> None:
    """Write one light curve under Eureka's names (`eureka_dataset`); a file that is there is written over.

    Raises
    ------
    ConfigError
        A package of the extra ``hdf5`` is not installed.
    """
    _require_packages()
    eureka_dataset(result, chosen).to_netcdf(path, engine=ENGINE)


def _require_packages() -> None:
    """Refuse early where what writes HDF5 is not installed."""
    try:
        for name in ("h5py", ENGINE):
            import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"export to hdf5 or netcdf: expected the packages h5py and h5netcdf, found no {error.name}. Install them: "
            'python -m pip install "tsogrid[hdf5]"'
        ) from None
