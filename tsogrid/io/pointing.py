"""Where the headers say that the star, or else the telescope, stands on the sky.

A number for the right ascension is degrees, as FITS has it, unless the comment or the world coordinates of the frame show
that it is hours; text is h:m:s. A position of another equinox is brought to J2000.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsogrid.config.observer import angle
from tsogrid.ephemeris import HOURS, to_icrs
from tsogrid.io.cards import Cards, first_number, first_value

# Pairs of keywords, the first that is found counts.
TARGETS = (("TARG_RA", "TARG_DEC"), ("RA_TARG", "DEC_TARG"), ("RA_OBJ", "DEC_OBJ"), ("OBJCTRA", "OBJCTDEC"), ("RA", "DEC"))
MORE_TARGETS = (
    ("RA-OBJ", "DEC-OBJ"),
    ("TELRA", "TELDEC"),
    ("OBJRA", "OBJDEC"),
    ("RA_DEG", "DEC_DEG"),
    ("CAT-RA", "CAT-DEC"),
)
_EQUINOXES = ("EQUINOX", "EPOCH")
_YEARS = (1850.0, 2150.0)  # of an equinox that is meant as a year
_J2000 = 2000.0
_SAME_EQUINOX = 0.05  # years: 2 arcsec of precession
_NEAR = 5.0  # degrees between a pointing and the world coordinates of its frame
_PLAIN_NUMBER = re.compile(r"^[-+]?\d+\.?\d*$")


class Pointing(NamedTuple):
    """A position of the sky that a header tells: ICRS, degrees."""

    ra: float
    dec: float
    keys: str


def header_target(headers: Sequence[Cards]) -> Pointing | None:
    """Read the position of the target, or else of the telescope.

    Parameters
    ----------
    headers : sequence of Cards
        The header of the image, then the primary one; the first that has a keyword counts.

    Returns
    -------
    Pointing or None
        None where they do not tell it.
    """
    for ra_key, dec_key in (*TARGETS, *MORE_TARGETS):
        found = position(headers, ra_key, dec_key)
        if found is None:
            continue
        ra, dec = found
        equinox = _equinox(headers)
        if equinox is not None and abs(equinox - _J2000) > _SAME_EQUINOX:
            return Pointing(*to_icrs(ra, dec, equinox), f"{ra_key}, {dec_key} of {equinox:g}")
        return Pointing(ra, dec, f"{ra_key}, {dec_key}")
    return None


def position(headers: Sequence[Cards], ra_key: str, dec_key: str) -> tuple[float, float] | None:
    """Read a pair of keywords as right ascension and declination in degrees; None if they are none."""
    ra, dec = first_value(headers, ra_key), first_value(headers, dec_key)
    if ra is None or dec is None or isinstance(ra, bool) or isinstance(dec, bool):
        return None
    if isinstance(ra, str) and _PLAIN_NUMBER.match(ra.strip()):
        ra = float(ra)
    try:
        east, north = angle(ra, hours=True), angle(dec, hours=False)
    except ValueError:
        return None
    if not isinstance(ra, str) and _is_hours(headers, ra_key, east, north):
        east *= HOURS
    if not (0 <= east <= 360 and -90 <= north <= 90) or (east == 0 and north == 0):  # both zero: never filled in
        return None
    return east % 360.0, north


def separation(ra: np.ndarray, dec: np.ndarray, ra0: float, dec0: float) -> np.ndarray:
    """Give angles on the sky between positions and one of them, degrees."""
    along, up, up0 = np.deg2rad(ra - ra0), np.deg2rad(dec), np.deg2rad(dec0)
    half = np.sin((up - up0) / 2) ** 2 + np.cos(up) * np.cos(up0) * np.sin(along / 2) ** 2
    return np.rad2deg(2 * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def _equinox(headers: Sequence[Cards]) -> float | None:
    system = str(first_value(headers, "RADESYS", "RADECSYS") or "").strip().upper()
    if system == "ICRS":
        return None
    for key in _EQUINOXES:
        found = first_value(headers, key)
        try:
            year = float(str(found).strip().lstrip("JjBb"))
        except ValueError:
            continue
        if _YEARS[0] < year < _YEARS[1]:
            return year
    return None


def _is_hours(headers: Sequence[Cards], key: str, ra: float, dec: float) -> bool:
    """Whether a number for the right ascension is hours, by its comment or by the world coordinates of the frame."""
    if not 0 <= ra < 24:
        return False
    card = next(header.image(key) for header in headers if key in header)
    comment = card[9:].partition("/")[2].lower()
    if re.search(r"\b(deg|degrees?)\b", comment):
        return False
    if re.search(r"\b(hours?|hrs?|h)\b", comment):
        return True
    centre = first_number(headers, "CRVAL1"), first_number(headers, "CRVAL2")
    if None in centre or not str(first_value(headers, "CTYPE1") or "").upper().startswith("RA-"):
        return False
    ra0, dec0 = float(centre[0] or 0), float(centre[1] or 0)
    as_degrees, as_hours = (float(separation(np.array(each), np.array(dec), ra0, dec0)) for each in (ra, ra * HOURS))
    return as_hours < _NEAR <= as_degrees
