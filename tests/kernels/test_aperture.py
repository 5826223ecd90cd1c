"""Circle and frame sums against analytic areas, a brute-force overlap, and photutils."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.aperture import CircularAperture

from tsogrid.kernels.aperture import circle_sums, frame_sums
from tsogrid.kernels.compile import kernel
from tsogrid.kernels.overlap import pixel_overlap as overlap_part

SHAPE = (31, 27)
# continuous positions, and those where circles touch grid lines and corners
POSITIONS = st.one_of(
    st.floats(-15, 45),
    st.integers(-30, 90).map(lambda half: half / 2),
    st.integers(0, 26).map(float),
)
RADII = st.one_of(
    st.floats(0.05, 60),
    st.floats(0.05, 3),
    st.integers(1, 60).map(lambda half: half / 2),
    st.integers(1, 20).map(lambda edge: (edge - 0.5) * np.sqrt(2.0)),
)


@kernel
def pixel_overlap(left, right, lower, upper, radius):
    return overlap_part(left, right, lower, upper, radius)


def frames(seed: int, bad: float = 0.0, count: int = 1, dtype: type = np.float64):
    rng = np.random.default_rng(seed)
    data = rng.normal(100, 30, (count, *SHAPE))
    error = rng.uniform(1, 10, data.shape)
    data[rng.random(data.shape) < bad] = rng.choice([np.nan, np.inf, -np.inf])
    return data.astype(dtype), error.astype(dtype)


def photutils_weights(x: float, y: float, radius: float) -> np.ndarray:
    image = CircularAperture((x, y), radius).to_mask(method="exact").to_image(SHAPE)
    return np.zeros(SHAPE) if image is None else image


def one(sums, k=0):
    return [float(values[0, 0, k]) for values in sums]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    x=POSITIONS,
    y=POSITIONS,
    radii=st.lists(RADII, min_size=1, max_size=5),
    bad=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_sums_equal_photutils_exact(x, y, radii, bad, seed, dtype):
    data, error = frames(seed, bad, dtype=dtype)
    good = np.isfinite(data[0])
    sums = circle_sums(data, error, [[x]], [[y]], radii)
    linear = circle_sums(data, error, [[x]], [[y]], radii, variance_weight="w")
    for k, radius in enumerate(radii):
        weights = np.where(good, photutils_weights(x, y, radius), 0.0)
        values = np.where(good, data[0], 0.0).astype(float)
        variance = error[0].astype(float) ** 2
        total, total_variance, area, bad_count = one(sums, k)
        # 1e-13 of a pixel is the noise of photutils' own overlap of barely touched pixels
        assert total == pytest.approx((weights * values).sum(), abs=1e-9 * (weights * abs(values)).sum() + 1e-10)
        assert area == pytest.approx(weights.sum(), rel=1e-11, abs=1e-12)
        assert total_variance == pytest.approx((weights**2 * variance).sum(), rel=1e-9, abs=1e-10)
        assert one(linear, k)[1] == pytest.approx((weights * variance).sum(), rel=1e-9, abs=1e-10)
        # a circle that only just reaches a corner may or may not touch that pixel
        near_x = np.clip(np.abs(np.arange(SHAPE[1]) - x) - 0.5, 0, None)
        near_y = np.clip(np.abs(np.arange(SHAPE[0]) - y) - 0.5, 0, None)[:, None]
        reach = radius / np.hypot(near_x, near_y).clip(1e-9)
        assert (~good & (reach > 1 + 1e-12)).sum() <= bad_count <= (~good & (reach > 1 - 1e-12)).sum()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(x=st.floats(13, 14), y=st.floats(14, 16), radius=st.floats(0.01, 12.5))
def test_circle_inside_the_frame_has_the_area_of_a_circle(x, y, radius):
    sums = circle_sums(*frames(0), [[x]], [[y]], [radius])
    assert sums.area[0, 0, 0] == pytest.approx(np.pi * radius**2, rel=1e-13)


@pytest.mark.parametrize("radius", [0.05, 0.3, 0.5, 0.75, 1.3, 1.9999])
def test_overlap_of_small_circles_equals_the_quadrature_of_half_chords(radius):
    rng = np.random.default_rng(int(radius * 100))
    nodes, factors = np.polynomial.legendre.leggauss(200)
    for _ in range(20):
        left, lower = rng.uniform(-1.5, 0.8, 2)
        # x = r sin(t) takes the square root out of the chord; pieces end where the chord meets the pixel's edges
        corner = np.sqrt(np.maximum(radius**2 - np.array([lower, lower + 1]) ** 2, 0))
        breaks = np.unique(np.clip([left, left + 1, *corner, *-corner, -radius, radius], left, left + 1))
        breaks = np.arcsin(np.clip(breaks / radius, -1, 1))
        expected = 0.0
        for start, stop in pairwise(breaks):
            t = (stop + start) / 2 + (stop - start) / 2 * nodes
            chord = radius * np.cos(t)
            height = np.clip(np.minimum(chord, lower + 1) - np.maximum(-chord, lower), 0, None)
            expected += (stop - start) / 2 * (factors * height * chord).sum()
        assert pixel_overlap(left, left + 1, lower, lower + 1, radius) == pytest.approx(expected, abs=1e-13)


def test_weights_of_single_pixels_equal_the_scalar_overlap():
    # one lit pixel at a time would be slow: distinct digits in base 1 are given by many frames of one lit pixel
    data = np.zeros((SHAPE[0] * SHAPE[1], *SHAPE))
    data.reshape(len(data), -1)[np.arange(len(data)), np.arange(len(data))] = 1.0
    radii = [2.0, 2.3, 3.7, 7.99, 8.0, 9.6, 12.5]
    for x, y in [(13.0, 15.0), (13.5, 15.5), (12.81, 14.63), (2.2, 29.4)]:
        position = np.ones((len(data), 1))
        sums = circle_sums(data, None, x * position, y * position, radii)
        for k, radius in enumerate(radii):
            expected = [
                pixel_overlap(column - 0.5 - x, column + 0.5 - x, row - 0.5 - y, row + 0.5 - y, radius)
                for row in range(SHAPE[0])
                for column in range(SHAPE[1])
            ]
            np.testing.assert_allclose(sums.sum[:, 0, k], expected, rtol=0, atol=1e-13)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    x=st.floats(8, 18),
    y=st.floats(9, 20),
    radii=st.lists(st.floats(0.1, 6.5), min_size=1, max_size=5),
    column=st.integers(0, 1),
    row=st.integers(0, 2),
)
def test_a_stamp_gives_the_bits_of_the_whole_frame(x, y, radii, column, row):
    data, error = frames(5, 0.05)
    x, y = np.round(x * 2**40) / 2**40, np.round(y * 2**40) / 2**40
    whole = circle_sums(data, error, [[x]], [[y]], radii)
    window = (slice(None), slice(row, 28 + row), slice(column, 26 + column))
    stamp = circle_sums(
        np.ascontiguousarray(data[window]),
        np.ascontiguousarray(error[window]),
        [[x - column]],
        [[y - row]],
        radii,
    )
    for ours, theirs in zip(stamp, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_frame_gives_the_same_bits_in_every_batch():
    data, error = frames(6, 0.03, count=6, dtype=np.float32)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(5, 22, (2, 6, 3))
    x[3:5], y[3:5] = x[2], y[2]  # a source that rests, where the weights are kept
    radii = [4.2, 1.1, 9.3, 2.0]
    together = circle_sums(data, error, x, y, radii)
    for i in range(6):
        part = slice(i, i + 1)
        alone = circle_sums(data[part], error[part], x[part], y[part], radii)
        for ours, theirs in zip(alone, together, strict=True):
            np.testing.assert_array_equal(ours, theirs[part])


def test_order_of_radii_is_kept():
    data, error = frames(7)
    radii = np.array([5.0, 2.5, 9.0, 0.7])
    given_order = circle_sums(data, error, [[13.2]], [[15.9]], radii)
    ascending = circle_sums(data, error, [[13.2]], [[15.9]], np.sort(radii))
    for ours, theirs in zip(given_order, ascending, strict=True):
        np.testing.assert_array_equal(ours[..., np.argsort(radii)], theirs)


def test_a_huge_pixel_beside_the_circle_costs_no_digits():
    data, error = frames(8)
    clean = circle_sums(data, error, [[13.2]], [[15.9]], [3.0, 9.0])
    data[0, 15, 6] = 1e30
    error[0, 15, 6] = 1e30
    sums = circle_sums(data, error, [[13.2]], [[15.9]], [3.0, 9.0])
    assert sums.sum[0, 0, 0] == clean.sum[0, 0, 0]
    assert sums.variance[0, 0, 0] == clean.variance[0, 0, 0]
    assert sums.sum[0, 0, 1] == pytest.approx(1e30)


def test_a_nan_error_spoils_only_the_variance_of_circles_that_touch_it():
    data, error = frames(9)
    error[0, 15, 19] = np.nan  # spans 5.5 … 6.5 from the centre
    sums = circle_sums(data, error, [[13.0]], [[15.0]], [5.5, 5.51, 8.0, 1.0])
    np.testing.assert_array_equal(np.isnan(sums.variance[0, 0]), [False, True, True, False])
    assert np.isfinite(sums.sum).all()
    data[0, 15, 19] = np.nan  # of a bad pixel the error does not matter
    sums = circle_sums(data, error, [[13.0]], [[15.0]], [5.5, 5.51, 8.0, 1.0])
    assert np.isfinite(sums.variance).all()
    np.testing.assert_array_equal(sums.bad[0, 0], [0, 1, 1, 0])


def test_without_error_the_variance_is_unknown():
    data, error = frames(10)
    sums = circle_sums(data, None, [[13.0]], [[15.0]], [2.0])
    assert np.isnan(sums.variance).all()
    np.testing.assert_array_equal(sums.sum, circle_sums(data, error, [[13.0]], [[15.0]], [2.0]).sum)


@pytest.mark.parametrize("position", [(np.nan, 5.0), (5.0, np.nan), (np.inf, 5.0)])
def test_unknown_positions_give_nan(position):
    data, error = frames(11)
    total, variance, area, bad = one(circle_sums(data, error, [[position[0]]], [[position[1]]], [2.0]))
    assert np.isnan(total)
    assert np.isnan(variance)
    assert (area, bad) == (0.0, 0.0)


@pytest.mark.parametrize("position", [(-1e300, 5.0), (1e12, 5.0), (5.0, -40.0), (-2.5, 5.0)])
def test_circles_off_the_frame_are_empty(position):
    data, error = frames(12)
    assert one(circle_sums(data, error, [[position[0]]], [[position[1]]], [2.0])) == [0, 0, 0, 0]


def test_a_huge_circle_is_the_whole_frame():
    data, error = frames(13, 0.1)
    whole = frame_sums(data, error)
    sums = circle_sums(data, error, [[13.0]], [[15.0]], [100.0, 1e200])
    for k in range(2):
        np.testing.assert_allclose(one(sums, k), [values[0] for values in whole], rtol=1e-12)


def test_frame_sums():
    data, error = frames(14, 0.1, count=3, dtype=np.float32)
    good = np.isfinite(data)
    sums = frame_sums(data, error)
    np.testing.assert_allclose(sums.sum, np.where(good, data, 0).sum((1, 2), dtype=float), rtol=1e-12)
    np.testing.assert_allclose(sums.variance, np.where(good, error, 0).astype(float).__pow__(2).sum((1, 2)))
    np.testing.assert_array_equal(sums.area, good.sum((1, 2)))
    np.testing.assert_array_equal(sums.bad, (~good).sum((1, 2)))
    assert np.isnan(frame_sums(data, None).variance).all()
    error[1][tuple(np.argwhere(good[1])[0])] = np.nan
    np.testing.assert_array_equal(np.isnan(frame_sums(data, error).variance), [False, True, False])


def test_wrong_input_is_refused():
    data, error = frames(15)
    at = [[5.0]]
    for wrong in (data[0], data.astype(int), data.astype(data.dtype.newbyteorder()), data[:, :, ::2]):
        with pytest.raises(ValueError, match="data: expected"):
            circle_sums(wrong, None, at, at, [2.0])
    with pytest.raises(ValueError, match="error: expected"):
        circle_sums(data, error.astype(np.float32), at, at, [2.0])
    with pytest.raises(ValueError, match="x, y: expected"):
        circle_sums(data, error, [5.0], [5.0], [2.0])
    for radii in ([], [-1.0], [np.nan], 3.0):
        with pytest.raises(ValueError, match="radii: expected"):
            circle_sums(data, error, at, at, radii)
    with pytest.raises(ValueError, match="variance_weight: expected"):
        circle_sums(data, error, at, at, [2.0], variance_weight="w3")
