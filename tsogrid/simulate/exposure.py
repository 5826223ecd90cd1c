"""A JWST exposure of a transit, with known truth.

Every integration is the expected electrons of a scene (stars, sky), then Poisson noise, then the noise of the read-out,
in units of the file. Its noise comes from a generator seeded by the seed and by its own number, so the pixels are the
same however the exposure is cut into segments.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsogrid.errors import ConfigError
from tsogrid.simulate.calints import DAY, Exposure, write_segment
from tsogrid.simulate.signal import amplifier_noise, drift_path, star_image, transit_shape
from tsogrid.simulate.truth import Truth

BATCH = 16  # integrations that are held in memory
FLAT_ERROR = 0.002  # relative; the same in all integrations, as a flat field's is
DO_NOT_USE, DEAD, HOT = 1, 1024, 2048  # bits of the JWST DQ plane
HOT_ELECTRONS = 2e4


def simulate_exposure(
    directory: str | Path,
    *,
    name: str = "simulated",
    integrations: int = 300,
    segments: int = 2,
    shape: tuple[int, int] = (64, 512),
    amplifiers: int = 4,
    seed: int = 0,
    x: float | None = None,
    y: float | None = None,
    flux: float = 1e6,
    fwhm: float = 2.5,
    wings: float = 0.03,
    stars: Sequence[tuple[float, float, float]] = (),
    depth: float = 0.01,
    transit_fraction: float = 0.4,
    sky: float = 30.0,
    read_noise: float = 10.0,
    pink_noise: float = 8.0,
    common_fraction: float = 0.5,
    drift: float = 0.05,
    jitter: float = 0.003,
    bad_pixel_fraction: float = 0.002,
    clear_radius: float = 8.0,
    bad_frames: Sequence[int] = (),
    hours: float = 4.0,
    units: str = "MJy/sr",
    int_times: str = "segment",
    poisson_variance: str = "model",
) -> Truth:
    """Write a NIRCam-like ``_calints`` exposure of a transit, and its truth.

    The files are ``<name>-seg001_calints.fits`` and so on, each written under another name first; the truth goes into
    ``<name>-truth.npz`` (read by `Truth.load`). The memory is that of 16 integrations.

    Parameters
    ----------
    directory : path
        Made if missing; files of the same names are replaced.
    name : str
        First part of the file names.
    integrations, segments : int
        Length of the exposure, and into how many files it is cut.
    shape : (int, int)
        Rows and columns.
    amplifiers : int
        They share the columns equally; odd ones (from 0) read right to left.
    seed : int
        The same seed gives the same pixels, whatever the number of segments.
    x, y : float, optional
        Mean position of the target, 0-based pixels; by default in the middle of an amplifier, (320.1, 30.2) for the
        default shape. XREF_SCI, YREF_SCI name the pixel nearest to it.
    flux : float
        Electrons of the target in one integration, out of transit.
    fwhm, wings : float
        Of the stars, see `tsogrid.simulate.signal.star_image`.
    stars : sequence of (x, y, flux)
        More stars, of constant flux (electrons in one integration), that move with the target.
    depth, transit_fraction : float
        Depth of the transit, and its duration (first to last contact) over that of the exposure, whose middle it shares.
    sky, read_noise, pink_noise : float
        Electrons of a pixel and integration: the mean, and standard deviations of the white and the 1/f noise.
    common_fraction : float
        Part of the variance of the 1/f noise that is common to all amplifiers, 0…1.
    drift, jitter : float
        Slow displacement from end to end, and random displacement of each integration, pixels.
    bad_pixel_fraction : float
        Pixels that are DO_NOT_USE in all integrations: three of four NaN (DEAD), the fourth bright and finite (HOT).
    clear_radius : float
        No bad pixel is nearer to the target than this, pixels: a hole in a drifting core is no longer a known truth.
    bad_frames : sequence of int
        Integrations, from 0, that are wholly NaN.
    hours : float
        About the length of the exposure; it sets the number of groups.
    units : {"MJy/sr", "DN/s"}
        Of the pixels; the gain is 2.05 electron per DN.
    int_times : {"segment", "exposure", "empty"}
        The INT_TIMES rows of each file: its own, all of the exposure's, or none.
    poisson_variance : {"model", "data"}
        VAR_POISSON from the expected electrons: then it is the variance that the noise really has, and pulls are of
        width 1 for any weighting. "data": from the noisy pixel, not below 0, as a pipeline that does not know the scene
        must; weights then follow the noise, which pulls weighted means down.

    Returns
    -------
    Truth

    Raises
    ------
    ConfigError
        Numbers that contradict each other; the message names them.
    OSError
        The folder cannot be written to.
    """
    rows, columns = shape
    _require(integrations >= 1, "integrations", integrations, "at least 1")
    _require(1 <= segments <= integrations, "segments", segments, f"1 to the {integrations} integrations")
    _require(amplifiers >= 1 and columns % amplifiers == 0, "amplifiers", amplifiers, f"a divisor of {columns} columns")
    _require(0 <= depth < 1, "depth", depth, "0 to below 1")
    _require(0 <= common_fraction <= 1, "common_fraction", common_fraction, "0 to 1")
    _require(0 <= bad_pixel_fraction < 1, "bad_pixel_fraction", bad_pixel_fraction, "0 to below 1")
    _require(min(flux, sky, read_noise, pink_noise) >= 0, "flux, sky and noise", "a negative one", "not below 0")
    _require(units in ("MJy/sr", "DN/s"), "units", units, "MJy/sr or DN/s")
    _require(int_times in ("segment", "exposure", "empty"), "int_times", int_times, "segment, exposure or empty")
    _require(poisson_variance in ("model", "data"), "poisson_variance", poisson_variance, "model or data")
    _require(all(0 <= i < integrations for i in bad_frames), "bad_frames", bad_frames, f"0 to {integrations - 1}")

    width = columns // amplifiers
    x = (amplifiers // 2 + 0.5) * width + 0.1 if x is None else float(x)
    y = rows / 2 - 1.8 if y is None else float(y)
    frame_time = Exposure(1, 1, shape, amplifiers, 1, units, x, y).frame_time
    groups = max(round(hours * 3600 / integrations / frame_time) - 1, 1)
    exposure = Exposure(integrations, segments, shape, amplifiers, groups, units, float(round(x)), float(round(y)))
    scale = exposure.electrons_per_unit

    table = exposure.int_times()
    time = table["int_mid_BJD_TDB"] + 2400000.5
    mid_time = float(0.5 * (time[0] + time[-1]))
    duration = transit_fraction * integrations * (exposure.integration_time + exposure.frame_time) / DAY
    covered = transit_shape(time, mid_time, duration)
    transit = 1 - depth * covered
    whole = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    path = np.array([x, y]) + drift_path(integrations, drift, jitter, whole)
    bad = _bad_pixels(shape, x, y, bad_pixel_fraction, clear_radius, whole)
    hot, dead = np.nonzero(bad & HOT), np.nonzero(bad & DEAD)
    row_offsets = np.empty((integrations, rows, amplifiers), dtype=np.float32)

    def frame(number: int) -> dict[str, NDArray[Any]]:
        """All planes of one integration, (rows, columns) each, in file units."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, number)))
        here_x, here_y = path[number]
        expected = sky + flux * transit[number] * star_image(shape, here_x, here_y, fwhm, wings=wings)
        for other_x, other_y, other_flux in stars:
            expected += other_flux * star_image(shape, other_x + here_x - x, other_y + here_y - y, fwhm, wings=wings)
        counts = rng.poisson(expected).astype(np.float64)
        pink = pink_noise * amplifier_noise(shape, amplifiers, common_fraction, rng)
        row_offsets[number] = pink.reshape(rows, amplifiers, width).mean(axis=2) / scale
        read = read_noise * rng.standard_normal(shape, dtype=np.float32)
        electrons = counts + read + pink
        poisson = expected if poisson_variance == "model" else np.maximum(electrons, 0)
        science = electrons / scale
        science[hot] = HOT_ELECTRONS / scale
        planes = {
            "SCI": science.astype(np.float32),
            "VAR_POISSON": (poisson / scale**2).astype(np.float32),
            "VAR_RNOISE": np.full(shape, read_noise**2 / scale**2, dtype=np.float32),
            "VAR_FLAT": np.square((expected * (FLAT_ERROR / scale)).astype(np.float32)),
        }
        planes["ERR"] = np.sqrt(planes["VAR_POISSON"] + planes["VAR_RNOISE"] + planes["VAR_FLAT"])
        nothing = number in bad_frames
        for plane in planes.values():
            plane[... if nothing else dead] = np.nan
        return {**planes, "DQ": bad | np.uint32(DO_NOT_USE) if nothing else bad}

    def batches(first: int, stop: int) -> Iterator[dict[str, NDArray[Any]]]:
        for begin in range(first, stop, BATCH):
            frames = [frame(number) for number in range(begin, min(begin + BATCH, stop))]
            yield {plane: np.stack([one[plane] for one in frames]) for plane in frames[0]}

    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    bounds = [integrations * segment // segments for segment in range(segments + 1)]
    files = []
    for segment, (first, stop) in enumerate(pairwise(bounds), start=1):
        rows_of = {"segment": table[first:stop], "exposure": table, "empty": table[:0]}[int_times]
        file = folder / f"{name}-seg{segment:03d}_calints.fits"
        write_segment(file, exposure, segment, first, stop, rows_of, batches(first, stop))
        files.append(str(file))

    truth = Truth(
        files=files, time=time, transit=transit, shape=covered, x=path[:, 0], y=path[:, 1],
        flux=flux * transit / scale, photon_variance=flux * transit / scale**2,
        pixel_variance=(sky + read_noise**2) / scale**2, row_offsets=row_offsets,
        amplifier_bounds=np.stack([np.arange(amplifiers), np.arange(amplifiers) + 1], axis=1) * width,
        depth=depth, mid_time=mid_time, transit_duration=duration,
        common_fraction=common_fraction, electrons_per_unit=scale, units=units, seed=seed,
        bad_frames=np.array(sorted(bad_frames), dtype=np.int64),
    )  # fmt: skip
    truth.save(folder / f"{name}-truth.npz")
    return truth


def _bad_pixels(
    shape: tuple[int, int], x: float, y: float, fraction: float, clear_radius: float, rng: np.random.Generator
) -> NDArray[np.uint32]:
    """DQ of the pixels that are bad in all integrations; 0 elsewhere."""
    bad = rng.random(shape) < fraction
    hot = rng.random(shape) < 0.25
    rows, columns = np.indices(shape)
    bad &= np.hypot(columns - x, rows - y) > clear_radius
    flags = np.where(hot, DO_NOT_USE | HOT, DO_NOT_USE | DEAD)
    return np.where(bad, flags, 0).astype(np.uint32)


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"simulate: {name} is {value}; expected {expected}.")
