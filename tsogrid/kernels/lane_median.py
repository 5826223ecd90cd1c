"""Medians of a few numbers in each lane, as those on the edge of a box: counting passes over all lanes at once.

A pass counts the numbers up to a pivot and finds the largest of them and the smallest beyond. Both are numbers of the
lane, so that every pass takes at least one of them out of question, and the pivots decide how many passes there are and
nothing else: about three for noise.
"""

import math

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.vectors import any_of, read, spread, where, write


@part
def lane_medians(numbers, n):  # type: ignore[no-untyped-def]
    """Median in each lane of the finite ones among the first n vectors, the mean of the middle two if their number is even.

    NaN where none is finite. The others of ``numbers``, (at least n, LANES), are overwritten.
    """
    count, total = spread(0.0), spread(0.0)
    low, high = spread(np.inf), spread(-np.inf)
    for k in range(n):
        number = read(numbers, k)
        good = number - number == 0.0
        write(numbers, k, where(good, number, np.inf))  # beyond every pivot
        count += where(good, 1.0, spread(0.0))
        total += where(good, number, 0.0)
        low = where(good & (number < low), number, low)
        high = where(good & (number > high), number, high)
    # The one that is sought, with ``before`` smaller ones, lies in low … high; so many lie below low, and up to high.
    before = math.floor(0.5 * (count - 1.0))
    below_low, up_to_high = spread(0.0), count
    first, second = low, low
    seeking = low < high
    pivot = total / count
    while any_of(seeking):
        pivot = where((pivot >= low) & (pivot < high), pivot, low)
        up_to_pivot, below, above = spread(0.0), spread(-np.inf), spread(np.inf)
        for k in range(n):
            number = read(numbers, k)
            inside = number <= pivot
            up_to_pivot += where(inside, 1.0, spread(0.0))
            lower, higher = where(inside, number, -np.inf), where(inside, np.inf, number)
            below, above = where(lower > below, lower, below), where(higher < above, higher, above)
        met = seeking & (up_to_pivot == before + 1.0)
        first, second = where(met, below, first), where(met, above, second)
        more, fewer = seeking & (up_to_pivot > before + 1.0), seeking & (up_to_pivot <= before)
        high, up_to_high = where(more, below, high), where(more, up_to_pivot, up_to_high)
        low, below_low = where(fewer, above, low), where(fewer, up_to_pivot, below_low)
        same = (more | fewer) & (low == high)
        first, second = where(same, low, first), where(same, low, second)
        seeking = (more | fewer) & (low < high)
        pivot = low + (high - low) * ((before + 0.5 - below_low) / (up_to_high - 1.0 - below_low))
        pivot = where(below_low == before, low, pivot)
    middle = where(count == 2.0 * before + 1.0, first, 0.5 * first + 0.5 * second)
    return where(count > 0.0, middle, np.nan)
