"""Eight numbers at once, against numpy; asking for memory changes nothing."""

import numpy as np
import pytest

from tsogrid.kernels.compile import kernel
from tsogrid.kernels.eights import ARRAY, EIGHT, NUMBER, PLACE, emit, load_good, load_squares, prefetch


@emit(ARRAY, ARRAY, NUMBER, ARRAY, PLACE)
def _arithmetic(builder, one, two, number, out, place):
    a, b = one.load(place), two.load(place)
    results = (
        a + b,
        a - 2.0,
        a.exactly() * b,
        -a,
        a.least(b),
        a.most(b),
        a.least(0.0).root(),
        a.floor(),
        a.where(a > number, b),
        a.count(),
        one.every(3),
    )
    for m, numbers in enumerate(results):
        at = builder.add(place, place.type(EIGHT * m))
        out.store(at, numbers)


@kernel
def arithmetic(one, two, number, out):
    _arithmetic(one, two, number, out, np.uintp(0))


@kernel
def copy(data, error, value, square, sums, square_sums):
    bad = np.int64(0)
    for row in range(data.shape[0]):
        place, before = np.uintp(EIGHT * (row + 1)), np.uintp(EIGHT * row)
        prefetch(data, np.uintp(10**9 + row))  # of memory that is not ours
        bad |= load_good(data, np.uintp(EIGHT * row), value, sums, place, before) << (EIGHT * row)
        load_squares(data, error, np.uintp(EIGHT * row), square, square_sums, place, before)
    return bad


def test_arithmetic_is_that_of_numpy():
    a, b = np.random.default_rng(1).normal(0, 3, (2, EIGHT))
    out = np.zeros((11, EIGHT))
    arithmetic(a, b, 0.5, out)
    expected = (
        a + b,
        a - 2.0,
        a * b,
        -a,
        np.maximum(a, b),
        np.minimum(a, b),
        np.sqrt(np.maximum(a, 0)),
        np.floor(a),
        np.where(a > 0.5, a, b),
        np.arange(EIGHT),
        np.full(EIGHT, a[3]),
    )
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_are_copied_squared_and_summed_without_the_bad_ones(dtype):
    rng = np.random.default_rng(2)
    data, error = rng.normal(100, 9, (2, 3, EIGHT)).astype(dtype)
    data[0, 2], data[1, 7], data[2, 0] = np.nan, np.inf, -np.inf
    error[1, 1], error[1, 7] = np.nan, np.nan
    value, square, sums, square_sums = np.zeros((4, 4, EIGHT))
    bad = copy(data, error, value, square, sums, square_sums)
    good = np.isfinite(data)
    np.testing.assert_array_equal(value[1:], np.where(good, data, 0))
    np.testing.assert_array_equal(square[1:], np.where(good, error.astype(float) ** 2, 0))
    np.testing.assert_array_equal(sums[1:], np.cumsum(value[1:], axis=0))
    np.testing.assert_array_equal(square_sums[1:], np.cumsum(square[1:], axis=0))
    assert bad == 1 << 2 | 1 << 15 | 1 << 16
