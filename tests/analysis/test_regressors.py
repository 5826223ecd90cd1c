"""Regressors by name, of time, from tables and from frames; what would hide a transit, or is not there, is refused."""

import numpy as np
import pytest
import xarray as xr
from astropy.table import Table

import tsogrid
from tests.analysis.nights import night
from tests.analysis.systematics import made
from tsogrid.analysis.detrend import detrend
from tsogrid.analysis.eigenimages import decompose, eigenimages
from tsogrid.analysis.lightcurve import light_curve
from tsogrid.analysis.regressors import given, named, of_time
from tsogrid.analysis.time_table import read_time_table
from tsogrid.errors import ConfigError


@pytest.fixture
def result():
    found = night(60, apertures=2, skies=2)
    rng = np.random.default_rng(1)
    for name in ("x", "y", "x_fit", "sigma_x", "amplitude", "sigma_x_err"):
        found[name] = (("time", "source"), rng.normal(5, 1, (60, 5)), {"units": "pixel", "long_name": name})
    found["sky_level"] = (("time", "source", "sky"), rng.normal(5, 1, (60, 5, 2)), {"units": "adu / pixel"})
    return found.assign_coords(airmass=("time", np.linspace(1.1, 2, 60)))


def test_names_are_looked_up(result):
    curve = light_curve(result, "ref1", 4, 1)
    x, y, sky, airmass, product, square = named(["x", "y", "sky", "airmass", "x*y", "x^2"], result, curve)
    np.testing.assert_array_equal(x.values, result["x_fit"][:, 1])  # the best of those that are there
    np.testing.assert_array_equal(y.values, result["y"][:, 1])
    np.testing.assert_array_equal(sky.values, result["sky_level"][:, 1, 1])
    np.testing.assert_array_equal(airmass.values, result["airmass"])
    difference = x.values - x.values.mean()
    np.testing.assert_allclose(product.values, difference * (y.values - y.values.mean()))
    np.testing.assert_allclose(square.values, difference**2)
    assert (x.unit, sky.unit, square.unit) == ("pixel", "adu / pixel", "(pixel) (pixel)")


@pytest.mark.parametrize("name", ["flux", "amplitude", "aperture_sum", "sigma_x_err", "x*flux"])
def test_what_holds_the_star_s_light_is_refused(result, name):
    with pytest.raises(ConfigError, match="take the transit off"):
        named([name], result, light_curve(result, 0, 4, 1))


def test_what_is_not_there(result):
    curve = light_curve(result, 0, 4, 1)
    with pytest.raises(ConfigError, match=r"expected one of x, y, sky, airmass, .*sigma_x.*; found 'width'"):
        named(["width"], result, curve)
    with pytest.raises(ConfigError, match="a list of names"):
        named("x", result, curve)
    with pytest.raises(ConfigError, match="a power as x\\^2"):
        named(["x^9"], result, curve)
    with pytest.raises(ConfigError, match="give the result from which"):
        named(["x"], curve.drop_vars("airmass"), curve)


def test_powers_and_steps_of_time():
    time = np.linspace(100, 101, 11)
    line, square, step = of_time(time, "d", 2, [100.55])
    np.testing.assert_allclose(line.values, time - 100.5)
    np.testing.assert_allclose(square.values, (time - 100.5) ** 2)
    assert step.values.tolist() == [0] * 6 + [1] * 5
    assert [line.name, square.name, step.name, square.unit] == ["time", "time^2", "step1", "(d)^2"]
    for options, words in (({"order": 6}, "0 to 5"), ({"order": 1, "steps": [99.0]}, "between 100 and 101")):
        with pytest.raises(ConfigError, match=words):
            of_time(time, "d", **options)


def test_steps_and_ramps_are_found():
    injected = made(4, white=1e-5, systematics=False, depth=0.01)
    time = injected.curve["time"].to_numpy()
    tilted = injected.curve.assign(flux=injected.curve["flux"] * (1 + 0.002 * (time >= time[150])))
    tilted["flux"].attrs = injected.curve["flux"].attrs
    found = detrend(tilted, [], transit=injected.transit, steps=[time[150]])
    assert float(found["coefficient"][0]) == pytest.approx(0.002, rel=0.01)
    assert float(found["depth"]) == pytest.approx(0.01, abs=5 * float(found["depth_err"]))


