"""Vectors of numbers in compiled code against numpy: both families, their memory, and one number of many."""

import math

import numpy as np
import pytest

from tsogrid.kernels.compile import kernel
from tsogrid.kernels.vectors import (
    LANES,
    WIDTH,
    add_bits,
    all_of,
    any_of,
    as_double,
    as_single,
    counted,
    fill,
    fused,
    lane,
    load,
    load_bits,
    load_lines,
    load_marked,
    no_count,
    number_of,
    power_of_two,
    ramp,
    read,
    smallest_of,
    spread,
    store,
    store_turned,
    total_of,
    truths,
    where,
    with_lane,
    write,
)


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
        write(out[3], k, where((x > y) & (x >= 0.0) | ~(y < 1.0), x, -1.0))
        write(out[4], k, where((x <= y) | (x == y), 1.0, spread(0.0)))
        write(out[5], k, 1.0 if any_of(x > 2.0) else 0)


@kernel
def doubled(a, out):
    for k in range(a.shape[0]):
        write(out, k, power_of_two(read(a, k) + 1.5 * 2.0**52))


@kernel
def eight_arithmetic(a, b, out):
    x, y = load(a, 0), load(b, 0)
    z = fill(1.5)
    z += x
    z -= 2 * y
    z *= 0.5
    z /= 3
    store(out, 0, (x + y) / (1 + abs(y)) - 2.0 * x)
    store(out, WIDTH, z)
    store(out, 2 * WIDTH, math.sqrt(abs(-x)))
    store(out, 3 * WIDTH, where((x > y) & (x >= 0.0) | ~(y < 1.0), x, -1.0))
    store(out, 4 * WIDTH, math.floor(x) + ramp())
    store(out, 5 * WIDTH, fused(x, y, x))
    store(out, 6 * WIDTH, as_double(counted(counted(no_count(), x > 0.0), y <= 0)))


@kernel
def single_arithmetic(a, half, out):
    x = load(a, 0)
    store(out, 0, where(x < half, half * x - x, abs(x)))
    store(out, WIDTH, as_single(as_double(x) * half) / half)


@kernel
def reduced(values, found):
    x = load(values, 0)
    found[0], found[1], found[2] = total_of(x), smallest_of(x), lane(with_lane(x, 5, 7.5), 5)
    below = x < 0
    found[3], found[4], found[5] = number_of(below), any_of(below), all_of(below)
    found[6], found[7] = all_of(x == x), total_of(counted(no_count(), below))
    return truths(below)


@kernel
def marked(values, marks, bit, out):
    store(out, 0, load_marked(values, marks, 3, bit))
    store(out, WIDTH, where(load_bits(marks, 3, bit), 1.0, fill(0.0)))
    add_bits(marks, 3, np.uint8(128), load(values, 3) > 0.0)


@kernel
def turned_eight(values, out):
    rows = (
        load(values, 0),
        load(values, 8),
        load(values, 16),
        load(values, 24),
        load(values, 32),
        load(values, 40),
        load(values, 48),
        load(values, 56),
    )
    store_turned(out, 3, rows)


@kernel
def turned(pixels, starts, out):
    store_turned(out, LANES, load_lines(pixels, starts, 2))


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


def test_powers_of_two():
    whole = np.arange(-1000.0, 1000.0).reshape(-1, LANES)
    out = np.empty_like(whole)
    doubled(whole, out)
    assert np.array_equal(out, 2.0**whole)


def test_eight_against_numpy():
    a, b = np.random.default_rng(1).normal(0, 2, (2, WIDTH))
    a[3], b[5], a[6], b[6] = np.nan, np.nan, 1.25, 1.25
    out = np.empty((7, WIDTH))
    eight_arithmetic(a, b, out.reshape(-1))
    exact = [
        (a + b) / (1 + abs(b)) - 2.0 * a,
        (1.5 + a - 2 * b) * 0.5 / 3,
        np.sqrt(abs(a)),
        np.where((a > b) & (a >= 0) | ~(b < 1), a, -1),
        np.floor(a) + np.arange(WIDTH),
    ]
    for found, truth in zip(out, exact, strict=False):
        np.testing.assert_array_equal(found, truth)  # every operation rounded alone
    np.testing.assert_allclose(out[5], a * b + a, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(out[6], (a > 0) * 1.0 + (b <= 0))


def test_singles_stay_single():
    a, half = np.random.default_rng(2).normal(0, 2, WIDTH).astype(np.float32), np.float32(0.3)
    out = np.empty((2, WIDTH), np.float32)
    single_arithmetic(a, half, out.reshape(-1))
    np.testing.assert_array_equal(out[0], np.where(a < half, half * a - a, abs(a)))
    np.testing.assert_array_equal(out[1], (a.astype(float) * float(half)).astype(np.float32) / half)


def test_one_number_of_many():
    values, found = np.random.default_rng(0).normal(size=WIDTH), np.empty(8)
    negative = reduced(values, found)
    below = values < 0
    assert found[0] == pytest.approx(values.sum(), rel=1e-14)
    assert found[1:].tolist() == [values.min(), 7.5, below.sum(), below.any(), below.all(), 1, below.sum()]
    assert negative == sum(1 << k for k in range(WIDTH) if below[k])


def test_bits_of_bytes():
    rng = np.random.default_rng(5)
    values, marks, out = rng.normal(size=14), rng.integers(0, 4, 14, np.uint8), np.empty((2, WIDTH))
    before, its = marks.copy(), (marks[3:11] & 2) > 0
    marked(values, marks, np.uint8(2), out.reshape(-1))
    np.testing.assert_array_equal(out, [np.where(its, values[3:11], np.nan), its])
    inside = (np.arange(14) >= 3) & (np.arange(14) < 11)
    np.testing.assert_array_equal(marks, np.where(inside & (values > 0), before | 128, before))


def test_a_square_of_eight_is_turned():
    values, out = np.random.default_rng(0).normal(size=(8, 8)), np.zeros(70)
    turned_eight(values.ravel(), out)
    np.testing.assert_array_equal(out[3:67].reshape(8, 8), values.T)
    assert not out[:3].any()
    assert not out[67:].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squares_are_turned(dtype):
    pixels = np.random.default_rng(3).normal(size=(3, 20, 30)).astype(dtype)
    starts = np.random.default_rng(4).integers(0, pixels.size - LANES - 2, LANES)
    out = np.zeros((LANES + 2, LANES))
    turned(pixels, starts, out)
    flat = pixels.ravel()
    assert np.array_equal(out[1:-1].T, [flat[s + 2 : s + 2 + LANES] for s in starts])
    assert not out[[0, -1]].any()
