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
from tsogrid.kernels.column_levels import column_parity_levels, hidden_columns
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.line_levels import line_model
from tsogrid.kernels.sky import check_error
from tsogrid.kernels.statistics import (
    INDEX,
    INTEGERS,
    LANES,
    MAD_TO_SIGMA,
    MEDIAN_ERROR,
    SAMPLE,
    bad_key,
    center_value,
    deviation_keys,
    finite_interval,
    half_sum,
    interval_variance,
    key_of,
    mask_keys,
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
        Column of the detector that the first column of ``data`` is: which columns are even, for ``each_column``.
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
    variance_rows: tuple[int, int] | None = None,
) -> list[RowAmplifier]:
    """Median of each row inside each amplifier, for each of several radii within which sources are hidden.

    Parameters
    ----------
    data, error, x, y, bounds, even_odd, first_column, each_column, rows
        As for `row_amplifier`.
    mask_radii : sequence of float
        In pixels, in any order.
    variance_rows : (int, int), optional
        First row, and one past the last, whose variances are wanted; those of all levels if not given.

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
    radii = np.sort(np.array(mask_radii, np.float64))
    column_variance = np.zeros((radii.size, n, len(ranges)))
    taken = np.zeros((1, 1, 1, nx), data.dtype)
    if even_odd:
        taken = column_parity_levels(data, across, along, ranges, radii)
    elif each_column:
        found = [_every_column(data, error, across, along, ranges, radius, first_column) for radius in radii.tolist()]
        taken, column_variance = (np.stack(each) for each in zip(*found, strict=True))
    integers = INTEGERS[data.dtype]
    lines = (radii.size, n, ny, len(ranges))
    variance, count, level = np.full(lines, np.nan), np.zeros(lines, np.int32), np.full(lines, np.nan, data.dtype)
    _row_medians(
        data.reshape(-1),
        (data if error is None else error).reshape(-1),
        error is not None,
        taken[:, :, 0],
        across,
        along,
        ranges,
        radii,
        (ny, nx),
        (first_row, stop_row, *((first_row, stop_row) if variance_rows is None else variance_rows)),
        (
            np.empty(nx + SAMPLE, integers),
            np.empty(nx + SAMPLE, integers),
            np.empty((2, LANES)),
            np.zeros((2, len(ranges)), integers),
            np.empty((2, len(ranges))),
            np.zeros((radii.size, len(ranges)), np.bool_),
        ),
        (variance, count, level),
    )
    columns = taken if even_odd or each_column else np.zeros((1, n, 1, nx), data.dtype)
    return [
        RowAmplifier(variance[k], count[k], level[k], columns[min(k, len(columns) - 1)], column_variance[k], ranges)
        for k in np.searchsorted(radii, mask_radii).tolist()
    ]


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
    touched: NDArray[np.bool_] = np.any(np.abs(column - x[:, :, None]) <= mask_radius, axis=1)
    near = np.zeros((n, len(ranges)))
    for amplifier, (start, stop) in enumerate(ranges):  # of its own columns: the same sum wherever the frame begins
        variance = found.line_variance[:, start:stop, 0]
        near[:, amplifier] = _mean_known(np.where(touched[:, start:stop], variance, np.nan), _mean_known(variance))
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


@part
def _copy_keys_less(pixels, at, count, taken, start, keys):  # type: ignore[no-untyped-def]
    """Write the keys of pixels less what belongs to their columns; return how many are good."""
    bad = bad_key(keys)
    low, high = finite_interval(keys)
    one, zero = keys.dtype.type(1), keys.dtype.type(0)
    good = zero
    for i in range(count):
        key = key_of(pixels[INDEX(at + i)] - taken[INDEX(start + i)], keys)
        finite = (key >= low) & (key <= high)
        keys[INDEX(i)] = key if finite else bad
        good = keys.dtype.type(good + (one if finite else zero))
    return np.int64(good)


@kernel
def _row_medians(pixels, error, with_error, taken, x, y, ranges, radii, shape, wanted, scratch, result):  # type: ignore[no-untyped-def]
    """Write variance, count and level of every row; ``taken``: what goes off its columns, for each radius or for all."""
    keys, deviations, lanes, pivots, slopes, alike = scratch
    line_variance, count, levels = result
    ny, nx = shape
    first_row, stop_row, first_error, stop_error = wanted
    low, high = finite_interval(keys)
    for frame in range(levels.shape[1]):
        slopes[:] = np.nan
        of_frame = min(frame, taken.shape[1] - 1)
        for amplifier in range(ranges.shape[0]):
            for k in range(radii.size):
                alike[k, amplifier] = k > 0
                for column in range(ranges[amplifier, 0], ranges[amplifier, 1] if 0 < k < taken.shape[0] else 0):
                    if taken[k, of_frame, column] != taken[k - 1, of_frame, column]:
                        alike[k, amplifier] = False
        for row in range(first_row, stop_row):
            with_variance = first_error <= row < stop_error
            for amplifier in range(ranges.shape[0]):
                start, stop = ranges[amplifier, 0], ranges[amplifier, 1]
                width = stop - start
                line = (frame * ny + row) * nx + start
                good = np.int64(0)
                for k in range(radii.size):  # ascending: what one hides the next one does, too
                    if not alike[k, amplifier]:
                        its = taken[min(k, taken.shape[0] - 1), of_frame]
                        good = _copy_keys_less(pixels, line, width, its, start, keys)
                    before = good
                    for source in range(x.shape[1]):
                        left, right = hidden_columns(
                            row, x[frame, source], y[frame, source], start, stop, (ny, nx), radii[k]
                        )
                        if left < right:
                            good -= mask_keys(keys, left - start, right - start)
                    count[k, frame, row, amplifier] = good
                    if alike[k, amplifier] and good == before:
                        levels[k, frame, row, amplifier] = levels[k - 1, frame, row, amplifier]
                        line_variance[k, frame, row, amplifier] = line_variance[k - 1, frame, row, amplifier]
                        continue
                    if good < LEAST_PIXELS:
                        continue
                    first, second, slope = seeded_middle_keys(keys, width, good, pivots[0, amplifier], slopes[0, amplifier])
                    pivots[0, amplifier], slopes[0, amplifier] = first, slope
                    levels[k, frame, row, amplifier] = half_sum(first, second)
                    if not with_variance:
                        continue
                    if k > 0 and with_error and good == count[k - 1, frame, row, amplifier]:  # the same pixels
                        line_variance[k, frame, row, amplifier] = line_variance[k - 1, frame, row, amplifier]
                        continue
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
