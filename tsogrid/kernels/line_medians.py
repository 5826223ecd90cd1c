"""Medians of eight lines of sizes at once, without sorting: passes count how many of each line lie at or below its pivot.

The passes look at single precision, which keeps the order of doubles; one more, over the doubles, takes the two exact values
from the bracket that is left. Where a pivot starts decides how many passes there are, and no number. A line whose bracket
does not close soon (values alike in single precision) is partitioned alone.
"""

import math

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import INDEX
from tsogrid.kernels.vectors import (
    WIDTH,
    any_of,
    as_double,
    as_single,
    counted,
    fill,
    lane,
    load,
    no_count,
    smallest_of,
    total_of,
    truths,
    where,
    with_lane,
)

_MOST_PASSES = 14
_HALVING = 6  # after so many passes every second halves the bracket
_SLOPE = np.float32(
    2.33
)  # of normal values: change of the median |value| from rank to rank, times their number, over itself
_NEGATIVE, _INFINITE = np.float32(-1e-38), np.float32(np.inf)
_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1.0), np.float32(2.0)


@part
def count_lines(singles, rows, pivot):  # type: ignore[no-untyped-def]
    """How many values of each line are at most its pivot."""
    even, odd = no_count(), no_count()  # two chains of sums, of which each waits for itself
    for k in range(0, rows - 1, 2):
        even = counted(even, load(singles, INDEX(WIDTH * k)) <= pivot)
        odd = counted(odd, load(singles, INDEX(WIDTH * k + WIDTH)) <= pivot)
    if rows % 2:
        even = counted(even, load(singles, INDEX(WIDTH * (rows - 1))) <= pivot)
    return as_single(even) + as_single(odd)


@part
def _ends(sizes, at, singles, rows, low, high):  # type: ignore[no-untyped-def]
    """Smallest value above ``low``, and largest that is at most ``high``."""
    above, below = fill(np.inf), fill(-np.inf)
    for k in range(rows):
        size, single = load(sizes, INDEX(at + WIDTH * k)), load(singles, INDEX(WIDTH * k))
        larger, smaller = where(single > low, size, np.inf), where(single <= high, size, -np.inf)
        above = where(larger < above, larger, above)
        below = where(smaller > below, smaller, below)
    return above, below


@part
def _select(sizes, singles, at, line, step, stop, low, high, rank, chosen):  # type: ignore[no-untyped-def]
    """The values of a rank, and of the next, among those of one line in a bracket (C. A. R. Hoare 1961, CACM 4, 321)."""
    count = 0
    for k in range(line, stop, step):
        chosen[INDEX(count)] = sizes[INDEX(at + k)]
        count += 1 if (singles[INDEX(k)] > low) & (singles[INDEX(k)] <= high) else 0
    rank, left, right = min(rank, count - 1), 0, count - 1
    while left < right:
        pivot, i, j = chosen[rank], left, right
        while i <= j:
            while chosen[i] < pivot:
                i += 1
            while pivot < chosen[j]:
                j -= 1
            if i <= j:
                chosen[i], chosen[j] = chosen[j], chosen[i]
                i += 1
                j -= 1
        left, right = (i if j < rank else left), (j if rank < i else right)
    following = np.inf
    for k in range(rank + 1, count):
        following = min(following, chosen[k])
    return (chosen[rank] if count > 0 else np.nan), following


