"""The level of pixels that see no light: one number for each line of an overscan, or a polynomial along the lines.

Plain numpy: an overscan is a few columns wide. Each frame is treated alone, so that a batch changes no bit.
"""

from typing import NamedTuple

import numpy as np

_PASSES = 3
_CLIP = 4.0  # standard deviations: hits and trailing charge lie far beyond, noise does not
_MEDIAN_VARIANCE = np.pi / 2  # of a median of many Gaussian numbers, over that of their mean


class OverscanLevels(NamedTuple):
    """Levels of lines.

    Parameters
    ----------
    level : ndarray, shape (n, n_lines)
        In the unit of the pixels; NaN where a line has no good pixel.
    variance : ndarray, shape (n, n_lines)
        Of the level, in units of the variance of one pixel.
    """

    level: np.ndarray
    variance: np.ndarray


def overscan_levels(strip: np.ndarray, statistic: str = "clipped-mean") -> OverscanLevels:
    """Find the level of every line of an overscan.

    Parameters
    ----------
    strip : ndarray, shape (n, n_lines, n_pixels)
        Overscan pixels of n frames, the pixels of a line last; those that are not finite are left out.
    statistic : {"clipped-mean", "mean", "median"}
        Over the pixels of a line. ``clipped-mean`` leaves out what is more than 4 standard deviations from the median, three
        times. A median of integers is one: with a noise of about one data unit it is off by up to half of one.

    Returns
    -------
    OverscanLevels

    Raises
    ------
    ValueError
        Another statistic, or not three dimensions.
    """
    if strip.ndim != 3 or statistic not in ("clipped-mean", "mean", "median"):
        raise ValueError(f"expected (n, n_lines, n_pixels) and a known statistic, found {strip.shape}, {statistic!r}")
    values = np.asarray(strip, np.float64)
    good = np.isfinite(values)
    if statistic == "clipped-mean":
        good = _clipped(values, good)
    count = good.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        if statistic == "median":
            level, factor = _median(values, good), _MEDIAN_VARIANCE
        else:
            level, factor = np.where(good, values, 0.0).sum(axis=2) / count, 1.0
        variance = np.where(count > 0, np.where(count > 2, factor, 1.0) / count, np.nan)
    level = np.where(count > 0, level, np.nan)
    return OverscanLevels(level, variance)


def smooth_levels(found: OverscanLevels, order: int, lines: np.ndarray) -> OverscanLevels:
    """Put a polynomial along the lines in place of their levels.

    Parameters
    ----------
    found : OverscanLevels
        Levels of all lines of the overscan.
    order : int
        Of the Legendre polynomial, which is fitted by weighted least squares; less where fewer levels are known.
    lines : ndarray, shape (m,)
        Where it is wanted: 0 is the first line of the overscan; others may lie outside it.

    Returns
    -------
    OverscanLevels
        Shape (n, m). The variance is that of the fit at each line.
    """
    n_lines = found.level.shape[1]
    scale = max((n_lines - 1) / 2, 0.5)
    own, wanted = (np.arange(n_lines) - scale) / scale, (np.asarray(lines, float) - scale) / scale
    fitted = [_polynomial(*each, order, own, wanted) for each in zip(found.level, found.variance, strict=True)]
    return OverscanLevels(np.array([each[0] for each in fitted]), np.array([each[1] for each in fitted]))


def _median(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Median of the good values along the last axis; numpy's nanmedian is slow and warns of empty lines."""
    ordered = np.sort(np.where(good, values, np.nan), axis=2)
    count = good.sum(axis=2)[..., None]
    low, high = (np.take_along_axis(ordered, np.maximum(each, 0), axis=2)[..., 0] for each in ((count - 1) // 2, count // 2))
    return np.asarray((low + high) / 2)


def _clipped(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    for _ in range(_PASSES):
        count = np.maximum(good.sum(axis=2), 1)[..., None]
        mean = np.where(good, values, 0.0).sum(axis=2)[..., None] / count
        spread = np.sqrt(np.where(good, (values - mean) ** 2, 0.0).sum(axis=2)[..., None] / count)
        kept = good & (np.abs(values - _median(values, good)[..., None]) <= _CLIP * spread)
        if np.array_equal(kept, good):  # nor would another pass change any
            break
        good = kept
    return good


def _polynomial(
    level: np.ndarray, variance: np.ndarray, order: int, own: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the levels of one frame: values and variances at the wanted lines."""
    good = np.isfinite(level)
    if not good.any():
        return np.full(wanted.shape, np.nan), np.full(wanted.shape, np.nan)
    order = min(order, int(good.sum()) - 1)
    weight = 1 / np.sqrt(variance[good])
    solved = np.linalg.pinv(np.polynomial.legendre.legvander(own[good], order) * weight[:, None]) * weight
    basis = np.polynomial.legendre.legvander(wanted, order)
    # The rows of `solved` are the parts of the levels in the coefficients.
    parts = basis @ solved
    return parts @ level[good], (parts**2 * variance[good]).sum(axis=1)
