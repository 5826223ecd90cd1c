"""Centring against its peers: results are compared first, then runs are interleaved and timed by thread CPU time.

``python benchmarks/bench_centering.py`` prints the table; the class is for asv.
"""

import time
import warnings
from collections.abc import Callable

import numpy as np
from astropy.modeling.fitting import LevMarLSQFitter
from astropy.modeling.models import Const2D, Gaussian2D
from photutils.centroids import centroid_1dg, centroid_2dg, centroid_quadratic
from scipy.optimize import least_squares
from scipy.signal import fftconvolve
from scipy.special import erf

from tsogrid.kernels.centroid import center_of_mass, cross_correlation, gaussian_template
from tsogrid.kernels.gaussian import gaussian_fit
from tsogrid.kernels.marginal_gaussian import marginal_gaussian_fit
from tsogrid.kernels.quadratic import quadratic_peak

SIZE, BOX = 64, 25


def frames(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames and errors (n, 64, 64) of one star, and its positions x, y (n,)."""
    rng = np.random.default_rng(1)
    x, y = 32 + rng.uniform(-0.5, 0.5, (2, n))
    edges = np.arange(SIZE + 1) - 0.5
    columns, rows = (np.diff(0.5 * erf((edges - c[:, None]) / (2 * np.sqrt(2)))) for c in (x, y))
    model = 100 + 1e5 * rows[:, :, None] * columns[:, None, :]
    data = rng.poisson(model).astype(np.float32)
    return data, np.sqrt(data), x, y


class Centering:
    """asv benchmarks: 200 frames a call."""

    def setup(self) -> None:
        self.data, self.error, _, _ = frames(200)
        self.guess = np.full((200, 1), 32.0)
        self.template = gaussian_template(2.0)
        self.time_gaussian_fit()
        self.time_cross_correlation()
        self.time_center_of_mass()
        self.time_marginal_gaussian_fit()
        self.time_quadratic_peak()

    def time_gaussian_fit(self) -> None:
        gaussian_fit(self.data, self.error, self.guess, self.guess, BOX)

    def time_cross_correlation(self) -> None:
        cross_correlation(self.data, self.guess, self.guess, 41, self.template)

    def time_center_of_mass(self) -> None:
        center_of_mass(self.data, self.guess, self.guess, BOX, 100.0)

    def time_marginal_gaussian_fit(self) -> None:
        marginal_gaussian_fit(self.data, self.error, self.guess, self.guess, BOX)

    def time_quadratic_peak(self) -> None:
        quadratic_peak(self.data, self.guess, self.guess, BOX)


def scipy_fit(stamp: np.ndarray, sigma: np.ndarray) -> float:
    """x of a sampled Gaussian by least_squares with the analytic Jacobian."""
    v, u = (axis.ravel() for axis in np.mgrid[: stamp.shape[0], : stamp.shape[1]])

    def shape(p):
        return np.exp(-0.5 * ((u - p[2]) / p[4]) ** 2 - 0.5 * ((v - p[3]) / p[5]) ** 2)

    def residuals(p):
        return (p[0] * shape(p) + p[1] - stamp.ravel()) / sigma.ravel()

    def jacobian(p):
        g, a, b = shape(p), (u - p[2]) / p[4], (v - p[3]) / p[5]
        h = p[0] * g
        columns = (g, np.ones_like(g), h * a / p[4], h * b / p[5], h * a * a / p[4], h * b * b / p[5])
        return np.stack(columns, axis=1) / sigma.ravel()[:, None]

    start = [stamp.max() - np.median(stamp), np.median(stamp), 12.0, 12.0, 2.0, 2.0]
    return least_squares(residuals, start, jacobian, method="lm").x[2]


def astropy_fit(stamp: np.ndarray, sigma: np.ndarray) -> float:
    """x by astropy's LevMarLSQFitter."""
    rows, columns = np.mgrid[: stamp.shape[0], : stamp.shape[1]]
    model = Gaussian2D(stamp.max(), 12, 12, 2, 2, fixed={"theta": True}) + Const2D(np.median(stamp))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LevMarLSQFitter()(model, columns, rows, stamp, weights=1 / sigma).x_mean_0.value


def fft_peak(stamp: np.ndarray, template: np.ndarray) -> float:
    """Column of the highest score of a correlation by FFT (symmetric template)."""
    scores = fftconvolve(stamp, template - template.mean(), mode="valid")
    return float(np.unravel_index(np.argmax(scores), scores.shape)[1])


def compare(n: int = 100, rounds: int = 5) -> dict[str, float]:
    """Microseconds of thread CPU time a frame, the median of interleaved rounds, after checking that results agree."""
    data, error, x, _ = frames(n)
    guess, template = np.full((n, 1), 32.0), gaussian_template(2.0)
    stamps, sigmas = data[:, 20:45, 20:45].astype(float), error[:, 20:45, 20:45].astype(float)
    windows = data[:, 6:59, 6:59].astype(float)
    few = max(1, n // 10)
    contests: dict[str, tuple[int, Callable[[], object]]] = {
        "gaussian_fit": (n, lambda: gaussian_fit(data, error, guess, guess, BOX).x[:, 0]),
        "scipy least_squares, analytic Jacobian": (
            few, lambda: [20 + scipy_fit(a, s) for a, s in zip(stamps[:few], sigmas[:few], strict=True)]
        ),
        "astropy LevMarLSQFitter": (
            few, lambda: [20 + astropy_fit(a, s) for a, s in zip(stamps[:few], sigmas[:few], strict=True)]
        ),
        "photutils centroid_2dg": (few, lambda: [20 + centroid_2dg(a)[0] for a in stamps[:few]]),
        "marginal_gaussian_fit": (n, lambda: marginal_gaussian_fit(data, error, guess, guess, BOX).x[:, 0]),
        "photutils centroid_1dg": (few, lambda: [20 + centroid_1dg(a - 100)[0] for a in stamps[:few]]),
        "quadratic_peak": (n, lambda: quadratic_peak(data, guess, guess, BOX).x[:, 0]),
        "photutils centroid_quadratic": (few, lambda: [20 + centroid_quadratic(a)[0] for a in stamps[:few]]),
        "cross_correlation, 41 × 41": (n, lambda: cross_correlation(data, guess, guess, 41, template).x[:, 0]),
        "scipy fftconvolve": (few, lambda: [12 + fft_peak(window, template) for window in windows[:few]]),
        "center_of_mass": (n, lambda: center_of_mass(data, guess, guess, BOX, 100.0).x[:, 0]),
    }  # fmt: skip
    for name, (count, call) in contests.items():
        tolerance = 0.51 if "fft" in name else 0.3 if name == "center_of_mass" else 0.1
        worst = np.abs(np.asarray(call()) - x[:count]).max()
        if not worst < tolerance:
            raise AssertionError(f"{name} is off by {worst} pixel")
    times: dict[str, list[float]] = {name: [] for name in contests}
    for _ in range(rounds):
        for name, (count, call) in contests.items():
            start = time.thread_time()
            call()
            times[name].append((time.thread_time() - start) / count * 1e6)
    return {name: float(np.median(values)) for name, values in times.items()}


if __name__ == "__main__":
    for contest, microseconds in compare().items():
        print(f"{contest:45s} {microseconds:10.1f} µs a frame")
