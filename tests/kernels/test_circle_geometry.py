"""Circles where geometry is delicate: corners on the edge, frames of a few pixels, bad pixels beside, many lists."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.test_aperture import pixel_overlap
from tsogrid.kernels import bands
from tsogrid.kernels.aperture import circle_sums


def weights_of(x: float, y: float, radius: float, shape: tuple[int, int]) -> np.ndarray:
    return np.array(
        [
            [
                pixel_overlap(column - 0.5 - x, column + 0.5 - x, row - 0.5 - y, row + 0.5 - y, radius)
                for column in range(shape[1])
            ]
            for row in range(shape[0])
        ]
    )


@pytest.mark.parametrize(("factors", "largest"), [(bands._LONG, 1 / 8), (bands._SHORT, 1 / 128)])
def test_polynomials_are_half_the_segment_over_the_triangle(factors, largest):
    for t in np.linspace(0, largest, 50)[1:]:
        angle = 2 * math.asin(math.sqrt(t))
        series = sum(4.0**n * math.factorial(n) ** 2 / math.factorial(2 * n + 1) * t**n for n in range(1, 60))
        assert series == pytest.approx(angle / math.sin(angle) - 1, rel=1e-11)
        # as far as it counts in a pixel: the cross product is √2 of a radius that has this t
        radius = math.sqrt(0.5 / t)
        found = t * sum(factor * t**n for n, factor in enumerate(factors))
        assert math.sqrt(2) * radius * abs(found - series / 2) < 1e-15


@pytest.mark.parametrize("center", [(13.5, 15.5), (13.0, 15.0), (13.5, 15.0), (12.5, 15.25)])
def test_corners_exactly_on_the_edge_are_counted_once(center):
    # 3² + 4² = 5², 5² + 12² = 13², 1.5² + 2² = 2.5², 2.5² + 6² = 6.5², 4.5² + 6² = 7.5², 0.75² + 1² = 1.25² …
    radii = [2.5, 5.0, 6.5, 7.5, 10.0, 13.0, 6.25, np.nextafter(5.0, 0), np.nextafter(5.0, 9), 12.5 * math.sqrt(0.5)]
    shape = (32, 28)
    data = np.ones((1, *shape))
    sums = circle_sums(data, data, [[center[0]]], [[center[1]]], radii)
    np.testing.assert_allclose(sums.area[0, 0], np.pi * np.square(radii), rtol=1e-14)
    np.testing.assert_allclose(sums.sum[0, 0], sums.area[0, 0], rtol=1e-14)
    marks = np.arange(shape[0] * shape[1], dtype=float).reshape(1, *shape) + 1
    sums = circle_sums(marks, None, [[center[0]]], [[center[1]]], radii)
    for k, radius in enumerate(radii):
        assert sums.sum[0, 0, k] == pytest.approx((weights_of(*center, radius, shape) * marks[0]).sum(), rel=1e-13)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    ny=st.integers(1, 12),
    nx=st.integers(1, 12),
    x=st.one_of(st.floats(-6, 18), st.integers(-10, 30).map(lambda half: half / 2)),
    y=st.one_of(st.floats(-6, 18), st.integers(-10, 30).map(lambda half: half / 2)),
    radii=st.lists(st.floats(0.1, 16), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_frames_of_a_few_pixels(ny, nx, x, y, radii, seed):
    rng = np.random.default_rng(seed)
    data, error = rng.normal(50, 9, (1, ny, nx)), rng.uniform(1, 3, (1, ny, nx))
    data[0, ny // 2, nx // 2] = np.nan if seed % 2 else data[0, ny // 2, nx // 2]
    sums = circle_sums(data, error, [[x]], [[y]], radii)
    good = np.isfinite(data[0])
    for k, radius in enumerate(radii):
        weights = np.where(good, weights_of(x, y, radius, (ny, nx)), 0)
        value = np.where(good, data[0], 0)
        assert sums.sum[0, 0, k] == pytest.approx((weights * value).sum(), rel=1e-11, abs=1e-11)
        assert sums.variance[0, 0, k] == pytest.approx((weights**2 * error[0] ** 2).sum(), rel=1e-11, abs=1e-11)
        assert sums.area[0, 0, k] == pytest.approx(weights.sum(), rel=1e-11, abs=1e-12)


def test_a_bad_pixel_beside_the_circle_changes_no_bit():
    rng = np.random.default_rng(3)
    data, error = rng.normal(50, 9, (1, 40, 40)).astype(np.float32), rng.uniform(1, 3, (1, 40, 40)).astype(np.float32)
    radii = [1.5, 3.2, 8.0, 14.7]
    clean = circle_sums(data, error, [[19.3]], [[20.8]], radii)
    data[0, 20, 29] = np.nan  # 9.7 pixels from the centre
    spoilt = circle_sums(data, error, [[19.3]], [[20.8]], radii)
    for ours, theirs in zip(spoilt, clean, strict=True):
        np.testing.assert_array_equal(ours[..., :3], theirs[..., :3])
    np.testing.assert_array_equal(spoilt.bad[0, 0], [0, 0, 0, 1])
    assert spoilt.area[0, 0, 3] == pytest.approx(clean.area[0, 0, 3] - 1, rel=1e-14)


def test_more_sources_than_lists_at_a_time():
    rng = np.random.default_rng(4)
    data = rng.normal(50, 9, (3, 60, 60))
    x, y = rng.uniform(0, 59, (2, 3, 30))
    x[1:, ::3], y[1:, ::3] = x[0, ::3], y[0, ::3]  # some rest
    x[1, 4] = np.nan
    radii = np.linspace(20, 2, 25)
    together = circle_sums(data, data, x, y, radii)
    for source in range(30):
        alone = circle_sums(data, data, x[:, source : source + 1], y[:, source : source + 1], radii)
        for ours, theirs in zip(together, alone, strict=True):
            np.testing.assert_array_equal(ours[:, source], theirs[:, 0])
    assert np.isnan(together.sum[1, 4]).all()
