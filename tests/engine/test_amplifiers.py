"""Amplifier steps in a run: every option beside every other, the same bits however the series is cut, their reports."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from astropy.table import Table

import tsogrid
from tsogrid.engine.graph import plan, with_settings
from tsogrid.engine.windows import Window
from tsogrid.errors import ConfigError
from tsogrid.export import export

SHAPE, SIGMA = (48, 256), 6.0
BOUNDS = [[0, 64], [64, 128], [128, 192], [192, 256]]
FIXED = {"method": "none", "position": "fixed"}
STARS = ((100.3, 24.2, 3e4), (200.6, 22.7, 2e4))
ROWS = {"method": "rowamp", "mask_radius": 12.0, "amplifiers": BOUNDS}
OPTIONS = {
    "plain": ROWS,
    "even and odd": ROWS | {"even_odd": True},
    "each column": ROWS | {"each_column": True},
    "smooth": ROWS | {"smooth": 5},
    "fill": ROWS | {"fill": True},
    "fill of columns": ROWS | {"fill": True, "each_column": True, "smooth": 5},
    "reference pixels": ROWS | {"reference_pixels": 8},
    "process": {"method": "readout-gp", "mask_radius": 12.0, "amplifiers": BOUNDS},
}


def scene(common=1.0, n=5, seed=0, rows=20.0):
    """Two stars on rows of four amplifiers that share a part of their noise; (n, 48, 256)."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    stars = sum(f / (2 * np.pi * 1.5**2) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2 / 1.5**2) for a, b, f in STARS)
    noise = common * rng.normal(0, rows, (n, SHAPE[0], 1)) + np.sqrt(1 - common**2) * rng.normal(0, rows, (n, SHAPE[0], 4))
    sigma = np.sqrt(stars + SIGMA**2)
    data = stars + 50 + np.repeat(noise, 64, axis=2) + rng.normal(0, 1, (n, *SHAPE)) * sigma
    data[0, 5, 3] = data[1, 24, 210] = np.nan
    dims = ("time", "y", "x")
    return xr.Dataset({"data": (dims, data), "error": (dims, np.broadcast_to(sigma, data.shape).copy())})


def measured(frames, sky, block=None, **settings):
    x, y, _ = np.transpose(STARS)
    return tsogrid.measure(frames, x=x, y=y, radius=[4, 6], sky=sky, center=FIXED, block=block, **settings).compute()


@pytest.fixture(scope="module")
def everything():
    return measured(scene(), [[step] for step in OPTIONS.values()])


def test_every_option_beside_every_other(everything):
    frames = scene()
    for index, step in enumerate(OPTIONS.values()):
        alone = measured(frames, [[step]], block=2)
        for name in alone.data_vars:
            plane = everything[name].isel(sky=[index]) if "sky" in everything[name].dims else everything[name]
            np.testing.assert_array_equal(plane, alone[name], err_msg=f"{step} {name}")


def test_every_option_takes_the_rows_off(everything):
    truth = np.array([f for _, _, f in STARS])[None, :, None] * (1 - np.exp(-(np.array([4, 6]) ** 2) / 2 / 1.5**2))
    for index, name in enumerate(OPTIONS):
        pulls = (everything.flux[..., index] - truth) / everything.flux_err[..., index]
        assert abs(pulls).max() < 4, name
    assert np.isfinite(everything.flux).all()
    assert (everything.sky_area > 0).all()


