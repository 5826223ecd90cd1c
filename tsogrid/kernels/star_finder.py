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
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.mesh import cell_levels, cell_of

SMOOTHING = 1.4  # pixels (1 sigma) of the filter under which peaks are looked for
TAPS = 4  # pixels on each side that the filter takes in
THRESHOLD = 5.0  # standard deviations of the smoothed sky
ALONE = 6.0  # a pixel is alone where it is so many times brighter than the three fainter of its four neighbours
STEEPEST = 1.0  # exp(this / width²) is how far a star's pixel may stand above these three, also if the star is not round
NARROWEST = 0.55  # pixels (1 sigma): what is narrower has not gone through a telescope
WIDEST = 6.0  # pixels (1 sigma) of the window
LARGE = 3.0  # pixels (1 sigma) from which larger pixels are taken, and
FINE = 1.5  # the width that the stars then have in them
LARGEST_BIN = 16
TRIED = 150  # peaks that tell the width of the stars
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
    _flatten(image, level, rest)
    _take_off_alone(rest, noise, ALONE, lonely)
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
    _smooth(rest, taps, np.empty_like(rest), smooth)
    # The noise of the smoothed frame is measured in it: that of neighbouring pixels may belong together.
    threshold = THRESHOLD * np.maximum(cell_levels(smooth)[1], 1e-30)
    peaks = np.empty((PEAKS, 2), np.int64)
    count = _peaks(smooth, threshold, peaks)
    if not count:
        return none
    peaks = peaks[:count]
    order = np.argsort(-smooth[peaks[:, 0], peaks[:, 1]], kind="stable")
    peaks = peaks[order]
    tried = np.empty((min(count, TRIED), 6))
    _measure(rest, peaks[:TRIED], 0.0, tried)
    real = np.isfinite(tried[:, 3]) & (tried[:, 3] >= NARROWEST)
    real[real] = ~_on_a_line(tried[real], rest.shape)
    if not real.any():
        return none
    width = float(np.median(tried[real, 3]))
    if lonely is not None and width <= LARGE:  # the width tells better what stands alone
        _take_off_alone(rest, noise, min(ALONE, 1.6 * math.exp(STEEPEST / width**2)), lonely)
    measured = np.empty((count, 6))
    _measure(rest, peaks, width, measured)
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


@part
def _between(cells, row, column, ny, nx):  # type: ignore[no-untyped-def]
    """Value of a mesh at a pixel, linear between the centres of cells and beyond the outer ones."""
    high, wide = cells.shape
    v = (row + 0.5) * high / ny - 0.5
    u = (column + 0.5) * wide / nx - 0.5
    j = max(0, min(math.floor(v), high - 2))
    i = max(0, min(math.floor(u), wide - 2))
    v, u = v - j, u - i
    j1, i1 = min(j + 1, high - 1), min(i + 1, wide - 1)
    return (1 - v) * ((1 - u) * cells[j, i] + u * cells[j, i1]) + v * ((1 - u) * cells[j1, i] + u * cells[j1, i1])


@kernel
def _flatten(image, level, rest):  # type: ignore[no-untyped-def]
    """Take off the sky; bad pixels become 0."""
    ny, nx = image.shape
    step = 16  # pixels: the mesh is linear over so few
    for row in range(ny):
        for first in range(0, nx, step):
            last = min(first + step, nx)
            start = _between(level, row, first, ny, nx)
            slope = (_between(level, row, last, ny, nx) - start) / (last - first)
            for column in range(first, last):
                value = np.float64(image[row, column]) - (start + slope * (column - first))
                rest[row, column] = value if math.isfinite(value) else 0.0


