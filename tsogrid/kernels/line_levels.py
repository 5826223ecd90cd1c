"""What is done with the levels of rows after their medians: smoothed along the rows, filled from other amplifiers, compared.

Levels have the shape (n, ny, na): frames, rows, amplifiers; NaN where a row has no background in an amplifier. All works
frame by frame in double precision, so no number knows its neighbours in the batch.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_ROWS = 4  # rows that two amplifiers must share for a correlation
_AT_ONCE = 2**16  # numbers in the windows that are smoothed at once: they stay in the caches

Levels = NDArray[np.float64]


class SmoothedLevels(NamedTuple):
    """Smoothed levels and the variance of each one alone, both (n, ny, na)."""

    level: Levels
    variance: Levels


class FilledLevels(NamedTuple):
    """Levels without gaps.

    Parameters
    ----------
    level : (n, ny, na) array
        NaN only in rows in which no amplifier has a level.
    variance : (n, ny, na) array
        Of what each row has of its own.
    offset_variance : (n, na) array
        Of the offset that all filled rows of an amplifier share.
    filled : (n, ny, na) array of bool
        Which levels came from the other amplifiers.
    """

    level: Levels
    variance: Levels
    offset_variance: Levels
    filled: NDArray[np.bool_]


def smoothed_levels(
    level: NDArray[np.floating],
    variance: Levels | None,
    window: int,
    order: int,
    wanted: tuple[int, int] | None = None,
) -> SmoothedLevels:
    """Savitzky-Golay filter along the rows of each amplifier.

    The level of a row becomes the value there of the least-squares polynomial through the levels in a window about it
    (Savitzky & Golay 1964, Analytical Chemistry 36, 1627). Near the first and the last row the window is the one that ends
    there, as ``mode="interp"`` of `scipy.signal.savgol_filter`. Rows without a level are left out of every fit and stay
    without one: between rows there is no knowledge, and other amplifiers know better (`filled_levels`). Where no more rows
    are left than the order has terms, the polynomial of lower order goes through all of them.

    Parameters
    ----------
    level, variance : (n, ny, na) array
        Levels and their variances; without variances none are returned.
    window : int
        Rows of the window; all rows if the frame has fewer.
    order : int
        Degree of the polynomial.
    wanted : (int, int), optional
        First row, and one past the last, whose smoothed levels are wanted: the others get none. Only the rows of
        `rows_to_smooth` are looked at.

    Returns
    -------
    SmoothedLevels
        variance is Σ h² · variance, h the weights of the fit. Neighbours share their noise: a sum over more rows than the
        window has the variance of the sum of the levels that were not smoothed.

    Raises
    ------
    ValueError
        The window is not positive, or the order negative or not smaller than the window.
    """
    if not 0 <= order < window:
        raise ValueError(f"expected 0 <= order < window, found order {order} and window {window}")
    n, ny, na = level.shape
    window = min(window, ny)
    first, stop = (0, ny) if wanted is None else wanted
    here = np.arange(first, stop)
    rows = np.clip(here - window // 2, 0, ny - window)[:, None] + np.arange(window)
    place = (rows - here[:, None]) / window
    complete = _weights(place, np.ones(rows.shape, bool), order)
    result = SmoothedLevels(np.full(level.shape, np.nan), np.full(level.shape, np.nan))
    levels = np.ascontiguousarray(level.swapaxes(1, 2), np.float64)
    known = np.isfinite(levels)
    whole = np.logical_and.reduce(known[:, :, rows.min(initial=ny) : rows.max(initial=0) + 1], axis=(1, 2))
    each = max(_AT_ONCE // max(na * rows.size, 1), 1)
    for begin in range(0, n, each):
        frames = np.flatnonzero(whole[begin : begin + each]) + begin
        smooth = np.sum(complete * np.take(levels[frames], rows, axis=2), axis=3)  # windows side by side in memory
        result.level[frames, first:stop] = smooth.swapaxes(1, 2)
        if variance is not None:
            spread = np.sum(complete**2 * np.take(variance[frames].swapaxes(1, 2), rows, axis=2), axis=3)
            result.variance[frames, first:stop] = spread.swapaxes(1, 2)
    for frame in np.flatnonzero(~whole):
        for amplifier in range(na):
            its, own = levels[frame, amplifier], known[frame, amplifier]
            gappy = ~own[rows].all(axis=1)
            weights = complete.copy()
            weights[gappy] = _weights(place[gappy], own[rows[gappy]], order)
            has = own[first:stop]
            smooth = np.sum(weights * np.where(own, its, 0.0)[rows], axis=1)
            result.level[frame, first:stop, amplifier] = np.where(has, smooth, np.nan)
            if variance is not None:
                spread = np.sum(weights**2 * np.where(own, variance[frame, :, amplifier], 0.0)[rows], axis=1)
                result.variance[frame, first:stop, amplifier] = np.where(has, spread, np.nan)
    return result


def rows_to_smooth(wanted: tuple[int, int], ny: int, window: int) -> tuple[int, int]:
    """First row, and one past the last, that `smoothed_levels` looks at for the rows that are wanted, of ``ny``."""
    window = min(window, ny)
    first, last = (min(max(row - window // 2, 0), ny - window) for row in (wanted[0], wanted[1] - 1))
    return first, last + window


def _weights(place: Levels, used: NDArray[np.bool_], order: int) -> Levels:
    """What each row of a window contributes to the polynomial's value at place 0; (n_windows, window).

    By polynomials that are orthogonal on the rows in use (Forsythe 1957, J. SIAM 5, 74): no matrix to solve, and fewer rows
    than terms end the series by themselves.
    """
    number = used.sum(axis=1)
    before, here = np.zeros(place.shape), used.astype(float)
    before_at_zero, at_zero = np.zeros(len(place)), np.ones(len(place))
    norm_before = np.ones(len(place))
    weights = np.zeros(place.shape)
    for degree in range(order + 1):
        left = number > degree
        norm = np.where(left, np.sum(here**2, axis=1), 1.0)
        weights += np.where(left, at_zero / norm, 0.0)[:, None] * here
        middle = np.sum(place * here**2, axis=1) / norm
        ratio = norm / norm_before if degree else np.zeros(len(place))
        before, here = here, (place - middle[:, None]) * here - ratio[:, None] * before
        before_at_zero, at_zero = at_zero, -middle * at_zero - ratio * before_at_zero
        norm_before = norm
    return weights


def filled_levels(level: NDArray[np.floating], variance: Levels) -> FilledLevels:
    """Give rows without background the mean level of the other amplifiers.

    Only amplifiers that have a level in that row of their own take part in the mean. An amplifier that is hidden in part
    stands at its own distance from each of them, the mean difference over the rows that both have, which is added. One that
    is hidden in all rows has none: it gets the common part of the noise alone, after the gaps of the others were filled,
    so that the mean is of the same amplifiers in every row.

    Parameters
    ----------
    level, variance : (n, ny, na) array
        Levels, NaN where there is none, and their variances.

    Returns
    -------
    FilledLevels
        variance of a filled row is Σ variance / k² of the k levels in the mean, plus, if the amplifiers differ from the mean
        of the others significantly (3 standard deviations) more than the variances say, that excess: the noise that
        is not common. offset_variance is (v + m) / N, v and m the mean variances of its levels and of the means, N the rows
        that were compared.
    """
    measured: Levels = np.array(level, np.float64)
    own: NDArray[np.bool_] = np.isfinite(measured)
    some = np.logical_or.reduce(own, axis=1)
    n, _, na = measured.shape
    result = FilledLevels(measured.copy(), variance.astype(float), np.zeros((n, na)), np.zeros(measured.shape, bool))
    excess, compared = np.zeros((n, na)), np.zeros((n, na))
    for amplifier in range(na):
        others = [index for index in range(na) if index != amplifier]
        mean, spread = _mean_of_others(measured, variance, own, amplifier, others)
        shared = own[:, :, amplifier] & np.isfinite(mean)
        number = shared.sum(axis=1)
        its = _mean_where(shared, variance[:, :, amplifier])
        theirs = _mean_where(shared, spread)
        result.offset_variance[:, amplifier] = (its + theirs) / np.maximum(number, 1)
        scatter = _mean_where(shared, (measured[:, :, amplifier] - mean) ** 2) * number / np.maximum(number - 1, 1)
        more = scatter - its - theirs
        certain = more > 3 * (its + theirs) * np.sqrt(2 / np.maximum(number, 1))
        excess[:, amplifier] = np.where(certain, more, 0.0)
        compared[:, amplifier] = number
        gap = ~own[:, :, amplifier] & np.isfinite(mean) & some[:, amplifier, None]
        _put(result, amplifier, gap, mean, spread + excess[:, amplifier, None])
    for amplifier in range(na):
        hidden = ~some[:, amplifier]
        others = [index for index in range(na) if index != amplifier]
        if not hidden.any() or not others:
            continue
        partly = some[:, None, :] & np.isfinite(result.level)
        mean, _ = _mean_of_others(result.level, variance, partly, amplifier, others, apart=False)
        _, spread = _mean_of_others(measured, variance, own, amplifier, others)
        typical = np.sum(compared * excess, axis=1) / np.maximum(np.sum(compared, axis=1), 1)
        _put(result, amplifier, hidden[:, None] & np.isfinite(mean), mean, spread + typical[:, None])
        result.offset_variance[hidden, amplifier] = 0.0  # its own distance is not known, and not in any error
    return result


def _put(result: FilledLevels, amplifier: int, where: NDArray[np.bool_], level: Levels, variance: Levels) -> None:
    result.level[:, :, amplifier][where] = level[where]
    result.variance[:, :, amplifier][where] = variance[where]
    result.filled[:, :, amplifier] |= where


def _mean_of_others(
    level: Levels, variance: Levels, own: NDArray[np.bool_], amplifier: int, others: list[int], apart: bool = True
) -> tuple[Levels, Levels]:
    """Mean over other amplifiers, moved to this one's distance if ``apart``, and its variance; (n, ny)."""
    count = np.zeros(level.shape[:2])
    total, spread = np.zeros(level.shape[:2]), np.zeros(level.shape[:2])
    for other in others:
        there = own[:, :, other]
        distance = np.zeros(len(level))
        if apart:
            distance = _mean_where(there & own[:, :, amplifier], level[:, :, amplifier] - level[:, :, other])
        count += there
        total += np.where(there, level[:, :, other] + distance[:, None], 0.0)
        spread += np.where(there, variance[:, :, other], 0.0)
    known = np.where(count > 0, count, np.nan)
    return total / known, spread / known**2


