"""The photometric scale of every image: how much brighter than usual its stars are, and how well that is known.

Each star that is measured well in most images is divided by its median over time; of these ratios the 16th, 50th and 84th
percentile over the stars make ``pscale``. Fluxes are divided by the 50th. ``epscale``, half the way from the 16th to the
84th, is the scatter among the stars; the median of N of them is known better, to 1.2533 epscale / √N (``scale_err``).
"""

import warnings
from typing import NamedTuple

import numpy as np

PERCENTILES = (16.0, 50.0, 84.0)
NOISE = 0.1  # largest error of a star that takes part, in its flux
OFTEN = 75.0  # percentile over stars of how often they are measured well: as often at least
MEDIAN_ERROR = 1.2533141373155003  # √(π/2): of the median of normal values, for one of the mean (Kendall & Stuart, 14.12)


class Scaled(NamedTuple):
    """Scales of T images, and the fluxes of N stars in them.

    Parameters
    ----------
    pscale : ndarray, shape (3, T)
        16th, 50th and 84th percentile; NaN for an image without stars.
    epscale : ndarray, shape (T,)
        (p84 − p16) / 2; NaN for a single image, where nothing tells it.
    scale_err : ndarray, shape (T,)
        1 sigma error of the 50th percentile; NaN likewise, and where one star alone tells it.
    n_scale : ndarray of int, shape (T,)
        Stars that took part.
    flux, err_flux : ndarray, shape (N, T)
        In the scale of the usual image.
    """

    pscale: np.ndarray
    epscale: np.ndarray
    scale_err: np.ndarray
    n_scale: np.ndarray
    flux: np.ndarray
    err_flux: np.ndarray


def steady(raw_flux: np.ndarray, raw_err_flux: np.ndarray) -> np.ndarray:
    """Choose the stars that tell the scale: measured well in as many images as the best quarter is.

    Parameters
    ----------
    raw_flux, raw_err_flux : ndarray, shape (N, T)

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        good = (np.abs(raw_err_flux / raw_flux) < NOISE) & (raw_flux > 0)
    often = good.sum(axis=1)
    if not often.any():
        return np.zeros(len(often), bool)
    # Where the catalogue reaches far beyond the frame, its best quarter is empty: then the stars that are there decide.
    least = np.percentile(often, OFTEN)
    return often >= (least if least > 0 else np.percentile(often[often > 0], OFTEN))


def photometric_scale(raw_flux: np.ndarray, raw_err_flux: np.ndarray) -> Scaled:
    """Find the photometric scale of the images of one filter.

    Parameters
    ----------
    raw_flux, raw_err_flux : ndarray, shape (N, T)
        Fluxes of N stars in T images a second, and their errors; NaN where not measured.

    Returns
    -------
    Scaled

    Notes
    -----
    ``flux = F / p50`` and ``err_flux² = σ² / p50² + F² epscale² / p50⁴``, as the old pipeline has it. A single image has
    scale 1 and keeps the errors of its fluxes.
    """
    n_images = raw_flux.shape[1]
    chosen = steady(raw_flux, raw_err_flux)
    pscale = np.full((3, n_images), np.nan)
    number = np.zeros(n_images, np.int64)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of images in which no star is measured
        usual = np.nanmedian(raw_flux[chosen], axis=1) if chosen.any() else np.zeros(0)
        ratio = raw_flux[chosen] / np.where(usual > 0, usual, np.nan)[:, None]
        if chosen.any():
            pscale = np.nanpercentile(ratio, PERCENTILES, axis=0)
            number = np.isfinite(ratio).sum(axis=0)
        epscale = (pscale[2] - pscale[0]) / 2
        scale_err = np.where(number > 1, MEDIAN_ERROR * epscale / np.sqrt(np.maximum(number, 1)), np.nan)
        measured = np.flatnonzero(np.isfinite(raw_flux).any(axis=0))
        if measured.size == 1:
            pscale[:, measured], epscale[measured], scale_err[measured] = 1.0, np.nan, np.nan
        middle = np.where(pscale[1] > 0, pscale[1], np.nan)
        flux = raw_flux / middle
        spread = np.where(np.isfinite(epscale), epscale, 0.0)
        err_flux = np.sqrt(raw_err_flux**2 / middle**2 + raw_flux**2 * spread**2 / middle**4)
    return Scaled(pscale, epscale, scale_err, number, flux, err_flux)


def scale_by_filter(raw_flux: np.ndarray, raw_err_flux: np.ndarray, filters: np.ndarray) -> Scaled:
    """Find the photometric scale of images of several filters, each filter by itself.

    Parameters
    ----------
    raw_flux, raw_err_flux : ndarray, shape (N, T)
    filters : ndarray of str, shape (T,)

    Returns
    -------
    Scaled
    """
    n_stars, n_images = raw_flux.shape
    nothing, of_stars = np.full((5, n_images), np.nan), np.full((2, n_stars, n_images), np.nan)
    whole = Scaled(nothing[:3], nothing[3], nothing[4], np.zeros(n_images, np.int64), of_stars[0], of_stars[1])
    for name in np.unique(filters):
        which = np.flatnonzero(filters == name)
        for values, part in zip(whole, photometric_scale(raw_flux[:, which], raw_err_flux[:, which]), strict=True):
            values[..., which] = part
    return whole
