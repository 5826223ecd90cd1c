"""The profile of a star, so far as its shifts need it: a sum of round, pixel-integrated Gaussians of fixed widths.

Pixels as wide as half a star do not hold its shape, and the differences of neighbours miss its derivatives by several per
cent. The derivatives of a sum of integrated Gaussians are exact. Their amplitudes (of any sign) and the common centre are
fitted to the template of a star; only the derivatives by the centre are used, never the profile in place of pixels.
"""

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.gaussian_profile import fill_profile
from tsogrid.kernels.least_squares import median_size, normal_matrix, solve
from tsogrid.kernels.statistics import MAD_TO_SIGMA

WIDTHS = 8
USED = np.int64(WIDTHS + 3)  # terms of the fit: the Gaussians, a level, the two derivatives by the centre
NARROWEST, RATIO = 0.45, 1.35  # sigma of the Gaussians, pixels: 0.45 … 3.7
ORDERS = 4  # a profile and its first three derivatives by the centre
STEPS = 6  # of Gauss and Newton, the first for the amplitudes alone
LONGEST_STEP = 0.3  # pixels
CLIP = 3.0


@part
def fill_derivatives(lines, size, center, line):  # type: ignore[no-untyped-def]
    """Fill ``lines[k, order, i]`` for every width; ``line`` is scratch of `fill_profile`."""
    sigma = NARROWEST
    for k in range(WIDTHS):
        fill_profile(line, size, center, sigma)
        squared = sigma * sigma
        for i in range(size):
            low, high = i - 0.5 - center, i + 0.5 - center
            left, right = line[3, i], line[3, i + 1]
            lines[k, 0, i] = line[0, i]
            lines[k, 1, i] = left - right
            lines[k, 2, i] = (low * left - high * right) / squared
            lines[k, 3, i] = ((low * low / squared - 1.0) * left - (high * high / squared - 1.0) * right) / squared
        sigma *= RATIO


@part
def mixed(amplitudes, across, order_x, x, along, order_y, y):  # type: ignore[no-untyped-def]
    """Derivative of the sum of all widths at one pixel."""
    total = 0.0
    for k in range(WIDTHS):
        total += amplitudes[k] * across[k, order_x, x] * along[k, order_y, y]
    return total


@part
def fit_profile(  # type: ignore[no-untyped-def]
    values, offsets, weights, n_fit, stamp, across, along, line, terms, weighted, factor, vectors, scratch, keys
):
    """Fit amplitudes and centre to ``values``; ``vectors[0]`` takes the amplitudes, ``across`` and ``along`` the profiles.

    ``offsets`` (2, n) are the pixels' columns and rows in the stamp, whose middle is the star; ``terms`` is scratch.
    """
    amplitudes, step = vectors[0], vectors[1]
    size = 2 * stamp + 1
    x, y = float(stamp), float(stamp)
    trust, rest, sizes = scratch[0], scratch[1], scratch[2]
    for i in range(n_fit):
        trust[i] = weights[i]
    for p in range(USED):
        amplitudes[p] = 0.0
    for _ in range(STEPS):
        fill_derivatives(across, size, x, line)
        fill_derivatives(along, size, y, line)
        for i in range(n_fit):
            column, row = offsets[0, i], offsets[1, i]
            for k in range(WIDTHS):
                terms[k, i] = across[k, 0, column] * along[k, 0, row]
            terms[WIDTHS, i] = 1.0
            terms[WIDTHS + 1, i] = mixed(amplitudes, across, 1, column, along, 0, row)
            terms[WIDTHS + 2, i] = mixed(amplitudes, across, 0, column, along, 1, row)
        normal_matrix(terms, USED, trust, n_fit, weighted, factor)
        for p in range(USED):
            step[p] = 0.0
        for i in range(n_fit):
            for p in range(USED):
                step[p] += weighted[i, p] * values[i]
        solve(factor, step, USED)
        for p in range(USED):
            amplitudes[p] = step[p]
        x += min(max(step[WIDTHS + 1], -LONGEST_STEP), LONGEST_STEP)
        y += min(max(step[WIDTHS + 2], -LONGEST_STEP), LONGEST_STEP)
        for i in range(n_fit):  # a hot pixel is no part of the star
            rest[i] = values[i]
            for p in range(USED):
                rest[i] -= step[p] * terms[p, i]
            rest[i] *= np.sqrt(weights[i])
        size_of_rest, _ = median_size(rest, np.int64(0), n_fit, sizes, keys)
        largest = CLIP * MAD_TO_SIGMA * size_of_rest
        for i in range(n_fit):
            trust[i] = weights[i] * (largest / abs(rest[i]) if abs(rest[i]) > largest else 1.0)
    fill_derivatives(across, size, x, line)
    fill_derivatives(along, size, y, line)
