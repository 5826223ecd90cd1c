"""Stars found on a frame: where they are, how bright and how wide, and which of them are no stars at all.

The sky is taken off by meshes, so that gradients do not count; what stands out of the noise under a filter as wide as the
stars is a candidate (DAOFIND as photutils has it; Stetson 1987, PASP 99, 191), and a Gaussian fit of each says where it is
and what it is: hot pixels and cosmic rays are too sharp, trails too long. Saturated stars are found as the pixels that
are full and count once each, whatever the filter makes of their flat tops.
"""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.spatial import cKDTree

from tsogrid.kernels import aperture, gaussian
from tsogrid.kernels.statistics import MAD_TO_SIGMA

MESH = 64  # pixels of a side of the sky's meshes
FWHM_OF_SIGMA = 2.3548200450309493
TRIAL_SIGMA, TRIAL_STARS, TRIAL_BOX = 1.5, 80, 31  # the first look, from which the width of the stars is known
TRIAL_THRESHOLD = 20.0
NARROWEST = 1.2  # pixels: a star's FWHM is no smaller
FLAT, FLAT_PIXELS = 0.98, 8  # so many joined pixels above this part of the frame's maximum are full ones
TWICE = 0.5  # FWHM within which two are one
LIT = 0.1  # of a patch of full pixels: as much light is beside it if it is a star
SHARP = 0.55  # of the stars' FWHM: narrower ones are hot pixels and cosmic rays
THIN = 0.6  # of the light that a star has beside its brightest pixel: so much is missing of cosmic rays
TRAIL = 0.4  # of the peak: as much light on both sides, at one and a half and at three FWHM, is a trail
LONG = 2.5  # axis ratio of what is a trail
FLUX_RADIUS = 1.5  # FWHM: of the circle that a star's flux is taken in


