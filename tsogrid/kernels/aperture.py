"""Sums over circles with exact overlap: of the data, of their variance, and of the noise that a row's pixels share.

The pixels of all circles about one centre are found first (`tsogrid.kernels.circles`), then the box around
the largest circle is read once and summed along these lists. A bad pixel is one whose data
are not finite; it has no part in any sum, and the area is that of the good pixels alone.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.circles import circle_lists
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.listed_sums import mark_good, read_box, sum_circles, sum_clean

_VARIANCE_WEIGHTS = {"w2": False, "w": True}


class CircleSums(NamedTuple):
    """Sums over pixels, in the unit of the data: `circle_sums` (n, ns, nr) and `frame_sums` (n,)."""

    sum: NDArray[np.float64]
    variance: NDArray[np.float64]
    area: NDArray[np.float64]
    bad: NDArray[np.int32]


@kernel
def _circle_sums(  # type: ignore[no-untyped-def]
    data, error, begin, which, pixel, weight, first, start, stop, run, box, linear, value, variance, good, out
):
    n = data.shape[0]
    for item in range(which.size):
        p = which[item]
        source, frame = (begin + item) // n, (begin + item) % n
        result = out[frame, source]
        if box[p, 0] >= box[p, 1]:
            for k in range(result.shape[0]):
                for quantity in range(4):
                    result[k, quantity] = 0.0
            continue
        if read_box(data, error, frame, box[p], value, variance):
            sum_clean(pixel[p], weight[p], first[p], start[p], stop[p], run[p], value, variance, linear, result)
        else:
            mark_good(data, frame, box[p], good)
            sum_circles(pixel[p], weight[p], first[p], start[p], stop[p], run[p], value, variance, good, linear, result)


@part
def _sum_lines(  # type: ignore[no-untyped-def]
    pixel,
    weight,
    first,
    start,
    stop,
    run,
    good,
    lines,
    columns,
    rows,
    first_column,
    line_variance,
    first_row,
    whole,
    edge,
    out,
):
    for row in range(rows):
        for line in range(whole.shape[1]):
            whole[row, line] = 0.0
    for k in range(out.size):
        row, row_end = 0, columns
        for m in range(run[k], run[k + 1]):
            while start[m] >= row_end:
                row, row_end = row + 1, row_end + columns
            column = first_column - row * columns
            for i in range(np.int64(start[m]), np.int64(stop[m])):
                if lines[column + i] >= 0:
                    whole[row, lines[column + i]] += good[i]
        # element by element: assigning slices would compile numba's string formatting, for a message about shapes
        for row in range(rows):
            for line in range(whole.shape[1]):
                edge[row, line] = whole[row, line]
        for m in range(first[k], first[k + 1]):
            at = np.int64(pixel[m])
            row = at // columns
            line = lines[first_column - row * columns + at]
            if line >= 0:
                edge[row, line] += weight[m] * good[at]
        total = 0.0
        for row in range(rows):
            for line in range(edge.shape[1]):
                # an untouched line has no part, also where its variance is unknown
                if edge[row, line] > 0.0:
                    total += edge[row, line] * edge[row, line] * line_variance[first_row + row, line]
        out[k] = total


@kernel
def _circle_line_variance(  # type: ignore[no-untyped-def]
    data, begin, which, pixel, weight, first, start, stop, run, box, line_variance, lines, good, whole, edge, out
):
    n = data.shape[0]
    for item in range(which.size):
        p = which[item]
        source, frame = (begin + item) // n, (begin + item) % n
        if box[p, 0] >= box[p, 1]:
            for k in range(out.shape[2]):
                out[frame, source, k] = 0.0
            continue
        mark_good(data, frame, box[p], good)
        _sum_lines(
            pixel[p],
            weight[p],
            first[p],
            start[p],
            stop[p],
            run[p],
            good,
            lines,
            box[p, 3] - box[p, 2],
            box[p, 1] - box[p, 0],
            box[p, 2],
            line_variance[frame],
            box[p, 0],
            whole,
            edge,
            out[frame, source],
        )


@kernel
def _frame_sums(data, error, sums, variances, counts, out):  # type: ignore[no-untyped-def]
    ny, nx = data.shape[1:]
    for frame in range(data.shape[0]):
        # one accumulator a column: the additions of a row do not wait for each other
        sums[:] = 0.0
        variances[:] = 0.0
        counts[:] = 0.0
        for row in range(ny):
            pixels = data[frame, row]
            for column in range(nx):
                pixel = np.float64(pixels[column])
                finite = pixel - pixel == 0.0
                sums[column] += pixel if finite else 0.0
                counts[column] += 1.0 if finite else 0.0
            if error.size > 0:
                sigmas = error[frame, row]
                for column in range(nx):
                    pixel, sigma = np.float64(pixels[column]), np.float64(sigmas[column])
                    variances[column] += sigma * sigma if pixel - pixel == 0.0 else 0.0
        total = variance = count = 0.0
        for column in range(nx):
            total += sums[column]
            variance += variances[column]
            count += counts[column]
        out[frame, 0] = total
        out[frame, 1] = variance
        out[frame, 2] = count
        out[frame, 3] = ny * nx - count


def _check_frames(data: NDArray[Any], error: NDArray[Any] | None) -> NDArray[Any]:
    """Refuse what the compiled code cannot read; give back the error, or an empty array in its place."""
    if data.ndim != 3 or data.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"data: expected (n, ny, nx) of native float32 or float64, got {data.shape} of {data.dtype}")
    if not data.flags.c_contiguous:
        raise ValueError("data: expected a C-contiguous array; pass numpy.ascontiguousarray(data)")
    if error is None:
        return np.zeros((0, 0, 0), data.dtype)
    if error.shape != data.shape or error.dtype != data.dtype or not error.flags.c_contiguous:
        raise ValueError(
            f"error: expected a C-contiguous array like data, {data.shape} of {data.dtype}, "
            f"got {error.shape} of {error.dtype}"
        )
    return error


def _check_circles(
    data: NDArray[Any], x: ArrayLike, y: ArrayLike, radii: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    x = np.ascontiguousarray(x, np.float64)
    y = np.ascontiguousarray(y, np.float64)
    if x.ndim != 2 or x.shape != y.shape or x.shape[0] != data.shape[0]:
        raise ValueError(f"x, y: expected ({data.shape[0]}, sources) each, got {x.shape} and {y.shape}")
    radii = np.asarray(radii, np.float64)
    if radii.ndim != 1 or radii.size == 0 or not np.all(np.isfinite(radii) & (radii > 0)):
        raise ValueError(f"radii: expected a list of positive numbers, got {radii}")
    order = np.argsort(radii, kind="stable")
    return x, y, radii[order], order


def _box_pixels(data: NDArray[Any], radii: NDArray[np.float64]) -> int:
    size = 2.0 * np.ceil(radii[-1]) + 5.0
    return int(min(size, data.shape[1]) * min(size, data.shape[2]))


def circle_sums(
    data: NDArray[Any],
    error: NDArray[Any] | None,
    x: ArrayLike,
    y: ArrayLike,
    radii: ArrayLike,
    variance_weight: str = "w2",
) -> CircleSums:
    """Sums over circles, each pixel weighted by the exact area w (0 … 1) of its overlap with the circle.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous, of native byte order. A pixel that is not finite is bad and left out.
    error : array like `data`, or None
        1 sigma of each pixel.
    x, y : (n, ns) array of float
        Centres in pixels; (0, 0) is the centre of the first pixel. Pixels outside the frame have no part.
    radii : (nr,) array of float
        Radii in pixels, in any order.
    variance_weight : {"w2", "w"}
        What a pixel of error σ adds to the variance: w²σ², as for independent pixels, or wσ².

    Returns
    -------
    CircleSums
        Each (n, ns, nr): ``sum`` Σ w·I; ``variance``, NaN without `error` and where the error of a good pixel
        with w > 0 is NaN; ``area`` Σ w in square pixels, of the good pixels in the frame; ``bad``, how many
        bad pixels have w > 0. A position that is not finite gives sum and variance NaN and area 0; a circle
        without a good pixel gives sum and area 0.

    Raises
    ------
    ValueError
        If shapes or dtypes do not match, a radius is not positive, or `variance_weight` is unknown.
    """
    if variance_weight not in _VARIANCE_WEIGHTS:
        raise ValueError(f"variance_weight: expected 'w2' or 'w', got {variance_weight!r}")
    errors = _check_frames(data, error)
    x, y, ascending, order = _check_circles(data, x, y, radii)
    value, variance, good = np.zeros((3, _box_pixels(data, ascending)))
    out = np.empty((*x.shape, ascending.size, 4))
    linear = _VARIANCE_WEIGHTS[variance_weight]
    for pixels, begin, which in circle_lists(x, y, ascending, *data.shape[1:]):
        _circle_sums(data, errors, begin, which, *pixels, linear, value, variance, good, out)
    out[~(np.isfinite(x) & np.isfinite(y)), :, :2] = np.nan
    if error is None:
        out[..., 1] = np.nan
    columns = np.empty((4, *x.shape, ascending.size))
    columns[..., order] = np.moveaxis(out, -1, 0)
    return CircleSums(columns[0], columns[1], columns[2], columns[3].astype(np.int32))


def circle_line_variance(
    data: NDArray[Any],
    x: ArrayLike,
    y: ArrayLike,
    radii: ArrayLike,
    line_variance: NDArray[np.float64],
    lines: ArrayLike,
) -> NDArray[np.float64]:
    """Variance that a level common to the pixels of one row and amplifier adds to the sum over a circle.

    An uncertain level of row j and amplifier a moves all pixels of this line together, so its variance counts
    with the square of their summed weights: Σ_ja (Σ w)² v_ja, over the good pixels.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous; read only for which pixels are good (finite).
    x, y : (n, ns) array of float
        Centres in pixels.
    radii : (nr,) array of float
        Radii in pixels, in any order.
    line_variance : (n, ny, na) array of float
        Variance v of the level of each row and amplifier, in the square of the unit of the data.
    lines : (nx,) array of int
        The amplifier of each column, −1 for none.

    Returns
    -------
    (n, ns, nr) array of float
        The variance; NaN where the position is not finite, or where that of a line in the circle is NaN.

    Raises
    ------
    ValueError
        If shapes or dtypes do not match, a radius is not positive, or `lines` names an amplifier beyond na.
    """
    _check_frames(data, None)
    x, y, ascending, order = _check_circles(data, x, y, radii)
    line_variance = np.ascontiguousarray(line_variance, np.float64)
    if line_variance.ndim != 3 or line_variance.shape[:2] != data.shape[:2]:
        raise ValueError(f"line_variance: expected {data.shape[:2]} + (amplifiers,), got {line_variance.shape}")
    lines = np.ascontiguousarray(lines, np.int32)
    if lines.shape != data.shape[2:] or np.any(lines >= line_variance.shape[2]):
        raise ValueError(f"lines: expected {data.shape[2]} numbers below {line_variance.shape[2]}, got {lines.shape}")
    good = np.zeros(_box_pixels(data, ascending))
    whole, edge = np.zeros((2, *line_variance.shape[1:]))
    out = np.empty((*x.shape, ascending.size))
    for pixels, begin, which in circle_lists(x, y, ascending, *data.shape[1:]):
        _circle_line_variance(data, begin, which, *pixels, line_variance, lines, good, whole, edge, out)
    out[~(np.isfinite(x) & np.isfinite(y))] = np.nan
    result = np.empty_like(out)
    result[..., order] = out
    return result


def frame_sums(data: NDArray[Any], error: NDArray[Any] | None) -> CircleSums:
    """Sums over all good pixels of each frame.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous, of native byte order. A pixel that is not finite is bad and left out.
    error : array like `data`, or None
        1 sigma of each pixel.

    Returns
    -------
    CircleSums
        Each (n,): the sum, its variance (NaN without `error`, or where a good pixel's error is NaN), the
        number of good pixels as ``area``, and the number of bad ones.

    Raises
    ------
    ValueError
        If shapes or dtypes do not match.
    """
    errors = _check_frames(data, error)
    sums, variances, counts = np.zeros((3, data.shape[2]))
    out = np.empty((data.shape[0], 4))
    _frame_sums(data, errors, sums, variances, counts, out)
    if error is None:
        out[:, 1] = np.nan
    return CircleSums(out[:, 0].copy(), out[:, 1].copy(), out[:, 2].copy(), out[:, 3].astype(np.int32))
