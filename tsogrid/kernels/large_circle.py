"""The pixels of concentric circles: which are covered whole, which in part, and by how much, exactly.

Rows near the centre meet only steep arcs, and what is above and below them (the caps) is taken column by column, where arcs
are flat: there the edge crosses at most two pixels of a line on each side. Which pixels are whole is asked of the same
corner by rows and by columns, so both agree to the last bit.

Circles come in ascending order, hence the whole pixels of one contain those of the one before: only the runs
that a circle adds are listed, every pixel is summed once for all circles, and nothing is ever subtracted, so
a huge pixel next to an aperture costs the aperture no digits. All coordinates are differences from the
centre, counted from the pixel nearest to it: the same source in a stamp and in the whole frame gives the same
bits.
"""

import math
from functools import partial

import numpy as np

from tsogrid.kernels.bands import cross_lines, cut_halves, cut_lines, list_lines, span_lines
from tsogrid.kernels.compile import part
from tsogrid.kernels.overlap import clamp, half_chord, touched_range

_LARGEST = 1e100  # its square is a number
_SQRT_HALF = math.sqrt(0.5)
_FAR = 1e9  # farther than any pixel of a frame, and a whole number of 64 bits also as an index


@partial(part, forceinline=True)
def _drop_outside(cuts, row, begin, count, axis, outward, size):  # type: ignore[no-untyped-def]
    """Take from the overlaps of one side what lies outside the frame."""
    for m in range(begin, begin + count):
        position = axis + outward * cuts[row, m]
        if not 0.0 <= position < size:
            cuts[row + 1, m] = 0.0
        if not 0.0 <= position + outward < size:
            cuts[row + 2, m] = 0.0


@partial(part, forceinline=True)
def _list_pixels(cuts, row, begin, count, place, along, stride, index, weight, offset):  # type: ignore[no-untyped-def]
    """List the pixels of one side that the edge crosses; returns how many are listed by now.

    ``place`` is the index of the first line's pixel on the axis, ``along`` the way to the next line's, ``stride`` outward.
    Every line has the first of its two pixels.
    """
    list_lines(cuts, row, begin, count, place, along, stride, index, weight, offset)
    outer = cuts[row + 2]
    listed = offset
    offset += count
    for m in range(count):
        index[np.uintp(offset)] = index[np.uintp(listed + m)] + stride
        weight[np.uintp(offset)] = outer[np.uintp(begin + m)]
        offset += outer[np.uintp(begin + m)] > 0.0
    return offset


@partial(part, forceinline=True)
def _keep_positive(index, weight, begin, end):  # type: ignore[no-untyped-def]
    """Take out of a list what has no part; returns where it ends then."""
    offset = begin
    for m in range(begin, end):
        index[offset], weight[offset] = index[m], weight[m]
        offset += weight[m] > 0.0
    return offset


@partial(part, forceinline=True)
def _sum_of(weight, begin, end):  # type: ignore[no-untyped-def]
    one = two = three = four = 0.0
    for m in range(begin, end - 3, 4):
        one += weight[np.uintp(m)]
        two += weight[np.uintp(m + 1)]
        three += weight[np.uintp(m + 2)]
        four += weight[np.uintp(m + 3)]
    for m in range(end - (end - begin) % 4, end):
        one += weight[np.uintp(m)]
    return (one + two) + (three + four)


@partial(part, forceinline=True)
def _list_runs(spans, first, stop, columns, covered, start, end, runs):  # type: ignore[no-untyped-def]
    """List what the whole pixels of rows add to those of the smaller circles."""
    for row in range(first, stop):
        i = np.uintp(row)
        left, right = spans[0, np.uintp(row)], spans[1, np.uintp(row)]
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


@partial(part, forceinline=True)
def _list_ends(spans, first, stop, axis, steps, end, place, ends):  # type: ignore[no-untyped-def]
    """List the outermost whole pixels of rows, on both sides of the axis; returns how many are listed, and the area."""
    along, across = steps
    whole = np.int64(0)
    for row in range(first, stop):
        left, right = spans[0, np.uintp(row)], spans[1, np.uintp(row)]
        whole += max(right - left, 0)
        end[np.uintp(ends)] = row * along + (right - 1) * across
        place[np.uintp(ends)] = max(right - 1, 0)
        ends += (left < right) & (axis < right)
        end[np.uintp(ends)] = row * along + left * across
        place[np.uintp(ends)] = left
        ends += (left < right) & (left < axis)
    return ends, whole


@partial(part, forceinline=True)
def bound_circle(radius, x, y, axis_row, axis_column, rows, columns, bounds, lines):  # type: ignore[no-untyped-def]
    """Write where a circle goes over from rows to columns, and which lines of pixels that makes.

    For all circles before any is cut: how many lines there are is then known when loops over them begin.
    """
    # Rows between these grid lines meet only steep arcs, columns beyond them only flat ones.
    upper, lower = np.floor(radius * _SQRT_HALF + y + 0.5), np.ceil(y + 0.5 - radius * _SQRT_HALF)
    rim, other_rim = upper - 0.5 - y, y + 0.5 - lower
    for m in range(6):
        bounds[0, m] = 0.0 if m < 4 else np.inf
    bounds[1, 0], bounds[1, 1] = upper, 1.0 - lower
    bounds[1, 2], bounds[1, 3] = rim, other_rim
    bounds[1, 4], bounds[1, 5] = half_chord(radius, rim), half_chord(radius, other_rim)
    lines[0], lines[1] = touched_range(y, radius, axis_row, rows)
    lines[2] = np.int64(min(max(lower + axis_row, np.float64(lines[0])), np.float64(lines[1])))
    lines[3] = np.int64(min(max(upper + axis_row, np.float64(lines[0])), np.float64(lines[1])))
    for side in range(2):
        lines[4 + 2 * side], lines[5 + 2 * side] = touched_range(x, bounds[1, 4 + side], axis_column, columns)


