"""Reference stars become one comparison: normalised, cleaned of single bad points, and averaged by weight.

Arrays of frames × stars × cells (apertures and skies) in, arrays out. What a star has in common with all others (clouds,
extinction) is in the comparison; what only one of them does at one time is rejected here, and what only one of them does all
the time is found in `tsogrid.analysis.veto`.
"""

import numpy as np

from tsogrid.analysis.scatter import NORMAL_MAD, median

ROUNDING = 1e-12  # relative scatter that numbers have without any noise
FEWEST_FOR_REJECTION = 4  # with three, the worst of two that disagree cannot be told from the better one


def normal_flux(flux: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Median flux of each star over the frames that all used stars have.

    A star's median over frames that the others lack would hold those frames' clouds, and the comparison would step where
    the star comes and goes. Where fewer than half of the frames are common, each star's own frames are taken.

    Parameters
    ----------
    flux : ndarray, shape (n, stars, cells)
        NaN where not measured.
    used : ndarray of bool, shape (stars,)
        Which stars make the comparison.

    Returns
    -------
    ndarray, shape (stars, cells)
        NaN where it is not positive.
    """
    good = np.isfinite(flux[:, used])
    common = (good | ~good.any(axis=0)).all(axis=1)  # a star that a cell never has does not count there
    enough = 2 * common.sum(axis=0) >= good.any(axis=1).sum(axis=0)
    middle = median(np.where((common | ~enough)[:, None], flux, np.nan))
    return np.where(middle > 0, middle, np.nan)


def comparison(normal: np.ndarray, error: np.ndarray, weight: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average normalised stars by weight over those that are kept: C = Σ W n / Σ W.

    Parameters
    ----------
    normal, error : ndarray, shape (n, stars, cells)
        Normalised flux n and its error.
    weight : ndarray, shape (stars, cells)
        W; renormalised in each frame over the stars that are kept there.
    kept : ndarray of bool, shape (n, stars, cells)
        Points that count.

    Returns
    -------
    comparison, error : ndarray, shape (n, cells)
        NaN in frames where no star is kept; the error is √Σ W²σ² / Σ W.
    """
    parts = np.where(kept, weight, 0.0)
    total = parts.sum(axis=1)
    total = np.where(total > 0, total, np.nan)
    mean = (parts * np.where(kept, normal, 0.0)).sum(axis=1) / total
    spread = np.sqrt(((parts * np.where(kept, error, 0.0)) ** 2).sum(axis=1)) / total
    return mean, spread


def weighted_median(values: np.ndarray, weight: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Weighted median over stars in each frame: the smallest value with half of the weight at or below it.

    Parameters
    ----------
    values : ndarray, shape (n, stars)
    weight : ndarray, shape (stars,)
    kept : ndarray of bool, shape (n, stars)

    Returns
    -------
    ndarray, shape (n,)
        NaN where none is kept.
    """
    order = np.argsort(np.where(kept, values, np.inf), axis=1)
    below = np.cumsum(np.take_along_axis(np.where(kept, weight, 0.0), order, axis=1), axis=1)
    # The margin keeps the choice the same in whatever order the weights were added.
    place = (below >= 0.5 * below[:, -1:] * (1 - 1e-9)).argmax(axis=1)
    chosen = np.take_along_axis(values, np.take_along_axis(order, place[:, None], axis=1), axis=1)[:, 0]
    return np.where(kept.any(axis=1), chosen, np.nan)


def accepted(normal: np.ndarray, error: np.ndarray, weight: np.ndarray, threshold: float | None) -> np.ndarray:
    """Find the points of reference stars that agree with the other stars of their frame.

    A star's deviation is n less the weighted median m of the others, over the star's error (over m where not all of its
    errors are known). Each star has a σ of its own: 1.4826 MAD of its deviations over time. Of a frame with points beyond
    the threshold the worst is taken away and the rest looked at again, so that one bad star does not take the others with
    it. The others are without the star itself, and by weight: against a plain median of all stars, whose noise the star
    shares, the deviations of good points have long tails, and 3 σ would take ten times what it should.

    Parameters
    ----------
    normal, error : ndarray, shape (n, stars)
        Normalised fluxes and their errors (NaN if unknown).
    weight : ndarray, shape (stars,)
        Of each star.
    threshold : float or None
        In σ; None rejects nothing. Frames with fewer than four stars lose none.

    Returns
    -------
    ndarray of bool, shape (n, stars)
        False also where a star was not measured.
    """
    kept = np.isfinite(normal)
    if threshold is None or normal.shape[1] < FEWEST_FOR_REJECTION:
        return kept
    known = ((error > 0) | ~kept).all(axis=0)

    def deviations(rows: np.ndarray) -> np.ndarray:
        stars = np.arange(normal.shape[1])
        found = np.full((len(rows), len(stars)), np.nan)
        for star in stars:
            others = stars != star
            middle = weighted_median(normal[rows][:, others], weight[others], kept[rows][:, others])
            middle = np.where(middle > 0, middle, np.nan)
            found[:, star] = (normal[rows, star] - middle) / (error[rows, star] if known[star] else middle)
        return found

    rows = np.arange(len(normal))
    first = deviations(rows)
    centre = median(first)
    sigma = NORMAL_MAD * median(np.abs(first - centre))
    sigma = np.where(sigma > ROUNDING, sigma, np.inf)  # stars without any noise
    while len(rows):
        size = np.where(kept[rows], np.abs(deviations(rows) - centre) / sigma, 0.0)
        size = np.nan_to_num(size, nan=0.0, posinf=np.inf)
        worst = size.argmax(axis=1)
        beyond = (size.max(axis=1) > threshold) & (kept[rows].sum(axis=1) >= FEWEST_FOR_REJECTION)
        kept[rows[beyond], worst[beyond]] = False
        rows = rows[beyond]
    return kept
