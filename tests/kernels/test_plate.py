"""Plate constants: exact for exact places, whatever lies off, in whatever order, and close to astropy's fit."""

import warnings

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs.utils import fit_wcs_from_points
from hypothesis import given
from hypothesis import strategies as st

from tsogrid.field.plate_solution import tangent_plane
from tsogrid.kernels.plate import fit_plate, plane_of, powers

MIDDLE = (249.5, 199.5)
MATRIX = np.array([[-1.09e-4, 3e-6], [2.7e-6, 1.085e-4]])


def stars(count, seed=1, noise=0.0):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, 500, count), rng.uniform(0, 400, count)
    flux = np.exp(rng.uniform(5, 10, count))
    plane = np.stack([x - MIDDLE[0], y - MIDDLE[1]], axis=-1) @ MATRIX.T + [0.002, -0.001]
    return (x + noise * rng.normal(size=count), y + noise * rng.normal(size=count), flux, np.full(count, 0.05)), plane


def fitted(given, plane, flux=None, first=None):
    count = len(plane)
    every = np.arange(count)
    return fit_plate(given, plane, given[2] if flux is None else flux, first or (every, every), MIDDLE)


@pytest.mark.parametrize("count", [3, 5, 9, 70])
def test_exact_places_give_the_map_itself(count):
    given, _ = stars(count)
    plane = np.stack([given[0] - MIDDLE[0], given[1] - MIDDLE[1]], axis=-1) @ (1e-4 * np.array([[-0.8, 0.6], [0.6, 0.8]]))
    plate = fitted(given, plane)
    assert plate.degree == 1
    assert plate.rms < 1e-6
    assert np.abs(plane_of(plate, given[0], given[1]) - plane).max() < 1e-12


def test_a_bent_field_takes_more_terms_and_a_straight_one_does_not():
    given, plane = stars(200, noise=0.05)
    assert fitted(given, plane).degree == 1
    u = (given[0] - MIDDLE[0]) / 250
    bent = plane + (MATRIX @ (1.5 * np.stack([u**2, u * (given[1] - MIDDLE[1]) / 200]))).T
    plate = fitted(given, bent)
    assert plate.degree == 2
    assert plate.rms < 0.1


def test_stars_that_lie_off_have_no_part():
    given, plane = stars(60, noise=0.03)
    clean = fitted(given, plane)
    given[0][:6] += 1.5
    plate = fitted(given, plane)
    assert not plate.used[np.isin(plate.star, np.arange(6))].any()
    assert np.abs(
        plane_of(plate, *np.array([[0.0, 499], [0, 399]])) - plane_of(clean, *np.array([[0.0, 499], [0, 399]]))
    ).max() < (0.03 * 1.09e-4)


def test_precision_is_the_error_of_a_place():
    off, told = [], []
    for seed in range(40):
        given, plane = stars(30, seed, noise=0.05)
        plate = fitted(given, plane)
        truth, _ = stars(30, seed)
        off.append(np.mean((plane_of(plate, truth[0], truth[1]) - plane) ** 2 * 2) / 1.09e-4**2)
        told.append(plate.precision**2)
    assert np.mean(off) == pytest.approx(np.mean(told), rel=0.25)


@given(st.permutations(range(25)))
def test_the_order_of_the_stars_changes_nothing(order):
    given, plane = stars(25, noise=0.05)
    one = fitted(given, plane)
    order = np.array(order)
    other = fitted(tuple(each[order] for each in given), plane[order])
    np.testing.assert_allclose(one.coefficients, other.coefficients, rtol=1e-8, atol=1e-13)


def test_beside_astropy():
    """The same least squares: places agree to the part of a pixel that weights and clipping may move them."""
    given, plane = stars(80, noise=0.04)
    plane_wcs = tangent_plane(np.array([150.0, 20.0]), 1.0)
    sky = np.stack(plane_wcs.pixel_to_world_values(-plane[:, 0], plane[:, 1]), axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = fit_wcs_from_points((given[0], given[1]), SkyCoord(sky, unit="deg"), proj_point=SkyCoord(150, 20, unit="deg"))
    plate = fitted(given, plane)
    back = np.stack(plane_wcs.world_to_pixel_values(*peer.pixel_to_world_values(given[0], given[1])), axis=-1) * [-1, 1]
    assert np.abs(back - plane_of(plate, given[0], given[1])).max() < 0.01 * 1.09e-4


def test_few_stars_tell_no_shear():
    given, plane = stars(6, noise=0.3)
    plate = fitted(given, plane)
    values = np.linalg.svd(plate.coefficients[1:3], compute_uv=False)
    assert values[0] == pytest.approx(values[1])


def test_powers():
    assert powers(2) == [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
