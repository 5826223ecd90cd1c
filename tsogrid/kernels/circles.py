"""Lists of the pixels of concentric circles, for many positions, made some positions at a time.

The lists are made by one kernel, which knows nothing of the data, and read by those that sum: the geometry is compiled
once, whatever it is used for and whatever type the pixels have. As long as a source does not move from one frame to the
next its list is kept: the weights are the same numbers, only sooner.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.bands import LANES, halve_axes, padded
from tsogrid.kernels.compile import kernel
from tsogrid.kernels.large_circle import large_circle
from tsogrid.kernels.overlap import SMALL, nearest_pixel, small_circle, touched_range

# Lists are made at a time that fill about so many bytes: they should stay in the processor's cache.
_LIST_BYTES = 2**20
_KEPT_BYTES = 2**25  # lists that fill more are made again when they are needed again


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
    columns, rows = x.T.ravel(), y.T.ravel()
    if columns.size == 0:
        return
    moved = (columns[1:] != columns[:-1]) | (rows[1:] != rows[:-1])
    centers = np.concatenate(([0], np.flatnonzero(moved) + 1))
    ends = np.append(centers, columns.size)
    # A circle crosses about 8 r pixels; two are listed for each of at most 2.9 r + 7 lines on both sides of the axis.
    box_rows = np.minimum(2.0 * np.ceil(radii) + 5.0, ny)
    box_columns = np.minimum(2.0 * np.ceil(radii) + 5.0, nx)
    edges = np.minimum(12.0 * np.ceil(radii) + 32.0, 2.0 * box_rows * box_columns).astype(np.int64)
    size, runs = int(edges.sum()) + LANES, int(2 * box_rows.sum())
    many = int(min(max(_LIST_BYTES // (12 * size + 8 * runs), 1), centers.size))
    pixels = CirclePixels(
        pixel=np.empty((many, size), np.uint32),
        weight=np.empty((many, size)),
        first=np.empty((many, radii.size + 1), np.int64),
        start=np.empty((many, runs), np.uint32),
        stop=np.empty((many, runs), np.uint32),
        run=np.empty((many, radii.size + 1), np.int64),
        box=np.empty((many, 4), np.int64),
    )
    lines = int(max(box_rows.max(), box_columns.max())) + 1
    scratch = (
        np.zeros((2, lines + LANES)),
        np.empty((6, lines + LANES)),
        np.empty((6, lines + LANES)),
        np.empty((7, 8)),
        np.empty((2, lines + 1), np.int64),
        np.empty((lines, 2), np.int64),
    )
    for begin in range(0, centers.size, many):
        end = min(begin + many, centers.size)
        listed = centers[begin:end]
        _find_circles(columns[listed], rows[listed], radii, ny, nx, *pixels, *scratch)
        yield pixels, int(listed[0]), np.repeat(np.arange(end - begin), np.diff(ends[begin : end + 1]))


Lists = list[tuple[CirclePixels, int, NDArray[np.int64]]]


def kept_lists(x: ArrayLike, y: ArrayLike, radii: ArrayLike, ny: int, nx: int) -> Lists | None:
    """Lists of `circle_lists` for several kernels that sum over the same circles, all at once.

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
        What `circle_lists` yields; None if that would take much memory.
    """
    x, y = np.ascontiguousarray(x, np.float64), np.ascontiguousarray(y, np.float64)
    made: Lists = []
    taken = 0
    for pixels, first, which in circle_lists(x, y, np.sort(np.asarray(radii, np.float64)), ny, nx):
        kept: list[Any] = [each[: which[-1] + 1].copy() for each in pixels]
        made.append((CirclePixels(*kept), first, which))
        taken += sum(each.nbytes for each in kept)
        if taken > _KEPT_BYTES:
            return None
    return made


@kernel
def _find_circles(  # type: ignore[no-untyped-def]
    x_all,
    y_all,
    radii,
    ny,
    nx,
    pixel,
    weight,
    first,
    start,
    stop,
    run,
    box,
    edges,
    row_cuts,
    column_cuts,
    halves,
    spans,
    covered,
):
    """Fill one row of each array of `CirclePixels` for every centre; the last six arrays are scratch."""
    largest = radii[-1]
    for p in range(x_all.size):
        x, y = x_all[p], y_all[p]
        for k in range(radii.size + 1):
            first[p, k] = run[p, k] = 0
        for k in range(4):
            box[p, k] = 0
        if not (np.isfinite(x) and np.isfinite(y)):
            continue
        nearest_x, nearest_y = nearest_pixel(x), nearest_pixel(y)
        x, y = x - nearest_x, y - nearest_y
        first_row, stop_row = touched_range(y, largest + 1.0, nearest_y, ny)
        first_column, stop_column = touched_range(x, largest + 1.0, nearest_x, nx)
        if first_row >= stop_row or first_column >= stop_column:
            continue
        box[p, 0], box[p, 1], box[p, 2], box[p, 3] = first_row, stop_row, first_column, stop_column
        rows, columns = stop_row - first_row, stop_column - first_column
        axis_row, axis_column = nearest_y - first_row, nearest_x - first_column
        for edge in range(padded(columns + 1)):
            edges[0, edge] = (edge - axis_column) - 0.5 - x
        for edge in range(padded(rows + 1)):
            edges[1, edge] = (edge - axis_row) - 0.5 - y
        halve_axes(x, y, halves)
        for row in range(rows):
            covered[row, 0] = covered[row, 1] = 0
        index, weights, starts, stops = pixel[p], weight[p], start[p], stop[p]
        count = runs = np.int64(0)
        for k in range(radii.size):
            touched = touched_range(y, radii[k], axis_row, rows) + touched_range(x, radii[k], axis_column, columns)
            if radii[k] < SMALL:
                count += small_circle(radii[k], rows, columns, edges, touched, index, weights, count)
            else:
                count, runs = large_circle(
                    radii[k],
                    x,
                    y,
                    axis_row,
                    axis_column,
                    (rows, columns),
                    touched,
                    row_cuts,
                    column_cuts,
                    halves,
                    spans,
                    covered,
                    index,
                    weights,
                    count,
                    starts,
                    stops,
                    runs,
                )
            first[p, k + 1] = count
            run[p, k + 1] = runs