def _mean_where(where: NDArray[np.bool_], values: Levels) -> Levels:
    """Mean over the rows of the values that count, 0 if none does; (n,)."""
    return np.sum(np.where(where, values, 0.0), axis=1) / np.maximum(where.sum(axis=1), 1)


def level_correlation(level: NDArray[np.floating]) -> Levels:
    """How much of the noise of rows the amplifiers share: the mean over their pairs of Pearson's correlation.

    Parameters
    ----------
    level : (n, ny, na) array
        Levels, NaN where there is none.

    Returns
    -------
    (n,) array
        Of each frame; −1 … 1. NaN with fewer than two amplifiers that share four rows in which both vary.
    """
    n, ny, na = level.shape
    total, pairs = np.zeros(n), np.zeros(n)
    levels = [np.array(level[:, :, index], np.float64, order="C") for index in range(na)]
    known = [np.isfinite(each) for each in levels]
    everywhere = all(each.all() for each in known)
    if everywhere:  # every pair shares all rows: an amplifier's mean and scatter are the same beside each other one
        levels = [each - (np.sum(each, axis=1) / max(ny, 1))[:, None] for each in levels]
        squares = [np.sum(each**2, axis=1) for each in levels]
    for first in range(na):
        for second in range(first):
            one, two = levels[first], levels[second]
            if everywhere:
                count = np.full(n, ny)
                scale = np.sqrt(squares[first] * squares[second])
            else:
                shared = known[first] & known[second]
                count = shared.sum(axis=1)
                one = np.where(shared, one - _mean_where(shared, one)[:, None], 0.0)
                two = np.where(shared, two - _mean_where(shared, two)[:, None], 0.0)
                scale = np.sqrt(np.sum(one**2, axis=1) * np.sum(two**2, axis=1))
            good = (count >= LEAST_ROWS) & (scale > 0)
            total += np.where(good, np.sum(one * two, axis=1) / np.where(good, scale, 1.0), 0.0)
            pairs += good
    return total / np.where(pairs > 0, pairs, np.nan)


def line_model(
    level: NDArray[np.floating], column_level: NDArray[np.floating], bounds: ArrayLike, dtype: type | np.dtype
) -> NDArray[np.floating]:
    """Spread the levels of rows and columns over the frame.

    Parameters
    ----------
    level : (n, ny, na) array
        Levels of the rows.
    column_level : (n, 1, nx) array
        Levels of the columns.
    bounds : (na, 2) array of int
        First column, and one past the last, of each amplifier.
    dtype : dtype
        Of the model.

    Returns
    -------
    (n, ny, nx) array
        Their sum; 0 in columns of no amplifier, NaN in rows without a level.
    """
    n, ny, _ = level.shape
    model = np.zeros((n, ny, column_level.shape[2]), dtype)
    for amplifier, (start, stop) in enumerate(np.asarray(bounds, np.int64)):
        into = model[:, :, start:stop]
        np.add(level[:, :, amplifier, None], column_level[:, :, start:stop], out=into, casting="same_kind")
    return model
