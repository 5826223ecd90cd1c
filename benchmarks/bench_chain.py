"""The whole chain, from the file to the light curve, beside the programs that people put together for it.

Row levels of the amplifiers away from the star; the star found by cross-correlation and measured by a Gaussian fit; the
clipped median of an annulus; sums over 20 circles with errors. All read the same file, which lies in the page cache, one
frame after the other. *Typical* is what is usually written: numpy, scipy's FFT, photutils. *Expert* is what is written by
somebody who knows what is fast: bottleneck, an FFT of a window, a Gaussian with its analytic Jacobian, sep.
"""

import shutil
import tempfile
import weakref
from pathlib import Path

import bottleneck
import numpy as np
import sep
from astropy.io import fits
from astropy.stats import SigmaClip
from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture, aperture_photometry
from photutils.centroids import centroid_2dg
from scipy.signal import fftconvolve
from scipy.special import erf

import tsogrid
from benchmarks.bench_centering import scipy_fit
from benchmarks.contest import Contest, Runner
from tsogrid.engine.plan import Plan
from tsogrid.engine.run import prepared
from tsogrid.kernels.centroid import gaussian_template

RADII = np.linspace(3, 20, 20)
INNER, OUTER, MASK, BOX = 23.0, 30.0, 22.0, 25
# Rows and columns: amplifiers, frames (fewer than a block of a run has), ratios aimed at beside typical and expert.
SHAPES = {
    (64, 64): (1, 256, None, None),
    (256, 256): (1, 256, 80.0, 18.0),
    (64, 2048): (4, 64, None, None),
    (256, 2048): (4, 64, 80.0, 30.0),
    (2048, 2048): (4, 8, None, None),
}


