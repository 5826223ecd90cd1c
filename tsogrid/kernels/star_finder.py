"""The stars of a frame, for matching patterns: places, fluxes and widths, the brightest first.

A frame's own sky and noise come from the medians of a mesh of cells; pixels that stand alone (hot ones, cosmic rays) are
put to the level of their neighbours; peaks of the smoothed rest are measured under a round Gaussian window of the stars' own
width. What is narrower than the stars or drawn out to a line (what is left of cosmic rays, trails of satellites, blends) is
no star here. Frames whose stars are wide (out of focus) are looked at in larger pixels. Nothing but the frame takes part.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.box import check_positions
from tsogrid.kernels.mesh import cell_levels, cell_of
from tsogrid.kernels.star_peaks import find_peaks, flatten, measure_peaks, smooth_frame, take_off_alone

SMOOTHING = 1.4  # pixels (1 sigma) of the filter under which peaks are looked for
TAPS = 4  # pixels on each side that the filter takes in
THRESHOLD = 5.0  # standard deviations of the smoothed sky
ALONE = 6.0  # a pixel is alone where it is so many times brighter than the three fainter of its four neighbours
STEEPEST = 1.0  # exp(this / width²) is how far a star's pixel may stand above these three, also if the star is not round
NARROWEST = 0.55  # pixels (1 sigma): what is narrower has not gone through a telescope
TELESCOPE = 0.75  # pixels (1 sigma): stars are seldom narrower, clumps of hot pixels are
ENOUGH = 20.0  # times the threshold: what is higher counts for no more
LARGE = 3.0  # pixels (1 sigma) from which larger pixels are taken, and
FINE = 1.5  # the width that the stars then have in them
LARGEST_BIN = 16
TRIED = 150  # peaks that tell the width of the stars
FEW = 5  # of them: more peaks are tried where fewer are left
PEAKS = 20000  # that are looked at, at most
SMALL, BROAD = 0.6, 1.8  # second moment under the window, in that of a star, of what may be a star
LONG = 0.12  # ellipticity from which a peak may belong to a trail, and
BESIDE = 3.0  # pixels to each side of it in which the others are
UNLIKE = 0.25  # in ellipticity under the window: what differs so much from the other stars is a line or a blend


class Stars(NamedTuple):
    """Stars of each frame, the brightest first; NaN after the last.

    Parameters
    ----------
    x, y : ndarray, shape (n, most)
        Windowed centres, 0-based pixels.
    flux : ndarray, shape (n, most)
        Of a Gaussian of the frame's width, in data units.
    error : ndarray, shape (n, most)
        Error of x and of y by the noise of the sky, in pixels.
    number : ndarray of int, shape (n,)
        How many there are.
    width : ndarray, shape (n,)
        Gaussian width (1 sigma) of the stars, in pixels; NaN without stars.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    number: NDArray[np.int64]
    width: NDArray[np.float64]


def star_field(data: NDArray[np.floating], most: int = 200, lonely: NDArray[np.bool_] | None = None) -> Stars:
    """Find the stars of each frame.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Frames, float32 or float64; a pixel that is not finite is bad and counts as sky.
    most : int
        How many stars of a frame are kept, the brightest.
    lonely : ndarray of bool, shape (n, ny, nx), optional
        Becomes True where a pixel stands alone: hot ones, cosmic rays.

    Returns
    -------
    Stars

    Raises
    ------
    ValueError
        If the shape or type of the data does not fit.

    Notes
    -----
    Width, centre and flux are those of a matched window (Bernstein & Jarvis 2002, AJ 123, 583, in its round form): a
    Gaussian star of width s under a window of width w has the second moment s² w² / (s² + w²), and its flux is the windowed
    sum times (s² + w²) / w². The error of a centre is √(8π) s² noise / flux, as for a Gaussian fitted to sky-limited pixels.
    """
    n = data.shape[0] if data.ndim == 3 else 0
    check_positions(data, np.zeros((n, 1)), np.zeros((n, 1)))
    x, y, flux, error = (np.full((n, most), np.nan) for _ in range(4))
    found = Stars(x, y, flux, error, np.zeros(n, np.int64), np.full(n, np.nan))
    for frame in range(n):
        mask = np.zeros(data.shape[1:], bool) if lonely is None else lonely[frame]
        _one_frame(np.ascontiguousarray(data[frame], np.float32), frame, mask, found)
    return found


