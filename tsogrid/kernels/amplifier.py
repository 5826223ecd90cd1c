"""The read-out noise that a row shares inside one amplifier: its median over the pixels away from every source.

Slow (1/f) noise moves each row of each amplifier up and down by a common amount. The median of a row is found by counting
passes (see `tsogrid.kernels.statistics`) that begin at the median of the row before: neighbouring rows differ little, so
about four passes over a row suffice, and the starting point cannot change the result.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.box import check_positions
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.disc import disc_columns, touches_frame
from tsogrid.kernels.sky import check_error
from tsogrid.kernels.statistics import (
    INDEX,
    LANES,
    MAD_TO_SIGMA,
    MEDIAN_ERROR,
    SAMPLE,
    as_bits,
    center_value,
    copy_keys,
    deviation_keys,
    finite_interval,
    guess_rank,
    half_sum,
    interval_variance,
    mask_keys,
    pack_alternate,
    ranked_keys,
)

LEAST_PIXELS = 4  # a row with fewer good pixels in an amplifier has no model there


class RowAmplifier(NamedTuple):
    """Model (n, ny, nx) to subtract; variance of each row's level (n, ny, na); good pixels behind it (n, ny, na)."""

    model: NDArray[np.floating]
    line_variance: NDArray[np.float64]
    count: NDArray[np.int32]  # type: ignore[assignment]  # hides tuple.count, which nobody needs here


def row_amplifier(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    bounds: ArrayLike,
    mask_radius: float,
    even_odd: bool = False,
    first_column: int = 0,
) -> RowAmplifier:
    """Median of each row inside each amplifier, with the sources hidden.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous, rows along the fast read-out direction; pixels that are not finite are bad.
    error : (n, ny, nx) array of the same type, or None
        1 σ error of each pixel.
    x, y : (n, ns) array of float
        Positions of the sources in pixels; NaN hides nothing.
    bounds : (na, 2) array of int
        First column, and one past the last, of each amplifier; amplifiers do not overlap.
    mask_radius : float
        Pixels at d ≤ mask_radius from a source are hidden, in pixels.
    even_odd : bool
        Take off first the median over all rows of each amplifier's even and odd columns; the model is the sum of both.
    first_column : int
        Column of the detector that the first column of ``data`` is: which columns are even.

    Returns
    -------
    RowAmplifier
        model, of the data's type and bit-identical to `numpy.nanmedian` of the pixels that are not hidden, is 0 in columns
        of no amplifier and NaN where fewer than four pixels are good. line_variance is (π/2) Σσ²/N², or without ``error``
        (π/2) (1.4826 MAD)²/N: the variance of the median of N normal values (Kendall & Stuart, vol. 1, 14.12).

    Raises
    ------
    ValueError
        If the bounds are not ascending ranges inside the frame, the radius is negative, or shapes do not agree.
    """
    columns, rows = check_positions(data, x, y)
    check_error(data, error)
    n, ny, nx = data.shape
    ranges = np.ascontiguousarray(bounds, dtype=np.int64)
    if ranges.ndim != 2 or ranges.shape[1] != 2:
        raise ValueError(f"expected bounds of shape (na, 2), found {ranges.shape}")
    ends = ranges[np.argsort(ranges[:, 0])].reshape(-1)
    if np.any(ranges[:, 0] >= ranges[:, 1]) or np.any(np.diff(ends) < 0) or np.any((ends < 0) | (ends > nx)):
        raise ValueError(
            f"expected column ranges [start, stop) inside 0 … {nx} that do not overlap, found {ranges.tolist()}"
        )
    if not 0.0 <= mask_radius < np.inf:
        raise ValueError(f"expected a mask radius of at least 0, found {mask_radius}")
    if even_odd:
        parity = _column_parity_model(data, columns, rows, ranges, float(mask_radius), first_column % 2)
        residual = data - parity
    else:
        residual = data
    bits = as_bits(residual)
    covered = ranges.size > 0 and int((ranges[:, 1] - ranges[:, 0]).sum()) == nx
    result = RowAmplifier(
        (np.empty if covered else np.zeros)(data.shape, data.dtype),
        np.empty((n, ny, len(ranges))),
        np.empty((n, ny, len(ranges)), np.int32),
    )
    _row_medians(
        bits,
        (data if error is None else error).reshape(-1),
        error is not None,
        columns,
        rows,
        ranges,
        float(mask_radius),
        (
            np.empty(nx + SAMPLE, bits.dtype),
            np.empty(nx + SAMPLE, bits.dtype),
            np.empty((2, LANES)),
            np.zeros((2, len(ranges)), bits.dtype),
            np.empty((2, len(ranges))),
        ),
        result,
    )
    if even_odd:
        np.add(result.model, parity, out=result.model)
    return result


