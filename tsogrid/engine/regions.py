"""Sky levels from a region about each source: rings and rectangles, beside it or round it, of fixed or following size."""

import math
from collections.abc import Sequence

import numpy as np

from tsogrid.config import Annulus, PhotometryConfig, SkyRectangle
from tsogrid.engine.apertures import Places, scale_of
from tsogrid.kernels import shapes, sky, whole_pixels

_GRID = 2.0**38  # a sum that is rounded where the place is large would depend on where the window begins


def local_level(
    step: Annulus | SkyRectangle,
    data: np.ndarray,
    error: np.ndarray | None,
    places: Places,
    photometry: PhotometryConfig,
) -> sky.SkyLevel:
    """Find the sky level in a region about each source.

    Parameters
    ----------
    step : Annulus or SkyRectangle
        The region and its statistic.
    data, error : ndarray, shape (n, ny, nx)
        Pixels, and their errors (None if unknown).
    places : Places
        Where the sources are.
    photometry : PhotometryConfig
        How errors are summed, what counts as the area of a region of whole pixels.

    Returns
    -------
    SkyLevel
        Each (n, n_sources).
    """
    if photometry.sky_error == "measured" and step.statistic != "mean":
        error = None
    x, y = beside(places.x, step.offset[0]), beside(places.y, step.offset[1])
    if step.scaled is None:
        return _level(step, data, error, x, y, 0.0, photometry)
    # All sources of a frame share the width of its stars: frame by frame, each with its own size.
    growth = scale_of(step.scaled, step.scaled.factor, places.fwhm[:, 0]) - step.scaled.reference_radius
    found = sky.SkyLevel(np.full(x.shape, np.nan), np.full(x.shape, np.nan), np.zeros(x.shape))
    for frame in range(len(data)):
        one = slice(frame, frame + 1)
        if math.isfinite(growth[frame]) and _sizes(step, growth[frame]) is not None:
            part = _level(step, data[one], None if error is None else error[one], x[one], y[one], growth[frame], photometry)
            for column, values in zip(found, part, strict=True):
                column[one] = values
    return found


def beside(position: np.ndarray, offset: float) -> np.ndarray:
    """Give the places that lie an offset from others, the same in a window of the frame as in the frame, to the bit.

    Parameters
    ----------
    position : ndarray
        One coordinate of places, in pixels of the frame or of a window of it; the two differ by a whole number.
    offset : float
        Pixels.

    Returns
    -------
    ndarray
        To 2⁻³⁸ pixels (4 · 10⁻¹²), of which doubles hold whole multiples up to 32768; without an offset ``position`` itself.
    """
    if offset == 0.0:
        return position
    pixel = np.floor(position)
    return np.asarray(pixel + np.rint((position - pixel + offset) * _GRID) / _GRID)


def shares_pixels(step: Annulus | SkyRectangle) -> bool:
    """Whether `annulus_levels` serves for a region: a ring of fixed size, of whole pixels or weighed exactly."""
    return isinstance(step, Annulus) and step.scaled is None and (step.statistic != "mean" or step.overlap == "exact")


def annulus_levels(
    steps: list[Annulus],
    images: list[int],
    data: Sequence[np.ndarray],
    error: np.ndarray | None,
    places: Places,
    rows: whole_pixels.RowLevels | None,
    photometry: PhotometryConfig,
) -> sky.SkyLevel:
    """Find the levels of annuli of one statistic and one offset in several images of the same frames.

    Parameters
    ----------
    steps : list of Annulus
        The annulus of each level.
    images : list of int
        The image of each level.
    data : sequence of ndarray, shape (n, ny, nx)
        The images; the pixels of all of them if ``rows`` are given.
    error, places, photometry
        As for `local_level`.
    rows : RowLevels or None
        What is taken off the pixels in each image, for a statistic of whole pixels.

    Returns
    -------
    SkyLevel
        Each (n_steps, n, n_sources).
    """
    statistic = steps[0].statistic
    if photometry.sky_error == "measured" and statistic != "mean":
        error = None
    x, y = beside(places.x, steps[0].offset[0]), beside(places.y, steps[0].offset[1])
    radii = [(step.inner, step.outer) for step in steps]
    different = list(dict.fromkeys(radii))
    pairs = np.array([(different.index(each), image) for each, image in zip(radii, images, strict=True)])
    order = np.argsort(pairs[:, 0], kind="stable")  # what an annulus is in all images is found once
    if statistic == "mean":
        found = sky.annuli_means(data, error, x, y, np.array(different), pairs[order], photometry.variance_weight)
    else:
        found = sky.annuli_sky(data[0], error, x, y, np.array(different), statistic, rows, pairs[order])
    back = np.argsort(order)
    return sky.SkyLevel(*(column[back] for column in found))


