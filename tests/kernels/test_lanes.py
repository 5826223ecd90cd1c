"""Vectors of numbers in compiled code against numpy, and fits that share them: nobody notices the neighbours."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsogrid.kernels.compile import kernel
from tsogrid.kernels.gaussian import gaussian_fit
from tsogrid.kernels.gaussian_profile import exponential
from tsogrid.kernels.lanes import LANES, any_of, power_of_two, read, select, spread, write, write_square
from tsogrid.simulate import simulate_stars


@kernel
def arithmetic(a, b, out):
    for k in range(a.shape[0]):
        x, y = read(a, k), read(b, k)
        z = spread(1.5)
        z += x
        z -= 2 * y
        z *= 0.5
        z /= 3
        write(out[0], k, (x + y) / (1 + abs(y)) - 2.0 * x)
        write(out[1], k, z)
        write(out[2], k, math.sqrt(abs(-x)))
        write(out[3], k, select((x > y) & (x >= 0.0) | ~(y < 1.0), x, -1.0))
        write(out[4], k, select((x <= y) | (x == y), 1.0, spread(0.0)))
        write(out[5], k, 1.0 if any_of(x > 2.0) else 0)


@kernel
def exponentials(a, out, numbers):
    for k in range(a.shape[0]):
        write(out, k, exponential(read(a, k)))
        for lane in range(LANES):
            numbers[k, lane] = exponential(a[k, lane])


@kernel
def doubled(a, out):
    for k in range(a.shape[0]):
        write(out, k, power_of_two(read(a, k) + 1.5 * 2.0**52))


@kernel
def turned(pixels, starts, out):
    write_square(out, 1, pixels, starts, 2)


def test_arithmetic_against_numpy():
    a, b = np.random.default_rng(1).normal(size=(2, 40, LANES))
    a[3, :4], b[5, :2], a[7, 1] = np.nan, np.nan, np.inf
    a[9], b[9] = b[9], a[9]
    out = np.empty((6, 40, LANES))
    arithmetic(a, b, out)
    with np.errstate(invalid="ignore"):
        expected = [
            (a + b) / (1 + abs(b)) - 2 * a,
            (1.5 + a - 2 * b) / 6,
            np.sqrt(abs(a)),
            np.where((a > b) & (a >= 0) | ~(b < 1), a, -1),
            a <= b,
            np.repeat((a > 2).any(axis=1, keepdims=True), LANES, axis=1),
        ]
    for found, truth in zip(out, expected, strict=True):
        np.testing.assert_allclose(found, truth, rtol=1e-14, atol=1e-15)


def test_exponential_to_the_last_bits():
    x = np.concatenate([np.linspace(-700, 700, 4000), np.random.default_rng(2).normal(0, 1, 4000)]).reshape(-1, LANES)
    lanes, numbers = np.empty_like(x), np.empty_like(x)
    exponentials(x, lanes, numbers)
    np.testing.assert_allclose(lanes, np.exp(x), rtol=6e-16)
    np.testing.assert_allclose(numbers, np.exp(x), rtol=6e-16)
    far = np.array([[-np.inf, -1e9, -800.0, -700.0] * (LANES // 4)])
    exponentials(far, lanes[:1], numbers[:1])
    np.testing.assert_allclose(lanes[:1], math.exp(-700), rtol=1e-15)


def test_powers_of_two():
    whole = np.arange(-1000.0, 1000.0).reshape(-1, LANES)
    out = np.empty_like(whole)
    doubled(whole, out)
    assert np.array_equal(out, 2.0**whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squares_are_turned(dtype):
    pixels = np.random.default_rng(3).normal(size=(3, 20, 30)).astype(dtype)
    starts = np.random.default_rng(4).integers(0, pixels.size - LANES - 2, LANES)
    out = np.zeros((LANES + 2, LANES))
    turned(pixels, starts, out)
    flat = pixels.ravel()
    assert np.array_equal(out[1:-1].T, [flat[s + 2 : s + 2 + LANES] for s in starts])
    assert not out[[0, -1]].any()


@pytest.fixture(scope="module")
def mixture():
    """Frames of which some are easy, some hard, some hopeless, some at an edge, and what each fit gives alone."""
    n = 24
    rng = np.random.default_rng(6)
    flux = np.where(np.arange(n) % 3 == 0, 300.0, 3e4)
    data = np.concatenate(
        [simulate_stars(1, (33, 37), [18.2], [16.4], [f], sigma=1.5, sky=20, read_noise=5, seed=k).data
         for k, f in enumerate(flux)]
    )  # fmt: skip
    data = np.ascontiguousarray(data, np.float32)
    error = np.sqrt(np.maximum(data, 0) + 25).astype(np.float32)
    data[4] = np.nan
    data[10, 10:20, 18] = np.nan
    data[13] = rng.normal(0, 5, data[13].shape)
    x, y = np.full((n, 1), 18.0), np.full((n, 1), 16.0)
    x[7], x[8], y[9], x[11] = np.nan, 900.0, 4.0, 36.0
    kinds = [{"angle": False}, {"angle": True}, {"weights": "error"}, {"fixed_center": True}]
    alone = [
        [gaussian_fit(data[k : k + 1], error[k : k + 1], x[k : k + 1], y[k : k + 1], 15, **kind) for k in range(n)]
        for kind in kinds
    ]
    return data, error, x, y, list(zip(kinds, alone, strict=True))


@given(st.permutations(range(24)), st.integers(1, 24))
@settings(max_examples=12, deadline=None)
def test_a_fit_does_not_notice_its_neighbours(mixture, order, count):
    data, error, x, y, kinds = mixture
    chosen = order[:count]
    for kind, alone in kinds:
        fit = gaussian_fit(data[chosen], error[chosen], x[chosen], y[chosen], 15, **kind)
        for name, values in fit._asdict().items():
            expected = np.concatenate([getattr(alone[k], name) for k in chosen])
            assert values.tobytes() == expected.tobytes(), name
    assert sum(bool(each.converged) for each in kinds[0][1]) >= 14