@partial(part, forceinline=True)
def large_circle(  # type: ignore[no-untyped-def]
    radius,
    x,
    y,
    axis_row,
    axis_column,
    box,
    edges,
    bounds,
    lines,
    chords,
    cuts,
    halves,
    spans,
    covered,
    index,
    weight,
    offset,
    start,
    end,
    runs,
    by_row,
    steps,
):
    """List the pixels of one circle; returns how many in part, how many runs or ends of whole ones are listed, and its area.

    Parameters
    ----------
    radius, x, y : the circle, about a point in the pixel ``axis_row, axis_column`` of the box.
    box : its rows and columns.
    bounds, lines : what `bound_circle` has written.
    edges : distances of the edges of rows and of columns from the centre.
    chords, cuts, halves, spans : scratch; `halve_axes` has filled its part.
    covered : (rows, 2) columns that smaller circles cover whole, brought up to date.
    index, weight, offset, start, end, runs : the lists, and how many are in them.
    by_row : list runs of whole pixels that this circle adds (and the area is that of pixels in part); else ends of rows, in
        ``start``, and their columns in ``end``.
    steps : how far the index goes from row to row, and from column to column.
    """
    rows, columns = box
    along, across = steps
    radius = min(radius, _LARGEST)
    first, stop, low, high = lines[0], lines[1], lines[2], lines[3]
    left, right = min(lines[4], lines[6]), max(lines[5], lines[7])
    for kind in range(2):
        start_line, count = (first, stop - first) if kind == 0 else (left, right - left)
        skip, cut = (low - first, high - low) if kind == 0 else (np.int64(0), right - left)
        offaxis = x if kind == 0 else y
        cross_lines(edges[kind], start_line, count, radius, offaxis, chords, cuts, 6 * kind)
        cut_lines(edges[kind], start_line, chords, skip, cut, radius, offaxis, bounds[kind], cuts, 6 * kind)
    span_lines(cuts, first, stop - first, axis_column, np.float64(columns), spans)
    # The lines on the axis are cut in halves, whose pixels are the same.
    line = (np.int64(clamp(axis_row - first, _FAR)), np.int64(clamp(axis_column - left, _FAR)))
    on_axis = (low <= axis_row < high, left <= axis_column < right)
    for m in range(4):
        kind, side = m // 2, m % 2
        here = on_axis[0] if kind == 0 else on_axis[1]
        there = line[0] if kind == 0 else line[1]
        halves[2, 4 * kind + side] = halves[2, 4 * kind + side + 2] = cuts[6 * kind + 3 * side, there] if here else 0.0
    cut_halves(halves, radius)
    for m in range(4):
        kind, side = m // 2, m % 2
        if on_axis[0] if kind == 0 else on_axis[1]:
            there = line[0] if kind == 0 else line[1]
            cuts[6 * kind + 3 * side + 1, there] = halves[3, 4 * kind + side] + halves[3, 4 * kind + side + 2]
            cuts[6 * kind + 3 * side + 2, there] = halves[4, 4 * kind + side] + halves[4, 4 * kind + side + 2]
    inside = axis_column - radius >= 1.0 and axis_column + radius <= columns - 2.0
    inside = inside and axis_row - radius >= 1.0 and axis_row + radius <= rows - 2.0
    begin, some_empty = offset, not inside
    center_row = np.int64(min(max(axis_row, -_FAR), _FAR)) * along
    center_column = np.int64(min(max(axis_column, -_FAR), _FAR)) * across
    for m in range(4):
        kind, side = m // 2, m % 2
        outward = 1 - 2 * side
        row = 6 * kind + 3 * side
        if kind == 0:
            skip, count = low - first, high - low
            place, step, stride = low * along + center_column, along, outward * across
        else:
            skip, count = lines[4 + 2 * side] - left, lines[5 + 2 * side] - lines[4 + 2 * side]
            place, step, stride = center_row + lines[4 + 2 * side] * across, across, outward * along
            if count <= 0 or (side == 0 and high >= stop) or (side == 1 and low <= first):
                continue
            # a circle may only just touch the column at the end of a cap
            some_empty |= not (cuts[row + 1, skip] > 0.0 and cuts[row + 1, skip + count - 1] > 0.0)
        if not inside:
            axis, size = (axis_column, columns) if kind == 0 else (axis_row, rows)
            _drop_outside(cuts, row, skip, count, axis, np.float64(outward), size)
        offset = _list_pixels(cuts, row, skip, count, place, step, stride, index, weight, offset)
    if some_empty:
        offset = _keep_positive(index, weight, begin, offset)
    area = _sum_of(weight, begin, offset)
    if by_row:
        return offset, _list_runs(spans, first, stop, columns, covered, start, end, runs), area
    middle = np.int64(clamp(axis_column, np.float64(columns)))
    runs, whole = _list_ends(spans, first, stop, middle, steps, start, end, runs)
    return offset, runs, area + whole