class Stars(NamedTuple):
    """The stars of a frame, the brightest first; each array (n,).

    Parameters
    ----------
    x, y : ndarray
        0-based pixels.
    flux, peak : ndarray
        Above the sky, in the unit of the data: in a circle of 1.5 FWHM, and of the brightest pixel.
    snr : ndarray
        The flux over the noise of the sky in its circle.
    fwhm, elongation : ndarray
        Of a fitted Gaussian: geometric mean of the widths, in pixels, and their ratio; NaN where no fit was possible.
    saturated, artefact : ndarray of bool
        Full pixels in it; no star but a hot pixel, a cosmic ray, or a part of a trail.
    width : float
        FWHM of the stars of this frame, in pixels.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    peak: np.ndarray
    snr: np.ndarray
    fwhm: np.ndarray
    elongation: np.ndarray
    saturated: np.ndarray
    artefact: np.ndarray
    width: float

    def chosen(self, which: np.ndarray) -> "Stars":
        """Some of the stars, by their numbers or by true and false."""
        fields: list[Any] = list(self)
        return Stars._make([*(each[which] for each in fields[:-1]), self.width])


def find_stars(
    image: ArrayLike, fwhm: float | None = None, threshold: float = 5.0, saturation: float | None = None
) -> Stars:
    """Find the stars of an image.

    Parameters
    ----------
    image : array_like, shape (ny, nx)
        A frame, or the median of some; bad pixels are not finite.
    fwhm : float, optional
        Of the stars, in pixels; found from the brightest ones if not given.
    threshold : float
        Standard deviations of the noise under the filter.
    saturation : float, optional
        Data units above which pixels are full; if not given, flat tops at the frame's maximum tell.

    Returns
    -------
    Stars
    """
    data = np.array(image, np.float64)
    good = np.isfinite(data)
    if good.sum() < 9:
        return _none()
    full = _full(data, good, saturation)
    flat, noise = _without_sky(data, good)
    width = fwhm if fwhm is not None else _typical_width(flat, noise, full)
    if width is None:
        return _none()
    x, y = _candidates(flat, noise, full, width, threshold)
    centres = _full_stars(full, flat)
    # What the filter makes of a saturated star's rim is no star of its own.
    x, y = _away_from(x, y, centres, width)
    stars = _measured(flat, noise, np.append(x, centres[:, 0]), np.append(y, centres[:, 1]), len(centres), width)
    stars = stars.chosen((stars.snr > threshold) | stars.saturated)
    stars = stars.chosen(np.argsort(-np.where(stars.artefact, -np.inf, stars.flux), kind="stable"))
    if not stars.x.size:
        return stars
    # Several candidates on a flat top end in one place.
    again = cKDTree(np.stack([stars.x, stars.y], axis=-1)).query_pairs(TWICE * width, output_type="ndarray")
    return stars.chosen(np.setdiff1d(np.arange(stars.x.size), again.max(axis=1, initial=-1)))


def _none() -> Stars:
    empty = np.zeros(0)
    return Stars._make([*[empty] * 7, np.zeros(0, bool), np.zeros(0, bool), math.nan])


def _full(data: np.ndarray, good: np.ndarray, saturation: float | None) -> np.ndarray:
    """Which pixels are full."""
    values = np.where(good, data, -np.inf)
    if saturation is not None:
        return np.asarray(values >= saturation)
    top = values > np.median(data[good]) + FLAT * (values.max() - np.median(data[good]))
    labels, _ = ndimage.label(top, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(sizes[labels] >= FLAT_PIXELS)


def _without_sky(data: np.ndarray, good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image less its sky, bad pixels 0, and the noise of the sky in every pixel."""
    from photutils.background import Background2D

    mesh = tuple(min(MESH, side) for side in data.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of images that are all alike, and of meshes without good pixels
        try:
            found = Background2D(np.where(good, data, 0.0), mesh, mask=~good, exclude_percentile=70.0)
            sky, noise = found.background, found.background_rms
        except ValueError:  # no mesh has enough good pixels
            sky = np.full(data.shape, np.median(data[good]))
            noise = np.full(data.shape, MAD_TO_SIGMA * np.median(np.abs(data[good] - sky[good])))
    flat = np.where(good, data - sky, 0.0)
    smallest = max(float(np.median(noise)) * 1e-3, np.finfo(float).tiny)
    return flat, np.maximum(noise, smallest)


def _typical_width(flat: np.ndarray, noise: np.ndarray, full: np.ndarray) -> float | None:
    """FWHM of the brightest stars; None where there are none."""
    smooth = ndimage.gaussian_filter(flat / noise, TRIAL_SIGMA)
    highest = (smooth == ndimage.maximum_filter(smooth, 9)) & (smooth > 1.0) & ~ndimage.binary_dilation(full, iterations=6)
    rows, columns = np.nonzero(highest)
    order = np.argsort(-smooth[rows, columns], kind="stable")[: 4 * TRIAL_STARS]
    if not order.size:
        return None
    fits = _fits(flat, columns[order].astype(float), rows[order].astype(float), TRIAL_BOX)
    width = FWHM_OF_SIGMA * np.sqrt(fits.sigma_x * fits.sigma_y)
    usable = fits.converged & (width > NARROWEST) & (width < TRIAL_BOX) & (fits.sigma_x < 2 * fits.sigma_y)
    usable &= fits.amplitude > TRIAL_THRESHOLD / 4 * noise[rows[order], columns[order]]
    bright = width[usable][:TRIAL_STARS]
    return float(np.median(bright)) if bright.size else None


def _fits(flat: np.ndarray, x: np.ndarray, y: np.ndarray, box: int) -> gaussian.GaussianFit:
    """Rotated Gaussians about places; each value (n,)."""
    data = np.ascontiguousarray(flat, np.float64)[None]
    with np.errstate(all="ignore"):
        found = gaussian.gaussian_fit(data, None, x[None], y[None], box, weights="none", angle=True)
    return gaussian.GaussianFit._make(each[0] for each in found)


def _candidates(
    flat: np.ndarray, noise: np.ndarray, full: np.ndarray, width: float, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Places where something as wide as a star stands out of the noise."""
    from photutils.detection import DAOStarFinder

    scaled = flat / noise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing was found
        finder = DAOStarFinder(threshold=threshold, fwhm=max(width, 1.5), min_separation=max(0.8 * width, 1.5))
        table = finder(scaled, mask=ndimage.binary_dilation(full) if full.any() else None)
    if table is None:
        return np.zeros(0), np.zeros(0)
    # photutils 2 writes xcentroid
    columns = ("x_centroid", "y_centroid") if "x_centroid" in table.colnames else ("xcentroid", "ycentroid")
    return np.asarray(table[columns[0]], float), np.asarray(table[columns[1]], float)


def _full_stars(full: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Centres (x, y) of the patches of full pixels that are stars, and not hot pixels; shape (n, 2)."""
    labels, count = ndimage.label(full, np.ones((3, 3)))
    if not count:
        return np.zeros((0, 2))
    number = np.arange(1, count + 1)
    wide = ndimage.grey_dilation(labels, footprint=ndimage.generate_binary_structure(2, 1))
    # Beside the full pixels of a star there is light, on every side; beside a hot pixel there is none.
    inside = ndimage.mean(flat, labels, number)
    beside = ndimage.median(flat, np.where(full, 0, wide), number)
    which = number[np.asarray(beside) > LIT * np.asarray(inside)]
    if not which.size:
        return np.zeros((0, 2))
    centres = np.array(ndimage.center_of_mass(np.maximum(flat, 0.0), np.where(flat > 0, wide, 0), which))
    return centres[:, ::-1]


def _away_from(x: np.ndarray, y: np.ndarray, centres: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    if not len(centres) or not len(x):
        return x, y
    distance, _ = cKDTree(centres).query(np.stack([x, y], axis=-1))
    far = distance > 2.0 * width
    return x[far], y[far]


def _measured(flat: np.ndarray, noise: np.ndarray, x: np.ndarray, y: np.ndarray, n_full: int, width: float) -> Stars:
    """Measure candidates, of which the last ``n_full`` are saturated."""
    if not x.size:
        return _none()._replace(width=width)
    saturated = np.arange(x.size) >= x.size - n_full
    box = 2 * math.ceil(1.25 * width) + 3
    fits = _fits(flat, x, y, box)
    near = np.hypot(fits.x - x, fits.y - y) < width
    fitted = fits.converged & near & (fits.amplitude > 0)
    x, y = np.where(fitted & ~saturated, fits.x, x), np.where(fitted & ~saturated, fits.y, y)
    fwhm = np.where(fitted, FWHM_OF_SIGMA * np.sqrt(fits.sigma_x * fits.sigma_y), np.nan)
    elongation = np.where(fitted, fits.sigma_x / fits.sigma_y, np.nan)
    ny, nx = flat.shape
    column, row = np.clip(np.rint(x), 0, nx - 1).astype(int), np.clip(np.rint(y), 0, ny - 1).astype(int)
    sums = aperture.circle_sums(flat[None], None, x[None], y[None], [FLUX_RADIUS * width])
    flux, area = sums.sum[0, :, 0], sums.area[0, :, 0]
    peak = ndimage.maximum_filter(flat, 3)[row, column]
    sharp = fits.converged & (FWHM_OF_SIGMA * fits.sigma_y < SHARP * width)
    artefact = ~saturated & (
        sharp | _thin(flat, noise, row, column, width) | _in_trail(flat, x, y, width) | (fitted & (elongation > LONG))
    )
    snr = flux / (noise[row, column] * np.sqrt(np.maximum(area, 1.0)))
    return Stars(x, y, flux, peak, snr, fwhm, elongation, saturated, artefact, width)


def _thin(flat: np.ndarray, noise: np.ndarray, row: np.ndarray, column: np.ndarray, width: float) -> np.ndarray:
    """Whether pixels fall off too soon on both sides, in any of four directions: in hot pixels and tracks of cosmic rays.

    Of a Gaussian the mean of two opposite neighbours is at least exp(−4 ln 2 d²/FWHM²) of the pixel, wherever its centre is.
    """
    ny, nx = flat.shape
    thin = np.zeros(row.shape, bool)
    around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    values = np.stack([flat[np.clip(row + dy, 0, ny - 1), np.clip(column + dx, 0, nx - 1)] for dy, dx in around])
    place = np.argmax(values, axis=0)  # the brightest pixel may be the next one
    row = np.clip(row + place // 3 - 1, 0, ny - 1)
    column = np.clip(column + place % 3 - 1, 0, nx - 1)
    peak = flat[row, column]
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        sides = [flat[np.clip(row + sign * dy, 0, ny - 1), np.clip(column + sign * dx, 0, nx - 1)] for sign in (1, -1)]
        expected = peak * math.exp(-4 * math.log(2) * (dy * dy + dx * dx) / width**2)
        missing = expected - 0.5 * (sides[0] + sides[1])
        thin |= (missing > THIN * expected) & (missing > 3.0 * noise[row, column])
    return thin


def _in_trail(flat: np.ndarray, x: np.ndarray, y: np.ndarray, width: float) -> np.ndarray:
    """Whether light goes on along a line to both sides, farther than a star reaches."""
    peak = ndimage.map_coordinates(flat, [y, x], order=1, mode="nearest")
    found = np.zeros(x.shape, bool)
    for angle in np.deg2rad(np.arange(0.0, 180.0, 15.0)):
        least = np.full(x.shape, np.inf)
        for step in (-3.0, -1.5, 1.5, 3.0):
            place = [y + step * width * math.sin(angle), x + step * width * math.cos(angle)]
            least = np.minimum(least, ndimage.map_coordinates(flat, place, order=1, mode="constant"))
        found |= least > TRAIL * peak
    return found
