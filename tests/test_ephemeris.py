"""BJD_TDB, altitude and airmass: against numbers on paper, against astropy by another way, and without a network."""

import os
import subprocess
import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import EarthLocation, SkyCoord, get_body_barycentric
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from tsogrid.ephemeris import Site, airmass, altitudes, barycentric_times, hour_angle, to_icrs

SITE = Site(31.68, -110.88, 1268.0)
NIGHT = 58107.065 + np.arange(40) * 0.01
LIGHT = 299792.458  # km/s


def by_hand(mjd, site, ra, dec):
    """BJD_TDB from the Earth's and the observer's vectors, one frame at a time."""
    place = EarthLocation.from_geodetic(site.lon * u.deg, site.lat * u.deg, site.height * u.m)
    star = np.array(
        [
            np.cos(np.deg2rad(dec)) * np.cos(np.deg2rad(ra)),
            np.cos(np.deg2rad(dec)) * np.sin(np.deg2rad(ra)),
            np.sin(np.deg2rad(dec)),
        ]
    )
    found = []
    for each in mjd:
        time = Time(each, format="mjd", scale="utc", location=place)
        earth = get_body_barycentric("earth", time).xyz.to_value("km")
        observer = place.get_gcrs_posvel(time)[0].xyz.to_value("km")
        tdb = time.tdb
        found.append(tdb.jd1 + (tdb.jd2 + float((earth + observer) @ star) / LIGHT / 86400))
    return np.array(found)


@pytest.mark.parametrize(("ra", "dec"), [(31.0428, 46.6879), (268.42, -29.31), (0.0, 90.0), (359.99, -89.9)])
def test_bjd_is_that_of_the_vectors(ra, dec):
    found = barycentric_times(NIGHT, SITE, ra, dec)
    assert np.abs(found - by_hand(NIGHT, SITE, ra, dec)).max() * 86400 < 1e-4  # 40 microseconds are the digits of a JD


def test_a_published_correction():
    """Eastman, Siverd & Gaudi (2010): at most 8.3 minutes of light and a little; TDB − UTC is 32.184 s + leap seconds."""
    day = np.array([55000.0])
    pole, along = (
        float((barycentric_times(day, SITE, *star)[0] - day[0] - 2400000.5) * 86400)
        for star in ((270, 66.56), (266.6, -23.4))
    )
    tdb = 32.184 + 34.0
    assert abs(pole - tdb) < 3.0  # the pole of the ecliptic
    assert 500 < along - tdb < 512  # opposite to the Sun, near aphelion, and the Sun's own way


def test_stars_of_one_field_differ_by_seconds():
    ra, dec = np.array([31.0, 31.5, 31.0, np.nan]), np.array([46.7, 46.7, 47.2, 1.0])
    found = barycentric_times(NIGHT, SITE, ra, dec)
    assert found.shape == (40, 4)
    assert np.isnan(found[:, 3]).all()
    for star in range(3):
        np.testing.assert_array_equal(found[:, star], barycentric_times(NIGHT, SITE, ra[star], dec[star]))
        assert np.abs(found[:, star] - by_hand(NIGHT, SITE, ra[star], dec[star])).max() * 86400 < 1e-4
    apart = (found[:, 1:3] - found[:, :1]) * 86400
    assert (np.abs(apart) < 499 * np.deg2rad(0.5) * 1.03).all()
    assert np.abs(apart).max() > 1.0


@given(
    mjd=st.lists(st.floats(41500, 70000), min_size=1, max_size=4),
    lat=st.floats(-90, 90), lon=st.floats(-180, 180), ra=st.floats(0, 360), dec=st.floats(-90, 90),
)  # fmt: skip
def test_any_place_and_star(mjd, lat, lon, ra, dec):
    times, site = np.array(mjd), Site(lat, lon)
    shift = (barycentric_times(times, site, ra, dec) - times - 2400000.5) * 86400
    assert (np.abs(shift - 32.184 - 30) < 512 + 25).all()  # 10 to 37 leap seconds, 507 s of light
    height = altitudes(times, site, ra, dec)
    assert ((height >= -90) & (height <= 90)).all()
    mass = airmass(height)
    assert (np.isfinite(mass) == (height >= 0)).all()
    assert (mass[np.isfinite(mass)] > 0.9999).all()
    # Mirrored series, and each frame alone, have the same bits.
    np.testing.assert_array_equal(
        barycentric_times(times[::-1], site, ra, dec)[::-1], barycentric_times(times, site, ra, dec)
    )


