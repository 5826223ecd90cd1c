"""What finding stars is made of: the sky taken off, pixels that stand alone, peaks, and their moments under a window.

Compiled loops over one frame in single precision; `tsogrid.kernels.star_finder` puts them together.
"""

import math

import numpy as np

from tsogrid.kernels.compile import kernel, part

WIDEST = 6.0  # pixels (1 sigma) of the window
AROUND = 8  # pixels from a peak to those that tell the level about it


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
def flatten(image, level, rest):  # type: ignore[no-untyped-def]
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
def take_off_alone(rest, noise, alone, lonely):  # type: ignore[no-untyped-def]
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
def smooth_frame(rest, taps, half, smooth):  # type: ignore[no-untyped-def]
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


@part
def _about(smooth, row, column, ring):  # type: ignore[no-untyped-def]
    """Level about a peak: the mean of the fainter half of eight pixels at a distance, which no neighbour raises."""
    ny, nx = smooth.shape
    count = 0
    for dy in range(-AROUND, AROUND + 1, AROUND):
        for dx in range(-AROUND, AROUND + 1, AROUND):
            j, i = row + dy, column + dx
            if (dy == 0 and dx == 0) or not (0 <= j < ny and 0 <= i < nx):
                continue
            value = np.float64(smooth[j, i])
            k = count
            while k > 0 and ring[k - 1] > value:
                ring[k] = ring[k - 1]
                k -= 1
            ring[k] = value
            count += 1
    half = (count + 1) // 2
    return ring[:half].sum() / half if half > 0 else 0.0


@kernel
def find_peaks(smooth, threshold, peaks):  # type: ignore[no-untyped-def]
    """Rows and columns of pixels that are above the threshold and the highest of 5 × 5; return how many there are."""
    ny, nx = smooth.shape
    high, wide = threshold.shape
    count = 0
    ring = np.empty(8)
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
            if (
                highest
                and value - _about(smooth, row, column, ring) <= threshold[cell_row, min(column * wide // nx, wide - 1)]
            ):
                continue  # on a plateau of the sky
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
def measure_peaks(rest, peaks, fixed, out):  # type: ignore[no-untyped-def]
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
