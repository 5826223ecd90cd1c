"""Sums over rectangles, rings and pixelated circles: analytic truth, properties, and photutils as the peer."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.aperture import CircularAnnulus, CircularAperture, RectangularAperture, aperture_photometry

from tsogrid.kernels.shapes import (
    ShapeWeights,
    analytic_area,
    contains,
    dense_weights,
    mask_area,
    shape_line_variance,
    shape_sums,
)

PEERS = {"circle": CircularAperture, "rectangle": RectangularAperture, "annulus": CircularAnnulus}
SIZES = {"circle": (5.3,), "rectangle": (15.0, 11.0), "annulus": (4.2, 7.9)}


def scene(n=3, seed=0, bad=0.0):
    random = np.random.default_rng(seed)
    data = random.normal(100.0, 10.0, (n, 40, 50))
    data[random.random(data.shape) < bad] = np.nan
    error = random.uniform(1.0, 3.0, data.shape)
    x, y = random.uniform(-3, 53, (n, 4)), random.uniform(-3, 43, (n, 4))
    return data, error, x, y


def repeated(sizes, x):
    return np.broadcast_to(np.array(sizes, float), (*x.shape, len(sizes)))


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("overlap", ["exact", "center", "subpixel"])
def test_sums_are_photutils(kind, overlap):
    """Up to 3.0 photutils has no exact rectangle: there a fine grid of subpixels is the peer, to a part of the border."""
    coarse = kind == "rectangle" and overlap == "exact"
    method, subpixels, tolerance = ("subpixel", 400, 3.0) if coarse else (overlap, 4, 1e-6)
    data, error, x, y = scene()
    shape = ShapeWeights(kind, overlap, 4)
    found = shape_sums(data, error, x, y, shape, repeated(SIZES[kind], x), "w")
    for frame in range(len(data)):
        peer = PEERS[kind](np.column_stack([x[frame], y[frame]]), *SIZES[kind])
        table = aperture_photometry(data[frame], peer, error=error[frame], method=method, subpixels=subpixels)
        sums = np.nan_to_num(table["aperture_sum"])
        np.testing.assert_allclose(found.sum[frame], sums, rtol=1e-9, atol=tolerance)


@pytest.mark.parametrize("kind", SIZES)
def test_a_constant_sky_gives_the_area(kind):
    x, y = np.array([[20.3, 24.9]]), np.array([[18.1, 20.5]])
    sizes = repeated(SIZES[kind], x)
    found = shape_sums(np.full((1, 40, 50), 3.0), None, x, y, ShapeWeights(kind), sizes)
    np.testing.assert_allclose(found.sum, 3.0 * found.area, rtol=1e-12)
    np.testing.assert_allclose(found.area, mask_area(x, y, ShapeWeights(kind), sizes), rtol=1e-12)
    np.testing.assert_allclose(found.area, analytic_area(kind, sizes), rtol=1e-12)
    assert np.isnan(found.variance).all()


def test_a_whole_rectangle_of_pixels():
    data = np.arange(40.0 * 50).reshape(1, 40, 50)
    error = np.full(data.shape, 2.0)
    x, y = np.array([[10.0]]), np.array([[20.0]])
    found = shape_sums(data, error, x, y, ShapeWeights("rectangle"), repeated((3.0, 5.0), x))
    assert found.sum[0, 0] == data[0, 18:23, 9:12].sum()
    assert (found.variance[0, 0], found.area[0, 0], found.bad[0, 0]) == (15 * 4.0, 15.0, 0)


@settings(deadline=None, max_examples=50)
@given(
    x=st.floats(15, 25),
    y=st.floats(15, 25),
    width=st.floats(0.01, 12),
    height=st.floats(0.01, 12),
    step=st.sampled_from([1, 0.5]),
)
def test_an_exact_rectangle_is_the_integral_over_its_area(x, y, width, height, step):
    """Its area, and the integral of a ramp of pixels, which is the antiderivative's difference at the borders."""
    x, y = round(x / step) * step, round(y / step) * step  # borders on those of pixels too
    places, sizes = (np.array([[x]]), np.array([[y]])), np.array([[[width, height]]])
    ramp = np.broadcast_to(np.arange(50.0), (1, 40, 50))
    found = shape_sums(ramp, None, *places, ShapeWeights("rectangle"), sizes)
    borders = np.arange(51) - 0.5
    primitive = np.concatenate([[0], np.cumsum(np.arange(50.0))])
    low, high = np.interp([x - width / 2, x + width / 2], borders, primitive)
    np.testing.assert_allclose(found.area[0, 0], width * height, rtol=1e-9)
    np.testing.assert_allclose(found.sum[0, 0], (high - low) * height, rtol=1e-9)


