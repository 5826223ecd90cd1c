"""What belongs to the even and to the odd columns of an amplifier: the median of all their pixels away from every source.

The keys of a frame are packed once, even columns beside odd ones, and counted where they lie. Masks of several sizes hide
one pixel after the other, so that a larger one goes on from what the smaller one left. Medians are looked for where that
of the smaller mask, or of the frame before, was found; the starting point cannot change the result.
"""

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.disc import disc_columns, touches_frame
from tsogrid.kernels.eights import prefetch
from tsogrid.kernels.statistics import INDEX, SAMPLE, as_bits, bad_key, half_sum, infinity_key, mask_keys, seeded_middle_keys

AHEAD = np.int64(8)  # rows that are asked for while one is packed


def column_parity_levels(
    data: NDArray[np.floating],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    ranges: NDArray[np.int64],
    mask_radii: NDArray[np.float64],
) -> NDArray[np.floating]:
    """Median over all rows of each amplifier's even, and of its odd columns, for each of several masks.

    Which of both are even makes no difference: every second column is
    like the first one, the others like the second.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous; pixels that are not finite are bad.
    x, y : (n, ns) array of float64
        Positions of the sources in pixels; NaN hides nothing.
    ranges : (na, 2) array of int64
        First column, and one past the last, of each amplifier.
    mask_radii : (m,) array of float64
        Pixels at d ≤ radius from a source are hidden, in pixels; ascending.

    Returns
    -------
    (m, n, 1, nx) array
        Of the data's type; 0 in columns of no amplifier, or without a good pixel.
    """
    n, ny, nx = data.shape
    bits = as_bits(data)
    level = np.zeros((len(mask_radii), n, 1, nx), data.dtype)
    packed = np.empty((2, ny * (nx // 2 + 1) + SAMPLE), bits.dtype)
    _parity_medians(bits, ny, x, y, ranges, mask_radii, packed, level)
    return level


@part
def hidden_columns(row, x, y, start, stop, shape, radius):  # type: ignore[no-untyped-def]
    """First column, and one past the last, of ``start`` … ``stop`` − 1 that lie in a row within the radius of a source."""
    ny, nx = shape
    if not abs(row - y) <= radius or not touches_frame(x, y, radius, ny, nx):
        return start, start
    left, right = disc_columns(x, row - y, radius, True, nx)
    return max(left, start), min(right, stop)


@part
def _pack_row(bits, at, count, even, odd, place):  # type: ignore[no-untyped-def]
    """Write the keys of ``count`` pairs of pixels; return how many of the first, and of the second, are good."""
    bad, infinite = bad_key(even), infinity_key(even)
    one, zero = even.dtype.type(1), even.dtype.type(0)
    first, second = zero, zero
    for i in range(count):
        pattern = bits[INDEX(at + 2 * i)]
        finite = (pattern & bad) < infinite
        key = pattern ^ bad if pattern < 0 else pattern
        even[INDEX(place + i)] = key if finite else bad
        first = even.dtype.type(first + (one if finite else zero))
        pattern = bits[INDEX(at + 2 * i + 1)]
        finite = (pattern & bad) < infinite
        key = pattern ^ bad if pattern < 0 else pattern
        odd[INDEX(place + i)] = key if finite else bad
        second = even.dtype.type(second + (one if finite else zero))
    return np.int64(first), np.int64(second)


@part
def _pack_last(bits, at, keys, place):  # type: ignore[no-untyped-def]
    bad, infinite = bad_key(keys), infinity_key(keys)
    pattern = bits[INDEX(at)]
    finite = (pattern & bad) < infinite
    key = pattern ^ bad if pattern < 0 else pattern
    keys[INDEX(place)] = key if finite else bad
    return np.int64(1 if finite else 0)


@kernel
def _parity_medians(bits, ny, x, y, ranges, radii, packed, level):  # type: ignore[no-untyped-def]
    nx, line = level.shape[3], 64 // bits.itemsize
    good, length = np.zeros(2, np.int64), np.zeros(2, np.int64)
    pivots, slopes = np.zeros((2, ranges.shape[0]), bits.dtype), np.full((2, ranges.shape[0]), np.nan)
    for frame in range(level.shape[1]):
        for amplifier in range(ranges.shape[0]):
            start, stop = ranges[amplifier, 0], ranges[amplifier, 1]
            width = stop - start
            # the first column, the third and so on are packed as 0, the others as 1
            length[0], length[1] = (width + 1) // 2, width // 2
            good[:] = 0
            for row in range(ny):
                at = (frame * ny + row) * nx + start
                for i in range(0, width, line):  # rows of an amplifier lie apart: the processor does not foresee them
                    prefetch(bits, INDEX(at + AHEAD * nx + i))
                # rows of both lie equally far apart; where one column is left over, one bad key fills the other's
                place = row * length[0]
                first, second = _pack_row(bits, at, length[1], packed[0], packed[1], place)
                good[0] += first
                good[1] += second
                if width % 2:
                    good[0] += _pack_last(bits, at + width - 1, packed[0], place + length[1])
                    packed[1, place + length[1]] = bad_key(packed)
            for k in range(radii.size):  # ascending: what one hides the next one does, too
                for odd in range(2):
                    before = good[odd]
                    for source in range(x.shape[1]):
                        center = y[frame, source]
                        if not abs(center) < np.inf:
                            continue
                        low = np.int64(min(max(np.floor(center - radii[k]), 0.0), np.float64(ny)))
                        high = np.int64(min(max(np.ceil(center + radii[k]) + 1.0, 0.0), np.float64(ny)))
                        for row in range(low, high):
                            left, right = hidden_columns(row, x[frame, source], center, start, stop, (ny, nx), radii[k])
                            if left < right:
                                place = row * length[0]
                                begin, end = (left - start - odd + 1) // 2, (right - start - odd + 1) // 2
                                good[odd] -= mask_keys(packed[odd], place + begin, place + end)
                    if good[odd] == 0:
                        continue
                    first_column = start + odd
                    if k > 0 and good[odd] == before:
                        value = level[k - 1, frame, 0, first_column]
                    else:
                        one, two, slope = seeded_middle_keys(
                            packed[odd], ny * length[0], good[odd], pivots[odd, amplifier], slopes[odd, amplifier]
                        )
                        pivots[odd, amplifier], slopes[odd, amplifier] = one, slope
                        value = half_sum(one, two)
                    for column in range(first_column, stop, 2):
                        level[k, frame, 0, column] = value
