"""A whole result as a table, one row a frame: ECSV and CSV.

The plain table has every source, aperture and sky; a column is named by its variable and the labels of what it belongs to
(``flux_r5_annulus12-18-mean``; with several sources the source's name comes after the variable).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy import units as u
from astropy.table import Table

from tsogrid import schema
from tsogrid.export.provenance import provenance

TIMES = ("time", "time_raw", "mjd_utc", "jd_utc", "bjd_tdb", "integration", "file")
_OF_TIME = ("scale", "format", "time_origin")


def plain_table(result: xr.Dataset) -> Table:
    """Put a whole result into one table.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.

    Returns
    -------
    Table
        One row a frame: its times, then every variable for every source, aperture and sky. Columns have a unit and a
        description; the metadata hold the configuration, the version and what kind of time it is.
    """
    result = result.compute()
    attributes = result.attrs
    table = Table(meta=provenance(result))
    table.meta |= {
        f"time_{key.removeprefix('time_')}": result["time"].attrs[key] for key in _OF_TIME if key in result["time"].attrs
    }
    table.meta |= {
        key: _plain(value) for key, value in attributes.items() if key not in ("wcs", "Conventions", "identity", "layout")
    }
    for name in TIMES:
        if name in result.coords:
            _add(table, name, result[name].to_numpy(), result[name].attrs)
    several = result.sizes["source"] > 1
    for variable in schema.VARIABLES:
        if variable.name not in result:
            continue
        array = result[variable.name].transpose(*variable.dims)
        labels = [[str(label) for label in array[dim].to_numpy()] for dim in variable.dims[1:]]
        for index in np.ndindex(array.shape[1:]):
            words = [
                each[i] for dim, each, i in zip(variable.dims[1:], labels, index, strict=True) if several or dim != "source"
            ]
            name = "_".join([variable.name, *words])
            _add(table, name, array.to_numpy()[(slice(None), *index)], array.attrs)
    return table


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _add(table: Table, name: str, values: np.ndarray, attributes: dict[str, Any]) -> None:
    table[name] = np.array(values.tolist(), str) if values.dtype.kind in "OT" else values
    unit = str(attributes.get("units", "1"))
    if unit not in ("", "1"):
        table[name].unit = u.Unit(unit, parse_strict="silent")
    if "long_name" in attributes:
        table[name].description = str(attributes["long_name"])


def to_ecsv(table: Table, path: Path) -> None:
    """Write a table as ECSV; a file that is there is written over."""
    table.write(path, format="ascii.ecsv", overwrite=True)


def to_csv(table: Table, path: Path) -> None:
    """Write a table as CSV; lines that begin with ``#`` hold the metadata and the unit of each column.

    ``pandas.read_csv(path, comment="#")`` reads it. Numbers have all their digits; what is unknown is ``nan``.

    Parameters
    ----------
    table : Table
        Any.
    path : Path
        Written, or written over.
    """
    import pandas as pd

    lines = [f"{key}: {' '.join(str(value).split())}" for key, value in table.meta.items()]
    for name in table.colnames:
        column = table[name]
        words = [str(column.unit) if column.unit is not None else "", column.info.description or ""]
        lines.append(f"{name}: {', '.join(word for word in words if word)}".rstrip(": "))
    plain = {name: np.asarray(getattr(table[name], "value", table[name])) for name in table.colnames}
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {line}\n" for line in lines)
        pd.DataFrame(plain).to_csv(file, index=False, na_rep="nan", lineterminator="\n")


FORMATS: dict[str, Callable[[Table, Path], None]] = {"ecsv": to_ecsv, "csv": to_csv}
