"""Profile photometry of one image beside photutils' iterative one, which first has to agree.

Run: ``python benchmarks/bench_psf.py [stars] [side]``. CPU seconds of this process, medians of turns.
"""

import sys
import time
import warnings

import numpy as np
from astropy.stats import mad_std
from photutils.background import LocalBackground, MMMBackground
from photutils.detection import DAOStarFinder
from photutils.psf import IterativePSFPhotometry, MoffatPSF, SourceGrouper

from tsogrid.kernels.moffat import add_moffats
from tsogrid.survey.psf_frame import PsfSettings
from tsogrid.survey.psf_photometry import photometry

FWHM, ALPHA, SKY = 5.0, 3.0, 350.0
GAMMA = 0.5 * FWHM / np.sqrt(2 ** (1 / ALPHA) - 1)


def image(stars: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame in electrons, and its stars (x, y, flux)."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(20, side - 20, (2, stars))
    flux = 10 ** rng.uniform(4, 5.8, stars)
    model = np.full((side, side), SKY)
    add_moffats(model, x, y, flux, (GAMMA**-2, 0, GAMMA**-2, ALPHA))
    return rng.poisson(model) + 10.7 * rng.standard_normal(model.shape), np.stack([x, y, flux], axis=1)


def peer(data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions and fluxes by photutils, with the profile given to it."""
    finder = DAOStarFinder(threshold=8 * mad_std(data), fwhm=FWHM)
    model = MoffatPSF(alpha=GAMMA, beta=ALPHA)
    sky = LocalBackground(3 * FWHM, 6 * FWHM, bkg_estimator=MMMBackground())
    fit = IterativePSFPhotometry(
        model, (11, 11), finder, grouper=SourceGrouper(2 * FWHM), local_bkg_estimator=sky, aperture_radius=8
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = fit(data)
    return tuple(np.asarray(table[name]) for name in ("x_fit", "y_fit", "flux_fit"))  # type: ignore[return-value]


def share_right(x: np.ndarray, y: np.ndarray, flux: np.ndarray, stars: np.ndarray) -> float:
    """Share of the true stars that have a source within a pixel with their flux to 5 %."""
    distance = np.hypot(x[None] - stars[:, :1], y[None] - stars[:, 1:2])
    nearest = distance.argmin(axis=1)
    right = (distance.min(axis=1) < 1) & (np.abs(flux[nearest] / stars[:, 2] - 1) < 0.05)
    return float(right.mean())


def main() -> None:
    """Compare, then take turns."""
    stars, side = (int(word) for word in (sys.argv[1:] + ["40", "512"][len(sys.argv) - 1 :]))
    data, truth = image(stars, side)
    settings = PsfSettings(bad_columns=())
    rows = photometry(data, settings=settings).rows
    here = share_right(*(rows[name].to_numpy() for name in ("x_fit", "y_fit", "flux_psf")), truth)
    there = share_right(*peer(data), truth)
    print(f"{stars} stars, {side} x {side}: right within 5 %: tsogrid {here:.1%}, photutils {there:.1%}")
    assert here >= there
    times: dict[str, list[float]] = {"tsogrid, profile fitted too": [], "photutils, profile given": []}
    for _ in range(3):
        for name, one in zip(times, (lambda: photometry(data, settings=settings), lambda: peer(data)), strict=True):
            start = time.process_time()
            one()
            times[name].append(time.process_time() - start)
    for name, seconds in times.items():
        print(f"  {name:28s} {np.median(seconds):7.3f} s of CPU an image")


if __name__ == "__main__":
    main()
