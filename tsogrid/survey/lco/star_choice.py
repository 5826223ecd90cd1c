"""Which star of a field is meant: by its index, its source id, or a place on the sky."""

from typing import Any

import numpy as np

from tsogrid.config.section import degrees
from tsogrid.errors import InputError
from tsogrid.io.pointing import separation

RADIUS = 2.0  # arcseconds within which a star is the one that is meant


def find_star(star: Any, source_id: np.ndarray, sky: np.ndarray, radius: float = RADIUS) -> int:
    """Find a star.

    Parameters
    ----------
    star : int, (ra, dec), SkyCoord or str
        An index below N, a source id, or degrees; text as ``268.42,-29.31`` or ``17:53:40.8,-29:18:36``.
    source_id : ndarray of int, shape (N,)
    sky : ndarray, shape (N, 2)
        Right ascension and declination, degrees.
    radius : float
        Arcseconds within which the nearest star of the catalogue must be.

    Returns
    -------
    int
        The index.

    Raises
    ------
    InputError
        There is no such star.
    """
    if isinstance(star, int | np.integer) and not isinstance(star, bool):
        return _by_number(int(star), source_id)
    if isinstance(star, str) and star.strip().isdigit():
        return _by_number(int(star), source_id)
    return _nearest(*sky_of(star), sky, radius)


def _by_number(star: int, source_id: np.ndarray) -> int:
    if 0 <= star < len(source_id):
        return star
    found = np.flatnonzero(source_id == star)
    if not found.size:
        raise InputError(f"star {star}: expected an index below {len(source_id)}, or the source id of one of these stars.")
    return int(found[0])


def _nearest(ra: float, dec: float, sky: np.ndarray, radius: float) -> int:
    apart = 3600.0 * separation(sky[:, 0], sky[:, 1], ra, dec)
    if not np.isfinite(apart).any():
        raise InputError(f"star at {ra:.6f} {dec:+.6f}: expected a data set with stars, found none in it.")
    best = int(np.nanargmin(apart))
    if not apart[best] <= radius:
        raise InputError(
            f"star at {ra:.6f} {dec:+.6f}: expected one within {radius:g} arcsec, found the nearest, number {best}, at "
            f"{apart[best]:.2f} arcsec."
        )
    return best


def sky_of(star: Any) -> tuple[float, float]:
    """Give a place on the sky in degrees, in any of the forms that a user has it in.

    Parameters
    ----------
    star : (ra, dec), SkyCoord or str

    Returns
    -------
    ra, dec : float

    Raises
    ------
    InputError
        It is no place.
    """
    try:
        if hasattr(star, "icrs"):
            return float(star.icrs.ra.deg), float(star.icrs.dec.deg)
        first, second = star.replace(",", " ").split() if isinstance(star, str) else star
        return degrees(_number(first), hours=True), degrees(_number(second), hours=False)
    except (TypeError, ValueError, AttributeError):
        raise InputError(
            f"star {star!r}: expected an index, a source id, or right ascension and declination in degrees (ra, dec)."
        ) from None


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