def holds_bad(step: Annulus | SkyRectangle, data: np.ndarray, places: Places) -> np.ndarray:
    """Say in which regions a pixel is bad.

    Parameters
    ----------
    step : Annulus or SkyRectangle
        The region and its statistic, which decides whether pixels on the border belong to it.
    data : ndarray, shape (n, ny, nx)
        Pixels; those that are not finite are bad. What lies outside the frame is not.
    places : Places
        Where the sources are.

    Returns
    -------
    ndarray of bool, shape (n, n_sources)
    """
    x, y = beside(places.x, step.offset[0]), beside(places.y, step.offset[1])
    growth = np.zeros(len(data))
    if step.scaled is not None:
        growth = scale_of(step.scaled, step.scaled.factor, places.fwhm[:, 0]) - step.scaled.reference_radius
    found = np.zeros(x.shape, bool)
    for frame in np.flatnonzero(np.isfinite(growth) & ~np.isfinite(data).all(axis=(1, 2))):
        sizes = _sizes(step, float(growth[frame]))
        if sizes is None:
            continue
        one = slice(frame, frame + 1)
        shape, every = _shape_of(step, x[one], sizes, step.overlap if step.statistic == "mean" else "center")
        found[one] = shapes.shape_sums(data[one], None, x[one], y[one], shape, every).bad > 0
    return found


def _sizes(step: Annulus | SkyRectangle, growth: float) -> tuple[float, float] | None:
    """Radii, or sides, of the region whose borders have moved outwards; None if nothing is left of it."""
    if isinstance(step, SkyRectangle):
        width, height = step.width + 2 * growth, step.height + 2 * growth
        return (width, height) if width > 0 and height > 0 else None
    inner, outer = max(step.inner + growth, 0.0), step.outer + growth
    return (inner, outer) if inner < outer else None


def _level(
    step: Annulus | SkyRectangle,
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    growth: float,
    photometry: PhotometryConfig,
) -> sky.SkyLevel:
    sizes = _sizes(step, growth)
    assert sizes is not None
    rectangle = isinstance(step, SkyRectangle)
    weight = photometry.variance_weight
    if step.statistic != "mean":
        return _whole_pixels(data, error, x, y, rectangle, sizes, step.statistic)
    if step.overlap == "exact" and not rectangle:
        return sky.annulus_sky(data, error, x, y, *sizes, "mean", variance_weight=weight)
    shape, every = _shape_of(step, x, sizes, step.overlap)
    if step.overlap == "center":
        found = _whole_pixels(data, error, x, y, rectangle, sizes, "whole-mean")
    else:
        sums = shapes.shape_sums(data, error, x, y, shape, every, weight)
        some = sums.area > 0
        area = np.where(some, sums.area, np.nan)
        spread = _whole_pixels(data, None, x, y, rectangle, sizes, "whole-mean").level_err if error is None else None
        err = np.sqrt(sums.variance) / area if spread is None else spread
        found = sky.SkyLevel(sums.sum / area, err, np.where(some, sums.area, 0.0))
    if photometry.sky_area == "pixels":
        return found
    share = shapes.mask_area(x, y, shape, every) / shapes.analytic_area(shape.kind, every)
    return sky.SkyLevel(found.level * share, found.level_err * share, found.area)


def _shape_of(
    step: Annulus | SkyRectangle, x: np.ndarray, sizes: tuple[float, float], overlap: str
) -> tuple[shapes.ShapeWeights, np.ndarray]:
    """A region as a shape, and its sizes about each of the places; a ring without a hole is a circle."""
    kind = "rectangle" if isinstance(step, SkyRectangle) else ("annulus" if sizes[0] > 0 else "circle")
    sides = sizes[1:] if kind == "circle" else sizes
    return shapes.ShapeWeights(kind, overlap, step.subpixels), np.broadcast_to(sides, (*x.shape, len(sides)))


def _whole_pixels(
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    rectangle: bool,
    sizes: tuple[float, float],
    statistic: str,
) -> sky.SkyLevel:
    if rectangle:
        return sky.rectangle_sky(data, error, x, y, *sizes, statistic)
    return sky.annulus_sky(data, error, x, y, *sizes, statistic)
