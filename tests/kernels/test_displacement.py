"""One displacement a frame: the mean of the bright stars', whatever one of them does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsogrid.kernels.displacement import common_displacement


def test_it_is_the_mean_weighted_by_light():
    dx, dy = np.array([[0.1, 0.2, 0.0]]), np.array([[0.0, 0.1, 0.2]])
    light = np.array([[100.0, 300.0, 100.0]])
    x, y = common_displacement(dx, dy, light)
    np.testing.assert_allclose([x[0], y[0]], [0.14, 0.1])


def test_a_star_that_goes_another_way_is_left_out_and_one_without_a_centre_takes_no_part():
    dx = np.array([[0.5, 0.52, 0.48, 9.0, np.nan], [np.nan] * 5])
    light = np.array([[10.0, 10, 10, 12, 50], [10.0] * 5])
    x, y = common_displacement(dx, np.zeros((2, 5)), light)
    np.testing.assert_allclose(x, [0.5, np.nan])
    np.testing.assert_allclose(y, [0.0, np.nan])


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.floats(-50, 50), st.floats(0.01, 100))
def test_it_moves_with_the_stars_and_each_frame_is_alone(seed, by, unit):
    rng = np.random.default_rng(seed)
    dx, dy, light = rng.normal(0, 0.2, (3, 6)), rng.normal(0, 0.2, (3, 6)), rng.uniform(1, 9, (3, 6))
    x, y = common_displacement(dx, dy, light)
    moved_x, moved_y = common_displacement(dx + by, dy - by, unit * light)
    np.testing.assert_allclose(moved_x, x + by, atol=1e-9)
    np.testing.assert_allclose(moved_y, y - by, atol=1e-9)
    alone = common_displacement(dx[1:2], dy[1:2], light[1:2])
    assert alone[0][0] == x[1]
    order = rng.permutation(6)
    turned = common_displacement(dx[:, order], dy[:, order], light[:, order])
    np.testing.assert_allclose(turned[0], x, atol=1e-12)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        common_displacement(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((3, 2)))
