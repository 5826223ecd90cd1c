"""Sums along the lists of `tsogrid.kernels.circles`, over a copy of the box that the lists count in.

With the copy go sums of its columns, outward from the row of the centre: what a circle covers whole of a column is one of
them, or two. So a pixel is added once for all circles, and nothing is subtracted: a huge pixel beside a circle costs it no
digits.
"""

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.eights import EIGHT, load_good, load_squares, prefetch
from tsogrid.kernels.statistics import INDEX


@part
def _outward(m, axis, first, stop, columns):  # type: ignore[no-untyped-def]
    """The m-th row outward, from the centre's row down, then up: the row, where it begins, and where the one before does."""
    row = axis + m if axis + m < stop else stop - 1 - m
    before = row - 1 if row > axis else row + 1
    # past the last row are zeros
    before = stop if (row == axis) | (before == axis) & (row < before) else before
    return row, (row - first) * columns, (before - first) * columns


@part
def _clear_before(box, outward, other):  # type: ignore[no-untyped-def]
    columns = box[3] - box[2]
    for i in range((box[1] - box[0]) * columns, (box[1] - box[0] + 1) * columns):
        outward[i] = other[i] = 0.0


@part
def read_box(data, error, frame, box, next_frame, next_box, value, variance, outward, outward_variance):  # type: ignore[no-untyped-def]
    """Copy a box, 0 where a pixel is bad, and its variances if there are errors; return whether a pixel is bad.

    The last two become the sums of each column, from the centre's row or the one above it to each pixel. The box that is
    read next is asked for meanwhile.
    """
    bad = np.int64(0)
    _clear_before(box, outward, outward_variance)
    ny, nx = data.shape[1], data.shape[2]
    first, stop, left, columns, axis = box[0], box[1], box[2], box[3] - box[2], box[4]
    to_next = ((next_frame - frame) * ny + next_box[0] - first) * nx + next_box[2] - left
    for m in range(stop - first):
        row, place, before = _outward(m, axis, first, stop, columns)
        corner = (frame * ny + row) * nx + left
        for start in range(0, columns + 2 * EIGHT - 1, 2 * EIGHT):
            # every second eight are a cache line; the last begins anywhere
            at = corner + to_next + min(start, columns - 1)
            prefetch(data, INDEX(at))
            if error.size > 0:
                prefetch(error, INDEX(at))
        for start in range(0, columns, EIGHT):
            if columns >= EIGHT:
                # the last eight begin sooner: some are written twice, the same
                i = min(start, columns - EIGHT)
                bad |= load_good(data, INDEX(corner + i), value, outward, INDEX(place + i), INDEX(before + i))
                if error.size > 0:
                    load_squares(
                        data,
                        error,
                        INDEX(corner + i),
                        variance,
                        outward_variance,
                        INDEX(place + i),
                        INDEX(before + i),
                    )
                continue
            for i in range(columns):
                pixel = np.float64(data[frame, row, left + i])
                finite = pixel - pixel == 0.0
                value[place + i] = pixel if finite else 0.0
                outward[place + i] = outward[before + i] + value[place + i]
                bad |= np.int64(0) if finite else np.int64(1)
                if error.size > 0:
                    sigma = np.float64(error[frame, row, left + i])
                    variance[place + i] = sigma * sigma if finite else 0.0
                    outward_variance[place + i] = outward_variance[before + i] + variance[place + i]
    return bad != 0


@part
def mark_box(data, frame, box, good, bad, outward_good, outward_bad):  # type: ignore[no-untyped-def]
    """As `read_box`, of 1 where a pixel is good, else 0; and of the contrary."""
    _clear_before(box, outward_good, outward_bad)
    first, stop, left, columns, axis = box[0], box[1], box[2], box[3] - box[2], box[4]
    for m in range(stop - first):
        row, place, before = _outward(m, axis, first, stop, columns)
        for i in range(columns):
            pixel = np.float64(data[frame, INDEX(row), INDEX(left + i)])
            mark = 1.0 if pixel - pixel == 0.0 else 0.0
            good[INDEX(place + i)] = mark
            bad[INDEX(place + i)] = 1.0 - mark
            outward_good[INDEX(place + i)] = outward_good[INDEX(before + i)] + mark
            outward_bad[INDEX(place + i)] = outward_bad[INDEX(before + i)] + 1.0 - mark


@part
def all_good(data, frame, box):  # type: ignore[no-untyped-def]
    """Whether every pixel of a box is good."""
    bad = np.int64(0)
    for row in range(box[0], box[1]):
        for column in range(box[2], box[3]):
            pixel = data[INDEX(frame), INDEX(row), INDEX(column)]
            bad += np.int64(0) if pixel - pixel == 0.0 else np.int64(1)
    return bad == 0


@part
def mark_good(data, frame, box, good):  # type: ignore[no-untyped-def]
    """Fill a box with 1 where a pixel is good, else 0."""
    columns = box[3] - box[2]
    for row in range(box[0], box[1]):
        offset = (row - box[0]) * columns - box[2]
        for column in range(box[2], box[3]):
            pixel = data[INDEX(frame), INDEX(row), INDEX(column)]
            good[INDEX(offset + column)] = 1.0 if pixel - pixel == 0.0 else 0.0


@part
def sum_circles(pixel, weight, first, end, run, value, other, outward, outward_other, power, out):  # type: ignore[no-untyped-def]
    """Sums of both boxes over every circle: of the first with the weights, of the other with their power 2, 1 or 0.

    Sums have two strands, so that no addition waits for the one before.
    """
    for k in range(out.shape[1]):
        whole = next_whole = whole_other = next_other = 0.0
        last = run[k + 1] - 1
        for m in range(run[k], last, 2):
            at, beside = INDEX(end[INDEX(m)]), INDEX(end[INDEX(m + 1)])
            whole += outward[at]
            next_whole += outward[beside]
            whole_other += outward_other[at]
            next_other += outward_other[beside]
        if (last - run[k]) % 2 == 0 and last >= run[k]:
            at = INDEX(end[INDEX(last)])
            whole += outward[at]
            whole_other += outward_other[at]
        edge = next_edge = edge_other = next_edge_other = 0.0
        last = first[k + 1] - 1
        for m in range(first[k], last, 2):
            at, beside = INDEX(pixel[INDEX(m)]), INDEX(pixel[INDEX(m + 1)])
            here, there = weight[INDEX(m)], weight[INDEX(m + 1)]
            edge += here * value[at]
            next_edge += there * value[beside]
            edge_other += (here * here if power == 2 else here if power == 1 else 1.0) * other[at]
            next_edge_other += (there * there if power == 2 else there if power == 1 else 1.0) * other[beside]
        if (last - first[k]) % 2 == 0 and last >= first[k]:
            at, here = INDEX(pixel[INDEX(last)]), weight[INDEX(last)]
            edge += here * value[at]
            edge_other += (here * here if power == 2 else here if power == 1 else 1.0) * other[at]
        out[0, k] = (whole + next_whole) + (edge + next_edge)
        out[1, k] = (whole_other + next_other) + (edge_other + next_edge_other)
