"""The filter along time against known truth, a plain numpy formulation, and what must not change a bit."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from tsogrid.kernels.time_filter import REACH, time_outliers
from tsogrid.kernels.time_noise import CHANCE, POOL, ROUNDING

SHAPE = (32, 34)
X, Y = 16.3, 15.6


def star(x, y, sigma=0.85, shape=SHAPE):
    """A pixel-integrated Gaussian star of flux 1."""
    edges_y, edges_x = (np.arange(n + 1) - 0.5 for n in shape)
    column = np.diff(erf((edges_x - x) / (sigma * np.sqrt(2)))) / 2
    row = np.diff(erf((edges_y - y) / (sigma * np.sqrt(2)))) / 2
    return row[:, None] * column[None]


def series(n=120, peak=300.0, jitter=0.0, flux=1.0, sky=0.0, seed=0, sigma=0.85):
    """Photons of a star with S/N ``peak`` in its brightest pixel: data, truth, error."""
    rng = np.random.default_rng(seed)
    dx, dy = rng.normal(0, jitter, (2, n)) if jitter else np.zeros((2, n))
    total = peak**2 / star(X, Y, sigma).max() * np.broadcast_to(flux, n)
    truth = np.stack([total[t] * star(X + dx[t], Y + dy[t], sigma) for t in range(n)]) + 100 + sky
    error = np.sqrt(truth + 25)
    return truth + rng.normal(0, 1, truth.shape) * error, truth, error


def judged(data, error, first=0, last=None, window=11, threshold=5.0, stamp=12, search=3, x=16.0, y=16.0):
    n = len(data)
    place = np.full((n, 1), x), np.full((n, 1), y)
    return time_outliers(data, error, *place, first, n if last is None else last, window, threshold, stamp, search)


CORE = star(X, Y) > 0.1 * star(X, Y).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("known", [True, False])
def test_hits_on_a_still_series_are_found_and_repaired_exactly(dtype, known):
    truth = np.broadcast_to(1e4 * star(X, Y) + 50, (20, *SHAPE)).astype(dtype)
    data = truth.copy()
    hits = [(0, 16, 16), (3, 4, 5), (4, 4, 5), (10, 14, 17), (19, 31, 33)]
    for hit in hits:
        data[hit] += 500
    found = judged(data, np.full_like(data, 10.0) if known else None)
    assert sorted(map(tuple, np.argwhere(found.outlier).tolist())) == sorted(hits)
    assert found.expected.dtype == dtype
    np.testing.assert_allclose(found.expected[found.outlier], truth[found.outlier], rtol=1e-5)


def transit(n):
    t = np.arange(n)
    return 1 - 0.02 * np.clip((t - 40) / 5, 0, 1) * np.clip((90 - t) / 5, 0, 1)


def flare(n):
    return 1 + 0.05 * np.isin(np.arange(n), [20, 50, 51, 80, 81, 82, 83, 119])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("change", [transit, flare], ids=["transit", "flare"])
@pytest.mark.parametrize(("peak", "sigma"), [(300.0, 0.85), (1000.0, 1.5)])
def test_what_is_common_to_the_star_loses_nothing(change, known, peak, sigma):
    data, _, error = series(peak=peak, flux=change(120), sigma=sigma)
    outlier = judged(data, error if known else None).outlier[:, 4:28, 4:28]
    assert outlier.mean() < (2e-5 if known else 1e-4)
    changed = np.abs(np.gradient(change(120))) > 0
    assert outlier[changed].sum() <= 1


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("peak", [300.0, 3000.0])
def test_jitter_clips_next_to_nothing(known, peak):
    data, _, error = series(n=400, peak=peak, jitter=0.1, seed=3)
    assert judged(data, error if known else None).outlier[:, CORE].mean() < 1e-3


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("jitter", "flux"), [(0.0, 1.0), (0.05, transit(120)), (0.1, flare(120))])
def test_hits_are_found_and_repaired_without_bias(known, jitter, flux):
    profile = star(X, Y) / star(X, Y).max()
    found, bias = [], []
    for seed in range(4):
        data, truth, error = series(jitter=jitter, flux=flux, seed=seed)
        rng = np.random.default_rng(seed)
        hits = []
        for start, where in ((2, CORE), (5, (profile > 1e-3) & ~CORE), (8, profile < 1e-6)):
            for count, t in enumerate(range(start, 118, 13)):
                row, column = rng.choice(np.argwhere(where))
                hits += [(t + k, row, column) for k in range(1 + count % 2)]
        index = tuple(np.transpose(hits))
        data[index] += 10 * error[index]
        result = judged(data, error if known else None)
        found.append(result.outlier[index])
        bias.append(((result.expected - truth) / error)[index])
    assert np.mean(found) > 0.95
    assert abs(np.mean(bias)) < 0.5


@pytest.mark.parametrize("known", [True, False])
def test_drifts_of_the_sky_clip_nothing(known):
    t = np.linspace(-1, 1, 60)[:, None, None]
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    jump = 400.0 * (np.arange(60) == 30)[:, None, None]
    data, _, error = series(n=60, sky=300 + 200 * t + 4 * t**2 * (x - 16) - 3 * t * (y - 16) + jump)
    assert judged(data, error if known else None).outlier.mean() < (2e-5 if known else 3e-4)


def test_wholly_bad_frames_and_pixels():
    data, _, error = series(n=30, jitter=0.03)
    data[[0, 7, 8, 29]] = np.nan
    data[:, 16, 17] = np.nan
    data[3, 14, 15] = np.inf
    data[12, 15, 16] += 5000
    result = judged(data, error)
    assert result.outlier[12, 15, 16]
    assert result.outlier.sum() <= 2
    assert not result.outlier[~np.isfinite(data)].any()
    assert not np.isfinite(result.expected[[0, 7, 8, 29]]).any()
    assert not judged(np.full((5, 9, 9), np.nan), None).outlier.any()
    assert not judged(data[:2], None).outlier.any()  # two frames make no running median


def numpy_sky(data, sigma, window, threshold):
    """The rule away from stars, written plainly."""

    def around(image, spacing):
        padded = np.pad(image, spacing, constant_values=np.nan)
        ny, nx = image.shape
        shifted = [
            padded[dy : dy + ny, dx : dx + nx] for dy in (0, spacing, 2 * spacing) for dx in (0, spacing, 2 * spacing)
        ]
        return np.nanmedian(shifted, axis=0)

    outlier = np.zeros(data.shape, bool)
    half = window // 2
    for t in range(len(data)):
        frames = data[max(0, t - half) : t + half + 1]
        template = np.nanmedian(frames, axis=0)
        rest = np.stack([frame - template - around(frame - template, 2) for frame in frames])
        middle = np.nanmedian(rest, axis=0)
        count = np.isfinite(rest).sum(axis=0)
        scatter = 1.4826 * count / (count - 0.8) * np.nanmedian(np.abs(rest - middle), axis=0)
        pooled = around(scatter, 1)
        noise = np.maximum(pooled, around(pooled, POOL))
        noise = noise if sigma is None else np.maximum(noise, sigma)
        variance = noise**2 + np.maximum(scatter**2 - (CHANCE * noise) ** 2, 0) + (ROUNDING * template) ** 2
        away = rest[min(t, half)] - middle
        outlier[t] = (away**2 > threshold**2 * variance) & (count >= 3)
    return outlier


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("window", [3, 5, 11, 25])
def test_away_from_stars_as_plain_numpy_has_it(window, known):
    rng = np.random.default_rng(window)
    data = rng.normal(100, 3, (14, 15, 17)) + rng.normal(0, 5, (14, 1, 1))
    data[rng.random(data.shape) < 0.02] += 40
    data[rng.random(data.shape) < 0.02] = np.nan
    error = np.full_like(data, 3.0)
    nowhere = np.full((14, 1), np.nan)
    found = time_outliers(data, error if known else None, nowhere, nowhere, 0, 14, window, 4.0, 7, 0).outlier
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = numpy_sky(data, 3.0 if known else None, window, 4.0)
    np.testing.assert_array_equal(found, expected)
    assert expected.sum() > 20 or window == 3


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    start=st.integers(0, 18),
    length=st.integers(1, 9),
    window=st.sampled_from([3, 7, 11]),
    known=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_blocks_and_cuts_change_no_bit(seed, start, length, window, known, dtype):
    data, _, error = series(n=20, jitter=0.1, seed=seed)
    rng = np.random.default_rng(seed)
    data[rng.random(data.shape) < 0.01] = np.nan
    data[rng.random(data.shape) < 0.01] += 1000
    if seed % 3 == 0:
        data[rng.integers(20)] = np.nan
    data, error = data.astype(dtype), error.astype(dtype) if known else None
    whole = judged(data, error, window=window, stamp=7, search=2)
    last, half = min(start + length, 20), window // 2
    low, high = max(0, start - half), min(20, last + half)
    part = judged(
        data[low:high], None if error is None else error[low:high], start - low, last - low, window, stamp=7, search=2
    )
    assert part.outlier.tobytes() == whole.outlier[start:last].tobytes()
    assert part.expected.tobytes() == whole.expected[start:last].tobytes()
    rows, columns = slice(3, 29), slice(4, 30)  # holds the star's stamp wherever it is found
    cut = judged(
        np.ascontiguousarray(data[:, rows, columns]),
        None if error is None else np.ascontiguousarray(error[:, rows, columns]),
        window=window,
        stamp=7,
        search=2,
        x=12.0,
        y=13.0,
    )
    inside = (slice(None), slice(REACH, -REACH), slice(REACH, -REACH))
    assert cut.outlier[inside].tobytes() == whole.outlier[:, rows, columns][inside].tobytes()
    assert cut.expected[inside].tobytes() == whole.expected[:, rows, columns][inside].tobytes()


def test_what_cannot_be_is_refused():
    data = np.zeros((4, 9, 9))
    with pytest.raises(ValueError, match="odd window"):
        judged(data, None, window=4)
    with pytest.raises(ValueError, match="expected frames"):
        judged(data, None, first=3, last=5)
    with pytest.raises(ValueError, match="errors like the data"):
        judged(data, np.zeros((4, 9, 8)))
