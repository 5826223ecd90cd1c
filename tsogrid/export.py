"""A result as a file for other programs: one function a format, and each file is whole or not there.

The plain table has every source, aperture and sky, one row a frame; a column is named by its variable and the labels of what
it belongs to (``flux_r5_annulus12-18-mean``; with several sources the source's name comes after the variable). The profile
``jwst`` is the table of the JWST pipeline, ``drift`` the motion of the frames for another run; ``tshirt`` is a FITS file of
images and no table (see `tsogrid.export_tshirt`). A file is written beside its place and then renamed.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy import units as u
from astropy.table import QTable, Table

from tsogrid import schema
from tsogrid.analysis.drift import drift_table
from tsogrid.compat.jwst import jwst_table
from tsogrid.errors import ConfigError, StoreError
from tsogrid.export_tshirt import write_tshirt

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
    table = Table(meta={"creator": f"tsogrid {attributes.get('tsogrid_version', '')}".strip()})
    table.meta |= {
        f"time_{key.removeprefix('time_')}": result["time"].attrs[key] for key in _OF_TIME if key in result["time"].attrs
    }
    table.meta |= {key: _plain(value) for key, value in attributes.items() if key not in ("wcs", "Conventions", "identity")}
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
    """Write a table as ECSV.

    Parameters
    ----------
    table : Table
        Any.
    path : Path
        Written, or written over.
    """
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
PROFILES: dict[str | None, Callable[[xr.Dataset], Table | QTable]] = {
    None: plain_table,
    "jwst": jwst_table,
    "drift": drift_table,
}


PRODUCTS = {("fits", "tshirt"): write_tshirt}  # formats that only one profile has: no tables


def export(
    result: xr.Dataset,
    path: str | Path,
    to: str = "ecsv",
    profile: str | None = None,
    *,
    aperture: str | None = None,
    sky: str | None = None,
) -> Path:
    """Write a result as a file for other programs.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    path : path-like
        The file; it is whole or not there, also when the program is stopped.
    to : {"ecsv", "csv", "fits"}
        The format; ``fits`` with the profile ``tshirt``.
    profile : {"jwst", "drift", "tshirt"}, optional
        The columns, or the extensions, of another program in place of all of the result's; or the motion of the frames for
        ``center.drift``.
    aperture, sky : str, optional
        Labels, for the profile ``tshirt``, which holds one of each; the first if not given.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigError
        No such format, profile, aperture or sky.
    StoreError
        The file cannot be written.

    Warns
    -----
    TsogridWarning
        What the result lacks of a profile's columns; it is NaN there.
    """
    product = PRODUCTS.get((to, str(profile)))
    if product is not None:
        check_folder(path)
        return _write(Path(path), lambda temporary: product(result, temporary, aperture, sky))
    known = {profile: ", ".join(FORMATS) for profile in PROFILES} | {profile: to for to, profile in PRODUCTS}
    if profile not in known:
        raise ConfigError(f"export: expected a profile of {', '.join(name for name in known if name)}, found {profile!r}.")
    if to not in FORMATS or profile not in PROFILES:
        more = "" if profile else "; or fits with the profile tshirt"
        raise ConfigError(f"export: expected a format of {known[profile]}{more}, found {to!r}.")
    if aperture is not None or sky is not None:
        raise ConfigError(
            "export: a table holds every aperture and sky; expected aperture and sky only with the profile tshirt."
        )
    check_folder(path)
    return write_table(PROFILES[profile](result), path, to)


def check_folder(path: str | Path) -> None:
    """Refuse a file whose folder does not exist, before work begins.

    Raises
    ------
    StoreError
        There is no such folder, or a folder stands under the file's name.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise StoreError(f"{path}: expected an existing folder, found none at {path.parent}. Make it, or choose another.")
    if path.is_dir():
        raise StoreError(f"{path}: expected the name of a file, found a folder.")


def write_table(table: Table, path: str | Path, to: str = "ecsv") -> Path:
    """Write a table in one step: whole or not at all.

    Parameters
    ----------
    table : Table
        Any.
    path : path-like
        The file.
    to : {"ecsv", "csv"}
        The format.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        The folder is missing or cannot be written, or the disk is full.
    """
    path = Path(path)
    check_folder(path)
    return _write(path, lambda temporary: FORMATS[to](table, temporary))


def _write(path: Path, write: Callable[[Path], None]) -> Path:
    """Write a file in one step: whole or not at all."""
    try:
        with _whole(path) as temporary:
            write(temporary)
    except OSError as error:
        raise StoreError(f"{path}: the file could not be written: {error.strerror or error}.") from None
    return path


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a name beside the file's; what was written there takes its place when all went well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        handle = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
