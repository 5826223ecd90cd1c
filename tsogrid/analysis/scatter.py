"""Numbers that say how much values scatter over time: standard deviation, MAD, point to point, and after averaging.

All work along the first axis, on any number of columns at once, and leave out what is not finite.
"""

import numpy as np
import xarray as xr

CLIP = 5.0  # standard deviations
NORMAL_MAD = 1.4826  # makes the MAD of normal values a standard deviation


def median(values: np.ndarray) -> np.ndarray:
    """Median over the first axis of what is finite; NaN where nothing is.

    Parameters
    ----------
    values : ndarray, shape (n, …)

    Returns
    -------
    ndarray, shape (…)
    """
    if not values.shape[0]:
        return np.full(values.shape[1:], np.nan)
    values = np.ascontiguousarray(
        np.moveaxis(values, 0, -1), float
    )  # runs in time lie together: sorted several times faster
    good = np.isfinite(values)
    if good.all():
        return np.asarray(np.median(values, axis=-1))
    ordered = np.sort(np.where(good, values, np.nan), axis=-1)  # NaN comes last
    count = good.sum(axis=-1)[..., None]
    pair = np.concatenate([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, np.maximum(count - 1, 0))], axis=-1)
    return np.asarray(np.take_along_axis(ordered, pair, axis=-1).mean(axis=-1))


def mad(values: np.ndarray) -> np.ndarray:
    """1.4826 × the median absolute deviation from the median: a standard deviation that outliers do not change."""
    return NORMAL_MAD * median(np.abs(values - median(values)))


def deviation(values: np.ndarray) -> np.ndarray:
    """Standard deviation (of n − 1) over the first axis of what is finite; NaN with fewer than two values."""
    good = np.isfinite(values)
    count = good.sum(axis=0)
    filled = np.where(good, values, 0.0)
    mean = filled.sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(good, values - mean, 0.0) ** 2).sum(axis=0)
    return np.asarray(np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan))


def point_to_point(values: np.ndarray, clip: float | None = None) -> np.ndarray:
    """Standard deviation of the differences of neighbours over √2: the white noise, whatever is slow.

    What is not finite is left out; a neighbour is the next finite value. With `clip`, so are differences farther than so
    many 1.4826 MAD from their median, as single wild points make them.
    """
    columns = values.reshape(len(values), -1)
    found = []
    for column in columns.T:
        steps = np.diff(column[np.isfinite(column)])
        if clip is not None:
            steps = steps[np.abs(steps - median(steps)) <= clip * mad(steps)]
        found.append(deviation(steps) / np.sqrt(2))
    return np.array(found, float).reshape(values.shape[1:])


def clipped_point_to_point(values: np.ndarray) -> np.ndarray:
    """`point_to_point` without differences beyond 5 σ: of normal values the same, and blind to cosmic rays."""
    return point_to_point(values, CLIP)


def averaged(values: np.ndarray, points: int) -> np.ndarray:
    """Means of runs of a number of values, whole runs only; what is not finite is left out, and empty runs are NaN.

    Parameters
    ----------
    values : ndarray, shape (n, …)
    points : int
        Values in a run.

    Returns
    -------
    ndarray, shape (n // points, …)
    """
    runs = len(values) // points
    shaped = values[: runs * points].reshape(runs, points, *values.shape[1:])
    good = np.isfinite(shaped)
    count = good.sum(axis=1)
    return np.where(count > 0, np.where(good, shaped, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def over_time(function: object, *arrays: xr.DataArray) -> xr.DataArray:
    """Apply a function of (n, …) arrays along ``time``; the other dimensions stay, and lazy values are computed."""

    def first(*values: np.ndarray) -> np.ndarray:
        return function(*(np.moveaxis(np.asarray(each, float), -1, 0) for each in values))  # type: ignore[operator]

    loaded = [array.compute() for array in arrays]
    return xr.apply_ufunc(first, *loaded, input_core_dims=[["time"]] * len(loaded), keep_attrs=False)
