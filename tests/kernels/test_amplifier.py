"""Row and amplifier levels, bit for bit against numpy.nanmedian."""

import bottleneck
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsogrid.kernels.amplifier import row_amplifier, row_amplifiers

BOUNDS = np.array([[0, 40], [40, 81], [81, 120]])
NOWHERE = np.full((3, 1), np.nan)


def frames(n=3, ny=30, nx=120, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 5, (n, ny, nx)) + rng.normal(0, 3, (n, ny, 1))
    data[rng.random(data.shape) < 0.05] = np.nan
    return data.astype(dtype), rng.uniform(4, 6, data.shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bit_identical_to_nanmedian(dtype):
    data, error = frames(dtype=dtype)
    result = row_amplifier(data, error, NOWHERE, NOWHERE, BOUNDS, 5.0)
    assert result.model.dtype == dtype
    for amplifier, (start, stop) in enumerate(BOUNDS):
        block = data[:, :, start:stop]
        expected = np.nanmedian(block, axis=2)
        np.testing.assert_array_equal(result.model[:, :, start:stop], np.broadcast_to(expected[..., None], block.shape))
        np.testing.assert_array_equal(bottleneck.nanmedian(block, axis=2), expected)
        good = np.isfinite(block)
        count = good.sum(axis=2)
        np.testing.assert_array_equal(result.count[:, :, amplifier], count)
        total = np.sum(np.where(good, error[:, :, start:stop].astype(float) ** 2, 0), axis=2)
        np.testing.assert_allclose(result.line_variance[:, :, amplifier], np.pi / 2 * total / count**2, rtol=1e-12)


def test_rows_far_from_their_neighbours():
    rng = np.random.default_rng(3)
    data = rng.normal(0, 1, (1, 60, 512)).astype(np.float32)
    data += (10.0 ** rng.uniform(-3, 8, (1, 60, 1)) * rng.choice([-1, 1], (1, 60, 1))).astype(np.float32)
    data[0, ::7] = np.round(data[0, ::7])
    data[0, 20] = 5.0
    data[0, 30, 10:] = np.nan
    model = row_amplifier(data, None, NOWHERE[:1], NOWHERE[:1], [[0, 512]], 1.0).model
    np.testing.assert_array_equal(model[0, :, 0], np.nanmedian(data[0], axis=1))


def test_sources_are_hidden_up_to_the_radius():
    data, error = frames(1)
    x, y = np.array([[41.0, 3.2, np.nan]]), np.array([[14.0, -2.0, 10.0]])
    result = row_amplifier(data, error, x, y, BOUNDS, 5.0)
    rows, columns = np.indices(data.shape[1:])
    masked = data[0].copy()
    for source in range(2):
        masked[np.hypot(columns - x[0, source], rows - y[0, source]) <= 5.0] = np.nan
    for start, stop in BOUNDS:
        np.testing.assert_array_equal(result.model[0, :, start], np.nanmedian(masked[:, start:stop], axis=1))


def test_bad_rows_and_columns_of_no_amplifier():
    data, error = frames(1)
    data[0, 4] = np.nan
    data[0, 5, 43:81] = np.nan
    data[0, 5, 40:43] = 1.0
    data[0, 6, 40:81] = np.nan
    data[0, 6, 50:54] = [1, 2, np.float32(4), 8]
    result = row_amplifier(data, error, NOWHERE[:1], NOWHERE[:1], BOUNDS[1:2], 5.0)
    assert (result.model[0, :, :40] == 0).all()
    assert (result.model[0, :, 81:] == 0).all()
    assert np.isnan(result.model[0, 4:6, 40:81]).all()
    assert np.isnan(result.line_variance[0, 4:6, 0]).all()
    assert result.count[0, 4:7, 0].tolist() == [0, 3, 4]
    assert (result.model[0, 6, 40:81] == 3.0).all()
    everything = row_amplifier(np.full_like(data, np.inf), None, NOWHERE[:1], NOWHERE[:1], BOUNDS, 5.0, even_odd=True)
    assert np.isnan(everything.model).all()
    assert (everything.count == 0).all()


def test_unknown_error_of_a_used_pixel():
    data, error = frames(1)
    data[0, 3, 5], error[0, 3, 5] = 1.0, np.nan
    data[0, 4, 5], error[0, 4, 5] = np.nan, np.nan
    result = row_amplifier(data, error, NOWHERE[:1], NOWHERE[:1], BOUNDS, 5.0)
    assert np.isnan(result.line_variance[0, 3, 0])
    assert np.isfinite(result.model[0, 3]).all()
    assert np.isnan(result.line_variance).sum() == 1


@pytest.mark.parametrize("with_error", [True, False])
def test_variance_describes_the_scatter(with_error):
    rng = np.random.default_rng(8)
    data = rng.normal(10, 2, (1, 4000, 256)).astype(np.float32)
    error = np.full_like(data, 2.0) if with_error else None
    result = row_amplifier(data, error, NOWHERE[:1], NOWHERE[:1], [[0, 256]], 1.0)
    pulls = (result.model[0, :, 0] - 10.0) / np.sqrt(result.line_variance[0, :, 0])
    assert np.std(pulls) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("first_column", [0, 3])
def test_even_and_odd_columns(first_column):
    data, error = frames(2)
    columns = np.arange(120)
    pattern = np.where((columns + first_column) % 2 == 0, 30.0, -20.0) + columns // 40 * 100.0
    data += pattern.astype(np.float32)
    x, y = np.full((2, 1), 60.0), np.full((2, 1), 12.0)
    result = row_amplifier(data, error, x, y, BOUNDS, 6.0, even_odd=True, first_column=first_column)
    hidden = np.hypot(columns - 60.0, np.arange(30)[:, None] - 12.0) <= 6.0
    for frame in range(2):
        masked = np.where(hidden, np.nan, data[frame])
        for start, stop in BOUNDS:
            parity = np.zeros(stop - start, np.float32)
            for first in range(2):
                parity[first::2] = np.nanmedian(masked[:, start:stop][:, first::2])
            rows = np.nanmedian(masked[:, start:stop] - parity, axis=1)
            expected = parity + rows[:, None]
            np.testing.assert_array_equal(result.model[frame, :, start:stop], expected)


@pytest.mark.parametrize("even_odd", [False, True])
@pytest.mark.parametrize("with_error", [False, True])
def test_masks_of_all_sizes_are_each_alone(even_odd, with_error):
    data, error = frames(2)
    x, y = np.array([[60.25, 3.0], [61.5, np.nan]]), np.array([[12.5, 5.0], [11.0, 2.0]])
    radii = [6.0, 0.0, 300.0, 6.0, 9.5]
    found = row_amplifiers(data, error if with_error else None, x, y, BOUNDS, radii, even_odd)
    for radius, ours in zip(radii, found, strict=True):
        alone = row_amplifier(data, error if with_error else None, x, y, BOUNDS, radius, even_odd)
        for each, theirs in zip(ours, alone, strict=True):
            np.testing.assert_array_equal(each, theirs)
    assert np.isnan(found[2].level).all()  # nothing is left


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_even_and_odd_columns_have_their_medians(dtype):
    data, _ = frames(2, dtype=dtype)
    found = row_amplifier(data, None, NOWHERE[:2], NOWHERE[:2], BOUNDS, 6.0, even_odd=True)
    for start, stop in BOUNDS:  # one of them has 41 columns
        for first in range(2):
            its = data[:, :, start + first : stop : 2].reshape(2, -1)
            expected = np.broadcast_to(np.nanmedian(its, axis=1)[:, None], (2, (stop - start - first + 1) // 2))
            np.testing.assert_array_equal(found.column_level[:, 0, start + first : stop : 2], expected)


def test_every_columns_level_may_differ_by_mask():
    data, error = frames(2)
    x, y = np.full((2, 1), 60.25), np.full((2, 1), 12.5)
    for radius, ours in zip(
        (9.0, 5.0), row_amplifiers(data, error, x, y, BOUNDS, [9.0, 5.0], each_column=True), strict=True
    ):
        alone = row_amplifier(data, error, x, y, BOUNDS, radius, each_column=True)
        for each, theirs in zip(ours, alone, strict=True):
            np.testing.assert_array_equal(each, theirs)


@pytest.mark.parametrize("even_odd", [False, True])
@pytest.mark.parametrize("with_error", [False, True])
def test_batch_and_rows_change_no_bit(even_odd, with_error):
    data, error = frames(3)
    x, y = np.full((3, 1), 60.25), np.full((3, 1), 12.5)
    whole = row_amplifier(data, error if with_error else None, x, y, BOUNDS, 6.0, even_odd)
    for frame in range(3):
        part = slice(frame, frame + 1)
        single = row_amplifier(data[part], error[part] if with_error else None, x[part], y[part], BOUNDS, 6.0, even_odd)
        for name in ("level", "column_level", "line_variance", "count", "column_variance"):
            np.testing.assert_array_equal(getattr(whole, name)[part], getattr(single, name))
    some = row_amplifier(data, error if with_error else None, x, y, BOUNDS, 6.0, even_odd, rows=(5, 9))
    for name in ("level", "line_variance", "count"):
        np.testing.assert_array_equal(getattr(some, name)[:, 5:9], getattr(whole, name)[:, 5:9])
        assert not np.nan_to_num(getattr(some, name)[:, 9:]).any()
    (some,) = row_amplifiers(data, error, x, y, BOUNDS, [6.0], even_odd, rows=(3, 11), variance_rows=(5, 9))
    every = row_amplifier(data, error, x, y, BOUNDS, 6.0, even_odd)
    np.testing.assert_array_equal(some.level[:, 3:11], every.level[:, 3:11])
    np.testing.assert_array_equal(some.line_variance[:, 5:9], every.line_variance[:, 5:9])
    assert np.isnan(some.line_variance[:, [4, 9]]).all()
    if not even_odd:  # whose columns' medians need every row
        cut = row_amplifier(
            np.ascontiguousarray(data[:, 8:20]),
            np.ascontiguousarray(error[:, 8:20]) if with_error else None,
            x,
            y - 8,
            BOUNDS,
            6.0,
        )
        for a, b in zip(whole[:3], cut[:3], strict=True):
            np.testing.assert_array_equal(a[:, 8:20], b)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(0, 10**6), st.integers(4, 90), st.sampled_from([1.0, 1e-20, 1e20]), st.booleans())
def test_any_width_and_scale(seed, width, scale, ties):
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 3, (1, 5, width))
    data = ((np.round(data) if ties else data) * scale).astype(np.float32)
    model = row_amplifier(data, None, NOWHERE[:1], NOWHERE[:1], [[0, width]], 1.0).model
    np.testing.assert_array_equal(model[0, :, 0], np.nanmedian(data[0], axis=1))


def test_wrong_arguments_are_refused():
    data, error = frames()
    for bounds in ([[0, 50], [40, 80]], [[-1, 5]], [[100, 121]], [[5, 5]]):
        with pytest.raises(ValueError, match="column ranges"):
            row_amplifier(data, error, NOWHERE, NOWHERE, bounds, 5.0)
    with pytest.raises(ValueError, match=r"shape \(na, 2\)"):
        row_amplifier(data, error, NOWHERE, NOWHERE, [0, 5], 5.0)
    with pytest.raises(ValueError, match="mask radius"):
        row_amplifier(data, error, NOWHERE, NOWHERE, BOUNDS, np.nan)
