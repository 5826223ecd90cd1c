"""A field that wanders: frames that jump, turn over the meridian, cloud over; hot pixels, trails, and known truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsogrid.simulate.signal import FWHM_PER_SIGMA, Floats, gaussian_profile

HOT_SEED = 1  # added to the seed: hot pixels belong to the detector and not to the field


@dataclass(frozen=True)
class WanderingFrames:
    """Frames of a wandering field, n frames and s stars, and what went into them.

    Attributes
    ----------
    data : ndarray
        (n, rows, columns) data numbers of gain 1.
    x, y : ndarray
        (n, s) positions in pixels; they may lie outside the frame. The stars are in order of brightness.
    flux : ndarray
        (s,) whole fluxes without clouds.
    shift : ndarray
        (n, 2) displacement of the middle of the frame, x and y, in pixels.
    rotation, scale, transparency : ndarray
        (n,) radians, counter-clockwise from x to y; pixels for one pixel of the first frame; part of the light that is left.
    good : ndarray of bool
        (n,) frames that are not cloudy.
    """

    data: NDArray[np.float32]
    x: Floats
    y: Floats
    flux: Floats
    shift: Floats
    rotation: Floats
    scale: Floats
    transparency: Floats
    good: NDArray[np.bool_]


def simulate_wandering(
    frames: int = 20,
    shape: tuple[int, int] = (512, 512),
    *,
    stars: int = 60,
    brightest: float = 2e5,
    faintest: float = 3e3,
    fwhm: float = 3.5,
    elongation: float = 1.0,
    sky: float = 200.0,
    gradient: float = 0.2,
    jump: float = 0.25,
    rotation: float = 0.5,
    scale: float = 0.002,
    flip: bool = True,
    cloudy: float = 0.0,
    cloud: tuple[float, float] = (0.0, 0.002),
    trails: float = 0.0,
    hot_pixels: int = 0,
    cosmic_rays: int = 0,
    seed: int = 0,
) -> WanderingFrames:
    """Frames of a field that wanders, in memory.

    Parameters
    ----------
    frames : int
        How many; the first is good and defines the positions.
    shape : (int, int)
        Rows and columns.
    stars : int
        Mean number of stars in a frame.
    brightest, faintest : float
        Whole fluxes in data numbers; between them the numbers of stars follow a power law.
    fwhm, elongation : float
        Of the Gaussian stars along y, in pixels, and how much wider they are along x.
    sky, gradient : float
        Data numbers of a pixel; its relative change from left to right.
    jump : float
        Largest displacement along each axis, in parts of the frame's side; each frame has its own.
    rotation, scale : float
        Standard deviations of the angle in degrees, and of the scale about 1.
    flip : bool
        Whether the second half of the frames is turned by 180 degrees.
    cloudy : float
        Part of the frames that are lost to clouds.
    cloud : (float, float)
        Range of the light that clouds let through.
    trails : float
        Part of the frames that a satellite crosses.
    hot_pixels, cosmic_rays : int
        Hot pixels of the detector, the same in all frames and mostly brighter than the stars; cosmic rays of each frame.
    seed : int
        The same seed gives the same frames.

    Returns
    -------
    WanderingFrames
    """
    rng = np.random.default_rng(seed)
    ny, nx = shape
    middle = np.array([(nx - 1) / 2, (ny - 1) / 2])
    reach = 1 + 2 * jump + 0.1  # the sky holds what any frame may see
    number = max(round(stars * reach**2), 1)
    places = (rng.random((number, 2)) - 0.5) * reach * np.array([nx, ny])
    flux = np.sort(1 / (1 / brightest + rng.random(number) * (1 / faintest - 1 / brightest)))[::-1]
    shift = (rng.random((frames, 2)) - 0.5) * 2 * jump * np.array([nx, ny])
    angle = np.radians(rotation) * rng.standard_normal(frames) + np.pi * (flip & (np.arange(frames) >= frames / 2))
    scales = 1 + scale * rng.standard_normal(frames)
    good = np.ones(frames, bool)
    good[1 + rng.permutation(frames - 1)[: round(cloudy * frames)]] = False
    transparency = np.where(good, 1 - 0.3 * rng.random(frames), rng.uniform(*cloud, frames))
    shift[0], angle[0], scales[0], transparency[0] = 0, 0, 1, 1
    cosine, sine = scales * np.cos(angle), scales * np.sin(angle)
    x = middle[0] + shift[:, :1] + cosine[:, None] * places[:, 0] - sine[:, None] * places[:, 1]
    y = middle[1] + shift[:, 1:] + sine[:, None] * places[:, 0] + cosine[:, None] * places[:, 1]
    hot = np.random.default_rng(seed + HOT_SEED)
    hot_at = hot.integers(0, ny, hot_pixels), hot.integers(0, nx, hot_pixels)
    hot_by = hot.uniform(0.05, 2, hot_pixels) * brightest / fwhm**2
    crossed = rng.random(frames) < trails
    data = np.empty((frames, ny, nx), np.float32)
    for frame in range(frames):
        model = sky * (1 + gradient * (np.arange(nx) / nx - 0.5)) * np.ones((ny, 1))
        sigma = fwhm / FWHM_PER_SIGMA
        _add_stars(model, x[frame], y[frame], transparency[frame] * flux, sigma * elongation, sigma)
        if crossed[frame]:
            _add_trail(model, rng, 0.02 * brightest, sigma)
        pixels = rng.poisson(model) + 5.0 * rng.standard_normal(shape)
        np.add.at(pixels, hot_at, hot_by)
        for _ in range(cosmic_rays):
            _add_cosmic_ray(pixels, rng, brightest / fwhm**2)
        data[frame] = np.minimum(pixels, 65535)
    return WanderingFrames(data, x, y, flux, shift, angle, scales, transparency, good)


def _add_stars(model: Floats, x: Floats, y: Floats, flux: Floats, sigma_x: float, sigma_y: float) -> None:
    """Add Gaussian stars, integrated over the pixels, each in a box of 7 standard deviations about it."""
    ny, nx = model.shape
    reach = int(7 * max(sigma_x, sigma_y)) + 2
    for column, row, light in zip(x, y, flux, strict=True):
        j0, j1 = max(int(row) - reach, 0), min(int(row) + reach + 1, ny)
        i0, i1 = max(int(column) - reach, 0), min(int(column) + reach + 1, nx)
        if j0 < j1 and i0 < i1:
            across = gaussian_profile(i1 - i0, column - i0, sigma_x)
            along = gaussian_profile(j1 - j0, row - j0, sigma_y)
            model[j0:j1, i0:i1] += light * along[:, None] * across


def _add_trail(model: Floats, rng: np.random.Generator, brightness: float, sigma: float) -> None:
    """Add a straight trail across the whole frame, as wide as a star."""
    ny, nx = model.shape
    angle = rng.uniform(0, np.pi)
    x, y = rng.uniform(0.2, 0.8) * nx, rng.uniform(0.2, 0.8) * ny
    across = (np.arange(nx) - x) * np.sin(angle) - (np.arange(ny)[:, None] - y) * np.cos(angle)
    model += brightness * np.exp(-0.5 * (across / sigma) ** 2)


def _add_cosmic_ray(pixels: Floats, rng: np.random.Generator, brightness: float) -> None:
    """Add a cosmic ray: a chain of one to eight pixels."""
    ny, nx = pixels.shape
    steps = np.arange(rng.integers(1, 9))
    angle = rng.uniform(0, 2 * np.pi)
    i = np.clip(np.rint(rng.uniform(0, nx) + steps * np.cos(angle)).astype(int), 0, nx - 1)
    j = np.clip(np.rint(rng.uniform(0, ny) + steps * np.sin(angle)).astype(int), 0, ny - 1)
    pixels[j, i] += brightness * rng.uniform(0.2, 2)
