"""A baseline fitted to a light curve, beside or together with its transit: clipping, errors, and what each regressor does.

Points far from the rest take no part; a transit as a whole cannot be such a point. Errors come from the scatter of the
residuals, and from their correlation in time where that is asked for.
"""

from dataclasses import dataclass

import numpy as np

from tsogrid.analysis.baseline import Linear, Problem, model, ramp_time
from tsogrid.analysis.least_squares import independent, solve
from tsogrid.analysis.red_noise import RedNoise, correlated
from tsogrid.analysis.scatter import NORMAL_MAD, median

ROUNDS = 10  # of clipping
ROUNDING = 1e-10  # residuals over errors that numbers have without any noise


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline; n frames, p regressors (the ramp among them, as the last).

    All is relative to `constant`, which is in the unit of the flux.
    """

    baseline: np.ndarray  # (n,): 1 + Σ contributions; NaN where a regressor is unknown
    baseline_err: np.ndarray  # (n,)
    contributions: np.ndarray  # (n, p)
    constant: float
    constant_err: float
    coefficients: np.ndarray  # (p,), of the columns as they were given; NaN of those that say nothing new
    coefficients_err: np.ndarray
    depth: float  # NaN without a transit
    depth_err: float
    timescale: float  # τ; NaN without a ramp
    timescale_err: float
    used: np.ndarray  # (n,): frames that made coefficients or depth
    clipped: np.ndarray  # (n,)
    free: int
    chi2: float
    degrees: int
    bic: float
    factor: float  # error of the depth (of the constant without one) over that of white noise
    red: RedNoise | None
    linear: Linear


def wild(rest: np.ndarray, candidates: np.ndarray, inside: np.ndarray, limit: float) -> np.ndarray:
    """Find points far from the rest; in the transit only single ones, whose neighbours are not far on the same side.

    Parameters
    ----------
    rest : ndarray, shape (n,)
        Residuals over errors.
    candidates : ndarray of bool, shape (n,)
        Frames that are judged.
    inside : ndarray of bool, shape (n,)
        Frames of the transit.
    limit : float
        In units of 1.4826 MAD.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    values = rest[candidates]
    values = values - median(values)
    size = NORMAL_MAD * float(median(np.abs(values)))
    far = np.where(np.abs(values) > max(limit * size, ROUNDING), np.sign(values), 0.0)
    near = np.concatenate([[0.0], far, [0.0]])
    alone = (near[:-2] != far) & (near[2:] != far)
    found = np.zeros(len(rest), bool)
    found[candidates] = (far != 0) & (alone | ~inside[candidates])
    return found


def fit_baseline(problem: Problem) -> Baseline:
    """Fit a baseline, and the depth of a transit if there is one.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    Baseline
        Errors are scaled by χ² per degree of freedom.

    Raises
    ------
    ValueError
        There are fewer frames than free parameters and three.
    """
    candidates, inside = problem.regressed, problem.inside
    fewest = problem.columns.shape[1] + 2 * problem.ramp + 5
    if candidates.sum() < fewest:
        raise ValueError(f"expected at least {fewest} frames for the regression, found {int(candidates.sum())}")
    used = candidates
    for _ in range(ROUNDS):
        centred = problem.centred(used)
        timescale = ramp_time(centred, used) if problem.ramp else None
        fit = model(centred, used, timescale)
        if problem.clip is None:
            break
        now = candidates & ~wild(fit.rest / problem.error, candidates, inside, problem.clip)
        if (now == used).all() or now.sum() < fewest:
            break
        used = now
    estimator = _estimator(problem, fit, used)
    clipped = candidates & ~used
    if problem.mask and problem.shape is not None:
        fit, estimator, used, lost = _beside(problem, fit, estimator, used)
        clipped = clipped | lost
    return _described(problem, centred, fit, estimator, used, clipped, timescale)


def _estimator(problem: Problem, fit: Linear, used: np.ndarray) -> np.ndarray:
    """What each free parameter makes of the data over their errors, (free, n); 0 of frames that are not used."""
    weighted = fit.jacobian[used] / problem.error[used, None]
    own = independent(weighted)  # τ has no part where there is no ramp
    estimator = np.zeros((len(fit.names), len(used)))
    estimator[np.ix_(own, used)] = solve(weighted[:, own], np.zeros(len(weighted))).estimator
    return estimator


