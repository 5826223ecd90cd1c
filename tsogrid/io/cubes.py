"""Cubes whose headers tell what their planes are: when each was taken, and which of them are no frames.

A header of a cube says when the cube began. For cameras that are known here it also says how long a plane takes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsogrid.io.cards import Cards, first_number, first_value
from tsogrid.io.fits import FitsFile, Unit
from tsogrid.io.times import DAY, MJD_ZERO

SLOPE_PLANES = 2  # slope and uncertainty


class PlaneTimes(NamedTuple):
    """Middles of the planes of a cube in days, (rows,) each: MJD_UTC and full BJD_TDB (NaN where unknown); their origin."""

    mjd_utc: np.ndarray
    bjd_tdb: np.ndarray
    origin: str


def is_slope(file: FitsFile, unit: Unit) -> bool:
    """Whether an image is a slope product of ncdhas: the slope of the ramp, then its formal uncertainty, in one cube.

    Known by the name ``.slp.fits`` or the keyword ISWFS of NIRCam's ground system, and by its two planes.
    """
    if len(unit.axes) != 3 or unit.axes[0] != SLOPE_PLANES:
        return False
    named = ".slp." in file.name.lower() or file.name.lower().startswith("slp")
    return named or any("ISWFS" in header for header in (unit.header, file.primary))


def plane_times(headers: Sequence[Cards], rows: int) -> PlaneTimes | None:
    """Give the times of the planes of a cube, where the camera is known.

    Parameters
    ----------
    headers : sequence of Cards
        The first that has a keyword counts.
    rows : int
        Planes.

    Returns
    -------
    PlaneTimes or None
        None for a camera that is not known here, or without its keywords.

    Notes
    -----
    Spitzer's IRAC reads subarrays 64 times in a row, FRAMTIME seconds each: the middle of plane i (from 0) is
    ``MJD_OBS + (i + ½) FRAMTIME``, in UTC at the spacecraft, and the same after BMJD_OBS, the start at the barycentre of the
    solar system, also in UTC (IRAC High Precision Photometry, Timing). BJD_TDB is that on the scale TDB.
    """
    if str(first_value(headers, "INSTRUME") or "").strip().upper() != "IRAC":
        return None
    start, step = (first_number(headers, key) for key in ("MJD_OBS", "FRAMTIME"))
    if start is None or step is None or not step > 0:
        return None
    after = (np.arange(rows) + 0.5) * step / DAY
    barycentre = first_number(headers, "BMJD_OBS")
    bjd = np.full(rows, np.nan) if barycentre is None else _tdb(barycentre + after) + MJD_ZERO
    return PlaneTimes(start + after, bjd, "MJD_OBS, BMJD_OBS and FRAMTIME")


def _tdb(mjd_utc: np.ndarray) -> np.ndarray:
    from astropy.time import Time  # a third of a second to import

    return np.asarray(Time(mjd_utc, format="mjd", scale="utc").tdb.mjd)
