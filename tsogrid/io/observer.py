"""Who looks at what: site and target of a series, of the configuration or the headers, and what follows for its times.

Where both are known the frames have BJD_TDB, altitude and airmass. What the headers say is checked against each other: the
sign of the longitude by the observatory's name, the telescope's own altitude, hour angle and airmass, or the camera's
clock; the times by whether the star was up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tsogrid.config import InputConfig, SiteConfig, SourceTarget, TargetConfig
from tsogrid.ephemeris import HOURS, Site, airmass, altitudes, barycentric_times, hour_angle
from tsogrid.io.cards import Cards, first_number, first_value
from tsogrid.io.names import look_up_site, look_up_target
from tsogrid.io.pointing import Pointing, separation
from tsogrid.io.site_keywords import Told, header_coordinates, header_name
from tsogrid.io.times import DAY, clock_hours

LARGEST_FIELD = 1.0  # degrees between the pointings of one series; beyond, there is no one target
_SAME_PLACE = 1.0  # degrees
_ALTITUDES = ("TELALT", "ALTITUDE", "ALT", "TEL-ALT", "TELEL", "ELEVATIO", "EL", "OBJCTALT", "CENTALT", "ST-ALT")
_AIRMASSES = ("AIRMASS", "SECZ", "AMASS", "AIRM")
_ALTITUDE_FITS, _HOUR_ANGLE_FITS, _AIRMASS_FITS = 3.0, 3.0, 0.05  # degrees, degrees, relative
_ZONE_FITS = 40.0  # degrees between 15 × the zone's hours and a longitude of it
_AIRMASS_DIFFERS = 0.1  # and as much relative


class Place(NamedTuple):
    """A site, and in words where it comes from."""

    site: Site
    words: str


class Star(NamedTuple):
    """A target, ICRS degrees, and in words where it comes from."""

    ra: float
    dec: float
    words: str


@dataclass
class Observed:
    """What site and target make of the times of a series, (frames,) each; None where they are not known."""

    bjd_tdb: np.ndarray | None = None
    altitude: np.ndarray | None = None
    airmass: np.ndarray | None = None
    words: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def observe(
    config: InputConfig, mjd_utc: np.ndarray, headers: Sequence[Cards], pointings: Sequence[Pointing | None]
) -> Observed:
    """Find site and target of a series, and compute what they make of its times.

    Parameters
    ----------
    config : InputConfig
        Its ``site``, ``target`` and ``time_offset``.
    mjd_utc : ndarray, shape (n,)
        Mid-exposure, MJD in UTC; NaN where unknown.
    headers : sequence of Cards
        Of the first frame.
    pointings : sequence of (Pointing or None)
        What the headers of each frame say.

    Returns
    -------
    Observed

    Raises
    ------
    ConfigError
        A name that cannot be looked up.
    """
    found = Observed()
    known = np.flatnonzero(np.isfinite(mjd_utc))
    if not known.size:
        return found
    star = _star(config, [pointings[index] for index in known[np.argsort(mjd_utc[known], kind="stable")]], found.notes)
    place = _place(config, headers, star, float(mjd_utc[0]), found.notes)
    if place is not None:
        found.attributes |= {"site_latitude_deg": place.site.lat, "site_longitude_deg": place.site.lon}
        if np.isfinite(place.site.height):
            found.attributes["site_altitude_m"] = place.site.height
        found.attributes["site"] = place.words
    if star is not None:
        found.attributes |= {"target_ra_deg": star.ra, "target_dec_deg": star.dec}
    if place is None or star is None:
        given = {"site": config.site, "target": config.target}
        named = [name for name, value in given.items() if value is not None and not isinstance(value, SourceTarget)]
        if named and "none" not in given.values():
            other = "target" if place is not None else "site"
            found.notes.append(
                f"input.{named[0]} is given, but no {other} is known: times stay JD_UTC; give input.{other} for BJD_TDB"
            )
        return found
    found.bjd_tdb = barycentric_times(mjd_utc, place.site, star.ra, star.dec)
    found.altitude = altitudes(mjd_utc, place.site, star.ra, star.dec)
    found.airmass = airmass(found.altitude)
    found.words = f"BJD_TDB of {star.words}, seen from {place.words}"
    _check(found, headers, mjd_utc)
    return found


def _star(config: InputConfig, pointings: Sequence[Pointing | None], notes: list[str]) -> Star | None:
    given = config.target
    if isinstance(given, TargetConfig):
        source = "sources" if isinstance(given, SourceTarget) else "configuration"
        return Star(given.ra, given.dec, f"ra {given.ra:.6f}, dec {given.dec:.6f} ({source})")
    if given is not None:
        if given.strip().lower() == "none":
            return None
        ra, dec = look_up_target(given)
        return Star(ra, dec, f"{given}, ra {ra:.6f}, dec {dec:.6f} (looked up)")
    told = [each for each in pointings if each is not None]
    if not told or len(told) < len(pointings):
        return None
    first = told[0]
    apart = separation(np.array([each.ra for each in told]), np.array([each.dec for each in told]), first.ra, first.dec)
    if apart.max() > LARGEST_FIELD:
        notes.append(
            f"the headers ({first.keys}) point up to {apart.max():.1f} degrees apart: there is no one target, times stay "
            "JD_UTC; give input.target for BJD_TDB"
        )
        return None
    return Star(first.ra, first.dec, f"ra {first.ra:.5f}, dec {first.dec:.5f} ({first.keys} in the header)")


def _place(
    config: InputConfig, headers: Sequence[Cards], star: Star | None, mjd_utc: float, notes: list[str]
) -> Place | None:
    given = config.site
    if isinstance(given, SiteConfig):
        height = float("nan") if given.height is None else given.height
        return _worded(Site(given.lat, (given.lon + 180) % 360 - 180, height), "configuration")
    if given is not None:
        if given.strip().lower() == "none":
            return None
        name, site = look_up_site(given)
        return _worded(site, f"{name}, configuration")
    told, named = header_coordinates(headers), header_name(headers)
    if told is None:
        return None if named is None else _worded(named[1], f"{named[0]}, {named[2]} in the header")
    site = told.site(_sense(config, told, named, headers, star, mjd_utc, notes))
    near = named is not None and _apart(site, named[1]) < _SAME_PLACE
    if near and named is not None and not np.isfinite(site.height):
        site = site._replace(height=named[1].height)
    return _worded(site, f"{told.keys} in the header")


def _worded(site: Site, source: str) -> Place:
    north = f"{abs(site.lat):.4f} {'N' if site.lat >= 0 else 'S'}"
    return Place(site, f"{north} {abs(site.lon):.4f} {'E' if site.lon >= 0 else 'W'} ({source})")


def _apart(one: Site, other: Site) -> float:
    return float(separation(np.array(one.lon), np.array(one.lat), other.lon, other.lat))


def _sense(
    config: InputConfig,
    told: Told,
    named: tuple[str, Site, str] | None,
    headers: Sequence[Cards],
    star: Star | None,
    mjd_utc: float,
    notes: list[str],
) -> int:
    """Decide whether a longitude is counted to the east (+1) or to the west (−1)."""
    if told.sense:
        return told.sense
    east, west = told.site(1), told.site(-1)
    if named is not None:
        fits = [_apart(site, named[1]) < _SAME_PLACE for site in (east, west)]
        if fits[0] != fits[1]:
            return 1 if fits[0] else -1
    if star is not None and np.isfinite(mjd_utc):
        fits = [_looks_right(site, headers, star, mjd_utc) for site in (east, west)]
        if fits[0] != fits[1]:
            return 1 if fits[0] else -1
    hours = clock_hours(headers, config.time_offset)
    if hours is not None:
        fits = [abs((site.lon - HOURS * hours + 180) % 360 - 180) < _ZONE_FITS for site in (east, west)]
        if fits[0] != fits[1]:
            return 1 if fits[0] else -1
    if told.lon <= 0 or told.lon > 180:  # nobody who counts to the west writes a negative number in the west
        return 1
    words = f"{told.keys.rpartition(', ')[2]} = {told.lon:g} does not say whether it is east or west, and is taken as east"
    if star is not None and np.isfinite(mjd_utc):
        time = np.array([mjd_utc])
        light = [float(barycentric_times(time, site, star.ra, star.dec)[0]) for site in (east, west)]
        up = [float(altitudes(time, site, star.ra, star.dec)[0]) for site in (east, west)]
        if (up[0] > 0) != (up[1] > 0):
            return 1 if up[0] > 0 else -1
        words += (
            f"; in the west the first frame's BJD would be {abs(light[1] - light[0]) * DAY:.3f} s off, and the star at "
            f"altitude {up[1]:.0f} in place of {up[0]:.0f} degrees"
        )
    notes.append(f"{words}: give input.site")
    return 1


def _looks_right(site: Site, headers: Sequence[Cards], star: Star, mjd_utc: float) -> bool:
    """Whether the telescope's own altitude, hour angle or airmass is the one from this site."""
    predicted = float(altitudes(np.array([mjd_utc]), site, star.ra, star.dec)[0])
    altitude = _angle(headers, *_ALTITUDES)
    if altitude is not None:
        return abs(altitude - predicted) < _ALTITUDE_FITS
    angle = first_number(headers, "HA")
    if angle is not None:
        expected = hour_angle(mjd_utc, site, star.ra)
        differences = [abs((float(angle) * unit - expected + 180) % 360 - 180) for unit in (1.0, HOURS)]
        return min(differences) < _HOUR_ANGLE_FITS
    told = first_number(headers, *_AIRMASSES)
    if told is not None and told >= 1:
        return abs(float(airmass(predicted)) / told - 1) < _AIRMASS_FITS
    return False


