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
_LARGEST = 1e100  # its square is a number
_SQRT_HALF = math.sqrt(0.5)
# Rows of the array of bands: where they begin and end from the axis, half chords at these edges, where the first border
# between pixels is, the least number of a first pixel, the half chord that decides on it; the first pixel, both overlaps.
_LOWER, _UPPER, _FAR, _NEAR, _GRID, _LEAST, _WHOLE, _FIRST, _INNER, _OUTER = range(10)
BANDS = 10


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
def _half_chords(bands, count, radius):  # type: ignore[no-untyped-def]
    """Half chords of bands at their edges; where the far one ends decides which pixels are whole."""
    for m in range(count):
        i = np.uintp(m)
        bands[_FAR, i] = _half_chord(radius, bands[_UPPER, i])
        bands[_NEAR, i] = _half_chord(radius, bands[_LOWER, i])
        bands[_WHOLE, i] = bands[_FAR, i]


@part
def _overlaps(bands, count, radius):  # type: ignore[no-untyped-def]
    """Overlaps of the two pixels of every band that the edge crosses, and the number of the first of them."""
    # No branches: these loops become vector instructions.
    scale, eighth = 1.0 / (4.0 * radius * radius), 1.0 / (8.0 * radius)
    many = radius < _LARGE
    for m in range(count):
        i = np.uintp(m)
        lower, far, near, grid = bands[_LOWER, i], bands[_FAR, i], bands[_NEAR, i], bands[_GRID, i]
        height = bands[_UPPER, i] - lower
        first = max(np.floor(bands[_WHOLE, i] - grid) + 1.0, bands[_LEAST, i])
        # the border between both pixels, and how far above the band's lower edge the circle meets it
        border = first + grid
        reach = max(near - border, 0.0)
        meets = _clamp(_half_chord(radius, border) - lower, height) if reach > 0.0 else 0.0
        enter, leave = _clamp(far - (border - 1.0), 1.0), _clamp(near - (border - 1.0), 1.0)
        step, drop = leave - enter, height - meets
        chord2 = step * step + drop * drop
        t = chord2 * scale
        segment = chord2 * math.sqrt(chord2) * eighth * (_long_series(t) if many else _short_series(t))
        bands[_INNER, i] = enter * height + step * (height + meets) * 0.5 + segment
        enter = max(far - border, 0.0)
        step = reach - enter
        chord2 = step * step + meets * meets
        t = chord2 * scale
        segment = chord2 * math.sqrt(chord2) * eighth * (_long_series(t) if many else _short_series(t))
        bands[_OUTER, i] = enter * height + step * meets * 0.5 + segment
        bands[_FIRST, i] = first


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


@part
def _fill_bands(bands, place, edges, first, stop, axis, limit, grid, least):  # type: ignore[no-untyped-def]
    """Bands between grid lines ``first … stop``, as far as ``limit`` from the axis; that of the axis as two halves.

    Returns one past the last, and where the half with the smaller coordinates is (-1: there is none); the other comes last.
    """
    end, half = place + stop - first, np.int64(-1)
    for m in range(stop - first):
        low, high = edges[np.uintp(first + m)], edges[np.uintp(first + m + 1)]
        bands[_LOWER, np.uintp(place + m)] = min(max(low, -high, 0.0), limit)
        bands[_UPPER, np.uintp(place + m)] = min(max(-low, high), limit)
    if first <= axis < stop:
        half = place + np.int64(axis) - first
        bands[_UPPER, half] = -edges[np.int64(axis)]
        bands[_UPPER, end] = edges[np.int64(axis) + 1]
        bands[_LOWER, end] = 0.0
        end += 1
    for i in range(place, end):
        bands[_GRID, np.uintp(i)] = grid
        bands[_LEAST, np.uintp(i)] = least
    return end, half


@part
def _list_pixels(bands, place, count, axis, outward, size, first, along, across, index, weight, offset):  # type: ignore[no-untyped-def]
    """List both pixels of every band as far as they are touched and inside the frame; returns how many are listed by now.

    Band m has the pixels ``(first + m) * along + position * across`` where the position is counted from ``axis``.
    """
    for m in range(count):
        i = np.uintp(place + m)
        inner = np.int64(min(max(axis + outward * bands[_FIRST, i], -2.0), size + 1.0))
        line = (first + m) * along
        index[np.uintp(offset)] = line + inner * across
        weight[np.uintp(offset)] = bands[_INNER, i]
        offset += (bands[_INNER, i] > 0.0) & (inner >= 0) & (inner < size)
        outer = inner + np.int64(outward)
        index[np.uintp(offset)] = line + outer * across
        weight[np.uintp(offset)] = bands[_OUTER, i]
        offset += (bands[_OUTER, i] > 0.0) & (outer >= 0) & (outer < size)
    return offset


@part
def _whole_in_cap(bands, place, first, stop, axis_column, axis_row, outward, low, high, spans):  # type: ignore[no-untyped-def]
    """Write the columns that a cap covers whole in the rows ``low … high - 1``; returns where these rows end outward.

    Going outward from the axis a column has as many whole rows as the one before, or one less (two where rounding decides):
    what a row keeps is its last column. Where a column has none, the row beside the cap is written, to be overwritten.
    """
    middle = np.int64(min(max(axis_column, np.float64(first)), stop - 1.0))
    end = limit = low
    for side in range(2):
        column = middle
        while first <= column < stop:
            # one past the last whole row, and the first
            reach = axis_row + outward * bands[_FIRST, place + column - first] + (0.0 if outward > 0.0 else 1.0)
            limit = np.int64(min(max(reach, np.float64(low)), np.float64(high)))
            end = limit if column == middle else end
            row = max(limit - 1, low - 1) if outward > 0.0 else limit
            before = max(limit - 2, low - 1) if outward > 0.0 else min(limit + 1, high)
            spans[side, row + 1] = column + side
            spans[side, before + 1] = column + side
            column += 2 * side - 1
        # rows that are whole up to the frame's edge
        for row in range(low if outward > 0.0 else limit, limit if outward > 0.0 else high):
            spans[side, row + 1] = stop if side == 1 else first
    return end