def test_missing_times_stay_missing():
    times = np.array([np.nan, NIGHT[0]])
    assert np.isnan(barycentric_times(times, SITE, 31, 46)[0])
    assert np.isnan(altitudes(times, SITE, 31, 46)[0])
    assert np.isfinite(altitudes(times, SITE, 31, 46)[1])
    assert np.isnan(barycentric_times(times[:1], SITE, 31, 46)).all()
    assert np.isnan(barycentric_times(times, SITE, np.nan, 46)).all()


def test_altitude_by_the_spherical_triangle():
    ra, dec = 31.0428, 46.6879
    angle = np.deg2rad([hour_angle(float(each), SITE, ra) for each in NIGHT])
    phi, delta = np.deg2rad(SITE.lat), np.deg2rad(dec)
    sine = np.sin(phi) * np.sin(delta) + np.cos(phi) * np.cos(delta) * np.cos(angle)
    # The triangle leaves out 18 years of precession (0.25 degrees) and aberration.
    np.testing.assert_allclose(altitudes(NIGHT, SITE, ra, dec), np.rad2deg(np.arcsin(sine)), rtol=0, atol=0.3)


def test_airmass():
    np.testing.assert_allclose(airmass([90.0, 60.0, 30.0, 0.0]), [1.0, 1.1540, 1.9927, 31.73], rtol=1e-3)
    assert np.isnan(airmass(-0.1))
    height = np.linspace(20, 90, 50)  # the secant is good there
    np.testing.assert_allclose(airmass(height), 1 / np.sin(np.deg2rad(height)), rtol=0.01)


def test_equinoxes():
    ra, dec = 31.0428, 46.6879
    for frame, equinox in (("fk5", 2017.97), ("fk5", 2000.0), ("fk4", 1950.0)):
        year = f"{'B' if frame == 'fk4' else 'J'}{equinox}"
        old = SkyCoord(ra, dec, unit="deg").transform_to(SkyCoord(0, 0, unit="deg", frame=frame, equinox=year).frame)
        found = to_icrs(old.ra.deg, old.dec.deg, equinox)
        np.testing.assert_allclose(found, (ra, dec), rtol=0, atol=2e-4)


def test_nothing_is_downloaded(tmp_path):
    code = (
        "import socket, sys\n"
        "def no(*a, **k): print('asked for the network'); sys.exit(3)\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = no\n"
        "import numpy as np\n"
        "from tsogrid.ephemeris import *\n"
        "for day in (58107.1, 61365.2, 70000.3):\n"
        "    assert np.isfinite(barycentric_times(np.array([day]), Site(31.7, -110.9), 31.0, 46.7)).all()\n"
        "    assert np.isfinite(altitudes(np.array([day]), Site(31.7, -110.9), 31.0, 46.7)).all()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("years", [0, 1, 20])
def test_old_tables_are_good_enough(years, monkeypatch):
    """astropy's tables come with its package and get old; whatever the day, last night is measured."""
    night = Time(58107.065 + 365.25 * 9 + 365.25 * years, format="mjd", scale="utc")
    monkeypatch.setattr(Time, "now", classmethod(lambda cls: night + 30 * u.day))
    found = barycentric_times(np.array([night.mjd]), SITE, 31.0, 46.7)
    assert abs((found[0] - night.jd) * 86400 - 69) < 510
    assert np.isfinite(altitudes(np.array([night.mjd]), SITE, 31.0, 46.7)).all()
