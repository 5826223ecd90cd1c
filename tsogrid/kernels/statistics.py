"""Medians without sorting: floats become ordered integers, and SIMD passes count how many lie at or below a pivot.

The bits of an IEEE float, with the lower bits of negative ones flipped, are integers in the same order (a
*key*); a bad pixel (NaN or infinite) gets the largest key and so never disturbs a rank. A pass over the keys
returns the number at or below a pivot and the two keys that enclose the pivot; secant steps in the values,
with bisection of the keys as the fallback, reach any rank exactly in about four passes, and the pivot they
start from cannot change the result. Every subset that the statistics here use (clipped, near the median) is
an interval of keys, so nothing is ever compacted or moved.

All functions work on the first ``n`` entries of 1-D scratch arrays: int32 keys for float32 pixels, int64 for
float64. A key array has room for `SAMPLE` more entries, where the first guess of a rank is made.
"""

import numpy as np

from tsogrid.kernels.compile import by_type, part
from tsogrid.kernels.eights import ARRAY, PLACE, WHOLE, emit

SAMPLE = 32  # keys that make the first guess of a rank
LANES = 128  # partial sums side by side: they vectorise, and their order is the same on every machine
MEDIAN_ERROR = 1.2533141373155001  # sqrt(pi / 2): error of the median of normal values over that of their mean
MAD_TO_SIGMA = 1.4826  # standard deviation of normal values over their median absolute deviation
# Passes that only count, while the pivot is still far from the key that is sought; FINE where it is near from the start.
COARSE, FINE = np.int64(2), np.int64(0)

INDEX = np.uintp  # an index that numba need not test for being negative: without the test, loops become vectors
INTEGERS = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}


def as_bits(pixels: np.ndarray) -> np.ndarray:
    """The same memory, flat, as the integers whose bits the floats are made of."""
    return pixels.reshape(-1).view(INTEGERS[pixels.dtype])


@by_type
def value_of(key):  # type: ignore[no-untyped-def]
    """Float that an ordered key stands for."""
    if key.bitwidth == 32:
        return lambda key: np.int32(key ^ 0x7FFFFFFF if key < 0 else key).view(np.float32)
    return lambda key: np.int64(key ^ 0x7FFFFFFFFFFFFFFF if key < 0 else key).view(np.float64)


@by_type
def key_of(value, keys):  # type: ignore[no-untyped-def]
    """Ordered key, of the type of ``keys``, of a float64 rounded to the pixels' precision."""
    if keys.dtype.bitwidth == 32:

        def single(value, keys):  # type: ignore[no-untyped-def]
            bits = np.float32(value).view(np.int32)
            return np.int32(bits ^ 0x7FFFFFFF if bits < 0 else bits)

        return single

    def double(value, keys):  # type: ignore[no-untyped-def]
        bits = np.float64(value).view(np.int64)
        return np.int64(bits ^ 0x7FFFFFFFFFFFFFFF if bits < 0 else bits)

    return double


@by_type
def bad_key(keys):  # type: ignore[no-untyped-def]
    """Key of a bad pixel, the largest integer of the type."""
    if keys.dtype.bitwidth == 32:
        return lambda keys: np.int32(0x7FFFFFFF)
    return lambda keys: np.int64(0x7FFFFFFFFFFFFFFF)


@by_type
def infinity_key(keys):  # type: ignore[no-untyped-def]
    """Key of +inf; the keys of finite values lie strictly between its negative and itself."""
    if keys.dtype.bitwidth == 32:
        return lambda keys: np.int32(0x7F800000)
    return lambda keys: np.int64(0x7FF0000000000000)


@part
def copy_keys(bits, offset, count, keys, position):  # type: ignore[no-untyped-def]
    """Write the keys of ``bits[offset:offset + count]`` at ``keys[position:]``; return how many are good."""
    bad = bad_key(keys)
    infinite = infinity_key(keys)
    one = keys.dtype.type(1)
    zero = keys.dtype.type(0)
    good = zero
    for i in range(count):
        pattern = bits[INDEX(offset + i)]
        finite = (pattern & bad) < infinite
        key = pattern ^ bad if pattern < 0 else pattern
        keys[INDEX(position + i)] = key if finite else bad
        good = keys.dtype.type(good + (one if finite else zero))
    return np.int64(good)


@part
def mask_keys(keys, start, stop):  # type: ignore[no-untyped-def]
    """Make ``keys[start:stop]`` bad; return how many of them were good."""
    bad = bad_key(keys)
    good = 0
    for i in range(start, stop):
        good += keys[INDEX(i)] != bad
        keys[INDEX(i)] = bad
    return good


@part
def neighbours(keys, n, pivot):  # type: ignore[no-untyped-def]
    """How many keys lie at or below the pivot, the largest of them, and the smallest above."""
    bad = bad_key(keys)
    one = keys.dtype.type(1)
    zero = keys.dtype.type(0)
    none = keys.dtype.type(-bad)
    count = zero
    below = none
    above = bad
    for i in range(n):  # all in the keys' own type, so that the loop becomes whole vectors
        key = keys[i]
        inside = key <= pivot
        count = keys.dtype.type(count + (one if inside else zero))
        low = key if inside else none
        high = bad if inside else key
        below = low if low > below else below
        above = high if high < above else above
    return np.int64(count), below, above