@part
def _list_runs(spans, first, stop, columns, covered, start, end, runs):  # type: ignore[no-untyped-def]
    """List what the whole pixels of rows add to those of the smaller circles."""
    for row in range(first, stop):
        i = np.uintp(row)
        left, right = spans[0, np.uintp(row + 1)], spans[1, np.uintp(row + 1)]
        was_left, was_right = covered[i, 0], covered[i, 1]
        empty = was_left >= was_right
        was_left, was_right = right if empty else was_left, right if empty else was_right
        start[np.uintp(runs)] = row * columns + left
        end[np.uintp(runs)] = row * columns + was_left
        runs += left < was_left
        start[np.uintp(runs)] = row * columns + was_right
        end[np.uintp(runs)] = row * columns + right
        runs += was_right < right
        covered[i, 0] = left
        covered[i, 1] = right
    return runs


@part
def large_circle(  # type: ignore[no-untyped-def]
    radius,
    x,
    y,
    axis_row,
    axis_column,
    box,
    touched,
    edges,
    bands,
    sides,
    spans,
    covered,
    index,
    weight,
    offset,
    start,
    end,
    runs,
):
    """List the pixels of one circle; returns how many pixels in part and runs of whole ones are listed by now.

    Parameters
    ----------
    radius, x, y : the circle, about a point in the pixel ``axis_row, axis_column`` of the box.
    box : its rows and columns. touched : first row, one past the last, and the same of columns.
    edges : (2, …) where columns and rows begin, from the centre.
    bands, sides, spans : scratch.
    covered : (rows, 2) columns that smaller circles cover whole, brought up to date.
    index, weight, offset, start, end, runs : the lists, and how many are in them.
    """
    rows, columns = box
    radius = min(radius, _LARGEST)
    # Rows between these grid lines meet only steep arcs, columns beyond them only flat ones.
    upper, lower = np.floor(radius * _SQRT_HALF + y + 0.5), np.ceil(y + 0.5 - radius * _SQRT_HALF)
    low = np.int64(min(max(lower + axis_row, np.float64(touched[0])), np.float64(touched[1])))
    high = np.int64(min(max(upper + axis_row, np.float64(touched[0])), np.float64(touched[1])))
    count = np.int64(0)
    for side in range(4):  # right, left, above, below
        outward = 1.0 - 2.0 * (side % 2)
        first, stop, axis, limit, grid, least = low, high, axis_row, np.inf, 0.5 - outward * x, 0.0
        if side >= 2:
            least = upper if side == 2 else 1.0 - lower
            grid = 0.5 - outward * y
            limit = _half_chord(radius, least - 1.0 + grid)
            axis = axis_column
            first, stop = touched_range(x, limit, axis_column, columns)
            outside = high == touched[1] if side == 2 else low == touched[0]
            stop = first if outside else max(first, stop)
        sides[side, 0], sides[side, 1], sides[side, 2] = first, stop, count
        count, sides[side, 3] = _fill_bands(bands, count, edges[1 - side // 2], first, stop, axis, limit, grid, least)
        sides[side, 4] = count - 1
    _half_chords(bands, padded(count), radius)
    for side in range(4):
        half, other = sides[side, 3], sides[side, 4]
        if half >= 0:  # both halves of the axis have the same whole pixels
            bands[_WHOLE, half] = bands[_WHOLE, other] = min(bands[_WHOLE, half], bands[_WHOLE, other])
    _overlaps(bands, padded(count), radius)
    first_row, stop_row = low, high
    for side in range(3, -1, -1):
        first, stop, place, half, other = sides[side, 0], sides[side, 1], sides[side, 2], sides[side, 3], sides[side, 4]
        if half >= 0:
            bands[_INNER, half] += bands[_INNER, other]
            bands[_OUTER, half] += bands[_OUTER, other]
        outward = 1.0 - 2.0 * (side % 2)
        axis, size, along, across = (axis_row, rows, np.int64(1), columns)
        if side < 2:
            axis, size, along, across = (axis_column, columns, columns, np.int64(1))
        offset = _list_pixels(bands, place, stop - first, axis, outward, size, first, along, across, index, weight, offset)
        if side == 3 and stop > first:
            first_row = _whole_in_cap(bands, place, first, stop, axis_column, axis_row, outward, touched[0], low, spans)
        if side == 2 and stop > first:
            stop_row = _whole_in_cap(bands, place, first, stop, axis_column, axis_row, outward, high, touched[1], spans)
    for row in range(low, high):
        left = axis_column - bands[_FIRST, sides[1, 2] + row - low] + 1.0
        right = axis_column + bands[_FIRST, sides[0, 2] + row - low]
        spans[0, row + 1] = np.int64(min(max(left, 0.0), np.float64(columns)))
        spans[1, row + 1] = np.int64(min(max(right, 0.0), np.float64(columns)))
    return offset, _list_runs(spans, first_row, stop_row, columns, covered, start, end, runs)
