"""Series of a table by time (guide star, temperatures, tilts), brought to the middle of the exposures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.table import Table

from tsogrid.analysis.regressors import Regressor
from tsogrid.errors import ConfigError

TIME_NAMES = ("time", "bjd_tdb", "jd_utc", "bjd", "jd", "t")


def read_time_table(
    path: str | Path, curve: xr.Dataset, columns: Sequence[str] | None = None, time_column: str | None = None
) -> list[Regressor]:
    """Read series from a CSV or ECSV and interpolate them linearly to the times of a light curve.

    Parameters
    ----------
    path : str or Path
        A table with a column of times, in the unit and scale of the light curve's, and columns of numbers.
    curve : Dataset
        The light curve.
    columns : sequence of str, optional
        Which ones; all columns of numbers if not given.
    time_column : str, optional
        Which holds the times; one called time, bjd_tdb, jd_utc, bjd, jd or t (in any case of letters) if not given.

    Returns
    -------
    list of Regressor

    Raises
    ------
    ConfigError
        No such file or column, or times that do not reach from the first frame to the last.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: expected a table of regressors by time, found no such file.")
    try:
        table = Table.read(path, format="ascii.ecsv" if path.suffix.lower() == ".ecsv" else "ascii.csv")
    except Exception as error:
        raise ConfigError(f"{path}: expected a CSV or ECSV, found: {' '.join(str(error).split())[:200]}") from None
    known = ", ".join(table.colnames)
    if time_column is None:
        lower = {str(name).lower(): name for name in reversed(table.colnames)}
        time_column = next((lower[name] for name in TIME_NAMES if name in lower), None)
        if time_column is None:
            raise ConfigError(f"{path}: expected a column of times ({', '.join(TIME_NAMES)}), found {known}.")
    numbers = [name for name in table.colnames if table[name].dtype.kind in "fiub" and name != time_column]
    wanted = numbers if columns is None else list(columns)
    missing = [name for name in (time_column, *wanted) if name not in table.colnames]
    if missing or not wanted:
        raise ConfigError(f"{path}: expected the columns {', '.join(missing) or 'of numbers'}, found {known}.")
    series = {name: _numbers(table, name, path) for name in (time_column, *wanted)}
    place = series.pop(time_column)
    time = np.asarray(curve["time"], float)
    found = []
    for name, values in series.items():
        good = np.isfinite(place) & np.isfinite(values)
        at, number = np.unique(place[good], return_index=True)
        if not len(at) or at[0] > time[0] or at[-1] < time[-1]:
            reach = f"{at[0]:.12g} to {at[-1]:.12g}" if len(at) else "none"
            raise ConfigError(
                f"{path}: expected values of {name!r} from the first frame to the last ({time[0]:.12g} to {time[-1]:.12g}), "
                f"found {reach}. Times are in the unit and scale of the light curve "
                f"({curve['time'].attrs.get('units', '?')}, {curve['time'].attrs.get('scale', 'unknown scale')})."
            )
        unit = str(table[name].unit) if table[name].unit is not None else "1"
        found.append(Regressor(str(name), np.interp(time, at, values[good][number]), unit, f"{name} of {path.name}"))
    return found


def _numbers(table: Table, name: str, path: Path) -> np.ndarray:
    column = table[name]
    if column.dtype.kind not in "fiub":
        raise ConfigError(f"{path}: expected numbers in the column {name!r}, found {column.dtype}.")
    return np.asarray(np.ma.filled(np.ma.asarray(column).astype(float), np.nan), float)
