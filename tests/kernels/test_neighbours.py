"""Distances between sources, and marked pixels about them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from tsogrid.kernels.neighbours import marked_about, nearest_neighbour


def test_distances_known_on_paper():
    x = np.array([[0.0, 3.0, 100.0, np.nan, 0.0], [5.0, 5.0, 5.0, 5.0, 5.0]])
    y = np.array([[0.0, 4.0, 0.0, 0.0, np.inf], [0.0, 1.0, 3.0, 6.0, 10.0]])
    found = nearest_neighbour(x, y, 10.0)
    np.testing.assert_array_equal(found, [[5, 5, np.inf, np.inf, np.inf], [1, 1, 2, 3, 4]])
    np.testing.assert_array_equal(nearest_neighbour(x, y, 10.0, square=True)[0, :2], [4, 4])
    np.testing.assert_array_equal(nearest_neighbour(x, y, 4.99)[0], np.full(5, np.inf))
    assert np.isinf(nearest_neighbour(x[:, :1], y[:, :1], 1e9)).all()
    with pytest.raises(ValueError, match="expected"):
        nearest_neighbour(x, y[:1], 1.0)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999), count=st.integers(2, 60), limit=st.floats(1, 200), unknown=st.integers(0, 3)
)  # fmt: skip
def test_distances_are_those_of_a_tree(seed, count, limit, unknown):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-20, 120, (2, 2, count))
    x[1, :unknown] = np.nan
    found = nearest_neighbour(x, y, limit)
    for frame in range(2):
        known = np.isfinite(x[frame])
        points = np.stack([x[frame], y[frame]], axis=-1)[known]
        distance = cKDTree(points).query(points, k=2)[0][:, 1] if known.sum() > 1 else np.full(known.sum(), np.inf)
        np.testing.assert_allclose(found[frame, known], np.where(distance <= limit, distance, np.inf), rtol=1e-12)
        assert np.isinf(found[frame, ~known]).all()
    order = rng.permutation(count)
    np.testing.assert_array_equal(nearest_neighbour(x[:, order], y[:, order], limit), found[:, order])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), pixels=st.integers(0, 40), sources=st.integers(1, 12))
def test_marked_pixels_are_all_that_lie_in_the_square(seed, pixels, sources):
    rng = np.random.default_rng(seed)
    marked = np.zeros((3, 20, 30), bool)
    marked.reshape(-1)[rng.integers(0, marked.size, pixels)] = True
    x, y = rng.uniform(-3, 33, (2, 3, sources))
    reach = rng.uniform(0, 9, (3, sources))
    x[0, 0], reach[1, 0] = np.nan, np.nan
    expected = set()
    for frame, row, column in zip(*np.nonzero(marked), strict=True):
        near = (abs(column - x[frame]) <= reach[frame]) & (abs(row - y[frame]) <= reach[frame])
        expected |= {(int(frame), int(source), int(row), int(column)) for source in np.flatnonzero(near)}
    assert {tuple(map(int, each)) for each in zip(*marked_about(marked, x, y, reach), strict=True)} == expected
