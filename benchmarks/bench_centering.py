"""Centring beside its peers: Gaussian fits, cross-correlations, peaks and centres of mass."""

import warnings

import numpy as np
from astropy.modeling.fitting import LevMarLSQFitter
from astropy.modeling.models import Const2D, Gaussian2D
from photutils.centroids import centroid_1dg, centroid_2dg, centroid_com, centroid_quadratic
from scipy.optimize import least_squares
from scipy.signal import fftconvolve
from scipy.special import erf

from benchmarks.contest import Contest, Runner
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


def scipy_fit(stamp: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """x, y of a sampled Gaussian by least_squares with the analytic Jacobian."""
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
    return least_squares(residuals, start, jacobian, method="lm").x[2:4]


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


def contests(quick: bool = False) -> list[Contest]:
    """Fits of 25 × 25 pixels; correlations of narrow and wide windows beside FFTs of what they need, and of the frame."""
    n = 4 if quick else 100
    data, error, x, _ = frames(n)
    guess, template = np.full((n, 1), 32.0), gaussian_template(2.0)
    stamps, sigmas = data[:, 20:45, 20:45].astype(float), error[:, 20:45, 20:45].astype(float)
    few = max(2, n // 10)
    each = list(zip(stamps[:few], sigmas[:few], strict=True))
    # What the peers find is compared with what tsogrid does as far as their definitions of a centre go.
    fits = {
        "scipy least_squares, analytic Jacobian": Runner(
            lambda: [20 + scipy_fit(a, s)[0] for a, s in each], few, 0.0, 0.1, target=70.0
        ),
        "astropy LevMarLSQFitter": Runner(lambda: [20 + astropy_fit(a, s) for a, s in each], few, 0.0, 0.1, target=400.0),
        "photutils centroid_2dg": Runner(lambda: [20 + centroid_2dg(a)[0] for a, _ in each], few, 0.0, 0.1),
    }
    made = [
        Contest(
            "Gaussian fit, 25x25",
            Runner(lambda: gaussian_fit(data, error, guess, guess, BOX).x[:, 0], n),
            fits,
            {
                "tsogrid, weights of errors": Runner(
                    lambda: gaussian_fit(data, error, guess, guess, BOX, weights="error").x[:, 0], n
                ),
                "tsogrid, rotated": Runner(lambda: gaussian_fit(data, error, guess, guess, BOX, angle=True).x[:, 0], n),
            },
        ),
        Contest(
            "Gaussian fit of sums along columns and rows, 25x25",
            Runner(lambda: marginal_gaussian_fit(data, error, guess, guess, BOX).x[:, 0], n),
            {"photutils centroid_1dg": Runner(lambda: [20 + centroid_1dg(a - 100)[0] for a, _ in each], few, 0.0, 0.1)},
        ),
        Contest(
            "peak of a quadratic, 25x25",
            Runner(lambda: quadratic_peak(data, guess, guess, BOX).x[:, 0], n),
            {
                "photutils centroid_quadratic": Runner(
                    lambda: [20 + centroid_quadratic(a)[0] for a, _ in each], few, 0.0, 0.1
                )
            },
        ),
        Contest(
            "centre of mass, 25x25",
            Runner(lambda: center_of_mass(data, guess, guess, BOX, 100.0).x[:, 0], n),
            {"photutils centroid_com": Runner(lambda: [20 + centroid_com(a - 100)[0] for a, _ in each], few)},
        ),
    ]
    for box in (9, 17, 41):
        made.append(correlation_contest(data, x, guess, template, box, few))
    for side in () if quick else (256, 1024):
        wide = np.full((2, side, side), 100.0, np.float32)
        middle = side // 2
        wide[:, middle - 32 : middle + 32, middle - 32 : middle + 32] = data[:2]
        made.append(
            correlation_contest(
                wide, x[:2] + middle - 32, np.full((2, 1), float(middle)), template, side - 2 * len(template), 2
            )
        )
    return made


def correlation_contest(
    data: np.ndarray, x: np.ndarray, guess: np.ndarray, template: np.ndarray, box: int, few: int
) -> Contest:
    """A search box beside FFTs: of the pixels that it needs, and of the whole frame."""
    n, size = len(data), data.shape[1]
    half, middle = len(template) // 2, round(float(guess[0, 0]))
    reach = (box - 1) // 2
    low = middle - reach - half
    high = middle + reach + half + 1
    windows = data[:few, low:high, low:high].astype(float)
    whole = data[:few].astype(float)
    return Contest(
        f"cross-correlation, search box {box}x{box}, frame {size}x{size}",
        Runner(lambda: cross_correlation(data, guess, guess, box, template).x[:, 0], n),
        {
            "scipy fftconvolve, the window": Runner(
                lambda: [middle - reach + fft_peak(each, template) for each in windows], few, 0.0, 0.51, target=1.0
            ),
            "scipy fftconvolve, the frame": Runner(
                lambda: [half + fft_peak(each, template) for each in whole],
                few,
                0.0,
                0.51,
                target=6.0 if size == 64 else 1.0,
            ),
        },
    )
