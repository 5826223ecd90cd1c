"""Medians of sizes without sorting: passes count how many of each of eight lines lie at or below its pivot.

The passes look at single precision, which keeps the order of doubles. They end with two values in single precision between
which each median lies; most often that is all one needs to know. Where it is not, a line is partitioned alone, in double
precision. Where a pivot starts decides how many passes there are, and no number.
"""

import math

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import INDEX
from tsogrid.kernels.vectors import (
    WIDTH,
    any_of,
    as_bits,
    as_double,
    as_single,
    counted,
    fill,
    least,
    load,
    most,
    no_count,
    total_of,
    truths,
    where,
)

MEAN_TO_MEDIAN = np.float32(0.845)  # of sizes of normal values
_MOST_PASSES = 14
_FEW, _MANY = 16, 1024  # so many values left of all are partitioned, and one more for so many
_HALVING = 6  # after so many passes every second halves the bracket
_SLOPE = np.float32(
    2.33
)  # of normal values: change of the median |value| from rank to rank, times their number, over itself
_NEGATIVE, _INFINITE = np.float32(-1e-38), np.float32(np.inf)
_ZERO, _HALF, _ONE, _TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)


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
def _ranked(chosen, count, rank):  # type: ignore[no-untyped-def]
    """The values of a rank, and of the next, among the first ones (C. A. R. Hoare 1961, CACM 4, 321); moves them."""
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
def _middle(chosen, count, rank, odd, rounded):  # type: ignore[no-untyped-def]
    """The value of a rank among the first ones, or the mean of it and the next; moves them."""
    first, second = _ranked(chosen, count, rank)
    if rounded:
        first, second = np.float64(np.float32(first)), np.float64(np.float32(second))
    return first if odd else 0.5 * first + 0.5 * second


