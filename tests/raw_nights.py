"""Raw frames of a CCD with known truth, painted photon by photon without any code of the package.

Light falls through a flat field on pixels that also collect dark current; each amplifier adds its bias level, which drifts
from row to row, a fixed pattern and read noise, divides by its gain and rounds to whole numbers.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.special import erf


@dataclass
class Camera:
    """A detector with one or two amplifiers, each with its overscan on the outer side."""

    ny: int = 120
    nx: int = 160  # columns that see light
    amplifiers: int = 2
    overscan: int = 24
    gain: tuple[float, ...] = (1.4, 1.4)
    read_noise: float = 6.0  # electrons
    level: float = 1000.0  # data units
    drift: float = 3.0  # data units, rms of what the level of a row does in a frame
    dark_rate: float = 0.4  # electrons a second
    hot: int = 40
    flat_rms: float = 0.05
    seed: int = 1
    maps: dict = field(default_factory=dict)

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        y, x = np.mgrid[: self.ny, : self.nx]
        smooth = np.sin(x / 23 + 1) * np.cos(y / 31) + 0.5 * np.cos((x + y) / 9)
        pixels = rng.normal(0, 1, smooth.shape)
        structure = smooth / smooth.std() + 0.7 * pixels
        flat = 1 + self.flat_rms * structure / structure.std()
        dark = self.dark_rate * (1 + 0.2 * rng.normal(0, 1, flat.shape)).clip(0.1)
        dark[rng.integers(0, self.ny, self.hot), rng.integers(0, self.nx, self.hot)] *= 30
        bias = rng.normal(0, 4, flat.shape) + 6 * np.sin(x / 11)  # data units, fixed
        self.maps = {"flat": flat / np.median(flat), "dark": dark, "bias": bias}

    @property
    def width(self):
        return self.nx + self.amplifiers * self.overscan

    @property
    def left(self):
        """Columns of overscan before the first that sees light."""
        return self.overscan if self.amplifiers == 2 else 0

    @property
    def columns(self):
        """First and last + 1 column of each amplifier, of those that see light."""
        edges = np.linspace(0, self.nx, self.amplifiers + 1).astype(int)
        return list(pairwise(edges))

    def sections(self):
        """BIASSEC and TRIMSEC of each amplifier, as a header writes them."""
        rows = f"1:{self.ny}"
        found = []
        for index, (a, b) in enumerate(self.columns):
            first = index == 0 and self.amplifiers == 2
            bias = (1, self.overscan) if first else (self.width - self.overscan + 1, self.width)
            found.append((f"[{bias[0]}:{bias[1]},{rows}]", f"[{self.left + a + 1}:{self.left + b},{rows}]"))
        return found

    def cards(self, **more):
        if self.amplifiers == 1:
            (bias, trim), *_ = self.sections()
            return {"BIASSEC": bias, "TRIMSEC": trim, **more}
        named = {
            f"{key}{n}": text
            for n, pair in enumerate(self.sections(), 1)
            for key, text in zip(("BIASSEC", "DATASEC"), pair, strict=True)
        }
        return named | more

    def expose(self, photons, seconds, rng):
        """Read out a frame: photons (ny, nx) that fall on the flat field in the exposure."""
        electrons = rng.poisson(photons * self.maps["flat"]) + rng.poisson(self.maps["dark"] * seconds)
        wander = np.cumsum(rng.normal(0, 1, (self.amplifiers, self.ny)), axis=1) / np.sqrt(self.ny)
        frame = np.empty((self.ny, self.width))
        for index, (a, b) in enumerate(self.columns):
            level = self.level * (1 + 0.1 * index) + self.drift * (wander[index] + rng.normal())
            gain = self.gain[index]
            part = electrons[:, a:b] / gain + self.maps["bias"][:, a:b]
            dark = np.zeros((self.ny, self.overscan))
            both = np.hstack([dark, part] if self.amplifiers == 2 and index == 0 else [part, dark])
            both = both + level[:, None] + rng.normal(0, self.read_noise / gain, both.shape)
            start = 0 if index == 0 else self.left + a
            frame[:, start : start + both.shape[1]] = both
        return np.clip(np.rint(frame), 0, 65535).astype(np.uint16)


def star(shape, x, y, sigma):
    """A Gaussian integrated over pixels, sum 1."""
    edges_y, edges_x = (np.arange(n + 1) - 0.5 for n in shape)
    column, row = (np.diff(erf((edges - c) / (sigma * np.sqrt(2)))) / 2 for edges, c in ((edges_x, x), (edges_y, y)))
    return row[:, None] * column[None]


def write_frames(folder, name, frames, camera, **cards):
    """Write frames (data, seconds) with the camera's cards."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (data, seconds) in enumerate(frames):
        unit = fits.PrimaryHDU(data)
        unit.header.update(camera.cards(EXPTIME=seconds, **cards))
        unit.header["DATE-OBS"] = f"2026-03-01T{number // 60:02d}:{number % 60:02d}:00.0"
        unit.writeto(folder / f"{name}{number:04d}.fits")


def night(
    folder: Path,
    camera: Camera,
    *,
    frames=100,
    seconds=60.0,
    flux=(6e4, 9e4, 3e4),
    sky=80.0,
    wander=0.6,
    counts=(15, 9, 9),
    seed=0,
):
    """Write a night: ``bias*``, ``dark*``, ``flat*``, ``star*`` FITS files.

    Returns
    -------
    positions : ndarray, shape (n_stars, 2)
        Where the stars stand on the average, in pixels (x, y) of the raw frame.
    true : ndarray, shape (frames, n_stars)
        Where they stand, x only, and y: (frames, n_stars, 2).
    """
    rng = np.random.default_rng(seed + 1000)
    shape = (camera.ny, camera.nx)
    zero = np.zeros(shape)
    write_frames(folder, "bias", [(camera.expose(zero, 0.0, rng), 0.0) for _ in range(counts[0])], camera)
    write_frames(folder, "dark", [(camera.expose(zero, 3 * seconds, rng), 3 * seconds) for _ in range(counts[1])], camera)
    lit = [
        (camera.expose(np.full(shape, 20000.0 * camera.gain[0] * rng.uniform(0.8, 1.2)), 5.0, rng), 5.0)
        for _ in range(counts[2])
    ]
    write_frames(folder, "flat", lit, camera, FILTER="V")
    places = np.array(
        [[0.25 * camera.nx, 0.3 * camera.ny], [0.72 * camera.nx, 0.4 * camera.ny], [0.4 * camera.nx, 0.74 * camera.ny]]
    )
    places = places[: len(flux)] + rng.uniform(-0.4, 0.4, (len(flux), 2))
    moves = rng.normal(0, wander, (frames, 1, 2))
    true = places[None] + moves
    made = []
    for here in true:
        photons = np.full(shape, sky)
        for (x, y), each in zip(here, flux, strict=True):
            photons = photons + each * star(shape, x, y, 1.6)
        made.append((camera.expose(photons, seconds, rng), seconds))
    write_frames(folder, "star", made, camera, FILTER="V")
    offset = np.array([camera.left, 0])
    return places + offset, true + offset
