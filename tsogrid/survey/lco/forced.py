"""Fluxes in circles at given places of one image: what the apertures of the LCO pipeline measure, with the error of the sky.

F = Σ w·I − A·sky, with exact overlap w, A the area of the good pixels in the circle, and the sky the mean of the whole
pixels between radius + 3 and radius + 5. σ² = Σ w²σ² + A²·σ_sky². Light that falls on bad pixels is made up for by the
stars' Gaussian width, and its error is a fifth of it; a star that loses more than a tenth of its light so has no flux.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from tsogrid.flags import ForcedFlag
from tsogrid.kernels.aperture import circle_sums
from tsogrid.kernels.sky import annulus_sky

INNER, OUTER = 3.0, 5.0  # pixels from the circle to the edges of the annulus
LOST = 0.1  # of a star's light: a flux that lacks more is none
DOUBT = 0.2  # of the light that is made up for: stars are no Gaussians
EDGE = 0.5  # pixels that a frame reaches beyond the centres of its outer pixels


class Forced(NamedTuple):
    """Fluxes at places; each array (n,).

    Parameters
    ----------
    flux, flux_err : ndarray
        Above the sky, in the unit of the image; NaN where it could not be measured, or its error is not known.
    sky, sky_err : ndarray
        A pixel's.
    flags : ndarray of int
        `ForcedFlag`.
    """

    flux: np.ndarray
    flux_err: np.ndarray
    sky: np.ndarray
    sky_err: np.ndarray
    flags: np.ndarray


def forced_photometry(
    image: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    radius: float,
    sigma: float = math.nan,
    full: np.ndarray | None = None,
) -> Forced:
    """Measure the fluxes of stars at given places.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        C-contiguous float32 or float64; bad pixels are not finite.
    error : ndarray, shape (ny, nx), or None
        1 sigma of each pixel, of the same type.
    x, y : ndarray, shape (n,)
        0-based pixels.
    radius : float
        Of the circle, pixels.
    sigma : float
        Gaussian width of the stars in pixels, by which the light that falls on bad pixels is judged; unknown: any bad pixel
        in the circle costs the flux.
    full : ndarray of bool, shape (ny, nx), optional
        Saturated pixels.

    Returns
    -------
    Forced
    """
    ny, nx = image.shape
    with np.errstate(invalid="ignore"):
        # Only where the whole circle lies on the frame is its sum a flux.
        on = (x - radius >= -EDGE) & (x + radius <= nx - 1 + EDGE) & (y - radius >= -EDGE) & (y + radius <= ny - 1 + EDGE)
    unknown = np.full((4, len(x)), np.nan)
    off = np.where(on, 0, int(ForcedFlag.OFF_FRAME)).astype(np.int64)
    result = Forced(unknown[0], unknown[1], unknown[2], unknown[3], off)
    which = np.flatnonzero(on)
    if not which.size:
        return result
    data, errors = image[None], None if error is None else np.ascontiguousarray(error)[None]
    here = np.ascontiguousarray(x[which], float)[None], np.ascontiguousarray(y[which], float)[None]
    sums = circle_sums(data, errors, *here, [radius])
    sky = annulus_sky(data, errors, *here, radius + INNER, radius + OUTER, "whole-mean")
    total, variance, area, bad = (each[0, :, 0] for each in sums)
    level, level_err = sky.level[0], sky.level_err[0]
    flags = np.where(np.isfinite(level), 0, int(ForcedFlag.SKY_FAILED))
    flags |= np.where(bad > 0, int(ForcedFlag.BAD_PIXEL), 0)
    flux = total - area * level
    flux_err = np.sqrt(variance + (area * level_err) ** 2) if error is not None else np.full(which.size, np.nan)
    for star in np.flatnonzero(bad > 0):
        lost = _lost_light(image, here[0][0, star], here[1][0, star], radius, sigma)
        if not lost <= LOST:
            flux[star] = flux_err[star] = np.nan
            flags[star] |= int(ForcedFlag.LIGHT_LOST)
            continue
        flux[star] /= 1.0 - lost
        flux_err[star] = math.hypot(flux_err[star] / (1.0 - lost), DOUBT * lost * flux[star])
    flags |= np.where(np.isfinite(flux) & ~np.isfinite(flux_err), int(ForcedFlag.ERROR_UNKNOWN), 0)
    if full is not None and full.any():
        hit = circle_sums(np.ascontiguousarray(full, np.float32)[None], None, *here, [radius]).sum[0, :, 0] > 0
        flags |= np.where(hit, int(ForcedFlag.SATURATED), 0)
    for values, found in zip(result, (flux, flux_err, level, level_err, flags), strict=True):
        values[which] = found
    return result


def _lost_light(image: np.ndarray, x: float, y: float, radius: float, sigma: float) -> float:
    """The part of a round Gaussian star's light in the circle that falls on bad pixels; NaN where its width is not known."""
    ny, nx = image.shape
    rows = np.arange(max(0, math.floor(y - radius)), min(ny, math.ceil(y + radius) + 1))
    columns = np.arange(max(0, math.floor(x - radius)), min(nx, math.ceil(x + radius) + 1))
    square = (columns[None] - x) ** 2 + (rows[:, None] - y) ** 2
    light = np.exp(-0.5 * square / sigma**2) * (square <= (radius + EDGE) ** 2)
    bad = ~np.isfinite(image[np.ix_(rows, columns)])
    return float(light[bad].sum() / light.sum())


def run_aperture_photometry(image: Any, error: Any, positions: Any, radius: float) -> Any:
    """Measure stars at given places, as a table.

    Parameters
    ----------
    image : array_like, shape (ny, nx)
        Bad pixels are not finite.
    error : array_like, shape (ny, nx), or None
        1 sigma of each pixel; None leaves the errors NaN.
    positions : array_like, shape (n, 2)
        x, y in 0-based pixels.
    radius : float
        Of the circle, pixels; the sky is the mean between radius + 3 and radius + 5.

    Returns
    -------
    astropy.table.Table
        ``id`` (from 1), ``xcenter``, ``ycenter``, ``aperture_sum`` (less the sky) and ``aperture_sum_err`` in the unit of
        the image, ``sky``, ``sky_err``, ``flags`` (`ForcedFlag`).
    """
    data = np.ascontiguousarray(image, np.float32 if np.asarray(image).dtype == np.float32 else np.float64)
    errors = None if error is None else np.ascontiguousarray(error, data.dtype)
    places = np.asarray(positions, float).reshape(-1, 2)
    return as_table(places, forced_photometry(data, errors, places[:, 0], places[:, 1], float(radius)))


def as_table(places: np.ndarray, found: Forced) -> Any:
    """Lay fluxes out as the table that the old pipeline keeps.

    Parameters
    ----------
    places : ndarray, shape (n, 2)
        x, y in 0-based pixels.
    found : Forced

    Returns
    -------
    astropy.table.Table
    """
    from astropy.table import Table

    table = Table()
    table["id"] = np.arange(1, len(places) + 1)
    table["xcenter"], table["ycenter"] = places[:, 0], places[:, 1]
    table["aperture_sum"], table["aperture_sum_err"] = found.flux, found.flux_err
    table["sky"], table["sky_err"], table["flags"] = found.sky, found.sky_err, found.flags
    return table