@part
def count_up_to(keys, n, pivot):  # type: ignore[no-untyped-def]
    """How many keys lie at or below the pivot."""
    one = keys.dtype.type(1)
    zero = keys.dtype.type(0)
    count = zero
    for i in range(n):
        count = keys.dtype.type(count + (one if keys[i] <= pivot else zero))
    return np.int64(count)


@part
def guess_rank(keys, n, good, rank):  # type: ignore[no-untyped-def]
    """First guess of the key of a rank, and of the change of value from one rank to the next, from a few sorted keys.

    The sample is sorted in ``keys[n:n + SAMPLE]``.
    """
    bad = bad_key(keys)
    step = max(1, n // SAMPLE)
    size = 0
    for i in range(step // 2, min(n, step * SAMPLE), step):
        key = keys[i]
        if key == bad:
            continue
        place = n + size
        while place > n and keys[place - 1] > key:
            keys[place] = keys[place - 1]
            place -= 1
        keys[place] = key
        size += 1
    if size == 0:
        return keys.dtype.type(0), 0.0
    pivot = keys[n + min(size - 1, int((rank + 0.5) / good * size))]
    quarter = size // 4
    low = np.float64(value_of(keys[n + quarter]))
    high = np.float64(value_of(keys[n + size - 1 - quarter]))
    slope = (high - low) / max(1, size - 1 - 2 * quarter) * size / good
    return pivot, (slope if np.isfinite(slope) else 0.0)


@part
def ranked_keys(keys, n, good, rank, pair, pivot, slope, counting):  # type: ignore[no-untyped-def]
    """Keys of ``rank`` and ``rank + 1`` (from 0, in ascending order) among the good ones.

    ``pair`` false: only the first is wanted, and the second is any. ``pivot`` and ``slope`` are where to begin, and
    ``counting`` passes only count; all three decide the number of passes and nothing else.
    """
    # The key that is sought is at least `low` (with `low_count` keys below that) and at most `high` (with `high_count` keys
    # up to that); before a pass has met them, both are formal limits that say nothing about the values.
    low = keys.dtype.type(-bad_key(keys))
    high = keys.dtype.type(infinity_key(keys) - 1)
    low_count, high_count = np.int64(0), good
    low_met, high_met = False, False
    passes = 0
    while True:
        # Limits that were only counted need not be keys themselves; what is returned is.
        coarse = passes < counting
        below, above = pivot, keys.dtype.type(pivot + 1)
        count = count_up_to(keys, n, pivot) if coarse else np.int64(0)
        if count == rank + 1 or not coarse:
            coarse = False
            count, below, above = neighbours(keys, n, pivot)
        passes += 1
        if count == rank + 1:
            return below, above
        if count > rank:
            high, high_count, high_met = below, count, True
        else:
            low, low_count, low_met = above, count, True
        if low == high or (count == rank and not pair and not coarse):
            return low, low
        if count == rank:
            pivot = low
        elif passes > 6 and passes % 2:  # a heavy tail or many ties: halving the keys always ends
            pivot = keys.dtype.type((low >> 1) + (high >> 1) + (low & high & 1))
        else:
            # The best pivot lies between the two keys that are wanted: half a rank above the first.
            if low_met and high_met:
                part = (rank + 0.5 - low_count) / (high_count - 1 - low_count)
                start, end = np.float64(value_of(low)), np.float64(value_of(high))
                value = start + part * (end - start)
            elif low_met:
                value = np.float64(value_of(low)) + (rank + 0.5 - low_count) * slope
            else:
                value = np.float64(value_of(high)) - (high_count - rank - 1.5) * slope
            slope *= 2.0  # still on one side after the next pass: the guess was too small
            pivot = key_of(value, keys)
            if pivot >= high:
                pivot = keys.dtype.type(high - 1)
            if pivot < low:
                pivot = low


@part
def middle_keys(keys, n, good, below, used):  # type: ignore[no-untyped-def]
    """The two middle keys (twice the same if odd) of ``used`` keys that follow the ``below`` smallest of ``good``."""
    rank = below + (used - 1) // 2
    pair = used % 2 == 0
    pivot, slope = guess_rank(keys, n, good, rank)
    first, second = ranked_keys(keys, n, good, rank, pair, pivot, slope, COARSE)
    return first, (second if pair else first)


@part
def seeded_middle_keys(keys, n, good, pivot, slope):  # type: ignore[no-untyped-def]
    """The two middle keys (twice the same if odd), from a first guess; a slope of NaN asks for a new guess."""
    rank = (good - 1) // 2
    if slope != slope:
        pivot, slope = guess_rank(keys, n, good, rank)
    first, second = ranked_keys(keys, n, good, rank, good % 2 == 0, pivot, slope, COARSE)
    return first, (second if good % 2 == 0 else first), slope


@part
def center_value(first, second):  # type: ignore[no-untyped-def]
    """Mean, in double precision, of the values of two keys."""
    return 0.5 * np.float64(value_of(first)) + 0.5 * np.float64(value_of(second))


@part
def half_sum(first, second):  # type: ignore[no-untyped-def]
    """Mean of the values of two keys in the pixels' own precision, to the bit as `numpy.median` has it."""
    total = value_of(first) + value_of(second)
    return total * np.float32(0.5)  # halving is exact, and this factor keeps the type


@part
def median(keys, n, good):  # type: ignore[no-untyped-def]
    """Median of the good keys' values: the mean of the middle two if their number is even, NaN if there is none."""
    if good == 0:
        return np.nan
    first, second = middle_keys(keys, n, good, np.int64(0), good)
    return center_value(first, second)


@part
def finite_interval(keys):  # type: ignore[no-untyped-def]
    """Smallest and largest key of finite values."""
    top = keys.dtype.type(infinity_key(keys) - 1)
    return keys.dtype.type(-top - 1), top


@part
def key_interval(keys, lower, upper, strict):  # type: ignore[no-untyped-def]
    """Smallest and largest key whose values lie in ``lower … upper``, the ends included unless ``strict``."""
    low, high = key_of(lower, keys), key_of(upper, keys)
    value = np.float64(value_of(low))
    if value < lower or (strict and value == lower):
        low = keys.dtype.type(low + 1)
    value = np.float64(value_of(high))
    if value > upper or (strict and value == upper):
        high = keys.dtype.type(high - 1)
    return low, high


@part
def count_interval(keys, n, low, high):  # type: ignore[no-untyped-def]
    """How many keys are smaller than ``low``, and how many lie in ``low … high``."""
    one = keys.dtype.type(1)
    zero = keys.dtype.type(0)
    below, inside = zero, zero
    for i in range(n):
        key = keys[i]
        below = keys.dtype.type(below + (one if key < low else zero))
        inside = keys.dtype.type(inside + (one if (key >= low) & (key <= high) else zero))
    return np.int64(below), np.int64(inside)


@part
def clear(lanes):  # type: ignore[no-untyped-def]
    """Set one row of lanes to zero."""
    for lane in range(LANES):
        lanes[INDEX(lane)] = 0.0


@emit(ARRAY)
def _fold(builder, lanes):  # type: ignore[no-untyped-def]
    from tsogrid.kernels import eight_instructions

    eight_instructions.fold(builder, lanes, LANES)


@part
def fold(lanes):  # type: ignore[no-untyped-def]
    """Sum of one row of lanes, by halves."""
    _fold(lanes)
    return lanes[0]


@part
def interval_moments(keys, n, low, high, center, lanes):  # type: ignore[no-untyped-def]
    """Σ (v − center) and Σ (v − center)² of the values in an interval of keys; ``lanes``: scratch, two rows of LANES."""
    first, second = lanes[0], lanes[1]
    clear(first)
    clear(second)
    for start in range(0, n, LANES):
        for lane in range(min(LANES, n - start)):
            key = keys[INDEX(start + lane)]
            difference = np.float64(value_of(key)) - center
            difference = difference if (key >= low) & (key <= high) else 0.0
            first[INDEX(lane)] += difference
            second[INDEX(lane)] += difference * difference
    return fold(first), fold(second)


@emit(ARRAY, WHOLE, WHOLE, ARRAY, PLACE, PLACE, ARRAY)
def _sum_squares(builder, keys, low, high, error, at, runs, lanes):  # type: ignore[no-untyped-def]
    from tsogrid.kernels import eight_instructions

    eight_instructions.sum_squares(builder, keys, low, high, error, at, runs, lanes, LANES)


@part
def interval_variance(keys, n, low, high, error, offset, lanes):  # type: ignore[no-untyped-def]
    """Σ σ² of the entries in an interval of keys; entry i has ``error[offset + i]``; ``lanes`` as in interval_moments."""
    total = lanes[0]
    whole = n - n % LANES
    _sum_squares(keys, low, high, error, INDEX(offset), INDEX(n // LANES), total)
    for lane in range(n - whole):
        key = keys[INDEX(whole + lane)]
        sigma = np.float64(error[INDEX(offset + whole + lane)])
        total[INDEX(lane)] += sigma * sigma if (key >= low) & (key <= high) else 0.0
    return fold(total)


@part
def deviation_keys(keys, n, low, high, center, deviations):  # type: ignore[no-untyped-def]
    """Write the keys of |v − center|, rounded to the pixels' precision, of an interval; all others become bad."""
    bad = bad_key(keys)
    for i in range(n):
        key = keys[i]
        deviation = key_of(abs(np.float64(value_of(key)) - center), keys)
        deviations[i] = deviation if (key >= low) & (key <= high) else bad


@part
def median_deviation(keys, n, low, high, used, center, deviations):  # type: ignore[no-untyped-def]
    """Median of |v − center| (unscaled) of the ``used`` entries in an interval of keys; ``deviations`` is scratch."""
    deviation_keys(keys, n, low, high, center, deviations)
    return median(deviations, n, used)
