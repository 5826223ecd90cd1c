"""Clipping about the median: which values are left, as an interval of keys (see `tsogrid.kernels.statistics`)."""

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import (
    FINE,
    center_value,
    count_interval,
    finite_interval,
    interval_moments,
    key_interval,
    key_of,
    ranked_keys,
    seeded_middle_keys,
    value_of,
)

CLIP_SIGMA = 3.0
CLIP_PASSES = 10


@part
def clipped_interval(keys, n, good, lanes, pivot, slope):  # type: ignore[no-untyped-def]
    """Interval of keys that clipping leaves, the number of keys in it, and their median.

    As ``astropy.stats.sigma_clip`` with ``cenfunc="median"``, ``stdfunc="std"``: values farther than three standard
    deviations (about the mean, divided by N) from the median are taken off, until none is or after ten passes. The median
    is looked for from a first guess (see `seeded_middle_keys`) on; returned are two more, for the next one's.
    """
    low, high = finite_interval(keys)
    if good == 0:
        return low, high, good, np.nan, pivot, slope
    used = good
    first_key, second_key, slope = seeded_middle_keys(keys, n, good, pivot, slope)
    center = center_value(first_key, second_key)
    found, both = (good - 1) // 2, good % 2 == 0  # which rank the first key has, and whether the second is the next one's
    for _ in range(CLIP_PASSES):
        first, second = interval_moments(keys, n, low, high, center, lanes)
        shift = first / used
        reach = CLIP_SIGMA * np.sqrt(max(0.0, second / used - shift * shift))
        lower, upper = key_interval(keys, center - reach, center + reach, np.bool_(False))
        low, high = max(low, lower), min(high, upper)
        below, left = count_interval(keys, n, low, high)
        if left == used:
            break
        used = left
        rank, pair = below + (used - 1) // 2, used % 2 == 0
        if rank != found or (pair and not both):  # few values are taken off, often as many on both sides
            start = first_key
            if rank != found:
                start = key_of(np.float64(value_of(first_key)) + (rank - found + 0.5) * slope, keys)
            first_key, second_key = ranked_keys(keys, n, good, rank, pair, start, slope, FINE)
            found, both = rank, pair
        center = center_value(first_key, second_key if pair else first_key)
    return low, high, used, center, first_key, slope
