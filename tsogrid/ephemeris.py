"""Where the Earth and the sky are: times at the barycentre of the solar system, altitudes and airmass, without a network.

Everything is astropy's, with the tables that it brings along; nothing is downloaded. The rotation of the Earth beyond the
end of these tables is off by less than a second, which is less than 2 microseconds of light and 15 arcseconds of altitude.
"""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np

MJD_ZERO = 2400000.5  # JD of MJD 0
HOURS = 15.0  # degrees an hour


class Site(NamedTuple):
    """A place on the Earth: degrees (longitude to the east), and metres above the ellipsoid; NaN height if unknown."""

    lat: float
    lon: float
    height: float = float("nan")


@contextmanager
def _offline() -> Iterator[None]:
    """Let astropy use the tables that it has, and keep to itself how old they are.

    Without `auto_max_age` it would refuse times after the table's last measured day once that is thirty days ago.
    """
    from astropy.utils import iers

    with ExitStack() as stack:
        for name, value in (("auto_download", False), ("auto_max_age", None), ("iers_degraded_accuracy", "ignore")):
            stack.enter_context(iers.conf.set_temp(name, value))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def _times(mjd_utc: np.ndarray, site: Site) -> Any:
    from astropy import units
    from astropy.coordinates import EarthLocation
    from astropy.time import Time

    height = site.height if np.isfinite(site.height) else 0.0
    place = EarthLocation.from_geodetic(site.lon * units.deg, site.lat * units.deg, height * units.m)
    return Time(np.full(mjd_utc.shape, MJD_ZERO), mjd_utc, format="jd", scale="utc", location=place)


def barycentric_times(mjd_utc: np.ndarray, site: Site, ra: Any, dec: Any) -> np.ndarray:
    """Give the times at which light that an observer sees passes the barycentre of the solar system.

    BJD_TDB = JD_TDB + r · n / c, r from the barycentre to the observer, n to the star (Eastman, Siverd & Gaudi 2010, PASP
    122, 935); r is that of `astropy.time.Time.light_travel_time`: the ephemeris of ERFA (epv00, good to 11 km or 40
    microseconds at worst) and the site on the rotating Earth.

    Parameters
    ----------
    mjd_utc : ndarray, shape (n,)
        MJD in UTC; NaN where unknown.
    site : Site
        The observer.
    ra, dec : float, or ndarray of shape (m,)
        ICRS, degrees; NaN where unknown.

    Returns
    -------
    ndarray, shape (n,) or (n, m)
        BJD_TDB in days; NaN where a time or a position is unknown.
    """
    from astropy import units
    from astropy.coordinates import SkyCoord

    mjd_utc, ra, dec = (np.asarray(values, np.float64) for values in (mjd_utc, ra, dec))
    result = np.full((*mjd_utc.shape, *ra.shape), np.nan)
    known, stars = np.isfinite(mjd_utc), np.isfinite(ra) & np.isfinite(dec)
    if not known.any() or not stars.any():
        return result
    with _offline():
        times = _times(mjd_utc[known], site)
        shaped = times.reshape(-1, 1) if ra.ndim else times
        sky = SkyCoord(ra[stars] * units.deg, dec[stars] * units.deg) if ra.ndim else SkyCoord(ra, dec, unit="deg")
        there = shaped.tdb + shaped.light_travel_time(sky)
        found = np.asarray(there.jd1 + there.jd2)
    if ra.ndim:
        result[np.ix_(known, stars)] = found
    else:
        result[known] = found
    return result


