"""Which reference stars vary: each one's light curve against the others, and a verdict with its reason.

The light curve of a star over the comparison of the others holds the noise of both. With K ≥ 3 stars the K variances tell
each star's own: V_i = u_i + Σ_j≠i f_ij² u_j, with f_ij the part of star j in the comparison for star i, is solved for u. So
a variable star does not throw suspicion on those that are compared with it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tsogrid.analysis.ensemble import ROUNDING, comparison
from tsogrid.analysis.scatter import averaged, deviation, mad, median, point_to_point

FEWEST_FRAMES = 20  # for a verdict
FEWEST_STARS = 2  # that a veto leaves; of two, nothing tells which one varies
RUNS = 12  # into which a series is averaged to look for slow changes
SCATTER_LIMIT = 1.5  # own scatter over what the errors say and all stars have in common
RED_LIMIT = 2.0  # own scatter of the means of runs over white noise and what all stars have in common
WILD, WILD_PART = 5.0, 0.02  # standard deviations; part of the frames
SIGNIFICANCE = 4.0  # standard deviations of the variance, by chance


class Check(NamedTuple):
    """Each reference star against the others; arrays of shape (stars, cells), relative to its flux."""

    scatter: np.ndarray  # standard deviation
    expected: np.ndarray  # median error
    point_to_point: np.ndarray
    trend: np.ndarray  # change over the whole series by a straight line
    trend_err: np.ndarray


def against_others(
    normal: np.ndarray, error: np.ndarray, weight: np.ndarray, kept: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Divide each star by the comparison of the other used stars.

    Parameters
    ----------
    normal, error : ndarray, shape (n, stars, cells)
        Normalised fluxes and their errors.
    weight : ndarray, shape (stars, cells)
        Of each star.
    kept : ndarray of bool, shape (n, stars, cells)
        Points that count.
    used : ndarray of bool, shape (stars,)
        Stars that make comparisons; the others are compared with all of these.

    Returns
    -------
    ratio, error : ndarray, shape (n, stars, cells)
        With median 1; NaN where not kept, or where no other star is.
    """
    ratio, spread = np.full_like(normal, np.nan), np.full_like(normal, np.nan)
    for star in range(normal.shape[1]):
        others = used & (np.arange(len(used)) != star)
        if not others.any():
            continue
        mean, mean_err = comparison(normal[:, others], error[:, others], weight[others], kept[:, others])
        mean = np.where(mean > 0, mean, np.nan)
        value = np.where(kept[:, star], normal[:, star], np.nan) / mean
        middle = median(value)
        ratio[:, star] = value / middle
        spread[:, star] = np.sqrt((error[:, star] / mean) ** 2 + (value * mean_err / mean) ** 2) / middle
    return ratio, spread


def check(time: np.ndarray, ratio: np.ndarray, error: np.ndarray) -> Check:
    """Measure light curves of stars against others: scatter beside what is expected, and trend.

    Parameters
    ----------
    time : ndarray, shape (n,)
        In any unit.
    ratio, error : ndarray, shape (n, stars, cells)
        From `against_others`.

    Returns
    -------
    Check
    """
    good = np.isfinite(ratio)
    count = np.maximum(good.sum(axis=0), 1)
    phase = ((time - time[0]) / (np.ptp(time) or 1.0))[:, None, None] * np.ones_like(ratio)
    phase = np.where(good, phase - np.where(good, phase, 0.0).sum(axis=0) / count, 0.0)
    squares = (phase**2).sum(axis=0)
    squares = np.where(squares > 0, squares, np.nan)
    value = np.where(good, ratio - np.where(good, ratio, 0.0).sum(axis=0) / count, 0.0)
    trend = (phase * value).sum(axis=0) / squares
    rest = np.where(good, value - trend * phase, np.nan)
    return Check(deviation(ratio), median(error), point_to_point(ratio), trend, deviation(rest) / np.sqrt(squares))