@pytest.mark.parametrize("suffix", [".csv", ".ecsv"])
def test_a_table_is_interpolated(result, tmp_path, suffix):
    curve = light_curve(result, 0, 4, 1)
    time = curve["time"].to_numpy()
    path = tmp_path / f"guide{suffix}"
    knots = np.linspace(time[0] - 0.01, time[-1] + 0.01, 9)
    table = Table({"BJD_TDB": knots[::-1], "dx": 3 * (knots[::-1] - time[0]), "note": ["a"] * 9})
    table["dx"].unit = "arcsec"
    table.write(path, format=f"ascii{suffix}")
    (found,) = read_time_table(path, curve)
    np.testing.assert_allclose(found.values, 3 * (time - time[0]), atol=1e-8)
    assert (found.name, found.unit) == ("dx", "arcsec" if suffix == ".ecsv" else "1")
    table[3:].write(path, format=f"ascii{suffix}", overwrite=True)
    with pytest.raises(ConfigError, match=r"from the first frame to the last .*found .*unit and scale"):
        read_time_table(path, curve)
    for options, words in (
        ({"columns": ["note"]}, "expected numbers in the column 'note'"),
        ({"columns": ["dz"]}, "expected the columns dz, found BJD_TDB, dx, note"),
        ({"time_column": "when"}, "expected the columns when"),
    ):
        with pytest.raises(ConfigError, match=words):
            read_time_table(path, curve, **options)
    with pytest.raises(ConfigError, match="no such file"):
        read_time_table(tmp_path / "none.csv", curve)


def test_series_that_are_given(result):
    curve = light_curve(result, 0, 4, 1)
    (found,) = given({"focus": np.arange(60.0)}, curve)
    assert found.name == "focus"
    with pytest.raises(ConfigError, match="each of 60 frames in 'focus'"):
        given({"focus": np.arange(3.0)}, curve)
    with pytest.raises(ConfigError, match="found others; a table is interpolated"):
        given(xr.Dataset({"a": ("time", np.zeros(60))}, {"time": np.arange(60.0)}), curve)
    with pytest.raises(ConfigError, match="names and arrays"):
        given([1, 2], curve)


def test_eigenimages_find_the_motion_and_not_the_transit():
    rng = np.random.default_rng(2)
    frames = 200
    y, x = np.mgrid[:15, :15]
    dx, width = rng.normal(0, 0.05, frames), 1.6 + rng.normal(0, 0.01, frames)
    bright = 1e6 * (1 - 0.02 * (np.abs(np.arange(frames) - 100) < 30))
    image = np.exp(-((x - 7 - dx[:, None, None]) ** 2 + (y - 7) ** 2) / (2 * width[:, None, None] ** 2))
    stamps = (bright[:, None, None] * image).reshape(frames, -1)
    stamps += rng.normal(0, np.sqrt(np.abs(stamps)) + 1)
    stamps[7, 30] = np.nan
    stamps[9, 50] += 1e6  # a cosmic ray
    stamps[11] = np.nan
    series, images, share = decompose(stamps, 2)
    assert np.isnan(series[11]).all()
    good = np.isfinite(series[:, 0])
    assert good.sum() == frames - 1
    wanted = np.stack([dx, width], axis=1)[good]
    for column, values in zip(wanted.T, series[good].T, strict=True):
        quiet = np.arange(frames)[good] != 9
        assert abs(np.corrcoef(column[quiet], values[quiet])[0, 1]) > 0.98
    assert abs(np.corrcoef(bright[good], series[good, 0])[0, 1]) < 0.3
    assert images.shape == (2, 225)
    assert share[0] > share[1] > 0.01
    with pytest.raises(ConfigError, match="more frames than eigenimages"):
        decompose(stamps[:3], 4)


def test_eigenimages_of_a_result(exposure):
    settings = {"sky": [{"method": "annulus", "inner": 8, "outer": 12}]}
    frames = tsogrid.open_frames(exposure.files)
    result = tsogrid.measure(exposure.files, radius=4, **settings)
    found = eigenimages(frames, result, number=2, box=9)
    assert found["eigen1"].dims == ("time",)
    assert np.flatnonzero(np.isnan(found["eigen1"])).tolist() == [11]
    with pytest.warns(tsogrid.errors.TsogridWarning, match="eigen"):
        result.tso.detrend(["x"], extra=found)
    curve = result.tso.detrend(["x"], extra=found, transit=False)
    assert curve["regressor"].to_numpy().tolist() == ["time", "x", "eigen1", "eigen2"]
    for wrong, options, words in (
        (frames.isel(time=slice(5)), {}, "expected the 30 frames"),
        (frames, {"box": 8}, "odd box"),
        (frames, {"box": 91}, "box on the frame"),
        (frames.drop_vars("data"), {}, "frames with data"),
    ):
        with pytest.raises(ConfigError, match=words):
            eigenimages(wrong, result, **options)
