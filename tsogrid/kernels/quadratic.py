"""Where a source is brightest: the maximum of a quadratic surface through the pixels about the brightest one.

The surface c₀ + c₁u + c₂v + c₃uv + c₄u² + c₅v² is fitted by least squares to 5 × 5 pixels, in coordinates that count from
the brightest pixel. These 5 × 5 pixels are moved where the box or the frame ends, so that a source at an edge has them too.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.box import box_start, check_positions, odd_width, on_grid
from tsogrid.kernels.centroid import Center
from tsogrid.kernels.cholesky import factorise, substitute
from tsogrid.kernels.compile import kernel, part

FITTED = 5  # pixels a side
_TERMS = 6


def quadratic_peak(data: NDArray[np.floating], x: ArrayLike, y: ArrayLike, box: int) -> Center:
    """Maximum of a quadratic surface about the brightest pixel of the box around each guess.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Frames, float32 or float64; a non-finite pixel is left out.
    x, y : array_like, shape (n, ns)
        Guesses in pixels, 0-based; NaN gives NaN.
    box : int
        Full width in pixels (even is rounded down) of the box in which the brightest pixel is looked for, centred on the
        pixel nearest the guess, clipped to the frame.

    Returns
    -------
    Center
        NaN where fewer than six pixels are good, the surface has no maximum, or it lies outside the fitted pixels.

    Raises
    ------
    ValueError
        If shapes, types or the width of the box do not fit.
    """
    columns, rows = check_positions(data, x, y)
    result = Center(np.full(columns.shape, np.nan), np.full(columns.shape, np.nan))
    work = np.empty((2, _TERMS, _TERMS)), np.empty((2, _TERMS))
    _quadratic_peaks(data, columns, rows, odd_width(box), *work, result.x, result.y)
    return result


@part
def _brightest(data, frame, first_j, last_j, first_i, last_i):  # type: ignore[no-untyped-def]
    """Row and column of the brightest good pixel, the first of several; −1 if none is good."""
    best = -np.inf
    best_j = best_i = -1
    for j in range(first_j, last_j):
        for i in range(first_i, last_i):
            value = np.float64(data[frame, j, i])
            if value > best and value < np.inf:
                best, best_j, best_i = value, j, i
    return best_j, best_i


@part
def _fitted_range(peak, first, last):  # type: ignore[no-untyped-def]
    """Pixels first … last − 1 about the peak that are fitted, moved into the box."""
    start = max(first, min(peak - FITTED // 2, last - FITTED))
    return start, min(start + FITTED, last)


@part
def _fill_equations(data, frame, peak_j, peak_i, start_j, stop_j, start_i, stop_i, normal, terms):  # type: ignore[no-untyped-def]
    """Normal equations of the surface, its zero at the brightest pixel; return how many pixels are good."""
    normal[:] = 0.0
    terms[:] = 0.0
    gradient, basis = terms[0], terms[1]
    origin = np.float64(data[frame, peak_j, peak_i])
    count = 0
    for j in range(start_j, stop_j):
        for i in range(start_i, stop_i):
            value = np.float64(data[frame, j, i]) - origin
            if not math.isfinite(value):
                continue
            count += 1
            u, v = np.float64(i - peak_i), np.float64(j - peak_j)
            basis[0], basis[1], basis[2] = 1.0, u, v
            basis[3], basis[4], basis[5] = u * v, u * u, v * v
            for a in range(_TERMS):
                gradient[a] += basis[a] * value
                for b in range(a + 1):
                    normal[a, b] += basis[a] * basis[b]
    return count


@kernel
def _quadratic_peaks(data, x, y, width, matrices, terms, x_out, y_out):  # type: ignore[no-untyped-def]
    ny, nx = data.shape[1], data.shape[2]
    for frame in range(x.shape[0]):
        for source in range(x.shape[1]):
            if math.isnan(x[frame, source]) or math.isnan(y[frame, source]):
                continue
            left, low = box_start(x[frame, source], width), box_start(y[frame, source], width)
            first_i, last_i = max(0, left), min(left + width, nx)
            first_j, last_j = max(0, low), min(low + width, ny)
            peak_j, peak_i = _brightest(data, frame, first_j, last_j, first_i, last_i)
            if peak_j < 0:
                continue
            start_i, stop_i = _fitted_range(peak_i, first_i, last_i)
            start_j, stop_j = _fitted_range(peak_j, first_j, last_j)
            count = _fill_equations(data, frame, peak_j, peak_i, start_j, stop_j, start_i, stop_i, matrices[0], terms)
            if count < _TERMS or not factorise(matrices[0], matrices[1], _TERMS):
                continue
            c = terms[0]
            substitute(matrices[1], c, _TERMS)
            determinant = 4.0 * c[4] * c[5] - c[3] * c[3]
            if not (determinant > 0.0 and c[4] < 0.0):
                continue
            u = (c[2] * c[3] - 2.0 * c[5] * c[1]) / determinant
            v = (c[1] * c[3] - 2.0 * c[4] * c[2]) / determinant
            inside_x = start_i - 0.5 <= peak_i + u <= stop_i - 0.5
            if inside_x and start_j - 0.5 <= peak_j + v <= stop_j - 0.5:
                x_out[frame, source] = peak_i + on_grid(u)
                y_out[frame, source] = peak_j + on_grid(v)