class Night:
    """Frames of one star in a file, and what each party makes of them: fluxes (frame, radius)."""

    def __init__(self, shape: tuple[int, int], amplifiers: int, frames: int) -> None:
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder)
        self.path = Path(folder) / "night.fits"
        self.width = shape[1] // amplifiers
        self.amplifiers = amplifiers
        self.place = (shape[1] // 2 + 2.0, shape[0] // 2 - 1.0)
        rng = np.random.default_rng(7)
        columns, rows = (
            np.diff(0.5 * erf((np.arange(side + 1) - 0.5 - center - shift[:, None]) / (2 * np.sqrt(2))), axis=1)
            for side, center, shift in zip(shape[::-1], self.place, rng.normal(0, 0.2, (2, frames)), strict=True)
        )
        model = 100 + 1e6 * rows[:, :, None] * columns[:, None, :]
        data = rng.poisson(model) + np.repeat(rng.normal(0, 2, (frames, shape[0], amplifiers)), self.width, axis=2)
        images = [
            fits.ImageHDU(each.astype(np.float32), name=name) for each, name in ((data, "SCI"), (np.sqrt(model), "ERR"))
        ]
        fits.HDUList([fits.PrimaryHDU(), *images]).writeto(self.path)
        self.away = np.hypot(*np.meshgrid(*(np.arange(s) - c for s, c in zip(shape[::-1], self.place, strict=True)))) > MASK
        self.template = gaussian_template(1.5)
        self.template -= self.template.mean()

    def plan(self) -> Plan:
        """Have tsogrid plan the night."""
        bounds = [[self.width * k, self.width * (k + 1)] for k in range(self.amplifiers)]
        content = {
            "input": {"files": [str(self.path)], "error": "err", "reader": "fits"},
            "sources": [{"name": "star", "x": self.place[0], "y": self.place[1]}],
            "center": {"search_box": 41, "method": "gaussian", "fit_box": BOX},
            "sky": [
                [
                    {"method": "rowamp", "mask_radius": MASK, "amplifiers": bounds},
                    {"method": "annulus", "inner": INNER, "outer": OUTER, "statistic": "clipped-median"},
                ]
            ],
            "apertures": [{"shape": "circle", "radius": RADII.tolist()}],
            "output": {"store": str(self.path.with_suffix(".zarr"))},
        }
        return prepared(tsogrid.Config.from_mapping(content))[1]

    def scan(self) -> None:
        """Read the whole file once and swap its bytes, in pieces that stay in the cache: nobody measures sooner."""
        stored, native = np.empty(1 << 16, ">f4"), np.empty(1 << 16, np.float32)
        with open(self.path, "rb", buffering=0) as file:
            while file.readinto(stored.data.cast("B")):
                np.copyto(native, stored)

    def typical(self, frames: int) -> np.ndarray:
        """By the usual programs."""
        found = []
        with fits.open(self.path) as file:
            for frame in range(frames):
                data, error = (file[name].data[frame].astype(float) for name in ("SCI", "ERR"))
                blocks = np.where(self.away, data, np.nan).reshape(*data.shape[:1], self.amplifiers, self.width)
                data = data - np.repeat(np.nanmedian(blocks, axis=2), self.width, axis=1)
                scores = fftconvolve(data, self.template, mode="same")
                row, column = np.unravel_index(np.argmax(scores), scores.shape)
                low, left = row - BOX // 2, column - BOX // 2
                x, y = centroid_2dg(data[low : low + BOX, left : left + BOX], error[low : low + BOX, left : left + BOX])
                place = (left + x, low + y)
                ring = CircularAnnulus(place, INNER, OUTER)
                sky = ApertureStats(data, ring, error=error, sigma_clip=SigmaClip(3, maxiters=10)).median
                circles = [CircularAperture(place, radius) for radius in RADII]
                table = aperture_photometry(data, circles, error=error)
                found.append([table[f"aperture_sum_{k}"][0] - sky * each.area for k, each in enumerate(circles)])
        return np.array(found)

    def expert(self, frames: int) -> np.ndarray:
        """By the fastest programs."""
        found = []
        rows, columns = np.indices(self.away.shape)
        first, start = (max(0, int(c) - 32) for c in self.place[::-1])
        with fits.open(self.path) as file:
            for frame in range(frames):
                data = file["SCI"].data[frame].astype(np.float32)
                error = file["ERR"].data[frame].astype(np.float32)
                blocks = np.where(self.away, data, np.float32(np.nan)).reshape(*data.shape[:1], self.amplifiers, self.width)
                data = data - np.repeat(bottleneck.nanmedian(blocks, axis=2), self.width, axis=1)
                scores = fftconvolve(data[first : first + 64, start : start + 64], self.template, mode="same")
                row, column = np.unravel_index(np.argmax(scores), scores.shape)
                low, left = first + row - BOX // 2, start + column - BOX // 2
                x, y = scipy_fit(
                    data[low : low + BOX, left : left + BOX].astype(float),
                    error[low : low + BOX, left : left + BOX].astype(float),
                )
                x, y = left + x, low + y
                near = np.s_[max(0, int(y) - 32) : int(y) + 33, max(0, int(x) - 32) : int(x) + 33]
                distance = np.hypot(columns[near] - x, rows[near] - y)
                kept = data[near][(distance >= INNER) & (distance < OUTER)]
                for _ in range(10):
                    sky, reach = bottleneck.median(kept), 3 * np.std(kept)
                    left_over = kept[np.abs(kept - sky) <= reach]
                    if left_over.size == kept.size:
                        break
                    kept = left_over
                sums, _, _ = sep.sum_circle(data, np.full(RADII.size, x), np.full(RADII.size, y), RADII, err=error, subpix=0)
                found.append(sums - float(sky) * np.pi * RADII**2)
        return np.array(found)


def contests(quick: bool = False) -> list[Contest]:
    """Stamps, subarrays, a full frame. Centres differ by definition, and so, a little, do the sums of small circles."""
    made = []
    for shape, (amplifiers, frames, typical, expert) in SHAPES.items():
        if quick and shape != (64, 64):
            continue
        night = Night(shape, amplifiers, 4 if quick else frames)
        n = 4 if quick else frames
        few = min(n, 4 if shape[0] < 1000 else 1)
        plan = night.plan()
        made.append(
            Contest(
                f"whole chain, {shape[0]}x{shape[1]}",
                Runner(lambda plan=plan, n=n: plan.measure(0, n)["flux"][:, 0].reshape(n, -1), n),  # type: ignore[misc]
                {
                    "typical": Runner(lambda night=night, few=few: night.typical(few), few, 3e-3, target=typical),  # type: ignore[misc]
                    "expert": Runner(lambda night=night, n=n: night.expert(n), n, 3e-3, target=expert),  # type: ignore[misc]
                },
                {"reading every pixel": Runner(night.scan, n)},
            )
        )
    return made
