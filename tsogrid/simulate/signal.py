"""What a simulated camera sees: stars, a transit, pointing drift, and the 1/f noise of the read-out.

Each function makes one ingredient, as a plain array, from formulas of its own: nothing is shared with the code that
measures, so a mistake there cannot cancel against the same mistake here. Pixel coordinates are 0-based (x, y), the
centre of the first pixel is (0, 0), images are indexed [y, x].
"""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len
from scipy.special import erf

Floats = NDArray[np.float64]

FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
ROW_OVERHEAD = 12  # clock ticks (of 10 µs, one pixel each) between the end of a row and the start of the next
CORE_BETA, WING_BETA, WING_SCALE = 4, 2, 3.0  # the star: a Moffat core, and wings with α = WING_SCALE × FWHM
CORE_REACH, WING_REACH = 8, 64  # pixels from the star: 6 × 6 nodes a pixel up to the first, 2 × 2 to the second


def transit_shape(time: ArrayLike, mid_time: float, duration: float, *, ratio: float = 0.1, impact: float = 0.3) -> Floats:
    """Covered part of a small opaque planet: 0 out of transit, 1 when it is wholly in front of the star.

    The relative flux of a uniformly bright star is ``1 - depth * transit_shape(...)``, so that the depth of a light
    curve is a linear parameter once the shape is known.

    Parameters
    ----------
    time : array_like
        Times, any shape; the same unit and scale as `mid_time` and `duration`.
    mid_time : float
        Time of the middle of the transit.
    duration : float
        From first to last contact.
    ratio : float
        Radius of the planet over that of the star; it sets how long ingress takes.
    impact : float
        Impact parameter in stellar radii, below ``1 - ratio``.

    Returns
    -------
    ndarray
        Overlap of the two discs over the planet's area, 0…1, of the shape of `time`; as Mandel & Agol (2002,
        ApJ 580, L171), equation 1, divided by `ratio` squared.
    """
    half_chord = np.sqrt((1 + ratio) ** 2 - impact**2)
    along = (np.asarray(time, dtype=np.float64) - mid_time) / (0.5 * duration) * half_chord
    distance = np.hypot(along, impact)
    # Beyond the contacts the two arcs are undefined; at the clipped distances they give exactly none or all.
    z = np.clip(distance, 1 - ratio, 1 + ratio)
    planet_angle = np.arccos(np.clip((ratio**2 + z**2 - 1) / (2 * ratio * z), -1, 1))
    star_angle = np.arccos(np.clip((1 + z**2 - ratio**2) / (2 * z), -1, 1))
    kite = np.sqrt(np.maximum(4 * z**2 - (1 + z**2 - ratio**2) ** 2, 0)) / 2
    overlap = (ratio**2 * planet_angle + star_angle - kite) / (np.pi * ratio**2)
    overlap = np.where(distance >= 1 + ratio, 0.0, np.where(distance <= 1 - ratio, 1.0, overlap))
    return np.clip(np.asarray(overlap, dtype=np.float64), 0.0, 1.0)  # rounding


def drift_path(frames: int, drift: float, jitter: float, rng: np.random.Generator) -> Floats:
    """Displacement of the field in every frame.

    Parameters
    ----------
    frames : int
        Number of frames.
    drift : float
        Slow displacement in x between the first and the last frame, pixels; in y it is −0.6 of that.
    jitter : float
        Standard deviation, in each direction, of a displacement that is new in every frame, pixels.
    rng : numpy.random.Generator
        Source of the jitter.

    Returns
    -------
    ndarray
        (frames, 2): displacement in x and y, with zero in the middle of the series for the slow part.
    """
    phase = np.linspace(-0.5, 0.5, frames) if frames > 1 else np.zeros(1)
    slow = drift * (phase + 0.15 * np.sin(4 * np.pi * phase))
    return np.stack([slow, -0.6 * slow], axis=1) + jitter * rng.standard_normal((frames, 2))


def gaussian_profile(length: int, centre: ArrayLike, sigma: ArrayLike) -> Floats:
    """Integral over each pixel of a one-dimensional Gaussian of area 1.

    Parameters
    ----------
    length : int
        Number of pixels.
    centre, sigma : array_like
        Centre and standard deviation, pixels, of a common shape (…).

    Returns
    -------
    ndarray
        (…, length).
    """
    edges = np.arange(length + 1) - 0.5
    scaled = (edges - np.asarray(centre)[..., None]) / (np.sqrt(2) * np.asarray(sigma)[..., None])
    return np.asarray(np.diff(erf(scaled), axis=-1) / 2)


