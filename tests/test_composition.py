"""The parts together: what one method gives another takes, and every Dataset that is given can be saved and read again."""

import matplotlib
import numpy as np
import pytest
import xarray as xr

import tsogrid
from tests.analysis.nights import night
from tsogrid.errors import ConfigError, TsogridWarning

SKIES = [{"method": "annulus", "inner": 8, "outer": 14}, {"method": "none"}]


@pytest.fixture(autouse=True)
def no_windows():
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:60, :66]
    star = sum(size * np.exp(-((x - sx) ** 2 + (y - sy) ** 2) / 4.5) for sx, sy, size in STARS)
    return rng.poisson(100 + star, (24, 60, 66)).astype(np.float32)


STARS = ((30, 31, 5000), (50, 20, 4000), (16, 44, 3000))


def measured(frames, **options):
    """With the names that users give; a gain, for errors."""
    sources = [
        {"name": name, "x": x, "y": y, "role": "target" if name == "my star" else "reference"}
        for name, (x, y, _) in zip(("my star", "ref 1", "ref 2"), STARS, strict=True)
    ]
    settings = {"sources": sources, "radius": [3, 5], "sky": SKIES, "input": {"gain": 1.0, "read_noise": 3.0}} | options
    return tsogrid.measure(frames, **settings).compute()


def products(result):
    """Every kind of Dataset that the accessor gives."""
    tso, time = result.tso, result.time.to_numpy()
    transit = (time.mean(), 0.4 * np.ptp(time))
    best = tso.best()
    return {
        "all": tso.lightcurve(),
        "one": tso.lightcurve(aperture=3, sky=0, normalise=True),
        "relative": tso.relative(),
        "best": best,
        "score": tso.score(),
        "bins": tso.bin(count=4),
        "bins of all": tso.relative().tso.bin(count=4),
        "allan": tso.allan(),
        "noise": tso.noise(),
        "detrended": tso.detrend(["x"], 1, transit),
        "of a light curve": best.tso.detrend(["x"], 1, transit, result=result),
        "bins detrended": best.tso.bin(count=2).tso.detrend([], 1, transit),
        "detrended bins": tso.detrend(["x"], 1, transit).tso.bin(count=2),
    }


def test_everything_that_is_given_has_units_and_can_be_saved(frames, tmp_path):
    for name, given in products(measured(frames)).items():
        for key, variable in given.variables.items():
            assert variable.attrs.get("long_name"), (name, key)
            assert variable.dtype.kind not in "fi" or "units" in variable.attrs or "flag_masks" in variable.attrs, (
                name,
                key,
            )
        path = tmp_path / f"{name}.nc"
        given.to_netcdf(path, engine="h5netcdf")
        with xr.open_dataset(path, engine="h5netcdf") as read:
            xr.testing.assert_equal(read.load(), given)
        given.to_zarr(tmp_path / f"{name}.zarr", consolidated=False)
        xr.testing.assert_equal(xr.open_zarr(tmp_path / f"{name}.zarr", consolidated=False).load(), given)


def test_a_light_curve_is_detrended_as_in_its_result(frames):
    result = measured(frames)
    time = result.time.to_numpy()
    transit = (time.mean(), 0.4 * np.ptp(time))
    found = products(result)
    assert found["of a light curve"].identical(found["detrended"])
    some = result.tso.best().isel(time=slice(2, None))
    part = some.tso.detrend(["x"], 1, transit, result=result)
    np.testing.assert_array_equal(part.time, some.time)
    with pytest.raises(ConfigError, match=r"found 'x'\. A light curve does not hold"):
        result.tso.best().tso.detrend(["x"], 1, transit)
    with pytest.raises(ConfigError, match="Detrend first, then bin"):
        found["bins"].tso.detrend(["x"], 1, transit, result=result)
    with pytest.raises(ConfigError, match="ask the result itself"):
        result.tso.best().tso.plot.positions()


def test_a_light_curve_is_a_data_frame(frames):
    bins = measured(frames).tso.best().tso.bin(count=4)
    table = bins.tso.to_dataframe()
    assert table.columns.to_list() == ["time", "flux", "flux_err", "flux_err_measured", "points"]
    np.testing.assert_array_equal(table["flux"], bins.flux)
    assert table.attrs["source"] == "my star"


@pytest.mark.parametrize("count", [1, 2])
def test_the_only_light_curve_is_the_best_one(frames, count):
    result = measured(frames[:count], radius=[3], sky=SKIES[:1])
    best = result.tso.best()
    assert best.attrs["choice"].endswith("the only one")
    assert "1 apertures" not in best.attrs["choice"]
    assert best.tso.plot.light_curve().get_ylabel() == "relative flux"
    with pytest.raises(ConfigError, match="expected one of"):
        result.tso.best(by="beauty")
    with pytest.raises(ConfigError, match=r"name an aperture|at least two frames"):
        measured(frames[:count]).tso.best()


def test_a_star_that_is_never_seen(frames):
    hidden = frames.copy()
    hidden[:, 10:52, 10:52] = np.nan
    result = measured(hidden)
    with pytest.raises(ConfigError, match="found none; name an aperture and a sky"):
        result.tso.best()
    with pytest.raises(ConfigError, match="scores: expected"):
        result.tso.plot.scores()
    assert result.tso.lightcurve(aperture=3, sky=0).flux.isnull().all()
    assert len(result.tso.failures())


def test_without_errors_all_but_errors_is_there(frames):
    with pytest.warns(TsogridWarning, match="no errors"):
        result = measured(frames, input={})
    best = result.tso.best()
    assert np.isfinite(best.flux).all()
    assert best.flux_err.isnull().all()
    assert np.isfinite(best.tso.bin(count=4).flux_err_measured).all()
    assert np.isfinite(best.tso.detrend([], 1, transit=False).flux).all()


def test_shapes_are_chosen_among_too(frames):
    shapes = [{"shape": "rectangle", "width": 8, "height": 6}, {"shape": "annulus", "inner": 1, "outer": 4}]
    result = measured(frames, radius=None, apertures=shapes)
    assert result.tso.best().aperture.item() in ("rect8x6", "annulus1-4")
    assert result.tso.plot.scores().get_xlabel() == "aperture"


def test_what_is_taken_out_stays_lazy_and_is_selected_by_radius():
    result = night(60, apertures=3, skies=2).chunk(time=20)
    curve = result.tso.lightcurve()
    assert curve.flux.chunks is not None
    chosen = curve.sel(radius=5).isel(sky=0)
    assert chosen.flux.chunks is not None
    assert chosen.flux.plot()[0].get_ydata().shape == (60,)