def _angle(headers: Sequence[Cards], *keys: str) -> float | None:
    for key in keys:
        try:
            number = float(str(first_value(headers, key)))
        except ValueError:
            continue
        if -90 <= number <= 90:
            return number
    return None


def _check(found: Observed, headers: Sequence[Cards], mjd_utc: np.ndarray) -> None:
    """Say what cannot be: a star below the horizon, or an airmass other than the header's."""
    assert found.altitude is not None
    assert found.airmass is not None
    below = found.altitude < 0
    if below.any():
        lowest = int(np.nanargmin(found.altitude))
        found.notes.append(
            f"the target is below the horizon in {below.sum()} of {mjd_utc.size} frames (altitude "
            f"{found.altitude[lowest]:.0f} degrees at JD_UTC {mjd_utc[lowest] + 2400000.5:.5f}): times in local time "
            "(input.time_offset), the site or the target (input.site, input.target) are not as they are read"
        )
        return
    told = first_number(headers, *_AIRMASSES)
    here = float(found.airmass[0])
    if told is not None and told >= 1 and np.isfinite(here):
        difference = abs(here - told)
        if difference > _AIRMASS_DIFFERS and difference > _AIRMASS_DIFFERS * told:
            found.notes.append(
                f"the first frame's airmass is {told:g} in the header and {here:.2f} by its time, site and target: one of "
                "these is not as it is read (input.time_offset, input.site, input.target)"
            )
