"""An image made ready for profile photometry: which pixels are good, what their noise is, and where nothing is a star."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation, median_filter

from tsogrid.errors import ConfigError
from tsogrid.kernels.matched_filter import mark_sharp
from tsogrid.survey.sky_surface import Sky

_PLATEAU = 3  # pixels of the very same highest value, two of them side by side, from which it is that of saturation
_STANDS_OUT = 5.0  # standard deviations of a cosmic ray above what its neighbours allow
_NARROW = 0.6  # of the neighbours' light in a star: with less, it is none


@dataclass(frozen=True)
class PsfSettings:
    """How the stars of an image are found and fitted.

    Parameters
    ----------
    thresh : float
        Standard deviations that a star's peak in the matched filter stands above the noise.
    fittype : {"circ", "ellip"}
        Round profile, or one with two widths and an angle.
    mode : {"all", "new"}
        Whether later iterations fit all stars again, or only the new ones with what they overlap, the others being held.
    border : int
        Pixels at each edge that are masked.
    bad_columns : tuple of int
        Columns that are masked, from 0; those beyond the image do not count.
    saturation : float, optional
        Value from which pixels are saturated; by default the highest value of the image where several pixels share it.
    gain : float
        Electrons per unit of the image, for the noise of the light where no error image is given.
    fwhm : float
        Width of the stars in pixels, where the image does not tell.
    iterations : int
        How often stars are looked for, at most: first in the image, then in what is left of it.
    link : float
        Stars nearer than so many FWHM belong to one group.
    aperture_radius : float
        Of the aperture flux, pixels.
    """

    thresh: float = 8.0
    fittype: Literal["circ", "ellip"] = "circ"
    mode: Literal["all", "new"] = "all"
    border: int = 5
    bad_columns: tuple[int, ...] = (255, 256, 783, 784, 1002)
    saturation: float | None = None
    gain: float = 1.0
    fwhm: float = 7.0
    iterations: int = 6
    link: float = 2.0
    aperture_radius: float = 8.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, choices in (("fittype", ("circ", "ellip")), ("mode", ("all", "new"))):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(choices)}.")
        for name in ("thresh", "gain", "fwhm", "iterations", "link", "aperture_radius"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected a number above 0.")


@dataclass
class Frame:
    """An image with what is known of its pixels.

    Parameters
    ----------
    image : (ny, nx) array of float64
        Values; 0 where there is none.
    good : (ny, nx) array of bool
        Pixels that may be fitted.
    saturated, sharp : (ny, nx) array of bool
        Saturated pixels, and those of cosmic rays; both are not good.
    floor : (ny, nx) array or None
        Variance without stars, from an error image.
    slope : float
        Variance per unit of the stars' light.
    """

    image: NDArray[np.float64]
    good: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    sharp: NDArray[np.bool_]
    floor: NDArray[np.float64] | None
    slope: float

    def variance(self, sky: Sky) -> NDArray[np.float64]:
        """Variance of each pixel without stars."""
        return sky.variance if self.floor is None else self.floor

    def mark_cosmic_rays(self, rest: NDArray[np.float64], sky: Sky, model: NDArray[np.float64], fwhm: float) -> None:
        """Mark pixels that stand out of `rest` (ny, nx; NaN where bad) more sharply than stars of this width."""
        width = (0.5 * fwhm) ** 2
        straight, oblique = (_NARROW * (1.0 + 0.26 * step / width) ** -3.0 for step in (1.0, 2.0))
        for _ in range(3):
            new = mark_sharp(rest, self.variance(sky), self.slope, model, straight, oblique, _STANDS_OUT, self.sharp)
            if not new:
                break
        self.good &= ~self.sharp


def make_ready(data: ArrayLike, error: ArrayLike | None, mask: ArrayLike | None, settings: PsfSettings) -> Frame:
    """Find the good pixels of an image.

    Parameters
    ----------
    data, error, mask : (ny, nx) array_like, or None
        As in `tsogrid.survey.psf_photometry.photometry`.
    settings : PsfSettings
        Border, columns, saturation, gain.

    Returns
    -------
    Frame

    Raises
    ------
    ConfigError
        If the image is not two-dimensional, or the others have another shape.
    """
    values = np.array(data, np.float64, order="C")
    if values.ndim != 2:
        raise ConfigError(f"data: expected an image (ny, nx), found shape {values.shape}.")
    good = np.isfinite(values)
    values[~good] = 0.0
    for name, other in (("error", error), ("mask", mask)):
        if other is not None and np.shape(other) != values.shape:
            raise ConfigError(f"{name}: expected the shape of the data, {values.shape}, found {np.shape(other)}.")
    if mask is not None:
        good &= ~np.asarray(mask, bool)
    ny, nx = values.shape
    edge = min(settings.border, (ny + 1) // 2), min(settings.border, (nx + 1) // 2)
    inner = np.zeros(good.shape, bool)
    inner[edge[0] : ny - edge[0], edge[1] : nx - edge[1]] = True
    good &= inner
    good[:, [column for column in settings.bad_columns if 0 <= column < nx]] = False
    level = settings.saturation if settings.saturation is not None else _plateau(values, good)
    full = good & (values >= level)
    saturated = binary_dilation(full) & good if full.any() else full
    floor, slope = None, 1.0 / settings.gain
    if error is not None:
        sigma = np.asarray(error, np.float64)
        good &= np.isfinite(sigma) & (sigma > 0)
        floor, slope = _noise_model(values, sigma, good & ~saturated)
    return Frame(values, good & ~saturated, saturated, np.zeros(good.shape, bool), floor, slope)


def _plateau(values: NDArray[np.float64], good: NDArray[np.bool_]) -> float:
    """Highest value, where several pixels beside each other share it; else infinity."""
    if not good.any():
        return np.inf
    highest = values[good].max()
    there = good & (values == highest)
    beside = (there[1:] & there[:-1]).any() or (there[:, 1:] & there[:, :-1]).any()
    return float(highest) if there.sum() >= _PLATEAU and beside else np.inf


def _noise_model(
    values: NDArray[np.float64], sigma: NDArray[np.float64], good: NDArray[np.bool_]
) -> tuple[NDArray[np.float64] | None, float]:
    """Variance without stars, and its slope with their light, from an error image.

    Errors that were made from the noisy pixels themselves would give the fainter ones of two more weight, and so too little
    flux. So only what varies slowly, and how the variance follows the light, is taken from them.
    """
    if not good.any():
        return None, 1.0
    variance = np.where(good, sigma, 0.0) ** 2
    middle = float(np.median(values[good]))
    light = np.where(good, values - middle, 0.0)
    spread = 1.4826 * float(np.median(np.abs(light[good])))
    bright = good & (light > 10.0 * spread)
    slope = 0.0
    if bright.sum() > 10:
        slope = float(np.median((variance[bright] - np.median(variance[good])) / light[bright]))
        slope = max(slope, 0.0)
    # Where light is faint the variance is that of the sky; its medians leave out what the single pixels' noise does.
    base = np.where(good & ~bright, variance - slope * np.maximum(light, 0.0), np.median(variance[good & ~bright]))
    coarse = median_filter(base[::4, ::4], 5, mode="nearest")
    return np.kron(coarse, np.ones((4, 4)))[: values.shape[0], : values.shape[1]], slope
