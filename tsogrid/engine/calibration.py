"""Frames made fit: the detector's signature off, units, errors, and bad pixels, by every way in which one can be known.

What the file says comes first (numbers that are none, quality words), then what the user says (a mask), then what the frame
shows (cosmic rays), and last what the pixel's own time series says. For that last step a block brings some frames of both
sides with it; they end here.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsogrid.engine.correction import Corrected, LineNoise, corrected, photon_variance
from tsogrid.engine.cosmic_rays import without_cosmic_rays
from tsogrid.engine.recipe import Recipe
from tsogrid.kernels.time_filter import time_outliers

if TYPE_CHECKING:
    from tsogrid.engine.pipeline import Pixels


class Ready(NamedTuple):
    """The pixels of a block as they are measured.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        In the result's unit, bad pixels NaN.
    error : ndarray, shape (n, ny, nx), or None
        1 sigma; None if unknown.
    center_data : ndarray, shape (n, ny, nx)
        The data, with more bad pixels where centring asks for it.
    outliers : ndarray of bool, shape (n, ny, nx), or None
        Pixels that stood out of their own time series; None where nobody looked.
    saturated : ndarray of bool, shape (n, ny, nx), or None
        Pixels that were full when they were read out; None where the data themselves tell.
    shared : LineNoise or None
        Noise that pixels of a line share, in the square of the result's unit.
    """

    data: np.ndarray
    error: np.ndarray | None
    center_data: np.ndarray
    outliers: np.ndarray | None
    saturated: np.ndarray | None = None
    shared: LineNoise | None = None


def make_ready(pixels: "Pixels", recipe: Recipe, planned: np.ndarray) -> Ready:
    """Scale the pixels, know their errors, and turn bad ones into NaN or into what was expected of them.

    Parameters
    ----------
    pixels : Pixels
        As read.
    recipe : Recipe
        Units, gain, quality bits, mask, the rule for what is not finite, the filter along time.
    planned : ndarray, shape (n, n_sources, 2)
        Planned positions (x, y) in the frame, for the filter.

    Returns
    -------
    Ready
        Of the frames that are measured.
    """
    bad = _known_bad(pixels, recipe)
    raw = pixels.data if isinstance(recipe.nan, str) else _filled(pixels.data, recipe.nan, bad)
    found = _corrected(raw, pixels, recipe)
    data, error = _scaled(found.data, found.error, pixels, recipe)
    data = _without(data, bad)
    if recipe.cosmic_rays is not None:
        data = without_cosmic_rays(data, error, recipe.cosmic_rays)
    outliers = None
    if recipe.outliers is not None:
        data, error, outliers = _filtered(data, error, pixels, recipe, planned)
    kept = slice(None) if pixels.kept is None else slice(*pixels.kept)
    saturated = None
    if pixels.correction is not None and recipe.saturation is not None:
        saturated = raw[kept] > recipe.saturation.level
    shared = found.shared
    if shared is not None:
        shared = shared._replace(variance=shared.variance[kept] * float(np.nanmedian(_scale(pixels, recipe))) ** 2)
    dq = None if pixels.dq is None else pixels.dq[kept]
    more = recipe.center_dq_mask & ~recipe.dq_mask
    center_data = data if dq is None or not more else _without(data, (dq & np.uint32(more)) != 0)
    return Ready(data, error, center_data, outliers, saturated, shared)


def _known_bad(pixels: "Pixels", recipe: Recipe) -> np.ndarray | None:
    """Where the quality words or the mask say that a pixel is bad; None if neither can."""
    bad = None
    if pixels.dq is not None and recipe.dq_mask:
        bad = (pixels.dq & np.uint32(recipe.dq_mask)) != 0
    if recipe.bad_pixels is not None:
        y0, x0 = pixels.origin
        ny, nx = pixels.data.shape[1:]
        masked = np.broadcast_to(recipe.bad_pixels[y0 : y0 + ny, x0 : x0 + nx], pixels.data.shape)
        bad = masked if bad is None else bad | masked
    return bad


def _filled(data: np.ndarray, value: float, bad: np.ndarray | None) -> np.ndarray:
    """Put a number in place of what is not finite, bad pixels excepted (they become NaN later, whatever they hold)."""
    lost = ~np.isfinite(data)
    if bad is not None:
        lost &= ~bad
    return np.where(lost, np.asarray(value, data.dtype), data) if lost.any() else data


def _scale(pixels: "Pixels", recipe: Recipe) -> np.ndarray | float:
    """Factor from the unit of the files to the result's."""
    if recipe.gain_image is None:
        return recipe.scale
    y0, x0 = pixels.origin
    ny, nx = pixels.data.shape[1:]
    return np.asarray(recipe.scale * recipe.gain_image[y0 : y0 + ny, x0 : x0 + nx])


def _corrected(raw: np.ndarray, pixels: "Pixels", recipe: Recipe) -> Corrected:
    """Take off what the detector put on, if the user gave its calibration."""
    if pixels.correction is None:
        return Corrected(raw, pixels.error, None)
    electrons = recipe.electrons_per_unit * _scale(pixels, recipe)
    return corrected(raw, pixels.error, pixels.correction, electrons, recipe.read_noise)


def _scaled(
    data: np.ndarray, error: np.ndarray | None, pixels: "Pixels", recipe: Recipe
) -> tuple[np.ndarray, np.ndarray | None]:
    """Data and errors in the result's unit; errors from the gain if there are none yet."""
    # Writable: a read-only array is another type to numba, and every kernel would be compiled once more.
    data = np.require(data, requirements=["C", "W"])
    scale = _scale(pixels, recipe)
    if isinstance(scale, np.ndarray):
        scale = scale.astype(data.dtype)
    if isinstance(scale, np.ndarray) or scale != 1.0:
        data = data * scale
        error = None if error is None else error * scale
    if error is not None:
        error = np.require(error, data.dtype, ["C", "W"])
    elif np.isfinite(recipe.electrons_per_unit):
        electrons = recipe.electrons_per_unit
        error = data * electrons  # and on in place: making arrays would take longer than the numbers
        np.sqrt(photon_variance(error, float(recipe.read_noise), out=error), out=error)
        error /= electrons
    return data, error


def _without(data: np.ndarray, bad: np.ndarray | None) -> np.ndarray:
    if bad is None or not bad.any():
        return data
    return np.where(bad, np.asarray(np.nan, data.dtype), data)


def _filtered(
    data: np.ndarray, error: np.ndarray | None, pixels: "Pixels", recipe: Recipe, planned: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Look for outliers in time, repair them, and leave the frames that are measured; errors stay as they are."""
    settings = recipe.outliers
    assert settings is not None
    first, last = pixels.kept or (0, data.shape[0])
    row, column = pixels.origin
    x, y = planned[:, :, 0] - column, planned[:, :, 1] - row
    expected, outlier = time_outliers(
        data, error, x, y, first, last, settings.window, settings.threshold, recipe.stamp, recipe.search
    )
    mended = expected if settings.repair == "median" else np.asarray(np.nan, data.dtype)
    kept = slice(first, last)
    return np.where(outlier, mended, data[kept]), None if error is None else error[kept], outlier