def heliocentric_times(mjd_utc: np.ndarray, site: Site | None, ra: float, dec: float) -> np.ndarray:
    """Give the times at which light that an observer sees passes the middle of the Sun, as JD in UTC.

    HJD_UTC = JD_UTC + r · n / c, r from the Sun to the observer: `astropy.time.Time.light_travel_time`. Of the kinds of
    heliocentric dates this is the one that old light curves have; for precise work take `barycentric_times`.

    Parameters
    ----------
    mjd_utc : ndarray, shape (n,)
        MJD in UTC; NaN where unknown.
    site : Site or None
        The observer; None is the middle of the Earth, 21 milliseconds off at most.
    ra, dec : float
        ICRS, degrees.

    Returns
    -------
    ndarray, shape (n,)
        HJD in days; NaN where a time or the position is unknown.
    """
    from astropy import units
    from astropy.coordinates import EarthLocation, SkyCoord

    mjd_utc = np.asarray(mjd_utc, np.float64)
    result = np.full(mjd_utc.shape, np.nan)
    known = np.isfinite(mjd_utc)
    if not known.any() or not (np.isfinite(ra) and np.isfinite(dec)):
        return result
    with _offline():
        middle = EarthLocation.from_geocentric(0.0, 0.0, 0.0, unit=units.m)
        times = _times(mjd_utc[known], site or Site(0.0, 0.0))
        place = middle if site is None else times.location
        late = times.light_travel_time(SkyCoord(ra, dec, unit="deg"), "heliocentric", location=place)
        result[known] = mjd_utc[known] + MJD_ZERO + late.to_value("day")
    return result


def altitudes(mjd_utc: np.ndarray, site: Site, ra: float, dec: float) -> np.ndarray:
    """Give the true altitude of a star (without refraction).

    Parameters
    ----------
    mjd_utc : ndarray, shape (n,)
        MJD in UTC; NaN where unknown.
    site : Site
        The observer.
    ra, dec : float
        ICRS, degrees.

    Returns
    -------
    ndarray, shape (n,)
        Degrees above the horizon.
    """
    from astropy.coordinates import AltAz, SkyCoord

    mjd_utc = np.asarray(mjd_utc, np.float64)
    result = np.full(mjd_utc.shape, np.nan)
    known = np.isfinite(mjd_utc)
    if known.any():
        with _offline():
            times = _times(mjd_utc[known], site)
            seen = SkyCoord(ra, dec, unit="deg").transform_to(AltAz(obstime=times, location=times.location))
            result[known] = seen.alt.deg
    return result


def airmass(altitude: Any) -> np.ndarray:
    """Give the airmass at a true altitude: the rational function of Young (1994, Applied Optics 33, 1108).

    Parameters
    ----------
    altitude : array
        True altitude, degrees.

    Returns
    -------
    ndarray
        1 at the zenith, 31.7 at the horizon; NaN below it. Off by less than 0.004 anywhere.
    """
    cosine = np.sin(np.deg2rad(np.asarray(altitude, np.float64)))
    cosine = np.where(cosine >= 0, cosine, np.nan)
    above = (1.002432 * cosine + 0.148386) * cosine + 0.0096467
    return above / (((cosine + 0.149864) * cosine + 0.0102963) * cosine + 0.000303978)


def hour_angle(mjd_utc: float, site: Site, ra: float) -> float:
    """Give a star's hour angle at a time, degrees from −180 to 180, to a few tenths of a degree (no precession).

    Parameters
    ----------
    mjd_utc : float
        MJD in UTC.
    site : Site
        Of which the longitude counts.
    ra : float
        Right ascension, degrees.

    Returns
    -------
    float
    """
    # Greenwich mean sidereal time, linear part (USNO Circular 179, section 2.6, with UT1 = UTC).
    greenwich = 280.46061837 + 360.98564736629 * (mjd_utc - 51544.5)
    return float((greenwich + site.lon - ra + 180.0) % 360.0 - 180.0)


def to_icrs(ra: float, dec: float, equinox: float) -> tuple[float, float]:
    """Bring a mean position of an equinox to ICRS.

    Parameters
    ----------
    ra, dec : float
        Degrees.
    equinox : float
        Julian year (FK5), or Besselian before 1984 (FK4).

    Returns
    -------
    ra, dec : float
        ICRS, degrees.
    """
    from astropy.coordinates import FK4, FK5, SkyCoord
    from astropy.time import Time

    old = equinox < 1984.0
    frame = FK4(equinox=Time(equinox, format="byear")) if old else FK5(equinox=Time(equinox, format="jyear"))
    with _offline():
        here = SkyCoord(ra, dec, unit="deg", frame=frame).icrs
    return float(here.ra.deg), float(here.dec.deg)