def _column_parity_model(
    data: NDArray[np.floating],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    ranges: NDArray[np.int64],
    mask_radius: float,
    parity: int,
) -> NDArray[np.floating]:
    """Median over all rows of each amplifier's even, and of its odd columns, (n, 1, nx); 0 where there is none."""
    n, ny, nx = data.shape
    bits = as_bits(data)
    model = np.zeros((n, 1, nx), data.dtype)
    packed = np.empty(ny * (nx // 2 + 1) + SAMPLE, bits.dtype)
    keys = np.empty(nx + SAMPLE, bits.dtype)
    _parity_medians(bits, ny, x, y, ranges, mask_radius, parity, keys, packed, model)
    return model


@part
def _hide_source(keys, row, x, y, start, stop, shape, radius):  # type: ignore[no-untyped-def]
    """Make the pixels of a row within the radius of a source bad; return how many of them were good."""
    ny, nx = shape
    if not touches_frame(x, y, radius, ny, nx):
        return 0
    left, right = disc_columns(x, row - y, radius, True, nx)
    left, right = max(left, start), min(right, stop)
    return mask_keys(keys, left - start, right - start) if left < right else 0


@part
def _seeded_median(keys, n, good, pivot, slope):  # type: ignore[no-untyped-def]
    """The two middle keys (twice the same if odd), from a first guess; a slope of NaN asks for a new guess."""
    rank = (good - 1) // 2
    if slope != slope:
        pivot, slope = guess_rank(keys, n, good, rank)
    first, second = ranked_keys(keys, n, good, rank, good % 2 == 0, pivot, slope)
    return first, (second if good % 2 == 0 else first), slope


@kernel
def _row_medians(bits, error, with_error, x, y, ranges, radius, scratch, result):  # type: ignore[no-untyped-def]
    keys, deviations, lanes, pivots, slopes = scratch
    model, line_variance, count = result
    n, ny, nx = model.shape
    low, high = finite_interval(keys)
    for frame in range(n):
        slopes[:] = np.nan
        for row in range(ny):
            for amplifier in range(ranges.shape[0]):
                start, stop = ranges[amplifier, 0], ranges[amplifier, 1]
                width = stop - start
                line = (frame * ny + row) * nx + start
                good = copy_keys(bits, line, width, keys, np.int64(0))
                for source in range(x.shape[1]):
                    if abs(row - y[frame, source]) <= radius:
                        good -= _hide_source(keys, row, x[frame, source], y[frame, source], start, stop, (ny, nx), radius)
                count[frame, row, amplifier] = good
                if good < LEAST_PIXELS:
                    model[frame, row, start:stop] = np.nan
                    line_variance[frame, row, amplifier] = np.nan
                    continue
                first, second, slope = _seeded_median(keys, width, good, pivots[0, amplifier], slopes[0, amplifier])
                pivots[0, amplifier], slopes[0, amplifier] = first, slope
                level = half_sum(first, second)
                for column in range(start, stop):
                    model[frame, row, INDEX(column)] = level
                if with_error:
                    variance = interval_variance(keys, width, low, high, error, line, lanes) / good
                else:
                    deviation_keys(keys, width, low, high, center_value(first, second), deviations)
                    first, second, slope = _seeded_median(
                        deviations, width, good, pivots[1, amplifier], slopes[1, amplifier]
                    )
                    pivots[1, amplifier], slopes[1, amplifier] = first, slope
                    variance = (MAD_TO_SIGMA * center_value(first, second)) ** 2
                line_variance[frame, row, amplifier] = MEDIAN_ERROR * MEDIAN_ERROR * variance / good


@kernel
def _parity_medians(bits, ny, x, y, ranges, radius, parity, keys, packed, model):  # type: ignore[no-untyped-def]
    n, _, nx = model.shape
    low, _ = finite_interval(keys)
    for frame in range(n):
        for amplifier in range(ranges.shape[0]):
            start, stop = ranges[amplifier]
            width = stop - start
            for odd in range(2):
                first = (start + parity + odd) % 2
                length = (width - first + 1) // 2
                good = 0
                for row in range(ny):
                    good_row = copy_keys(bits, (frame * ny + row) * nx + start, width, keys, np.int64(0))
                    for source in range(x.shape[1]):
                        if good_row > 0 and abs(row - y[frame, source]) <= radius:
                            _hide_source(keys, row, x[frame, source], y[frame, source], start, stop, (ny, nx), radius)
                    good += pack_alternate(keys, first, length, packed, row * length)
                if good == 0:
                    continue
                one, two, _ = _seeded_median(packed, ny * length, good, low, np.nan)
                for column in range(start + first, stop, 2):
                    model[frame, 0, column] = half_sum(one, two)
