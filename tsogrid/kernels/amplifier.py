"""The read-out noise that a row shares inside one amplifier: its median over the pixels away from every source.

Slow (1/f) noise moves each row of each amplifier up and down by a common amount; what belongs to a column (even or odd, or
each on its own) is taken off before. The median of a row is found by counting
passes (see `tsogrid.kernels.statistics`) that begin at the median of the row before: neighbouring rows differ little, so
about four passes over a row suffice, and the starting point cannot change the result.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.box import check_positions
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.disc import disc_columns, touches_frame
from tsogrid.kernels.line_levels import line_model
from tsogrid.kernels.sky import check_error
from tsogrid.kernels.statistics import (
    LANES,
    MAD_TO_SIGMA,
    MEDIAN_ERROR,
    SAMPLE,
    as_bits,
    center_value,
    copy_keys,
    deviation_keys,
    finite_interval,
    half_sum,
    interval_variance,
    mask_keys,
    pack_alternate,
    seeded_middle_keys,
)

POLISHES = 2  # of rows and columns in turn; a third changes nothing that counts
LEAST_PIXELS = 4  # a row with fewer good pixels in an amplifier has no model there


class RowAmplifier(NamedTuple):
    """Levels of rows and of columns in each amplifier, which together are the model of the frame.

    Parameters
    ----------
    line_variance : (n, ny, na) array
        Variance of each row's level.
    count : (n, ny, na) array
        Good pixels behind it.
    level : (n, ny, na) array
        Each row's level, what belongs to the columns taken off.
    column_level : (n, 1, nx) array
        Each column's level; 0 where none is asked for.
    column_variance : (n, na) array
        Mean variance of the levels of the columns that a source touches; 0 where not every column has its own.
    bounds : (na, 2) array
        First column, and one past the last, of each amplifier.
    """

    line_variance: NDArray[np.float64]
    count: NDArray[np.int32]  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    level: NDArray[np.floating]
    column_level: NDArray[np.floating]
    column_variance: NDArray[np.float64]
    bounds: NDArray[np.int64]

    @property
    def model(self) -> NDArray[np.floating]:
        """To subtract: the level of the row plus that of the column, (n, ny, nx)."""
        return line_model(self.level, self.column_level, self.bounds, self.level.dtype)


def row_amplifier(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    bounds: ArrayLike,
    mask_radius: float,
    even_odd: bool = False,
    first_column: int = 0,
    each_column: bool = False,
    rows: tuple[int, int] | None = None,
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
    each_column : bool
        Take off first the median of every column over all rows, in place of even and odd ones. It is that of what the rows'
        own medians leave, and these of what the columns leave, twice in turn (Tukey's median polish): a column that a source
        hides in part sees other rows than its neighbours, and a row other columns.
        A column with fewer than four good pixels has the mean level of the amplifier's columns of its parity.
    rows : (int, int), optional
        First row, and one past the last, whose levels are wanted: the others get none.

    Returns
    -------
    RowAmplifier
        level, of the data's type and bit-identical to `numpy.nanmedian` of the pixels that are not hidden, is NaN where
        fewer than four pixels are good; the model is 0 in columns of no amplifier. line_variance is (π/2) Σσ²/N², or without
        ``error`` (π/2) (1.4826 MAD)²/N: the variance of the median of N normal values (Kendall & Stuart, vol. 1, 14.12).

    Raises
    ------
    ValueError
        If the bounds are not ascending ranges inside the frame, the radius is negative, shapes do not agree, or both
        even and odd and all columns are asked for.
    """
    return row_amplifiers(data, error, x, y, bounds, [mask_radius], even_odd, first_column, each_column, rows)[0]