def test_bad_pixels_have_no_part():
    data, error, x, y = scene(bad=0.1, seed=3)
    shape = ShapeWeights("annulus", "center")
    sizes = repeated(SIZES["annulus"], x)
    found = shape_sums(data, error, x, y, shape, sizes)
    filled = shape_sums(np.nan_to_num(data), np.where(np.isfinite(data), error, 0.0), x, y, shape, sizes)
    np.testing.assert_array_equal(found.sum, filled.sum)
    np.testing.assert_array_equal(found.variance, filled.variance)
    np.testing.assert_array_equal(found.area + found.bad, filled.area)


def test_what_is_unknown_is_nan():
    data, _, x, y = scene()
    x[0, 0] = np.nan
    sizes = repeated((5.0, 4.0), x).copy()
    sizes[1, 1, 0] = np.nan
    x[2, 2] = 500.0
    found = shape_sums(data, data, x, y, ShapeWeights("rectangle"), sizes)
    for place in ((0, 0), (1, 1)):
        assert np.isnan(found.sum[place])
        assert found.area[place] == 0
    assert (found.sum[2, 2], found.area[2, 2], found.bad[2, 2]) == (0, 0, 0)


@settings(deadline=None, max_examples=30)
@given(
    kind=st.sampled_from(sorted(SIZES)),
    overlap=st.sampled_from(["exact", "center", "subpixel"]),
    x=st.floats(8, 30),
    y=st.floats(8, 30),
    cut=st.integers(0, 5),
)
def test_a_stamp_gives_the_bits_of_the_frame(kind, overlap, x, y, cut):
    data = scene(1, 5, bad=0.02)[0]
    places = np.array([[x]]), np.array([[y]])
    shape, sizes = ShapeWeights(kind, overlap), repeated(SIZES[kind], places[0])
    whole = shape_sums(data, data, *places, shape, sizes)
    x_cut, y_cut = np.array([[x + cut]]), np.array([[y + cut]])
    frame = np.pad(data, ((0, 0), (cut, 0), (cut, 0)), constant_values=np.nan)
    moved = shape_sums(frame, frame, x_cut, y_cut, ShapeWeights(kind, overlap), sizes)
    # adding a whole number to a position may round it: then its mask is another one, about as good
    exact = x_cut[0, 0] - cut == x and y_cut[0, 0] - cut == y
    np.testing.assert_allclose(moved.sum, whole.sum, rtol=0 if exact else 1e-3)
    if exact:
        assert moved.area == whole.area


def test_dense_weights_and_lines_agree_with_the_sums():
    data, _, x, y = scene(3, 8, bad=0.05)
    shape, size = ShapeWeights("rectangle"), (9.5, 6.25)
    sizes = repeated(size, x)
    line_variance = np.random.default_rng(1).uniform(1, 2, (3, 40, 2))
    lines = np.repeat([0, 1], 25)
    found = shape_line_variance(data, x, y, shape, sizes, line_variance, lines)
    turned = shape_line_variance(data, x, y, shape, sizes, np.ones((3, 50, 1)), np.zeros(40, int), axis=2)
    for source in range(4):
        weights = dense_weights(data, x[:, source], y[:, source], shape, sizes[:, source])
        sums = shape_sums(data, None, x[:, [source]], y[:, [source]], shape, sizes[:, [source]])
        np.testing.assert_allclose(np.nansum(weights * data, axis=(1, 2)), sums.sum[:, 0], rtol=1e-12)
        halves = np.stack([weights[:, :, :25].sum(axis=2), weights[:, :, 25:].sum(axis=2)], axis=2)
        np.testing.assert_allclose(found[:, source], (halves**2 * line_variance).sum(axis=(1, 2)), rtol=1e-12)
        np.testing.assert_allclose(turned[:, source], (weights.sum(axis=1) ** 2).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("kind", SIZES)
def test_contains_is_the_rule_of_whole_pixels(kind):
    x, y = 20.3, 18.1
    weights = dense_weights(
        np.zeros((1, 40, 50)), np.array([x]), np.array([y]), ShapeWeights(kind, "center"), np.array([SIZES[kind]])
    )
    row, column = np.mgrid[:40, :50]
    sizes = np.broadcast_to(np.array(SIZES[kind])[:, None], (len(SIZES[kind]), row.size))
    inside = contains(kind, sizes, column.ravel() - x, row.ravel() - y).reshape(40, 50)
    np.testing.assert_array_equal(inside, weights[0] > 0)
    assert math.isclose(inside.sum(), analytic_area(kind, np.array(SIZES[kind])), rel_tol=0.1)
