"""Noise that is correlated in time, as a fit's residuals show it, and what it makes of the errors of the coefficients.

White noise with noise that forgets itself exponentially, exp(−|t − t′|/τ), or that drifts smoothly (Matérn, 3/2), is held
against the data by its restricted likelihood: of what no coefficient of the fit can take up, so that it does not matter
that the fit has taken up some of the noise. The residuals' averaging curve alone does not know of that, and gives too
little on the scale of the transit.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh, qr

POINTS = 120  # means of neighbours that are looked at; what is faster counts as white
FEWEST = 12
TIMES = 14  # values of τ, from two means to the whole series
RATIOS = np.concatenate([[0.0], np.geomspace(0.02, 200, 25)])  # variance of a mean by the red noise over that by the white


class RedNoise(NamedTuple):
    """Covariance of a fit's coefficients, and what it rests on."""

    covariance: np.ndarray  # (p, p), in the unit of the columns, scale of the errors included
    white: float  # standard deviation of the white part, over the errors
    red: float  # of the correlated part, over the errors
    timescale: float  # of the correlation, in the unit of the times (mean of its logarithm)


def rough(distance: np.ndarray) -> np.ndarray:
    """Correlation of noise that forgets itself exponentially."""
    return np.exp(-distance)


def smooth(distance: np.ndarray) -> np.ndarray:
    """Correlation of noise that drifts smoothly: Matérn's, of order 3/2."""
    return (1 + np.sqrt(3) * distance) * np.exp(-np.sqrt(3) * distance)


def product(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Multiply matrices, deaf to the floating-point flags that BLAS may raise for numbers that are all finite."""
    with np.errstate(all="ignore"):
        return np.asarray(one @ two)


def correlated(time: np.ndarray, rest: np.ndarray, columns: np.ndarray, estimator: np.ndarray) -> RedNoise | None:
    """Measure the correlated noise of a fit and give the covariance of its coefficients.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Ascending.
    rest : ndarray, shape (n,)
        Residuals over errors.
    columns : ndarray, shape (n, p)
        Of the fit, over errors.
    estimator : ndarray, shape (p, n)
        Coefficients = estimator · (values over errors).

    Returns
    -------
    RedNoise or None
        Averaged over τ and the part of the correlated noise by their likelihood; beforehand white noise is as likely as
        all else.
        None with too few points.
    """
    length = max(len(time) // POINTS, 1)
    starts = np.arange(0, len(time) - length + 1, length)
    if len(starts) < columns.shape[1] + FEWEST:
        return None
    count = np.diff([*starts, len(time)]).astype(float)  # the last has what is left over
    middle = np.add.reduceat(time, starts) / count
    root = np.sqrt(count)
    values = np.add.reduceat(rest, starts) / root
    basis = qr(np.add.reduceat(columns, starts, axis=0) / root[:, None], check_finite=False)[0][:, columns.shape[1] :]
    # Each coefficient's answer to noise that all frames of a mean share.
    answer = np.add.reduceat(estimator, starts, axis=1)
    plain = np.einsum("in,jn->ij", estimator, estimator)
    projected = (basis * values[:, None]).sum(axis=0)
    step = np.ptp(middle) / (len(middle) - 1)
    times = np.tile(np.geomspace(2 * step, np.ptp(middle), TIMES), 2)
    loss, scale, shared = [], [], []
    apart = np.abs(middle[:, None] - middle)
    for number, timescale in enumerate(times):
        alike = rough(apart / timescale) if number < TIMES else smooth(apart / timescale)
        inside = product(basis.T, product(alike * root[:, None] * root / length, basis))
        size, vectors = eigh(inside, check_finite=False)
        turned = (vectors * projected[:, None]).sum(axis=0) ** 2
        spread = 1 + RATIOS[:, None] * np.maximum(size, 0.0)
        variance = (turned / spread).mean(axis=1)
        scale.append(variance)
        loss.append(len(turned) * np.log(variance) + np.log(spread).sum(axis=1))
        shared.append(product(product(answer, alike), answer.T) / length)
    weight = np.exp(-0.5 * (np.array(loss) - np.min(loss)))
    weight[:, 0] *= len(RATIOS) - 1  # beforehand white noise is as likely as all that is not
    weight /= weight.sum()
    variance = np.array(scale) * weight
    covariance = variance.sum() * plain
    covariance = covariance + np.einsum("t,tij->ij", (variance * RATIOS).sum(axis=1), np.array(shared))
    red = np.sqrt((variance * RATIOS).sum() / length)
    known = weight[:, 1:].sum(axis=1)
    timescale = float(np.exp((known * np.log(times)).sum() / known.sum())) if known.sum() > 0 else np.nan
    return RedNoise(covariance, float(np.sqrt(variance.sum())), float(red), timescale)
