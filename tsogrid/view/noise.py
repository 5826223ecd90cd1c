"""Noise against the size of the bins: the rms of averaged light curves beside what the errors and white noise promise."""

from typing import Any

import numpy as np
import xarray as xr

from tsogrid.view.style import BINNED, LINE, MODEL, legend_on_top

_UNITS = (("d", 1.0), ("h", 24.0), ("min", 1440.0), ("s", 86400.0))


def noise(averaged: xr.Dataset, axes: Any) -> Any:
    """Draw how the rms falls with the size of the bins.

    Parameters
    ----------
    averaged : Dataset
        From `tsogrid.analysis.averaging.allan`, of one light curve.
    axes : matplotlib Axes
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        There are several light curves in it.
    """
    if averaged["rms"].dims != ("frames",):
        raise ValueError(f"expected one light curve, found the dimensions {', '.join(map(str, averaged['rms'].dims))}")
    size, label = _sizes(averaged)
    scale, unit = (1e6, "ppm") if float(averaged["rms"].max()) < 2e-3 else (100.0, "%")
    rms, error = (scale * averaged[name].to_numpy() for name in ("rms", "rms_err"))
    white, photon = (scale * averaged[name].to_numpy() for name in ("white", "photon"))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot(size, white, "--", color=LINE, linewidth=1, label="white")
    if np.isfinite(photon).any():
        axes.plot(size, photon, "-", color=MODEL, linewidth=1.2, label="errors")
    axes.errorbar(
        size, rms, np.minimum(error, 0.9 * rms), fmt="o-", color=BINNED, markersize=3, linewidth=1, label="measured"
    )
    axes.set_xlabel(label)
    axes.set_ylabel(f"relative rms ({unit})")
    legend_on_top(axes)
    for axis in (axes.xaxis, axes.yaxis):
        _plain_numbers(axis)
    return axes


def _sizes(averaged: xr.Dataset) -> tuple[np.ndarray, str]:
    """Lengths of bins in a handy unit of time; numbers of frames where the times are unknown."""
    if averaged["timescale"].attrs.get("units") != "d":
        return averaged["frames"].to_numpy(), "frames in a bin"
    days = averaged["timescale"].to_numpy()
    unit, factor = next(((unit, factor) for unit, factor in _UNITS if days[0] * factor >= 0.1), _UNITS[-1])
    return days * factor, f"length of a bin ({unit})"


def _plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis at 1, 2, 5 of each decade, or at the decades alone where there are many."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.2 else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
