"""The sky around a source: one level for each annulus, and one level for all pixels far from every source.

The mean weighs each pixel with its exact overlap w = w_outer − w_inner; all other statistics take whole pixels whose centre
lies in the annulus, inner ≤ d < outer. The pixels are gathered row by row from the source's own box, so the numbers do not
depend on what was cut around them.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.box import check_positions
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.disc import disc_columns, disc_rows, touches_frame
from tsogrid.kernels.overlap import box_range, circle_pixels, find_circle_pixels
from tsogrid.kernels.statistics import (
    INDEX,
    LANES,
    MAD_TO_SIGMA,
    MEDIAN_ERROR,
    SAMPLE,
    as_bits,
    clipped_interval,
    copy_keys,
    count_interval,
    finite_interval,
    fold,
    interval_moments,
    interval_variance,
    key_interval,
    mask_keys,
    median,
    median_deviation,
)

STATISTICS = {"mean": 0, "median": 1, "clipped-mean": 2, "clipped-median": 3, "robust-mean": 4}
_MEAN, _MEDIAN, _CLIPPED_MEAN, _CLIPPED_MEDIAN, _ROBUST_MEAN = range(5)
VARIANCE_WEIGHTS = {"w2": True, "w": False}
ROBUST_REACH = 10.0  # the robust mean keeps what lies within this many (unscaled) MAD of the median


class SkyLevel(NamedTuple):
    """Level of the sky per pixel, its 1 σ error, and the pixels used; each (n, ns)."""

    level: NDArray[np.float64]
    level_err: NDArray[np.float64]
    area: NDArray[np.float64]


def annulus_sky(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    inner: float,
    outer: float,
    statistic: str,
    variance_weight: str = "w2",
) -> SkyLevel:
    """Sky level in an annulus around each source of each frame.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous; pixels that are not finite are bad.
    error : (n, ny, nx) array of the same type, or None
        1 σ error of each pixel. A NaN error at a pixel that is used makes the level's error NaN.
    x, y : (n, ns) array of float
        Centres in pixels, 0-based, the centre of the first pixel at 0; NaN gives NaN.
    inner, outer : float
        Radii in pixels, 0 ≤ inner < outer.
    statistic : {"mean", "median", "clipped-mean", "clipped-median", "robust-mean"}
        ``mean``: exact weights. ``clipped-…``: three standard deviations about the median, at most ten passes, as
        `astropy.stats.sigma_clip` with a median and a standard deviation. ``robust-mean``: mean of the pixels closer
        than ten unscaled median absolute deviations to the median.
    variance_weight : {"w2", "w"}
        Of the mean: variance Σ w²σ² or Σ wσ².

    Returns
    -------
    SkyLevel
        level, level_err in units of the data per pixel, and area: Σ w for the mean, else the number of pixels used. The
        error is √(Σσ²)/N of the used pixels; without ``error`` 1.4826 MAD/√N of the used whole pixels; medians have
        both times √(π/2), the asymptotic efficiency of the median of normal values (Kendall & Stuart, vol. 1, 14.12).
        Without a good pixel NaN, NaN, 0.

    Raises
    ------
    ValueError
        If the statistic or the weight is unknown, the radii are not 0 ≤ inner < outer, or shapes do not agree.
    """
    columns, rows = check_positions(data, x, y)
    if statistic not in STATISTICS:
        raise ValueError(f"expected a statistic of {', '.join(STATISTICS)}; found {statistic!r}")
    if variance_weight not in VARIANCE_WEIGHTS:
        raise ValueError(f"expected a variance weight of {', '.join(VARIANCE_WEIGHTS)}; found {variance_weight!r}")
    if not 0.0 <= inner < outer < math.inf:
        raise ValueError(f"expected radii 0 ≤ inner < outer, found {inner} and {outer}")
    check_error(data, error)
    _n, ny, nx = data.shape
    width = 2 * math.ceil(min(outer, 1e9)) + 3
    size = min(ny, width) * min(nx, width)
    bits = as_bits(data)
    keys = np.empty(size + SAMPLE, bits.dtype)
    deviations = np.empty(size + SAMPLE, bits.dtype)
    gathered = np.empty(size, data.dtype)
    circles = np.array([inner, outer] if inner > 0.0 else [outer], dtype=np.float64)
    pixels = circle_pixels(circles if statistic == "mean" else np.ones(1), ny, nx)
    result = SkyLevel(*(np.empty(columns.shape) for _ in range(3)))
    values = data.reshape(-1)
    sigmas = values if error is None else error.reshape(-1)
    _annulus_levels(
        values,
        bits,
        sigmas,
        error is not None,
        (ny, nx),
        columns,
        rows,
        (float(inner), float(outer)),
        STATISTICS[statistic],
        VARIANCE_WEIGHTS[variance_weight],
        (keys, deviations, gathered, np.empty((3, LANES)), np.empty(size), circles, pixels),
        result,
    )
    return result


def background_level(
    data: NDArray[np.floating], x: NDArray[np.float64], y: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """Median of the good pixels of each frame that are farther than ``radius`` from every source.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous; pixels that are not finite are bad.
    x, y : (n, ns) array of float
        Positions of the sources in pixels; NaN hides nothing.
    radius : float
        In pixels; pixels whose centre is at d > radius are kept.

    Returns
    -------
    (n,) array of float
        Median of each frame (the mean, in double precision, of the middle two of an even number); NaN without good pixels.

    Raises
    ------
    ValueError
        If the radius is negative or not finite, or shapes do not agree.
    """
    columns, rows = check_positions(data, x, y)
    if not 0.0 <= radius < math.inf:
        raise ValueError(f"expected a radius of at least 0, found {radius}")
    n, ny, nx = data.shape
    bits = as_bits(data)
    level = np.empty(n)
    _background_levels(bits, (ny, nx), columns, rows, float(radius), np.empty(ny * nx + SAMPLE, bits.dtype), level)
    return level


def check_error(data: NDArray[np.floating], error: NDArray[np.floating] | None) -> None:
    """Refuse an error array that does not match the data.

    Raises
    ------
    ValueError
        If the error has another shape or type, or is not C-contiguous.
    """
    if error is None:
        return
    if error.shape != data.shape or error.dtype != data.dtype or not error.flags.c_contiguous:
        raise ValueError(f"expected a C-contiguous error of {data.dtype} {data.shape}, found {error.dtype} {error.shape}")


@part
def _gather(bits, error, with_error, frame, shape, x, y, radii, keys, gathered):  # type: ignore[no-untyped-def]
    """Keys (and errors) of the pixels with radii[0] ≤ d < radii[1], in row order: how many, and how many good."""
    ny, nx = shape
    n, good = 0, 0
    if not touches_frame(x, y, radii[1], ny, nx):
        return n, good
    first, stop = disc_rows(y, radii[1], ny)
    for row in range(first, stop):
        left, right = disc_columns(x, row - y, radii[1], False, nx)
        hole, end = disc_columns(x, row - y, radii[0], False, nx)
        if hole == end:
            hole, end = right, right
        line = (frame * ny + row) * nx
        for start, after in ((left, hole), (end, right)):
            count = after - start
            if count <= 0:
                continue
            good += copy_keys(bits, line + start, count, keys, n)
            if with_error:
                for i in range(count):
                    gathered[INDEX(n + i)] = error[INDEX(line + start + i)]
            n += count
    return n, good


@part
def _annulus_weights(x, y, radii, box, pixels, weights):  # type: ignore[no-untyped-def]
    """Write w_outer − w_inner of every pixel of the box; ``radii`` holds the outer radius only if the inner one is 0."""
    first_row, stop_row, first_column, stop_column = box
    find_circle_pixels(x, y, radii, first_row, stop_row, first_column, stop_column, pixels)
    weights[: (stop_row - first_row) * (stop_column - first_column)] = 0.0
    outer = radii.size - 1
    for run in range(pixels.run[outer], pixels.run[outer + 1]):  # whole in the outer circle, not whole in the inner
        for index in range(pixels.start[run], pixels.stop[run]):
            weights[index] = 1.0
    for edge in range(pixels.first[outer], pixels.first[outer + 1]):
        weights[pixels.pixel[edge]] += pixels.weight[edge]
    if outer > 0:
        for edge in range(pixels.first[0], pixels.first[1]):
            weights[pixels.pixel[edge]] -= pixels.weight[edge]


@part
def _weighted_sums(values, error, with_error, corner, nx, box, weights, squared, lanes):  # type: ignore[no-untyped-def]
    """Σ w v, Σ w²σ² (or Σ w σ²) and Σ w over the good pixels of a box whose first pixel is ``values[corner]``."""
    rows, columns = box[1] - box[0], box[3] - box[2]
    total, variance, area = lanes[0], lanes[1], lanes[2]
    lanes[:] = 0.0
    for row in range(rows):
        for start in range(0, columns, LANES):
            pixel, place = corner + row * nx + start, row * columns + start
            for lane in range(min(LANES, columns - start)):
                weight = weights[INDEX(place + lane)]
                value = np.float64(values[INDEX(pixel + lane)])
                good = (weight > 0.0) & (abs(value) < np.inf)
                weight = weight if good else 0.0
                total[INDEX(lane)] += weight * value if good else 0.0
                area[INDEX(lane)] += weight
                if with_error:
                    sigma = np.float64(error[INDEX(pixel + lane)])
                    factor = weight * weight if squared else weight
                    variance[INDEX(lane)] += factor * (sigma * sigma) if good else 0.0
    return fold(total), fold(variance), fold(area)


@part
def _used_interval(keys, n, good, statistic, deviations, lanes):  # type: ignore[no-untyped-def]
    """Interval of keys that a statistic of whole pixels uses, their number, and a median: of all, or after clipping."""
    if statistic in (_CLIPPED_MEAN, _CLIPPED_MEDIAN):
        return clipped_interval(keys, n, good, lanes)
    low, high = finite_interval(keys)
    center = median(keys, n, good)
    used = good
    if statistic == _ROBUST_MEAN and good > 0:
        reach = ROBUST_REACH * median_deviation(keys, n, low, high, good, center, deviations)
        # when more than half of the pixels are equal, these are what lies near the median
        low, high = key_interval(keys, center - reach, center + reach, reach > 0.0)
        _, used = count_interval(keys, n, low, high)
    return low, high, used, center


@kernel
def _annulus_levels(values, bits, error, with_error, shape, x, y, radii, statistic, squared, scratch, result):  # type: ignore[no-untyped-def]
    keys, deviations, gathered, lanes, weights, circles, pixels = scratch
    for frame in range(x.shape[0]):
        for source in range(x.shape[1]):
            column, row = x[frame, source], y[frame, source]
            level, variance, area = np.nan, np.nan, 0.0
            if statistic == _MEAN and touches_frame(column, row, radii[1], shape[0], shape[1]):
                rows = box_range(row, radii[1], shape[0])
                box = rows + box_range(column, radii[1], shape[1])
                corner = (frame * shape[0] + box[0]) * shape[1] + box[2]
                _annulus_weights(column, row, circles, box, pixels, weights)
                total, variance, area = _weighted_sums(
                    values, error, with_error, corner, shape[1], box, weights, squared, lanes
                )
                level = total / area
            if statistic != _MEAN or not with_error:
                n, good = _gather(bits, error, with_error, frame, shape, column, row, radii, keys, gathered)
                kind = _MEDIAN if statistic == _MEAN else statistic
                low, high, used, center = _used_interval(keys, n, good, kind, deviations, lanes)
                if statistic in (_MEDIAN, _CLIPPED_MEDIAN):
                    level = center
                elif statistic != _MEAN:
                    level = center + interval_moments(keys, n, low, high, center, lanes)[0] / used
                if statistic != _MEAN:
                    area = float(used)
                if with_error:
                    variance = interval_variance(keys, n, low, high, gathered, 0, lanes)
                else:
                    deviation = median_deviation(keys, n, low, high, used, center, deviations)
                    variance = (MAD_TO_SIGMA * deviation) ** 2 * area
            if not area > 0.0:
                level, variance, area = np.nan, np.nan, 0.0
            factor = MEDIAN_ERROR if statistic in (_MEDIAN, _CLIPPED_MEDIAN) else 1.0
            result.level[frame, source] = level
            result.level_err[frame, source] = factor * math.sqrt(variance) / area
            result.area[frame, source] = area


@kernel
def _background_levels(bits, shape, x, y, radius, keys, level):  # type: ignore[no-untyped-def]
    ny, nx = shape
    for frame in range(level.size):
        good = copy_keys(bits, frame * ny * nx, ny * nx, keys, 0)
        for source in range(x.shape[1]):
            column = x[frame, source]
            if not touches_frame(column, y[frame, source], radius, ny, nx):
                continue
            first, stop = disc_rows(y[frame, source], radius, ny)
            for row in range(first, stop):
                start, end = disc_columns(column, row - y[frame, source], radius, True, nx)
                good -= mask_keys(keys, row * nx + start, row * nx + end)
        level[frame] = median(keys, ny * nx, good)