def _one_frame(image: NDArray[np.float32], frame: int, lonely: NDArray[np.bool_], found: Stars) -> None:
    """Find the stars of one frame, in its pixels or in larger ones."""
    level, noise = cell_levels(image)
    if not np.isfinite(level).any():
        return
    rest = np.empty_like(image)
    flatten(image, level, rest)
    take_off_alone(rest, noise, ALONE, lonely)
    size = 1
    stars, width = _stars(rest, noise, lonely)
    for _ in range(3):  # out of focus a star breaks into many peaks, whose width grows with that of the pixels
        if not (width > LARGE and size < LARGEST_BIN):
            break
        size = min(LARGEST_BIN, size * max(2, round(width / FINE)))
        ny, nx = (length // size for length in rest.shape)
        if min(ny, nx) < 2 * TAPS + 3:
            break
        binned = rest[: ny * size, : nx * size].reshape(ny, size, nx, size).mean(axis=(1, 3), dtype=np.float64)
        binned = np.ascontiguousarray(binned, np.float32)
        stars, width = _stars(binned, cell_levels(binned)[1], None)
    if not len(stars):
        return
    kept = stars[np.argsort(-stars[:, 2], kind="stable")[: found.x.shape[1]]]
    number = len(kept)
    found.number[frame] = number
    found.width[frame] = width * size
    found.x[frame, :number] = (kept[:, 0] + 0.5) * size - 0.5
    found.y[frame, :number] = (kept[:, 1] + 0.5) * size - 0.5
    found.flux[frame, :number] = kept[:, 2] * size**2
    found.error[frame, :number] = kept[:, 3] * size


def _stars(
    rest: NDArray[np.float32], noise: NDArray[np.float64], lonely: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64], float]:
    """Measure the stars of a frame without sky: x, y, flux and error of each, and their width."""
    none = np.zeros((0, 4)), math.nan
    if min(rest.shape) < 2 * TAPS + 3 or not np.isfinite(noise).all():
        return none
    taps = np.exp(-0.5 * (np.arange(-TAPS, TAPS + 1) / SMOOTHING) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    smooth = np.empty_like(rest)
    smooth_frame(rest, taps, np.empty_like(rest), smooth)
    # The noise of the smoothed frame is measured in it: that of neighbouring pixels may belong together.
    threshold = THRESHOLD * np.maximum(cell_levels(smooth)[1], 1e-30)
    peaks = np.empty((PEAKS, 2), np.int64)
    count = find_peaks(smooth, threshold, peaks)
    if not count:
        return none
    peaks = peaks[:count]
    row, column = peaks.T
    height = (
        smooth[row, column]
        / threshold[cell_of(row, rest.shape[0], noise.shape[0]), cell_of(column, rest.shape[1], noise.shape[1])]
    )
    order = np.argsort(-smooth[row, column], kind="stable")
    peaks, height = peaks[order], np.minimum(height[order], ENOUGH)
    for most in (TRIED, 3 * TRIED, 9 * TRIED):  # the highest peaks may all be those of a bright trail
        tried = np.empty((min(count, most), 6))
        measure_peaks(rest, peaks[:most], 0.0, tried)
        real = np.isfinite(tried[:, 3]) & (tried[:, 3] >= NARROWEST)
        real[real] = ~_on_a_line(tried[real], rest.shape)
        if real.sum() >= FEW or most >= count:
            break
    if not real.any():
        return none
    width = _typical_width(tried[real, 3], height[: len(tried)][real])
    if lonely is not None and width <= LARGE:  # the width tells better what stands alone
        take_off_alone(rest, noise, min(ALONE, 1.6 * math.exp(STEEPEST / width**2)), lonely)
    measured = np.empty((count, 6))
    measure_peaks(rest, peaks, width, measured)
    x, y, flux, moment, *shape = measured.T
    whole = moment / (0.5 * width**2)
    star = (flux > 0) & (whole > SMALL) & (whole < BROAD)
    star[star] = ~_on_a_line(measured[star], rest.shape)
    if not star.any():
        return none
    # Where the telescope has moved all stars are drawn out alike.
    typical = np.median(measured[star][:TRIED, 4:], axis=0)
    star &= np.hypot(shape[0] - typical[0], shape[1] - typical[1]) < UNLIKE
    x, y, flux = x[star], y[star], flux[star]
    cell = cell_of(y, rest.shape[0], noise.shape[0]), cell_of(x, rest.shape[1], noise.shape[1])
    error = math.sqrt(8 * math.pi) * width**2 * noise[cell] / flux
    return np.stack([x, y, flux, error], axis=1), width


def _typical_width(widths: NDArray[np.float64], height: NDArray[np.float64]) -> float:
    """Median width of peaks by their height: ripples of the sky count little, and clumps of hot pixels give way to stars."""
    wide = widths >= TELESCOPE
    if height[wide].sum() >= 0.25 * height.sum():
        widths, height = widths[wide], height[wide]
    order = np.argsort(widths, kind="stable")
    below = np.cumsum(height[order])
    return float(widths[order][np.searchsorted(below, 0.5 * below[-1])])


def _on_a_line(measured: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which peaks belong to a trail: drawn out, with many others that are so in the line in which they are drawn out."""
    one, two = measured[:, 4], measured[:, 5]
    long = np.hypot(one, two) > LONG
    if long.sum() < 5:
        return np.zeros(len(long), bool)
    x, y = measured[long, 0], measured[long, 1]
    angle = 0.5 * np.arctan2(two[long], one[long])
    across = (y[None] - y[:, None]) * np.cos(angle)[:, None] - (x[None] - x[:, None]) * np.sin(angle)[:, None]
    turned = np.abs(np.sin(angle[None] - angle[:, None]))
    number = ((np.abs(across) < BESIDE) & (turned < 0.3)).sum(axis=1) - 1
    by_chance = len(x) * 2 * BESIDE * max(shape) / (shape[0] * shape[1])
    result = np.zeros(len(long), bool)
    result[long] = number > 5 + 4 * by_chance
    return result
