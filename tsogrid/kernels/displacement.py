"""One displacement a frame from the displacements of its stars: the bright ones tell where all are."""

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.statistics import MAD_TO_SIGMA

FAR = 3.0  # standard deviations from the median at which a star's displacement is left out, and
AT_LEAST = 0.3  # pixels that it may differ in any case


def common_displacement(
    dx: NDArray[np.floating], dy: NDArray[np.floating], light: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean displacement of the stars of each frame, weighted by their light, without those that went another way.

    Parameters
    ----------
    dx, dy : ndarray, shape (n, n_sources)
        Displacement of each star in pixels; NaN where it is not known.
    light : ndarray, shape (n, n_sources)
        Its weight: height or flux. A star without (NaN, or not above 0) takes no part.

    Returns
    -------
    dx, dy : ndarray, shape (n,)
        NaN where no star tells it.

    Notes
    -----
    The variance of a centre is the inverse of the star's photons, so that light is the weight. Left out is a star farther
    from the weighted median than 3 times 1.4826 the weighted median of such distances, and than 0.3 pixels.

    Raises
    ------
    ValueError
        If shapes differ.
    """
    if not dx.shape == dy.shape == light.shape or dx.ndim != 2:
        raise ValueError(f"expected three arrays of one shape (n, n_sources), found {dx.shape}, {dy.shape}, {light.shape}")
    known = np.isfinite(dx) & np.isfinite(dy) & (light > 0) & np.isfinite(light)
    weights, x, y = (np.where(known, each, 0.0).astype(np.float64) for each in (light, dx, dy))
    distance = np.hypot(x - _weighted_median(x, weights)[:, None], y - _weighted_median(y, weights)[:, None])
    limit = np.maximum(FAR * MAD_TO_SIGMA * _weighted_median(distance, weights), AT_LEAST)
    weights = np.where(distance <= limit[:, None], weights, 0.0)
    total = weights.sum(axis=1)
    total = np.where(total > 0, total, np.nan)
    return (weights * x).sum(axis=1) / total, (weights * y).sum(axis=1) / total


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Value of each row at which half of the weight is reached, the mean of two where it is reached between them."""
    order = np.argsort(values, axis=1, kind="stable")
    values, weights = np.take_along_axis(values, order, 1), np.take_along_axis(weights, order, 1)
    below = np.cumsum(weights, axis=1)
    half = 0.5 * below[:, -1:]
    first, last = np.argmax(below >= half, axis=1), np.argmax(below > half, axis=1)
    rows = np.arange(len(values))
    return 0.5 * (values[rows, first] + values[rows, last])
