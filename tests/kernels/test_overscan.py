"""Levels of overscans: known on paper, against astropy's clipping, and the same for a frame alone and in a batch."""

import numpy as np
import pytest
from astropy.stats import sigma_clipped_stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tsogrid.kernels.overscan import overscan_levels, smooth_levels


def test_levels_of_known_numbers():
    strip = np.array([[[1, 2, 3, 4], [5, 5, 5, np.nan], [np.nan] * 4]])
    for statistic, first in (("mean", 2.5), ("median", 2.5), ("clipped-mean", 2.5)):
        found = overscan_levels(strip, statistic)
        np.testing.assert_array_equal(found.level, [[first, 5, np.nan]])
    np.testing.assert_allclose(overscan_levels(strip, "mean").variance, [[1 / 4, 1 / 3, np.nan]])
    np.testing.assert_allclose(overscan_levels(strip, "median").variance[0, 0], np.pi / 8)


def test_a_hit_moves_no_clipped_mean():
    strip = np.random.default_rng(0).normal(1000, 3, (2, 50, 32))
    strip[:, ::7, 5] += 400
    clipped, mean = (overscan_levels(strip, each).level for each in ("clipped-mean", "mean"))
    assert np.abs(clipped - 1000).max() < 2.5
    assert np.abs(mean - 1000).max() > 10
    peer = sigma_clipped_stats(strip, sigma=4, maxiters=3, axis=2)[0]
    assert np.median(np.abs(clipped - peer)) < 1e-10


@pytest.mark.parametrize("statistic", ["mean", "median", "clipped-mean"])
def test_the_variance_is_that_of_the_levels(statistic):
    strip = np.random.default_rng(1).normal(0, 1, (200, 100, 25))
    found = overscan_levels(strip, statistic)
    assert found.level.var() == pytest.approx(found.variance.mean(), rel=0.05)
    fitted = smooth_levels(found, 2, np.arange(100))
    assert fitted.level.var(axis=0).mean() == pytest.approx(fitted.variance.mean(), rel=0.2)


def test_a_polynomial_is_found_and_reaches_beyond_its_lines():
    lines = np.arange(-10, 60)
    true = 1000 + 0.3 * lines - 0.004 * lines**2
    strip = np.repeat(true[10:60][None, :, None], 4, axis=2)
    strip[0, 20:25] = np.nan
    found = smooth_levels(overscan_levels(strip, "mean"), 2, lines)
    np.testing.assert_allclose(found.level[0], true, rtol=1e-12)
    assert np.isnan(smooth_levels(overscan_levels(strip * np.nan, "mean"), 2, lines).level).all()


frames = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 9)), elements=st.floats(0, 60000, width=32)
)


@settings(max_examples=40, deadline=None)
@given(frames, st.sampled_from(["mean", "median", "clipped-mean"]), st.floats(-1000, 1000))
def test_a_frame_is_treated_alone(strip, statistic, shift):
    together = overscan_levels(strip, statistic)
    smooth = smooth_levels(together, 1, np.arange(strip.shape[1]))
    for n in range(len(strip)):
        alone = overscan_levels(strip[n : n + 1], statistic)
        np.testing.assert_array_equal(alone.level[0], together.level[n])
        np.testing.assert_array_equal(smooth_levels(alone, 1, np.arange(strip.shape[1])).level[0], smooth.level[n])
    assert (together.level >= strip.min(axis=2) - 1e-3).all()
    assert (together.level <= strip.max(axis=2) + 1e-3).all()
    moved = overscan_levels(strip.astype(float) + shift, "median").level
    np.testing.assert_allclose(moved, overscan_levels(strip, "median").level + shift, atol=1e-6)


def test_what_is_no_strip_is_refused():
    with pytest.raises(ValueError, match="known statistic"):
        overscan_levels(np.zeros((1, 2, 3)), "mode")
    with pytest.raises(ValueError, match="n_lines"):
        overscan_levels(np.zeros((2, 3)))