def star_image(
    shape: tuple[int, int], x: float, y: float, fwhm: float, *, wings: float = 0.03, beta: float = CORE_BETA
) -> Floats:
    """Image of a star of flux 1, integrated over the pixels: a Moffat core and wide Moffat wings.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    x, y : float
        Centre, pixels; it may lie outside the image.
    fwhm : float
        Full width at half maximum of the core, pixels.
    wings : float
        Part of the flux that is in the wings.
    beta : float
        Exponent of the core, above 1.

    Returns
    -------
    ndarray
        (rows, columns). The sum over an infinite image is 1 by the analytic norm; the image is cut off 64 pixels from
        the star in x and y. Pixels are integrated by Gauss–Legendre nodes (Moffat 1969, A&A 3, 455, for the profile).
    """
    image = np.zeros(shape)
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    for reach, nodes in ((WING_REACH, 2), (CORE_REACH, 6)):  # the second overwrites the middle of the first
        box, squared = _node_distances(shape, x, y, reach, nodes)
        brightness = (1 - wings) * _moffat(squared, alpha, beta)
        if wings:
            brightness += wings * _moffat(squared, WING_SCALE * fwhm, WING_BETA)
        weights = _nodes(nodes)[1]
        rows = image[box].shape[0]
        across = (brightness.reshape(rows, nodes, -1, nodes) * weights).sum(axis=3)
        image[box] = (across * weights[:, None]).sum(axis=1)
    return image


@cache
def _nodes(count: int) -> tuple[Floats, Floats]:
    """Gauss–Legendre positions and weights over a pixel of width 1."""
    positions, weights = np.polynomial.legendre.leggauss(count)
    return positions / 2, weights / 2


@cache
def _pink_amplitudes(period: int) -> NDArray[np.float32]:
    """Amplitudes of the Fourier coefficients of a series of this period, of variance 1 and power 1/frequency."""
    amplitude = np.sqrt(1 / np.arange(1, (period - 1) // 2 + 1))
    amplitude *= 1 / np.sqrt(np.sum(amplitude**2))  # a wave a·cos + b·sin whose a and b have variance s² has variance s²
    return np.asarray(period / 2 * amplitude, dtype=np.float32)  # what irfft divides by


def _node_distances(
    shape: tuple[int, int], x: float, y: float, reach: int, nodes: int
) -> tuple[tuple[slice, slice], Floats]:
    """The box of pixels within `reach` of a star, and the squared distance of each of its integration nodes."""
    offsets = _nodes(nodes)[0]
    box, along = [], []
    for length, centre in zip(shape, (y, x), strict=True):
        middle = round(centre)
        pixels = slice(min(max(middle - reach, 0), length), min(max(middle + reach + 1, 0), length))
        box.append(pixels)
        along.append(((np.arange(pixels.start, pixels.stop) - centre)[:, None] + offsets).ravel() ** 2)
    return (box[0], box[1]), along[0][:, None] + along[1]


def _moffat(squared_distance: Floats, alpha: float, beta: float) -> Floats:
    norm = (beta - 1) / (np.pi * alpha**2)
    reciprocal = 1 / (1 + squared_distance / alpha**2)
    if beta != int(beta):
        return np.asarray(norm * reciprocal**beta)
    # Whole exponents by multiplication: numpy's power costs ten times as much.
    product = norm * reciprocal
    for _ in range(int(beta) - 1):
        product *= reciprocal
    return product


def amplifier_noise(
    shape: tuple[int, int], amplifiers: int, common_fraction: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """1/f noise of one frame that is read through several amplifiers at once, with a standard deviation of 1.

    Every amplifier reads its columns row by row, one pixel a clock tick, with 12 ticks between rows; odd amplifiers
    (counted from 0) read from right to left. The noise is a series in clock time whose power falls as 1/frequency, of a
    period one and a half times the frame (so that its end does not know its beginning), new in every frame.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns; `amplifiers` divides the columns.
    amplifiers : int
        Number of amplifiers.
    common_fraction : float
        Part of the variance that all amplifiers share at the same clock tick, 0…1.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    ndarray
        float32 (rows, columns).
    """
    rows, columns = shape
    width = columns // amplifiers
    ticks = rows * (width + ROW_OVERHEAD)
    period = next_fast_len(ticks + ticks // 2, real=True)
    amplitudes = _pink_amplitudes(period)
    harmonics = len(amplitudes)
    spectrum = np.zeros((amplifiers + 1, period // 2 + 1), dtype=np.complex64)
    waves = rng.standard_normal((amplifiers + 1, harmonics, 2), dtype=np.float32).view(np.complex64)[..., 0]
    spectrum[:, 1 : harmonics + 1] = waves * amplitudes
    series = irfft(spectrum, n=period, axis=1)[:, :ticks].reshape(amplifiers + 1, rows, width + ROW_OVERHEAD)
    own, common = series[:-1, :, :width], series[-1, :, :width]
    noise = np.float32(np.sqrt(1 - common_fraction)) * own + np.float32(np.sqrt(common_fraction)) * common
    noise[1::2] = noise[1::2, :, ::-1].copy()
    return np.ascontiguousarray(noise.transpose(1, 0, 2)).reshape(rows, columns)
