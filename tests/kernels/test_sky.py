"""Sky levels against analytic truth, photutils and astropy, and what must not change a bit."""

import numpy as np
import pytest
from astropy.stats import SigmaClip, sigma_clipped_stats
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.aperture import ApertureStats, CircularAnnulus

from tsogrid.kernels.frame_level import background_level
from tsogrid.kernels.sky import STATISTICS, annuli_means, annuli_sky, annulus_sky
from tsogrid.kernels.whole_pixels import RowLevels, row_pieces

NAMES = list(STATISTICS)
SQRT_HALF_PI = np.sqrt(np.pi / 2)


def frames(n=3, ny=70, nx=90, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    data = rng.normal(100, 5, (n, ny, nx))
    data[rng.random(data.shape) < 0.02] += 400.0
    error = rng.uniform(4, 6, data.shape)
    data[rng.random(data.shape) < 0.02] = np.nan
    return data.astype(dtype), error.astype(dtype)


def positions(n, *pairs):
    x, y = np.array(pairs, dtype=np.float64).T
    return np.tile(x, (n, 1)) + 0.01 * np.arange(n)[:, None], np.tile(y, (n, 1))


def whole_pixels(frame, x, y, inner, outer):
    rows, columns = np.indices(frame.shape)
    distance = np.hypot(columns - x, rows - y)
    return (distance >= inner) & (distance < outer) & np.isfinite(frame)


@pytest.mark.parametrize("statistic", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_sky(statistic, dtype):
    data = np.full((1, 50, 50), 7.25, dtype)
    sky = annulus_sky(data, np.full_like(data, 2.0), *positions(1, (24.3, 25.6)), 6, 11, statistic)
    assert sky.level[0, 0] == pytest.approx(7.25, rel=1e-14)
    area = np.pi * (11**2 - 6**2)
    assert sky.area[0, 0] == pytest.approx(area, rel=1e-12 if statistic == "mean" else 0.03)
    if statistic != "mean":
        factor = SQRT_HALF_PI if "median" in statistic else 1.0
        assert sky.level_err[0, 0] == pytest.approx(factor * 2.0 / np.sqrt(sky.area[0, 0]), rel=1e-12)


@pytest.mark.parametrize("statistic", NAMES)
@pytest.mark.parametrize("with_error", [True, False])
def test_errors_describe_the_scatter(statistic, with_error):
    rng = np.random.default_rng(1)
    data = rng.normal(0, 3, (2000, 31, 31)).astype(np.float32)
    error = np.full_like(data, 3.0) if with_error else None
    sky = annulus_sky(data, error, *positions(2000, (14.7, 15.2)), 6, 13, statistic)
    pulls = sky.level / sky.level_err
    assert np.std(pulls) == pytest.approx(1.0, abs=0.06)
    assert abs(np.mean(pulls)) < 0.1


@pytest.mark.parametrize("position", [(40.2, 30.7), (2.0, 3.5), (88.4, 69.0), (-6.0, 20.0), (45.5, 33.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_against_photutils(position, dtype):
    data, error = frames(1, dtype=dtype)
    x, y = positions(1, position)
    mask = ~np.isfinite(data[0])
    for radii in ((12.0, 18.0), (8.0, 8.9), (3.3, 25.0)):
        annulus = CircularAnnulus(position, *radii)
        for statistic in NAMES:
            sky = annulus_sky(data, error, x, y, *radii, statistic)
            if statistic == "robust-mean":
                values = data[0][whole_pixels(data[0], *position, *radii)].astype(np.float64)
                deviation = np.abs(values - np.median(values))
                kept = deviation < 10 * np.median(deviation)
                assert sky.area[0, 0] == kept.sum()
                assert sky.level[0, 0] == pytest.approx(values[kept].mean(), rel=1e-12)
                continue
            clip = SigmaClip(3, maxiters=10) if "clipped" in statistic else None
            method = "exact" if statistic == "mean" else "center"
            peer = ApertureStats(
                data[0].astype(float),
                annulus,
                error=error[0].astype(float),
                mask=mask,
                sum_method=method,
                sigma_clip=clip,
            )
            area = peer.sum_aper_area.value
            if statistic == "mean":
                level = peer.sum / area
                w = annulus_sky(data, error, x, y, *radii, statistic, variance_weight="w")
                # photutils changed its errors from w to w² in 3.1: both are written out here.
                weight = annulus.to_mask(method="exact").to_image(mask.shape)
                weight[mask] = 0.0
                expected = np.sqrt(np.sum(weight * error[0].astype(float) ** 2)) / area
                assert w.level_err[0, 0] == pytest.approx(expected, rel=1e-9)
                expected = np.sqrt(np.sum(weight**2 * error[0].astype(float) ** 2)) / area
            else:
                level = peer.median if "median" in statistic else peer.mean
                expected = peer.sum_err / area * (SQRT_HALF_PI if "median" in statistic else 1.0)
            assert sky.area[0, 0] == pytest.approx(area, rel=1e-10)
            assert sky.level[0, 0] == pytest.approx(level, rel=1e-10)
            assert sky.level_err[0, 0] == pytest.approx(expected, rel=1e-9)


def test_clipped_against_sigma_clipped_stats():
    data, error = frames(1)
    values = data[0][whole_pixels(data[0], 44.0, 33.3, 10, 30)].astype(np.float64)
    mean, median, _ = sigma_clipped_stats(values, sigma=3, maxiters=10)
    x, y = positions(1, (44.0, 33.3))
    assert annulus_sky(data, error, x, y, 10, 30, "clipped-mean").level[0, 0] == pytest.approx(mean, rel=1e-12)
    assert annulus_sky(data, error, x, y, 10, 30, "clipped-median").level[0, 0] == median


@pytest.mark.parametrize("statistic", NAMES)
@pytest.mark.parametrize("with_error", [True, False])
def test_stamp_and_batch_change_no_bit(statistic, with_error):
    data, error = frames(4, dtype=np.float32)
    error = error if with_error else None
    x, y = positions(4, (40.123, 33.7), (0.1, 66.6))
    whole = annulus_sky(data, error, x, y, 5.5, 11, statistic)
    for frame in range(4):
        one = None if error is None else error[frame : frame + 1]
        single = annulus_sky(data[frame : frame + 1], one, x[frame : frame + 1], y[frame : frame + 1], 5.5, 11, statistic)
        for a, b in zip(whole, single, strict=True):
            np.testing.assert_array_equal(a[frame], b[0])
    stamp = (slice(None), slice(20, 50), slice(26, 57))
    cut = annulus_sky(
        np.ascontiguousarray(data[stamp]),
        None if error is None else np.ascontiguousarray(error[stamp]),
        x[:, :1] - 26,
        y[:, :1] - 20,
        5.5,
        11,
        statistic,
    )
    for a, b in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(a[:, :1], b)


@pytest.mark.parametrize("statistic", NAMES)
@pytest.mark.parametrize("with_error", [True, False])
def test_nothing_to_measure(statistic, with_error):
    data, error = frames(1)
    error = error if with_error else None
    far = positions(1, (np.nan, 5.0), (5.0, np.nan), (-500.0, 10.0), (1e300, 1e300), (np.inf, 3.0), (95.0, 1e17))
    for pixels, x, y in ((data, *far), (np.full_like(data, np.nan), *positions(1, (30.0, 30.0)))):
        sky = annulus_sky(pixels, error, x, y, 3, 9, statistic)
        assert np.isnan(sky.level).all()
        assert np.isnan(sky.level_err).all()
        assert (sky.area == 0).all()


@pytest.mark.parametrize("statistic", NAMES)
def test_unknown_error_of_a_used_pixel(statistic):
    data, error = frames(1)
    data[0, 30, 40] = 100.0
    error[0, 30, 40] = np.nan
    sky = annulus_sky(data, error, *positions(1, (30.0, 30.0), (60.0, 30.0)), 8, 12, statistic)
    assert np.isfinite(sky.level).all()
    assert np.isnan(sky.level_err[0, 0])
    assert np.isfinite(sky.level_err[0, 1])
    data[0, 30, 40] = np.inf
    assert np.isfinite(annulus_sky(data, error, *positions(1, (30.0, 30.0)), 8, 12, statistic).level_err[0, 0])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.floats(-20, 60),
    st.floats(-20, 60),
    st.floats(0, 15),
    st.floats(0.01, 10),
    st.sampled_from(NAMES),
    st.sampled_from([-3.0, 0.5, 64.0]),
)
def test_scaling_and_range(x, y, inner, width, statistic, scale):
    data, error = frames(1, 40, 40, np.float64)
    x, y = np.array([[x]]), np.array([[y]])
    sky = annulus_sky(data, error, x, y, inner, inner + width, statistic)
    scaled = annulus_sky(data * scale, error * abs(scale), x, y, inner, inner + width, statistic)
    assert scaled.area == sky.area
    if sky.area[0, 0] > 0:
        assert np.nanmin(data) * (1 - 1e-12) <= sky.level[0, 0] <= np.nanmax(data) * (1 + 1e-12)
        np.testing.assert_allclose(scaled.level, scale * sky.level, rtol=1e-9)
        np.testing.assert_allclose(scaled.level_err, abs(scale) * sky.level_err, rtol=1e-9)
    else:
        assert np.isnan(sky.level[0, 0])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.lists(st.tuples(st.floats(-12, 102), st.floats(-12, 82)), min_size=1, max_size=3),
    st.lists(st.tuples(st.floats(0, 20), st.floats(0.2, 12)), min_size=1, max_size=4),
    st.sampled_from(NAMES[1:]),
    st.booleans(),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 5),
)
def test_annuli_on_images_are_each_alone(places, rings, statistic, with_error, dtype, seed):
    """To the bit, over amplifiers that leave columns free and rows without a level."""
    data, error = frames(2, dtype=dtype, seed=seed)
    rng = np.random.default_rng(seed)
    bounds = np.array([[50, 90], [3, 20], [20, 41]])
    level = rng.normal(0, 4, (3, 2, 70, 3)).astype(dtype)
    level[rng.random(level.shape) < 0.02] = np.nan
    x, y = positions(2, *places)
    radii = [(inner, inner + width) for inner, width in rings]
    pairs = [[ring, image] for ring in range(len(radii)) for image in rng.permutation(3)[: 1 + seed % 3]]
    columns = rng.normal(0, 2, (3, 2, 90)).astype(dtype).astype(float) if seed % 2 else None
    rows = RowLevels(level, row_pieces(bounds, 90), columns)
    found = annuli_sky(data, error if with_error else None, x, y, radii, statistic, rows, pairs)
    for at, (ring, image) in enumerate(pairs):
        model = (
            np.zeros(data.shape, dtype) if columns is None else np.repeat(columns[image, :, None], 70, axis=1).astype(dtype)
        )
        for amplifier, (start, stop) in enumerate(bounds):
            model[:, :, start:stop] += level[image, :, :, amplifier, None]
        less = data - model
        alone = annulus_sky(less, error if with_error else None, x, y, *radii[ring], statistic)
        for ours, theirs in zip(found, alone, strict=True):
            np.testing.assert_array_equal(ours[at], theirs)


@pytest.mark.parametrize("with_error", [False, True])
@pytest.mark.parametrize("weight", ["w", "w2"])
def test_exact_means_of_images_are_each_alone(with_error, weight):
    data, error = frames(2)
    images, errors = [data, data + 3, frames(2, seed=5)[0]], error if with_error else None
    x, y = positions(2, (30.0, 31.5), (88.6, 69.2), (-500.0, 3.0), (np.nan, 3.0))
    rings, pairs = [(4, 9), (0, 5), (7, 30)], [[0, 2], [2, 1], [0, 0], [1, 1], [1, 2]]
    found = annuli_means(images, errors, x, y, rings, pairs, weight)
    for at, (ring, image) in enumerate(pairs):
        alone = annulus_sky(images[image], errors, x, y, *rings[ring], "mean", weight)
        for ours, theirs in zip(found, alone, strict=True):
            np.testing.assert_array_equal(ours[at], theirs)
    with pytest.raises(ValueError, match=r"expected images of \(2, 70, 90\)"):
        annuli_means([data, data[:, :9].copy()], error, x, y, rings)


def test_annuli_without_images_are_those_of_the_data():
    data, error = frames(2)
    x, y = positions(2, (30.0, 31.5), (88.6, 69.2))
    found = annuli_sky(data, error, x, y, [(4, 9), (5, 12)], "clipped-median")
    for at, ring in enumerate([(4, 9), (5, 12)]):
        np.testing.assert_array_equal(found.level[at], annulus_sky(data, error, x, y, *ring, "clipped-median").level)
    with pytest.raises(ValueError, match="inner < outer"):
        annuli_sky(data, error, x, y, [(4, 9), (9, 9)], "median")
    with pytest.raises(ValueError, match=r"median.*'mean'"):
        annuli_sky(data, error, x, y, [(4, 9)], "mean")
    with pytest.raises(ValueError, match="2 annuli and 1 images"):
        annuli_sky(data, error, x, y, [(4, 9), (5, 12)], "median", pairs=[[0, 0], [1, 1]])
    with pytest.raises(ValueError, match=r"levels \(images, 2, 70, na\)"):
        annuli_sky(data, error, x, y, [(4, 9)], "median", RowLevels(np.zeros((1, 2, 60, 1)), np.array([[0, 90, 0]])))
    rows = RowLevels(np.zeros((1, 2, 70, 1)), np.array([[0, 90, 0]]), np.zeros((1, 2, 80)))
    with pytest.raises(ValueError, match=r"levels of columns \(1, 2, 90\)"):
        annuli_sky(data, error, x, y, [(4, 9)], "median", rows)


def test_wrong_arguments_are_refused():
    data, error = frames(1)
    x, y = positions(1, (30.0, 30.0))
    with pytest.raises(ValueError, match=r"clipped-median.*'mode'"):
        annulus_sky(data, error, x, y, 3, 5, "mode")
    with pytest.raises(ValueError, match=r"inner < outer, found \[\[5.0, 5.0\]\]"):
        annulus_sky(data, error, x, y, 5, 5, "mean")
    with pytest.raises(ValueError, match="w2, w"):
        annulus_sky(data, error, x, y, 3, 5, "mean", variance_weight="w3")
    with pytest.raises(ValueError, match="error of float32"):
        annulus_sky(data, error.astype(np.float64), x, y, 3, 5, "mean")
    with pytest.raises(ValueError, match="radius of at least 0"):
        background_level(data, x, y, -1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_background_is_the_median_far_from_sources(dtype):
    data, _ = frames(3, dtype=dtype)
    x, y = positions(3, (20.0, 30.0), (-3.0, 60.5), (np.nan, 10.0), (70.0, 69.0))
    level = background_level(data, x, y, 9.0)
    rows, columns = np.indices(data.shape[1:])
    for frame in range(3):
        keep = np.isfinite(data[frame])
        for source in (0, 1, 3):
            keep &= np.hypot(columns - x[frame, source], rows - y[frame, source]) > 9.0
        assert level[frame] == np.median(data[frame][keep].astype(np.float64))
        assert level[frame] == background_level(data[frame : frame + 1], x[frame : frame + 1], y[frame : frame + 1], 9.0)


def test_background_mask_includes_its_edge():
    data = np.zeros((1, 21, 21))
    data[0, 10, 15] = data[0, 13, 14] = data[0, 10, 16] = 1.0
    data[data == 0] = np.nan
    assert background_level(data, np.array([[10.0]]), np.array([[10.0]]), 5.0)[0] == 1.0
    data[0, 10, 16] = np.nan
    assert np.isnan(background_level(data, np.array([[10.0]]), np.array([[10.0]]), 5.0)[0])
