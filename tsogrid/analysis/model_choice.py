"""Which regressors are worth their freedom: every combination of them, by the Bayesian information criterion.

Those that are nearly as good say what the choice itself may have done to the depth.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy.linalg import qr

from tsogrid.analysis.baseline import Problem
from tsogrid.analysis.regression import Baseline, bayes, fit_baseline
from tsogrid.errors import ConfigError

MOST = 12  # regressors; 4096 combinations
UNLIKELY = 10.0  # of the criterion over the least: e⁵ times less likely
MOST_LIKELY = 40  # combinations that are fitted once more


def choose(problem: Problem, full: Baseline, names: list[str]) -> tuple[list[int], str, list[tuple[float, list[int]]]]:
    """Find the combination of regressors with the least BIC; constant and transit are part of each.

    Parameters
    ----------
    problem : Problem
        What was fitted.
    full : Baseline
        With all regressors; its frames are those of every combination.
    names : list of str
        Of the regressors, the ramp being the last if there is one.

    Returns
    -------
    chosen : list of int
        Numbers of the regressors.
    words : str
        What was compared, and by how much others are worse.
    likely : list of (float, list of int)
        Combinations with their weight exp(−ΔBIC/2), the chosen one first; at most forty.

    Raises
    ------
    ConfigError
        More than twelve regressors.
    """
    if len(names) > MOST:
        raise ConfigError(
            f"choose: expected at most {MOST} regressors to choose from, found {len(names)}: {', '.join(names)}."
        )
    fit, p = full.linear, problem.columns.shape[1]
    frames = full.used & problem.regressed
    linear = np.array([name != p + 1 for name in fit.names])
    jacobian = (fit.jacobian[frames] / problem.error[frames, None])[:, linear]
    target = fit.rest[frames] / problem.error[frames] + (jacobian * fit.values[linear]).sum(axis=1)
    # The triangle of all columns and the data holds whatever a fit of some of them needs.
    triangle = qr(np.column_stack([jacobian, target]), mode="r", check_finite=False)[0][: linear.sum() + 1]
    order = [name for name in fit.names if name != p + 1]
    always = [place for place, name in enumerate(order) if name in (-1, p + 2)]
    free = [index for index in range(len(names)) if index in order]
    count = int(frames.sum())
    found = []
    for size in range(len(free) + 1):
        for some in combinations(free, size):
            columns = triangle[:, always + [order.index(index) for index in some]]
            rest = triangle[:, -1] - columns @ np.linalg.lstsq(columns, triangle[:, -1], rcond=None)[0]
            unknown = columns.shape[1] + (p in some and problem.ramp)
            found.append((bayes(float((rest**2).sum()), count, unknown), some))
    ranked = sorted(found)
    least, best = ranked[0]

    def said(some: tuple[int, ...]) -> str:
        return ", ".join(names[index] for index in some) or "none"

    words = f"the least BIC of {len(found)} combinations: {said(best)}"
    others = [f"{said(some)} +{value - least:.1f}" for value, some in ranked[1:3]]
    rest_of = {len(some): (value, some) for value, some in found if len(some) in (0, len(free)) and some != best}
    others += [f"{said(some)} +{value - least:.1f}" for value, some in rest_of.values()]
    near = [(float(np.exp(0.5 * (least - value))), list(some)) for value, some in ranked if value - least < UNLIKELY]
    return list(best), "; ".join([words, *dict.fromkeys(others)]), near[:MOST_LIKELY]


def only(problem: Problem, some: list[int]) -> Problem:
    """Give the problem with these regressors alone, the ramp being the one after the columns."""
    p = problem.columns.shape[1]
    return replace(
        problem, columns=problem.columns[:, [index for index in some if index < p]], ramp=problem.ramp and p in some
    )


def with_choice(problem: Problem, fit: Baseline, likely: list[tuple[float, list[int]]]) -> Baseline:
    """Let the error of the depth know that a choice was made: σ² = Σ w (σₖ² + (δₖ − δ)²) / Σ w over combinations k.

    Parameters
    ----------
    problem : Problem
        With all regressors.
    fit : Baseline
        Of the chosen ones; it keeps its depth δ.
    likely : list of (float, list of int)
        From `choose`.

    Returns
    -------
    Baseline
    """
    if problem.shape is None or len(likely) < 2 or not np.isfinite(fit.depth_err):
        return fit
    plain = replace(problem, red_noise=False)  # noise that is correlated grows all errors alike
    found = [fit_baseline(only(plain, some)) for _, some in likely]
    weight = np.array([weight for weight, _ in likely])
    depth, error = (np.array([getattr(each, name) for each in found]) for name in ("depth", "depth_err"))
    good = np.isfinite(depth) & np.isfinite(error)
    weight = np.where(good, weight, 0.0) / weight[good].sum()
    depth, error = np.where(good, depth, fit.depth), np.where(good, error, 0.0)
    own = (weight * error**2).sum() * (fit.depth_err / error[0]) ** 2
    return replace(fit, depth_err=float(np.sqrt(max(own + (weight * (depth - depth[0]) ** 2).sum(), fit.depth_err**2))))
