"""The sky around a source: one level for each annulus or rectangle.

The mean weighs each pixel with its exact overlap w = w_outer − w_inner; all other statistics take whole pixels whose centre
lies in the annulus, inner ≤ d < outer, or in the rectangle (`tsogrid.kernels.whole_pixels`). The pixels are gathered row by
row from the source's own box, so the numbers do not depend on what was cut around them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.box import check_positions
from tsogrid.kernels.circles import circle_lists
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.statistics import INDEX, LANES, MEDIAN_ERROR, clear, fold
from tsogrid.kernels.whole_pixels import STATISTICS, RowLevels, whole_pixel_levels

VARIANCE_WEIGHTS = {"w2": True, "w": False}


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
    statistic : {"mean", "median", "clipped-mean", "clipped-median", "robust-mean", "whole-mean"}
        ``mean``: exact weights; ``whole-mean``: the mean of whole pixels. ``clipped-…``: three standard deviations about the
        median, at most ten passes, as `astropy.stats.sigma_clip` with a median and a standard deviation. ``robust-mean``:
        mean of the pixels closer than ten unscaled median absolute deviations to the median.
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
    radii = np.array([[inner, outer]], np.float64)
    if statistic == "mean":
        found = annuli_means([data], error, x, y, radii, variance_weight=variance_weight)
    else:
        found = annuli_sky(data, error, x, y, radii, statistic)
    return SkyLevel(*(column[0] for column in found))


def rectangle_sky(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    width: float,
    height: float,
    statistic: str,
) -> SkyLevel:
    """Sky level of the whole pixels in a rectangle about each place of each frame.

    Parameters
    ----------
    data, error, x, y
        As for `annulus_sky`.
    width, height : float
        Along x and y, in pixels: a pixel is inside if |dx| < width/2 and |dy| < height/2.
    statistic : {"median", "clipped-mean", "clipped-median", "robust-mean", "whole-mean"}
        As for `annulus_sky`.

    Returns
    -------
    SkyLevel
        As of `annulus_sky`.

    Raises
    ------
    ValueError
        If the statistic is unknown, a side is not positive, or shapes do not agree.
    """
    columns, rows = check_positions(data, x, y)
    if statistic == "mean" or statistic not in STATISTICS:
        raise ValueError(f"expected a statistic of {', '.join(list(STATISTICS)[1:])}; found {statistic!r}")
    if not (0.0 < width < math.inf and 0.0 < height < math.inf):
        raise ValueError(f"expected sides > 0, found {width} and {height}")
    check_error(data, error)
    sides = np.array([[width / 2, height / 2]])
    out = whole_pixel_levels(data, error, columns, rows, True, sides, STATISTICS[statistic])[:, 0]
    return _as_level(out, error is None, statistic)


def annuli_sky(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radii: NDArray[np.float64],
    statistic: str,
    rows: RowLevels | None = None,
    pairs: NDArray[np.int64] | None = None,
) -> SkyLevel:
    """Sky levels of whole pixels in several annuli around each source, in several images of the same frames.

    Parameters
    ----------
    data, error, x, y
        As for `annulus_sky`.
    radii : (nr, 2) array of float
        Inner and outer radii in pixels, 0 ≤ inner < outer.
    statistic : {"median", "clipped-mean", "clipped-median", "robust-mean", "whole-mean"}
        As for `annulus_sky`.
    rows : RowLevels, optional
        What is taken off the data in each image; the data alone if not given.
    pairs : (np, 2) array of int, optional
        Annulus and image of each level, those of one annulus together; every annulus in the first image if not given.

    Returns
    -------
    SkyLevel
        Each (np, n, ns): to the bit what `annulus_sky` gives for the annulus and the image alone.

    Raises
    ------
    ValueError
        As `annulus_sky`; the levels do not fit the data, or pairs name an annulus or an image that is not there.
    """
    columns, lines = check_positions(data, x, y)
    if statistic == "mean" or statistic not in STATISTICS:
        raise ValueError(f"expected a statistic of {', '.join(list(STATISTICS)[1:])}; found {statistic!r}")
    check_error(data, error)
    sizes, its = _checked_pairs(radii, pairs, 1 if rows is None else len(rows.level))
    out = whole_pixel_levels(data, error, columns, lines, False, sizes, STATISTICS[statistic], rows, its)
    return _as_level(out, error is None, statistic)


def annuli_means(
    images: Sequence[NDArray[np.floating]],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radii: NDArray[np.float64],
    pairs: NDArray[np.int64] | None = None,
    variance_weight: str = "w2",
) -> SkyLevel:
    """Exactly weighted means in several annuli around each source, in several images of the same frames.

    Parameters
    ----------
    images : sequence of (n, ny, nx) array
        As the data of `annulus_sky`.
    error, x, y, variance_weight
        As for `annulus_sky`.
    radii, pairs
        As for `annuli_sky`.

    Returns
    -------
    SkyLevel
        Each (np, n, ns): to the bit what `annulus_sky` gives for the annulus and the image alone.

    Raises
    ------
    ValueError
        As `annuli_sky`.
    """
    if variance_weight not in VARIANCE_WEIGHTS:
        raise ValueError(f"expected a variance weight of {', '.join(VARIANCE_WEIGHTS)}; found {variance_weight!r}")
    columns, rows = check_positions(images[0], x, y)
    sizes, chosen = _checked_pairs(radii, pairs, len(images))
    out = np.empty((3, len(chosen), *columns.shape))
    for image, data in enumerate(images):
        if data.shape != images[0].shape:
            raise ValueError(f"expected images of {images[0].shape}, found {data.shape}")
        check_error(data, error)
        if error is None:  # the scatter of whole pixels
            its = np.flatnonzero(chosen[:, 1] == image)
            alone = np.stack([chosen[its, 0], np.zeros(its.size, np.int64)], axis=1)
            out[:, its] = whole_pixel_levels(data, None, columns, rows, False, sizes, STATISTICS["median"], None, alone)
    _n, ny, nx = images[0].shape
    width = 2 * math.ceil(min(sizes.max(initial=0.0), 1e9)) + 3
    weights, lanes = np.empty(min(ny, width) * min(nx, width)), np.empty((3, LANES))
    squared = VARIANCE_WEIGHTS[variance_weight]
    pixels = (images[0] if len(images) == 1 else np.stack(images)).reshape(-1)
    errors = (images[0] if error is None else error).reshape(-1), error is not None
    for index, (inner, outer) in enumerate(sizes):
        circles = np.array([inner, outer] if inner > 0.0 else [outer], dtype=np.float64)
        its = np.flatnonzero(chosen[:, 0] == index)
        for lists, begin, which in circle_lists(columns, rows, circles, ny, nx):  # once for all images
            _annulus_means(pixels, *errors, images[0].shape, begin, which, *lists, squared, weights, lanes, its, chosen, out)
    return _as_level(out, error is None, "mean")


def _checked_pairs(
    radii: NDArray[np.float64], pairs: NDArray[np.int64] | None, images: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Radii and pairs as kernels take them; every annulus in the first image if no pairs are given."""
    sizes = np.ascontiguousarray(radii, np.float64)
    if sizes.ndim != 2 or sizes.shape[1] != 2 or not all(0.0 <= low < high < math.inf for low, high in sizes.tolist()):
        raise ValueError(f"expected radii 0 ≤ inner < outer, found {sizes.tolist()}")
    if pairs is None:
        pairs = np.array([(index, 0) for index in range(len(sizes))], np.int64).reshape(-1, 2)
    pairs = np.ascontiguousarray(pairs, np.int64)
    if np.any(pairs < 0) or np.any(pairs >= (len(sizes), images)):
        raise ValueError(f"expected pairs of {len(sizes)} annuli and {images} images, found {pairs.tolist()}")
    return sizes, pairs