@dataclass(frozen=True)
class _Own:
    """Each star's own variance, from those of the stars over each other."""

    variance: np.ndarray  # (stars,)
    inverse: np.ndarray  # (stars, stars): own = inverse · measured
    parts: np.ndarray  # (stars, stars): of star j in the comparison for star i

    @classmethod
    def of(cls, measured: np.ndarray, parts: np.ndarray) -> "_Own":
        inverse = np.linalg.pinv(np.eye(len(parts)) + parts**2)
        return cls(np.maximum((inverse * measured).sum(axis=1), 0.0), inverse, parts)

    def chance(self, expected: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Standard deviation of the own variances, if these were `expected` and each was measured from `count` values."""
        measured = (expected + (self.parts**2 * expected).sum(axis=1)) * np.sqrt(2 / (count - 1))
        return np.asarray(np.sqrt((self.inverse**2 * measured**2).sum(axis=1)))


def _excesses(own: _Own, white: np.ndarray, count: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Excess of each star's own variance over what the stars have in common; 0 where it is small or may be chance.

    Errors that are too small by a factor, and noise of the same size in all stars (scintillation, flat field), are no
    star's fault: the factor is the median of the stars, the common noise the median excess of the others and two of its
    standard deviations; the one that is kinder to the star counts.
    """
    size = np.sqrt(own.variance / white)
    usual = max(1.0, float(median(size)))
    excess, chance = own.variance - white, own.chance(white, count)
    allowed = np.empty_like(white)
    for star in range(len(white)):
        others = np.arange(len(white)) != star
        common = max(0.0, float(median(excess[others])) + 2 * float(median(chance[others])) / np.sqrt(others.sum()))
        allowed[star] = max(usual**2 * white[star], white[star] + common)
    beyond = own.variance - allowed
    varies = (own.variance > limit**2 * allowed) & (beyond > SIGNIFICANCE * own.chance(allowed, count))
    return np.where(varies, beyond, 0.0), size, usual


def _suspicions(normal: np.ndarray, error: np.ndarray, weight: np.ndarray, kept: np.ndarray) -> list[tuple[float, str]]:
    """Excess of each star's variance over what the stars typically have, with words; 0 where there is none."""
    stars = normal.shape[1]
    used = np.ones(stars, bool)
    ratio = against_others(normal[..., None], error[..., None], weight[:, None], kept[..., None], used)[0][..., 0]
    # A few wild points (cosmic rays, where fewer than four stars allow no rejection) do not make a star variable.
    wild = np.abs(ratio - median(ratio)) > WILD * mad(ratio)
    ratio = np.where(wild & (wild.mean(axis=0) < WILD_PART), np.nan, ratio)
    parts = np.where(np.eye(stars, dtype=bool), 0.0, weight[None] * np.ones((stars, 1)))
    parts = parts / parts.sum(axis=1, keepdims=True)
    found = [(0.0, "")] * stars

    def suspect(own: _Own, white: np.ndarray, count: np.ndarray, limit: float, words: str) -> None:
        excess, size, usual = _excesses(own, white, count, limit)
        for star in np.flatnonzero(excess > [most for most, _ in found]):
            found[star] = (float(excess[star]), words.format(size[star], usual))

    expected = np.array([np.mean(error[kept[:, star], star] ** 2) for star in range(stars)])
    if np.isfinite(expected).all() and (expected > 0).all():
        frames = np.isfinite(ratio).sum(axis=0)
        words = "scatter {:.1f} times its error (the stars' median {:.1f})"
        suspect(_Own.of(deviation(ratio) ** 2, parts), expected, frames, SCATTER_LIMIT, words)
    length = max(len(ratio) // RUNS, 2)
    means = averaged(ratio, length)
    runs = np.isfinite(means).sum(axis=0)
    if (runs > 2).all():
        fast = np.maximum(point_to_point(ratio), ROUNDING) ** 2
        white = np.maximum(_Own.of(fast, parts).variance, 0.05 * fast) / length
        words = "means of " + str(length) + " frames scatter {:.1f} times white noise (the stars' median {:.1f})"
        suspect(_Own.of(deviation(means) ** 2, parts), white, runs, RED_LIMIT, words)
    return found


def vetoed(normal: np.ndarray, error: np.ndarray, weight: np.ndarray, kept: np.ndarray, used: np.ndarray) -> dict[int, str]:
    """Find reference stars that vary, the worst first, each with its reason.

    A star is out if its own scatter is more than 1.5 times what its errors say, or the means of a twelfth of the series
    scatter more than twice as much as white noise would; both over what the stars have in common (a factor, or noise of the
    same size in all), and by more than 4 standard deviations of chance. At least two stars stay; with fewer than three
    stars or 20 frames there is no verdict.

    Parameters
    ----------
    normal, error : ndarray, shape (n, stars)
        Normalised fluxes and their errors (NaN if unknown) of one cell.
    weight : ndarray, shape (stars,)
        Of each star.
    kept : ndarray of bool, shape (n, stars)
        Points that count.
    used : ndarray of bool, shape (stars,)
        Stars to judge.

    Returns
    -------
    dict
        Number of the star → reason.
    """
    out: dict[int, str] = {}
    stars = np.flatnonzero(used & (kept.sum(axis=0) >= FEWEST_FRAMES))
    while len(stars) > FEWEST_STARS:
        found = _suspicions(normal[:, stars], error[:, stars], weight[stars], kept[:, stars])
        worst = int(np.argmax([excess for excess, _ in found]))
        if not found[worst][1]:
            break
        out[int(stars[worst])] = found[worst][1]
        stars = np.delete(stars, worst)
    return out
