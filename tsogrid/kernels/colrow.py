"""The sky as polynomials along columns and rows of a cut-out, the source itself left out.

In each direction in turn every line of the cut-out gets a robust polynomial, fitted to the pixels that may be used, which
is taken off before the next direction. The model is their sum, in the whole cut-out: also under the source, where the
polynomials are interpolated. It is linear in the pixels that were kept, so that its variance propagates exactly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.cutout_pixels import load_cutout, store_kept, store_model
from tsogrid.kernels.line_medians import MEAN_TO_MEDIAN, median_of_all
from tsogrid.kernels.line_points import gather_columns, gather_rows, line_work, pack_rows, whole_rows
from tsogrid.kernels.polynomial import (
    LARGEST_ORDER,
    TERMS,
    least_points,
    robust_lines,
    spread_line,
    take_off,
)
from tsogrid.kernels.statistics import (
    MAD_TO_SIGMA,
)
from tsogrid.kernels.vectors import (
    WIDTH,
    any_of,
    fill,
    number_of,
    ramp,
    zeros,
)

MOST_DIRECTIONS = 7  # the kept pixels of each are a bit of a byte


class ColumnRow(NamedTuple):
    """Model of each cut-out, and what its variance needs.

    Parameters
    ----------
    model : ndarray, shape (m, h, w)
        In the unit and the type of the data; 0 on lines with too few good pixels.
    kept : ndarray of bool, shape (n_directions, m, h, w)
        The pixels that the last fit of each direction was made to.
    scatter : ndarray, shape (m,)
        1 σ of a pixel from the residuals: 1.4826 times the median of their absolute values, for as many degrees of freedom
        as are left; NaN without any.
    """

    model: NDArray[np.floating]
    kept: NDArray[np.bool_]
    scatter: NDArray[np.float64]


def column_row(
    data: NDArray[np.floating], region: NDArray[np.bool_], order_x: int, order_y: int, directions: Sequence[str]
) -> ColumnRow:
    """Robust polynomials along the lines of cut-outs, one direction after the other.

    Parameters
    ----------
    data : (m, h, w) array of float32 or float64
        Cut-outs, C-contiguous; pixels that are not finite are bad.
    region : (m, h, w) array of bool
        Pixels that may be fitted.
    order_x, order_y : int
        Degree, 0 … 5, of the polynomials along rows (X) and along columns (Y).
    directions : sequence of {"X", "Y"}
        In which order; X fits row by row, Y column by column.

    Returns
    -------
    ColumnRow
        A line is fitted three times: to all its good pixels, then twice to those whose residual is below three times the
        median absolute residual (unscaled, about zero) of all its good pixels, as tshirt 0.4.1 does. A line with fewer good
        pixels than three, or than its degree and one, has no model (0); one with as many as coefficients is met exactly.

    Raises
    ------
    ValueError
        If shapes or types do not agree, a degree is not 0 … 5, or a direction is unknown.
    """
    orders, along_rows = line_orders(order_x, order_y, directions)
    if data.ndim != 3 or data.dtype not in (np.dtype(np.float32), np.dtype(np.float64)) or not data.flags.c_contiguous:
        raise ValueError(f"expected C-contiguous cut-outs (m, h, w) of float32 or float64, found {data.dtype} {data.shape}")
    if region.shape != data.shape or region.dtype != np.bool_:
        raise ValueError(f"expected a region of bool {data.shape}, found {region.dtype} {region.shape}")
    m, h, w = data.shape
    if w < WIDTH:  # rows are copied by so many pixels
        wide, fitted = np.zeros((m, h, WIDTH), data.dtype), np.zeros((m, h, WIDTH), np.bool_)
        wide[..., :w], fitted[..., :w] = data, region
        fit = column_row(wide, fitted, order_x, order_y, directions)
        return ColumnRow(fit.model[..., :w].copy(), fit.kept[..., :w].copy(), fit.scatter)
    pitch = row_pitch(w)
    kept = np.empty((len(orders), m, h, w), np.bool_)
    result = ColumnRow(np.empty(data.shape, data.dtype), kept, np.empty(m))
    size = -(-h // WIDTH) * WIDTH * pitch
    length = max(h, w)
    sizes = zeros(size, np.float32)
    sizes[:] = np.nan
    _column_row(
        data.reshape(-1),
        np.ascontiguousarray(region).view(np.uint8).reshape(-1),
        (h, w),
        orders,
        along_rows,
        np.array([least_points(order) for order in orders]),
        pitch,
        zeros(size),
        zeros(size, np.uint8),
        line_work(length),
        zeros(WIDTH * (length + WIDTH), np.float32),
        sizes,
        np.empty(max(size, length) + 1),
        zeros(2 * WIDTH * TERMS).reshape(2, WIDTH * TERMS),
        result.model.reshape(-1),
        kept.view(np.uint8).reshape(-1),
        result.scatter,
    )
    return result


def row_pitch(width: int) -> int:
    """From row to row of scratch: an odd number of vectors, so that columns do not fall on few lines of the cache."""
    return WIDTH * (-(-width // WIDTH) | 1)


def line_orders(order_x: int, order_y: int, directions: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Degree of every direction, and whether it runs along rows."""
    orders = {"X": order_x, "Y": order_y}
    if not all(0 <= order <= LARGEST_ORDER for order in orders.values()):
        raise ValueError(f"expected degrees of 0 … {LARGEST_ORDER}, found {order_x} and {order_y}")
    if not 1 <= len(directions) <= MOST_DIRECTIONS or not set(directions) <= set(orders):
        raise ValueError(f"expected 1 … {MOST_DIRECTIONS} directions of X and Y, found {list(directions)}")
    return (
        np.array([orders[direction] for direction in directions], np.int64),
        np.array([direction == "X" for direction in directions]),
    )


