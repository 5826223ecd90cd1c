"""How far a pixel's rest may lie from its running median by chance: the noise, known or measured, and what else there is.

The scatter of one pixel over a window is a poor measure: eleven values know it to a third. Noise is pooled over pixels, and
a pixel's own scatter counts only as far as chance does not explain it.
"""

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.least_squares import median_size
from tsogrid.kernels.statistics import MAD_TO_SIGMA
from tsogrid.kernels.time_columns import finite_or_last, median_columns, neighbour_median

FEWEST = 3  # frames that make a running median
POOL = 3  # pixels between the nine neighbourhoods whose scatter is pooled once more
CHANCE = 2.0  # a scatter that is larger than expected by less than this may be chance
MISFIT = 1.5  # likewise for the rest of a whole core in one frame
WORST = 3.0  # the worst of such a core's rests over their usual size
FLOOR = 0.0001  # of the flux in and about a pixel (their geometric mean): no rest smaller than that counts
UNSURE, BENT = 0.006, 0.04  # of that flux for a pixel of shift, and for its square: how well its derivatives are known
ROUNDING = 1e-6  # of the value: how far pixels are exact


@part
def scatter_in_time(rest, n, width, columns, middle, scatter):  # type: ignore[no-untyped-def]
    """Running median of the rests of every pixel and 1.4826 MAD about it; NaN with fewer than three good frames."""
    for k in range(n):
        finite_or_last(rest[k], width, columns[k])
    median_columns(columns, n, width, middle)
    for j in range(width):
        scatter[j] = 0.0
    for k in range(n):
        line = columns[k]
        for j in range(width):
            size = abs(rest[k, j] - middle[j])
            good = size < np.inf
            line[j] = size if good else np.inf
            scatter[j] += 1.0 if good else 0.0
    for j in range(width):  # the counts, until the medians take their place
        if scatter[j] < FEWEST:
            middle[j] = np.nan
        scatter[j] = MAD_TO_SIGMA * scatter[j] / max(scatter[j] - 0.8, 0.2)
    sort_and_scale(columns, n, width, scatter)


@part
def sort_and_scale(columns, n, width, scatter):  # type: ignore[no-untyped-def]
    """Multiply every pixel's factor by the median of its column."""
    sizes = columns[n]
    median_columns(columns, n, width, sizes)
    for j in range(width):
        scatter[j] *= sizes[j]


@part
def raise_noise(sigma, error, ny, nx, near, ratio, level):  # type: ignore[no-untyped-def]
    """Raise the usual errors of the window where the neighbourhood in this frame has larger ones (more sky, a flare).

    A pixel's own error in the frame does not serve: where it comes from the pixel's value, a hit has raised it.
    """
    for j in range(ny * nx):
        ratio[j] = np.float64(error[j]) / sigma[j]
    neighbour_median(ratio, ny, nx, np.int64(2), near, level)
    for j in range(ny * nx):
        sigma[j] *= level[j] if level[j] > 1.0 and level[j] < np.inf else 1.0


@part
def excess(scatter, sigma):  # type: ignore[no-untyped-def]
    """Variance of a pixel that scatters more than its noise explains, beyond what may be chance."""
    beyond = scatter * scatter - (CHANCE * sigma) ** 2
    return beyond if beyond > 0.0 else 0.0


@part
def judge_sky(  # type: ignore[no-untyped-def]
    template, sigma, known, rest, now, middle, scatter, pooled, wide, ny, nx, threshold, near, values, expected, outlier
):
    """Judge every pixel of a frame by its level against its neighbours."""
    neighbour_median(scatter, ny, nx, np.int64(1), near, pooled)
    neighbour_median(pooled, ny, nx, np.int64(POOL), near, wide)
    for j in range(ny * nx):
        noise = max(pooled[j], wide[j])
        if known and sigma[j] > noise:
            noise = sigma[j]
        variance = noise * noise + excess(scatter[j], noise) + (ROUNDING * template[j]) ** 2
        away = rest[now, j] - middle[j]
        outlier[j] = away * away > threshold * threshold * variance
        expected[j] = values[j] - away


@part
def judge_star(  # type: ignore[no-untyped-def]
    sigma,
    known,
    pixels,
    flux,
    terms,
    n_core,
    n_fit,
    count,
    shift,
    rest,
    now,
    middle,
    scatter,
    threshold,
    values,
    scratch,
    keys,
    expected,
    outlier,
):
    """Judge the pixels of a star by what its model leaves; ``shift`` in pixels."""
    noise, ratio = scratch[0], scratch[1]
    floor = FLOOR + UNSURE * shift + BENT * shift * shift
    if known:
        for i in range(count):
            s = sigma[pixels[i]]
            noise[i] = s if s > 0.0 else scatter[i]
            ratio[i] = scatter[i] / noise[i]
        larger, _ = median_size(ratio, np.int64(0), count, scratch[2], keys)
        larger = larger if larger > 1.0 else 1.0
        for i in range(count):
            noise[i] *= larger
    else:
        sky, good = median_size(scatter, n_core, n_fit, scratch[2], keys)
        if good == 0:
            sky = 0.0
        for i in range(n_core):
            slope = (scatter[i] * scatter[i] - sky * sky) / terms[0, i]
            ratio[i] = (slope if slope > 0.0 else 0.0) if terms[0, i] > 0.0 else np.nan
        slope, good = median_size(ratio, np.int64(0), n_core, scratch[2], keys)
        if good == 0:
            slope = 0.0
        for i in range(count):
            noise[i] = np.sqrt(sky * sky + slope * max(terms[0, i], 0.0))
    for i in range(count):
        noise[i] = np.sqrt(
            noise[i] * noise[i] + floor * floor * flux[i] * abs(terms[0, i]) + (ROUNDING * values[pixels[i]]) ** 2
        )
    # A frame whose core does not follow the model (a large shift, another width) is judged by how far it does not.
    for i in range(n_core):
        ratio[i] = (rest[now, i] - middle[i]) / flux[i]
    missed, _ = median_size(ratio, np.int64(0), n_core, scratch[2], keys)
    for i in range(n_core):
        ratio[i] = noise[i] / flux[i]
    usual, _ = median_size(ratio, np.int64(0), n_core, scratch[2], keys)
    misfit = WORST**2 * ((MAD_TO_SIGMA * missed) ** 2 - (MISFIT * usual) ** 2)
    misfit = misfit if misfit > 0.0 else 0.0
    for i in range(count):
        variance = noise[i] * noise[i] + excess(scatter[i], noise[i]) + misfit * flux[i] ** 2
        away = rest[now, i] - middle[i]
        outlier[pixels[i]] = away * away > threshold * threshold * variance
        expected[pixels[i]] = values[pixels[i]] - away
