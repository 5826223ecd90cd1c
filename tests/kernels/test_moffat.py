"""The Moffat profile: its integral, pixel means, places, and photutils' one; stars out of the noise by a matched filter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.psf import MoffatPSF

from tsogrid.kernels.matched_filter import mark_sharp, matched_peaks
from tsogrid.kernels.moffat import CENTRE, MEAN, add_moffats

ROUND = (1 / 5.0**2, 0.0, 1 / 5.0**2, 3.0)
LONG = (1 / 3.0**2, 0.02, 1 / 4.5**2, 2.6)


def painted(shape, x, y, flux, form, nodes=CENTRE):
    image = np.zeros(shape)
    add_moffats(image, x, y, flux, form, nodes)
    return image


def test_the_light_within_a_radius_is_the_integral():
    image = painted((401, 401), 200.3, 199.6, 7.0, ROUND)
    rows, columns = np.mgrid[:401, :401]
    inside = np.hypot(columns - 200.3, rows - 199.6) < 150
    assert image[inside].sum() == pytest.approx(7.0 * (1 - (1 + 150**2 / 25) ** -2), rel=1e-5)


def test_a_long_profile_has_its_flux_too():
    alpha, area = 2.6, np.pi / np.sqrt(LONG[0] * LONG[2] - LONG[1] ** 2)
    image = painted((801, 801), 400.0, 400.0, 1.0, LONG)
    assert image.max() == pytest.approx((alpha - 1) / area)
    assert image.sum() == pytest.approx(1.0, abs=3e-4)


def test_pixels_hold_the_mean_or_the_centre():
    fine = painted((99 * 9, 99 * 9), 49.2 * 9 + 4, 50.4 * 9 + 4, 1.0, (1 / 22.5**2, 0, 1 / 22.5**2, 3.0))
    # Two nodes along each axis are good to 0.2 % of the peak for stars as narrow as 2.5 pixels.
    mean = painted((99, 99), 49.2, 50.4, 1.0, (1 / 2.5**2, 0, 1 / 2.5**2, 3.0), MEAN)
    assert mean == pytest.approx(fine.reshape(99, 9, 99, 9).sum(axis=(1, 3)), abs=3e-3 * mean.max())


def test_same_as_photutils():
    rows, columns = np.mgrid[:40, :50]
    peer = MoffatPSF(flux=3.0, x_0=21.7, y_0=18.2, alpha=5.0, beta=3.0)(columns, rows)
    assert painted((40, 50), 21.7, 18.2, 3.0, ROUND) == pytest.approx(peer, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(-5, 5), st.integers(-5, 5), st.floats(0.1, 1e6), st.sampled_from([CENTRE, MEAN]))
def test_whole_pixels_and_fluxes(right, down, flux, nodes):
    here = painted((60, 60), 30.2, 29.7, 1.0, LONG, nodes)
    there = painted((60, 60), 30.2 + right, 29.7 + down, flux, LONG, nodes) / flux
    assert np.roll(here, (down, right), (0, 1))[10:-10, 10:-10] == pytest.approx(there[10:-10, 10:-10], rel=1e-9)


def test_a_star_without_numbers_is_no_star():
    image = painted((20, 20), [10.0, np.nan], [10.0, 5.0], [1.0, 1.0], ROUND)
    assert image == pytest.approx(painted((20, 20), 10.0, 10.0, 1.0, ROUND))


@pytest.mark.parametrize("form", [(1, 0, 1, 1), (1, 2, 1, 3), (-1, 0, -1, 3), (1, 0, 1)])
def test_refuses_what_is_no_profile(form):
    with pytest.raises(ValueError, match="shape"):
        painted((9, 9), 4, 4, 1, form)


def test_the_filter_tells_height_and_place_over_any_sky():
    rows, columns = np.mgrid[:60, :80]
    image = 500 * np.exp(-0.5 * ((columns - 41) ** 2 + (rows - 30) ** 2) / 2.0**2) + 900
    (peak,) = matched_peaks(image, np.full(image.shape, 100.0), 2.0, 8.0)
    assert peak[:2] == pytest.approx((41, 30), abs=1e-3)
    assert peak[3] == pytest.approx(500, rel=1e-3)
    image[29:32, 41] = np.nan  # the filter sees around bad pixels
    assert matched_peaks(image, np.full(image.shape, 100.0), 2.0, 8.0)[0, 3] == pytest.approx(500, rel=1e-3)


def test_the_signal_of_noise_is_normal():
    noise = np.random.default_rng(0).normal(0, 3.0, (400, 400))
    peaks = matched_peaks(noise, np.full(noise.shape, 9.0), 2.0, 4.0)
    assert len(peaks) < 20
    assert len(matched_peaks(noise, np.full(noise.shape, 9.0), 2.0, 2.0)) > 200


def test_tracks_are_sharp_and_stars_are_not():
    image = painted((90, 90), [30.4, 60.0], [40.2, 60.5], [2e5, 3e4], ROUND)
    sharp = np.zeros(image.shape, bool)
    floor, model = np.full(image.shape, 100.0), np.zeros(image.shape)
    assert mark_sharp(image, floor, 1.0, model, 0.5, 0.4, 5.0, sharp) == 0
    image[70, 20:32] += 400.0
    assert mark_sharp(image, floor, 1.0, model, 0.5, 0.4, 5.0, sharp) == 12
    assert sharp[70, 20:32].all()
