"""Light curves in bins, by number of frames or by time, each bin with its propagated and its measured error.

A bin of a number of frames never reaches over a gap. The rms of binned curves against the size of the bins is in
`tsogrid.analysis.averaging`.
"""

import re
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.analysis.scatter import mad, median
from tsogrid.errors import ConfigError

METHODS = ("mean", "inverse-variance", "median")
MEDIAN_ERROR = 1.2533  # of the median of normal values over that of their mean
GAP = 5.0  # median steps of time; a longer step is a gap
DAY = 86400.0
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": DAY}
_DURATION = re.compile(r"\s*([0-9.]+(?:e[-+]?\d+)?)\s*(s|min|h|d)\s*")


def require_light_curve(curve: xr.Dataset) -> None:
    """Refuse a Dataset that is no light curve.

    Raises
    ------
    ConfigError
        It has no ``flux`` over ``time``, or several sources.
    """
    if "flux" not in curve or "time" not in curve["flux"].dims or "source" in curve["flux"].dims:
        raise ConfigError(
            "expected a light curve (flux over time, of one source), found "
            f"{'a result of several sources' if 'source' in curve.dims else 'none'}; take one out of a result with "
            "result.tso.lightcurve(...), .relative(...) or .best(...)."
        )


def duration(width: Any, curve: xr.Dataset) -> float:
    """Give a length of time in the unit of the light curve's times.

    Parameters
    ----------
    width : float, str, timedelta or Quantity
        A number is in the unit of the times (days); a text has its own, ``"10 min"``: s, min, h, d.
    curve : Dataset
        Whose times are meant.

    Returns
    -------
    float

    Raises
    ------
    ConfigError
        It is no positive length of time, or the times are the numbers of frames.
    """
    seconds = None
    if isinstance(width, str):
        match = _DURATION.fullmatch(width)
        seconds = float(match[1]) * _SECONDS[match[2]] if match else None
    elif hasattr(width, "total_seconds"):
        seconds = width.total_seconds()
    elif hasattr(width, "to_value"):
        seconds = width.to_value("s")
    else:
        value = float(width)
        if value > 0:
            return value
    if seconds is None or not seconds > 0:
        raise ConfigError(f'width: expected a length of time, as 0.01 (days) or "10 min" (s, min, h, d), found {width!r}.')
    if curve["time"].attrs.get("units") != "d":
        raise ConfigError(f"width: the times are not in days, and {width!r} has no meaning for them; give a count.")
    return float(seconds / DAY)


def runs(time: np.ndarray, gap: float = GAP) -> list[slice]:
    """Cut a series where there is a gap.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Ascending.
    gap : float
        In median steps.

    Returns
    -------
    list of slice
        Runs of frames without a gap.
    """
    if len(time) < 2:
        return [slice(0, len(time))]
    step = np.diff(time)
    edges = [0, *(np.flatnonzero(step > gap * np.median(step)) + 1), len(time)]
    return [slice(int(first), int(last)) for first, last in pairwise(edges)]


