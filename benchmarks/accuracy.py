"""How honest the errors are and how close the centres come to the Cramér–Rao bound, through `tsogrid.measure`.

``python benchmarks/accuracy.py``: pulls of the flux at true positions (20 000 samples), then centres of 4000 frames.
"""

import warnings

import numpy as np
import xarray as xr
from scipy.special import erf

import tsogrid
from tsogrid.errors import TsogridWarning
from tsogrid.simulate import simulate_stars

FIXED = {"method": "none", "position": "fixed"}
SKIES = [{"inner": 9, "outer": 15, "statistic": "mean"}, {"inner": 9, "outer": 15, "statistic": "clipped-median"}]


def frames_of(stars, with_error: bool) -> xr.Dataset:
    dims = ("time", "y", "x")
    return xr.Dataset({"data": (dims, stars.data)} | ({"error": (dims, stars.error)} if with_error else {}))


def flux_pulls(flux: float, sky: float, read_noise: float) -> None:
    x, y = np.arange(10) * 40 + 25.3, np.full(10, 24.6)
    for with_error in (True, False):
        pulls = []
        for seed in range(4):
            stars = simulate_stars(
                500, (50, 420), x, y, np.full(10, flux), sigma=1.6, sky=sky, read_noise=read_noise, seed=seed
            )
            settings = {"x": x, "y": y, "radius": [3, 5], "center": FIXED, "input": {"gain": 1.0, "read_noise": read_noise}}
            found = tsogrid.measure(frames_of(stars, with_error), sky=SKIES, **settings).compute()
            truth = tsogrid.measure(stars.model[:1], sky=SKIES[:1], **settings).compute()
            pulls.append((found.flux.to_numpy() - truth.flux.to_numpy()) / found.flux_err.to_numpy())
        pull = np.concatenate(pulls)
        kind = "error planes" if with_error else "gain"
        print(f"flux {flux:g}, sky {sky:g}, {kind}: pull width (radius × sky) {pull.std(axis=(0, 1)).round(3).tolist()}")


def bound(x, y, flux, sigma, sky, read_noise, size) -> float:
    """The least possible scatter of x, all six parameters free."""
    edges = np.arange(size + 1) - 0.5
    start = np.array([x, y, flux, sigma, sigma, sky])

    def model(p):
        column, row = (np.diff(erf((edges - p[k]) / (p[3 + k] * np.sqrt(2)))) / 2 for k in (0, 1))
        return (p[5] + p[2] * np.outer(row, column)).ravel()

    steps = 1e-6 * np.maximum(np.abs(start), 1)
    slopes = np.array([(model(start + d) - model(start - d)) / (2 * d.sum()) for d in np.diag(steps)])
    return float(np.sqrt(np.linalg.inv((slopes / (model(start) + read_noise**2)) @ slopes.T)[0, 0]))


def centres(flux: float, sigma: float, sky: float, read_noise: float) -> None:
    stars = simulate_stars(4000, (61, 61), [30.3], [29.8], [flux], sigma=sigma, sky=sky, read_noise=read_noise, seed=7)
    least = bound(30.3, 29.8, flux, sigma, sky, read_noise, 61)
    for with_error in (True, False):
        settings = {"x": 30, "y": 30, "radius": 3, "input": {"gain": 1.0, "read_noise": read_noise}}
        found = tsogrid.measure(frames_of(stars, with_error), **settings).compute()
        x, error = found.x_fit.to_numpy(), found.x_fit_err.to_numpy()
        kind = "error planes" if with_error else "gain"
        print(
            f"flux {flux:g}, sigma {sigma:g}, {kind}: scatter {x.std() / least:.3f} × bound, "
            f"bias {(x.mean() - 30.3) / x.std():+.3f} sigma, pull width {((x - 30.3) / error).std():.3f}"
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore", TsogridWarning)
    for scene in ((2e5, 5.0, 2.0), (3000.0, 400.0, 8.0), (800.0, 1.0, 6.0)):
        flux_pulls(*scene)
    for scene in ((1e5, 1.5, 50.0, 8.0), (1e6, 1.2, 100.0, 10.0), (4000.0, 2.0, 30.0, 5.0)):
        centres(*scene)
