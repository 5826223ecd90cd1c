"""Gaussian fits against the Cramér–Rao bound, analytic truth and scipy; stars are painted with scipy's error function."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from scipy.special import erf

from tsogrid.kernels.compile import kernel
from tsogrid.kernels.gaussian import gaussian_fit
from tsogrid.kernels.gaussian_profile import fill_profile as profile_part
from tsogrid.simulate import simulate_stars


@kernel
def fill_profile(profile, size, center, sigma):
    profile_part(profile, size, center, sigma)


def paint(x, y, sigma_x, sigma_y, flux, sky, shape=(25, 25)):
    """Frames (n, ny, nx) of one star each, integrated over pixels."""

    def share(center, sigma, size):
        edges = (np.arange(size + 1) - 0.5 - np.reshape(center, (-1, 1))) / (sigma * math.sqrt(2))
        return np.diff(0.5 * erf(edges), axis=1)

    rows, columns = share(y, sigma_y, shape[0]), share(x, sigma_x, shape[1])
    return sky + flux * rows[:, :, None] * columns[:, None, :]


def bound(sigma_x, sigma_y, flux, sky, read_noise):
    """Cramér–Rao bound of x, y, σx, σy, flux, sky for variance = model + read_noise²."""
    truth = np.array([12.1, 11.9, sigma_x, sigma_y, flux, sky])
    rows = []
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-4 * max(1.0, abs(truth[k]))
        rows.append(((paint(*(truth + step)) - paint(*(truth - step))) / (2 * step[k])).ravel())
    jacobian = np.array(rows)
    variance = paint(*truth).ravel() + read_noise**2
    return np.sqrt(np.diag(np.linalg.inv((jacobian / variance) @ jacobian.T)))


CASES = {
    "bright": (2.0, 2.2, 1e5, 100.0, 10.0),
    "undersampled": (0.8, 0.85, 1e5, 100.0, 10.0),
    "very bright": (1.5, 1.6, 1e6, 10.0, 5.0),
    "faint": (1.6, 1.7, 1300.0, 20.0, 5.0),
}


@pytest.mark.parametrize("noise", ["errors", "gain"])
@pytest.mark.parametrize("case", CASES)
def test_reaches_the_cramer_rao_bound(case, noise):
    sigma_x, sigma_y, flux, sky, read_noise = CASES[case]
    rng = np.random.default_rng(20)
    n, gain = 4000, 2.0
    x, y = 12 + rng.uniform(-0.5, 0.5, (2, n))
    model = paint(x, y, sigma_x, sigma_y, flux, sky)
    electrons = rng.poisson(model) + rng.normal(0, read_noise, model.shape)
    data = (electrons / gain).astype(np.float32)
    error = (np.sqrt(np.maximum(electrons, 0) + read_noise**2) / gain).astype(np.float32)
    guess = np.full((n, 1), 12.0)
    if noise == "errors":
        fit = gaussian_fit(data, error, guess, guess, 25)
    else:
        fit = gaussian_fit(data, None, guess, guess, 25, gain=gain, read_noise=read_noise)
    good = fit.converged[:, 0]
    assert good.mean() > 0.999
    limits = bound(sigma_x, sigma_y, flux, sky, read_noise)
    truths = (x, y, sigma_x, sigma_y)
    names = ("x", "y", "sigma_x", "sigma_y")
    for name, truth, limit in zip(names, truths, limits[:4], strict=True):
        difference = (getattr(fit, name)[:, 0] - truth)[good]
        pull = difference / getattr(fit, name + "_err")[good, 0]
        assert difference.std() <= 1.05 * limit, name
        assert abs(difference.mean()) < 0.1 * limit, name
        assert 0.94 < pull.std() < 1.06, name
    measured = 2 * np.pi * fit.amplitude * fit.sigma_x * fit.sigma_y * gain
    assert abs(measured[good].mean() - flux) < 0.15 * limits[4]
    assert abs((fit.offset[good] * gain).mean() - sky) < 0.15 * limits[5]


@pytest.mark.parametrize("faintness", [700.0])
def test_signal_to_noise_30_scatter_and_bias(faintness):
    # Here the bound of the linear theory is itself a few per cent below what any estimator reaches.
    rng = np.random.default_rng(21)
    n = 4000
    x, y = 12 + rng.uniform(-0.5, 0.5, (2, n))
    model = paint(x, y, 1.5, 1.5, faintness, 9.0)
    data = rng.poisson(model) + rng.normal(0, 2.0, model.shape)
    guess = np.full((n, 1), 12.0)
    fit = gaussian_fit(data, None, guess, guess, 25, gain=1.0, read_noise=2.0)
    good = fit.converged[:, 0]
    limit = bound(1.5, 1.5, faintness, 9.0, 2.0)[0]
    assert good.mean() > 0.999
    difference = (fit.x[:, 0] - x)[good]
    assert difference.std() < 1.05 * limit
    assert abs(difference.mean()) < 0.1 * limit


@pytest.mark.parametrize("weights", ["none", "error"])
def test_agrees_with_curve_fit(weights):
    rng = np.random.default_rng(5)
    model = paint([10.3], [13.1], 1.8, 2.3, 5e4, 50.0)
    error = np.sqrt(model + 25)
    data = model + rng.normal(0, 1, model.shape) * error
    fit = gaussian_fit(data, error, [[10.0]], [[13.0]], 21, weights=weights)
    region = (slice(3, 24), slice(0, 21))

    def function(_, amplitude, offset, x, y, sigma_x, sigma_y):
        flux = 2 * np.pi * amplitude * sigma_x * sigma_y
        return paint([x], [y], sigma_x, sigma_y, flux, offset)[0][region].ravel()

    start = [2000, 50, 10, 13, 2, 2]
    sigma = error[0][region].ravel() if weights == "error" else None
    values, covariance = curve_fit(
        function, 0, data[0][region].ravel(), start, sigma, absolute_sigma=weights == "error", xtol=1e-12
    )
    errors = np.sqrt(np.diag(covariance))
    names = ("amplitude", "offset", "x", "y", "sigma_x", "sigma_y")
    for name, value, sigma_1 in zip(names, values, errors, strict=True):
        assert abs(getattr(fit, name)[0, 0] - value) < 1e-3 * sigma_1, name
        assert getattr(fit, name + "_err")[0, 0] == pytest.approx(sigma_1, rel=2e-3), name


@given(
    st.floats(9, 15), st.floats(9, 15), st.floats(0.6, 3), st.floats(0.6, 3), st.floats(-100, 1000),
    st.floats(100, 1e6)
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_recovers_a_noiseless_star(x, y, sigma_x, sigma_y, sky, flux):
    data = paint([x], [y], sigma_x, sigma_y, flux, sky)
    fit = gaussian_fit(data, None, [[12.0]], [[12.0]], 25, weights="none")
    assert fit.converged[0, 0]
    assert fit.x[0, 0] == pytest.approx(x, abs=1e-5)
    assert fit.y[0, 0] == pytest.approx(y, abs=1e-5)
    assert fit.sigma_x[0, 0] == pytest.approx(sigma_x, abs=1e-5)
    assert fit.sigma_y[0, 0] == pytest.approx(sigma_y, abs=1e-5)
    assert 2 * np.pi * (fit.amplitude * fit.sigma_x * fit.sigma_y)[0, 0] == pytest.approx(flux, rel=1e-5)
    assert fit.theta[0, 0] == 0


def paint_rotated(x, y, along, across, theta, flux, sky, size=31, fine=9):
    """One star by brute force: the mean of fine × fine points in every pixel."""
    points = (np.arange(size * fine) + 0.5) / fine - 0.5
    u, v = points[None, :] - x, points[:, None] - y
    p, q = u * np.cos(theta) + v * np.sin(theta), v * np.cos(theta) - u * np.sin(theta)
    star = np.exp(-0.5 * (p / along) ** 2 - 0.5 * (q / across) ** 2) / (2 * np.pi * along * across)
    return sky + flux * star.reshape(size, fine, size, fine).mean(axis=(1, 3))


@pytest.mark.parametrize("theta", [-1.5, -0.9, -0.2, 0.0, 0.4, 1.1, math.pi / 2])
def test_recovers_a_rotated_star(theta):
    data = paint_rotated(15.3, 14.8, 3.1, 1.7, theta, 1e5, 20.0)[None]
    fit = gaussian_fit(data, None, [[15.0]], [[15.0]], 31, weights="none", angle=True)
    assert fit.converged[0, 0]
    assert [fit.x[0, 0], fit.y[0, 0]] == pytest.approx([15.3, 14.8], abs=1e-4)
    assert [fit.sigma_x[0, 0], fit.sigma_y[0, 0]] == pytest.approx([3.1, 1.7], rel=1e-3)
    assert math.sin(fit.theta[0, 0] - theta) == pytest.approx(0, abs=1e-4)
    assert -math.pi / 2 < fit.theta[0, 0] <= math.pi / 2


def test_rotated_errors_have_pulls_of_width_one():
    rng = np.random.default_rng(8)
    model = paint_rotated(12.2, 11.9, 2.6, 1.6, 0.5, 3e4, 50.0, size=25)
    data = rng.poisson(model, (400, 25, 25)).astype(np.float64)
    guess = np.full((400, 1), 12.0)
    fit = gaussian_fit(data, None, guess, guess, 25, gain=1.0, angle=True)
    assert fit.converged.all()
    for name, truth in (("x", 12.2), ("y", 11.9), ("sigma_x", 2.6), ("sigma_y", 1.6), ("theta", 0.5)):
        pull = (getattr(fit, name) - truth) / getattr(fit, name + "_err")
        assert 0.88 < pull.std() < 1.12, name
        assert abs(pull.mean()) < 0.2, name


def test_round_star_with_angle_has_the_bound_of_the_upright_fit():
    rng = np.random.default_rng(9)
    data = rng.poisson(paint([12.2], [11.9], 2.0, 2.0, 1e5, 50.0)[0], (50, 25, 25)).astype(np.float32)
    guess = np.full((50, 1), 12.0)
    upright = gaussian_fit(data, None, guess, guess, 25, gain=1.0)
    rotated = gaussian_fit(data, None, guess, guess, 25, gain=1.0, angle=True)
    np.testing.assert_allclose(rotated.x, upright.x, atol=0.2 * upright.x_err.mean())
    np.testing.assert_allclose(rotated.x_err, upright.x_err, rtol=0.02)


def test_bad_pixels_are_left_out():
    data = paint([12.3], [11.8], 1.9, 2.1, 1e5, 30.0)
    error = np.full_like(data, 3.0)
    data[0, 11:13, 12] = np.nan
    data[0, 5, 20] = np.inf
    data[0, :, 3] = -np.inf
    for weights in ("none", "error", "model"):
        fit = gaussian_fit(data, error, [[12.0]], [[12.0]], 25, weights=weights)
        assert fit.converged[0, 0]
        assert [fit.x[0, 0], fit.y[0, 0]] == pytest.approx([12.3, 11.8], abs=1e-5)


def test_pixels_without_error_are_left_out_where_weights_need_them():
    data = paint([12.3], [11.8], 1.9, 2.1, 1e5, 30.0)
    error = np.sqrt(data)
    data[0, 12, 12] *= 2
    error[0, 12, 12] = np.nan
    kept = gaussian_fit(data, error, [[12.0]], [[12.0]], 25, gain=1.0)
    for weights in ("error", "model"):
        fit = gaussian_fit(data, error, [[12.0]], [[12.0]], 25, weights=weights)
        assert fit.x[0, 0] == pytest.approx(12.3, abs=1e-5)
    assert abs(kept.x[0, 0] - 12.3) > 1e-4


def test_star_at_the_edge_of_the_frame():
    data = paint([1.2, 24.4], [0.6, 23.0], 1.5, 1.7, 1e5, 30.0)
    fit = gaussian_fit(data, None, [[1.0], [24.0]], [[1.0], [23.0]], 15, weights="none")
    assert fit.converged.all()
    np.testing.assert_allclose(fit.x[:, 0], [1.2, 24.4], atol=1e-4)
    np.testing.assert_allclose(fit.y[:, 0], [0.6, 23.0], atol=1e-4)


@pytest.mark.parametrize("angle", [False, True])
def test_failed_fits_are_nan_everywhere(angle):
    rng = np.random.default_rng(6)
    data = rng.normal(0, 1, (60, 25, 25))
    data[:10] = np.nan
    data[10:20] = 7.0
    data[20:25] = np.inf
    x, y = np.full((2, 60, 1), 12.0)
    x[25:27], y[27] = np.nan, np.nan
    x[28], y[29] = 500.0, -500.0
    fit = gaussian_fit(data, None, x, y, 25, weights="none", angle=angle)
    assert not fit.converged[:30].any()
    for name, values in fit._asdict().items():
        if name != "converged":
            assert np.array_equal(np.isfinite(values), fit.converged), name


def test_fixed_center_without_offset():
    data = paint([12.3], [11.8], 1.2, 1.4, 1e5, 0.0)
    fit = gaussian_fit(data, None, [[12.3]], [[11.8]], 11, weights="none", fixed_center=True, fit_offset=False)
    assert (fit.x[0, 0], fit.y[0, 0], fit.offset[0, 0]) == (12.3, 11.8, 0.0)
    assert (fit.x_err[0, 0], fit.y_err[0, 0], fit.offset_err[0, 0]) == (0.0, 0.0, 0.0)
    assert [fit.sigma_x[0, 0], fit.sigma_y[0, 0]] == pytest.approx([1.2, 1.4], rel=1e-6)


@pytest.mark.parametrize("angle", [False, True])
def test_bits_depend_on_the_frame_alone(angle):
    rng = np.random.default_rng(7)
    x, y = 1230 + rng.uniform(-1, 1, (6, 1)), 40 + rng.uniform(-1, 1, (6, 1))
    data = np.full((6, 64, 1300), np.nan, np.float32)
    stars = paint(x[:, 0] - 1200, y[:, 0] - 10, 1.8, 2.0, 3e4, 60.0, shape=(54, 90))
    data[:, 10:, 1200:1290] = rng.poisson(stars)
    error = np.sqrt(data)
    whole = gaussian_fit(data, error, x, y, 21, angle=angle)
    assert whole.converged.all()
    cut = np.ascontiguousarray(data[:, 17:60, 1207:1260])
    stamp = gaussian_fit(cut, np.sqrt(cut), x - 1207, y - 17, 21, angle=angle)
    for k in range(6):
        alone = gaussian_fit(data[k : k + 1], error[k : k + 1], x[k : k + 1], y[k : k + 1], 21, angle=angle)
        for name, values in whole._asdict().items():
            assert np.array_equal(values[k], getattr(alone, name)[0]), name
    for name, values in whole._asdict().items():
        moved = getattr(stamp, name) + {"x": 1207, "y": 17}.get(name, 0)
        assert np.array_equal(values, moved), name


@pytest.mark.parametrize("sigma", [0.1, 0.8, 2.0, 25.0])
def test_profile_against_scipy(sigma):
    profile = np.zeros((5, 30))
    for center in (-0.5, 3.3, 12.0, 24.5):
        fill_profile(profile, 25, center, sigma)
        edges = np.arange(26) - 0.5 - center
        expected = sigma * math.sqrt(math.pi / 2) * np.diff(erf(edges / (sigma * math.sqrt(2))))
        np.testing.assert_allclose(profile[0, :25], expected, atol=1e-13 * sigma)
        step = 1e-5 * sigma
        for row, (center_step, sigma_step) in ((1, (step, 0)), (2, (0, step))):
            other = np.zeros((2, 5, 30))
            fill_profile(other[0], 25, center + center_step, sigma + sigma_step)
            fill_profile(other[1], 25, center - center_step, sigma - sigma_step)
            slope = (other[0, 0, :25] - other[1, 0, :25]) / (2 * step)
            np.testing.assert_allclose(profile[row, :25], slope, atol=1e-6)


def test_wide_box_and_two_sources():
    data = paint([40.2], [45.1], 6.0, 7.0, 1e6, 10.0, shape=(99, 101)) + paint(
        [80.0], [12.0], 1.5, 1.5, 1e4, 0.0, shape=(99, 101)
    )
    data[0, 20:60, 62:] = np.nan
    fit = gaussian_fit(data, None, [[40.0, 80.0]], [[45.0, 12.0]], 91, weights="none")
    assert fit.x.shape == (1, 2)
    small = gaussian_fit(data, None, [[80.0]], [[12.0]], 11, weights="none")
    assert small.x[0, 0] == pytest.approx(80.0, abs=1e-2)
    clean = paint([40.2], [45.1], 6.0, 7.0, 1e6, 10.0, shape=(99, 101))
    fit = gaussian_fit(clean, None, [[40.0]], [[45.0]], 91, weights="none")
    assert [fit.x[0, 0], fit.sigma_y[0, 0]] == pytest.approx([40.2, 7.0], abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "best"}, "weights must be"),
        ({"weights": "error"}, "needs errors"),
        ({"gain": -1.0}, "gain must be positive"),
        ({"box": 2}, "at least 3"),
        ({"x": np.zeros((3, 1))}, "expected x and y of shape"),
        ({"error": np.zeros((2, 5, 5))}, "expected errors like"),
    ],
)
def test_wrong_arguments_say_what_was_expected(change, message):
    arguments = {
        "data": np.zeros((2, 9, 9)), "error": None, "x": np.zeros((2, 1)), "y": np.zeros((2, 1)), "box": 5
    } | change  # fmt: skip
    with pytest.raises(ValueError, match=message):
        gaussian_fit(**arguments)


@pytest.mark.parametrize(
    ("flux", "sigma", "sky", "read_noise"), [(1e5, 1.5, 50, 8), (4000, 2.0, 30, 5), (1e6, 1.2, 100, 10)]
)
def test_errors_from_error_planes_are_honest(flux, sigma, sky, read_noise):
    """The noise of the data must not flatten the line through error²: the errors of the parameters hang on it."""
    stars = simulate_stars(3000, (31, 31), [15.3], [14.8], [flux], sigma=sigma, sky=sky, read_noise=read_noise, seed=5)
    guess = np.full((3000, 1), 15.0)
    fit = gaussian_fit(stars.data, stars.error, guess, guess, 25)
    assert fit.converged.all()
    for value, error, truth in (
        (fit.x, fit.x_err, 15.3),
        (fit.y, fit.y_err, 14.8),
        (fit.sigma_x, fit.sigma_x_err, sigma),
        (fit.amplitude, fit.amplitude_err, flux / (2 * np.pi * sigma**2)),
    ):
        pull = (value - truth) / error
        assert abs(pull.mean()) < 0.1
        assert 0.95 < pull.std() < 1.05
