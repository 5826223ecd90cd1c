"""Gaussians over marginal sums against analytic truth, photutils, their own errors, and the frame's edges."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.centroids import centroid_1dg
from scipy.special import erf

from tsogrid.kernels.marginal_gaussian import marginal_gaussian_fit


def paint(x, y, sigma_x, sigma_y, flux, sky, shape):
    """Pixel-integrated stars, (n, ny, nx)."""

    def share(center, sigma, size):
        edges = np.arange(size + 1) - 0.5 - np.reshape(center, (-1, 1))
        return np.diff(erf(edges / (sigma * np.sqrt(2)))) / 2

    return sky + flux * share(y, sigma_y, shape[0])[:, :, None] * share(x, sigma_x, shape[1])[:, None, :]


def noisy(n, flux, sky, read_noise, seed=0):
    rng = np.random.default_rng(seed)
    x, y = 20 + rng.uniform(-0.5, 0.5, (2, n))
    model = paint(x, y, 1.8, 1.4, flux, sky, (41, 45))
    data = rng.poisson(model) + rng.normal(0, read_noise, model.shape)
    return data, np.sqrt(np.maximum(data, 0) + read_noise**2), x, y


@given(st.floats(10, 30), st.floats(10, 24), st.floats(0.6, 3), st.floats(0.6, 3), st.floats(-50, 1000), st.floats(1e2, 1e7))
@settings(max_examples=40, deadline=None)
def test_recovers_a_noiseless_star(x, y, sigma_x, sigma_y, sky, flux):
    data = paint(x, y, sigma_x, sigma_y, flux, sky, (35, 41))
    fit = marginal_gaussian_fit(data, None, [[np.rint(x)]], [[np.rint(y)]], 21)
    assert fit.converged.all()
    np.testing.assert_allclose([fit.x[0, 0], fit.y[0, 0]], [x, y], atol=1e-5)
    np.testing.assert_allclose([fit.sigma_x[0, 0], fit.sigma_y[0, 0]], [sigma_x, sigma_y], rtol=1e-4)
    np.testing.assert_allclose(fit.amplitude, flux / (2 * np.pi * sigma_x * sigma_y), rtol=1e-3)
    np.testing.assert_allclose(fit.offset, sky, atol=1e-4 * flux)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_photutils(dtype):
    data, error, _, _ = noisy(20, 1e6, 0, 3)
    data, error = data.astype(dtype), error.astype(dtype)
    guess = np.full((20, 1), 20.0)
    for errors, weights in ((None, "none"), (error, "error")):
        fit = marginal_gaussian_fit(data, errors, guess, guess, 21, weights=weights)
        for k in range(20):
            cut = np.s_[k, 10:31, 10:31]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                x, y = centroid_1dg(data[cut].astype(float), error=None if errors is None else error[cut].astype(float))
            assert fit.x[k, 0] == pytest.approx(x + 10, abs=2e-3)  # theirs is sampled and has no constant
            assert fit.y[k, 0] == pytest.approx(y + 10, abs=2e-3)


@pytest.mark.parametrize(("flux", "sky", "read_noise"), [(3e4, 100, 5), (1e6, 10, 1)])
def test_errors_are_the_scatter(flux, sky, read_noise):
    data, error, x, y = noisy(1500, flux, sky, read_noise)
    guess = np.full((1500, 1), 20.0)
    fit = marginal_gaussian_fit(data, error, guess, guess, 25)
    assert fit.converged.all()
    truth = {"x": x, "y": y, "sigma_x": 1.8, "sigma_y": 1.4, "amplitude": flux / (2 * np.pi * 1.8 * 1.4), "offset": sky}
    for name, value in truth.items():
        pull = (getattr(fit, name)[:, 0] - value) / getattr(fit, f"{name}_err")[:, 0]
        width = 0.06 if name not in ("amplitude", "offset") else 0.2  # their errors know no correlation between the two fits
        assert np.std(pull) == pytest.approx(1, abs=width), name
        assert abs(np.mean(pull)) < 0.15, name


@pytest.mark.parametrize(("x", "y"), [(0.2, 30.4), (98.7, 30.4), (50.3, 0.4), (50.3, 118.8), (1.2, 117.6), (97.7, 1.4)])
def test_stars_at_the_edges_of_a_frame_that_is_not_square(x, y):
    data = paint(x, y, 1.6, 1.9, 1e5, 10, (120, 100))
    fit = marginal_gaussian_fit(data, None, [[x]], [[y]], 15)
    np.testing.assert_allclose([fit.x[0, 0], fit.y[0, 0]], [x, y], atol=0.02)
    np.testing.assert_allclose(fit.amplitude, 1e5 / (2 * np.pi * 1.6 * 1.9), rtol=0.05)


def test_what_cannot_be_fitted_is_nan_everywhere():
    data = np.full((5, 41, 45), 3.0)
    data[0] = np.nan
    data[2] -= paint([20.0], [20.0], 1.5, 1.5, 1e4, 0, (41, 45))[0]  # a hole
    data[3] += paint([31.0], [20.0], 1.5, 1.5, 1e4, 0, (41, 45))[0]  # the star stands outside the box
    data[4] += paint([20.0], [20.0], 1.5, 1.5, 1e4, 0, (41, 45))[0]
    x = np.array([[20.0, 20.0]] * 4 + [[np.nan, 400.0]])
    fit = marginal_gaussian_fit(data, None, x, np.full((5, 2), 20.0), 15)
    assert not fit.converged.any()
    for name, values in fit._asdict().items():
        assert name == "converged" or np.isnan(values).all(), name


def test_bad_pixels_are_filled():
    data = paint([20.2], [19.8], 1.8, 1.8, 1e5, 10, (41, 45))
    data[0, 20, 21], data[0, 15, 14], data[0, 30, 30] = np.nan, np.inf, np.nan
    fit = marginal_gaussian_fit(data, np.where(np.isfinite(data), 3.0, np.nan), [[20.0]], [[20.0]], 25)
    assert fit.x[0, 0] == pytest.approx(20.2, abs=1e-3)
    assert fit.y[0, 0] == pytest.approx(19.8, abs=1e-3)
    assert fit.sigma_x[0, 0] == pytest.approx(1.8, abs=2e-3)


def test_bits_depend_on_the_frame_alone():
    data, error, _, _ = noisy(6, 3e4, 100, 5)
    data, error = data.astype(np.float32), error.astype(np.float32)
    x, y = np.full((6, 2), 20.4), np.full((6, 2), 19.7)
    whole = marginal_gaussian_fit(data, error, x, y, 15)
    for k in range(6):
        alone = marginal_gaussian_fit(data[k : k + 1], error[k : k + 1], x[k : k + 1], y[k : k + 1], 15)
        stamp = np.s_[k : k + 1, 8:33, 9:32]
        moved = marginal_gaussian_fit(
            np.ascontiguousarray(data[stamp]), np.ascontiguousarray(error[stamp]), x[k : k + 1] - 9, y[k : k + 1] - 8, 15
        )
        for name, values in whole._asdict().items():
            assert values[k].tobytes() == getattr(alone, name)[0].tobytes(), name
            shift = {"x": 9, "y": 8}.get(name, 0)
            assert np.array_equal(values[k], getattr(moved, name)[0] + shift), name


def test_wrong_arguments_are_refused():
    data = np.ones((1, 9, 9))
    with pytest.raises(ValueError, match="at least 5 pixels"):
        marginal_gaussian_fit(data, None, [[4.0]], [[4.0]], 4)
    with pytest.raises(ValueError, match="needs errors"):
        marginal_gaussian_fit(data, None, [[4.0]], [[4.0]], 7, weights="error")
    with pytest.raises(ValueError, match="error"):
        marginal_gaussian_fit(data, data[:, :8], [[4.0]], [[4.0]], 7)
