"""The model of a light curve: a baseline of regressors, with or without a ramp, times a transit; fitted at given frames.

flux = c (1 + Σ a z [+ r exp(−(t − t₀)/τ)]) (1 − depth · shape), by weighted least squares in all that is free. Arrays in,
arrays out; which frames count, and what the errors are, is decided in `tsogrid.analysis.regression`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import qr

from tsogrid.analysis.least_squares import independent, solve
from tsogrid.analysis.scatter import median

STEPS = 8  # of the iteration that the product of baseline and transit needs; three do
GRID = 24  # values of τ, evenly spaced by their logarithm
ROUNDS = 4  # of the search for τ and the fit of all else
PRECISION = 1e-4  # of the logarithm of τ
SMALL = 1e-8  # part of a ramp's square that must be its own


@dataclass(frozen=True)
class Problem:
    """What is fitted; n frames, p regressors.

    Parameters
    ----------
    time, flux, error : ndarray, shape (n,)
        NaN flux is left out; errors are finite and positive.
    columns : ndarray, shape (n, p)
        Regressors; a frame with any NaN is left out.
    shape : ndarray, shape (n,), or None
        Of the transit.
    mask : bool
        Leave the transit out of the regression; its depth is found afterwards.
    ramp : bool
        Add r exp(−(t − t₀)/τ), with t₀ the first frame.
    clip : float or None
        Residuals beyond so many 1.4826 MAD take no part.
    red_noise : bool
        Errors that hold noise which is correlated in time.
    """

    time: np.ndarray
    flux: np.ndarray
    error: np.ndarray
    columns: np.ndarray
    shape: np.ndarray | None = None
    mask: bool = False
    ramp: bool = False
    clip: float | None = 5.0
    red_noise: bool = False

    @property
    def known(self) -> np.ndarray:
        """Frames in which flux and all regressors are known."""
        return np.isfinite(self.flux) & np.isfinite(self.columns).all(axis=1)

    @property
    def regressed(self) -> np.ndarray:
        """Frames that the regression may use."""
        return self.known & (self.shape == 0) if self.mask and self.shape is not None else self.known

    @property
    def inside(self) -> np.ndarray:
        """Frames of the transit."""
        return np.zeros(len(self.time), bool) if self.shape is None else self.shape != 0

    def centred(self, used: np.ndarray) -> "Problem":
        """Give the same with columns of mean 0 over the used frames: the constant is then the mean baseline."""
        return replace(self, columns=self.columns - self.columns[used].mean(axis=0))


@dataclass(frozen=True)
class Linear:
    """The fit about its end: what is free and answers the data, in the order constant, regressors, ramp, τ, depth."""

    values: np.ndarray  # of the free parameters
    names: list[int]  # of each: -1 constant, 0… regressor, p ramp, p + 1 τ, p + 2 depth
    jacobian: np.ndarray  # (n, free), not divided by the errors
    rest: np.ndarray  # (n,): data − model
    transit: np.ndarray  # (n,): 1 − depth · shape

    def amplitude(self, name: int) -> float:
        """Value of a parameter; 0 where it is not free."""
        return float(self.values[self.names.index(name)]) if name in self.names else 0.0


def model(problem: Problem, used: np.ndarray, timescale: float | None) -> Linear:
    """Fit baseline and depth at a given τ; the jacobian holds τ too, for its part in the errors.

    Parameters
    ----------
    problem : Problem
        With centred columns.
    used : ndarray of bool, shape (n,)
        Frames that count.
    timescale : float or None
        τ of the ramp, if there is one.

    Returns
    -------
    Linear
        Columns that say nothing new have no parameter.
    """
    p = problem.columns.shape[1]
    parts, names = [np.ones((len(used), 1)), problem.columns], [-1, *range(p)]
    since = problem.time - problem.time[0]
    if timescale is not None:
        parts.append(np.exp(-since / timescale)[:, None])
        names.append(p)
    terms = np.where(np.isfinite(problem.columns).all(axis=1)[:, None], np.concatenate(parts, axis=1), np.nan)
    signal = problem.shape if problem.shape is not None and not problem.mask else None
    weight = 1 / problem.error
    # The signal stands before the regressors: one that equals it is left out, never the transit.
    first = [terms[:, :1]] if signal is None else [terms[:, :1], -signal[:, None]]
    ordered = np.concatenate([*first, terms[:, 1:]], axis=1)[used] * weight[used, None]
    free = independent(ordered)
    if signal is not None and not free[1]:  # no frame of the transit counts
        signal = None
    free = np.concatenate([free[:1], free[len(first) :]])
    terms, names = terms[:, free], [name for name, own in zip(names, free, strict=True) if own]
    depth, base, values = 0.0, np.full(len(used), float(median(problem.flux[used]))), np.zeros(0)
    for _ in range(STEPS if signal is not None else 1):
        columns, data = terms, problem.flux
        if signal is not None:
            columns = np.concatenate([terms * (1 - depth * signal)[:, None], -(signal * base)[:, None]], axis=1)
            data = data - signal * base * depth
        values = solve(columns[used] * weight[used, None], data[used] * weight[used]).coefficients
        base = (terms * values[: terms.shape[1]]).sum(axis=1)
        if signal is not None:
            before, depth = depth, float(values[-1])
            if abs(depth - before) < 1e-9:
                break
    transit = np.ones(len(used)) if signal is None else 1 - depth * signal
    jacobian = terms * transit[:, None]
    if timescale is not None and names[-1] == p:
        slope = values[len(names) - 1] * since / timescale**2 * np.exp(-since / timescale) * transit
        jacobian, names = np.concatenate([jacobian, slope[:, None]], axis=1), [*names, p + 1]
        values = np.insert(values, len(names) - 1, timescale)
    if signal is not None:
        jacobian, names = np.concatenate([jacobian, -(signal * base)[:, None]], axis=1), [*names, p + 2]
    return Linear(values, names, jacobian, problem.flux - base * transit, transit)


def ramp_time(problem: Problem, used: np.ndarray) -> float:
    """Find the τ of the least χ²: on a grid from 3 steps to the length of the series, then by golden section.

    Parameters
    ----------
    problem : Problem
        With centred columns.
    used : ndarray of bool, shape (n,)
        Frames that count.

    Returns
    -------
    float
        In the unit of the times.
    """
    p = problem.columns.shape[1]
    weight = 1 / problem.error[used]
    since = problem.time[used] - problem.time[0]
    grid = np.log(np.geomspace(3 * np.median(np.diff(since)), np.ptp(since), GRID))
    fit, found = model(problem, used, None), np.nan
    for _ in range(ROUNDS):
        # What the other parameters can take up is projected away; the rest of a ramp stands against the rest of the data.
        others = np.array([name < p or name == p + 2 for name in fit.names])
        transit = fit.transit[used]
        target = (fit.rest + fit.jacobian[:, ~others][:, :1].sum(axis=1) * fit.amplitude(p))[used] * weight
        columns = fit.jacobian[used][:, others] * weight[:, None]
        basis = qr(columns / np.sqrt((columns**2).sum(axis=0)), mode="economic", check_finite=False)[0]
        target = target - (basis * (basis * target[:, None]).sum(axis=0)).sum(axis=1)

        def loss(
            logarithm: float, basis: np.ndarray = basis, target: np.ndarray = target, transit: np.ndarray = transit
        ) -> float:
            ramp = np.exp(-since / np.exp(logarithm)) * transit * weight
            own = ramp - (basis * (basis * ramp[:, None]).sum(axis=0)).sum(axis=1)
            size = float((own**2).sum())
            return -(float((own * target).sum()) ** 2) / size if size > SMALL * float((ramp**2).sum()) else 0.0

        before, found = found, _least(loss, grid)
        fit = model(problem, used, float(np.exp(found)))
        if abs(found - before) < 10 * PRECISION:
            break
    return float(np.exp(found))


def _least(loss: Callable[[float], float], grid: np.ndarray) -> float:
    """Find where a function is least: the best point of a grid, then by golden section between its neighbours."""
    best = int(np.argmin([loss(value) for value in grid]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    part = (np.sqrt(5) - 1) / 2
    left, right = high - part * (high - low), low + part * (high - low)
    losses = [loss(left), loss(right)]
    while high - low > PRECISION:
        if losses[0] < losses[1]:
            high, right, left = right, left, right - part * (right - low)
            losses = [loss(left), losses[0]]
        else:
            low, left, right = left, right, left + part * (high - left)
            losses = [losses[1], loss(right)]
    return (low + high) / 2
