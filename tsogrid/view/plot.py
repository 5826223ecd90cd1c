"""Light curves: every frame, binned means, a model; and the time axis that all plots over time share."""

from typing import Any

import numpy as np
import xarray as xr

from tsogrid.view.style import BINNED, FARTHEST, LINE, MODEL, POINTS, few_ticks, legend_on_top, quantity, y_label

FEW = 200  # points that are drawn with their errors
FEWEST = 8  # points among which a wild one is told
MOST_OUTSIDE = 0.1  # of the points; more are no exceptions


def light_curve(
    curve: xr.Dataset | xr.DataArray,
    axes: Any,
    *,
    bins: int = 40,
    model: np.ndarray | None = None,
    time_reference: float | None = None,
) -> Any:
    """Draw a light curve: every frame, binned means with their errors, and a model if there is one.

    Parameters
    ----------
    curve : Dataset or DataArray, shape (n,)
        ``flux`` (and ``flux_err``) over time, or the flux alone; its own unit and name label the axis. Of up to 200 points
        the errors are drawn. Single points far from their neighbours are left outside, and counted in the legend.
    axes : matplotlib Axes
        Where to draw.
    bins : int
        Number of bins of equal length; an error is the scatter in the bin over the root of its number. 0: none.
    model : ndarray, shape (n,), optional
        Drawn as a line.
    time_reference : float, optional
        Subtracted from the times; if not given the light curve's attribute ``time_reference`` (``plot.time_reference`` of
        the configuration), else the whole day of the first frame.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        The flux has other dimensions than time.
    """
    flux = curve["flux"] if isinstance(curve, xr.Dataset) else curve
    if flux.dims != ("time",):
        raise ValueError(
            f"expected a flux over time alone, found the dimensions {', '.join(map(str, flux.dims))}: choose first"
        )
    time, label = time_axis(flux["time"], curve.attrs.get("time_reference") if time_reference is None else time_reference)
    values = np.asarray(flux, float)
    error = np.asarray(curve["flux_err"], float) if isinstance(curve, xr.Dataset) and "flux_err" in curve else None
    if error is not None and len(time) <= FEW and np.isfinite(error).any():
        axes.errorbar(time, values, error, fmt="none", ecolor=POINTS, elinewidth=0.8, zorder=1)
    binned = bins > 0 and len(time) >= 2 * bins
    points = {"color": POINTS, "markersize": 2.5} if binned else {"color": LINE, "markersize": 4.0}
    axes.plot(
        time, values, ".", label="bins" if "binning" in curve.attrs else "frames", rasterized=len(time) > 5000, **points
    )
    if binned:
        edges = np.linspace(time[0], time[-1], bins + 1)
        place = np.clip(np.digitize(time, edges) - 1, 0, bins - 1)
        centre, mean, spread = [], [], []
        for index in range(bins):
            inside = values[(place == index) & np.isfinite(values)]
            if len(inside) > 1:
                centre.append((edges[index] + edges[index + 1]) / 2)
                mean.append(inside.mean())
                spread.append(inside.std(ddof=1) / np.sqrt(len(inside)))
        axes.errorbar(centre, mean, spread, fmt="o", color=BINNED, markersize=3, linewidth=1, label="binned")
    outside = _leave_out(axes, values, error if error is not None and len(time) <= FEW else None)
    if outside:
        axes.plot([], [], " ", label=f"{outside} outside")
    if model is not None:
        axes.plot(time, model, "-", color=MODEL, linewidth=1.2, label="model", zorder=3)
    axes.set_xlabel(label)
    name, unit = quantity(flux)
    y_label(axes, name, unit)
    axes.ticklabel_format(useOffset=False)
    few_ticks(axes)
    return legend_on_top(axes)


def _leave_out(axes: Any, values: np.ndarray, error: np.ndarray | None) -> int:
    """Set the y axis to all points but single wild ones, and count these; what several neighbours share always stays."""
    good = np.flatnonzero(np.isfinite(values))
    if good.size < FEWEST:
        return 0
    known = values[good]
    padded = np.pad(known, 2, mode="reflect")
    near = np.stack([padded[step : step + known.size] for step in (0, 1, 3, 4)])
    rest = known - np.median(near, axis=0)
    far = np.pad(np.where(np.abs(rest) > FARTHEST * 1.4826 * np.median(np.abs(rest)), np.sign(rest), 0.0), 1)
    wild = (far[1:-1] != 0) & (far[:-2] != far[1:-1]) & (far[2:] != far[1:-1])
    if wild.any():  # only those that would flatten the rest
        wild &= np.abs(rest) > 0.5 * np.ptp(known[~wild])
    if not wild.any() or wild.sum() > MOST_OUTSIDE * known.size:
        return 0
    shown = good[~wild]
    spread = np.zeros(len(values)) if error is None else np.where(np.isfinite(error), error, 0.0)
    low, high = (values - spread)[shown].min(), (values + spread)[shown].max()
    margin = 0.05 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    return int(wild.sum())


def time_axis(time: xr.DataArray, reference: float | None = None) -> tuple[np.ndarray, str]:
    """Shift times for an axis, and word its label.

    Parameters
    ----------
    time : DataArray, shape (n,)
        With the attributes ``units`` and ``scale``.
    reference : float, optional
        Subtracted; the whole day of the first frame if not given. Numbers of frames stay as they are.

    Returns
    -------
    shifted : ndarray, shape (n,)
    label : str
        For example ``"BJD_TDB − 2459000 (d)"``.
    """
    values = np.asarray(time, float)
    if time.attrs.get("units") != "d":
        return values, "frame"
    if reference is None:
        reference = float(np.floor(values[0]))
    scale = {"tdb": "BJD_TDB", "utc": "JD_UTC"}.get(str(time.attrs.get("scale", "")).lower(), "JD")
    return values - reference, f"{scale} − {reference:.12g} (d)" if reference else f"{scale} (d)"
