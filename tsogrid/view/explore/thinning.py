"""Few points for the eye: of many in a stretch of time the least and the greatest, and the band between them."""

import numpy as np

MOST_POINTS = 3000  # that a figure shows at once: more than two for each column of the screen


def shown(time: np.ndarray, values: np.ndarray, start: float, stop: float, most: int = MOST_POINTS) -> np.ndarray:
    """Choose the points to draw.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Ascending.
    values : ndarray, shape (n,)
        What is drawn; points that are not finite are left out.
    start, stop : float
        The part of the time axis that is seen.
    most : int
        Points that may be drawn.

    Returns
    -------
    ndarray of int
        Ascending numbers of points; all that are finite in the part where these are not more than `most`. The part is seen
        with half its length on both sides, so that a short pan shows no hole.
    """
    margin = (stop - start) / 2
    first, last = np.searchsorted(time, (start - margin, stop + margin), side="left")
    last = min(last + 1, time.size)
    inside = first + np.flatnonzero(np.isfinite(values[first:last]))
    if inside.size <= most:
        return inside
    stretches = np.array_split(inside, max(most // 2, 1))
    lengths = np.array([each.size for each in stretches])
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    return np.unique(np.concatenate([_extreme(inside, values, starts, which) for which in (np.minimum, np.maximum)]))


def band(time: np.ndarray, values: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the band that the points fill where not all of them are drawn.

    Parameters
    ----------
    time, values : ndarray, shape (n,)
        The series.
    number : ndarray of int
        From `shown`.

    Returns
    -------
    time, low, high : ndarray
        A line for each two of the points that are drawn, from the lower to the higher; nothing where all are drawn.
    """
    between = np.isfinite(values[number[0] : number[-1] + 1]).sum() if number.size else 0
    if between <= number.size:
        return time[:0], values[:0], values[:0]
    first, second = number[:-1:2], number[1::2]
    return time[first], np.minimum(values[first], values[second]), np.maximum(values[first], values[second])


def _extreme(inside: np.ndarray, values: np.ndarray, starts: np.ndarray, which: np.ufunc) -> np.ndarray:
    """Number of the first point in every stretch that has its least (or greatest) value."""
    found = which.reduceat(values[inside], starts)
    stretch = np.repeat(np.arange(starts.size), np.diff(np.append(starts, inside.size)))
    hits = np.flatnonzero(values[inside] == found[stretch])
    _, firsts = np.unique(stretch[hits], return_index=True)
    return inside[hits[firsts]]
