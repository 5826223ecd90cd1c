"""How a star as a whole differs from its own running median: brighter or fainter, shifted, on another sky.

A frame less the template (the running median of the pixels) is written as a sum of terms with one number a frame each: the
template itself (the flux), the derivatives of the star's profile (the shift, and its square and cube, which the shift fixes;
the width) and a plane (the sky). The numbers are found by Huber's method with pseudo-values: residuals beyond three times
their median size are drawn in, the normal matrix stays. So a hit pixel has little say, and no image is resampled.
"""

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.least_squares import TERMS, median_size, normal_matrix, solve
from tsogrid.kernels.star_profile import fit_profile, mixed
from tsogrid.kernels.statistics import MAD_TO_SIGMA

PASSES = 8  # of reweighting; the last ones leave out what stands far off
REJECTING = 3
SETTLED = 3
FREE = np.int64(7)  # terms with a coefficient of their own: flux, shift, width and the plane of the sky
CLIP = 3.0  # residuals beyond it, in units of their median size, are drawn in
REJECT = 5.0  # and beyond it left out, in the last passes


@part
def star_terms(  # type: ignore[no-untyped-def]
    base, level, weights, n_fit, n_all, offsets, stamp, lines, line, terms, weighted, factor, vectors, scratch, keys
):
    """Fill ``terms`` (TERMS, n_all) and the factor of their normal matrix.

    ``base`` is the template in these pixels, ``offsets`` (2, n_all) are their columns and rows in the stamp.
    """
    across, along = lines[0], lines[1]
    values = scratch[3]
    for i in range(n_fit):
        values[i] = base[i] - level
    fit_profile(values, offsets, weights, n_fit, stamp, across, along, line, terms, weighted, factor, vectors, scratch, keys)
    amplitudes = vectors[0]
    for i in range(n_all):
        column, row = offsets[0, i], offsets[1, i]
        terms[0, i] = base[i] - level
        terms[1, i] = mixed(amplitudes, across, 1, column, along, 0, row)
        terms[2, i] = mixed(amplitudes, across, 0, column, along, 1, row)
        curved_x = mixed(amplitudes, across, 2, column, along, 0, row)
        curved_y = mixed(amplitudes, across, 0, column, along, 2, row)
        terms[3, i] = curved_x + curved_y
        terms[4, i] = 1.0
        terms[5, i] = float(column - stamp)
        terms[6, i] = float(row - stamp)
        terms[7, i] = 0.25 * (curved_x - curved_y)
        terms[8, i] = mixed(amplitudes, across, 1, column, along, 1, row)
        terms[9, i] = mixed(amplitudes, across, 3, column, along, 0, row) / 6.0
        terms[10, i] = 0.5 * mixed(amplitudes, across, 2, column, along, 1, row)
        terms[11, i] = 0.5 * mixed(amplitudes, across, 1, column, along, 2, row)
        terms[12, i] = mixed(amplitudes, across, 0, column, along, 3, row) / 6.0
    normal_matrix(terms, FREE, weights, n_fit, weighted, factor)


@part
def follow(coefficients):  # type: ignore[no-untyped-def]
    """Write the coefficients of the higher terms of a shift that the free ones hold."""
    flux = max(1.0 + coefficients[0], 0.1)
    dx, dy = coefficients[1] / flux, coefficients[2] / flux
    coefficients[7] = flux * (dx * dx - dy * dy)
    coefficients[8] = flux * dx * dy
    coefficients[9] = flux * dx * dx * dx
    coefficients[10] = flux * dx * dx * dy
    coefficients[11] = flux * dx * dy * dy
    coefficients[12] = flux * dy * dy * dy


@part
def star_residual(  # type: ignore[no-untyped-def]
    change, terms, weights, n_core, n_fit, n_all, weighted, factor, residual, scratch, vectors, keys
):
    """Write into ``residual`` what of a frame's change the star as a whole does not explain.

    Of ``n_all`` pixels the first ``n_core`` are the star's core and the first ``n_fit`` take part in the fit.
    ``change`` is NaN where the frame's pixel is bad. All NaN if fewer than half of the pixels are good.
    """
    coefficients, step = vectors[0], vectors[1]
    for p in range(TERMS):
        coefficients[p] = 0.0
    for i in range(n_all):
        residual[i] = change[i]
    sizes, scaled = scratch[0], scratch[1]
    for iteration in range(PASSES):
        for i in range(n_fit):
            scaled[i] = residual[i] * np.sqrt(weights[i])
        core, good_core = median_size(scaled, np.int64(0), n_core, sizes, keys)
        rest, good_rest = median_size(scaled, n_core, n_fit, sizes, keys)
        if 2 * good_core < n_core or 2 * (good_core + good_rest) < n_fit or good_core + good_rest < 3 * TERMS:
            for i in range(n_all):
                residual[i] = np.nan
            return
        rejecting = iteration >= PASSES - REJECTING
        drawn = good_core + good_rest < n_fit
        for p in range(FREE):
            step[p] = 0.0
        for i in range(n_fit):
            size = MAD_TO_SIGMA * (core if i < n_core else rest)
            value = scaled[i]
            if not abs(value) < np.inf or (rejecting and abs(value) > REJECT * size):
                drawn = True
                continue
            factor_in = 1.0
            if abs(value) > CLIP * size and not rejecting:
                drawn = True
                factor_in = CLIP * size / abs(value)
            for p in range(FREE):
                step[p] += weighted[i, p] * (residual[i] * factor_in)
        solve(factor, step, FREE)
        for p in range(FREE):
            coefficients[p] += step[p]
        follow(coefficients)
        for i in range(n_all):
            residual[i] = change[i]
        for p in range(TERMS):
            for i in range(n_all):
                residual[i] -= coefficients[p] * terms[p, i]
        if not drawn and iteration >= SETTLED:  # the least squares of all pixels: another pass would change little
            return
