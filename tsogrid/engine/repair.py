"""Centres that are outliers of the series, and the places that the motion of the series gives instead.

A telescope moves all its sources alike: a source's distance from its own place is the common motion of its frame and little
else. A centre that is farther from that than the scatter of all centres allows is not the star.
"""

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

LEAST_SOURCES = 3  # found in a frame: their median motion is the common motion
LEAST_FRAMES = 8  # about a frame: what they say of a source's own motion counts
_POLISHES = 4
_LEAST_REACH = 1e-6  # pixels: what is nearer is rounding
_CHUNK = 10_000  # frames whose windows are laid out at a time


def running_median(values: np.ndarray, window: int) -> np.ndarray:
    """Median of the frames about each frame that are known; shape (n_frames, n_sources)."""
    return pd.DataFrame(values).rolling(window, center=True, min_periods=1).median().to_numpy()


def repaired_centers(x: np.ndarray, y: np.ndarray, limit: float, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Replace the centres that are outliers of the series, or were not found.

    Along each axis a centre is its source's own place, the common motion of its frame, and a rest. Place and motion are
    found by median polish (J. W. Tukey 1977, *Exploratory Data Analysis*): the median over time of what the motion leaves,
    and the median over the sources of what the places leave, in turn. Where fewer than three sources were found in a frame,
    it is each source's own running median, the frame itself left out. The rest is compared with the median absolute value
    (unscaled) that it, for the same kind of motion, has over all frames and sources; the source that is the median of its
    frame is left out there.

    Parameters
    ----------
    x, y : ndarray, shape (n_frames, n_sources)
        Measured centres, NaN where none was found.
    limit : float
        How many of these median absolute values the rest may have, along either axis.
    window : int
        Frames in the running median.

    Returns
    -------
    x, y : ndarray, shape (n_frames, n_sources)
        The centres; an outlier, or a missing one, is where its own place and the motion put it, and stays as it was
        if one of these is not known.
    repaired : ndarray of bool, shape (n_frames, n_sources)
        Which were replaced.
    """
    known = np.isfinite(x) & np.isfinite(y)
    measured = [np.where(known, values, np.nan) for values in (x, y)]
    expected = []
    bad = ~known
    for values in measured:
        place, scatter = _expected(values, known, window)
        expected.append(place)
        bad |= np.abs(values - place) > np.fmax(limit * scatter, _LEAST_REACH)
    repaired = bad & np.isfinite(expected[0]) & np.isfinite(expected[1])
    new_x, new_y = (np.where(repaired, place, values) for values, place in zip(measured, expected, strict=True))
    return new_x, new_y, repaired


def _expected(values: np.ndarray, known: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each source should be along one axis, and the scatter about that (n_frames, 1)."""
    count = known.sum(axis=1)
    few = count < LEAST_SOURCES
    own = _column_medians(values)
    common = np.full(len(values), np.nan)
    # In a drift the median of a source is where it was when it was seen; its median less the common motion is not.
    for turn in range(_POLISHES if not few.all() else 0):
        if turn > 0:
            place = _column_medians(values - common[:, None])
            own = np.where(np.isfinite(place), place, own)
        common = np.where(few, np.nan, _column_medians((values - own).T))
    expected = own + common[:, None]
    rest = np.abs(values - expected)
    # Of an odd number of sources one is the common motion itself, and says nothing of the scatter.
    odd = np.flatnonzero(~few & (count % 2 == 1))
    rest[odd, np.nanargmin(rest[odd], axis=1)] = np.nan
    scatter = np.full((len(values), 1), _median(rest))
    if few.any():
        alone = own + _own_motion(values - own, window)
        expected[few] = alone[few]
        scatter[few] = _median(np.abs(values - alone))
    return expected, scatter


def _median(values: np.ndarray) -> float:
    found = values[np.isfinite(values)]
    return float(np.median(found)) if found.size else np.nan


def _column_medians(values: np.ndarray) -> np.ndarray:
    return pd.DataFrame(values).median(axis=0, skipna=True).to_numpy()


def _own_motion(deviation: np.ndarray, window: int) -> np.ndarray:
    """Median of the frames about each frame, without itself: in a drift it would be its own median, and never an outlier.

    Where the window is not whole it is a robust straight line, behind which a drift does not lag. NaN with too few frames.
    """
    motion = np.full(deviation.shape, np.nan)
    n, half = len(deviation), window // 2
    ends = ((0, min(half, n), 0, min(window, n)), (max(n - half, 0), n, max(n - window, 0), n))
    for source, column in enumerate(deviation.T):
        for start in range(0, n - 2 * half, _CHUNK):
            around = sliding_window_view(column[start : start + _CHUNK + 2 * half], 2 * half + 1)
            others = pd.DataFrame(np.delete(around, half, axis=1))
            middle = others.median(axis=1).where(others.count(axis=1) >= LEAST_FRAMES)
            motion[start + half : start + half + len(middle), source] = middle
        for first, last, begin, end in ends:
            found = np.arange(begin, end)[np.isfinite(column[begin:end])]
            if len(found) >= LEAST_FRAMES:
                motion[first:last, source] = _robust_line(found, column[found], np.arange(first, last))
    return motion


def _robust_line(frames: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Straight line by the median of all slopes between two points (Theil 1950, Sen 1968, J. Am. Stat. Assoc. 63, 1379)."""
    one, other = np.triu_indices(len(frames), 1)
    slope = np.median((values[other] - values[one]) / (frames[other] - frames[one]))
    return np.median(values - slope * frames) + slope * at
