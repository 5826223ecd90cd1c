"""Stars found on a frame: where they are, and what is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.detection import DAOStarFinder
from scipy.spatial import cKDTree

from tsogrid.field.detection import find_stars
from tsogrid.simulate import simulate_stars


def frame(x, y, flux, shape=(120, 140), fwhm=3.5, **more):
    return simulate_stars(1, shape, x, y, flux, fwhm=fwhm, sky=200, read_noise=5, **more).data[0]


def field(count, shape, seed, least=3.8, most=5.3):
    """Stars of random places and fluxes."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(4, shape[1] - 5, count), rng.uniform(4, shape[0] - 5, count)
    flux = 10 ** rng.uniform(least, most, count)
    return x, y, flux, frame(x, y, flux, shape, seed=seed)


def matched(stars, x, y, within=1.0):
    """Of each true star whether one was found there, and of each found one whether it is true."""
    real = stars.chosen(~stars.artefact)
    found, true = np.stack([real.x, real.y], axis=-1), np.stack([x, y], axis=-1)
    return cKDTree(found).query(true)[0] < within, cKDTree(true).query(found)[0] < within


@settings(max_examples=15, deadline=None)
@given(x=st.floats(25, 110), y=st.floats(25, 95), fwhm=st.floats(2.0, 6.0), seed=st.integers(0, 99))
def test_a_star_is_found_where_it_is(x, y, fwhm, seed):
    stars = find_stars(frame(x, y, 5e4, fwhm=fwhm, seed=seed))
    assert (~stars.artefact).sum() == 1
    assert np.hypot(stars.x[0] - x, stars.y[0] - y) < 0.1
    assert stars.width == pytest.approx(fwhm, rel=0.1)
    assert stars.flux[0] == pytest.approx(5e4 * (1 - 0.5 ** (4 * 1.5**2)), rel=0.05)  # of a Gaussian inside 1.5 FWHM
    assert stars.elongation[0] < 1.2
    assert not stars.saturated[0]


def test_the_same_stars_as_photutils():
    x, y = np.array([30.3, 70.8, 110.1, 50.5]), np.array([30.9, 80.2, 40.4, 95.0])
    image = frame(x, y, np.array([9e4, 7e4, 5e4, 3e4]))
    stars = find_stars(image)
    peers = DAOStarFinder(threshold=100.0, fwhm=3.5)(image - 200.0)
    peers.sort("flux", reverse=True)
    columns = ("x_centroid", "y_centroid") if "x_centroid" in peers.colnames else ("xcentroid", "ycentroid")
    for index, peer in enumerate(peers):
        assert np.hypot(stars.x[index] - peer[columns[0]], stars.y[index] - peer[columns[1]]) < 0.2
    np.testing.assert_allclose(stars.x, x, atol=0.05)
    assert (np.diff(stars.flux) < 0).all()


@pytest.mark.parametrize(("count", "shape"), [(20, (300, 300)), (200, (500, 500)), (1000, (700, 900))])
def test_few_stars_and_crowded_fields(count, shape):
    x, y, _, image = field(count, shape, seed=count)
    stars = find_stars(image)
    there, true = matched(stars, x, y)
    distance = cKDTree(np.stack([x, y], axis=-1)).query(np.stack([x, y], axis=-1), k=2)[0][:, 1]
    assert there[distance > 8].all()
    assert there[distance > 6].mean() > 0.98
    assert true.mean() > 0.97  # two stars that melt into one have their place between
    assert stars.artefact.sum() < 0.04 * count


def test_hot_pixels_cosmic_rays_trails_and_gradients():
    x, y, _, image = field(60, (300, 320), seed=4, least=4.3)
    rng = np.random.default_rng(4)
    row, column = np.mgrid[:300, :320]
    image = image + 3.0 * column  # moonlight
    hot = rng.integers(0, 300, 200), rng.integers(0, 320, 200)
    image[hot] += 10 ** rng.uniform(3, 5, 200)  # brighter than the stars
    for start in rng.integers(20, 280, 40):
        image[start, start : start + 3] += 4000.0
    image[5, 7] = image[100:103, 50] = np.nan
    stars = find_stars(image)
    there, true = matched(stars, x, y, within=1.5)
    assert there.mean() > 0.9
    assert (~true).sum() <= 3
    assert stars.width == pytest.approx(3.5, rel=0.1)
    trail = image + 900 * np.exp(-((row - 0.6 * column - 40) ** 2) / (2 * 1.8**2))
    off = np.abs(y - 0.6 * x - 40) > 15
    there, true = matched(find_stars(trail), x, y, within=1.5)
    assert there[off].mean() > 0.9
    assert (~true).sum() <= 6


def test_saturated_stars_count_once():
    x, y = np.array([40.0, 90.0, 60.3]), np.array([40.0, 80.0, 99.6])
    full = np.minimum(frame(x, y, np.array([2e6, 9e4, 6e4])), 8000.0)
    for level in (None, 8000.0):
        stars = find_stars(full, saturation=level)
        real = stars.chosen(~stars.artefact)
        assert real.saturated.sum() == 1
        assert len(real.x) == 3
        place = np.flatnonzero(real.saturated)[0]
        assert np.hypot(real.x[place] - 40, real.y[place] - 40) < 0.3
    assert not find_stars(frame(x, y, np.array([2e5, 9e4, 6e4]))).saturated.any()


def test_nothing_is_found_in_noise_or_without_pixels():
    for image in (frame(60.0, 60.0, 0.0), np.full((30, 30), np.nan), np.zeros((30, 30)), np.full((8, 9), 7.0), np.eye(3)):
        assert not (~find_stars(image).artefact).any()
