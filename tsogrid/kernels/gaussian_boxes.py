"""The boxes of Gaussian fits, one in each lane: where they lie, their pixels, and the noise that errors tell of these.

The boxes that come next are asked for while these are read: they lie in as many places of memory as they have rows.
"""

import math

import numpy as np

from tsogrid.kernels.box import box_start
from tsogrid.kernels.compile import part
from tsogrid.kernels.eights import prefetch
from tsogrid.kernels.statistics import INDEX
from tsogrid.kernels.vectors import LANES, any_of, load_lines, read, spread, store_turned, where, write

FIXED, ERROR, MODEL_OF_ERROR, MODEL_OF_GAIN = 0, 1, 2, 3
# A model may fall below the faintest pixel of the box; its variance may not fall to nothing.
_FLOOR = 0.1
_HUGE = 1e200  # a variance whose square is beyond all numbers


@part
def place_boxes(x, y, first, ny, nx, data, corners, limits):  # type: ignore[no-untyped-def]
    """Find the boxes of the sources from number ``first`` on, and the range of their centres; return whether there is one.

    A lane without a box takes the pixels of another (so that all can be read alike), and the range NaN.
    """
    rows, columns = data.shape[1], data.shape[2]
    some = -1
    for lane in range(LANES):
        corners[0, lane] = -1
        limits[:, lane] = np.nan
        index = first + lane
        if index >= x.size:
            continue
        frame, source = index // x.shape[1], index % x.shape[1]
        if math.isnan(x[frame, source]) or math.isnan(y[frame, source]):
            continue
        left, low = box_start(x[frame, source], nx), box_start(y[frame, source], ny)
        if left >= columns or low >= rows or left + nx <= 0 or low + ny <= 0:
            continue
        some = lane
        corners[0, lane], corners[1, lane], corners[2, lane] = frame, low, left
        corners[3, lane] = (frame * rows + low) * columns + left
        limits[0, lane], limits[1, lane] = max(0, -left) - 0.5, min(nx, columns - left) - 0.5
        limits[2, lane], limits[3, lane] = max(0, -low) - 0.5, min(ny, rows - low) - 0.5
    for lane in range(LANES):
        if some >= 0 and corners[0, lane] < 0:
            for k in range(4):
                corners[k, lane] = corners[k, some]
    return some >= 0


@part
def _copy_rows(frames, corners, inside, j, nx, target):  # type: ignore[no-untyped-def]
    """Copy row j of every box into its lane, NaN outside the frame; ``inside``: all boxes lie inside."""
    first = j * nx
    if inside and nx >= LANES:
        across = j * frames.shape[2]
        for i in range(0, nx - LANES, LANES):
            store_turned(target, LANES * (first + i), load_lines(frames, corners[3], across + i))
        last = nx - LANES  # some of them once more
        store_turned(target, LANES * (first + last), load_lines(frames, corners[3], across + last))
        return
    for lane in range(LANES):
        frame, row, left = corners[0, lane], corners[1, lane] + j, corners[2, lane]
        whole = frame >= 0 and 0 <= row < frames.shape[1]
        for i in range(nx):
            if whole and 0 <= left + i < frames.shape[2]:
                target[first + i, lane] = frames[frame, row, left + i]
            else:
                target[first + i, lane] = np.nan


@part
def _ask_for_rows(frames, corners, j, nx):  # type: ignore[no-untyped-def]
    """Ask for the memory of row j of every box, a cache line at a time."""
    line = 64 // frames.itemsize
    count = 1 + (nx + line - 2) // line  # the last pixel may lie in one more
    for lane in range(corners.shape[1]):
        first = corners[3, lane] + j * frames.shape[2]
        for k in range(count):
            prefetch(frames, INDEX(first + min(k * line, nx - 1)))


@part
def _copy_edge(value, j, ny, nx, edge, count):  # type: ignore[no-untyped-def]
    """Copy what of row j lies on the edge of the box behind the first ``count`` pixels; return how many there are then."""
    step = 1 if j == 0 or j == ny - 1 else max(1, nx - 1)
    for i in range(0, nx, step):
        write(edge, count, read(value, j * nx + i))
        count += 1
    return count


