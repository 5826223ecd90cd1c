"""The width of the stars in a frame: one FWHM for all, from the widths that were fitted to each."""

import math

import numpy as np
from numpy.typing import NDArray

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
LEAST_FWHM = 0.1  # pixels: what is narrower is a fit that failed


def seen_fwhm(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """FWHM as the pixels show it, of the width of a profile that was integrated over the pixels.

    Parameters
    ----------
    sigma : array of float
        1 σ widths in pixels.

    Returns
    -------
    array of float
        In pixels: the light in the pixels is wider by the variance of a pixel, 1/12.
    """
    return np.asarray(FWHM_PER_SIGMA * np.sqrt(sigma**2 + 1 / 12))


def median_fwhm(fwhm_x: NDArray[np.float64], fwhm_y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median FWHM of all sources of each frame, over both axes.

    Parameters
    ----------
    fwhm_x, fwhm_y : (n, ns) array of float
        In pixels; a source with a width that is not finite, or below a tenth of a pixel, was not fitted and has no part.

    Returns
    -------
    (n,) array of float
        In pixels; NaN where no source has a width.
    """
    fwhm_x, fwhm_y = abs(fwhm_x), abs(fwhm_y)
    known = np.isfinite(fwhm_x) & np.isfinite(fwhm_y) & (fwhm_x > LEAST_FWHM) & (fwhm_y > LEAST_FWHM)
    both = np.concatenate([fwhm_x, fwhm_y], axis=1)
    widths = np.sort(np.where(np.concatenate([known, known], axis=1), both, np.nan), axis=1)
    number = known.sum(axis=1)  # widths come in pairs, and the middle two are these
    frame = np.flatnonzero(number)
    median = np.full(len(known), np.nan)
    median[frame] = (widths[frame, number[frame] - 1] + widths[frame, number[frame]]) / 2
    return median
