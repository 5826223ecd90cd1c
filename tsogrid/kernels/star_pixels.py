"""Which pixels are a star's: where it is in the template, its core, the rest of its stamp."""

import numpy as np

from tsogrid.kernels.compile import part

BRIGHT = 0.1  # of the star's peak: pixels with as much flux in their 3 × 3 neighbourhood make up its core
UNEVEN = 0.002  # of that flux: how far a pixel is trusted to follow the model, at any brightness
LEAST = 1e-6  # of the peak: no pixel is known better


@part
def find_star(template, ny, nx, x, y, search):  # type: ignore[no-untyped-def]
    """Row and column of a star: the brightest 3 × 3 pixels about a planned position, nearer ones preferred; −1 if none."""
    if not (x >= -0.5 and x <= nx - 0.5 and y >= -0.5 and y <= ny - 0.5):
        return -1, -1
    row, column = min(int(np.ceil(y - 0.5)), ny - 1), min(int(np.ceil(x - 0.5)), nx - 1)
    row, column = max(row, 0), max(column, 0)
    if search == 0:
        return row, column
    best, best_row, best_column = 0.0, row, column
    lowest = np.inf
    for i in range(max(0, row - search), min(ny, row + search + 1)):
        for j in range(max(0, column - search), min(nx, column + search + 1)):
            value = template[i * nx + j]
            lowest = value if value < lowest else lowest
    for i in range(max(0, row - search), min(ny, row + search + 1)):
        for j in range(max(0, column - search), min(nx, column + search + 1)):
            total, count = 0.0, 0
            for k in range(max(0, i - 1), min(ny, i + 2)):
                for m in range(max(0, j - 1), min(nx, j + 2)):
                    value = template[k * nx + m]
                    if abs(value) < np.inf:
                        total += value - lowest
                        count += 1
            distance = max(abs(i - row), abs(j - column)) / (search + 1.0)
            score = total / max(count, 1) * np.cos(0.5 * np.pi * distance) ** 2
            if count >= 4 and score > best:
                best, best_row, best_column = score, i, j
    return best_row, best_column


@part
def gather_star(  # type: ignore[no-untyped-def]
    template, sigma, known, star, rows, columns, ny, nx, stamp, level, pixels, offsets, flux, weights
):
    """List the pixels that belong to a star: its core first, then others of the fit, then the rest; give the three counts.

    ``pixels`` takes the indices, ``offsets`` the places in the stamp, ``flux`` the largest distance from ``level`` in 3 × 3
    pixels, ``weights`` the variances of the fit so far. A pixel belongs to the nearest star.
    """
    row, column = rows[star], columns[star]
    peak = 0.0
    for y in range(max(0, row - 1), min(ny, row + 2)):
        for x in range(max(0, column - 1), min(nx, column + 2)):
            size = abs(template[y * nx + x] - level)
            peak = size if size > peak and size < np.inf else peak
    n_core, n_fit, count = 0, 0, 0
    for kind in range(3):
        for y in range(max(0, row - stamp), min(ny, row + stamp + 1)):
            for x in range(max(0, column - stamp), min(nx, column + stamp + 1)):
                j = y * nx + x
                own = abs(template[j]) < np.inf
                distance = (y - row) ** 2 + (x - column) ** 2
                for other in range(rows.size):
                    within = max(abs(y - rows[other]), abs(x - columns[other])) <= stamp
                    if other != star and rows[other] >= 0 and within:
                        farther = (y - rows[other]) ** 2 + (x - columns[other]) ** 2
                        own = own and (farther > distance or (farther == distance and other > star))
                if not own:
                    continue
                around = 0.0
                for k in range(max(0, y - 1), min(ny, y + 2)):
                    for m in range(max(0, x - 1), min(nx, x + 2)):
                        size = abs(template[k * nx + m] - level)
                        around = size if size > around and size < np.inf else around
                usable = not known or sigma[j] > 0.0
                bright = around >= BRIGHT * peak and abs(y - row) + abs(x - column) <= stamp
                if kind != (2 if not usable else (0 if bright else 1)):
                    continue
                pixels[count] = j
                flux[count] = around
                offsets[0, count] = x - column + stamp
                offsets[1, count] = y - row + stamp
                count += 1
        if kind == 0:
            n_core = count
        elif kind == 1:
            n_fit = count
    for i in range(n_fit):
        variance = (UNEVEN * flux[i]) ** 2 + (LEAST * peak) ** 2
        if known:
            variance += sigma[pixels[i]] ** 2
        weights[i] = variance
    return n_core, n_fit, count


@part
def guess_variances(template, pixels, level, n_fit, scatter, peak, weights):  # type: ignore[no-untyped-def]
    """Add variances where no error is known: the scatter of the sky, and photons as of a star with S/N 100."""
    for i in range(n_fit):
        weights[i] += scatter**2 + 1e-4 * peak * max(template[pixels[i]] - level, 0.0)
