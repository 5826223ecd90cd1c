"""The depth of a transit whose shape is known: one linear least-squares fit."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TransitFit:
    """A fitted depth.

    Parameters
    ----------
    depth, depth_err : float
        Relative depth and its 1 sigma error from the scatter of the residuals.
    baseline : ndarray, shape (n,)
        The fitted flux without transit.
    scatter : float
        Standard deviation of the residuals, relative to the baseline.
    """

    depth: float
    depth_err: float
    baseline: np.ndarray
    scatter: float


def fit_transit(time: np.ndarray, flux: np.ndarray, shape: np.ndarray) -> TransitFit:
    """Fit a straight baseline and the depth of a transit.

    The model is ``a + b (t − mean t) − c · shape``, linear in all three; the depth is ``c / a``.

    Parameters
    ----------
    time : ndarray, shape (n,)
        In days.
    flux : ndarray, shape (n,)
        In any unit; NaN is left out.
    shape : ndarray, shape (n,)
        0 out of transit, 1 at full depth.

    Returns
    -------
    TransitFit

    Raises
    ------
    ValueError
        Fewer than four finite points.
    """
    good = np.isfinite(flux) & np.isfinite(time)
    if good.sum() < 4:
        raise ValueError(f"expected at least four finite points, found {int(good.sum())}")
    scale = np.ptp(time[good]) or 1.0
    columns = np.stack([np.ones_like(time), (time - time[good].mean()) / scale, -shape], axis=1)
    inverse = np.linalg.pinv(columns[good].T @ columns[good])
    a, b, c = inverse @ columns[good].T @ flux[good]
    residual = flux[good] - columns[good] @ np.array([a, b, c])
    variance = residual @ residual / (good.sum() - 3)
    baseline = columns[:, :2] @ np.array([a, b])
    return TransitFit(float(c / a), float(np.sqrt(variance * inverse[2, 2]) / a), baseline, float(np.sqrt(variance) / a))
