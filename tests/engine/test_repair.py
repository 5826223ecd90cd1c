"""Centres that are outliers of their series: replaced by the common motion and flagged, and nothing else is touched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tsogrid
from tests.engine.test_centering import painted
from tsogrid.config import Config
from tsogrid.engine.repair import repaired_centers
from tsogrid.flags import SourceFlag

REPAIRED, FAILED = int(SourceFlag.CENTER_REPAIRED), int(SourceFlag.CENTER_FAILED)
STARS = [(20.3, 21.8), (55.7, 24.4), (38.2, 45.1)]
SETTINGS = {"radius": 4, "input": {"gain": 1.0}, "block": 5}
CENTER = {"search_box": 9, "fit_box": 9, "repair": 10}


def motion(n, n_sources, drift=0.05, noise=0.01, seed=0):
    """Centres of sources that drift and jitter together, each with noise of its own."""
    rng = np.random.default_rng(seed)
    path = drift * np.arange(n) + rng.normal(0, 0.1, n)
    return 100 * np.arange(n_sources) + path[:, None] + rng.normal(0, noise, (n, n_sources))


@given(st.integers(1, 6), st.integers(0, 59), st.sampled_from([-40.0, 1.0, 8.0]), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_one_wrong_centre_is_put_back(n_sources, frame, jump, seed):
    x, y = motion(60, n_sources, seed=seed), motion(60, n_sources, drift=-0.02, seed=seed + 1)
    if n_sources < 3:  # without a common motion the jitter itself is the scatter
        x, y = motion(60, n_sources, noise=0.02, seed=seed), motion(60, n_sources, seed=seed + 1)
        jump *= 10
    wrong = x.copy()
    wrong[frame, 0] += jump
    new_x, new_y, repaired = repaired_centers(wrong, y, 15.0, 25)
    expected = np.zeros(x.shape, bool)
    expected[frame, 0] = True
    np.testing.assert_array_equal(repaired, expected)
    np.testing.assert_allclose(new_x[frame, 0], x[frame, 0], atol=0.5 if n_sources < 3 else 0.3)
    np.testing.assert_array_equal(new_x[~repaired], x[~repaired])
    np.testing.assert_array_equal(new_y[~repaired], y[~repaired])


@pytest.mark.parametrize("n_sources", [1, 2, 4])
@pytest.mark.parametrize("n", [1, 2, 5, 24, 200])
def test_a_drift_is_no_outlier(n_sources, n):
    x, y = motion(n, n_sources, drift=0.5, seed=3), motion(n, n_sources, drift=-0.3, seed=4)
    new_x, new_y, repaired = repaired_centers(x, y, 15.0, 25)
    assert not repaired.any()
    np.testing.assert_array_equal(new_x, x)
    np.testing.assert_array_equal(new_y, y)


def test_lost_centres_follow_the_others():
    x, y = motion(30, 4, seed=5), motion(30, 4, seed=6)
    lost = x.copy()
    lost[7:12, 2] = np.nan
    lost[20, :2] = np.nan  # two of four are left: each goes by its own neighbours
    new_x, _, repaired = repaired_centers(lost, y, 15.0, 25)
    np.testing.assert_array_equal(repaired, np.isnan(lost))
    np.testing.assert_allclose(new_x[7:12, 2], x[7:12, 2], atol=0.1)
    np.testing.assert_allclose(new_x[20, :2], x[20, :2], atol=0.6)
    never = x.copy()
    never[:, 1] = np.nan
    new_x, _, repaired = repaired_centers(never, y, 15.0, 25)
    assert np.isnan(new_x[:, 1]).all()
    assert not repaired.any()
    nothing = repaired_centers(np.full((4, 2), np.nan), np.full((4, 2), np.nan), 10.0, 25)
    assert np.isnan(nothing[0]).all()


def test_a_source_that_is_seen_for_a_part_of_a_drift_keeps_its_place():
    x, y = motion(200, 5, drift=0.1, seed=7), motion(200, 5, seed=8)
    partly = x.copy()
    partly[110:, 3] = np.nan
    new_x, _, repaired = repaired_centers(partly, y, 15.0, 25)
    np.testing.assert_array_equal(repaired, np.isnan(partly))
    np.testing.assert_allclose(new_x, x, atol=0.1)


def test_centres_that_do_not_move_are_no_outliers_of_each_other():
    x = np.full((20, 3), 5.0) + 1e-9 * np.random.default_rng(0).normal(size=(20, 3))
    x[:15] = 5.0
    assert not repaired_centers(x, x, 10.0, 25)[2].any()


@pytest.fixture(scope="module")
def series():
    """Forty frames of three drifting stars, (40, 66, 76), and how they drift."""
    rng = np.random.default_rng(9)
    path = np.stack([0.05 * np.arange(40), -0.03 * np.arange(40)], axis=1) + rng.normal(0, 0.1, (40, 2))
    frames = [sum(painted(x + dx, y + dy, 4e4, 1.5, (66, 76)) for x, y in STARS) for dx, dy in path]
    data = rng.poisson(np.array(frames) + 60).astype(np.float32)
    return data, path


def struck(data, counts):
    """The same frames, with a cosmic ray beside the first star in frame 17."""
    data = data.copy()
    data[17, 24:26, 22:24] += counts
    return data


def measured(data, center, stars=STARS, **more):
    x, y = [x for x, _ in stars], [y for _, y in stars]
    return tsogrid.measure(data, x=x, y=y, center=CENTER | center, **SETTINGS | more).compute()


@pytest.mark.parametrize(
    ("method", "limit", "ray"),
    [("gaussian", 10, 2e3), ("gaussian-1d", 10, 2e3), ("center-of-mass", 10, 2e3), ("quadratic", 20, 2e4)],
)
def test_a_cosmic_ray_moves_no_aperture(series, method, limit, ray):
    data, path = struck(series[0], ray), series[1]
    plain, mended = (measured(data, {"method": method, "repair": repair}) for repair in (None, limit))
    hit = np.zeros((40, 3), bool)
    hit[17, 0] = True
    assert abs(float(plain.x[17, 0]) - STARS[0][0] - path[17, 0]) > 0.15
    np.testing.assert_array_equal((mended.flags & REPAIRED) != 0, hit)
    np.testing.assert_allclose([mended.x[17, 0], mended.y[17, 0]], np.add(STARS[0], path[17]), atol=0.1)
    for name in plain.data_vars:
        kept = name in ("flags", "x", "y") or "aperture" in plain[name].dims or "sky" in plain[name].dims
        before, after = plain[name].to_numpy(), mended[name].to_numpy()
        np.testing.assert_array_equal(before[~hit] if kept else before, after[~hit] if kept else after)


def test_one_star_alone_is_repaired_by_its_own_motion(series):
    data, path = struck(series[0], 3e4), series[1]
    mended = measured(data, {"method": "center-of-mass"}, stars=STARS[:1])
    assert ((mended.flags[:, 0] & REPAIRED) != 0).to_numpy().nonzero()[0].tolist() == [17]
    np.testing.assert_allclose([mended.x[17, 0], mended.y[17, 0]], np.add(STARS[0], path[17]), atol=0.5)


def test_a_lost_centre_has_both_flags(series):
    data = series[0].copy()
    data[30, 35:56, 28:49] = 60.0  # the third star is gone
    for center in ({}, {"fallback": "planned"}, {"guess": "median"}):
        mended = measured(data, center)
        assert int(mended.flags[30, 2]) & (REPAIRED | FAILED) == REPAIRED | FAILED
        assert not int(mended.flags[30, 2]) & int(SourceFlag.POSITION_FALLBACK)
        np.testing.assert_allclose([mended.x[30, 2], mended.y[30, 2]], np.add(STARS[2], series[1][30]), atol=0.1)
        assert np.isnan(mended.x_fit[30, 2])


@pytest.mark.parametrize("position", ["frame", "median", "smooth"])
def test_any_block_gives_the_same_bits(series, position):
    center = {"position": position, "smooth_window": 5}
    data = struck(series[0], 2e3)
    results = [measured(data, center, block=block) for block in (1, 7, 40)]
    for name in results[0].data_vars:
        assert len({result[name].to_numpy().tobytes() for result in results}) == 1, name
    if position == "smooth":
        assert abs(float(results[0].x[17, 0]) - STARS[0][0] - series[1][17, 0]) < 0.3


def test_a_run_repairs_too(series, tmp_path):
    from astropy.io import fits

    data = struck(series[0], 2e3)
    for index, frame in enumerate(data):
        header = fits.Header({"MJD-OBS": 60000 + index / 1440, "EXPTIME": 10.0, "GAIN": 1.0})
        fits.PrimaryHDU(frame, header).writeto(tmp_path / f"frame_{index:03d}.fits")
    config = Config.from_mapping(
        {
            "input": {"files": [str(tmp_path / "frame_*.fits")], "gain": 1.0},
            "sources": [{"name": f"star{k}", "x": x, "y": y} for k, (x, y) in enumerate(STARS)],
            "center": CENTER,
            "apertures": [{"shape": "circle", "radius": [4]}],
            "output": {"store": str(tmp_path / "night.zarr"), "block": 6},
            "cluster": {"kind": "none"},
        },
        where="here",
    )
    result = tsogrid.run(config).load()
    lazy = measured(data, {})
    for name in ("x", "y", "flux", "flags", "x_fit"):
        np.testing.assert_array_equal(result[name], lazy[name])
