"""Star fields with white noise and known truth: in memory for tests of accuracy, and as a night of single-frame files."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.time import Time, TimeDelta
from numpy.typing import ArrayLike, DTypeLike

from tsogrid.errors import ConfigError
from tsogrid.simulate.signal import FWHM_PER_SIGMA, drift_path, gaussian_profile, star_image, transit_shape
from tsogrid.simulate.truth import NightTruth, StarFrames

DAY = 86400.0
NIGHT_STARS = ((0.42, 0.55, 1.0), (0.72, 0.30, 1.4), (0.25, 0.25, 0.7), (0.68, 0.74, 0.5), (0.20, 0.78, 0.3))


def simulate_stars(
    n_frames: int,
    shape: tuple[int, int],
    x: ArrayLike,
    y: ArrayLike,
    flux: ArrayLike,
    *,
    sigma: float | tuple[float, float] | None = None,
    fwhm: float | None = None,
    psf: str = "gaussian",
    beta: float = 4,
    sky: float = 0.0,
    gain: float = 1.0,
    read_noise: float = 0.0,
    drift: float = 0.0,
    jitter: float = 0.0,
    seed: int = 0,
    dtype: DTypeLike = np.float64,
) -> StarFrames:
    """Frames of stars with Poisson and white read noise.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    shape : (int, int)
        Rows and columns.
    x, y, flux : array_like
        Scalar, (stars,) or (n_frames, stars): positions in 0-based pixels, whole fluxes in data numbers.
    sigma : float or (float, float), optional
        Standard deviation of the stars, or the two along x and y (Gaussian only), pixels.
    fwhm : float, optional
        Full width at half maximum, pixels; give this or `sigma`.
    psf : {"gaussian", "moffat"}
        Integrated over the pixels: by the error function, or by Gauss–Legendre nodes up to 64 pixels from the star.
    beta : float
        Exponent of the Moffat profile.
    sky : float
        Data numbers of a pixel.
    gain, read_noise : float
        Electron per data number; electrons. With the gain 1, all is in electrons.
    drift, jitter : float
        Displacement of the field, added to `x` and `y`: end to end, and at random in each frame, pixels.
    seed : int
        Of the noise.
    dtype : dtype
        Of `data` and `error`.

    Returns
    -------
    StarFrames

    Raises
    ------
    ConfigError
        An unknown `psf`, or not exactly one of `sigma` and `fwhm`.
    """
    if psf not in ("gaussian", "moffat"):
        raise ConfigError(f"simulate: psf is {psf!r}; expected 'gaussian' or 'moffat'.")
    if (sigma is None) == (fwhm is None):
        raise ConfigError(f"simulate: sigma is {sigma} and fwhm is {fwhm}; expected one of them.")
    rng = np.random.default_rng(seed)
    path = drift_path(n_frames, drift, jitter, rng)
    stars = np.broadcast_shapes(*(np.atleast_1d(one).shape[-1:] for one in (x, y, flux)))
    all_x, all_y, all_flux = (
        np.broadcast_to(np.asarray(one, dtype=np.float64), (n_frames, *stars)).copy() for one in (x, y, flux)
    )
    all_x += path[:, :1]
    all_y += path[:, 1:]
    if psf == "gaussian":
        widths = (fwhm / FWHM_PER_SIGMA,) * 2 if fwhm is not None else np.broadcast_to(np.asarray(sigma), 2)
        along_x = gaussian_profile(shape[1], all_x, widths[0])
        along_y = gaussian_profile(shape[0], all_y, widths[1])
        model = sky + np.einsum("ns,nsy,nsx->nyx", all_flux, along_y, along_x, optimize=False)
    else:
        width = fwhm if fwhm is not None else float(np.mean(np.asarray(sigma))) * FWHM_PER_SIGMA
        model = np.full((n_frames, *shape), float(sky))
        for frame in range(n_frames):
            for star_x, star_y, star_flux in zip(all_x[frame], all_y[frame], all_flux[frame], strict=True):
                model[frame] += star_flux * star_image(shape, star_x, star_y, width, wings=0, beta=beta)
    electrons = rng.poisson(gain * model) + read_noise * rng.standard_normal(model.shape)
    error = np.sqrt(gain * model + read_noise**2) / gain
    return StarFrames(
        data=(electrons / gain).astype(dtype), model=model, error=error.astype(dtype), x=all_x, y=all_y, flux=all_flux,
        gain=gain, read_noise=read_noise, sky=sky, seed=seed,
    )  # fmt: skip


def simulate_night(
    directory: str | Path,
    *,
    name: str = "night",
    frames: int = 40,
    shape: tuple[int, int] = (200, 220),
    stars: Sequence[tuple[float, float, float]] | None = None,
    flux: float = 2e5,
    fwhm: float = 3.5,
    depth: float = 0.02,
    transit_fraction: float = 0.4,
    sky: float = 200.0,
    gain: float = 1.5,
    read_noise: float = 8.0,
    drift: float = 8.0,
    jitter: float = 0.3,
    clouds: float = 0.03,
    start: str = "2024-03-14T03:00:00",
    exposure_time: float = 60.0,
    cadence: float = 75.0,
    seed: int = 0,
) -> NightTruth:
    """Write a night of ground-based frames, one file each, and its truth.

    The files are ``<name>-0001.fits`` and so on: 16-bit unsigned data numbers in the primary array, with DATE-OBS (start
    of the exposure, UTC), EXPTIME, GAIN, RDNOISE, FILTER and OBJECT. The truth goes into ``<name>-truth.npz``.

    Parameters
    ----------
    directory : path
        Made if missing; files of the same names are replaced.
    name : str
        First part of the file names.
    frames : int
        Number of frames.
    shape : (int, int)
        Rows and columns.
    stars : sequence of (x, y, flux), optional
        Mean positions (0-based pixels) and whole fluxes (data numbers), the target first; by default five stars, the
        target with `flux`.
    flux : float
        Data numbers of the target, for the default stars.
    fwhm : float
        Of the Moffat stars, pixels.
    depth, transit_fraction : float
        Depth of the target's transit, and its duration over that of the night, whose middle it shares.
    sky, gain, read_noise : float
        Data numbers of a pixel; electron per data number; electrons.
    drift, jitter : float
        Slow displacement from end to end, and random displacement of each frame, pixels.
    clouds : float
        Amplitude of a slow change of the flux of all stars.
    start : str
        UTC of the beginning of the first exposure.
    exposure_time, cadence : float
        Seconds of an exposure, and from the start of one to that of the next.
    seed : int
        The same seed gives the same files.

    Returns
    -------
    NightTruth

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    rows, columns = shape
    if stars is None:
        stars = [(part_x * columns, part_y * rows, ratio * flux) for part_x, part_y, ratio in NIGHT_STARS]
    mean = np.array(stars, dtype=np.float64)
    rng = np.random.default_rng(seed)
    path = drift_path(frames, drift, jitter, rng)
    begin = Time(start, format="isot", scale="utc")
    elapsed = np.arange(frames) * cadence / DAY
    middle = float(np.mean(elapsed))
    transit = 1 - depth * transit_shape(elapsed, middle, transit_fraction * frames * cadence / DAY)
    transparency = 1 - clouds * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * np.arange(frames) / frames + rng.uniform(0, 6)))
    star_flux = transparency[:, None] * mean[:, 2]
    star_flux[:, 0] *= transit
    x, y = mean[:, 0] + path[:, :1], mean[:, 1] + path[:, 1:]

    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for frame in range(frames):
        model = np.full(shape, float(sky))
        for star in range(len(mean)):
            model += star_flux[frame, star] * star_image(shape, x[frame, star], y[frame, star], fwhm, wings=0)
        electrons = rng.poisson(gain * model) + read_noise * rng.standard_normal(shape)
        numbers = np.clip(np.rint(electrons / gain), 0, 65535).astype(np.uint16)
        date = (begin + TimeDelta(elapsed[frame], format="jd")).isot
        header = fits.Header([
            ("OBJECT", "SIMULATED"), ("FILTER", "R"), ("DATE-OBS", date, "UTC, start of exposure"),
            ("EXPTIME", exposure_time, "s"), ("GAIN", gain, "electron per data number"),
            ("RDNOISE", read_noise, "electron"), ("BUNIT", "adu"),
        ])  # fmt: skip
        file = folder / f"{name}-{frame + 1:04d}.fits"
        partial = file.with_name(f".{file.name}.partial")
        try:
            with open(partial, "wb") as stream:
                fits.PrimaryHDU(numbers, header).writeto(stream)
            os.replace(partial, file)
        finally:
            partial.unlink(missing_ok=True)
        files.append(str(file))
    truth = NightTruth(
        files=files, time=begin.jd + elapsed + 0.5 * exposure_time / DAY, transit=transit, transparency=transparency,
        x=x, y=y, flux=star_flux, depth=depth, sky=sky, gain=gain, read_noise=read_noise, seed=seed,
    )  # fmt: skip
    truth.save(folder / f"{name}-truth.npz")
    return truth
