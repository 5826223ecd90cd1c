"""Frames made fit: a mask, pixels that are not finite, and bad pixels found by their own time series."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from scipy.special import erf

import tsogrid
from tsogrid.engine import graph
from tsogrid.errors import ConfigError, InputError
from tsogrid.flags import ApertureFlag, SourceFlag

pytestmark = pytest.mark.filterwarnings("ignore:The frames carry no errors:tsogrid.errors.TsogridWarning")

N, SHAPE = 60, (40, 44)
X, Y, SIGMA = 21.3, 19.6, 0.85
FILTER = {"outliers": {"window": 11, "threshold": 5}}
SETTINGS = {
    "x": 21,
    "y": 20,
    "radius": [3, 4],
    "center": {"search_box": 7, "fit_box": 9},
    "sky": [{"method": "annulus", "inner": 6, "outer": 11, "statistic": "mean"}],
}


def star(x, y):
    edges_y, edges_x = (np.arange(n + 1) - 0.5 for n in SHAPE)
    column = np.diff(erf((edges_x - x) / (SIGMA * np.sqrt(2)))) / 2
    row = np.diff(erf((edges_y - y) / (SIGMA * np.sqrt(2)))) / 2
    return row[:, None] * column[None]


def frames_of(flux=1.0, jitter=0.0, sky=0.0, seed=0, peak=300.0, hits=()):
    """A star with S/N ``peak`` in its brightest pixel, as a Dataset with errors; hits of so many sigma are added."""
    rng = np.random.default_rng(seed)
    flux, sky = np.broadcast_to(flux, N), np.broadcast_to(sky, N)
    dx, dy = rng.normal(0, jitter, (2, N))
    total = peak**2 / star(X, Y).max()
    truth = np.stack([total * flux[t] * star(X + dx[t], Y + dy[t]) + sky[t] for t in range(N)]) + 100
    error = np.sqrt(truth + 25)
    data = truth + rng.normal(0, 1, truth.shape) * error
    for t, row, column, size in hits:
        data[t, row, column] += size * error[t, row, column]
    return xr.Dataset({"data": (("time", "y", "x"), data), "error": (("time", "y", "x"), error)})


def measured(frames, calibrate=FILTER, **settings):
    return tsogrid.measure(frames, **SETTINGS | {"calibrate": calibrate} | settings).compute(scheduler="sync")


def same_bits(first, second):
    assert list(first.data_vars) == list(second.data_vars)
    for name in first.data_vars:
        assert first[name].to_numpy().tobytes() == second[name].to_numpy().tobytes(), name


HITS = [(0, 20, 21, 40), (12, 19, 22, 12), (13, 19, 22, 12), (30, 23, 21, 15), (45, 17, 20, 300), (59, 20, 23, 20)]


@pytest.mark.parametrize("change", ["transit", "flare", "jitter", "sky"])
def test_the_light_curve_of_good_frames_stays(change):
    t = np.arange(N)
    flux = {
        "transit": 1 - 0.02 * np.clip((t - 20) / 5, 0, 1),
        "flare": 1 + 0.05 * np.isin(t, [15, 30, 31, 32, 59]),
    }.get(change, np.ones(N))
    sky = 3.0 * t if change == "sky" else 0.0
    frames = frames_of(flux, jitter=0.1 if change == "jitter" else 0.02, sky=sky)
    plain, filtered = measured(frames, {}), measured(frames)
    assert filtered.outliers.dtype == np.int32
    assert filtered.outliers.sum() <= 1
    kept = filtered.outliers[:, 0] == 0
    np.testing.assert_allclose(filtered.flux.where(kept), plain.flux.where(kept), rtol=1e-4)  # the annulus may hold one


@pytest.mark.parametrize("position", ["frame", "median", "fixed"])
def test_hits_are_repaired_counted_and_flagged(position):
    settings = {"center": SETTINGS["center"] | {"position": position}}
    clean = measured(frames_of(jitter=0.02), {}, **settings)
    hit = frames_of(jitter=0.02, hits=HITS)
    before, after = measured(hit, {}, **settings), measured(hit, **settings)
    struck = [0, 12, 13, 30, 45, 59]
    np.testing.assert_array_equal(np.flatnonzero(after.outliers[:, 0]), struck)
    np.testing.assert_array_equal(after.outliers[struck, 0], 1)
    np.testing.assert_array_equal(np.flatnonzero(after.flags[:, 0] & int(SourceFlag.OUTLIERS)), struck)
    assert not (after.aperture_flags != 0).any()
    error = clean.flux_err.isel(aperture=1, sky=0, source=0)
    off = ((after.flux - clean.flux).isel(aperture=1, sky=0, source=0) / error)[struck]
    assert abs(off).max() < 1
    assert abs((before.flux - clean.flux).isel(aperture=1, sky=0, source=0) / error)[struck].max() > 3
    np.testing.assert_array_equal(after.flux_err[1:12], clean.flux_err[1:12])


def test_apertures_that_follow_the_width_count_their_own_outliers():
    """Without a range the largest aperture allowed is as large as the frame; what counts is how large it is."""
    found = measured(
        frames_of(hits=[(30, 20, 21, 30), (40, 3, 40, 50)]), apertures=[{"scaled": {"factor": 1.5}}], radius=None
    )
    counts = found.outliers.to_numpy()[:, 0]
    assert counts[30] >= 1
    assert counts[40] == 0
    np.testing.assert_array_equal(found.flags.to_numpy()[:, 0] & SourceFlag.OUTLIERS != 0, counts > 0)


def test_left_out_in_place_of_repaired():
    result = measured(frames_of(hits=HITS), {"outliers": {"repair": "mask"}})
    flagged = (result.aperture_flags[:, 0, 1] & int(ApertureFlag.BAD_PIXEL)) != 0
    np.testing.assert_array_equal(np.flatnonzero(flagged), [0, 12, 13, 30, 45, 59])
    np.testing.assert_array_equal(result.bad_pixels[:, 0, 1], result.outliers[:, 0])
    assert np.isfinite(result.flux).all()


@pytest.mark.parametrize("block", [1, 7, 64])
@pytest.mark.parametrize("error", [True, False])
def test_blocks_change_no_bit(block, error):
    frames = frames_of(jitter=0.05, hits=HITS)
    frames["data"][9] = np.nan
    frames["data"][:, 18, 22] = np.nan
    frames["data"][50:54, 21, 20] = np.inf
    frames = frames if error else frames.drop_vars("error")
    for position in ("frame", "median"):
        settings = {"center": SETTINGS["center"] | {"position": position}}
        same_bits(measured(frames, block=block, **settings), measured(frames, block=20, **settings))


def test_dask_frames_and_several_windows_give_the_same_bits():
    frames = frames_of(jitter=0.05, hits=HITS)
    wide = frames.pad(x=(0, 60), mode="wrap")
    settings = {"x": [21, 21 + 44], "y": [20, 20], "block": 7}
    numpy = measured(wide, **settings)
    lazy = wide.assign({name: (wide[name].dims, da.from_array(wide[name].to_numpy(), chunks=(13, 20, 52))) for name in wide})
    same_bits(measured(lazy, **settings), numpy)
    alone = measured(wide, **settings | {"x": [65], "y": [20]})
    np.testing.assert_array_equal(alone.flux[:, 0], numpy.flux[:, 1])
    np.testing.assert_array_equal(alone.outliers[:, 0], numpy.outliers[:, 1])


def test_a_block_reads_its_neighbours_and_no_more():
    frames = tsogrid.open_frames(frames_of())
    config = graph.with_settings(None, **SETTINGS, calibrate={"outliers": {"window": 7}})
    plan = graph.plan(frames, config, 10)
    assert plan.halo == 3
    assert [plan.span(*map(int, bounds)) for bounds in plan.bounds[[0, 2, 5]]] == [(0, 13), (17, 33), (47, 60)]
    pixels = plan.read(plan.windows[0], 20, 30)
    assert pixels.kept == (3, 13)
    assert pixels.data.shape[0] == 16
    assert graph.plan(frames, graph.with_settings(None, **SETTINGS), 10).halo == 0


def test_the_frame_counts_where_there_is_no_circle():
    settings = {"apertures": [{"shape": "frame"}], "sky": [{"method": "none"}]}
    frames = frames_of(hits=[(7, 3, 3, 50), (7, 35, 40, 50)])
    result = tsogrid.measure(frames, **SETTINGS | {"radius": None} | settings, calibrate=FILTER).compute()
    assert result.outliers[7, 0] == 2
    assert result.outliers.sum() <= 6


@pytest.fixture
def mask_file(tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[20, 22] = 4
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(mask)]).writeto(tmp_path / "mask.fits")
    return tmp_path / "mask.fits"


def test_a_mask_is_bad_in_all_frames(mask_file):
    frames = frames_of()
    result = measured(frames, {"mask": str(mask_file)})
    assert (result.bad_pixels == 1).all()
    expected = frames.copy(deep=True)
    expected["data"][:, 20, 22] = np.nan
    same_bits(result, measured(expected, {}))
    mask = np.where(np.arange(SHAPE[0])[:, None] == 20, np.nan, np.zeros(SHAPE))
    fits.writeto(mask_file, mask, overwrite=True)
    assert (measured(frames, {"mask": str(mask_file)}).bad_pixels[:, 0, 0] >= 6).all()


def test_the_identity_holds_what_the_mask_holds(mask_file):
    frames = tsogrid.open_frames(frames_of())
    config = graph.with_settings(None, **SETTINGS, calibrate={"mask": str(mask_file)})
    before = graph.plan(frames, config).identity()
    fits.writeto(mask_file, np.ones(SHAPE), overwrite=True)
    assert graph.plan(frames, config).identity() != before
    assert before["config"]["calibrate"]["mask"] == "mask.fits"


def test_a_mask_that_does_not_fit_is_refused(tmp_path):
    frames = frames_of()
    with pytest.raises(ConfigError, match="no such file"):
        measured(frames, {"mask": str(tmp_path / "none.fits")})
    fits.writeto(tmp_path / "small.fits", np.zeros((10, 20)))
    with pytest.raises(InputError, match=r"44 × 40 pixels .* found 20 × 10"):
        measured(frames, {"mask": str(tmp_path / "small.fits")})
    fits.writeto(tmp_path / "cube.fits", np.zeros((2, *SHAPE)))
    with pytest.raises(InputError, match="found 44 × 40 × 2"):
        measured(frames, {"mask": str(tmp_path / "cube.fits")})


@pytest.fixture
def holes():
    """Frames with a NaN, an infinite and a pixel of bad quality in the aperture, and a NaN in the annulus."""
    frames = frames_of()
    frames["data"][2, 20, 22] = np.nan
    frames["data"][3, 20, 22] = np.inf
    frames["data"][5, 19, 29] = np.nan
    frames["dq"] = frames["data"].dims, np.zeros(frames["data"].shape, np.uint32)
    frames["data"][4, 20, 22] = np.nan
    frames["dq"][4, 20, 22] = 1
    return frames


def test_numbers_that_are_none_are_left_out(holes):
    result = measured(holes, {"nan": "mask"})
    np.testing.assert_array_equal(np.flatnonzero(result.bad_pixels[:, 0, 1]), [2, 3, 4])
    assert np.isfinite(result.flux).all()


def test_a_number_takes_their_place_and_counts_as_data(holes):
    result = measured(holes, {"nan": 250.0})
    filled = holes.copy(deep=True)
    filled["data"][2, 20, 22] = filled["data"][3, 20, 22] = filled["data"][5, 19, 29] = 250.0
    same_bits(result, measured(filled, {}))
    np.testing.assert_array_equal(np.flatnonzero(result.bad_pixels[:, 0, 1]), [4])  # bad by its quality, whatever it holds


def test_a_masked_pixel_is_not_filled(holes, mask_file):
    result = measured(holes, {"nan": 0, "mask": str(mask_file)})
    assert (result.bad_pixels == 1).all()


def test_left_as_they_are_they_take_the_flux(holes):
    result = measured(holes, {"nan": "leave"})
    lost = np.isnan(result.aperture_sum[:, 0, 1])
    np.testing.assert_array_equal(np.flatnonzero(lost), [2, 3, 4])
    np.testing.assert_array_equal((result.aperture_flags[:, 0, 1] & int(ApertureFlag.BAD_PIXEL)) != 0, lost)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(result.sky_level[:, 0, 0])), [5])  # its ring holds one
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(result.flux[:, 0, 1, 0])), [2, 3, 4, 5])
    np.testing.assert_array_equal(
        (result.flags[:, 0] & int(SourceFlag.SKY_FAILED)) != 0, np.arange(result.sizes["time"]) == 5
    )


@pytest.mark.parametrize("region", [{"method": "rectangle", "width": 24, "height": 24}, {"inner": 6, "outer": 14}])
@pytest.mark.parametrize("how", [{}, {"overlap": "center"}, {"statistic": "median"}, {"offset": [1.0, 0.0]}])
def test_left_in_a_region_they_take_its_level(holes, region, how):
    """With every shape and statistic; a bad pixel beyond the region or off the frame takes nothing."""
    step = {"method": "annulus", **region, **how}
    result = measured(holes, {"nan": "leave"}, sky=[step])
    assert np.isnan(result.sky_level[5, 0, 0])
    assert np.isfinite(result.sky_level[6, 0, 0])


@pytest.mark.parametrize(
    "wrong", [{"nan": "zero"}, {"nan": ".nan"}, {"outliers": {"window": 2}}, {"outliers": {"repair": "no"}}]
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"calibrate"):
        measured(frames_of(), wrong)
