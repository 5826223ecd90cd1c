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
from functools import partial

import numpy as np

from tsogrid.kernels.compile import part

# asin(s) − s √(1 − s²) = s³ Σ c_n s²ⁿ, from integrating 2 s²/√(1 − s²) term by term
_SERIES = tuple(2.0 * math.comb(2 * n, n) / (4.0**n * (2 * n + 3)) for n in range(14))

# Loops over a multiple of this run in vector instructions to their end; scratch has room for the surplus,
# which nobody reads.
LANES = 16
# Below this radius a pixel may meet more than two quadrants, and the series would need more terms: pixels are
# taken one by one.
SMALL = 2.0
# From this radius on a chord inside a pixel has s² ≤ 2/(4 r²) ≤ 1/128, where six terms of the series reach 1e-15.
_LARGE = 8.0


@part
def nearest_pixel(position):  # type: ignore[no-untyped-def]
    """The pixel (as a float) that holds a position; exact, where floor(position + 0.5) may round up."""
    whole = np.floor(position)
    return whole + 1.0 if position - whole >= 0.5 else whole


@part
def touched_range(center, radius, axis, size):  # type: ignore[no-untyped-def]
    # limited as floats: positions and radii may exceed every integer
    first = np.floor(center - radius + 0.5) + axis
    stop = np.floor(center + radius + 0.5) + axis + 1.0
    return np.int64(_clamp(first, np.float64(size))), np.int64(_clamp(stop, np.float64(size)))


@part
def padded(count):  # type: ignore[no-untyped-def]
    return (count + LANES - 1) & -LANES


@part
def _half_chord(radius, distance):  # type: ignore[no-untyped-def]
    # the product keeps its digits near the circle's rim, where r² − d² would lose them
    return math.sqrt(max((radius - distance) * (radius + distance), 0.0))


@part
def _half_chords(distances, count, radius, chords):  # type: ignore[no-untyped-def]
    for m in range(count):
        chords[m] = _half_chord(radius, abs(distances[m]))


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
def _part_overlaps(parts, count, radius, weight, offset):  # type: ignore[no-untyped-def]
    # Parts are one pixel high. Their rows: x where the arc meets the far and the near edge in y, y where it
    # meets the near and the far edge in x, all from the part's corner next to the centre. No branches: these
    # loops become vector instructions.
    scale, eighth = 1.0 / (4.0 * radius * radius), 1.0 / (8.0 * radius)
    many = radius < _LARGE
    for m in range(count):
        i = np.uintp(m)
        step_x, step_y = parts[1, i] - parts[0, i], parts[2, i] - parts[3, i]
        chord2 = step_x * step_x + step_y * step_y
        t = chord2 * scale
        series = _long_series(t) if many else _short_series(t)
        segment = chord2 * math.sqrt(chord2) * eighth * series
        weight[np.uintp(offset + m)] = parts[0, i] + step_x * (parts[2, i] + parts[3, i]) * 0.5 + segment


@part
def small_circle(radius, rows, columns, edges, touched, index, weight, offset):  # type: ignore[no-untyped-def]
    first_row, stop_row, first_column, stop_column = touched
    count = np.int64(0)
    for row in range(first_row, stop_row):
        for column in range(first_column, stop_column):
            overlap = pixel_overlap(edges[0, column], edges[0, column + 1], edges[1, row], edges[1, row + 1], radius)
            if overlap > 0.0:
                index[offset + count] = row * columns + column
                weight[offset + count] = overlap
                count += 1
    return count


@partial(part, forceinline=True)  # a call would cost more than the work
def _add_part(parts, count, far_x, near_x, near_y, far_y):  # type: ignore[no-untyped-def]
    parts[0, count] = _clamp(far_x, 1.0)
    parts[1, count] = _clamp(near_x, 1.0)
    parts[2, count] = _clamp(near_y, 1.0)
    parts[3, count] = _clamp(far_y, 1.0)


