"""The pixels of concentric circles: which are covered whole, which in part, and by how much, exactly.

Rows near the centre meet only steep arcs, and what is above and below them (the caps) is taken column by column, where arcs
are flat: there the edge crosses at most two pixels of a line on each side. What a cap covers whole is turned into runs of
columns again.

Circles come in ascending order, hence the whole pixels of one contain those of the one before: only the runs
that a circle adds are listed, every pixel is summed once for all circles, and nothing is ever subtracted, so
a huge pixel next to an aperture costs the aperture no digits. All coordinates are differences from the
centre, counted from the pixel nearest to it: the same source in a stamp and in the whole frame gives the same
bits.
"""

import math

import numpy as np

from tsogrid.kernels.bands import cut_halves, cut_lines, padded
from tsogrid.kernels.compile import part
from tsogrid.kernels.overlap import clamp, half_chord, touched_range

_LARGEST = 1e100  # its square is a number
_SQRT_HALF = math.sqrt(0.5)
_FAR = 1e9  # farther than any pixel of a frame, and a whole number of 64 bits also as an index


@part
def _drop_outside(cuts, side, count, axis, outward, size):  # type: ignore[no-untyped-def]
    """Take from the overlaps of one side what lies outside the frame."""
    for m in range(count):
        position = axis + outward * cuts[3 * side, m]
        if not 0.0 <= position < size:
            cuts[3 * side + 1, m] = 0.0
        if not 0.0 <= position + outward < size:
            cuts[3 * side + 2, m] = 0.0


@part
def _list_pixels(cuts, side, count, place, along, stride, index, weight, offset):  # type: ignore[no-untyped-def]
    """List the pixels of one side that the edge crosses; returns how many are listed by now.

    ``place`` is the index of the first line's pixel on the axis, ``along`` the way to the next line's, ``stride`` outward.
    """
    first, inner, outer = cuts[3 * side], cuts[3 * side + 1], cuts[3 * side + 2]
    for m in range(count):
        i = np.uintp(m)
        pixel = place + m * along + stride * np.int64(min(first[i], _FAR))
        index[np.uintp(offset)] = pixel
        weight[np.uintp(offset)] = inner[i]
        offset += inner[i] > 0.0
        index[np.uintp(offset)] = pixel + stride
        weight[np.uintp(offset)] = outer[i]
        offset += outer[i] > 0.0
    return offset


@part
def _whole_in_cap(cuts, first, stop, axis_column, axis_row, outward, low, high, spans):  # type: ignore[no-untyped-def]
    """Write the columns that a cap covers whole in rows from ``low`` to ``high``; returns where these rows end outward.

    Going outward from the axis a column has as many whole rows as the one before, or one less (two where rounding decides):
    what a row keeps is its last column. Where a column has none, the row beside the cap is written, to be overwritten.
    """
    middle = np.int64(min(max(axis_column, np.float64(first)), stop - 1.0))
    end = limit = low
    for side in range(2):
        column = middle
        while first <= column < stop:
            # one past the last whole row, and the first
            reach = axis_row + outward * cuts[column - first] + (0.0 if outward > 0 else 1.0)
            limit = np.int64(min(max(reach, np.float64(low)), np.float64(high)))
            end = limit if column == middle else end
            row = max(limit - 1, low - 1) if outward > 0 else limit
            before = max(limit - 2, low - 1) if outward > 0 else min(limit + 1, high)
            spans[side, row + 1] = column + side
            spans[side, before + 1] = column + side
            column += 2 * side - 1
        # rows that are whole up to the frame's edge
        for row in range(low if outward > 0 else limit, limit if outward > 0 else high):
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
    row_cuts,
    column_cuts,
    halves,
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
    row_cuts, column_cuts, halves, spans : scratch; `halve_axes` has filled its part.
    covered : (rows, 2) columns that smaller circles cover whole, brought up to date.
    index, weight, offset, start, end, runs : the lists, and how many are in them.
    """
    rows, columns = box
    radius = min(radius, _LARGEST)
    # Rows between these grid lines meet only steep arcs, columns beyond them only flat ones.
    upper, lower = np.floor(radius * _SQRT_HALF + y + 0.5), np.ceil(y + 0.5 - radius * _SQRT_HALF)
    low = np.int64(min(max(lower + axis_row, np.float64(touched[0])), np.float64(touched[1])))
    high = np.int64(min(max(upper + axis_row, np.float64(touched[0])), np.float64(touched[1])))
    rim, other_rim = upper - 0.5 - y, y + 0.5 - lower
    left, right = touched_range(x, half_chord(radius, min(rim, other_rim)), axis_column, columns)
    n_rows, n_columns = high - low, max(right - left, 0)
    cut_lines(padded(n_rows), low - axis_row, y, radius, 0.5 - x, 0.5 + x, 0.0, 0.0, 0.0, 0.0, row_cuts)
    cut_lines(
        padded(n_columns), left - axis_column, x, radius, 0.5 - y, 0.5 + y, upper, 1.0 - lower, rim, other_rim, column_cuts
    )
    # The lines on the axis are cut in halves, whose pixels are the same.
    halves[3, 4] = halves[3, 6] = upper
    halves[3, 5] = halves[3, 7] = 1.0 - lower
    cut_halves(halves, np.int64(8), radius)
    for side in range(2):
        if low <= axis_row < high:
            m = np.int64(axis_row) - low
            row_cuts[3 * side, m] = halves[4, side]
            row_cuts[3 * side + 1, m] = halves[5, side] + halves[5, side + 2]
            row_cuts[3 * side + 2, m] = halves[6, side] + halves[6, side + 2]
        if left <= axis_column < right:
            m = np.int64(axis_column) - left
            column_cuts[3 * side, m] = halves[4, side + 4]
            column_cuts[3 * side + 1, m] = halves[5, side + 4] + halves[5, side + 6]
            column_cuts[3 * side + 2, m] = halves[6, side + 4] + halves[6, side + 6]
    inside = axis_column - radius >= 1.0 and axis_column + radius <= columns - 2.0
    inside = inside and axis_row - radius >= 1.0 and axis_row + radius <= rows - 2.0
    first_row, stop_row = low, high
    for side in range(2):
        step = 1 - 2 * side
        cap = n_columns if (side == 0 and high < touched[1]) or (side == 1 and low > touched[0]) else 0
        if not inside:
            _drop_outside(row_cuts, side, n_rows, axis_column, np.float64(step), columns)
            _drop_outside(column_cuts, side, cap, axis_row, np.float64(step), rows)
        place = low * columns + np.int64(min(max(axis_column, -_FAR), _FAR))
        offset = _list_pixels(row_cuts, side, n_rows, place, columns, step, index, weight, offset)
        place = np.int64(min(max(axis_row, -_FAR), _FAR)) * columns + left
        offset = _list_pixels(column_cuts, side, cap, place, 1, step * columns, index, weight, offset)
        if cap > 0 and side == 0:
            stop_row = _whole_in_cap(column_cuts[0], left, right, axis_column, axis_row, step, high, touched[1], spans)
        if cap > 0 and side == 1:
            first_row = _whole_in_cap(column_cuts[3], left, right, axis_column, axis_row, step, touched[0], low, spans)
    for row in range(n_rows):
        spans[0, low + row + 1] = np.int64(clamp(axis_column - row_cuts[3, row] + 1.0, np.float64(columns)))
        spans[1, low + row + 1] = np.int64(clamp(axis_column + row_cuts[0, row], np.float64(columns)))
    return offset, _list_runs(spans, first_row, stop_row, columns, covered, start, end, runs)