@part
def _origin_of_row(value, first, nx, origin):  # type: ignore[no-untyped-def]
    """The first finite pixel of a row, in the lanes that have none so far."""
    for k in range(first, first + nx):
        if not any_of(~(origin - origin == 0.0)):
            break
        origin = where(origin - origin == 0.0, origin, read(value, k))
    return origin


@part
def load_boxes(data, error, corners, following, ny, nx, weighting, value, base, variance, edge, noise):  # type: ignore[no-untyped-def]
    """Copy boxes to float64, with weights before the model is known, and fit their noise.

    Parameters
    ----------
    data, error : frames (n, rows, columns); error is not read if weighting does not need it.
    corners : (4, LANES) frame (−1: none), first row and first column of each box, which may lie outside the frame, and the
    number of its first pixel among all.
    following : (4, LANES) the same of the boxes that come next.
    ny, nx : rows and columns of a box.
    weighting : FIXED (1), ERROR (1 / error²), or MODEL_OF_ERROR or MODEL_OF_GAIN (1, to be divided by a variance).
    value, base, variance : (ny · nx, LANES), overwritten; 0 where a pixel is bad. variance, error², only if errors are read.
    edge : (ny · nx, LANES), whose first vectors become the pixels on the edge of the box, good or bad.
    noise : (3, LANES) variance at zero, slope, floor; overwritten for MODEL_OF_ERROR by the line through error², data.

    Returns
    -------
    Vector, int64
        How many pixels are good, and how many lie on the edge.
    """
    with_error = weighting in (ERROR, MODEL_OF_ERROR)
    inside = True
    for lane in range(LANES):
        inside = inside and corners[0, lane] >= 0
        inside = inside and 0 <= corners[1, lane] <= data.shape[1] - ny and 0 <= corners[2, lane] <= data.shape[2] - nx
    count, smallest = spread(0.0), spread(_HUGE)
    s, sd, sdd, sv, sdv = spread(0.0), spread(0.0), spread(0.0), spread(0.0), spread(0.0)
    # Data are counted from some pixel, so that a high level costs no digits.
    origin = spread(np.nan)
    on_edge = np.int64(0)
    for j in range(ny):
        _ask_for_rows(data, following, j, nx)
        _copy_rows(data, corners, inside, j, nx, value)
        on_edge = _copy_edge(value, j, ny, nx, edge, on_edge)
        if not with_error:
            for k in range(j * nx, (j + 1) * nx):
                pixel = read(value, k)
                good = pixel - pixel == 0.0
                weight = where(good, 1.0, spread(0.0))
                count += weight
                write(value, k, where(good, pixel, 0.0))
                write(base, k, weight)
            continue
        _ask_for_rows(error, following, j, nx)
        _copy_rows(error, corners, inside, j, nx, variance)
        origin = _origin_of_row(value, j * nx, nx, origin)
        known = where(origin - origin == 0.0, origin, 0.0)
        for k in range(j * nx, (j + 1) * nx):
            pixel, sigma = read(value, k), read(variance, k)
            square = sigma * sigma
            good = ((pixel - pixel) + (square - square) == 0.0) & (square > 0.0)
            # A bad pixel weighs nothing by its variance alone.
            square = where(good, square, _HUGE)
            inverse = 1.0 / square
            pixel = where(good, pixel, 0.0)
            one = where(good, 1.0, spread(0.0))
            count += one
            smallest = where(square < smallest, square, smallest)
            write(value, k, pixel)
            write(base, k, where(good, inverse, 0.0) if weighting == ERROR else one)
            write(variance, k, square)
            # The relative scatter of a variance is what is alike for all pixels.
            d, w = pixel - known, inverse * inverse
            wd = w * d
            s += w
            sd += wd
            sdd += wd * d
            sv += inverse
            sdv += inverse * d
    if weighting == MODEL_OF_ERROR:
        determinant = s * sdd - sd * sd
        slope = (s * sdv - sd * sv) / determinant
        slope = where((determinant > 1e-10 * s * sdd) & (slope > 0.0), slope, 0.0)
        write(noise, 0, (sv - slope * sd) / s - slope * known)
        write(noise, 1, slope)
        write(noise, 2, _FLOOR * smallest)
    return count, on_edge
