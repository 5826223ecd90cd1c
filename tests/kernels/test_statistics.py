"""Medians, deviations and clipping of keys, against sorting and astropy."""

import numpy as np
import pytest
from astropy.stats import sigma_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tsogrid.kernels import clipping, statistics
from tsogrid.kernels.compile import kernel

TYPES = [np.float32, np.float64]


@kernel
def _rank(bits, n, rank, pivot, slope, keys):
    good = statistics.copy_keys(bits, 0, n, keys, 0)
    first, second = statistics.ranked_keys(keys, n, good, rank, True, keys.dtype.type(pivot), slope, statistics.COARSE)
    return np.float64(statistics.value_of(first)), np.float64(statistics.value_of(second)), good


@kernel
def _median(bits, n, keys):
    good = statistics.copy_keys(bits, 0, n, keys, 0)
    return statistics.median(keys, n, good)


@kernel
def _deviation(bits, n, keys, deviations):
    good = statistics.copy_keys(bits, 0, n, keys, 0)
    low, high = statistics.finite_interval(keys)
    center = statistics.median(keys, n, good)
    return statistics.median_deviation(keys, n, low, high, good, center, deviations)


@kernel
def _clipped(bits, n, keys, lanes):
    good = statistics.copy_keys(bits, 0, n, keys, 0)
    pivot, slope = statistics.guess_rank(keys, n, good, (good - 1) // 2)
    low, high, used, center, _, _ = clipping.clipped_interval(keys, n, good, lanes, pivot, slope)
    mean = center + statistics.interval_moments(keys, n, low, high, center, lanes)[0] / used
    return used, center, mean


def scratch(values):
    bits = statistics.as_bits(values)
    return bits, np.empty(bits.size + statistics.SAMPLE, bits.dtype)


def lanes():
    return np.empty((2, statistics.LANES))


def median(values):
    bits, keys = scratch(values)
    return _median(bits, bits.size, keys)


def clipped(values):
    bits, keys = scratch(values)
    return _clipped(bits, bits.size, keys, lanes())


def finite_arrays(dtype, least=1, most=300):
    width = np.dtype(dtype).itemsize * 8
    few = st.sampled_from([-2.0, -0.0, 0.0, 1.0, 1.5, 100.0])  # many ties
    elements = st.one_of(st.floats(-(2.0**100), 2.0**100, width=width), few)
    return hnp.arrays(dtype, st.integers(least, most), elements=elements)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [1, 2, 3, 32, 33, 1000, 7401])
def test_median_is_the_sorted_middle(dtype, size):
    rng = np.random.default_rng(size)
    for values in (
        rng.normal(0, 1, size),
        rng.normal(1e4, 1, size),
        np.round(rng.normal(0, 3, size)),
        rng.standard_cauchy(size) * 1e10,
        np.exp(rng.normal(0, 15, size)),
    ):
        values = values.astype(dtype)
        assert median(values) == np.median(values.astype(np.float64))


@pytest.mark.parametrize("dtype", TYPES)
def test_bad_pixels_are_left_out(dtype):
    values = np.array([np.nan, 3, np.inf, 1, -np.inf, 2, -np.nan, 10], dtype)
    assert median(values) == 2.5
    assert np.isnan(median(np.full(5, np.nan, dtype)))
    assert np.isnan(median(np.empty(0, dtype)))


@pytest.mark.parametrize("dtype", TYPES)
def test_extremes_of_the_type(dtype):
    limits = np.finfo(dtype)
    values = np.array([limits.min, limits.max, limits.smallest_subnormal, -limits.smallest_subnormal, 0.0], dtype)
    assert median(values) == 0.0
    assert median(values[:2]) == 0.0
    assert median(values[1:3]) == 0.5 * float(limits.max) + 0.5 * float(limits.smallest_subnormal)


@pytest.mark.parametrize("dtype", TYPES)
def test_any_rank_from_any_guess(dtype):
    @settings(deadline=None, max_examples=60, derandomize=True)
    @given(finite_arrays(dtype, 2), st.integers(-(2**31) + 1, 2**31 - 1), st.floats(0, 1e30), st.data())
    def check(values, pivot, slope, data):
        rank = data.draw(st.integers(0, values.size - 2))
        bits, keys = scratch(values)
        first, second, good = _rank(bits, bits.size, rank, pivot, slope, keys)
        ordered = np.sort(values).astype(np.float64)
        assert (first, second, good) == (ordered[rank], ordered[rank + 1], values.size)

    check()


@settings(deadline=None, max_examples=60, derandomize=True)
@given(finite_arrays(np.float32), st.randoms(use_true_random=False))
def test_order_of_the_pixels_does_not_matter(values, random):
    shuffled = values.copy()
    random.shuffle(shuffled)
    assert median(values) == median(shuffled) == np.median(values.astype(np.float64))


@pytest.mark.parametrize("dtype", TYPES)
def test_median_deviation(dtype):
    values = np.random.default_rng(5).normal(100, 3, 5001).astype(dtype)
    values[::50] = np.nan
    bits, keys = scratch(values)
    found = _deviation(bits, bits.size, keys, np.empty_like(keys))
    good = values[np.isfinite(values)].astype(np.float64)
    np.testing.assert_allclose(found, np.median(np.abs(good - np.median(good))), rtol=1e-6)
    assert found == pytest.approx(3 * 0.6744898, rel=0.05)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [3, 20, 566, 7400])
def test_clipping_agrees_with_astropy(dtype, size):
    rng = np.random.default_rng(size)
    for values in (rng.normal(50, 4, size), rng.standard_t(1.5, size), np.round(rng.exponential(2, size))):
        values = values.astype(dtype)
        values[rng.random(size) < 0.03] = np.nan
        good = values[np.isfinite(values)].astype(np.float64)
        kept = sigma_clip(good, sigma=3, maxiters=10, cenfunc="median", stdfunc="std", masked=False)
        used, center, mean = clipped(values)
        assert used == kept.size
        assert center == np.median(kept)
        np.testing.assert_allclose(mean, kept.mean(), rtol=1e-12, atol=1e-12)


def test_clipping_of_equal_values_keeps_all():
    assert clipped(np.full(100, 7.3, np.float32)) == (100, np.float32(7.3), np.float32(7.3))


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_moments_and_variance_of_an_interval(shift):
    rng = np.random.default_rng(2)
    values = (rng.normal(0, 1, 1111) + shift).astype(np.float32)
    error = rng.uniform(1, 2, 1121).astype(np.float32)

    @kernel
    def sums(bits, keys, error, lanes):
        statistics.copy_keys(bits, 0, bits.size, keys, 0)
        low, high = statistics.key_interval(keys, shift - 1.0, shift + 0.5, False)
        below, inside = statistics.count_interval(keys, bits.size, low, high)
        first, second = statistics.interval_moments(keys, bits.size, low, high, shift, lanes)
        return below, inside, first, second, statistics.interval_variance(keys, bits.size, low, high, error, 10, lanes)

    bits, keys = scratch(values)
    below, inside, first, second, variance = sums(bits, keys, error, lanes())
    wide = values.astype(np.float64) - shift
    used = (wide >= -1.0) & (wide <= 0.5)
    assert (below, inside) == (np.sum(wide < -1.0), used.sum())
    np.testing.assert_allclose([first, second], [wide[used].sum(), (wide[used] ** 2).sum()], rtol=1e-10)
    np.testing.assert_allclose(variance, (error[10:].astype(np.float64)[used] ** 2).sum(), rtol=1e-13)
