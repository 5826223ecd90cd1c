"""Plots of a result: each function takes data and axes, and gives the axes back."""

from typing import Any

import numpy as np
import xarray as xr

# Two colours that stay apart for every kind of colour vision (Okabe & Ito 2008), and greys.
POINTS, BINNED, MODEL = "0.72", "#0072B2", "#D55E00"


def light_curve(
    flux: xr.DataArray, axes: Any, *, bins: int = 40, model: np.ndarray | None = None, time_reference: float | None = None
) -> Any:
    """Draw a light curve: every frame, binned means with their errors, and a model if there is one.

    Parameters
    ----------
    flux : DataArray, shape (n,)
        Over time; its own unit and name label the axis.
    axes : matplotlib Axes
        Where to draw.
    bins : int
        Number of bins of equal length; an error is the scatter in the bin over the root of its number.
    model : ndarray, shape (n,), optional
        Drawn as a line.
    time_reference : float, optional
        Subtracted from the times; the whole day of the first frame if not given.

    Returns
    -------
    matplotlib Axes
    """
    time = np.asarray(flux["time"], float)
    values = np.asarray(flux, float)
    is_day = flux["time"].attrs.get("units") == "d"
    if time_reference is None:
        time_reference = float(np.floor(time[0])) if is_day else 0.0
    shifted = time - time_reference
    axes.plot(shifted, values, ".", color=POINTS, markersize=2.5, label="frames", rasterized=len(time) > 5000)
    edges = np.linspace(shifted[0], shifted[-1], bins + 1)
    place = np.clip(np.digitize(shifted, edges) - 1, 0, bins - 1)
    centre, mean, error = [], [], []
    for index in range(bins):
        inside = values[(place == index) & np.isfinite(values)]
        if len(inside) > 1:
            centre.append((edges[index] + edges[index + 1]) / 2)
            mean.append(inside.mean())
            error.append(inside.std(ddof=1) / np.sqrt(len(inside)))
    if len(time) >= 2 * bins:
        axes.errorbar(centre, mean, error, fmt="o", color=BINNED, markersize=3, linewidth=1, label="binned")
    if model is not None:
        axes.plot(shifted, model, "-", color=MODEL, linewidth=1.2, label="model", zorder=3)
    scale = {"tdb": "BJD_TDB", "utc": "JD_UTC"}.get(str(flux["time"].attrs.get("scale", "")).lower(), "JD")
    axes.set_xlabel(f"{scale} − {time_reference:.0f} (d)" if is_day else "frame")
    unit = flux.attrs.get("units", "")
    name = flux.attrs.get("long_name", flux.name or "flux")
    axes.set_ylabel(f"{name} ({unit})" if unit and unit != "1" else str(name))
    axes.ticklabel_format(useOffset=False)
    axes.legend(loc="best", fontsize="small", frameon=False)
    return axes
