"""The pixels of a cut-out on their way to scratch in double precision, and of its model on their way back.

By eight neighbours; a row has at least as many. The last eight of a row that is no multiple of eight begin inside the eight
before them, and are worked out twice: nothing beyond a row is read or written.
"""

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import INDEX
from tsogrid.kernels.vectors import (
    WIDTH,
    as_single,
    fill,
    load,
    load_as_double,
    load_bits,
    number_of,
    ramp,
    store,
    store_bit,
    store_rounded,
    total_of,
    where,
)


@part
def load_cutout(data, region, start, w, h, pitch, values, marks):  # type: ignore[no-untyped-def]
    """Copy a cut-out, 0 and no mark where a pixel must not be fitted; how many may be.

    Parameters
    ----------
    data, region : all cut-outs, flat; ``region`` as uint8.
    start : the pixel with which this one begins.
    w, h : its width and height.
    pitch : from row to row of scratch.
    values, marks : flat; overwritten.
    """
    points, one = 0, np.uint8(1)
    for j in range(h):
        row, scratch = start + j * w, j * pitch
        for i in range(0, w, WIDTH):
            at = min(i, w - WIDTH)
            value = load_as_double(data, INDEX(row + at))
            good = load_bits(region, INDEX(row + at), one) & (abs(value) < np.inf)
            store(values, INDEX(scratch + at), where(good, value, 0.0))
            store_bit(marks, INDEX(scratch + at), one, good)
            points += number_of(good if at == i else good & (ramp() > i - at - 0.5))
    return points


@part
def store_model(data, start, w, h, pitch, values, marks, singles, model):  # type: ignore[no-untyped-def]
    """Write the model, which is what was taken off; about the sum of |what is left| where a pixel may be fitted.

    ``singles`` becomes |what is left| in single precision, NaN at other pixels.
    """
    total, one = fill(0.0), np.uint8(1)
    for j in range(h):
        row, scratch = start + j * w, j * pitch
        for i in range(0, w, WIDTH):
            at = min(i, w - WIDTH)
            value, left = load_as_double(data, INDEX(row + at)), load(values, INDEX(scratch + at))
            good = load_bits(marks, INDEX(scratch + at), one)
            store_rounded(model, INDEX(row + at), where(good, value, 0.0) - left)
            size = where(good, abs(left), np.nan)
            store(singles, INDEX(scratch + at), as_single(size))
            total = where(good, total + size, total)
    return total_of(total)


@part
def store_kept(kept, start, w, h, pitch, marks, directions):  # type: ignore[no-untyped-def]
    """Write which pixels the last fit of every direction was made to."""
    for d in range(directions):
        cutouts, shift = d * (kept.size // directions), np.uint8(d + 1)
        for j in range(h):
            row, scratch = cutouts + start + j * w, j * pitch
            for i in range(w):
                kept[INDEX(row + i)] = np.uint8(np.uint8(marks[INDEX(scratch + i)] >> shift) & np.uint8(1))