@kernel
def _take_off_alone(rest, noise, alone, lonely):  # type: ignore[no-untyped-def]
    """Put pixels that stand alone to the mean of their fainter neighbours, and mark them."""
    ny, nx = rest.shape
    high, wide = noise.shape
    for row in range(ny):
        cell_row = min(row * high // ny, high - 1)
        for column in range(nx):
            sigma = noise[cell_row, min(column * wide // nx, wide - 1)]
            value = rest[row, column]
            if not value > 5.0 * sigma:
                continue
            total, largest, number = 0.0, -np.inf, 0
            for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
                j, i = row + dy, column + dx
                if 0 <= j < ny and 0 <= i < nx:
                    total += rest[j, i]
                    largest = max(largest, np.float64(rest[j, i]))
                    number += 1
            if number < 2:
                continue
            # The brightest neighbour does not count: cosmic rays come in chains, which are taken off from their ends.
            mean = (total - largest) / (number - 1)
            if value > alone * max(mean, 0.0) + 4.0 * sigma:
                rest[row, column] = mean
                lonely[row, column] = True


@kernel
def _smooth(rest, taps, half, smooth):  # type: ignore[no-untyped-def]
    """Convolve with a filter along x and along y; beyond the edges there is nothing."""
    ny, nx = rest.shape
    reach = taps.size // 2
    for row in range(ny):
        for column in range(nx):
            half[row, column] = 0.0
        for k in range(-reach, reach + 1):
            tap = taps[k + reach]
            for column in range(max(0, -k), min(nx, nx - k)):
                half[row, column] += tap * rest[row, column + k]
    for row in range(ny):
        for column in range(nx):
            smooth[row, column] = 0.0
        for k in range(max(-reach, -row), min(reach, ny - 1 - row) + 1):
            tap = taps[k + reach]
            for column in range(nx):
                smooth[row, column] += tap * half[row + k, column]


@kernel
def _peaks(smooth, threshold, peaks):  # type: ignore[no-untyped-def]
    """Rows and columns of pixels that are above the threshold and the highest of 5 × 5; return how many there are."""
    ny, nx = smooth.shape
    high, wide = threshold.shape
    count = 0
    for row in range(2, ny - 2):
        cell_row = min(row * high // ny, high - 1)
        for column in range(2, nx - 2):
            value = smooth[row, column]
            if not (value > smooth[row, column - 1] and value >= smooth[row, column + 1]):
                continue
            if not value > threshold[cell_row, min(column * wide // nx, wide - 1)]:
                continue
            highest = True
            for j in range(row - 2, row + 3):
                for i in range(column - 2, column + 3):
                    earlier = j < row or (j == row and i < column)
                    if smooth[j, i] > value or (earlier and smooth[j, i] == value):
                        highest = False
            if highest and count < peaks.shape[0]:
                peaks[count, 0], peaks[count, 1] = row, column
                count += 1
    return count


@part
def _window(rest, x, y, width, across, along, sums):  # type: ignore[no-untyped-def]
    """Sums of the pixels under a Gaussian window: 0th, 1st and 2nd moments about x, y; False at the edge of the frame."""
    ny, nx = rest.shape
    reach = math.ceil(3.0 * width)
    middle_x, middle_y = math.floor(x + 0.5), math.floor(y + 0.5)
    inner = math.ceil(1.5 * width)
    if middle_x < inner or middle_y < inner or middle_x >= nx - inner or middle_y >= ny - inner:
        return False
    sums[:] = 0.0
    first_i, last_i = max(0, middle_x - reach), min(nx, middle_x + reach + 1)
    first_j, last_j = max(0, middle_y - reach), min(ny, middle_y + reach + 1)
    scale = -0.5 / (width * width)
    for i in range(first_i, last_i):
        across[i - first_i] = math.exp(scale * (i - x) ** 2)
    for j in range(first_j, last_j):
        v = j - y
        weight = math.exp(scale * v * v)
        zero = one = two = 0.0
        for i in range(first_i, last_i):
            value = across[i - first_i] * rest[j, i]
            u = i - x
            zero += value
            one += value * u
            two += value * u * u
        sums[0] += weight * zero
        sums[1] += weight * one
        sums[2] += weight * zero * v
        sums[3] += weight * two
        sums[4] += weight * one * v
        sums[5] += weight * zero * v * v
    return True


@kernel
def _measure(rest, peaks, fixed, out):  # type: ignore[no-untyped-def]
    """Write x, y, flux, width (or second moment), ellipticity of each peak; the window follows it or is fixed."""
    across = np.empty(2 * math.ceil(3.0 * (WIDEST + fixed)) + 3)
    sums = np.empty(6)
    for k in range(peaks.shape[0]):
        y, x = np.float64(peaks[k, 0]), np.float64(peaks[k, 1])
        out[k] = np.nan
        width = fixed if fixed > 0.0 else 1.5
        good = True
        moment = one = two = flux = 0.0
        for _ in range(12):
            if not _window(rest, x, y, width, across, across, sums) or not sums[0] > 0.0:
                good = False
                break
            step_x, step_y = sums[1] / sums[0], sums[2] / sums[0]
            xx = sums[3] / sums[0] - step_x * step_x
            xy = sums[4] / sums[0] - step_x * step_y
            yy = sums[5] / sums[0] - step_y * step_y
            moment = 0.5 * (xx + yy)
            if not moment > 0.0:
                moment = 0.01
            one, two = 0.5 * (xx - yy) / moment, xy / moment
            # Under a window of its own width a Gaussian's centre of mass goes half the way.
            x += 2.0 * step_x
            y += 2.0 * step_y
            if math.hypot(x - peaks[k, 1], y - peaks[k, 0]) > 2.0 + 2.0 * width:
                good = False
                break
            flux = 2.0 * sums[0]
            if fixed > 0.0:
                if math.hypot(step_x, step_y) < 1e-3:
                    break
                continue
            rest_of = 1.0 / moment - 1.0 / (width * width)
            new = math.sqrt(1.0 / rest_of) if rest_of > 0.0 else 2.0 * width
            new = min(max(new, 0.3), 2.0 * width, WIDEST)
            settled = abs(new - width) < 0.02 * width and math.hypot(step_x, step_y) < 0.02
            width = new
            if settled:
                break
        if good:
            out[k, 0], out[k, 1], out[k, 2] = x, y, flux
            out[k, 3] = moment if fixed > 0.0 else width
            out[k, 4], out[k, 5] = one, two
