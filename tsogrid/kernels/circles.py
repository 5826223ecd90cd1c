"""Lists of the pixels of concentric circles, for many positions, made some positions at a time.

The lists are made by one kernel, which knows nothing of the data, and read by those that sum: the geometry is compiled
once, whatever it is used for and whatever type the pixels have. As long as a source does not move from one frame to the
next its list is kept: the weights are the same numbers, only sooner.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.bands import LANES, halve_axes, padded
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.large_circle import bound_circle, large_circle
from tsogrid.kernels.overlap import SMALL, nearest_pixel, small_circle, touched_range

# Lists are made at a time that fill about so many bytes: they should stay in the processor's nearer caches.
_LIST_BYTES = 2**20
_KEPT_BYTES = 2**25  # lists that fill more are made again when they are needed again
_PIXEL_BYTES, _END_BYTES = 12, 8  # of the lists for each pixel and each end of a column, or run
_FARTHEST = 10**9  # pixels; no frame is larger


class CirclePixels(NamedTuple):
    """The pixels of all circles about each of some centres; pixels are counted through the centre's box, row by row.

    Of centre p, ``pixel[p, m]``, ``weight[p, m]`` with m from ``first[p, k]`` to ``first[p, k + 1]`` are the pixels
    that the edge of circle k crosses, arc by arc; ``start[p, m]``, ``stop[p, m]`` with m from ``run[p, k]`` to
    ``run[p, k + 1]`` are the runs of pixels that circle k covers whole and circle k − 1 did not, in row order;
    ``box[p]`` is the box's first row, one past its last row, and the same of its columns: an empty box, and nothing
    listed, for a centre that is not finite or far off the frame.
    """

    pixel: NDArray[np.uint32]
    weight: NDArray[np.float64]
    first: NDArray[np.int64]
    start: NDArray[np.uint32]
    stop: NDArray[np.uint32]
    run: NDArray[np.int64]
    box: NDArray[np.int64]


class CircleColumns(NamedTuple):
    """The pixels of all circles about each of some centres, the whole ones by columns.

    ``pixel``, ``weight``, ``first`` and ``box`` are those of `CirclePixels`. A fifth number of the box is the row from
    which columns are summed up and down: that of the centre, or the nearest in the box; −1 for a centre that is not finite.
    ``end[p, m]`` with m from ``run[p, k]`` to ``run[p, k + 1]`` are the last pixels, seen from that row, of the columns'
    pixels that circle k covers whole: what it covers of a column lies between. ``row[p, m]`` is the row
    of the box in which it is. ``area[p, k]`` is the area of the circle in
    the frame. Circles are listed in ascending order, circle k has the radius ``order[k]`` of those given.
    """

    pixel: NDArray[np.uint32]
    weight: NDArray[np.float64]
    first: NDArray[np.int64]
    end: NDArray[np.uint32]
    row: NDArray[np.uint32]
    run: NDArray[np.int64]
    box: NDArray[np.int64]
    area: NDArray[np.float64]
    order: NDArray[np.int64]


Lists = list[tuple[CircleColumns, int, NDArray[np.int64]]]


def circle_lists(
    x: NDArray[np.float64], y: NDArray[np.float64], radii: NDArray[np.float64], ny: int, nx: int
) -> Iterator[tuple[CirclePixels, int, NDArray[np.int64]]]:
    """Lists of the pixels of circles about many positions, some at a time.

    Parameters
    ----------
    x, y : (n, ns) array of float
        Positions in pixels.
    radii : (nr,) array of float
        Radii in pixels, positive, ascending.
    ny, nx : int
        Shape of the frame.

    Yields
    ------
    pixels : CirclePixels
        Lists for the next positions, valid until the following step.
    first : int
        The first of these positions, counted frame by frame within source by source.
    which : (count,) array of int
        For each of these positions, which list it has.
    """
    for lists, begin, which in _some_at_a_time(x, y, radii, ny, nx, True, False):
        pixel, weight, first, start, stop, run, box, _, _ = lists
        yield CirclePixels(pixel, weight, first, start, stop, run, box), begin, which


def circle_columns(
    x: NDArray[np.float64], y: NDArray[np.float64], radii: NDArray[np.float64], ny: int, nx: int
) -> Iterator[tuple[CircleColumns, int, NDArray[np.int64]]]:
    """As `circle_lists`, the whole pixels by columns and the radii in any order."""
    return _some_at_a_time(x, y, radii, ny, nx, False, False)


def kept_lists(x: ArrayLike, y: ArrayLike, radii: ArrayLike, ny: int, nx: int) -> Lists | None:
    """Lists of `circle_columns` for several kernels that sum over the same circles, all at once.

    Parameters
    ----------
    x, y : (n, ns) array of float
        Positions in pixels.
    radii : (nr,) array of float
        Radii in pixels, positive, in any order.
    ny, nx : int
        Shape of the frame.

    Returns
    -------
    list, or None
        What `circle_columns` yields; None if that would take much memory.
    """
    x, y = np.ascontiguousarray(x, np.float64), np.ascontiguousarray(y, np.float64)
    made: Lists = []
    taken = 0
    for lists, begin, which in _some_at_a_time(x, y, np.array(radii, np.float64), ny, nx, False, True):
        made.append((lists, begin, which))
        taken += _bytes(lists, which)
        if taken > _KEPT_BYTES:
            return None
    return made


def box_shape(radius: float, ny: int, nx: int) -> tuple[int, int]:
    """Rows and columns of the largest box around a circle."""
    size = 2 * math.ceil(min(radius, _FARTHEST)) + 5
    return min(size, ny), min(size, nx)


def _bytes(lists: CircleColumns, which: NDArray[np.int64]) -> int:
    """Memory that is written and read of some lists."""
    count = which[-1] + 1
    pixels, ends = lists.first[:count, -1].sum(), lists.run[:count, -1].sum()
    return int(_PIXEL_BYTES * pixels + _END_BYTES * ends)


def _some_at_a_time(
    x: NDArray[np.float64], y: NDArray[np.float64], radii: NDArray[np.float64], ny: int, nx: int, by_row: bool, keep: bool
) -> Iterator[tuple[CircleColumns, int, NDArray[np.int64]]]:
    """Lists for some positions after the other, all in the same memory unless they are kept."""
    if x.size == 0:
        return
    # Few calls of numpy: a call for one frame takes microseconds.
    sizes = radii.tolist()
    largest = max(sizes)
    count = len(sizes)
    total = sum(map(math.ceil, sizes if largest <= _FARTHEST else [min(radius, _FARTHEST) for radius in sizes]))
    rows, columns = box_shape(largest, ny, nx)
    # A circle crosses about 8 r pixels; two are listed for each of at most 2.9 r + 7 lines on both sides of the axis.
    size = min(12 * total + 32 * count, 4 * count * (rows + columns)) + LANES
    runs = 2 * min(2 * total + 5 * count, count * max(rows, columns)) + LANES
    many = min(max(_LIST_BYTES // (_PIXEL_BYTES * size + _END_BYTES * runs), 1), x.size)
    lists = which = None
    begin = 0
    while begin < x.size:
        if lists is None or which is None or keep:
            lists, which = _room(min(many, x.size - begin), count, size, runs), np.empty(x.size - begin, np.int64)
        found = _find_circles(x, y, radii, ny, nx, begin, by_row, *lists, which)
        yield lists, begin, which[:found]
        begin += found


def _room(many: int, count: int, size: int, runs: int) -> CircleColumns:
    """Room for the lists of so many positions: of ``count`` circles, with at most so many pixels and runs."""
    return CircleColumns(
        np.empty((many, size), np.uint32),
        np.empty((many, size)),
        np.empty((many, count + 1), np.int64),
        np.empty((many, runs), np.uint32),
        np.empty((many, runs), np.uint32),
        np.empty((many, count + 1), np.int64),
        np.empty((many, 5), np.int64),
        np.empty((many, count)),
        np.empty(count, np.int64),
    )


@part
def _find_box(x, y, radius, ny, nx, box):  # type: ignore[no-untyped-def]
    """Write the box around the largest circle, and where columns part; returns whether it has pixels."""
    box[0] = box[1] = box[2] = box[3] = 0
    box[4] = -1
    if not (np.isfinite(x) and np.isfinite(y)):
        return False
    box[4] = 0
    nearest_x, nearest_y = nearest_pixel(x), nearest_pixel(y)
    first_row, stop_row = touched_range(y - nearest_y, radius + 1.0, nearest_y, ny)
    first_column, stop_column = touched_range(x - nearest_x, radius + 1.0, nearest_x, nx)
    if first_row >= stop_row or first_column >= stop_column:
        return False
    box[0], box[1], box[2], box[3] = first_row, stop_row, first_column, stop_column
    box[4] = np.int64(min(max(nearest_y, np.float64(first_row)), np.float64(stop_row)))
    return True


@part
def _sort(radii, order):  # type: ignore[no-untyped-def]
    """Write the order of the radii, ascending: a few numbers, in order as a rule."""
    for k in range(radii.size):
        place = k
        while place > 0 and radii[order[place - 1]] > radii[k]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = k


@kernel
def _find_circles(  # type: ignore[no-untyped-def]
    x_all, y_all, radii, ny, nx, begin, by_row, pixel, weight, first, start, stop, run, box, area, order, which
):
    """Fill one row of each array for every centre, as long as there are rows; returns for how many positions they serve."""
    n = x_all.shape[0]
    _sort(radii, order)
    largest = radii[order[-1]]
    lines = min(2.0 * np.ceil(largest) + 6.0 + LANES, max(ny, nx) + 1.0)
    lines = np.int64(lines)
    edges, chords = np.empty((2, lines + 2 * LANES)), np.empty(lines + 2 * LANES)
    cuts = np.empty((12, lines + 2 * LANES))
    halves = np.empty((5, 8))
    bounds, crossed = np.empty((radii.size, 2, 6)), np.empty((radii.size, 8), np.int64)
    spans, covered = np.empty((2, lines + 2 * LANES), np.int64), np.empty((lines, 2), np.int64)
    p = np.int64(-1)
    for item in range(begin, x_all.size):
        x, y = x_all[item % n, item // n], y_all[item % n, item // n]
        before = max(item - 1, 0)
        if p >= 0 and x == x_all[before % n, before // n] and y == y_all[before % n, before // n]:
            which[item - begin] = p
            continue
        if p + 1 == pixel.shape[0]:
            return item - begin
        p += 1
        which[item - begin] = p
        for k in range(radii.size + 1):
            first[p, k] = run[p, k] = 0
        if not _find_box(x, y, largest, ny, nx, box[p]):
            continue
        first_row, stop_row, first_column, stop_column = box[p, 0], box[p, 1], box[p, 2], box[p, 3]
        # along columns, what is a row below is one of the frame's columns
        steps = (stop_column - first_column, np.int64(1))
        if not by_row:
            x, y = y, x
            first_row, stop_row, first_column, stop_column = first_column, stop_column, first_row, stop_row
            steps = (steps[1], steps[0])
        nearest_x, nearest_y = nearest_pixel(x), nearest_pixel(y)
        x, y = x - nearest_x, y - nearest_y
        rows, columns = stop_row - first_row, stop_column - first_column
        axis_row, axis_column = nearest_y - first_row, nearest_x - first_column
        for edge in range(padded(columns + 1 + LANES)):
            edges[1, edge] = (edge - axis_column) - 0.5 - x
        for edge in range(padded(rows + 1 + LANES)):
            edges[0, edge] = (edge - axis_row) - 0.5 - y
        halve_axes(x, y, halves)
        for row in range(rows):
            covered[row, 0] = covered[row, 1] = 0
        index, weights, starts, stops = pixel[p], weight[p], start[p], stop[p]
        for k in range(radii.size):
            bound_circle(radii[order[k]], x, y, axis_row, axis_column, rows, columns, bounds[k], crossed[k])
        count = runs = np.int64(0)
        for k in range(radii.size):
            radius = radii[order[k]]
            if radius < SMALL:
                touched = touched_range(y, radius, axis_row, rows) + touched_range(x, radius, axis_column, columns)
                more, area[p, k] = small_circle(radius, steps, edges, touched, index, weights, count)
                count += more
            else:
                count, runs, area[p, k] = large_circle(
                    radius,
                    x,
                    y,
                    axis_row,
                    axis_column,
                    (rows, columns),
                    edges,
                    bounds[k],
                    crossed[k],
                    chords,
                    cuts,
                    halves,
                    spans,
                    covered,
                    index,
                    weights,
                    count,
                    starts,
                    stops,
                    runs,
                    by_row,
                    steps,
                )
            first[p, k + 1] = count
            run[p, k + 1] = runs
    return x_all.size - begin