@part
def bracket_of_lines(singles, rows, points, guess, counts, together):  # type: ignore[no-untyped-def]
    """Where the median of each of eight lines lies, in single precision.

    Parameters
    ----------
    singles, rows, points, guess, together : as in `median_of_lines`.
    counts : vector of float32, how many values are at most the guess (`count_lines`).

    Returns
    -------
    tuple of vectors: (low, high] holds the median, which is the mean of two values unless their number is odd; ``before``
    of the values in it are smaller; where unsolved, there are others.
    """
    n = as_single(points)
    rank = math.floor((n - _ONE) * _HALF)
    top, target = n - rank, n * _HALF
    odd = top - rank < _TWO
    # (low, high] holds the ranks from low_count up to high_count − 1, the wanted one or two among them.
    low, high, low_count, high_count = fill(_NEGATIVE), fill(_INFINITE), fill(np.float32(0.0)), n
    pivot, slope, before = guess, guess * _SLOPE / n, rank
    unsolved = n > _HALF
    for attempt in range(_MOST_PASSES):
        if attempt > 0:
            counts = count_lines(singles, rows, pivot)
        count = fill(total_of(counts)) if together else counts
        up, down = unsolved & (count <= target), unsolved & (count >= target)
        low, low_count = where(up, pivot, low), where(up, count, low_count)
        high, high_count = where(down, pivot, high), where(down, count, high_count)
        before, behind = rank - low_count, high_count - top
        unsolved = unsolved & (where(odd, before * behind, before + behind) > np.float32(0.0))
        if not any_of(unsolved):
            break
        share = (target - low_count) / (high_count - low_count)
        share = fill(_HALF) if attempt > _HALVING and attempt % 2 else share
        smaller = high - slope * (high_count - target)
        smaller = where(smaller > high * _HALF, smaller, high * _HALF)
        pivot = where(low > _NEGATIVE, low + (high - low) * share, smaller)
        pivot = where(high < _INFINITE, pivot, low + slope * (target - low_count))
        slope = slope + slope  # still on one side after the next pass: the guess was too small
    return low, high, before, odd, unsolved


@part
def limits_of_lines(singles, rows, bracket):  # type: ignore[no-untyped-def]
    """Between which two values of double precision each median lies, but for the rounding of the values to single."""
    low, high, before, odd, unsolved = bracket
    above, below = fill(_INFINITE), fill(-_INFINITE)
    for k in range(rows):
        single = load(singles, INDEX(WIDTH * k))
        above = where(single > low, where(single < above, single, above), above)
        below = where(single <= high, where(single > below, single, below), below)
    smaller, larger = as_double(above), as_double(below)
    middling = where(odd, where(as_double(before) < 0.5, smaller, larger), 0.5 * smaller + 0.5 * larger)
    open_ = unsolved & (above < below)
    return where(open_, smaller, middling), where(open_, larger, middling)


@part
def median_of_lines(sizes, at, singles, rows, points, guess, rounded, together, chosen):  # type: ignore[no-untyped-def]
    """Median of each of eight lines of values that are not negative.

    Parameters
    ----------
    sizes : flat float64; ``rows`` rows of eight from place ``at``; NaN where there is no value.
    singles : the same, rounded to float32.
    rows : number of rows.
    points : vector of float64, number of values in each line.
    guess : vector of float32, positive: where to begin; it decides the number of passes and nothing else.
    rounded : whether the values are to be rounded to float32 first.
    together : whether the eight are one line, of ``points`` (all eight alike) values.
    chosen : scratch of float64 for a line, and one more.

    Returns
    -------
    vector of float64; anything in lines without values.
    """
    low, high, before, odd, unsolved = bracket_of_lines(
        singles, rows, points, guess, count_lines(singles, rows, guess), together
    )
    above, below = _ends(sizes, at, singles, rows, low, high)
    if together:
        above, below = fill(smallest_of(above)), fill(-smallest_of(0.0 - below))
    left = truths(unsolved & (above < below))
    for line in range(WIDTH if left != 0 else 0):
        if (left >> line) & 1:
            one, step = INDEX(line), np.int64(1 if together else WIDTH)
            start = np.int64(0) if together else line
            wanted = np.int64(lane(before, one))
            first, second = _select(
                sizes, singles, at, start, step, WIDTH * rows, lane(low, one), lane(high, one), wanted, chosen
            )
            below, above = with_lane(below, one, first), with_lane(above, one, second)
    if rounded:
        above, below = as_double(as_single(above)), as_double(as_single(below))
    return where(odd, where(as_double(before) < 0.5, above, below), 0.5 * above + 0.5 * below)
