"""Variance of sums of a model of polynomials along columns and rows, as it follows from the pixels that were fitted.

The model is linear in the pixels that its fits kept, and a sum of it over an aperture is Σ c v, the weights carried back
through the fits: from the last direction to the first each line's weights lose their projection on that line's polynomials.
These are found once for a cut-out and serve all apertures; an aperture has weights in few lines, and only they are read.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.circles import circle_lists
from tsogrid.kernels.colrow import ColumnRow, line_orders, row_pitch
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.statistics import INDEX
from tsogrid.kernels.vectors import (
    WIDTH,
    as_double,
    counted,
    fill,
    fused,
    load,
    load_bits,
    no_count,
    number_of,
    ramp,
    smallest_of,
    store,
    total_of,
    where,
)

# What clipping costs a mean of normal values: its variance after three fits that keep |residual| < 3 MAD, over that of as
# many values that were never clipped, less 1; and the degrees of freedom with which half of it is reached. docs/numbers.md.
CLIPPING = 0.24866
CLIPPING_POINTS = 11.0


def column_row_variance(
    fit: ColumnRow,
    error: NDArray[np.floating] | None,
    weights: NDArray[np.float64],
    order_x: int,
    order_y: int,
    directions: Sequence[str],
) -> NDArray[np.float64]:
    """Variance of Σ weights · model, of every cut-out.

    Parameters
    ----------
    fit : ColumnRow
        From `column_row`, with the same degrees and directions.
    error : (m, h, w) array, or None
        1 σ errors of the pixels; only those of kept pixels are used, and a NaN among them makes the variance NaN. None: the
        fit's scatter is every pixel's error.
    weights : (m, h, w) array of float
        For example the overlap of an aperture with each pixel.
    order_x, order_y, directions
        As in `column_row`.

    Returns
    -------
    (m,) array of float
        Σ c² σ² with c = w − (1 − P₁ᵀ) … (1 − P_dᵀ) w, where P_k takes pixels to the polynomials of direction k: the model is
        linear in the pixels that were kept. Which were kept depends on the noise too: 1 + 0.249 ν / (ν + 11) times that, ν
        being the degrees of freedom that are left to a line, on the average.

    Raises
    ------
    ValueError
        If shapes do not agree, a degree is not 0 … 5, or a direction is unknown.
    """
    orders, along_rows = line_orders(order_x, order_y, directions)
    _check(fit, error, len(orders), weights.shape, "weights")
    m, h, w = weights.shape
    variance = np.empty((m, 1))
    one, numbers = np.zeros((1, 1), np.uint32), np.zeros((1, 4), np.int64)
    lists = (one, np.zeros((1, 1)), numbers, one, one, numbers, numbers)
    dense = np.ascontiguousarray(weights, np.float64)
    nothing = np.zeros((0, h, w), np.bool_)
    _variance(*_fitted(fit, error, orders, along_rows, 0, m), dense, nothing, lists, np.zeros(m, np.int64), variance)
    return variance[:, 0]


def column_row_circle_variance(
    fit: ColumnRow,
    error: NDArray[np.floating] | None,
    good: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius: NDArray[np.float64],
    order_x: int,
    order_y: int,
    directions: Sequence[str],
) -> NDArray[np.float64]:
    """Variance of the model's sum in circles, of every cut-out: `column_row_variance` with the exact overlaps.

    Parameters
    ----------
    fit, error, order_x, order_y, directions
        As in `column_row_variance`.
    good : (m, h, w) array of bool
        The pixels that are summed.
    x, y : (m, 1) array of float
        Centres in pixels of the cut-outs.
    radius : (nr,) array of float
        In pixels, positive.

    Returns
    -------
    (m, nr) array of float
        0 where the centre is not known.

    Raises
    ------
    ValueError
        As `column_row_variance`.
    """
    orders, along_rows = line_orders(order_x, order_y, directions)
    _check(fit, error, len(orders), good.shape, "good")
    m, h, w = good.shape
    order = np.argsort(radius, kind="stable")
    variance = np.zeros((m, radius.size))
    for pixels, first, which in circle_lists(x, y, np.ascontiguousarray(radius[order], np.float64), h, w):
        some = slice(first, first + len(which))
        lists = (pixels.pixel, pixels.weight, pixels.first, pixels.start, pixels.stop, pixels.run, pixels.box)
        fitted = _fitted(fit, error, orders, along_rows, some.start, some.stop)
        chosen = np.ascontiguousarray(good[some])
        _variance(*fitted, np.zeros((0, h, w)), chosen, lists, which.astype(np.int64), variance[some])
    found = np.empty_like(variance)
    found[:, order] = variance
    return found


def _check(fit: ColumnRow, error: Any, directions: int, shape: tuple[int, ...], name: str) -> None:
    expected = fit.model.shape
    if fit.kept.shape != (directions, *expected):
        raise ValueError(f"expected the directions of the fit, {len(fit.kept)}, found {directions}")
    for what, found in ((name, shape), ("error", expected if error is None else error.shape)):
        if found != expected:
            raise ValueError(f"expected {what} of shape {expected}, found {found}")


def _fitted(fit: ColumnRow, error: Any, orders: Any, along_rows: Any, first: int, stop: int) -> tuple[Any, ...]:
    """What the kernel needs of some cut-outs, and scratch for one."""
    _, h, w = fit.model.shape
    pitch = row_pitch(w)
    size, lines = -(-h // WIDTH) * WIDTH * pitch, max(h, pitch // WIDTH)
    terms = int(orders.max()) + 1
    return (
        np.ascontiguousarray(fit.kept[:, first:stop]).view(np.uint8),
        np.zeros((0, h, w)) if error is None else np.ascontiguousarray(error[first:stop], np.float64),
        fit.scatter[first:stop],
        orders,
        along_rows,
        pitch,
        (
            np.zeros(size, np.uint8),
            np.zeros((3, size)),
            np.zeros(len(orders) * terms * size),
            np.zeros(len(orders) * terms * WIDTH * lines),
            np.array([(d * terms * size, size, d * terms * WIDTH * lines, WIDTH * lines) for d in range(len(orders))]),
            np.zeros(WIDTH * terms),
        ),
    )


@part
def _groups(along, line, h, w, pitch):  # type: ignore[no-untyped-def]
    """Where the groups of eight pixels of a row, or of eight columns, begin: first pixel, step and number."""
    return (line * pitch, np.int64(WIDTH), (w + WIDTH - 1) // WIDTH) if along else (line * WIDTH, pitch, h)


@part
def _polynomials(marks, bit, basis, inverse, at, line, groups, along, order):  # type: ignore[no-untyped-def]
    """Fill the polynomials that are orthogonal on the kept pixels, and 1 / Σ p²; how many lines, and degrees of freedom.

    ``at`` is where those of this direction begin in the flat arrays, and how far one of them is from the next.
    """
    start, step, number = groups
    begin, stride = (ramp(), fill(np.float64(WIDTH))) if along else (fill(0.0), fill(1.0))
    count, first, last, place = no_count(), fill(np.inf), fill(-1.0), begin
    for c in range(number):
        keep = load_bits(marks, INDEX(start + c * step), bit)
        count = counted(count, keep)
        first = where(keep & (place < first), place, first)
        last = where(keep, place, last)
        place = place + stride
    points = as_double(count)
    if along:
        points, first, last = fill(total_of(points)), fill(smallest_of(first)), fill(-smallest_of(0.0 - last))
    alive = points > order + 0.5
    lines = number_of(alive)
    freedom = total_of(where(alive, points - (order + 1.0), 0.0))
    middle = where(alive, 0.5 * (first + last), 0.0)
    shift, ratio, norm = fill(0.0), fill(0.0), fill(1.0)
    for k in range(order + 1):
        square, moment, u = fill(0.0), fill(0.0), begin - middle
        own = at[0] + k * at[1] + start
        for c in range(number):
            p = fill(1.0)
            if k > 0:
                p = (u - shift) * load(basis, INDEX(own - at[1] + c * step))
            if k > 1:
                p = p - ratio * load(basis, INDEX(own - 2 * at[1] + c * step))
            store(basis, INDEX(own + c * step), p)
            p = where(load_bits(marks, INDEX(start + c * step), bit), p, 0.0)
            square = fused(p, p, square)
            moment = fused(u * p, p, moment)
            u = u + stride
        if along:
            square, moment = fill(total_of(square)), fill(total_of(moment))
        store(inverse, INDEX(at[2] + k * at[3] + WIDTH * line), where(alive, 1.0 / square, 0.0))
        shift, ratio, norm = where(alive, moment / square, 0.0), where(alive, square / norm, 0.0), square
    return (lines // WIDTH, freedom / WIDTH) if along else (lines, freedom)


@part
def _take_off_adjoint(  # type: ignore[no-untyped-def]
    weights, rest, spread, marks, bit, basis, inverse, at, lines, some, along, order, shape, factors, last
):
    """Subtract Pᵀ g from the weights g of some rows, or groups of eight columns, P being their fits.

    All g is 0 but that of lines from ``lines[0]`` up to ``lines[1]``, in groups from ``some[0]`` up to ``some[1]``. The
    polynomial of degree 0 is 1, and most fits have no more than one other. The last direction of all leaves g as it is, and
    returns Σ c² σ², c being the weights less what they have become; outside of ``some`` g need not be there for it.
    """
    h, w, pitch = shape
    total = fill(0.0)
    for line in range(lines[0], lines[1]):
        start, step, number = _groups(along, line, h, w, pitch)
        first, second, own = fill(0.0), fill(0.0), at[0] + min(order, 1) * at[1] + start
        for c in range(some[0], some[1]):
            weight = load(rest, INDEX(start + c * step))
            first = first + weight
            second = fused(load(basis, INDEX(own + c * step)), weight, second)
        if along:
            first, second = fill(total_of(first)), fill(total_of(second))
        scale = at[2] + WIDTH * line
        first = first * load(inverse, INDEX(scale))
        second = second * load(inverse, INDEX(scale + at[3])) if order > 0 else fill(0.0)
        for k in range(2, order + 1):
            higher, projection = at[0] + k * at[1] + start, fill(0.0)
            for c in range(some[0], some[1]):
                projection = fused(load(basis, INDEX(higher + c * step)), load(rest, INDEX(start + c * step)), projection)
            if along:
                projection = fill(total_of(projection))
            store(factors, INDEX(WIDTH * k), projection * load(inverse, INDEX(scale + k * at[3])))
        for c in range(number):
            pixel = start + c * step
            change = fused(second, load(basis, INDEX(own + c * step)), first)
            for k in range(2, order + 1):
                change = fused(load(factors, INDEX(WIDTH * k)), load(basis, INDEX(at[0] + k * at[1] + pixel)), change)
            change = where(load_bits(marks, INDEX(pixel), bit), change, 0.0)
            if not last:
                store(rest, INDEX(pixel), load(rest, INDEX(pixel)) - change)
                continue
            if along or some[0] <= c < some[1]:
                change = load(weights, INDEX(pixel)) - (load(rest, INDEX(pixel)) - change)
            total = fused(change * change, load(spread, INDEX(pixel)), total)
    return total_of(total)


@part
def _load_fit(kept, frame, error, scatter, pitch, marks, spread):  # type: ignore[no-untyped-def]
    """A bit for each direction that kept a pixel, and the variance of every pixel that any did; their sum."""
    directions, _, h, w = kept.shape
    sigma = scatter[frame]
    for j in range(h):
        for i in range(w):
            bits = np.uint8(0)
            for d in range(directions):
                bits |= np.uint8(kept[d, frame, j, i] << d)
            marks[INDEX(j * pitch + i)] = bits
        if error.shape[0] > 0:
            for i in range(w):
                value = error[frame, j, i]
                spread[INDEX(j * pitch + i)] = value * value if marks[INDEX(j * pitch + i)] > 0 else 0.0
        else:
            for i in range(w):
                spread[INDEX(j * pitch + i)] = sigma * sigma if marks[INDEX(j * pitch + i)] > 0 else 0.0
    total = fill(0.0)
    for group in range(h * pitch // WIDTH):
        total = total + load(spread, INDEX(WIDTH * group))
    return total_of(total)


@part
def _carried_back(weights, rest, spread, marks, orders, along_rows, shape, box, basis, inverse, places, factors):  # type: ignore[no-untyped-def]
    """Σ c² σ² of weights that are 0 outside a box of rows and groups of columns."""
    h, w, pitch = shape
    first_row, stop_row, first_group, stop_group = box
    # Columns before the last direction make weights in all rows; else only those of the box are ever read.
    everywhere = not np.all(along_rows[1:])
    first, stop = (np.int64(0), h) if everywhere else (first_row, stop_row)
    for group in range(first * pitch // WIDTH, stop * pitch // WIDTH):
        store(rest, INDEX(WIDTH * group), load(weights, INDEX(WIDTH * group)))
    total = 0.0
    for back in range(orders.size):
        d = orders.size - 1 - back
        along = along_rows[d]
        lines = (first_row, stop_row) if along else (first_group, stop_group)
        some = (first_group, stop_group) if along else (first_row, stop_row)
        at = (places[d, 0], places[d, 1], places[d, 2], places[d, 3])
        bit = np.uint8(1 << d)
        total = _take_off_adjoint(
            weights, rest, spread, marks, bit, basis, inverse, at, lines, some, along, orders[d], shape, factors, d == 0
        )
        if along:
            first_group, stop_group = np.int64(0), (w + WIDTH - 1) // WIDTH
        else:
            first_row, stop_row = np.int64(0), h
    return total


@part
def _write_runs(weights, good, frame, pitch, box, start, stop, rows):  # type: ignore[no-untyped-def]
    """Give whole pixels that are good the weight 1; the first row with a weight, and one past the last."""
    columns, (first, last) = box[3] - box[2], rows
    for run in range(start.size):
        row = np.int64((start[run] + 0.5) / columns)  # faster than the division of integers
        j, column = box[0] + row, box[2] + start[run] - row * columns
        for i in range(column, column + stop[run] - start[run]):
            weights[INDEX(j * pitch + i)] = 1.0 if good[INDEX(frame), INDEX(j), INDEX(i)] else 0.0
        first, last = min(first, j), max(last, j + 1)
    return first, last


@part
def _write_edge(weights, good, frame, pitch, box, pixel, weight, factor, rows):  # type: ignore[no-untyped-def]
    """Give good pixels their weights, times ``factor``; as `_write_runs`."""
    columns, (first, last) = box[3] - box[2], rows
    for k in range(pixel.size):
        row = np.int64((pixel[k] + 0.5) / columns)
        j, i = box[0] + row, box[2] + pixel[k] - row * columns
        weights[INDEX(j * pitch + i)] = factor * weight[k] if good[INDEX(frame), INDEX(j), INDEX(i)] else 0.0
        first, last = min(first, j), max(last, j + 1)
    return first, last


@kernel
def _variance(  # type: ignore[no-untyped-def]
    kept, error, scatter, orders, along_rows, pitch, scratch, dense, good, lists, which, variance
):
    marks, work, basis, inverse, places, factors = scratch
    _, m, h, w = kept.shape
    pixel, weight, edge, start, stop, run, boxes = lists
    weights, rest, spread = work[0], work[1], work[2]
    for frame in range(m):
        if not _load_fit(kept, frame, error, scatter, pitch, marks, spread) < np.inf:
            variance[frame] = np.nan
            continue
        fitted, freedom = np.int64(0), 0.0
        for d in range(orders.size):
            at = (places[d, 0], places[d, 1], places[d, 2], places[d, 3])
            for line in range(h if along_rows[d] else (w + WIDTH - 1) // WIDTH):
                groups = _groups(along_rows[d], line, h, w, pitch)
                lines, free = _polynomials(
                    marks, np.uint8(1 << d), basis, inverse, at, line, groups, along_rows[d], orders[d]
                )
                fitted, freedom = fitted + lines, freedom + free
        freedom = freedom / fitted if fitted > 0 else 0.0
        factor = 1.0 + CLIPPING * freedom / (freedom + CLIPPING_POINTS)
        shape = (h, w, pitch)
        if dense.shape[0] > 0:
            for j in range(h):
                for i in range(w):
                    weights[INDEX(j * pitch + i)] = dense[frame, j, i]
            whole = (np.int64(0), h, np.int64(0), (w + WIDTH - 1) // WIDTH)
            variance[frame, 0] = factor * _carried_back(
                weights, rest, spread, marks, orders, along_rows, shape, whole, basis, inverse, places, factors
            )
            continue
        weights[:] = 0.0
        p, rows = which[frame], (h, np.int64(0))  # a smaller circle's pixels are the larger one's, too
        box = (boxes[p, 0], boxes[p, 1], boxes[p, 2], boxes[p, 3])
        if box[0] >= box[1]:
            continue
        for k in range(variance.shape[1]):
            edges, runs = slice(edge[p, k], edge[p, k + 1]), slice(run[p, k], run[p, k + 1])
            rows = _write_runs(weights, good, frame, pitch, box, start[p, runs], stop[p, runs], rows)
            rows = _write_edge(weights, good, frame, pitch, box, pixel[p, edges], weight[p, edges], 1.0, rows)
            some = (rows[0], rows[1], box[2] // WIDTH, (box[3] + WIDTH - 1) // WIDTH)
            variance[frame, k] = factor * _carried_back(
                weights, rest, spread, marks, orders, along_rows, shape, some, basis, inverse, places, factors
            )
            _write_edge(weights, good, frame, pitch, box, pixel[p, edges], weight[p, edges], 0.0, rows)