@part
def median_of_line(sizes, start, step, stop, rounded, chosen):  # type: ignore[no-untyped-def]
    """Median of one line of values, NaN where there is none; NaN if there are none at all."""
    count = 0
    for k in range(start, stop, step):
        chosen[INDEX(count)] = sizes[INDEX(k)]
        count += 1 if sizes[INDEX(k)] == sizes[INDEX(k)] else 0
    return _middle(chosen, count, (count - 1) // 2, count % 2 == 1, rounded)


@part
def bracket_of_lines(singles, rows, points, guess, counts):  # type: ignore[no-untyped-def]
    """Where the median of each of eight lines lies, in single precision.

    Parameters
    ----------
    singles : flat float32, ``rows`` rows of eight values that are not negative; NaN where there is none.
    rows : number of rows.
    points : vector of float64, number of values in each line.
    guess : vector of float32, positive: where to begin; it decides the number of passes and nothing else.
    counts : vector of float32, how many values are at most the guess (`count_lines`).

    Returns
    -------
    tuple of vectors: (low, high] holds the median, which is the mean of two values unless their number is odd; ``before``
    of the values in it are smaller and ``behind`` are larger. What is sought are the first two, the last two, or the middle
    two of four, unless unsolved.
    """
    n = as_single(points)
    rank = math.floor((n - _ONE) * _HALF)
    top, target = n - rank, n * _HALF
    odd = top - rank < _TWO
    # (low, high] holds the ranks from low_count up to high_count − 1, the wanted one or two among them.
    low, high, low_count, high_count = fill(_NEGATIVE), fill(_INFINITE), fill(np.float32(0.0)), n
    pivot, slope, before, behind = guess, guess * _SLOPE / n, rank, rank
    unsolved = n > _HALF
    for attempt in range(_MOST_PASSES):
        count = counts if attempt == 0 else count_lines(singles, rows, pivot)
        up, down = unsolved & (count <= target), unsolved & (count >= target)
        low, low_count = where(up, pivot, low), where(up, count, low_count)
        high, high_count = where(down, pivot, high), where(down, count, high_count)
        before, behind = rank - low_count, high_count - top
        inside, deep = (before > _ZERO) & (behind > _ZERO), (before > _ONE, behind > _ONE)
        unsolved = unsolved & inside & ((deep[0] & deep[1]) | (~odd & (deep[0] | deep[1])))
        if not any_of(unsolved):
            break
        share = (target - low_count) / (high_count - low_count)
        share = fill(_HALF) if attempt > _HALVING and attempt % 2 else share
        smaller = high - slope * (high_count - target)
        smaller = where(smaller > high * _HALF, smaller, high * _HALF)
        pivot = where(low > _NEGATIVE, low + (high - low) * share, smaller)
        pivot = where(high < _INFINITE, pivot, low + slope * (target - low_count))
        slope = slope + slope  # still on one side after the next pass: the guess was too small
    return low, high, before, behind, odd, unsolved


@part
def limits_of_lines(singles, rows, bracket):  # type: ignore[no-untyped-def]
    """Between which two values of double precision each median lies, but for the rounding of the values to single."""
    low, high, before, behind, odd, unsolved = bracket
    # The two smallest beyond low and the two largest up to high, in steps of single precision from there; others, and NaN,
    # are farther off than any, for whole numbers below zero count as the largest.
    start, stop = where(low < _ZERO, no_count(), counted(as_bits(low), low >= _ZERO)), as_bits(high)
    up = next_up = as_bits(fill(_INFINITE)) - start
    down = next_down = stop
    for k in range(rows):
        size = as_bits(load(singles, INDEX(WIDTH * k)))
        higher, lower = size - start, stop - size
        next_up, next_down = least(next_up, most(up, higher)), least(next_down, most(down, lower))
        up, down = least(up, higher), least(down, lower)
    first, second = as_double(as_bits(start + up)), as_double(as_bits(start + next_up))
    last, last_but_one = as_double(as_bits(stop - down)), as_double(as_bits(stop - next_down))
    met, starts, ends = before < _ZERO, before < _HALF, behind < _HALF
    smaller = where(met, last, where(starts, first, where(ends, last_but_one, second)))
    larger = where(met, first, where(starts, second, where(ends, last, last_but_one)))
    single = where(starts, first, where(before < _TWO, second, larger))
    middling = where(odd, single, 0.5 * smaller + 0.5 * larger)
    unknown = unsolved & (first < last)
    return where(unknown, first, middling), where(unknown, last, middling)


@part
def median_of_all(values, singles, rows, points, guess, rounded, chosen):  # type: ignore[no-untyped-def]
    """Median of |values|, all together.

    Parameters
    ----------
    values : flat float64; ``rows`` rows of eight.
    singles : |values| rounded to float32; NaN where one does not count.
    rows : number of rows.
    points : how many values count, at least one.
    guess : where to begin; it decides the number of passes and nothing else.
    rounded : whether the values are to be rounded to float32 first.
    chosen : scratch of float64 for all values, and one more.
    """
    rank, odd, few = (points - 1) // 2, points % 2 == 1, _FEW + points // _MANY
    beyond = few // 4
    # (low, high] holds the ranks from low_count up to high_count − 1, the wanted one or two among them.
    low, high, low_count, high_count = _NEGATIVE, _INFINITE, 0, points
    pivot, slope = np.float32(guess), np.float32(guess) * _SLOPE / np.float32(points)
    for attempt in range(_MOST_PASSES):
        if high_count - low_count <= few:
            break
        found = int(total_of(count_lines(singles, rows, fill(pivot))))
        if found <= rank:
            low, low_count = pivot, found
        elif odd or found > rank + 1:
            high, high_count = pivot, found
        # The next pivot goes a little beyond the rank that is sought, so that it becomes the bracket's other end.
        upwards = rank - low_count < high_count - rank
        wanted = rank + beyond if upwards else rank - beyond
        if low > _NEGATIVE and high < _INFINITE:
            share = np.float32(wanted - low_count) / np.float32(high_count - low_count)
            pivot = low + (high - low) * (_HALF if attempt > _HALVING and attempt % 2 else share)
        elif high < _INFINITE:
            pivot = max(high - slope * np.float32(high_count - (rank - beyond)), high * _HALF)
        else:
            pivot = max(low, pivot) + slope * np.float32(rank + beyond - low_count if low > _NEGATIVE else beyond)
        slope = slope + slope
    count = 0
    for k in range(rows):
        single = load(singles, INDEX(WIDTH * k))
        inside = truths((single > low) & (single <= high))
        for line in range(WIDTH if inside != 0 else 0):
            if (inside >> line) & 1:
                chosen[INDEX(count)] = abs(values[INDEX(WIDTH * k + line)])
                count += 1
    return _middle(chosen, count, rank - low_count, odd, rounded)
