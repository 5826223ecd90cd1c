"""Levels of rows smoothed, filled and compared, against scipy, against what was put in, and against their own errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from tsogrid.kernels.line_levels import filled_levels, level_correlation, line_model, rows_to_smooth, smoothed_levels


def levels(n=2, ny=40, na=4, seed=0, gaps=0.0):
    rng = np.random.default_rng(seed)
    level = rng.normal(0, 3, (n, ny, 1)) + rng.normal(0, 1, (n, ny, na))
    level[rng.random(level.shape) < gaps] = np.nan
    return level, np.where(np.isfinite(level), rng.uniform(0.5, 1.5, level.shape), np.nan)


@pytest.mark.parametrize(("window", "order"), [(3, 0), (5, 2), (11, 2), (11, 5), (39, 3)])
def test_smoothing_is_scipys(window, order):
    level, variance = levels()
    found = smoothed_levels(level, variance, window, order)
    np.testing.assert_allclose(found.level, savgol_filter(level, window, order, axis=1, mode="interp"), atol=1e-10)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    st.integers(0, 10**6), st.integers(1, 30), st.sampled_from([3, 5, 9, 41]), st.integers(0, 2), st.sampled_from([0, 0.5])
)
def test_smoothing_keeps_polynomials_gaps_and_lone_rows(seed, ny, window, order, gaps):
    rng = np.random.default_rng(seed)
    level, variance = levels(1, ny, 2, seed, gaps)
    found = smoothed_levels(level, variance, window, order)
    np.testing.assert_array_equal(np.isnan(found.level), np.isnan(level))
    np.testing.assert_array_equal(np.isnan(found.variance), np.isnan(level))
    curve = np.polyval(rng.normal(0, 1, order + 1), np.arange(ny) / ny)[None, :, None] + 0 * level
    np.testing.assert_allclose(smoothed_levels(curve, variance, window, order).level, curve, atol=1e-8)
    # No weight is so large that a level is worse known than by itself.
    equal = smoothed_levels(level, np.where(np.isnan(level), np.nan, 1.0), window, order).variance
    assert (equal[np.isfinite(equal)] < 1 + 1e-9).all()
    least = smoothed_levels(level, variance, window, window - 1) if window <= 9 else None
    if least is not None:  # as many terms as rows: nothing is smoothed
        np.testing.assert_allclose(least.level, level, atol=1e-6)


@pytest.mark.parametrize("gaps", [0.0, 0.1])
@pytest.mark.parametrize("window", [5, 9, 33, 99])
@pytest.mark.parametrize("wanted", [(0, 3), (11, 17), (38, 40)])
def test_frames_and_rows_are_smoothed_alike_alone(gaps, window, wanted):
    level, variance = levels(gaps=gaps, n=3)
    level[1] = levels(1)[0][0]  # without a gap beside some with gaps
    whole, rows = smoothed_levels(level, variance, window, 2), slice(*wanted)
    some = smoothed_levels(level, None, window, 2, wanted)
    assert some.level[:, rows].tobytes() == whole.level[:, rows].tobytes()
    assert np.isfinite(some.level).sum() == np.isfinite(whole.level[:, rows]).sum()
    first, stop = rows_to_smooth(wanted, 40, window)
    level[:, :first], level[:, stop:] = np.nan, np.nan
    for frame in range(3):
        alone = smoothed_levels(level[frame : frame + 1], None, window, 2, wanted)
        assert alone.level[0, rows].tobytes() == whole.level[frame, rows].tobytes()


def test_gaps_are_left_out_of_the_least_squares():
    level, variance = levels(1, 20, 1, gaps=0.3)
    found = smoothed_levels(level, variance, 7, 2).level[0, :, 0]
    its = level[0, :, 0]
    for row in np.flatnonzero(np.isfinite(its)):
        start = min(max(row - 3, 0), 13)
        rows = np.arange(start, start + 7)
        rows = rows[np.isfinite(its[rows])]
        if rows.size > 2:
            expected = np.polyval(np.polyfit(rows - row, its[rows], 2), 0)
            assert found[row] == pytest.approx(expected, abs=1e-9)
    assert np.isfinite(found).sum() > 8


def test_variances_of_smoothed_levels_are_true():
    rng = np.random.default_rng(4)
    level = rng.normal(0, 2, (4000, 30, 1))
    level[:, [4, 5, 20]] = np.nan
    found = smoothed_levels(level, np.full(level.shape, 4.0), 9, 2)
    pulls = found.level / np.sqrt(found.variance)
    np.testing.assert_allclose(np.std(pulls[:, np.isfinite(level[0])], axis=0), 1, atol=0.05)
    # A sum over more rows than the window has the variance of levels that were not smoothed.
    many = smoothed_levels(rng.normal(0, 2, (4000, 60, 1)), np.full((4000, 60, 1), 4.0), 9, 2).level[:, 15:45].sum(axis=1)
    assert np.std(many) == pytest.approx(2 * np.sqrt(30), rel=0.05)


def test_a_hidden_amplifier_takes_the_mean_of_the_good_ones_alone():
    level, variance = levels()
    level[:, :, 1] = variance[:, :, 1] = np.nan
    found = filled_levels(level, variance)
    good = [0, 2, 3]
    np.testing.assert_allclose(found.level[:, :, 1], level[:, :, good].mean(axis=2))
    np.testing.assert_array_equal(found.level[:, :, good], level[:, :, good])
    assert (found.filled == np.isnan(level)).all()
    alone = filled_levels(level[:, :, :1], variance[:, :, :1])
    np.testing.assert_array_equal(alone.level, level[:, :, :1])


def test_an_amplifier_hidden_in_part_keeps_its_distance():
    rng = np.random.default_rng(1)
    common, offset = rng.normal(0, 3, (2, 40, 1)), np.array([0.0, 100.0, -40.0, 7.0])
    truth = common + offset
    level = truth.copy()
    level[:, 10:30, 1] = level[:, 25:35, 2] = np.nan  # in five rows both are hidden
    level[1, 3] = np.nan
    variance = np.where(np.isfinite(level), 1.0, np.nan)
    found = filled_levels(level, variance)
    truth[1, 3] = np.nan
    np.testing.assert_allclose(found.level, truth, atol=1e-9)
    level[:, :, 3] = np.nan  # now one that is hidden everywhere: the distances of all others, at the same for all rows
    found = filled_levels(level, np.where(np.isfinite(level), 1.0, np.nan))
    np.testing.assert_allclose(found.level[:, :, 3], truth[:, :, :3].mean(axis=2), atol=1e-9)


@pytest.mark.parametrize("hidden", ["all", "part"])
@pytest.mark.parametrize("own", [0.0, 3.0])
def test_errors_of_filled_levels_are_true(hidden, own):
    rng = np.random.default_rng(7)
    truth = rng.normal(0, 5, (1500, 64, 1)) + rng.normal(0, own, (1500, 64, 4)) + np.array([3.0, -2.0, 8.0, 1.0])
    if hidden == "all":
        truth -= np.array([3.0, -2.0, 8.0, 1.0])
    level = truth + rng.normal(0, 1, truth.shape)
    level[:, slice(None) if hidden == "all" else slice(20, 50), 2] = np.nan
    found = filled_levels(level, np.where(np.isfinite(level), 1.0, np.nan))
    variance = found.variance + found.offset_variance[:, None]
    pulls = ((found.level - truth) / np.sqrt(variance))[:, :, 2][found.filled[:, :, 2]]
    # With noise of its own the distance is worse known than white noise alone would have it.
    assert np.std(pulls) == pytest.approx(1.0, abs=0.04 if own == 0 else 0.08)
    if own == 0:
        total = (found.level - truth)[:, 20:50, 2].sum(axis=1)
        together = found.variance[:, 20:50, 2].sum(axis=1) + 30**2 * found.offset_variance[:, 2]
        assert np.std(total / np.sqrt(together)) == pytest.approx(1.0, abs=0.08)


def test_correlation_is_the_mean_over_pairs():
    level, _ = levels(3, 50, 3, gaps=0.1)
    found = level_correlation(level)
    for frame in range(3):
        pairs = []
        for first, second in ((0, 1), (0, 2), (1, 2)):
            one, two = level[frame, :, first], level[frame, :, second]
            both = np.isfinite(one) & np.isfinite(two)
            pairs.append(np.corrcoef(one[both], two[both])[0, 1])
        assert found[frame] == pytest.approx(np.mean(pairs), abs=1e-12)
    assert (found > 0.8).all()
    assert np.isnan(level_correlation(level[:, :, :1])).all()
    assert np.isnan(level_correlation(level[:, :3])).all()
    assert np.isnan(level_correlation(np.full((2, 9, 2), np.nan))).all()
    assert np.isnan(level_correlation(np.ones((2, 9, 2)))).all()
    level[:, :, 2] = np.nan
    np.testing.assert_allclose(level_correlation(level), level_correlation(level[:, :, :2]))


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([0.0, 0.2, 0.8]))
def test_frames_know_nothing_of_each_other(seed, na, gaps):
    level, variance = levels(5, 17, na, seed, gaps)
    whole = [*smoothed_levels(level, variance, 5, 2), *filled_levels(level, variance), level_correlation(level)]
    for frame in range(5):
        one = slice(frame, frame + 1)
        alone = [
            *smoothed_levels(level[one], variance[one], 5, 2),
            *filled_levels(level[one], variance[one]),
            level_correlation(level[one]),
        ]
        for a, b in zip(whole, alone, strict=True):
            np.testing.assert_array_equal(a[one], b)
    filled = filled_levels(level, variance).level
    np.testing.assert_array_equal(np.isnan(filled), np.isnan(level) & np.isnan(level).all(axis=2, keepdims=True))


def test_the_model_is_spread_over_its_amplifiers():
    level, columns = np.arange(6.0).reshape(1, 3, 2), np.arange(10.0).reshape(1, 1, 10)
    model = line_model(level, columns, [[0, 4], [5, 10]], np.float32)
    assert model.dtype == np.float32
    assert (model[0, :, 4] == 0).all()
    np.testing.assert_array_equal(model[0, 2, :4], 4 + np.arange(4))
    np.testing.assert_array_equal(model[0, 1, 5:], 3 + np.arange(5, 10))


def test_wrong_windows_are_refused():
    level, variance = levels()
    with pytest.raises(ValueError, match="order < window"):
        smoothed_levels(level, variance, 3, 3)