def _as_level(out: NDArray[np.float64], measured: bool, statistic: str) -> SkyLevel:
    """Make level, its error and area of a level, Σσ² (or the measured variance of a pixel) and area."""
    level, variance, area = out
    if measured:
        variance *= area
    factor = MEDIAN_ERROR if statistic in ("median", "clipped-median") else 1.0
    empty = ~(area > 0.0)
    level[empty] = variance[empty] = np.nan
    area[empty] = 0.0
    with np.errstate(invalid="ignore"):
        return SkyLevel(level, factor * np.sqrt(variance) / area, area)


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
def _annulus_weights(pixel, weight, first, start, stop, run, size, weights):  # type: ignore[no-untyped-def]
    """Write w_outer − w_inner of every pixel of the box; the lists hold the outer circle only if the inner radius is 0."""
    for index in range(size):
        weights[INDEX(index)] = 0.0
    outer = first.size - 2
    for m in range(run[outer], run[outer + 1]):  # whole in the outer circle, not whole in the inner
        for index in range(start[m], stop[m]):
            weights[index] = 1.0
    for edge in range(first[outer], first[outer + 1]):
        weights[pixel[edge]] += weight[edge]
    if outer > 0:
        for edge in range(first[0], first[1]):
            weights[pixel[edge]] -= weight[edge]


