"""The pixels of concentric circles: which are covered whole, which in part, and by how much, exactly.

One walk over the rows of a circle gives, for every row, the run of columns that the circle covers whole (the
half chord at the row's far edge) and, left and right of it, the few pixels that its edge crosses. The overlap
of such a pixel follows from the points where the edge enters and leaves it: a rectangle, a trapezoid and the
segment between chord and arc. Each point is a half chord at one grid line, so a circle needs one square root
a grid line. Where a pixel lies across an axis of the circle it is treated as two parts, so that every arc
stays in one quadrant and spans at most a right angle.

Circles come in ascending order, hence the whole pixels of one contain those of the one before: only the runs
that a circle adds are listed, every pixel is summed once for all circles, and nothing is ever subtracted, so
a huge pixel next to an aperture costs the aperture no digits. All coordinates are differences from the
centre, counted from the pixel nearest to it: the same source in a stamp and in the whole frame gives the same
bits.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import part

# asin(s) − s √(1 − s²) = s³ Σ c_n s²ⁿ, from integrating 2 s²/√(1 − s²) term by term
_SERIES = tuple(2.0 * math.comb(2 * n, n) / (4.0**n * (2 * n + 3)) for n in range(14))

# Loops over a multiple of this run in vector instructions to their end; scratch has room for the surplus,
# which nobody reads.
_LANES = 16
# Below this radius a pixel may meet more than two quadrants, and the series would need more terms: pixels are
# taken one by one.
_SMALL = 2.0
# From this radius on a chord inside a pixel has s² ≤ 2/(4 r²) ≤ 1/128, where six terms of the series reach 1e-15.
_LARGE = 8.0


class CirclePixels(NamedTuple):
    """Scratch that holds the pixels of all circles about one centre; pixels are counted through the box, row by row.

    ``pixel[m]``, ``weight[m]`` with m from ``first[k]`` to ``first[k + 1]`` are the pixels that the edge of
    circle k crosses, in row order; ``start[m]``, ``stop[m]`` with m from ``run[k]`` to ``run[k + 1]`` are the
    runs of pixels that circle k covers whole and circle k − 1 did not, in row order. The other arrays are
    used while these are made.
    """

    pixel: NDArray[np.uint32]
    weight: NDArray[np.float64]
    first: NDArray[np.int64]
    start: NDArray[np.uint32]
    stop: NDArray[np.uint32]
    run: NDArray[np.int64]
    part: NDArray[np.float64]
    pair: NDArray[np.int64]
    column_edge: NDArray[np.float64]
    row_edge: NDArray[np.float64]
    column_chord: NDArray[np.float64]
    row_chord: NDArray[np.float64]
    covered: NDArray[np.int64]


def circle_pixels(radii: NDArray[np.float64], ny: int, nx: int) -> CirclePixels:
    """Room for the pixels of circles of these radii, wherever their centre lies.

    Parameters
    ----------
    radii : (nr,) array of float
        Radii in pixels, ascending.
    ny, nx : int
        Shape of the frame.

    Returns
    -------
    CirclePixels
        Uninitialised arrays, for `find_circle_pixels`.
    """
    # A circle crosses about 8 r pixels; a row may add one pixel of weight zero at each end, an axis a second part.
    rows = np.minimum(2.0 * np.ceil(radii) + 5.0, ny)
    columns = np.minimum(2.0 * np.ceil(radii) + 5.0, nx)
    edges = np.minimum(16.0 * (np.ceil(radii) + 4.0), 2.0 * rows * columns).astype(np.int64)
    runs = int(2 * rows.sum())
    return CirclePixels(
        pixel=np.zeros(int(edges.sum()), np.uint32),
        weight=np.zeros(int(edges.sum()) + _LANES),
        first=np.zeros(radii.size + 1, np.int64),
        start=np.zeros(runs, np.uint32),
        stop=np.zeros(runs, np.uint32),
        run=np.zeros(radii.size + 1, np.int64),
        part=np.zeros((4, int(edges.max()) + _LANES)),
        pair=np.zeros(int(edges.max()), np.int64),
        column_edge=np.zeros(int(columns.max()) + 1 + _LANES),
        row_edge=np.zeros(int(rows.max()) + 1 + _LANES),
        column_chord=np.zeros(int(columns.max()) + 1 + _LANES),
        row_chord=np.zeros(int(rows.max()) + 1 + _LANES),
        covered=np.zeros((int(rows.max()), 2), np.int64),
    )


@part
def nearest_pixel(position):  # type: ignore[no-untyped-def]
    """The pixel (as a float) that holds a position; exact, where floor(position + 0.5) may round up."""
    whole = np.floor(position)
    return whole + 1.0 if position - whole >= 0.5 else whole


@part
def _touched(center, radius, axis, size):  # type: ignore[no-untyped-def]
    # limited as floats: positions and radii may exceed every integer
    first = np.floor(center - radius + 0.5) + axis
    stop = np.floor(center + radius + 0.5) + axis + 1.0
    return int(min(max(first, 0.0), float(size))), int(min(max(stop, 0.0), float(size)))


@part
def box_range(position, radius, size):  # type: ignore[no-untyped-def]
    """First pixel, and one past the last, along one axis of a box around a circle, one pixel wider and inside the frame."""
    nearest = nearest_pixel(position)
    return _touched(position - nearest, radius + 1.0, nearest, size)


@part
def _padded(count):  # type: ignore[no-untyped-def]
    return (count + _LANES - 1) & -_LANES


@part
def _half_chord(radius, distance):  # type: ignore[no-untyped-def]
    # the product keeps its digits near the circle's rim, where r² − d² would lose them
    return math.sqrt(max((radius - distance) * (radius + distance), 0.0))


@part
def _clamp(value, upper):  # type: ignore[no-untyped-def]
    return min(max(value, 0.0), upper)


@part
def _long_series(t):  # type: ignore[no-untyped-def]
    high = _SERIES[8] + t * (_SERIES[9] + t * (_SERIES[10] + t * (_SERIES[11] + t * (_SERIES[12] + t * _SERIES[13]))))
    high = _SERIES[4] + t * (_SERIES[5] + t * (_SERIES[6] + t * (_SERIES[7] + t * high)))
    return _SERIES[0] + t * (_SERIES[1] + t * (_SERIES[2] + t * (_SERIES[3] + t * high)))


@part
def _short_series(t):  # type: ignore[no-untyped-def]
    high = _SERIES[3] + t * (_SERIES[4] + t * _SERIES[5])
    return _SERIES[0] + t * (_SERIES[1] + t * (_SERIES[2] + t * high))


@part
def _quadrant_overlap(left, right, lower, upper, radius):  # type: ignore[no-untyped-def]
    """Overlap of a circle about (0, 0) with a rectangle of the first quadrant."""
    width, height = right - left, upper - lower
    enter_x = _clamp(_half_chord(radius, upper) - left, width)
    leave_x = _clamp(_half_chord(radius, lower) - left, width)
    enter_y = _clamp(_half_chord(radius, left) - lower, height)
    leave_y = _clamp(_half_chord(radius, right) - lower, height)
    chord2 = (leave_x - enter_x) ** 2 + (enter_y - leave_y) ** 2
    t = chord2 / (4.0 * radius * radius)
    if t <= 0.125:
        segment = chord2 * math.sqrt(chord2) / (8.0 * radius) * _long_series(t)
    else:
        s = math.sqrt(min(t, 0.5))
        segment = radius * radius * (math.asin(s) - s * math.sqrt(1.0 - s * s))
    return enter_x * height + (leave_x - enter_x) * (enter_y + leave_y) * 0.5 + segment


@part
def pixel_overlap(left, right, lower, upper, radius):  # type: ignore[no-untyped-def]
    """Area of the rectangle (left, right) × (lower, upper) inside a circle about (0, 0).

    Parameters
    ----------
    left, right, lower, upper : float
        Edges of the rectangle relative to the circle's centre, in pixels.
    radius : float
        Radius in pixels, positive.

    Returns
    -------
    float
        The area in square pixels, good to about 1e-15.
    """
    if max(-left, right) ** 2 + max(-lower, upper) ** 2 <= radius * radius:
        return (right - left) * (upper - lower)
    area = 0.0
    for horizontal in range(2):
        near_x, far_x = (max(left, 0.0), right) if horizontal == 0 else (max(-right, 0.0), -left)
        if far_x <= near_x or near_x >= radius:
            continue
        for vertical in range(2):
            near_y, far_y = (max(lower, 0.0), upper) if vertical == 0 else (max(-upper, 0.0), -lower)
            if far_y > near_y and near_y < radius:
                area += _quadrant_overlap(near_x, far_x, near_y, far_y, radius)
    return area


@part
def _part_overlaps(part, count, radius, weight):  # type: ignore[no-untyped-def]
    # Parts are one pixel high. Their rows: x where the arc meets the far and the near edge in y, y where it
    # meets the near and the far edge in x, all from the part's corner next to the centre. No branches: these
    # loops become vector instructions.
    far_x, near_x, near_y, far_y = part[0], part[1], part[2], part[3]
    scale, eighth = 1.0 / (4.0 * radius * radius), 1.0 / (8.0 * radius)
    if radius >= _LARGE:
        for m in range(count):
            step_x, step_y = near_x[m] - far_x[m], near_y[m] - far_y[m]
            chord2 = step_x * step_x + step_y * step_y
            segment = chord2 * math.sqrt(chord2) * eighth * _short_series(chord2 * scale)
            weight[m] = far_x[m] + step_x * (near_y[m] + far_y[m]) * 0.5 + segment
    else:
        for m in range(count):
            step_x, step_y = near_x[m] - far_x[m], near_y[m] - far_y[m]
            chord2 = step_x * step_x + step_y * step_y
            segment = chord2 * math.sqrt(chord2) * eighth * _long_series(chord2 * scale)
            weight[m] = far_x[m] + step_x * (near_y[m] + far_y[m]) * 0.5 + segment


@part
def _small_circle(radius, x, y, axis, rows, columns, pixels, index, weight):  # type: ignore[no-untyped-def]
    first_row, stop_row = _touched(y, radius, axis[0], rows)
    first_column, stop_column = _touched(x, radius, axis[1], columns)
    count = 0
    for row in range(first_row, stop_row):
        for column in range(first_column, stop_column):
            overlap = pixel_overlap(
                pixels.column_edge[column],
                pixels.column_edge[column + 1],
                pixels.row_edge[row],
                pixels.row_edge[row + 1],
                radius,
            )
            if overlap > 0.0:
                index[count] = row * columns + column
                weight[count] = overlap
                count += 1
    return count


@part
def _add_runs(row, begin, end, columns, runs, pixels):  # type: ignore[no-untyped-def]
    """List what the whole pixels (begin, end) of a row add to those of the smaller circles."""
    was_begin, was_end = pixels.covered[row, 0], pixels.covered[row, 1]
    if was_begin >= was_end:
        was_begin = was_end = end
    offset = row * columns
    if begin < was_begin:
        pixels.start[runs] = offset + begin
        pixels.stop[runs] = offset + was_begin
        runs += 1
    if was_end < end:
        pixels.start[runs] = offset + was_end
        pixels.stop[runs] = offset + end
        runs += 1
    pixels.covered[row, 0] = begin
    pixels.covered[row, 1] = end
    return runs


@part
def _large_circle(radius, x, y, axis, rows, columns, runs, pixels, index, weight):  # type: ignore[no-untyped-def]
    column_edge, row_edge = pixels.column_edge, pixels.row_edge
    column_chord, row_chord, part, pair = pixels.column_chord, pixels.row_chord, pixels.part, pixels.pair
    for edge in range(_padded(columns + 1)):
        column_chord[edge] = _half_chord(radius, abs(column_edge[edge]))
    for edge in range(_padded(rows + 1)):
        row_chord[edge] = _half_chord(radius, abs(row_edge[edge]))
    axis_row, axis_column = axis
    first_row, stop_row = _touched(y, radius, axis_row, rows)
    last_column = columns - 1.0
    count = pairs = 0
    for row in range(first_row, stop_row):
        # the half chords at the row's edges nearest to and farthest from the centre
        on_axis = row == axis_row
        near_y = 0.0 if on_axis else min(abs(row_edge[row]), abs(row_edge[row + 1]))
        near = radius if on_axis else max(row_chord[row], row_chord[row + 1])
        far = min(row_chord[row], row_chord[row + 1])
        # whole columns are begin … end − 1, touched ones left … right; counted from the pixel nearest to the centre
        begin = int(min(max(np.ceil(x - far + 0.5) + axis_column, 0.0), float(columns)))
        end = int(min(max(np.floor(x + far + 0.5) + axis_column, 0.0), float(columns)))
        left = int(max(np.floor(x - near + 0.5) + axis_column, 0.0))
        right = int(min(np.floor(x + near + 0.5) + axis_column, last_column))
        axis_whole = np.ceil(x - far + 0.5) <= 0.0 and np.floor(x + far + 0.5) >= 1.0
        if axis_whole and begin < end:
            runs = _add_runs(row, begin, end, columns, runs, pixels)
        if axis_whole and not on_axis and near - far <= 1.0 and begin >= 2 and end <= columns - 2:
            # One or two pixels on each side, as in most rows: a loop would cost more in mispredicted ends than in work.
            for side in range(2):
                column, outward = (begin - 1, 0) if side == 0 else (end, 1)
                edge = column + outward
                inner_x, outer_x = abs(column_edge[column + 1 - outward]), abs(column_edge[edge])
                inner_chord, chord = column_chord[column + 1 - outward], column_chord[edge]
                outer_chord = column_chord[edge + 2 * outward - 1]
                part[0, count] = _clamp(far - inner_x, 1.0)
                part[1, count] = _clamp(near - inner_x, 1.0)
                part[2, count] = _clamp(inner_chord - near_y, 1.0)
                part[3, count] = _clamp(chord - near_y, 1.0)
                index[count] = row * columns + column
                part[0, count + 1] = _clamp(far - outer_x, 1.0)
                part[1, count + 1] = _clamp(near - outer_x, 1.0)
                part[2, count + 1] = _clamp(chord - near_y, 1.0)
                part[3, count + 1] = _clamp(outer_chord - near_y, 1.0)
                index[count + 1] = row * columns + column + 2 * outward - 1
                count += 1 + int(outer_x < near)
            continue
        left_stop = int(min(float(begin), axis_column)) if axis_whole else int(min(axis_column, float(columns)))
        right_first = int(max(float(end), axis_column + 1.0)) if axis_whole else int(max(axis_column + 1.0, 0.0))
        for side in range(2):
            if side == 0:
                first, stop, toward, away = left, left_stop, 1, 0
            else:
                first, stop, toward, away = right_first, right + 1, 0, 1
            for column in range(first, stop):
                near_x = abs(column_edge[column + toward])
                near_chord, far_chord = column_chord[column + toward], column_chord[column + away]
                if not on_axis:
                    part[0, count] = _clamp(far - near_x, 1.0)
                    part[1, count] = _clamp(near - near_x, 1.0)
                    part[2, count] = _clamp(near_chord - near_y, 1.0)
                    part[3, count] = _clamp(far_chord - near_y, 1.0)
                    index[count] = row * columns + column
                    count += 1
                    continue
                # Two parts, below and above the axis; x and y change places to make them one pixel high.
                pair[pairs] = count
                pairs += 1
                for edge in range(row, row + 2):
                    height = abs(row_edge[edge])
                    part[0, count] = min(far_chord, height)
                    part[1, count] = min(near_chord, height)
                    part[2, count] = _clamp(radius - near_x, 1.0)
                    part[3, count] = _clamp(row_chord[edge] - near_x, 1.0)
                    index[count] = row * columns + column
                    count += 1
            if side == 0 and not axis_whole and 0.0 <= axis_column <= last_column:
                column = int(axis_column)
                pair[pairs] = count
                pairs += 1
                for edge in range(column, column + 2):
                    width = abs(column_edge[edge])
                    part[0, count] = min(far, width)
                    part[1, count] = min(near, width)
                    part[2, count] = _clamp(radius - near_y, 1.0)
                    part[3, count] = _clamp(column_chord[edge] - near_y, 1.0)
                    index[count] = row * columns + column
                    count += 1
    _part_overlaps(part, _padded(count), radius, weight)
    for m in range(pairs):
        weight[pair[m]] += weight[pair[m] + 1]
        weight[pair[m] + 1] = 0.0
    return count, runs


@part
def find_circle_pixels(x, y, radii, first_row, stop_row, first_column, stop_column, pixels):  # type: ignore[no-untyped-def]
    """List the pixels of all circles about one centre.

    Parameters
    ----------
    x, y : float
        Centre in pixels of the frame, finite.
    radii : (nr,) array of float
        Radii in pixels, ascending.
    first_row, stop_row, first_column, stop_column : int
        The box, as `box_range` gives it for the largest radius.
    pixels : CirclePixels
        Written; indices count the pixels of the box.
    """
    nearest_x, nearest_y = nearest_pixel(x), nearest_pixel(y)
    x, y = x - nearest_x, y - nearest_y
    rows, columns = stop_row - first_row, stop_column - first_column
    axis = (nearest_y - first_row, nearest_x - first_column)
    for edge in range(_padded(columns + 1)):
        pixels.column_edge[edge] = (edge - axis[1]) - 0.5 - x
    for edge in range(_padded(rows + 1)):
        pixels.row_edge[edge] = (edge - axis[0]) - 0.5 - y
    pixels.covered[:rows] = 0
    count = runs = 0
    for k in range(radii.size):
        index, weight = pixels.pixel[count:], pixels.weight[count:]
        if radii[k] < _SMALL:
            count += _small_circle(radii[k], x, y, axis, rows, columns, pixels, index, weight)
        else:
            added, runs = _large_circle(radii[k], x, y, axis, rows, columns, runs, pixels, index, weight)
            count += added
        pixels.first[k + 1] = count
        pixels.run[k + 1] = runs
