"""Cosmic rays, found in each frame by their sharp edges: L.A.Cosmic (van Dokkum 2001, PASP 113, 1420), by astroscrappy.

It looks at neighbours, and in several passes at the neighbours of what it found, so it always gets the whole frame: then a
number does not depend on which window was read.
"""

import numpy as np

from tsogrid.config import CosmicRays
from tsogrid.errors import ConfigError

_NEVER = 3.0e38  # no pixel is above: what is saturated is judged elsewhere, on raw counts


def require_astroscrappy() -> None:
    """Say which package is missing, before a run begins.

    Raises
    ------
    ConfigError
        astroscrappy is not installed.
    """
    try:
        import astroscrappy  # noqa: F401
    except ImportError:
        raise ConfigError(
            'calibrate.cosmic_rays needs the package astroscrappy, which is not installed: pip install "tsogrid[cosmic]"'
        ) from None


def without_cosmic_rays(data: np.ndarray, error: np.ndarray | None, settings: CosmicRays) -> np.ndarray:
    """Find the pixels that cosmic rays hit, and make them bad or mend them.

    Parameters
    ----------
    data, error : ndarray, shape (n, ny, nx)
        Whole frames and their 1 sigma errors; what is not finite is bad.
    settings : CosmicRays
        Thresholds, and what becomes of a hit.

    Returns
    -------
    ndarray, shape (n, ny, nx)
        A copy, hits NaN or with the mean of their good neighbours.
    """
    import astroscrappy

    assert error is not None
    made = data.copy()
    for frame, sigma in zip(made, error, strict=True):
        bad = ~(np.isfinite(frame) & np.isfinite(sigma))
        if bad.all():
            continue
        level = np.median(frame[~bad])
        variance = np.where(bad, np.median(sigma[~bad]), sigma).astype(np.float32) ** 2
        hits, mended = astroscrappy.detect_cosmics(
            np.where(bad, level, frame).astype(np.float32),
            inmask=bad,
            invar=variance,
            sigclip=settings.threshold,
            sigfrac=settings.neighbours,
            objlim=settings.contrast,
            gain=1.0,
            satlevel=_NEVER,
            niter=settings.iterations,
            cleantype="meanmask",
        )
        hits &= ~bad
        frame[hits] = np.nan if settings.repair == "mask" else mended[hits]
    return made