@part
def _weighted_sums(values, ahead, error, with_error, corner, nx, rows, columns, weights, squared, lanes):  # type: ignore[no-untyped-def]
    """Σ w v, Σ w²σ² (or Σ w σ²) and Σ w over the good pixels of a box whose first pixel is ``values[ahead + corner]``."""
    total, variance, area = lanes[0], lanes[1], lanes[2]
    clear(total)
    clear(variance)
    clear(area)
    for row in range(rows):
        for start in range(0, columns, LANES):
            pixel, place = corner + row * nx + start, row * columns + start
            for lane in range(min(LANES, columns - start)):
                weight = weights[INDEX(place + lane)]
                value = np.float64(values[INDEX(ahead + pixel + lane)])
                good = (weight > 0.0) & (abs(value) < np.inf)
                weight = weight if good else 0.0
                total[INDEX(lane)] += weight * value if good else 0.0
                area[INDEX(lane)] += weight
                if with_error:
                    sigma = np.float64(error[INDEX(pixel + lane)])
                    factor = weight * weight if squared else weight
                    variance[INDEX(lane)] += factor * (sigma * sigma) if good else 0.0
    return fold(total), fold(variance), fold(area)


@kernel
def _annulus_means(  # type: ignore[no-untyped-def]
    values,
    error,
    with_error,
    shape,
    begin,
    which,
    pixel,
    weight,
    first,
    start,
    stop,
    run,
    box,
    squared,
    weights,
    lanes,
    its,
    pairs,
    out,
):
    """Write level, variance and area of the exactly weighted mean, all without an area where the annulus has no pixel.

    ``its`` are the pairs of this annulus; their images lie one after the other in ``values``.
    """
    n, ny, nx = shape
    for item in range(which.size):
        p = which[item]
        source, frame = (begin + item) // n, (begin + item) % n
        rows, columns = box[p, 1] - box[p, 0], box[p, 3] - box[p, 2]
        corner = (frame * ny + box[p, 0]) * nx + box[p, 2]
        if rows > 0:
            _annulus_weights(pixel[p], weight[p], first[p], start[p], stop[p], run[p], rows * columns, weights)
        for pair in its:
            ahead = pairs[pair, 1] * n * ny * nx
            total, variance, area = _weighted_sums(
                values, ahead, error, with_error, corner, nx, rows, columns, weights, squared, lanes
            )
            out[0, pair, frame, source] = total / area
            if with_error:
                out[1, pair, frame, source] = variance
            out[2, pair, frame, source] = area
