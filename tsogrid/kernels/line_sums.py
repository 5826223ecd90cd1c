"""What the lines of a frame add to sums over circles: their levels, and the noise that the pixels of a line share.

A line is a row of one amplifier, all of whose pixels have the same level. How much of each line a circle holds is
found from the lists of `tsogrid.kernels.circles`; levels count with it, and the variance of a level with its square.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.aperture import check_circles, check_frames
from tsogrid.kernels.circles import Lists, box_shape, circle_columns
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.listed_sums import all_good, mark_good
from tsogrid.kernels.statistics import INDEX


class LineSums(NamedTuple):
    """Sums of the levels of lines over circles, and their variance, (n, ns, nr) each, or (m, n, ns, nr)."""

    sum: NDArray[np.float64]
    variance: NDArray[np.float64]


@partial(part, forceinline=True)
def _sum_lines(  # type: ignore[no-untyped-def]
    pixel,
    weight,
    first,
    end,
    row_of,
    run,
    good,
    lines,
    box,
    reach,
    level,
    line_variance,
    frame,
    whole,
    edge,
    out,
):
    rows, columns = box[1] - box[0], box[3] - box[2]
    top = box[0]
    for row in range(rows):
        for its in range(whole.shape[1]):
            whole[INDEX(row), INDEX(its)] = 0.0
    axis, inverse = box[4] - box[0], 1.0 / columns
    for column in range(columns):
        reach[0, column] = reach[1, column] = axis
    low, high = np.int64(rows), np.int64(-1)  # first and last row that a circle so far has touched
    for k in range(out.shape[2]):
        for m in range(run[k], run[k + 1]):
            at_row = np.int64(row_of[INDEX(m)])
            column = np.int64(end[INDEX(m)]) - at_row * columns
            # what the circle covers of the column beyond the one before
            if at_row >= axis:
                begin, stop = reach[1, column], at_row + 1
                reach[1, column] = stop
            else:
                begin, stop = at_row, reach[0, column]
                reach[0, column] = at_row
            # without rows below its axis, and wider than the frame, a circle ends nowhere but in its last row
            low, high = min(low, begin), max(high, stop - 1)
            line = np.int64(lines[box[2] + column])
            if line >= 0:
                for row in range(begin, stop):
                    whole[INDEX(row), INDEX(line)] += good[INDEX(row * columns + column)]
        least, most = rows * columns, np.int64(-1)
        for m in range(first[k], first[k + 1]):
            least, most = min(least, np.int64(pixel[INDEX(m)])), max(most, np.int64(pixel[INDEX(m)]))
        if most >= 0:
            low, high = min(low, least // columns), max(high, most // columns)
        for row in range(low, high + 1):
            for its in range(whole.shape[1]):
                edge[INDEX(row), INDEX(its)] = whole[INDEX(row), INDEX(its)]
        for m in range(first[k], first[k + 1]):
            at = np.int64(pixel[INDEX(m)])
            at_row = np.int64((at + 0.5) * inverse)  # at // columns, sooner
            line = np.int64(lines[box[2] + at - at_row * columns])
            if line >= 0:
                edge[INDEX(at_row), INDEX(line)] += weight[INDEX(m)] * good[INDEX(at)]
        for model in range(out.shape[1]):
            total = variance = 0.0
            for row in range(low, high + 1):
                for its in range(edge.shape[1]):
                    part_of_line = edge[INDEX(row), INDEX(its)]
                    # an untouched line has no part, also where its level or its variance is unknown
                    if part_of_line > 0.0:
                        variance += part_of_line * part_of_line * line_variance[model, frame, top + row, its]
                        total += part_of_line * level[model, frame, top + row, its]
            out[0, model, k] = total
            out[1, model, k] = variance


@partial(part, forceinline=True)
def _sum_whole(  # type: ignore[no-untyped-def]
    radii,
    order,
    pixel,
    weight,
    first,
    end,
    row_of,
    run,
    box,
    lines,
    touched,
    level,
    line_variance,
    frame,
    held,
    out,
):
    """As `_sum_lines` where all pixels count: how much of each line a circle holds is counted from its columns' ends."""
    least, most, only = touched
    columns = box[3] - box[2]
    axis, inverse = box[4] - box[0], 1.0 / columns
    for k in range(out.shape[2]):
        reach = np.int64(radii[order[k]]) + 2
        low, stop = max(axis - reach, 0), min(axis + reach, box[1] - box[0])
        for its in range(least, most):
            for row in range(low, stop):
                held[INDEX(its), INDEX(row)] = 0.0
        for m in range(run[k], run[k + 1]):
            at_row = np.int64(row_of[INDEX(m)])
            line = least if only else np.int64(lines[box[2] + np.int64(end[INDEX(m)]) - at_row * columns])
            if line >= 0:
                held[INDEX(line), INDEX(at_row)] += 1.0
        # a column that ends in a row has pixels in all rows from the centre's to this one
        for its in range(least, most):
            for row in range(stop - 2, axis - 1, -1):
                held[INDEX(its), INDEX(row)] += held[INDEX(its), INDEX(row + 1)]
            for row in range(low + 1, axis):
                held[INDEX(its), INDEX(row)] += held[INDEX(its), INDEX(row - 1)]
        for m in range(first[k], first[k + 1]):
            at = np.int64(pixel[INDEX(m)])
            at_row = np.int64((at + 0.5) * inverse)  # at // columns, sooner
            line = least if only else np.int64(lines[box[2] + at - at_row * columns])
            if line >= 0:
                held[INDEX(line), INDEX(at_row)] += weight[INDEX(m)]
        for model in range(out.shape[1]):
            total = variance = 0.0
            for row in range(low, stop):
                of_frame = INDEX(box[0] + row)
                for its in range(least, most):
                    part_of_line = held[INDEX(its), INDEX(row)]
                    if part_of_line > 0.0:
                        variance += part_of_line * part_of_line * line_variance[model, frame, of_frame, INDEX(its)]
                        total += part_of_line * level[model, frame, of_frame, INDEX(its)]
            out[0, model, k] = total
            out[1, model, k] = variance