def _beside(
    problem: Problem, fit: Linear, estimator: np.ndarray, used: np.ndarray
) -> tuple[Linear, np.ndarray, np.ndarray, np.ndarray]:
    """Find the depth of a transit that was left out of the regression: of its frames over the baseline."""
    shape, inside = np.asarray(problem.shape), problem.inside
    base = problem.flux - fit.rest
    good = problem.known & inside
    lost = np.zeros(len(used), bool)
    depth, answer = np.nan, np.zeros(len(used))
    for _ in range(2):
        signal = np.where(good, shape * base / problem.error, 0.0)
        if not (signal != 0).any():
            return fit, estimator, used, lost
        answer = -signal / (signal**2).sum()
        depth = float((answer * np.where(good, fit.rest / problem.error, 0.0)).sum())
        rest = problem.flux - base * (1 - depth * shape)
        if problem.clip is not None:
            lost = wild(rest / problem.error, (problem.known & inside) | used, inside, problem.clip) & inside
        good = problem.known & inside & ~lost
    jacobian = fit.jacobian * (1 - depth * shape)[:, None]
    # An error of the baseline is one of the depth.
    through = (answer[good, None] * fit.jacobian[good] / problem.error[good, None]).sum(axis=0)
    row = answer - (through[:, None] * estimator).sum(axis=0)
    whole = Linear(
        np.append(fit.values, depth),
        [*fit.names, problem.columns.shape[1] + 2],
        np.concatenate([jacobian, -(shape * base)[:, None]], axis=1),
        rest,
        1 - depth * shape,
    )
    return whole, np.concatenate([estimator, row[None]]), used | good, lost


def _covariance(
    problem: Problem, fit: Linear, estimator: np.ndarray, used: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray, RedNoise | None]:
    """Covariance of the free parameters; their errors over those of white noise; and the noise itself."""
    answer = estimator[:, used]
    plain = scale * np.einsum("in,jn->ij", answer, answer)
    weighted = fit.jacobian[used] / problem.error[used, None]
    rest = fit.rest[used] / problem.error[used]
    red = None
    if problem.red_noise:
        red = correlated(problem.time[used], rest, weighted[:, independent(weighted)], answer)
    if red is None:
        return plain, np.ones(len(plain)), None
    white, found = np.sqrt(np.diag(plain)), np.sqrt(np.diag(red.covariance))
    errors = np.maximum(white, found)  # errors below those of white noise are chance
    safe = np.where(found > 0, found, 1.0)
    covariance = red.covariance * (errors / safe)[:, None] * (errors / safe)
    return covariance, errors / np.where(white > 0, white, 1.0), red


def _described(
    problem: Problem,
    centred: Problem,
    fit: Linear,
    estimator: np.ndarray,
    used: np.ndarray,
    clipped: np.ndarray,
    timescale: float | None,
) -> Baseline:
    """Put the fit into words of the field: relative coefficients, contributions, errors."""
    p, n, free = problem.columns.shape[1], int(used.sum()), len(fit.names)
    chi2 = float(((fit.rest[used] / problem.error[used]) ** 2).sum())
    degrees = max(n - free, 1)
    covariance, factors, red = _covariance(problem, fit, estimator, used, chi2 / degrees)
    value = dict(zip(fit.names, fit.values, strict=True))
    place = {name: index for index, name in enumerate(fit.names)}
    terms = centred.columns
    if timescale is not None:
        terms = np.concatenate([terms, np.exp(-(problem.time - problem.time[0]) / timescale)[:, None]], axis=1)
    constant = float(value[-1])
    coefficients = np.array([value.get(index, np.nan) for index in range(terms.shape[1])]) / constant
    contributions = terms * np.nan_to_num(coefficients)
    # A relative coefficient is a ratio: its errors are those of numerator and constant.
    ratio = np.zeros((terms.shape[1], free))
    for index in range(terms.shape[1]):
        if index in place:
            ratio[index, place[index]] = 1 / constant
            ratio[index, place[-1]] = -coefficients[index] / constant
    errors = np.sqrt(np.einsum("ij,jk,ik->i", ratio, covariance, ratio))
    baseline = 1 + contributions.sum(axis=1)
    # The baseline is relative to the constant too, whose own error is common to all frames and told apart.
    part = [index for index, name in enumerate(fit.names) if name <= p + 1]
    gradient = fit.jacobian[:, part] / fit.transit[:, None] / constant
    baseline_err = np.sqrt(np.einsum("ni,ij,nj->n", gradient, covariance[np.ix_(part, part)], gradient))

    def error_of(name: int) -> float:
        return float(np.sqrt(covariance[place[name], place[name]])) if name in place else np.nan

    return Baseline(
        baseline=baseline,
        baseline_err=baseline_err,
        contributions=contributions,
        constant=constant,
        constant_err=error_of(-1),
        coefficients=coefficients,
        coefficients_err=np.where(np.isfinite(coefficients), errors, np.nan),
        depth=float(value.get(p + 2, np.nan)),
        depth_err=error_of(p + 2),
        timescale=np.nan if timescale is None else timescale,
        timescale_err=error_of(p + 1),
        used=used,
        clipped=clipped,
        free=free,
        chi2=chi2,
        degrees=degrees,
        bic=bayes(chi2, n, free),
        factor=float(factors[place.get(p + 2, 0)]),
        red=red,
        linear=fit,
    )


def bayes(chi2: float, count: int, free: int) -> float:
    """Give the Bayesian information criterion of errors known but for a factor: n ln(χ²/n) + k ln n."""
    return float(count * np.log(max(chi2, np.finfo(float).tiny) / count) + free * np.log(count))