def row_amplifiers(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    bounds: ArrayLike,
    mask_radii: Sequence[float],
    even_odd: bool = False,
    first_column: int = 0,
    each_column: bool = False,
    rows: tuple[int, int] | None = None,
) -> list[RowAmplifier]:
    """Median of each row inside each amplifier, for each of several radii within which sources are hidden.

    Parameters
    ----------
    data, error, x, y, bounds, even_odd, first_column, each_column, rows
        As for `row_amplifier`.
    mask_radii : sequence of float
        In pixels, in any order.

    Returns
    -------
    list of RowAmplifier
        For each radius, to the bit what `row_amplifier` gives.

    Raises
    ------
    ValueError
        As `row_amplifier`.
    """
    across, along = check_positions(data, x, y)
    check_error(data, error)
    n, ny, nx = data.shape
    ranges = np.ascontiguousarray(bounds, dtype=np.int64)
    if ranges.ndim != 2 or ranges.shape[1] != 2:
        raise ValueError(f"expected bounds of shape (na, 2), found {ranges.shape}")
    ends = [0, *chain(*sorted(ranges.tolist())), nx]
    if ends != sorted(ends) or np.any(ranges[:, 0] >= ranges[:, 1]):
        raise ValueError(
            f"expected column ranges [start, stop) inside 0 … {nx} that do not overlap, found {ranges.tolist()}"
        )
    for mask_radius in mask_radii:
        if not 0.0 <= mask_radius < np.inf:
            raise ValueError(f"expected a mask radius of at least 0, found {mask_radius}")
    if even_odd and each_column:
        raise ValueError("expected one of even_odd and each_column, found both")
    first_row, stop_row = (0, ny) if rows is None else rows
    if not 0 <= first_row <= stop_row <= ny:
        raise ValueError(f"expected rows inside 0 … {ny}, found {first_row} … {stop_row}")
    if (even_odd or each_column) and len(mask_radii) > 1:  # what belongs to the columns depends on what is hidden
        options = (even_odd, first_column, each_column, rows)
        return [row_amplifier(data, error, x, y, bounds, radius, *options) for radius in mask_radii]
    radii = np.sort(np.array(mask_radii, np.float64))
    column_variance = np.zeros((n, len(ranges)))
    residual = data
    if even_odd:
        column_level = _column_parity_model(data, across, along, ranges, radii[0], first_column % 2)
    elif each_column:
        column_level, column_variance = _every_column(data, error, across, along, ranges, radii[0], first_column)
    else:
        column_level = np.zeros((n, 1, nx), data.dtype)
    if even_odd or each_column:
        residual = data - column_level
    bits = as_bits(residual)
    lines = (radii.size, n, ny, len(ranges))
    found = np.full(lines, np.nan), np.zeros(lines, np.int32), np.full(lines, np.nan, data.dtype)
    _row_medians(
        bits,
        (data if error is None else error).reshape(-1),
        error is not None,
        across,
        along,
        ranges,
        radii,
        (first_row, stop_row, ny, nx),
        (
            np.empty(nx + SAMPLE, bits.dtype),
            np.empty(nx + SAMPLE, bits.dtype),
            np.empty((2, LANES)),
            np.zeros((2, len(ranges)), bits.dtype),
            np.empty((2, len(ranges))),
        ),
        found,
    )
    variance, count, level = found
    places = np.searchsorted(radii, mask_radii)
    return [RowAmplifier(variance[k], count[k], level[k], column_level, column_variance, ranges) for k in places.tolist()]