@part
def _touched_lines(lines, first, stop):  # type: ignore[no-untyped-def]
    """First, and one past the last, amplifier of columns first … stop − 1, and whether all of them are of one."""
    least, most, only = np.int64(lines[first]), np.int64(0), lines[first] >= 0
    for column in range(first, stop):
        line = np.int64(lines[INDEX(column)])
        only = only and line == least
        if line >= 0:
            least, most = line if least < 0 else min(least, line), max(most, line + 1)
    return max(least, np.int64(0)), most, only


@kernel
def _circle_line_sums(  # type: ignore[no-untyped-def]
    data,
    every,
    begin,
    which,
    pixel,
    weight,
    first,
    end,
    row,
    run,
    box,
    _area,
    order,
    radii,
    level,
    line_variance,
    lines,
    good,
    reach,
    held,
    whole,
    edge,
    found,
    out,
):
    n = line_variance.shape[1]
    for item in range(which.size):
        p = which[item]
        source, frame = (begin + item) // n, (begin + item) % n
        if box[p, 0] >= box[p, 1]:
            for model in range(found.shape[1]):
                for k in range(order.size):
                    out[0, model, frame, source, k] = out[1, model, frame, source, k] = 0.0 if box[p, 4] >= 0 else np.nan
            continue
        if every or all_good(data, frame, box[p]):
            _sum_whole(
                radii,
                order,
                pixel[p],
                weight[p],
                first[p],
                end[p],
                row[p],
                run[p],
                box[p],
                lines,
                _touched_lines(lines, box[p, 2], box[p, 3]),
                level,
                line_variance,
                frame,
                held,
                found,
            )
        else:
            mark_good(data, frame, box[p], good)
            _sum_lines(
                pixel[p],
                weight[p],
                first[p],
                end[p],
                row[p],
                run[p],
                good,
                lines,
                box[p],
                reach,
                level,
                line_variance,
                frame,
                whole,
                edge,
                found,
            )
        for model in range(found.shape[1]):
            for k in range(order.size):
                out[0, model, frame, source, order[k]] = found[0, model, k]
                out[1, model, frame, source, order[k]] = found[1, model, k]


