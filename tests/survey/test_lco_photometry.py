"""Forced photometry: photutils' sums, errors that hold, and no flux where there can be none."""

import numpy as np
import pytest
from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture, aperture_photometry

from tests.lco_fields import WIDTH, field
from tsogrid.flags import ForcedFlag
from tsogrid.survey.lco import run_aperture_photometry
from tsogrid.survey.lco.forced import forced_photometry

RADIUS = 2.0 / 0.389


def test_the_table_is_that_of_photutils_less_its_mean_sky():
    frame = field(1)
    places = np.stack([frame.x, frame.y], axis=-1)
    places = places[(places > 12).all(axis=1) & (places < 287).all(axis=1)]
    table = run_aperture_photometry(frame.image, frame.error, places, RADIUS)
    circles = CircularAperture(places, RADIUS)
    sky = ApertureStats(frame.image.astype(float), CircularAnnulus(places, RADIUS + 3, RADIUS + 5)).mean
    peer = aperture_photometry(frame.image.astype(float), circles, error=frame.error.astype(float))
    expected = peer["aperture_sum"] - circles.area * sky
    np.testing.assert_allclose(table["aperture_sum"], expected, rtol=1e-6, atol=0.05)
    np.testing.assert_allclose(table["xcenter"], places[:, 0])
    assert table.colnames[:5] == ["id", "xcenter", "ycenter", "aperture_sum", "aperture_sum_err"]
    # Ours has the error of the sky as well, and photutils (up to 3.0) counts w where w² is due.
    assert (np.asarray(table["aperture_sum_err"]) > 0.9 * np.asarray(peer["aperture_sum_err"])).all()


def test_errors_are_those_of_the_scatter():
    """One star 400 times: the pulls are as wide as 1, with the error of the sky; without it they would be 1.2."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:41, :41]
    star = 3e4 / (2 * np.pi * WIDTH**2) * np.exp(-0.5 * ((x - 20.2) ** 2 + (y - 19.7) ** 2) / WIDTH**2) + 900
    pulls = []
    for _ in range(400):
        image = rng.poisson(star).astype(float)
        found = forced_photometry(image, np.sqrt(star), np.array([20.2]), np.array([19.7]), RADIUS)
        pulls.append((found.flux[0], found.flux_err[0]))
    flux, error = np.array(pulls).T
    assert flux.std() / error.mean() == pytest.approx(1.0, abs=0.1)


def test_stars_off_the_frame_have_no_flux():
    image = np.full((50, 60), 7.0)
    x = np.array([30.0, RADIUS - 0.5, RADIUS - 0.6, 70.0, np.nan, -1e9])
    found = forced_photometry(image, None, x, np.full(6, 25.0), RADIUS)
    assert np.isfinite(found.flux).tolist() == [True, True, False, False, False, False]
    assert (found.flags[2:] == ForcedFlag.OFF_FRAME).all()
    assert found.flux[0] == pytest.approx(0, abs=1e-9)
    assert np.isnan(found.flux_err).all()
    assert found.flags[0] == ForcedFlag.ERROR_UNKNOWN


def test_light_on_bad_pixels_is_made_up_for_or_the_flux_is_none():
    y, x = np.mgrid[:61, :61]
    image = 1e5 / (2 * np.pi * WIDTH**2) * np.exp(-0.5 * ((x - 30) ** 2 + (y - 30) ** 2) / WIDTH**2) + 100.0
    error = np.sqrt(image)
    place = np.array([30.0]), np.array([30.0])
    whole = forced_photometry(image, error, *place, RADIUS, WIDTH)
    rim, core = image.copy(), image.copy()
    rim[30, 33] = rim[34, 30] = np.nan
    core[29:31, 29:32] = np.nan
    one = forced_photometry(rim, error, *place, RADIUS, WIDTH)
    assert one.flags[0] == ForcedFlag.BAD_PIXEL
    assert one.flux[0] == pytest.approx(whole.flux[0], rel=2e-3)
    assert one.flux_err[0] > whole.flux_err[0]
    other = forced_photometry(core, error, *place, RADIUS, WIDTH)
    assert np.isnan(other.flux[0])
    assert other.flags[0] == ForcedFlag.BAD_PIXEL | ForcedFlag.LIGHT_LOST
    unknown = forced_photometry(rim, error, *place, RADIUS)
    assert np.isnan(unknown.flux[0])


def test_saturated_stars_are_flagged_and_keep_their_flux():
    image = np.full((41, 41), 10.0)
    image[20, 20] = 1e5
    found = forced_photometry(image, None, np.array([20.0, 20.0]), np.array([20.0, 8.0]), 3.0, 2.0, image > 9e4)
    assert (found.flags & ForcedFlag.SATURATED > 0).tolist() == [True, False]
    assert np.isfinite(found.flux).all()


def test_no_stars_and_an_image_without_a_good_pixel():
    none = run_aperture_photometry(np.ones((30, 30)), None, np.zeros((0, 2)), 3.0)
    assert len(none) == 0
    blind = run_aperture_photometry(np.full((40, 40), np.nan), np.ones((40, 40)), [[20.0, 20.0]], 3.0)
    assert np.isnan(blind["aperture_sum"][0])