def bin_light_curve(
    curve: xr.Dataset, count: int | None = None, width: Any = None, method: str = "mean", gap: float = GAP
) -> xr.Dataset:
    """Average a light curve in bins.

    Parameters
    ----------
    curve : Dataset
        ``flux`` and ``flux_err`` over time, and over any other dimensions.
    count : int, optional
        Frames in a bin; the last bin before a gap may have fewer.
    width : float, str, timedelta or Quantity, optional
        Length of a bin in time, as 0.01 (days) or ``"10 min"``; the first bin begins with the first frame.
    method : {"mean", "inverse-variance", "median"}
        How the points of a bin are averaged.
    gap : float
        A step of time longer than so many median steps ends a bin of a number of frames.

    Returns
    -------
    Dataset
        Over ``time``, the mean time of each bin's frames: ``flux``; ``flux_err``, propagated from the errors of the points
        (√Σσ²/n; 1/√Σσ⁻²; 1.2533 √n/Σσ⁻¹); ``flux_err_measured``, from the scatter of the points (standard deviation/√n;
        of the median 1.2533 × 1.4826 MAD/√n; NaN of one point); ``points``, their number. What is not finite takes no
        part; empty bins are left out.

    Raises
    ------
    ConfigError
        Neither or both of count and width, an unknown method, no light curve, or weights without errors.
    """
    require_light_curve(curve)
    if (count is None) == (width is None):
        raise ConfigError("bin: expected either count (frames in a bin) or width (a length of time).")
    if method not in METHODS:
        raise ConfigError(f"bin: expected a method of {', '.join(METHODS)}, found {method!r}.")
    if count is not None and int(count) < 1:
        raise ConfigError(f"bin: expected a count of at least 1, found {count}.")
    length = None if width is None else duration(width, curve)
    names = [name for name in ("flux", "flux_err") if name in curve]
    ordered = curve[names].transpose("time", ...).compute()
    time = np.asarray(ordered["time"], float)
    flux = ordered["flux"].to_numpy().astype(float)
    error = ordered["flux_err"].to_numpy().astype(float) if "flux_err" in ordered else np.full_like(flux, np.nan)
    if method == "inverse-variance" and not np.isfinite(error).any():
        raise ConfigError("bin: inverse-variance needs errors of the flux, found none; take the mean or the median.")
    starts = _starts(time, count, length, gap)
    counted = _averaged(flux, error, starts, method)
    middle = np.add.reduceat(time, starts) / np.diff([*starts, len(time)])
    filled = counted[-1].reshape(len(starts), -1).any(axis=1)
    dims = ordered["flux"].dims
    unit = curve["flux"].attrs.get("units", "1")
    words = (
        ("flux", unit, f"{curve['flux'].attrs.get('long_name', 'flux')}, {method} of bins"),
        ("flux_err", unit, "1 sigma error of the bin, propagated from the points"),
        ("flux_err_measured", unit, "1 sigma error of the bin, from the scatter of its points"),
        ("points", "1", "number of points in the bin"),
    )
    kept = {name: value for name, value in ordered.coords.items() if "time" not in value.dims}
    binned = xr.Dataset(coords={"time": ("time", middle[filled], curve["time"].attrs), **kept})
    for (name, units, long_name), values in zip(words, counted, strict=True):
        binned[name] = (dims, values[filled], {"units": units, "long_name": long_name})
    size = f"{count} frames" if width is None else f"{width} d" if isinstance(width, int | float) else str(width)
    binned.attrs = curve.attrs | {"binning": f"{method} of {size}"}
    return binned


def _starts(time: np.ndarray, count: int | None, length: float | None, gap: float) -> np.ndarray:
    """First frame of every bin."""
    if length is not None:
        # The margin puts a frame that lies on an edge into the bin that begins there, whatever the times are rounded to.
        place = np.floor((time - time[0]) / length + 1e-6)
        return np.array([0, *(1 + np.flatnonzero(np.diff(place)))])
    return np.array([start for run in runs(time, gap) for start in range(run.start, run.stop, int(count or 1))])


def _averaged(
    flux: np.ndarray, error: np.ndarray, starts: np.ndarray, method: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Average, propagated error, measured error and number of points of runs of frames."""
    good = np.isfinite(flux)
    weight = good.astype(float)
    if method == "inverse-variance":
        good &= np.isfinite(error) & (error > 0)
        weight = np.where(good, 1 / np.where(good, error, 1.0) ** 2, 0.0)

    def total(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.add.reduceat(np.where(good, values, 0.0), starts, axis=0))

    count = np.add.reduceat(good.astype(np.int64), starts, axis=0)
    some, several = np.where(count > 0, count, 1), np.where(count > 1, count, 2)
    sum_weight = total(weight)
    sum_weight = np.where(count > 0, sum_weight, np.nan)
    lengths = np.diff([*starts, len(flux)])
    mean = total(weight * np.where(good, flux, 0.0)) / sum_weight
    rest = np.where(good, flux - np.repeat(mean, lengths, axis=0), 0.0)
    # Σ w r² / Σ w is a variance of one point; over n − 1 that of the mean. With equal weights: std / √n.
    measured = np.sqrt(total(weight * rest**2) / sum_weight / (several - 1))
    measured = np.where(count > 1, measured, np.nan)
    propagated = 1 / np.sqrt(sum_weight) if method == "inverse-variance" else np.sqrt(total(error**2)) / some
    propagated = np.where(count > 0, propagated, np.nan)
    if method == "median":
        parts = [flux[first:last] for first, last in pairwise([*starts, len(flux)])]
        mean = np.stack([median(part) for part in parts])
        # The median's variance is 1/(4 n f²), f the mean density of the points at the centre: for normal errors Σσ⁻¹/(n√2π).
        density = total(1 / np.where(error > 0, error, np.nan))
        several = count > 2  # the median of two is their mean
        propagated = np.where(several, MEDIAN_ERROR * np.sqrt(some) / np.where(count > 0, density, np.nan), propagated)
        measured = np.where(several, MEDIAN_ERROR * np.stack([mad(part) for part in parts]) / np.sqrt(some), measured)
    return mean, propagated, measured, count