def circle_line_sums(
    data: NDArray[Any],
    x: ArrayLike,
    y: ArrayLike,
    radii: ArrayLike,
    line_variance: NDArray[np.float64],
    lines: ArrayLike,
    level: NDArray[np.float64] | None = None,
    every: bool = False,
    lists: Lists | None = None,
) -> LineSums:
    """Sums over circles of levels that the pixels of one row and amplifier share, and their variance.

    An uncertain level of row j and amplifier a moves all pixels of this line together, so its variance counts
    with the square of their summed weights: Σ_ja (Σ w)² v_ja, over the good pixels. The levels' own sum is Σ_ja (Σ w) l_ja.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous; read only for which pixels are good (finite).
    x, y : (n, ns) array of float
        Centres in pixels.
    radii : (nr,) array of float
        Radii in pixels, in any order.
    line_variance : (n, ny, na) or (m, n, ny, na) array of float
        Variance v of the level of each row and amplifier, in the square of the unit of the data; of several models of the
        rows, how much of each row a circle holds is found once.
    lines : (nx,) array of int
        The amplifier of each column, −1 for none.
    level : array of float, optional
        The levels l, of the shape of the variances.
    every : bool
        Whether bad pixels count, too.
    lists : optional
        Of `tsogrid.kernels.circles.kept_lists` for these positions, radii and frames; made here if not given.

    Returns
    -------
    LineSums
        sum, 0 without levels, and variance, (n, ns, nr) or (m, n, ns, nr); NaN where the position is not finite, or where a
        line in the circle has NaN.

    Raises
    ------
    ValueError
        If shapes or dtypes do not match, a radius is not positive, or `lines` names an amplifier beyond na.
    """
    check_frames(data, None)
    x, y, sizes = check_circles(data, x, y, radii)
    line_variance = np.ascontiguousarray(line_variance, np.float64)
    shape = line_variance.shape
    if len(shape) not in (3, 4) or shape[-3:-1] != data.shape[:2]:
        raise ValueError(f"line_variance: expected (models,) + {data.shape[:2]} + (amplifiers,), got {shape}")
    level = np.zeros(shape) if level is None else np.ascontiguousarray(level, np.float64)
    if level.shape != shape:
        raise ValueError(f"level: expected the shape of line_variance, {shape}, got {level.shape}")
    line_variance, level = (each if each.ndim == 4 else each[None] for each in (line_variance, level))
    lines = np.ascontiguousarray(lines, np.int32)
    if lines.shape != data.shape[2:] or np.any(lines >= shape[-1]):
        raise ValueError(f"lines: expected {data.shape[2]} numbers below {shape[-1]}, got {lines.shape}")
    rows, columns = box_shape(max(sizes.tolist()), *data.shape[1:])
    good, reach, held = np.zeros(rows * columns), np.zeros((2, columns), np.int64), np.zeros((shape[-1], rows))
    models = len(line_variance)
    whole, edge = np.zeros((2, *shape[-2:]))
    found, out = np.empty((2, models, sizes.size)), np.empty((2, models, *x.shape, sizes.size))
    for pixels, begin, which in lists or circle_columns(x, y, sizes, *data.shape[1:]):
        _circle_line_sums(
            data,
            every,
            begin,
            which,
            *pixels,
            sizes,
            level,
            line_variance,
            lines,
            good,
            reach,
            held,
            whole,
            edge,
            found,
            out,
        )
    return LineSums(*(out if len(shape) == 4 else out[:, 0]))
