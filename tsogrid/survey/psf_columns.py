"""The columns of the catalogue, from the fitted stars: apertures, quality of the fit, flags, groups."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsogrid.flags import PsfFlag
from tsogrid.kernels.aperture import circle_sums
from tsogrid.survey.groups import group_numbers
from tsogrid.survey.psf_frame import Frame, PsfSettings
from tsogrid.survey.psf_stars import Psf
from tsogrid.survey.sky_surface import Sky
from tsogrid.survey.source_table import COLUMNS


def source_rows(
    frame: Frame,
    sky: Sky,
    model: NDArray[np.float64],
    psf: Psf,
    settings: PsfSettings,
    radius: float,
    fitted: dict[str, Any],
) -> pd.DataFrame:
    """Make the rows of the catalogue.

    Parameters
    ----------
    frame, sky, model, psf, settings
        The image, its sky, the sum of its stars, their profile, and what was asked for.
    radius : float
        Of the fitted pixels about a star, in pixels.
    fitted : dict of (n,) array
        ``x``, ``y``, ``flux`` with ``x_err``, ``y_err``, ``flux_err``; ``group_flux_err``, ``turn``, ``signal``,
        ``converged``, ``divided``.

    Returns
    -------
    DataFrame
        `source_table.COLUMNS`, group after group, the group with the brightest source first.
    """
    x, y, flux = fitted["x"], fitted["y"], fitted["flux"]
    label = group_numbers(x, y, settings.link * psf.fwhm)
    brightest = np.full(label.max() + 1, -np.inf)
    np.maximum.at(brightest, label, flux)
    rank = np.empty(brightest.size, np.int64)
    rank[np.argsort(-brightest, kind="stable")] = np.arange(1, brightest.size + 1)
    order = np.lexsort((-flux, rank[label]))
    level = _at(sky.level, x, y)
    aperture, aperture_error = _apertures(frame, sky, model, settings, x, y)
    number, quality, central, flags = _quality(frame, sky, model, radius, x, y, flux)
    flags |= np.where(fitted["converged"], 0, PsfFlag.NOT_CONVERGED)
    flags |= np.where(np.isfinite(fitted["flux_err"]), 0, PsfFlag.NO_COVARIANCE)
    flags |= np.where(flux > 0, 0, PsfFlag.NOT_POSITIVE)
    flags |= np.where(fitted["divided"], PsfFlag.GROUP_DIVIDED, 0)
    flags |= int(PsfFlag.ASSUMED_PSF) if psf.assumed else int(PsfFlag.CROWDED_PSF) if psf.crowded else 0
    found = np.empty(x.size, np.int64)
    found[np.lexsort((-fitted["signal"], fitted["turn"]))] = np.arange(1, x.size + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = flux / aperture
    columns = {
        "group_id": rank[label], "group_size": np.bincount(label)[label], "flags": flags, "x_fit": x, "y_fit": y,
        "flux_psf": flux, "flux_aper": aperture, "ratio_flux": ratio, "local_bkg": level, "x_err": fitted["x_err"],
        "y_err": fitted["y_err"], "flux_err": fitted["flux_err"], "id": found, "iter_detected": fitted["turn"],
        "npixfit": number, "qfit": quality, "cfit": central, "flux_aper_err": aperture_error,
        "group_flux_err": fitted["group_flux_err"],
    }  # fmt: skip
    return pd.DataFrame({name: columns[name][order] for name in COLUMNS})


def _at(image: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of the nearest pixels."""
    ny, nx = image.shape
    return image[np.clip(np.rint(y).astype(int), 0, ny - 1), np.clip(np.rint(x).astype(int), 0, nx - 1)]


def _apertures(
    frame: Frame, sky: Sky, model: NDArray[np.float64], settings: PsfSettings, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux in the aperture above the sky, and its error; bad pixels have the light of the model, saturated ones count."""
    left = frame.image - sky.level
    seen = frame.good | frame.saturated
    left = np.where(seen, left, model)
    error = np.sqrt(frame.variance(sky) + frame.slope * np.maximum(model, 0.0))
    sums = circle_sums(left[None], error[None], x[None], y[None], [settings.aperture_radius])
    flux, variance, area = (one[0, :, 0] for one in (sums.sum, sums.variance, sums.area))
    return np.where(area > 0, flux, np.nan), np.sqrt(variance + (area * sky.error_at(x, y)) ** 2)


def _quality(
    frame: Frame, sky: Sky, model: NDArray[np.float64], radius: float, x: NDArray[np.float64], y: NDArray[np.float64],
    flux: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:  # fmt: skip
    """Good pixels, quality of the fit, central residual and flags of each star."""
    ny, nx = model.shape
    left = frame.image - sky.level - model
    number, flags = np.zeros(x.size, np.int64), np.zeros(x.size, np.int64)
    quality, central = np.full(x.size, np.nan), np.full(x.size, np.nan)
    for k in range(x.size):
        low_y, high_y = max(0, math.ceil(y[k] - radius)), min(ny - 1, math.floor(y[k] + radius))
        low_x, high_x = max(0, math.ceil(x[k] - radius)), min(nx - 1, math.floor(x[k] + radius))
        here = np.s_[low_y : high_y + 1, low_x : high_x + 1]
        v, u = np.arange(low_y, high_y + 1)[:, None] - y[k], np.arange(low_x, high_x + 1)[None] - x[k]
        disc = u * u + v * v <= radius * radius
        good = disc & frame.good[here]
        number[k] = good.sum()
        if number[k]:
            quality[k] = np.abs(left[here][good]).sum() / flux[k]
        missing = number[k] < disc.sum() or low_y > y[k] - radius + 1 or low_x > x[k] - radius + 1
        missing = missing or high_y < y[k] + radius - 1 or high_x < x[k] + radius - 1
        flags[k] |= int(PsfFlag.PIXELS_MISSING) if missing else 0
        flags[k] |= int(PsfFlag.SATURATED) if (disc & frame.saturated[here]).any() else 0
        flags[k] |= int(PsfFlag.COSMIC_RAY) if (disc & frame.sharp[here]).any() else 0
        row, column = round(y[k]), round(x[k])
        if 0 <= row < ny and 0 <= column < nx:
            if frame.good[row, column]:
                central[k] = left[row, column] / flux[k]
        else:
            flags[k] |= int(PsfFlag.OFF_FRAME)
    return number, quality, central, flags
