"""A detrended light curve as a table with all contributions, and in a few lines of words."""

import numpy as np
import xarray as xr
from astropy.table import QTable

from tsogrid.analysis.table import to_table


def detrended_table(detrended: xr.Dataset) -> QTable:
    """Put a detrended light curve into a table: a row a frame.

    Parameters
    ----------
    detrended : Dataset
        From `tsogrid.analysis.detrend.detrend`.

    Returns
    -------
    QTable
        What is over time alone, and each regressor's part of the baseline as ``part_<name>``; coefficients and numbers are
        in the metadata.
    """
    flat = detrended
    for index, name in enumerate(str(name) for name in detrended["regressor"].to_numpy()):
        words = {"units": "1", "long_name": f"part of the baseline: {name}"}
        flat = flat.assign({f"part_{name}": ("time", detrended["contribution"].to_numpy()[:, index], words)})
    table = to_table(flat.drop_dims("regressor"))
    numbers = {str(name): float(value) for name, value in detrended.data_vars.items() if not value.ndim}
    table.meta["detrending"] = {name: value for name, value in numbers.items() if np.isfinite(value)}
    table.meta["coefficients"] = {
        str(name): {"value": float(value), "error": float(error), "per": str(unit)}
        for name, value, error, unit in zip(
            *(detrended[each].to_numpy() for each in ("regressor", "coefficient", "coefficient_err", "unit")), strict=True
        )
        if np.isfinite(value)
    }
    return table


def said(detrended: xr.Dataset) -> list[str]:
    """Tell what was fitted, how deep the transit is, and what it did to the scatter.

    Parameters
    ----------
    detrended : Dataset
        From `tsogrid.analysis.detrend.detrend`.

    Returns
    -------
    list of str
    """
    value = {str(name): float(array) for name, array in detrended.data_vars.items() if not array.ndim}
    lines = [detrended.attrs["choice"]] if "choice" in detrended.attrs else []
    lines += [f"regressors: {detrended.attrs['regressors']} ({detrended.attrs['selection']})"]
    for name, part, error, unit in zip(
        *(detrended[each].to_numpy() for each in ("regressor", "coefficient", "coefficient_err", "unit")), strict=True
    ):
        if np.isfinite(part):
            lines.append(f"  {name}: {1e6 * part:.4g} ± {1e6 * error:.2g} ppm per {'unit' if unit == '1' else unit}")
    if np.isfinite(value["timescale"]):
        lines.append(f"  tau of the ramp: {value['timescale']:.4g} ± {value['timescale_err']:.2g}")
    lines.append(f"transit: {detrended.attrs['transit']}")
    if np.isfinite(value["depth"]):
        lines.append(f"depth: {1e6 * value['depth']:.0f} ± {1e6 * value['depth_err']:.0f} ppm")
    lines.append(f"errors: {detrended.attrs['errors']}")
    lines.append(
        f"scatter: point to point {1e6 * value['point_to_point_before']:.4g} ppm before, "
        f"{1e6 * value['point_to_point_after']:.4g} after; means of {detrended.attrs['frames']} frames "
        f"{1e6 * value['rms_before']:.3g} before, {1e6 * value['rms_after']:.3g} after"
    )
    lines.append(f"chi2 {value['chi2']:.1f} of {value['degrees']:.0f} degrees of freedom, BIC {value['bic']:.1f}")
    return lines
