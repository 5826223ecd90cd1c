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
        Fewer than four finite points, or none in the transit.
    """
    good = np.isfinite(flux) & np.isfinite(time)
    if good.sum() < 4:
        raise ValueError(f"expected at least four finite points, found {int(good.sum())}")
    if not shape[good].any():
        raise ValueError("expected finite points in the transit, found none: its depth is free")
    scale = np.ptp(time[good]) or 1.0
    columns = np.stack([np.ones_like(time), (time - time[good].mean()) / scale, -shape], axis=1)
    # Sums in place of matrix products: BLAS may raise floating-point flags for numbers that are all finite.
    inverse = np.linalg.inv((columns[good, :, None] * columns[good, None, :]).sum(axis=0))
    a, b, c = (inverse * (columns[good] * flux[good, None]).sum(axis=0)).sum(axis=1)
    baseline = a * columns[:, 0] + b * columns[:, 1]
    residual = (flux - baseline - c * columns[:, 2])[good]
    variance = (residual**2).sum() / (good.sum() - 3)
    return TransitFit(float(c / a), float(np.sqrt(variance * inverse[2, 2]) / a), baseline, float(np.sqrt(variance) / a))
