"""The shape of a transit, known beforehand: when it is, how long, how steep; and which frames are in it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from tsogrid.analysis.binning import duration
from tsogrid.errors import ConfigError

FEWEST_OUTSIDE = 4  # frames out of the transit that a baseline needs


class Transit(NamedTuple):
    """A transit (or an eclipse) of a small body in front of a disc of even brightness.

    Parameters
    ----------
    mid : float
        Time of its middle, in the unit and scale of the light curve's times.
    duration : float or str
        From first to last contact, days, or a text as ``"2.5 h"``.
    ratio : float
        Radius of the planet over the star's; it sets how long ingress takes.
    impact : float
        Impact parameter in stellar radii, below 1 − ratio.
    """

    mid: float
    duration: Any
    ratio: float = 0.1
    impact: float = 0.3


def overlap(time: np.ndarray, mid: float, length: float, ratio: float, impact: float) -> np.ndarray:
    """Give the part of the planet that is in front of the star.

    Parameters
    ----------
    time : ndarray, shape (n,)
    mid, length : float
        Middle and duration, in the unit of the times.
    ratio, impact : float
        As in `Transit`.

    Returns
    -------
    ndarray, shape (n,)
        0 out of transit, 1 when the whole planet is in front. The common area of two discs is that of the two segments
        which their common chord cuts off: Σ r² (α − sin α cos α), α half the angle of the chord seen from a centre.
    """
    way = 2 * np.sqrt((1 + ratio) ** 2 - impact**2) / length
    distance = np.hypot(way * (np.asarray(time, float) - mid), impact)
    between = np.clip(distance, 1 - ratio, 1 + ratio)
    chord = (between**2 + 1 - ratio**2) / (2 * between)  # its distance from the star's centre
    half = np.sqrt(np.maximum(1 - chord**2, 0.0))
    star, planet = np.arctan2(half, chord), np.arctan2(half, between - chord)
    area = star - half * chord + ratio**2 * planet - half * (between - chord)
    covered = np.clip(area / (np.pi * ratio**2), 0.0, 1.0)
    return np.where(distance >= 1 + ratio, 0.0, np.where(distance <= 1 - ratio, 1.0, covered))


def shape_of(transit: Any, curve: xr.Dataset) -> tuple[np.ndarray | None, float, str]:
    """Read what is known of a transit.

    Parameters
    ----------
    transit : Transit, sequence of numbers, array, False or None
        Middle and duration, and ratio and impact if they are known; or the shape itself, one number a frame: 0 out of
        transit, 1 at full depth. False: there is none. None: nothing is known.
    curve : Dataset
        The light curve.

    Returns
    -------
    shape : ndarray, shape (n,), or None
        None where there is no transit or nothing is known.
    length : float
        Duration in the unit of the times; of a shape the time between its first and last frame; NaN if there is none.
    words : str

    Raises
    ------
    ConfigError
        It is none of these, or has no frame in it, or leaves none out of it.
    """
    time = np.asarray(curve["time"], float)
    if transit is None or transit is False:
        return None, np.nan, "there is none" if transit is False else "unknown"
    if isinstance(transit, np.ndarray | xr.DataArray):
        shape = np.asarray(transit, float)
        if shape.shape != time.shape or not np.isfinite(shape).all():
            raise ConfigError(
                f"transit: expected a finite number for each of {len(time)} frames, found the form {shape.shape}"
                f"{'' if shape.shape != time.shape else ' and numbers that are not finite'}."
            )
        inside = time[shape != 0]
        length = float(np.ptp(inside)) if len(inside) else 0.0
        words = "a shape of its own"
    else:
        given = _numbers(transit, curve)
        shape = overlap(time, given.mid, given.duration, given.ratio, given.impact)
        length = given.duration
        words = f"mid {given.mid:.12g}, duration {length:.6g}, ratio {given.ratio:g}, impact {given.impact:g}"
    if not (shape != 0).any():
        raise ConfigError(
            f"transit: expected frames in it, found none ({words}; the frames are from {time[0]:.12g} to {time[-1]:.12g}). "
            "Say transit=False if there is none in this series."
        )
    outside = int((shape == 0).sum())
    if outside < FEWEST_OUTSIDE:
        raise ConfigError(
            f"transit: expected at least {FEWEST_OUTSIDE} frames out of it, found {outside} of {len(time)} ({words}): there "
            "is no baseline."
        )
    return shape, length, words


def _numbers(transit: Any, curve: xr.Dataset) -> Transit:
    if not isinstance(transit, Sequence) or isinstance(transit, str) or not 2 <= len(transit) <= 4:
        raise ConfigError(
            f"transit: expected (mid, duration), with ratio and impact where they are known, or False; found {transit!r}."
        )
    try:
        mid, *rest = (float(transit[0]), *(float(value) for value in transit[2:]))
    except (TypeError, ValueError):
        raise ConfigError(f"transit: expected numbers of days (or a duration as '2.5 h'), found {transit!r}.") from None
    try:
        length = duration(transit[1], curve)
    except (ConfigError, TypeError, ValueError) as error:
        raise ConfigError(
            f"transit: expected a duration as 0.1 (days) or '2.5 h', found {transit[1]!r} ({error})."
        ) from None
    given = Transit(mid, length, *rest)
    if not (np.isfinite(mid) and 0 < given.ratio < 1 and 0 <= given.impact < 1 - given.ratio):
        raise ConfigError(
            f"transit: expected a finite mid-time, a ratio between 0 and 1 and an impact from 0 to 1 - ratio, found {given}."
        )
    return given
