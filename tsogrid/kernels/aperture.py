"""Sums over circles with exact overlap: of the data, and of their variance.

The pixels of all circles about one centre are found first (`tsogrid.kernels.circles`), then the box around
the largest circle is read once and summed along these lists. A bad pixel is one whose data
are not finite; it has no part in any sum, and the area is that of the good pixels alone.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.circles import Lists, box_shape, circle_columns
from tsogrid.kernels.compile import kernel
from tsogrid.kernels.listed_sums import mark_box, read_box, sum_circles

_VARIANCE_WEIGHTS = {"w2": 2, "w": 1}


class CircleSums(NamedTuple):
    """Sums over pixels, in the unit of the data: `circle_sums` (n, ns, nr) and `frame_sums` (n,)."""

    sum: NDArray[np.float64]
    variance: NDArray[np.float64]
    area: NDArray[np.float64]
    bad: NDArray[np.int32]


@kernel
def _circle_sums(  # type: ignore[no-untyped-def]
    data, error, begin, which, pixel, weight, first, end, _, run, box, area, order, power, boxes, found, sums, bad
):
    n = data.shape[0]
    value, other, outward, outward_other = boxes[0], boxes[1], boxes[2], boxes[3]
    for item in range(which.size):
        p = which[item]
        source, frame = (begin + item) // n, (begin + item) % n
        empty = box[p, 0] >= box[p, 1]
        nothing = np.nan if box[p, 4] < 0 else 0.0
        spoilt = False
        if not empty:
            following = min(item + 1, which.size - 1)
            next_box, next_frame = box[which[following]], (begin + following) % n
            spoilt = read_box(data, error, frame, box[p], next_frame, next_box, value, other, outward, outward_other)
            sum_circles(pixel[p], weight[p], first[p], end[p], run[p], value, other, outward, outward_other, power, found)
        for k in range(order.size):
            sums[0, frame, source, order[k]] = nothing if empty else found[0, k]
            sums[1, frame, source, order[k]] = np.nan if error.size == 0 else nothing if empty else found[1, k]
            sums[2, frame, source, order[k]] = 0.0 if empty else area[p, k]
            bad[frame, source, order[k]] = 0
        if spoilt:
            mark_box(data, frame, box[p], value, other, outward, outward_other)
            zero = np.int64(0)
            sum_circles(pixel[p], weight[p], first[p], end[p], run[p], value, other, outward, outward_other, zero, found)
            for k in range(order.size):
                if found[1, k] > 0.0:  # else the area is that of a frame without bad pixels, to the bit
                    sums[2, frame, source, order[k]] = found[0, k]
                    bad[frame, source, order[k]] = np.int32(found[1, k])


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


def check_frames(data: NDArray[Any], error: NDArray[Any] | None) -> NDArray[Any]:
    """Refuse what the compiled code cannot read; give back the error, or an empty array in its place."""
    if data.ndim != 3 or data.dtype.char not in "fd" or not data.dtype.isnative:
        raise ValueError(f"data: expected (n, ny, nx) of native float32 or float64, got {data.shape} of {data.dtype}")
    if not data.flags.c_contiguous:
        raise ValueError("data: expected a C-contiguous array; pass numpy.ascontiguousarray(data)")
    if error is None:
        return np.empty((0, 0, 0), data.dtype)
    if error.shape != data.shape or error.dtype != data.dtype or not error.flags.c_contiguous:
        raise ValueError(
            f"error: expected a C-contiguous array like data, {data.shape} of {data.dtype}, "
            f"got {error.shape} of {error.dtype}"
        )
    return error


def check_circles(
    data: NDArray[Any], x: ArrayLike, y: ArrayLike, radii: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    x = np.ascontiguousarray(x, np.float64)
    y = np.ascontiguousarray(y, np.float64)
    if x.ndim != 2 or x.shape != y.shape or x.shape[0] != data.shape[0]:
        raise ValueError(f"x, y: expected ({data.shape[0]}, sources) each, got {x.shape} and {y.shape}")
    radii = np.array(radii, np.float64)  # a copy is contiguous
    sizes = radii.ravel().tolist()
    if radii.ndim != 1 or not sizes or not (all(map(math.isfinite, sizes)) and min(sizes) > 0.0):
        raise ValueError(f"radii: expected a list of positive numbers, got {radii}")
    return x, y, radii


def circle_sums(
    data: NDArray[Any],
    error: NDArray[Any] | None,
    x: ArrayLike,
    y: ArrayLike,
    radii: ArrayLike,
    variance_weight: str = "w2",
    lists: Lists | None = None,
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
    lists : optional
        Of `kept_lists` for these positions, radii and frames; made here if not given.

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
    errors = check_frames(data, error)
    x, y, sizes = check_circles(data, x, y, radii)
    rows, columns = box_shape(max(sizes.tolist()), *data.shape[1:])
    boxes, found = np.empty((4, (rows + 1) * columns)), np.empty((2, sizes.size))
    sums = np.empty((3, *x.shape, sizes.size))
    bad = np.empty(sums.shape[1:], np.int32)
    power = _VARIANCE_WEIGHTS[variance_weight]
    for pixels, begin, which in lists or circle_columns(x, y, sizes, *data.shape[1:]):
        _circle_sums(data, errors, begin, which, *pixels, power, boxes, found, sums, bad)
    return CircleSums(sums[0], sums[1], sums[2], bad)


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
    errors = check_frames(data, error)
    sums, variances, counts = np.zeros((3, data.shape[2]))
    out = np.empty((data.shape[0], 4))
    _frame_sums(data, errors, sums, variances, counts, out)
    if error is None:
        out[:, 1] = np.nan
    return CircleSums(out[:, 0].copy(), out[:, 1].copy(), out[:, 2].copy(), out[:, 3].astype(np.int32))