@part
def large_circle(  # type: ignore[no-untyped-def]
    radius,
    x,
    axis_row,
    axis_column,
    rows,
    columns,
    touched,
    edges,
    parts,
    pair,
    covered,
    index,
    weight,
    offset,
    start,
    stop,
    runs,
):
    # the rows of edges: where columns and rows begin, and the half chords there
    _half_chords(edges[0], padded(columns + 1), radius, edges[2])
    _half_chords(edges[1], padded(rows + 1), radius, edges[3])
    last_column = columns - 1.0
    count = pairs = 0
    for row in range(touched[0], touched[1]):
        # the half chords at the row's edges nearest to and farthest from the centre
        on_axis = row == axis_row
        low_edge, high_edge = abs(edges[1, row]), abs(edges[1, row + 1])
        low_chord, high_chord = edges[3, row], edges[3, row + 1]
        near_y = 0.0 if on_axis else min(low_edge, high_edge)
        near = radius if on_axis else max(low_chord, high_chord)
        far = min(low_chord, high_chord)
        # whole columns are begin … end − 1, touched ones left … right; counted from the pixel nearest to the centre
        whole_first, whole_stop = np.ceil(x - far + 0.5), np.floor(x + far + 0.5)
        begin = int(_clamp(whole_first + axis_column, np.float64(columns)))
        end = int(_clamp(whole_stop + axis_column, np.float64(columns)))
        left = int(max(np.floor(x - near + 0.5) + axis_column, 0.0))
        right = int(min(np.floor(x + near + 0.5) + axis_column, last_column))
        axis_whole = whole_first <= 0.0 and whole_stop >= 1.0
        place = row * columns
        if axis_whole and begin < end:
            # what these add to the whole pixels of the smaller circles
            was_begin, was_end = covered[row, 0], covered[row, 1]
            if was_begin >= was_end:
                was_begin = was_end = end
            if begin < was_begin:
                start[runs] = place + begin
                stop[runs] = place + was_begin
                runs += 1
            if was_end < end:
                start[runs] = place + was_end
                stop[runs] = place + end
                runs += 1
            covered[row, 0] = begin
            covered[row, 1] = end
        if axis_whole and not on_axis and near - far <= 1.0 and begin >= 2 and end <= columns - 2:
            # One or two pixels on each side, as in most rows: a loop would cost more in mispredicted ends than in work.
            for side in range(2):
                column, outward = (begin - 1, 0) if side == 0 else (end, 1)
                edge = column + outward
                inner = column + 1 - outward
                inner_x, outer_x = abs(edges[0, inner]), abs(edges[0, edge])
                inner_part, edge_part = edges[2, inner] - near_y, edges[2, edge] - near_y
                outer_part = edges[2, edge + 2 * outward - 1] - near_y
                _add_part(parts, count, far - inner_x, near - inner_x, inner_part, edge_part)
                index[offset + count] = place + column
                _add_part(parts, count + 1, far - outer_x, near - outer_x, edge_part, outer_part)
                index[offset + count + 1] = place + column + 2 * outward - 1
                count += 2 if outer_x < near else 1
            continue
        left_stop = int(min(np.float64(begin), axis_column) if axis_whole else min(axis_column, np.float64(columns)))
        right_first = int(max(np.float64(end), axis_column + 1.0) if axis_whole else max(axis_column + 1.0, 0.0))
        for side in range(2):
            first, past, away = (left, left_stop, 0) if side == 0 else (right_first, right + 1, 1)
            for column in range(first, past):
                near_x = abs(edges[0, column + 1 - away])
                near_chord, far_chord = edges[2, column + 1 - away], edges[2, column + away]
                if not on_axis:
                    _add_part(parts, count, far - near_x, near - near_x, near_chord - near_y, far_chord - near_y)
                    index[offset + count] = place + column
                    count += 1
                    continue
                # Two parts, below and above the axis; x and y change places to make them one pixel high.
                pair[pairs] = count
                pairs += 1
                for edge in range(row, row + 2):
                    height = abs(edges[1, edge])
                    _add_part(
                        parts,
                        count,
                        min(far_chord, height),
                        min(near_chord, height),
                        radius - near_x,
                        edges[3, edge] - near_x,
                    )
                    index[offset + count] = place + column
                    count += 1
            if side == 0 and not axis_whole and 0.0 <= axis_column <= last_column:
                column = int(axis_column)
                pair[pairs] = count
                pairs += 1
                for edge in range(column, column + 2):
                    width = abs(edges[0, edge])
                    _add_part(parts, count, min(far, width), min(near, width), radius - near_y, edges[2, edge] - near_y)
                    index[offset + count] = place + column
                    count += 1
    _part_overlaps(parts, padded(count), radius, weight, offset)
    for m in range(pairs):
        weight[offset + pair[m]] += weight[offset + pair[m] + 1]
        weight[offset + pair[m] + 1] = 0.0
    return count, runs
