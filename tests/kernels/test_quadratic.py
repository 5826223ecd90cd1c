"""The maximum of a quadratic surface against analytic truth, photutils, and the frame's edges."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.centroids import centroid_quadratic

from tsogrid.kernels.quadratic import quadratic_peak


def paraboloid(x, y, shape, height=100.0):
    rows, columns = np.indices(shape)
    u, v = columns - x, rows - y
    return height - 1.5 * u**2 - 0.8 * v**2 + 0.6 * u * v


@given(st.floats(2.5, 26), st.floats(2.5, 36), st.sampled_from([7, 9, 15]), st.floats(-1e4, 1e4))
@settings(max_examples=60, deadline=None)
def test_a_paraboloid_is_found_exactly(x, y, box, height):
    data = paraboloid(x, y, (40, 29), height)
    found = quadratic_peak(data[None], [[np.rint(x)]], [[np.rint(y)]], box)
    np.testing.assert_allclose([found.x[0, 0], found.y[0, 0]], [x, y], atol=1e-7)


@pytest.mark.parametrize("seed", range(40))
def test_agrees_with_photutils(seed):
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 3, (31, 35)) + paraboloid(15 + rng.normal(), 17 + rng.normal(), (31, 35), 50)
    data[rng.random(data.shape) < 0.1] = np.nan
    found = quadratic_peak(data[None], [[16.0]], [[15.0]], 13)
    cut = data[9:22, 10:23]
    peak = np.unravel_index(np.nanargmax(cut), cut.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x, y = centroid_quadratic(cut, fit_boxsize=5)
    fitted = [np.clip(index, 2, 10) for index in peak]
    outside = not (abs(y - fitted[0]) <= 2.5 and abs(x - fitted[1]) <= 2.5)
    if {0, 12} & set(peak):
        return  # there it returns the pixel
    if outside:
        assert np.isnan(found.x[0, 0])
    else:
        np.testing.assert_allclose([found.x[0, 0], found.y[0, 0]], [x + 10, y + 9], atol=1e-8)


@pytest.mark.parametrize(("x", "y"), [(0.2, 20.4), (27.7, 20.4), (14.3, 0.4), (14.3, 38.8), (0.6, 38.6), (27.8, 0.4)])
def test_stars_at_the_edges_of_a_frame_that_is_not_square(x, y):
    found = quadratic_peak(paraboloid(x, y, (40, 29))[None], [[x]], [[y]], 11)
    np.testing.assert_allclose([found.x[0, 0], found.y[0, 0]], [x, y], atol=1e-9)


def test_what_has_no_maximum_is_nan():
    rows, columns = np.indices((21, 21)) - 10.0
    data = np.stack(
        [
            np.full((21, 21), np.nan),
            np.full((21, 21), 5.0),  # flat
            columns + rows,  # a slope
            rows**2 - columns**2,  # a saddle
            rows**2 + columns**2,  # a minimum
            np.where(np.abs(rows) + np.abs(columns) < 2, 9.0, np.nan),  # five pixels
            paraboloid(10, 10, (21, 21)),
        ]
    )
    x = np.array([[10.0, 10.0]] * 6 + [[np.nan, 900.0]])
    found = quadratic_peak(data, x, np.full((7, 2), 10.0), 9)
    assert np.isnan(found.x).all()
    assert np.isnan(found.y).all()


def test_bits_depend_on_the_frame_alone():
    rng = np.random.default_rng(3)
    data = (paraboloid(20.3, 18.8, (40, 41)) + rng.normal(0, 0.5, (5, 40, 41))).astype(np.float32)
    at = np.full((5, 1), 20.0)
    whole = quadratic_peak(data, at, at, 11)
    assert np.isfinite(whole.x).all()
    for k in range(5):
        stamp = quadratic_peak(np.ascontiguousarray(data[k : k + 1, 6:36, 9:33]), [[11.0]], [[14.0]], 11)
        assert whole.x[k, 0] == stamp.x[0, 0] + 9
        assert whole.y[k, 0] == stamp.y[0, 0] + 6
