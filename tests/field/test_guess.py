"""Stars found for a first configuration: where they are, and which are no good."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.detection import DAOStarFinder

from tsogrid.field.guess import Star, find_stars, nearest, reference_stars
from tsogrid.simulate import simulate_stars


def frame(x, y, flux, shape=(120, 140), fwhm=3.5, **more):
    return simulate_stars(1, shape, x, y, flux, fwhm=fwhm, sky=200, read_noise=5, **more).data[0]


@settings(max_examples=15, deadline=None)
@given(x=st.floats(25, 110), y=st.floats(25, 95), fwhm=st.floats(2.0, 6.0), seed=st.integers(0, 99))
def test_a_star_is_found_where_it_is(x, y, fwhm, seed):
    stars = find_stars(frame(x, y, 5e4, fwhm=fwhm, seed=seed))
    assert len(stars) == 1
    assert stars[0].good
    assert np.hypot(stars[0].x - x, stars[0].y - y) < 0.15
    assert stars[0].flux == pytest.approx(5e4, rel=0.25)  # what lies above a tenth of the peak


def test_the_same_stars_as_photutils():
    x, y = np.array([30.3, 70.8, 110.1, 50.5]), np.array([30.9, 80.2, 40.4, 95.0])
    image = frame(x, y, np.array([9e4, 7e4, 5e4, 3e4]))
    stars = find_stars(image)
    peers = DAOStarFinder(threshold=100.0, fwhm=3.5)(image - 200.0)
    peers.sort("flux", reverse=True)
    columns = ("x_centroid", "y_centroid") if "x_centroid" in peers.colnames else ("xcentroid", "ycentroid")
    for star, peer in zip(stars, peers, strict=True):
        assert np.hypot(star.x - peer[columns[0]], star.y - peer[columns[1]]) < 0.2
    np.testing.assert_allclose([star.x for star in stars], x, atol=0.1)


def test_what_is_no_good_star():
    image = frame(np.array([40.0, 90.0, 98.0, 3.0]), np.array([40.0, 60.0, 60.0, 100.0]), np.array([5e4, 6e4, 5e4, 9e4]))
    image[90, 60] = 6e4  # a hot pixel
    image[20, 20] = np.nan
    found = find_stars(image)
    assert sorted(round(star.x) for star in found) == [3, 40, 90, 98]
    assert [round(star.x) for star in found if star.good] == [40]
    assert not any(star.good for star in find_stars(image, saturation=4000.0))
    flat = np.minimum(frame(60.0, 60.0, 5e5), 8000.0)
    assert [star.good for star in find_stars(flat)] == [False]


def test_nothing_is_found_in_noise_or_without_pixels():
    assert find_stars(frame(60.0, 60.0, 0.0)) == []
    assert find_stars(np.full((30, 30), np.nan)) == []
    assert find_stars(np.zeros((30, 30))) == []


def test_choice_of_references():
    target = Star(50, 50, 100.0, True)
    others = [Star(10, 10, 1500.0, True), Star(20, 20, 90.0, True), Star(30, 30, 40.0, True), Star(80, 80, 10.0, True)]
    blended = Star(70, 70, 100.0, False)
    assert [star.flux for star in reference_stars([target, *others, blended], target)] == [90.0, 40.0]
    assert nearest([target, *others], 52, 50, within=3) is target
    assert nearest([target, *others], 60, 50, within=3) is None
    assert nearest([], 0, 0, within=3) is None
