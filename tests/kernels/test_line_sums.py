"""Sums of the levels of lines over circles, and of the noise that a line's pixels share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.aperture import CircularAperture

from tsogrid.kernels.aperture import circle_sums
from tsogrid.kernels.circles import kept_lists
from tsogrid.kernels.line_sums import circle_line_sums

SHAPE = (31, 27)
LINES = np.repeat([2, -1, 0, 1], [7, 3, 10, 7])


def frames(seed, bad=0.0, count=1, dtype=float):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(count, *SHAPE)).astype(dtype)
    data[rng.uniform(size=data.shape) < bad] = np.nan
    return data, rng.normal(size=(count, SHAPE[0], 3)), rng.uniform(0, 2, (count, SHAPE[0], 3))


def weights_of(x, y, radius):
    image = CircularAperture((x, y), radius).to_mask(method="exact").to_image(SHAPE)
    return np.zeros(SHAPE) if image is None else image


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    x=st.floats(-3, 30),
    y=st.floats(-3, 34),
    radii=st.lists(st.floats(0.2, 25), min_size=1, max_size=3),
    bad=st.sampled_from([0.0, 0.1]),
    lines=st.sampled_from([LINES, np.zeros(27, int), np.full(27, -1)]),
    seed=st.integers(0, 99),
)
def test_sums_equal_those_of_an_image_of_levels(x, y, radii, bad, lines, seed):
    data, level, variance = frames(seed, bad)
    image = np.where(lines >= 0, level[0][:, lines], 0.0)
    for every in (False, True):
        found = circle_line_sums(data, [[x]], [[y]], radii, variance, lines, level, every)
        for k, radius in enumerate(radii):
            weights = np.where(every | np.isfinite(data[0]), weights_of(x, y, radius), 0.0)
            expected = sum((weights[:, lines == line].sum(1) ** 2 * variance[0, :, line]).sum() for line in range(3))
            assert found.variance[0, 0, k] == pytest.approx(expected, rel=1e-9, abs=1e-11)
            assert found.sum[0, 0, k] == pytest.approx((weights * image).sum(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("x", "y"), [(13.0, 0.0), (-2.0, -1.5), (26.4, 0.4), (13.0, 30.0), (0.0, 15.0)])
def test_a_circle_that_holds_the_frame_takes_all_rows(x, y):
    """About the first row it has no pixel below its axis and, wider than the frame, no edge either."""
    data, level, variance = frames(3, bad=0.05)
    good = np.isfinite(data[0])
    for every, counted in ((False, good), (True, np.ones(SHAPE))):
        found = circle_line_sums(data, [[x]], [[y]], [60.0], variance, np.zeros(27, int), level, every)
        assert found.sum[0, 0, 0] == pytest.approx((counted.sum(1) * level[0, :, 0]).sum(), rel=1e-12)
        assert found.variance[0, 0, 0] == pytest.approx((counted.sum(1) ** 2 * variance[0, :, 0]).sum(), rel=1e-12)


def test_without_levels_only_noise_is_summed():
    data, level, variance = frames(1)
    with_levels = circle_line_sums(data, [[13.0]], [[15.0]], [4.0], variance, LINES, level)
    found = circle_line_sums(data, [[13.0]], [[15.0]], [4.0], variance, LINES)
    assert found.sum == 0.0
    np.testing.assert_array_equal(found.variance, with_levels.variance)


def test_an_unknown_level_is_felt_where_a_circle_touches_its_line():
    data, level, variance = frames(2)
    level[0, 10, 0] = np.nan
    found = circle_line_sums(data, [[14.0]], [[15.0]], [3.0, 4.4, 4.6], variance, LINES, level)
    np.testing.assert_array_equal(np.isnan(found.sum[0, 0]), [False, False, True])
    variance[0, 10, 0] = np.nan
    np.testing.assert_array_equal(
        np.isnan(circle_line_sums(data, [[14.0]], [[15.0]], [3.0, 4.6], variance, LINES).variance[0, 0]), [False, True]
    )


@pytest.mark.parametrize("dtype", [np.float32, float])
def test_a_frame_gives_the_same_bits_in_every_batch_and_by_kept_lists(dtype):
    data, level, variance = frames(6, 0.002, count=6, dtype=dtype)
    x, y = np.random.default_rng(1).uniform(5, 22, (2, 6, 3))
    x[3:5], y[3:5] = x[2], y[2]
    radii = [4.2, 1.1, 9.3, 2.0]
    together = circle_line_sums(data, x, y, radii, variance, LINES, level)
    kept = circle_line_sums(data, x, y, radii, variance, LINES, level, lists=kept_lists(x, y, radii, *SHAPE))
    for i in range(6):
        part = slice(i, i + 1)
        alone = circle_line_sums(data[part], x[part], y[part], radii, variance[part], LINES, level[part])
        for ours, theirs, others in zip(alone, together, kept, strict=True):
            np.testing.assert_array_equal(ours, theirs[part])
            np.testing.assert_array_equal(ours, others[part])


def test_several_models_are_each_alone():
    data, level, variance = frames(6, 0.01, count=3)
    x, y = np.random.default_rng(1).uniform(-2, 26, (2, 3, 2))
    x[1, 0] = np.nan
    levels, variances = np.stack([level, 2 * level, level + 1]), np.stack([variance, variance, 3 * variance])
    levels[1, :, 12] = np.nan
    together = circle_line_sums(data, x, y, [5.0, 2.0], variances, LINES, levels)
    assert together.sum.shape == (3, 3, 2, 2)
    for model in range(3):
        alone = circle_line_sums(data, x, y, [5.0, 2.0], variances[model], LINES, levels[model])
        for ours, theirs in zip(together, alone, strict=True):
            np.testing.assert_array_equal(ours[model], theirs)


@pytest.mark.parametrize("position", [(np.nan, 5.0), (5.0, np.inf)])
def test_unknown_positions_give_nan(position):
    data, level, variance = frames(3)
    found = circle_line_sums(data, [[position[0]]], [[position[1]]], [2.0], variance, LINES, level)
    assert np.isnan(found.sum).all()
    assert np.isnan(found.variance).all()


def test_wrong_input_is_refused():
    data, level, variance = frames(4)
    at = [[5.0]]
    with pytest.raises(ValueError, match="line_variance: expected"):
        circle_line_sums(data, at, at, [2.0], np.ones((1, 2, 1)), np.zeros(SHAPE[1]))
    with pytest.raises(ValueError, match="lines: expected"):
        circle_line_sums(data, at, at, [2.0], np.ones((1, SHAPE[0], 1)), np.ones(SHAPE[1]))
    with pytest.raises(ValueError, match="level: expected"):
        circle_line_sums(data, at, at, [2.0], variance, LINES, level[:, :5])


def test_kept_lists_of_a_source_that_rests_and_then_moves_are_its_own():
    rng = np.random.default_rng(8)
    n, radii = 300, np.linspace(2, 12, 12)
    x, y = np.full((n, 1), 13.2), np.full((n, 1), 14.6)
    x[80:] += rng.normal(0, 1, (n - 80, 1))
    data, level, variance = frames(9, 0, count=n)
    lists = kept_lists(x, y, radii, *SHAPE)
    assert len(lists) > 1
    lines = np.zeros(SHAPE[1], int)
    kept = circle_line_sums(data, x, y, radii, variance, lines, level, lists=lists)
    for ours, theirs in zip(kept, circle_line_sums(data, x, y, radii, variance, lines, level), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for frame in (0, 3, 79, 250):
        expected = circle_sums(np.broadcast_to(level[frame, :, :1], SHAPE)[None].copy(), None, x[[frame]], y[[frame]], radii)
        np.testing.assert_allclose(kept.sum[frame], expected.sum[0], rtol=1e-12)
