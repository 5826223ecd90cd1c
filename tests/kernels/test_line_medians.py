"""Eight lines at once: medians against sorting, and lines that do not know their neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsogrid.kernels.aperture import circle_sums
from tsogrid.kernels.colrow import column_row
from tsogrid.kernels.colrow_variance import column_row_circle_variance, column_row_variance
from tsogrid.kernels.compile import kernel
from tsogrid.kernels.line_medians import (
    bracket_of_lines,
    count_lines,
    limits_of_lines,
    median_of_all,
    median_of_line,
)
from tsogrid.kernels.shapes import ShapeWeights, dense_weights
from tsogrid.kernels.vectors import as_single, load, store


@kernel
def _medians(sizes, rounded, chosen, found):
    for line in range(8):
        found[line] = median_of_line(sizes, line, np.int64(8), sizes.size, rounded, chosen)


@kernel
def _limits(singles, points, guess, lowest, highest):
    rows, number, start = singles.size // 8, load(points, np.uintp(0)), as_single(load(guess, np.uintp(0)))
    bracket = bracket_of_lines(singles, rows, number, start, count_lines(singles, rows, start))
    smaller, larger = limits_of_lines(singles, rows, bracket)
    store(lowest, np.uintp(0), smaller)
    store(highest, np.uintp(0), larger)


@kernel
def _median(values, singles, points, guess, rounded, chosen):
    return median_of_all(values, singles, values.size // 8, points, guess, rounded, chosen)


def medians(sizes, guess, rounded, together, near):
    count = np.isfinite(sizes).sum(axis=0)
    found, chosen, singles = np.empty(8), np.empty(sizes.size + 1), sizes.astype(np.float32).ravel()
    if together:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], sizes.size)
        number = int(count.sum())
        return np.full(8, _median(signs * sizes.ravel(), singles, number, guess, rounded, chosen) if number else np.nan)
    points, start = count.astype(float), np.full(8, guess)
    _medians(sizes.ravel(), rounded, chosen, found)
    lowest, highest = np.empty(8), np.empty(8)
    _limits(singles, points, start, lowest, highest)
    some = count > 0
    exact = np.nanmedian(singles.reshape(-1, 8)[:, some].astype(float), axis=0)
    assert (lowest[some] <= exact).all()
    assert (exact <= highest[some]).all()
    assert not near or (lowest[some] == highest[some]).all()  # whatever number of passes it took, and however many points
    return found


@given(
    st.integers(0, 10**6),
    st.integers(1, 70),
    st.sampled_from([0.0, 0.3, 0.9]),
    st.sampled_from(["normal", "ties", "few ties", "tails", "zeros", "close"]),
    st.sampled_from([1e-3, 0.7, 1e6]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_medians_are_those_of_sorted_values(seed, rows, holes, kind, guess, rounded, together):
    rng = np.random.default_rng(seed)
    sizes = np.abs(rng.normal(0, 1, (rows, 8)))
    if kind == "ties":
        sizes = np.round(3 * sizes)
    elif kind == "few ties":
        sizes = np.round(40 * sizes)
    elif kind == "tails":
        sizes = np.abs(rng.standard_cauchy((rows, 8))) ** 5
    elif kind == "zeros":
        sizes *= rng.random(sizes.shape) < 0.3
    elif kind == "close":  # alike in single precision
        sizes = 1 + 1e-12 * sizes
    sizes[rng.random(sizes.shape) < holes] = np.nan
    found = medians(sizes, guess, rounded, together, kind == "normal" and guess == 0.7)
    values = sizes.astype(np.float32).astype(float) if rounded else sizes
    for line in range(8):
        its = values if together else values[:, line]
        its = its[np.isfinite(its)]
        if its.size:
            low, high = np.sort(its)[[(its.size - 1) // 2, its.size // 2]]
            assert found[line] == (0.5 * low + 0.5 * high if its.size % 2 == 0 else low)


@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(3, 40), st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_a_column_has_the_same_bits_beside_any_others(seed, order, height, width):
    rng = np.random.default_rng(seed)
    data, region = rng.normal(100, 5, (1, height, width)), rng.random((1, height, width)) < 0.8
    data[rng.random(data.shape) < 0.1] = np.nan
    changed = rng.permutation(width)
    fit = column_row(data, region, 0, order, ["Y"])
    other = column_row(np.ascontiguousarray(data[:, :, changed]), region[:, :, changed], 0, order, ["Y"])
    assert np.ascontiguousarray(fit.model[:, :, changed]).tobytes() == other.model.tobytes()
    np.testing.assert_array_equal(fit.kept[..., changed], other.kept)
    turned = column_row(np.ascontiguousarray(data.swapaxes(1, 2)), region.swapaxes(1, 2), order, 0, ["X"])
    assert np.ascontiguousarray(turned.model.swapaxes(1, 2)).tobytes() == fit.model.tobytes()
    np.testing.assert_array_equal(turned.kept.swapaxes(2, 3), fit.kept)
    np.testing.assert_array_equal(turned.scatter, fit.scatter)


@pytest.mark.parametrize(("orders", "directions"), [((1, 1), "YX"), ((0, 3), "X"), ((4, 2), "XYX")])
@pytest.mark.parametrize("known", [True, False])
def test_circles_have_the_variance_of_their_weights(orders, directions, known):
    rng = np.random.default_rng(8)
    shape = (5, 33, 30)
    data = rng.normal(100, 5, shape)
    data[rng.random(shape) < 0.03] = np.nan
    error = rng.uniform(4, 6, shape) if known else None
    rows, columns = np.indices(shape[1:])
    distance = np.hypot(rows - 16, columns - 14)
    fit = column_row(data, np.broadcast_to((distance > 8) & (distance < 14), shape), *orders, directions)
    x, y = rng.uniform(10, 18, (5, 1)), rng.uniform(12, 20, (5, 1))
    x[1], y[2] = 1.3, 500.0
    radius = np.array([6.0, 0.4, 1.0, 9.5, 3.3, 60.0])
    good = np.isfinite(data)
    found = column_row_circle_variance(fit, error, good, x, y, radius, *orders, directions)
    assert found.shape == (5, 6)
    for index, each in enumerate(radius):
        weights = dense_weights(data, x[:, 0], y[:, 0], ShapeWeights("circle"), np.full((5, 1), each))
        expected = column_row_variance(fit, error, weights, *orders, directions)
        np.testing.assert_allclose(found[:, index], expected, rtol=1e-11, atol=1e-18)
    assert (found[2] == 0).all()
    some = column_row_circle_variance(
        fit._replace(model=fit.model[3:4], kept=fit.kept[:, 3:4], scatter=fit.scatter[3:4]),
        None if error is None else error[3:4],
        good[3:4],
        x[3:4],
        y[3:4],
        radius[:1],
        *orders,
        directions,
    )
    assert some[0, 0] == found[3, 0]  # whatever is computed beside it


def test_a_level_is_known_as_well_as_its_mean():
    """A constant through n pixels: its sum over an aperture of area A has the variance A² σ² / n."""
    data = np.random.default_rng(2).normal(50, 2, (1, 1, 40))
    region = np.ones(data.shape, bool)
    region[..., 15:25] = False
    fit = column_row(data, region, 0, 0, ["X"])
    x, y, radius = np.array([[19.5]]), np.array([[0.0]]), np.array([4.0])
    found = column_row_circle_variance(fit, np.full(data.shape, 2.0), region | True, x, y, radius, 0, 0, ["X"])
    area = circle_sums(data, None, x, y, radius).area[0, 0, 0]
    n = fit.kept.sum()
    assert found[0, 0] == pytest.approx(area**2 * 4 / n * (1 + 0.24866 * (n - 1) / (n - 1 + 11)), rel=1e-12)
