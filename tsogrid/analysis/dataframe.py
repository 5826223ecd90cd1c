"""A result as one flat table: a row a frame and source, a column a radius; a light curve: a row a frame or bin."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tsogrid.analysis.table import to_table

# Column of the table → variable of the result.
_COLUMNS = {
    "x_cc": "x_cc",
    "y_cc": "y_cc",
    "x_gauss": "x_fit",
    "y_gauss": "y_fit",
    "sigma_x": "sigma_x",
    "sigma_y": "sigma_y",
    "amplitude": "amplitude",
}


def to_dataframe(result: xr.Dataset, sky: Any = None) -> pd.DataFrame:
    """Make a flat table of a result.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure` or `tsogrid.open_result`.
    sky : str or int, optional
        Label or number of the sky that is taken off; the first if not given.

    Returns
    -------
    DataFrame
        Columns ``time`` (days), ``file``, ``integration``, ``source`` (where there are several), ``sky_background`` (per
        pixel), ``x_cc``, ``y_cc``, ``x_gauss``, ``y_gauss``, ``sigma_x``, ``sigma_y`` (pixels), ``amplitude``, and the flux
        in every aperture: the column of a circle is its radius as a float, of another shape its label. A row a frame and
        source; what was not measured is NaN.

    Raises
    ------
    KeyError
        There is no such sky.
    """
    plane = result.isel(sky=0) if sky is None else result.isel(sky=sky) if isinstance(sky, int) else result.sel(sky=sky)
    plane = plane.compute()
    n_frames, n_sources = plane.sizes["time"], plane.sizes["source"]

    def by_frame(name: str) -> np.ndarray:
        if name not in plane.coords:
            return np.full(n_frames * n_sources, np.nan)
        return np.repeat(plane[name].to_numpy(), n_sources)

    def by_source(name: str) -> np.ndarray:
        if name not in plane:
            return np.full(n_frames * n_sources, np.nan)
        return plane[name].transpose("time", "source").to_numpy().ravel()

    table: dict[Any, np.ndarray] = {name: by_frame(name) for name in ("time", "file", "integration")}
    if n_sources > 1:
        table["source"] = np.tile(plane["source"].to_numpy(), n_frames)
    table["sky_background"] = by_source("sky_level")
    table |= {column: by_source(name) for column, name in _COLUMNS.items()}
    flux = plane["flux"].transpose("aperture", "time", "source").to_numpy()
    for values, radius, label in zip(flux, plane["radius"].to_numpy(), plane["aperture"].to_numpy(), strict=True):
        table[float(radius) if np.isfinite(radius) else str(label)] = values.ravel()
    return pd.DataFrame(table)


def curve_dataframe(curve: xr.Dataset) -> pd.DataFrame:
    """Make a table of a light curve.

    Parameters
    ----------
    curve : Dataset
        One light curve (of one aperture and sky), a binned or a detrended one.

    Returns
    -------
    DataFrame
        ``time`` (days), then every series over time alone, as in `tsogrid.analysis.table.to_table`; what was said of the
        light curve stands in ``attrs``.
    """
    table = to_table(curve)
    frame = pd.DataFrame({name: np.asarray(getattr(table[name], "value", table[name])) for name in table.colnames})
    frame.attrs = dict(table.meta)
    return frame