@part
def _scatter(values, singles, rows, points, total, fitted, rounded, chosen):  # type: ignore[no-untyped-def]
    """1 σ of a pixel from the residuals at good pixels, from which ``fitted`` coefficients were taken; about their sum."""
    if fitted == 0 or points <= fitted:
        return np.nan
    guess = max(MEAN_TO_MEDIAN * total / points, 1e-30)
    middling = median_of_all(values, singles, rows, points, guess, rounded, chosen)
    return MAD_TO_SIGMA * middling * np.sqrt(points / (points - fitted))


@part
def _take_off_rows(values, marks, row, w, pitch, order, terms, spread, bit):  # type: ignore[no-untyped-def]
    """Subtract the fits of eight rows, one row after the other."""
    for line in range(WIDTH):
        spread_line(terms, line, order, spread)
        start, groups = (row + line) * pitch, (w + WIDTH - 1) // WIDTH
        take_off(values, marks, start, np.int64(WIDTH), groups, ramp(), fill(float(WIDTH)), order, spread, bit)


@kernel
def _column_row(  # type: ignore[no-untyped-def]
    data,
    region,
    shape,
    orders,
    along_rows,
    least,
    pitch,
    values,
    marks,
    work,
    singles,
    sizes,
    chosen,
    terms,
    model,
    kept,
    scatter,
):
    h, w = shape
    lines_terms, spread = terms[0], terms[1]
    rounded = data.itemsize == 4
    for frame in range(scatter.size):
        start, fitted, noted = frame * h * w, 0, 0  # ``noted``: of how long lines the places are in scratch
        pixels = load_cutout(data, region, start, w, h, pitch, values, marks)
        for d in range(orders.size):
            order, bit = orders[d], np.uint8(2 << d)
            guess = fill(np.float32(0.0))
            for line in range(0, h if along_rows[d] else w, WIDTH):
                if along_rows[d]:
                    whole, sums = gather_rows(values, marks, w, pitch, line, work)
                else:
                    whole, sums = gather_columns(values, marks, h, pitch, line, work)
                length = w if along_rows[d] else h
                if whole:
                    rows, points, first, final = whole_rows(work, singles, length, noted != length, order > 1)
                    noted = length
                else:
                    rows, points, first, final = pack_rows(work, singles, length)
                    noted = 0
                alive = points > least[d] - 0.5
                if any_of(alive):
                    lines = (points, 0.5 * (first + final), 0.5 * (final - first), alive, whole)
                    guess = robust_lines(work, singles, rows, lines, order, sums, guess, lines_terms, rounded, chosen)
                    if along_rows[d]:
                        _take_off_rows(values, marks, line, w, pitch, order, lines_terms, spread, bit)
                    else:
                        take_off(values, marks, line, pitch, h, fill(0.0), fill(1.0), order, lines_terms, bit)
                    fitted += (order + 1) * number_of(alive)
        total = store_model(data, start, w, h, pitch, values, marks, sizes, model)
        store_kept(kept, start, w, h, pitch, marks, orders.size)
        scatter[frame] = _scatter(values, sizes, h * pitch // WIDTH, pixels, total, fitted, rounded, chosen)