def _every_column(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    ranges: NDArray[np.int64],
    mask_radius: float,
    first_column: int,
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Median over all rows of every column less its rows, (n, 1, nx), and its variance near the sources, (n, na)."""
    n, ny, nx = data.shape
    column = np.arange(nx)
    errors = None if error is None else np.ascontiguousarray(error.swapaxes(1, 2))
    model = np.zeros((n, 1, nx), data.dtype)
    for _ in range(POLISHES):
        rows = row_amplifier(data - model, None, x, y, ranges, mask_radius)
        upright = np.ascontiguousarray((data - rows.model).swapaxes(1, 2))
        found = row_amplifier(upright, errors, y, x, [[0, ny]], mask_radius)
        level = found.level[:, :, 0].astype(float)
        for start, stop in ranges:
            inside = (column >= start) & (column < stop)
            for parity in range(2):
                alike = inside & ((column + first_column) % 2 == parity)
                its = np.ascontiguousarray(level[:, alike])
                typical = _mean_known(its, _mean_known(level[:, inside]))
                model[:, 0, alike] = np.where(np.isfinite(its), its, typical[:, None])
    touched = (np.abs(column - x[:, :, None]) <= mask_radius).any(axis=1)
    near = np.zeros((n, len(ranges)))
    for amplifier, (start, stop) in enumerate(ranges):
        variance = np.where((column >= start) & (column < stop), found.line_variance[:, :, 0], np.nan)
        near[:, amplifier] = _mean_known(np.where(touched, variance, np.nan), _mean_known(variance))
    return model, near


def _mean_known(values: NDArray[np.float64], without: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
    """Mean of the finite values along the last axis, or ``without`` where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    total = np.sum(np.where(known, values, 0.0), axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), without)


def reference_pixels_alone(data: NDArray[np.floating], number: int) -> NDArray[np.floating]:
    """Frames in which only the pixels at both ends of every row count.

    Parameters
    ----------
    data : (n, ny, nx) array
        Frames, rows along the fast read-out direction.
    number : int
        Pixels at each end.

    Returns
    -------
    (n, ny, nx) array
        A copy with NaN between the ends.
    """
    ends = data.copy()
    ends[:, :, number : max(data.shape[2] - number, number)] = np.nan
    return ends


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


@kernel
def _row_medians(bits, error, with_error, x, y, ranges, radii, shape, scratch, result):  # type: ignore[no-untyped-def]
    keys, deviations, lanes, pivots, slopes = scratch
    line_variance, count, levels = result
    first_row, stop_row, ny, nx = shape
    low, high = finite_interval(keys)
    for frame in range(levels.shape[1]):
        slopes[:] = np.nan
        for row in range(first_row, stop_row):
            for amplifier in range(ranges.shape[0]):
                start, stop = ranges[amplifier, 0], ranges[amplifier, 1]
                width = stop - start
                line = (frame * ny + row) * nx + start
                good = copy_keys(bits, line, width, keys, np.int64(0))
                for k in range(radii.size):  # ascending: what one hides the next one does, too
                    radius, before = radii[k], good
                    for source in range(x.shape[1]):
                        if abs(row - y[frame, source]) <= radius:
                            good -= _hide_source(
                                keys, row, x[frame, source], y[frame, source], start, stop, (ny, nx), radius
                            )
                    count[k, frame, row, amplifier] = good
                    if k > 0 and good == before:
                        levels[k, frame, row, amplifier] = levels[k - 1, frame, row, amplifier]
                        line_variance[k, frame, row, amplifier] = line_variance[k - 1, frame, row, amplifier]
                        continue
                    if good < LEAST_PIXELS:
                        continue
                    first, second, slope = seeded_middle_keys(keys, width, good, pivots[0, amplifier], slopes[0, amplifier])
                    pivots[0, amplifier], slopes[0, amplifier] = first, slope
                    levels[k, frame, row, amplifier] = half_sum(first, second)
                    if with_error:
                        variance = interval_variance(keys, width, low, high, error, line, lanes) / good
                    else:
                        deviation_keys(keys, width, low, high, center_value(first, second), deviations)
                        first, second, slope = seeded_middle_keys(
                            deviations, width, good, pivots[1, amplifier], slopes[1, amplifier]
                        )
                        pivots[1, amplifier], slopes[1, amplifier] = first, slope
                        variance = (MAD_TO_SIGMA * center_value(first, second)) ** 2
                    line_variance[k, frame, row, amplifier] = MEDIAN_ERROR * MEDIAN_ERROR * variance / good


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
                one, two, _ = seeded_middle_keys(packed, ny * length, good, low, np.nan)
                for column in range(start + first, stop, 2):
                    model[frame, 0, column] = half_sum(one, two)
