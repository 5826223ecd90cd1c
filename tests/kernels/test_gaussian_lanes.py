"""Gaussian fits side by side: exponentials and medians of all lanes, and fits that do not notice their neighbours."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsogrid.kernels.compile import kernel
from tsogrid.kernels.gaussian import gaussian_fit
from tsogrid.kernels.gaussian_profile import exponential
from tsogrid.kernels.lane_median import lane_medians
from tsogrid.kernels.vectors import LANES, read, write
from tsogrid.simulate import simulate_stars


@kernel
def exponentials(a, out, numbers):
    for k in range(a.shape[0]):
        write(out, k, exponential(read(a, k)))
        for lane in range(LANES):
            numbers[k, lane] = exponential(a[k, lane])


def test_exponential_to_the_last_bits():
    x = np.concatenate([np.linspace(-700, 700, 4000), np.random.default_rng(2).normal(0, 1, 4000)]).reshape(-1, LANES)
    lanes, numbers = np.empty_like(x), np.empty_like(x)
    exponentials(x, lanes, numbers)
    np.testing.assert_allclose(lanes, np.exp(x), rtol=6e-16)
    np.testing.assert_allclose(numbers, np.exp(x), rtol=6e-16)
    far = np.array([[-np.inf, -1e9, -800.0, -700.0] * (LANES // 4)])
    exponentials(far, lanes[:1], numbers[:1])
    np.testing.assert_allclose(lanes[:1], math.exp(-700), rtol=1e-15)


@kernel
def medians(numbers, n, out):
    write(out, 0, lane_medians(numbers, n))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 40), kind=st.integers(0, 5), bad=st.sampled_from([0.0, 0.1, 0.9]), seed=st.integers(0, 2**32 - 1))
def test_medians_of_lanes_are_those_of_each_alone(n, kind, bad, seed):
    rng = np.random.default_rng(seed)
    shape = (n, LANES)
    kinds = [
        rng.normal(100, 10, shape),
        rng.poisson(3, shape),
        rng.standard_cauchy(shape),
        np.exp(rng.normal(0, 100, shape)) * rng.choice([-1, 1], shape),
        rng.integers(0, 2, shape),
        rng.choice([1.7e308, -1.7e308, 0.0, 5e-324], shape),
    ]
    numbers = kinds[kind].astype(float)
    numbers[rng.random(shape) < bad] = rng.choice([np.nan, np.inf, -np.inf])
    found = np.empty((1, LANES))
    medians(np.concatenate([numbers, np.full((2, LANES), 1e9)]), n, found)
    for lane in range(LANES):
        good = np.sort(numbers[np.isfinite(numbers[:, lane]), lane])
        middle = good[(len(good) - 1) // 2 : len(good) // 2 + 1]
        expected = np.nan if not len(good) else middle[0] if len(good) % 2 else 0.5 * middle[0] + 0.5 * middle[-1]
        np.testing.assert_equal(found[0, lane], expected)


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