def test_sky_area_counts_the_pixels_behind_the_level_of_the_source(everything):
    """Those of its row in its own amplifier; where amplifiers lend each other levels, those of the whole row."""
    for source, (x, y, _) in enumerate(STARS):
        row = round(y)
        column = np.arange(SHAPE[1])
        away = np.isfinite(scene()["data"].values[:, row])
        for a, b, _ in STARS:
            away &= np.hypot(column - a, row - b) > ROWS["mask_radius"]
        own = (column // 64) == round(x) // 64
        area = dict(zip(OPTIONS, everything.sky_area.values[:, source].T, strict=True))
        for name in ("plain", "even and odd", "smooth"):
            np.testing.assert_array_equal(area[name], (away & own).sum(axis=1), err_msg=name)
        np.testing.assert_array_equal(area["fill"], away.sum(axis=1))


def test_pixels_of_a_line_between_two_are_those_of_the_lower_one():
    frames = np.random.default_rng(2).normal(size=(1, 48, 64))
    frames[0, ::2, :20] = np.nan  # even rows hold fewer good pixels
    settings = {"input": {"gain": 1.0}, "sky": [ROWS | {"amplifiers": [[0, 64]]}], "center": FIXED}
    found = tsogrid.measure(frames, x=[40, 40, 40], y=[6.5, 7.5, 8.5], radius=1, **settings).compute()
    rows, columns = np.indices(frames[0].shape)
    away = np.isfinite(frames[0]) & (np.hypot(columns[..., None] - 40, rows[..., None] - [6.5, 7.5, 8.5]).min(axis=2) > 12)
    np.testing.assert_array_equal(found.sky_area.values.ravel(), away[6:9].sum(axis=1))


@pytest.mark.parametrize("option", OPTIONS)
def test_a_stamp_gives_the_bits_of_the_frame(option):
    frames, (x, y, _) = scene(), np.transpose(STARS)
    settings = with_settings(None, x=x, y=y, radius=[4], sky=[[OPTIONS[option]]], center=FIXED)
    planned = plan(tsogrid.open_frames(frames), settings)
    whole = replace(planned, windows=(Window(0, SHAPE[0], 0, SHAPE[1], (0, 1)),))
    a, b = planned.measure(0, 5), whole.measure(0, 5)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("option", ["even and odd", "each column", "smooth"])
def test_steps_that_look_at_the_amplifiers_of_the_sources_measure_no_correlation(option, everything):
    index = list(OPTIONS).index(option)
    assert np.isnan(everything.amplifier_correlation[:, index]).all()
    assert np.isfinite(everything.amplifier_correlation[:, list(OPTIONS).index("fill")]).all()


def test_one_amplifier_is_read_about_the_sources_alone():
    frames = scene()
    settings = with_settings(None, x=100, y=24, radius=[4], sky=[{"method": "rowamp"}], center=FIXED)
    planned = plan(tsogrid.open_frames(frames), settings)
    assert planned.windows[0].y1 - planned.windows[0].y0 < 20
    assert np.isnan(planned.measure(0, 5)["amplifier_correlation"]).all()


@pytest.mark.parametrize("turned", [False, True])
def test_a_model_near_the_stars_gives_the_bits_of_one_everywhere(turned, monkeypatch):
    frames = scene(n=3).isel(x=slice(60, 150))  # one star, in two amplifiers of unequal width
    bounds = [[0, 33], [33, 90]]
    steps = [{**step, **({"amplifiers": bounds} if "amplifiers" in step else {})} for step in OPTIONS.values()]
    ring = {"method": "annulus", "inner": 8, "outer": 11, "statistic": "clipped-median"}
    chains = [[step, ring] for step in steps] + [[steps[1], ring, steps[0], ring], [ring, steps[0]]]
    x, y = 40.3, 24.2
    if turned:
        frames = frames.transpose("time", "x", "y").rename(x="y", y="x")
        x, y, frames.attrs["fast_axis"] = y, x, 2

    def found():
        return tsogrid.measure(frames, x=x, y=y, radius=[4, 6], sky=chains, center=FIXED).compute()

    near = found()
    monkeypatch.setattr("tsogrid.engine.neighbourhood.WORTH", -1.0)
    xr.testing.assert_identical(near, found())
    assert np.isfinite(near["flux"][2]).all()


def test_the_fast_axis_may_be_y(everything):
    turned = scene().rename(x="y", y="x").transpose("time", "y", "x").assign_attrs(fast_axis=2)
    x, y, _ = np.transpose(STARS)
    sky = [[step] for step in OPTIONS.values()]
    result = tsogrid.measure(turned, x=y, y=x, radius=[4, 6], sky=sky, center=FIXED).compute()
    for name in ("flux", "flux_err", "sky_level", "sky_area", "amplifier_correlation"):
        np.testing.assert_allclose(result[name], everything[name], rtol=1e-8, err_msg=name)


def test_correlation_is_what_was_put_in():
    annulus = {"method": "annulus", "inner": 14, "outer": 20}
    process = OPTIONS["process"]
    for common in (1.0, 0.6, 0.0):
        result = measured(
            scene(common, n=6),
            [[ROWS | {"fill": True}, annulus], [annulus], [process], [ROWS | {"even_odd": True}, process]],
        )
        found = result.amplifier_correlation
        assert found.dims == ("time", "sky")
        assert np.isnan(found[:, 1]).all()
        np.testing.assert_allclose(found.mean("time")[[0, 2]], common**2, atol=0.15)
        assert np.isfinite(found[:, 3]).all()  # what the even and odd columns' step has left, which measures none
    assert "amplifier_correlation" not in measured(scene(), [[annulus]])


def test_a_hidden_amplifier_is_filled_from_the_good_ones():
    frames = scene(rows=30.0)
    data = frames["data"].to_numpy().copy()
    data[:, :, 64:128] = np.where(
        np.hypot(np.arange(64, 128) - 100.3, np.arange(48)[:, None] - 24.2) < 12, data[:, :, 64:128], np.nan
    )
    frames = frames.assign(data=(("time", "y", "x"), data))
    result = measured(frames, [[ROWS], [ROWS | {"fill": True}], [ROWS | {"fill": True, "even_odd": True}]])
    assert np.isnan(result.flux[:, 0, :, 0]).all()
    truth = 3e4 * (1 - np.exp(-(np.array([4, 6]) ** 2) / 2 / 1.5**2))
    for index in (1, 2):
        pulls = (result.flux[:, 0, :, index] - truth) / result.flux_err[:, 0, :, index]
        assert abs(pulls).max() < 4


def test_a_centre_may_be_found_on_filled_rows():
    center = {"search_box": 9, "fit_box": 9, "method": "center-of-mass", "sky": [ROWS | {"fill": True}]}
    x, y, _ = np.transpose(STARS)
    result = tsogrid.measure(scene(), x=np.rint(x), y=np.rint(y), radius=4, center=center).compute()
    np.testing.assert_allclose(result.y_com.mean("time"), y, atol=0.2)
    assert "amplifier_correlation" not in result


def test_store_table_and_export_know_the_correlation(exposure, tmp_path):
    rows = {"method": "rowamp", "amplifiers": [[0, 30], [30, 60]], "mask_radius": 10}
    annulus = {"method": "annulus", "inner": 8, "outer": 12}
    config = tsogrid.Config.from_mapping(
        {
            "input": {"files": [str(file) for file in exposure.files]},
            "output": {"store": str(tmp_path / "a.zarr"), "block": 4},
            "cluster": {"kind": "none"},
            "center": {"search_box": 15, "fit_box": 9, "position": "median"},
            "sky": [[rows, annulus], annulus, [rows | {"fill": True}]],
        }
    )
    result = tsogrid.run(config)
    lazy = tsogrid.measure([str(file) for file in exposure.files], config).compute()
    np.testing.assert_array_equal(result.amplifier_correlation, lazy.amplifier_correlation)
    np.testing.assert_array_equal(np.isfinite(result.amplifier_correlation).any("time"), [False, False, True])
    assert result.tso.to_dataframe().shape[0] == result.sizes["time"]
    table = Table.read(export(result, tmp_path / "t.ecsv"))
    named = [name for name in table.colnames if name.startswith("amplifier_correlation")]
    assert len(named) == 3
    np.testing.assert_allclose(table[named[2]], result.amplifier_correlation[:, 2])
    assert json.loads(result.attrs["config"])["sky"][2][0]["fill"] is True


def test_without_celerite2_nothing_begins(monkeypatch):
    monkeypatch.setitem(sys.modules, "celerite2", None)  # importing it fails
    with pytest.raises(ConfigError, match=r"readout-gp: expected the package celerite2.*tsogrid\[gp\]"):
        tsogrid.measure(scene(), x=100, y=24, radius=4, sky=[[OPTIONS["process"]]])


def test_amplifiers_of_two_steps_must_agree():
    process = {"method": "readout-gp", "amplifiers": [[0, 256]]}
    with pytest.raises(ConfigError, match="different amplifiers"):
        tsogrid.measure(scene(), x=100, y=24, radius=4, sky=[[ROWS], [process]])
