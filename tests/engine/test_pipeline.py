"""A block measured: every aperture over every sky, with flags for whatever could not be."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.special import erf

import tsogrid
from tsogrid.engine.graph import plan, with_settings
from tsogrid.engine.windows import Window
from tsogrid.errors import ConfigError, InputError
from tsogrid.flags import ApertureFlag, SourceFlag

pytestmark = pytest.mark.filterwarnings("ignore:The frames carry no errors:tsogrid.errors.TsogridWarning")

FIXED = {"method": "none", "position": "fixed"}
ANNULUS = {"method": "annulus", "inner": 8, "outer": 14, "statistic": "mean"}


def painted(x, y, flux, sigma, shape):
    """A pixel-integrated Gaussian star."""
    edges_y, edges_x = (np.arange(n + 1) - 0.5 for n in shape)
    column = np.diff(erf((edges_x - x) / (sigma * np.sqrt(2)))) / 2
    row = np.diff(erf((edges_y - y) / (sigma * np.sqrt(2)))) / 2
    return flux * row[:, None] * column[None]


@pytest.fixture(scope="module")
def scene():
    """Two stars on a slope of rows: data, errors, and the level of every row; (6, 60, 80)."""
    rng = np.random.default_rng(8)
    stars = painted(22.3, 30.7, 4e4, 1.5, (60, 80)) + painted(57.1, 29.2, 2e4, 1.5, (60, 80))
    rows = rng.normal(0, 25, (6, 60, 1))
    sigma = np.sqrt(stars + 100)
    data = stars + 50 + rows + rng.normal(0, 1, (6, 60, 80)) * sigma
    dims = ("time", "y", "x")
    frames = {"data": (dims, data), "error": (dims, np.broadcast_to(sigma, data.shape).copy())}
    return xr.Dataset(frames), rows[:, :, 0]


def test_every_aperture_over_every_sky_from_one_read(scene):
    frames, _ = scene
    skies = [ANNULUS, {"method": "none"}, [{"method": "rowamp", "mask_radius": 10}, ANNULUS]]
    center = {"search_box": 11, "fit_box": 11}
    both = tsogrid.measure(frames, x=[22, 57], y=[31, 29], radius=[3, 5, 6], sky=skies, center=center).compute()
    assert dict(both.sizes) == {"time": 6, "source": 2, "aperture": 3, "sky": 3}
    assert both.sky.values.tolist() == ["annulus8-14-mean", "none", "rowamp10+annulus8-14-mean"]
    for index, sky in enumerate(skies):
        alone = tsogrid.measure(frames, x=[22, 57], y=[31, 29], radius=[3, 5, 6], sky=[sky], center=center).compute()
        for name in alone.data_vars:
            plane = both[name].isel(sky=[index]) if "sky" in both[name].dims else both[name]
            np.testing.assert_array_equal(plane, alone[name])
    np.testing.assert_array_equal(both.flux, both.aperture_sum - both.sky_sum)
    np.testing.assert_allclose(both.flux_err, np.hypot(both.aperture_sum_err, both.sky_sum_err))
    np.testing.assert_allclose(both.sky_level.isel(sky=1), 0)


def test_row_levels_are_taken_off(scene):
    frames, rows = scene
    skies = [ANNULUS, [{"method": "rowamp", "mask_radius": 12}, ANNULUS]]
    result = tsogrid.measure(frames, x=[22.3, 57.1], y=[30.7, 29.2], radius=6, sky=skies, center=FIXED).compute()
    truth = np.array([4e4, 2e4]) * (1 - np.exp(-(6**2) / 2 / 1.5**2))
    pull = (result.flux - truth[None, :, None, None]) / result.flux_err
    assert abs(pull.isel(sky=1)).max() < 4  # the rows are gone, and their uncertainty is in the errors
    assert abs(pull.isel(sky=0)).max() > 4
    assert (result.sky_level_err.isel(sky=1) > result.sky_level_err.isel(sky=0)).all()
    middle = rows[:, 25:36].mean(axis=1) + 50
    np.testing.assert_allclose(result.sky_level.isel(source=0, sky=1), middle, atol=4)


def test_the_fast_axis_may_be_y(scene):
    frames, _ = scene
    sky = [[{"method": "rowamp", "mask_radius": 12, "amplifiers": [[0, 40], [40, 80]]}, ANNULUS]]
    along_x = tsogrid.measure(frames, x=[22.3, 57.1], y=[30.7, 29.2], radius=6, sky=sky, center=FIXED).compute()
    turned = frames.rename(x="y", y="x").transpose("time", "y", "x").assign_attrs(fast_axis=-2)
    along_y = tsogrid.measure(turned, x=[30.7, 29.2], y=[22.3, 57.1], radius=6, sky=sky, center=FIXED).compute()
    for name in ("flux", "flux_err", "sky_level", "sky_area"):
        np.testing.assert_allclose(along_y[name], along_x[name], rtol=1e-10)


def test_a_read_out_that_is_not_known_is_refused(scene):
    frames, _ = scene
    sky = [{"method": "rowamp"}]
    with pytest.raises(InputError, match="FASTAXIS"):
        tsogrid.measure(frames.assign_attrs(fast_axis=3), x=20, y=30, sky=sky)
    with pytest.raises(ConfigError, match="amplifiers end at 100"):
        tsogrid.measure(frames, x=20, y=30, sky=[{"method": "rowamp", "amplifiers": [[0, 100]]}])


def test_bad_pixels_flag_their_apertures_only(scene):
    data = scene[0]["data"].to_numpy().copy()
    data[2, 31, 26] = np.inf  # 3.7 pixels from the first star
    result = tsogrid.measure(data, x=[22.3, 57.1], y=[30.7, 29.2], radius=[3, 5], center=FIXED).compute()
    flags = result.aperture_flags.to_numpy()
    assert flags[2, 0].tolist() == [0, int(ApertureFlag.BAD_PIXEL)]
    assert result.bad_pixels.to_numpy()[2, 0].tolist() == [0, 1]
    assert np.isclose(result.aperture_area[2, 0, 1], np.pi * 25 - 1)
    assert np.isfinite(result.flux).all()
    flags[2, 0, 1] = 0
    assert not flags.any()


def test_a_nan_error_makes_the_error_unknown_and_says_so(scene):
    frames = scene[0].copy(deep=True)
    frames["error"][1, 30, 22] = np.nan
    result = tsogrid.measure(frames, x=22.3, y=30.7, radius=3, center=FIXED).compute()
    assert np.isnan(result.flux_err[1]).all()
    assert np.isfinite(result.flux).all()
    assert result.aperture_flags.to_numpy().ravel().tolist() == [0, int(ApertureFlag.ERROR_UNKNOWN), 0, 0, 0, 0]


def test_quality_words_make_pixels_bad(scene):
    frames = scene[0].copy(deep=True)
    dq = np.zeros(frames["data"].shape, np.uint32)
    dq[0, 30, 22] = 1 + 4
    dq[1, 30, 22] = 4
    frames["dq"] = (("time", "y", "x"), dq)
    result = tsogrid.measure(frames, x=22.3, y=30.7, radius=3, center=FIXED).compute()
    assert result.bad_pixels.to_numpy().ravel().tolist() == [1, 0, 0, 0, 0, 0]
    none = tsogrid.measure(frames, x=22.3, y=30.7, radius=3, center=FIXED, calibrate={"dq": []}).compute()
    assert not none.bad_pixels.any()
    jumps = tsogrid.measure(frames, x=22.3, y=30.7, radius=3, center=FIXED, calibrate={"dq": ["JUMP_DET"]}).compute()
    assert jumps.bad_pixels.to_numpy().ravel().tolist() == [1, 1, 0, 0, 0, 0]
    with pytest.raises(ConfigError, match="unknown quality flag 'JUMPS'"):
        tsogrid.measure(frames, x=22.3, y=30.7, calibrate={"dq": ["JUMPS"]})


@pytest.mark.parametrize("rule", ["partial", "frame", "nan"])
def test_apertures_over_the_edge(scene, rule):
    frames = scene[0]
    result = tsogrid.measure(frames, x=2, y=30, radius=[2, 5], center=FIXED, photometry={"off_frame": rule}).compute()
    inside, over = (result.isel(aperture=index) for index in (0, 1))
    assert (inside.aperture_flags == 0).all()
    np.testing.assert_allclose(inside.aperture_area, np.pi * 4)
    assert (over.aperture_flags & int(ApertureFlag.OFF_FRAME) != 0).all()
    if rule == "partial":
        assert (over.aperture_area < np.pi * 25 - 1).all()
        assert np.isfinite(over.flux).all()
    elif rule == "nan":
        assert np.isnan(over.flux).all()
    else:
        np.testing.assert_allclose(over.aperture_sum[:, 0], frames["data"].sum(("y", "x")))
        np.testing.assert_allclose(over.flux[:, 0, 0], over.aperture_sum[:, 0])  # without sky
        np.testing.assert_allclose(over.aperture_area, 60 * 80)


def test_the_whole_frame_as_an_aperture(scene):
    frames = scene[0]
    apertures = [{"shape": "circle", "radius": 4}, {"shape": "frame"}]
    result = tsogrid.measure(frames, apertures=apertures, sky=[{"method": "none"}, ANNULUS], center=FIXED).compute()
    assert result.aperture.values.tolist() == ["r4", "frame"]
    whole = result.isel(aperture=1, source=0)
    np.testing.assert_allclose(whole.flux.isel(sky=0), frames["data"].sum(("y", "x")))
    np.testing.assert_allclose(whole.flux_err.isel(sky=0), np.sqrt((frames["error"] ** 2).sum(("y", "x"))))
    level = whole.sky_level.isel(sky=1)
    np.testing.assert_allclose(whole.flux.isel(sky=1), whole.aperture_sum - level * 4800)


def test_a_stamp_gives_the_bits_of_the_whole_frame(scene):
    frames = scene[0]
    sky = [{"method": "annulus", "inner": 4, "outer": 7}, {"method": "annulus", "inner": 4, "outer": 7, "statistic": "mean"}]
    settings = {"x": [22, 57], "y": [31, 29], "radius": [2, 3], "sky": sky, "center": {"search_box": 5, "fit_box": 5}}
    config = with_settings(None, **settings)
    stamps, whole = plan(tsogrid.open_frames(frames), config), plan(tsogrid.open_frames(frames), config)
    assert len(stamps.windows) == 2
    whole = replace(whole, windows=(Window(0, 60, 0, 80, (0, 1)),))
    first, second = stamps.measure(0, 6), whole.measure(0, 6)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


def test_a_fit_that_fails_is_nan_and_a_flag(scene):
    data = scene[0]["data"].to_numpy().astype(np.float32)
    data[3] = np.random.default_rng(1).normal(50, 1, data[3].shape)
    settings = {"x": 22, "y": 31, "radius": 3, "center": {"search_box": 9, "fit_box": 9, "fallback": "planned"}}
    result = tsogrid.measure(data, **settings).compute()
    assert np.isfinite(result.flux).all()
    assert np.isnan(result.x_fit[3, 0])
    assert result.flags[3, 0] & int(SourceFlag.CENTER_FAILED)
    assert result.flags[3, 0] & int(SourceFlag.POSITION_FALLBACK)
    assert result.x[3, 0] == 22
    data[3] = np.nan
    result = tsogrid.measure(data, **settings | {"center": {"search_box": 9, "fit_box": 9}}).compute()
    assert np.isnan(result.isel(time=3)[["flux", "x", "x_fit", "sky_level", "flux_err"]].to_array()).all()
    expected = SourceFlag.NO_DATA | SourceFlag.PREDICT_FAILED | SourceFlag.CENTER_FAILED
    assert int(expected) & int(result.flags[3, 0]) == int(expected)
    assert (result.flags.drop_isel(time=3) == 0).all()


@pytest.mark.parametrize("position", ["frame", "median", "smooth", "fixed"])
def test_where_the_apertures_go(scene, position):
    data = scene[0]["data"].to_numpy()
    center = {"position": position, "search_box": 9, "fit_box": 9, "smooth_window": 3}
    result = tsogrid.measure(data, x=22, y=31, radius=3, center=center).compute()
    fit = result.x_fit[:, 0].to_numpy()
    expected = {
        "frame": fit,
        "median": np.full(6, np.median(fit)),
        "smooth": [np.median(fit[max(0, i - 1) : i + 2]) for i in range(6)],
        "fixed": np.full(6, 22.0),
    }[position]
    np.testing.assert_array_equal(result.x[:, 0], expected)


def test_positions_from_a_file(scene, tmp_path):
    data = scene[0]["data"].to_numpy()
    table = "frame,source,x,y\n" + "".join(
        f"{i},{s},{20 + i + 30 * s},{30 - i}\n" for i in range(6) for s in (0, 1) if i != 4
    )
    (tmp_path / "positions.csv").write_text(table)
    center = {"position": "file", "position_file": str(tmp_path / "positions.csv"), "method": "none"}
    result = tsogrid.measure(data, x=[22, 57], y=[31, 29], radius=3, center=center).compute()
    assert result.x[:, 1].to_numpy().tolist()[:4] == [50, 51, 52, 53]
    assert np.isnan(result.flux[4]).all()
    assert (result.flags[4] & int(SourceFlag.POSITION_OFF_FRAME)).all()
    (tmp_path / "positions.csv").write_text("frame,source,x,y\n0,moon,1,2\n")
    with pytest.raises(ConfigError, match="unknown source 'moon'"):
        tsogrid.measure(data, x=[22, 57], y=[31, 29], center=center)


def test_the_centre_may_be_found_on_corrected_rows(scene):
    frames, _ = scene
    rows = [{"method": "rowamp", "mask_radius": 10}]
    scatter = {}
    for sky in ("auto", rows):
        center = {"search_box": 9, "fit_box": 9, "method": "center-of-mass", "sky": sky}
        result = tsogrid.measure(frames, x=57, y=29, radius=3, center=center).compute()
        scatter[str(sky)] = float((result.y_com - 29.2).std())
    assert scatter[str(rows)] < 0.5 * scatter["auto"]


def test_errors_from_gain_and_read_noise():
    rng = np.random.default_rng(0)
    star = painted(20.2, 19.7, 3e4, 1.6, (40, 40))
    data = (rng.poisson(star + 200, (300, 40, 40)) + rng.normal(0, 7, (300, 40, 40))) / 1.7
    settings = {"input": {"gain": 1.7, "read_noise": 7.0}, "center": FIXED}
    result = tsogrid.measure(data, x=20.2, y=19.7, radius=5, **settings).compute()
    truth = 3e4 / 1.7 * (1 - np.exp(-(25) / 2 / (1.6**2 + 1 / 12)))
    pull = (result.flux - result.flux.mean()) / result.flux_err
    assert abs(float(result.flux.mean()) / truth - 1) < 2e-3
    assert 0.9 < float(pull.std()) < 1.1
    electrons = tsogrid.measure(
        data, x=20.2, y=19.7, radius=5, center=FIXED, input=settings["input"] | {"units": "electron"}
    )
    assert electrons.flux.attrs["units"] == "electron"
    np.testing.assert_allclose(electrons.flux, 1.7 * result.flux, rtol=1e-9)
    np.testing.assert_allclose(electrons.flux_err, 1.7 * result.flux_err, rtol=1e-9)


def test_a_psf_image_finds_the_star(scene, tmp_path):
    from astropy.io import fits

    psf = painted(40.0, 40.0, 1, 6.0, (81, 81))  # four times oversampled
    fits.PrimaryHDU(psf, fits.Header({"OVERSAMP": 4})).writeto(tmp_path / "psf.fits")
    center = {"psf": str(tmp_path / "psf.fits"), "search_box": 11, "fit_box": 9}
    result = tsogrid.measure(scene[0], x=20, y=32, radius=3, center=center).compute()
    np.testing.assert_allclose(result.x_cc[:, 0], 22.3, atol=0.1)
    np.testing.assert_allclose(result.y_cc[:, 0], 30.7, atol=0.1)


def test_a_level_of_nothing_is_a_level_in_every_block():
    star = painted(20.3, 19.6, 5e3, 1.5, (40, 40)).astype(np.float32)
    data = np.stack([star + level for level in (0, 0, 30, 31)]).astype(np.float32)
    sky = [{"method": "annulus", "inner": 10, "outer": 15, "statistic": "median"}]
    settings = {"x": 20, "y": 20, "radius": 3, "center": {"sky": sky, "search_box": 7, "fit_box": 7}}
    one = tsogrid.measure(data, **settings, block=1).compute()
    four = tsogrid.measure(data, **settings, block=4).compute()
    np.testing.assert_array_equal(one.x_com, four.x_com)


def test_the_level_of_a_frame_model_alone(scene):
    apertures, sky = [{"shape": "frame"}], [{"method": "rowamp", "mask_radius": 10}]
    result = tsogrid.measure(scene[0], x=22, y=30, apertures=apertures, sky=sky, center=FIXED).compute()
    np.testing.assert_allclose(result.sky_level[:, 0, 0], result.sky_sum[:, 0, 0, 0] / result.aperture_area[:, 0, 0])
    assert (result.sky_level > 20).all()


def test_broken_position_files_are_one_message(scene, tmp_path):
    center = {"position": "file", "position_file": str(tmp_path / "p.csv"), "method": "none"}
    for text, said in (("frame,x,y\none,2,3\n", "expected numbers"), ("frame,x,y\n0.5,2,3\n", "whole numbers")):
        (tmp_path / "p.csv").write_text(text)
        with pytest.raises(ConfigError, match=said):
            tsogrid.measure(scene[0], x=22, y=30, center=center)
    (tmp_path / "p.csv").write_text("frame,x,y\n0.0,22,30\n1.0,23,\n")
    result = tsogrid.measure(scene[0], x=22, y=30, center=center).compute()
    assert result.x[0, 0] == 22
    assert np.isnan(result.y[1, 0])
