"""A light curve as an astropy table: one row a frame or bin, columns with units, the kind of time in the metadata."""

import numpy as np
import xarray as xr
from astropy import units as u
from astropy.table import QTable

_OF_TIME = ("scale", "format", "time_origin")
_COORDINATES = ("integration", "file", "mjd_utc", "jd_utc", "bjd_tdb")


def to_table(curve: xr.Dataset) -> QTable:
    """Put what a light curve has over time alone into a table.

    Parameters
    ----------
    curve : Dataset
        One light curve (of one aperture and sky), a binned one, or any other Dataset over time.

    Returns
    -------
    QTable
        ``time``, then every variable whose only dimension is time; quantities where there is a unit. The metadata hold
        ``time_scale``, ``time_format``, ``time_origin`` as far as they are known, and the attributes of the light curve.
    """
    curve = curve.compute()
    attributes = curve["time"].attrs
    table = QTable()
    table.meta |= {f"time_{key.removeprefix('time_')}": attributes[key] for key in _OF_TIME if key in attributes}
    table.meta |= {
        key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value for key, value in curve.attrs.items()
    }
    table.meta |= {
        name: str(curve[name].item())
        for name in ("source", "aperture", "sky")
        if name in curve.coords and not curve[name].ndim
    }
    names = ["time", *(name for name in _COORDINATES if name in curve.coords)]
    names += [str(name) for name, values in curve.data_vars.items() if values.dims == ("time",)]
    for name in names:
        values = curve[name].to_numpy()
        unit = str(curve[name].attrs.get("units", "1"))
        if values.dtype.kind in "OTU":
            table[name] = np.array(values.tolist(), str)
        elif values.dtype.kind == "f" and unit not in ("", "1"):
            table[name] = u.Quantity(values, u.Unit(unit, parse_strict="silent"))
        else:
            table[name] = values
        table[name].info.description = str(curve[name].attrs.get("long_name", ""))
    return table
