"""Detrending never hides a transit: a hundred of them are found again with honest errors, whatever is fitted beside them."""

import warnings

import numpy as np
import pytest
import xarray as xr

from tests.analysis.systematics import made
from tsogrid.analysis.detrend import detrend
from tsogrid.analysis.transit_shape import Transit, overlap
from tsogrid.errors import ConfigError, TsogridWarning
from tsogrid.simulate import transit_shape

ALL = ["x", "y", "sigma_x", "sky"]


def pulls(seeds, regressors, *, kind=None, **options):
    found = []
    for seed in range(seeds):
        injected = made(seed, **(kind or {}))
        result = detrend(injected.curve, regressors, transit=injected.transit, **options)
        found.append((float(result["depth"]) - injected.depth) / float(result["depth_err"]))
    return np.array(found)


@pytest.mark.parametrize(
    ("regressors", "kind", "options"),
    [
        (ALL, {}, {}),
        (ALL, {}, {"signal": "mask"}),
        ([], {"systematics": False}, {}),
        (ALL, {"systematics": False}, {}),
        (ALL, {"ramp": 0.004}, {"ramp": True}),
        (ALL, {}, {"choose": "bic"}),
        (ALL, {"frames": 240, "red": 1e-3}, {"red_noise": True}),
        ([], {"frames": 240, "systematics": False, "red": 6e-4, "timescale": 0.01}, {"red_noise": True}),
    ],
    ids=["fitted", "masked", "nothing fitted", "no systematics", "ramp", "chosen", "red noise", "red noise, nothing fitted"],
)
def test_a_hundred_transits_are_found_again(regressors, kind, options):
    found = pulls(100, regressors, kind=kind, **options)
    assert abs(found.mean()) < 0.25
    assert 0.8 < found.std(ddof=1) < 1.2


def test_errors_of_white_noise_are_hardly_larger_with_red_noise_asked_for():
    beta = []
    for seed in range(20):
        injected = made(seed, 240)
        found = detrend(injected.curve, ALL, transit=injected.transit, red_noise=True)
        beta.append(float(found["beta"]))
    assert np.min(beta) >= 1
    assert np.median(beta) < 1.25


def test_without_noise_all_is_exact():
    injected = made(3, white=0.0)
    curve = injected.curve.drop_vars("flux_err")
    found = detrend(curve, ALL, transit=injected.transit)
    assert float(found["depth"]) == pytest.approx(injected.depth, rel=1e-6)
    shape = transit_shape(curve["time"].to_numpy(), *injected.transit)
    np.testing.assert_allclose(found["flux"], 1 - injected.depth * shape, atol=1e-9)
    np.testing.assert_allclose(found["model"], found["raw"], atol=1e-9)
    np.testing.assert_allclose(found["baseline"], 1 + found["contribution"].sum("regressor"), atol=1e-12)
    assert float(found["rms_after"]) < 1e-6 * float(found["rms_before"])
    slope = np.polyfit(curve["x"], found["contribution"].sel(regressor="x"), 1)[0]
    assert float(found["coefficient"].sel(regressor="x")) == pytest.approx(slope, rel=1e-9)
    ramped = made(3, white=1e-9, ramp=0.004)
    found = detrend(ramped.curve, ALL, transit=ramped.transit, ramp=True)
    assert float(found["timescale"]) == pytest.approx(0.03, rel=1e-4)
    assert float(found["timescale_err"]) < 1e-4


def test_the_shape_is_that_of_the_simulation():
    time = np.linspace(-0.1, 0.1, 2001)
    for ratio, impact in ((0.1, 0.3), (0.02, 0.0), (0.2, 0.75)):
        mine = overlap(time, 0.01, 0.08, ratio, impact)
        np.testing.assert_allclose(mine, transit_shape(time, 0.01, 0.08, ratio=ratio, impact=impact), atol=1e-6)
    injected = made(1)
    shape = transit_shape(injected.curve["time"].to_numpy(), *injected.transit)
    numbers = detrend(injected.curve, ALL, transit=Transit(*injected.transit))
    assert float(numbers["depth"]) == pytest.approx(float(detrend(injected.curve, ALL, transit=shape)["depth"]), rel=1e-6)
    hours = (injected.transit[0], f"{24 * injected.transit[1]} h")
    assert float(numbers["depth"]) == pytest.approx(float(detrend(injected.curve, ALL, transit=hours)["depth"]), rel=1e-9)


def test_where_nothing_is_known_only_a_line_is_fitted():
    injected = made(2, white=1e-4, systematics=False, depth=0.01)
    curve = injected.curve
    like = transit_shape(curve["time"].to_numpy(), *injected.transit)
    curve["temperature"] = ("time", like, {"units": "K"})
    with pytest.warns(TsogridWarning, match="nothing is known of a transit.*temperature.*left out"):
        found = detrend(curve, ["temperature"], 3)
    assert found["regressor"].to_numpy().tolist() == ["time"]
    middle, outside = float(found["flux"][like == 1].mean()), float(found["flux"][like == 0].mean())
    assert 1 - middle / outside == pytest.approx(0.01, rel=0.05)
    assert np.isnan(found["depth"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = detrend(curve, [])
        flat = detrend(curve, ["x"], 2, transit=False)
    np.testing.assert_allclose(plain["flux"], curve["flux"] / curve["flux"].median())
    assert plain["constant"].attrs["units"] == "adu"
    assert flat["regressor"].to_numpy().tolist() == ["time", "time^2", "x"]


def test_a_regressor_that_equals_the_transit_does_not_take_it():
    injected = made(2, white=1e-4, depth=0.01)
    shape = transit_shape(injected.curve["time"].to_numpy(), *injected.transit)
    injected.curve["temperature"] = ("time", 3 - 2 * shape)
    with pytest.warns(TsogridWarning, match="say the same: temperature"):
        found = detrend(injected.curve, [*ALL, "temperature"], transit=injected.transit)
    assert float(found["depth"]) == pytest.approx(0.01, abs=5 * float(found["depth_err"]))
    assert np.isnan(found["coefficient"].sel(regressor="temperature"))


@pytest.mark.parametrize("signal", ["fit", "mask"])
def test_wild_points_and_gaps(signal):
    injected = made(5, depth=0.02)
    clean = detrend(injected.curve, ALL, transit=injected.transit, signal=signal)
    flux = injected.curve["flux"].to_numpy()
    middle = int(np.argmin(np.abs(injected.curve["time"].to_numpy() - injected.transit[0])))
    flux[[10, 11, 12, 300, middle]] *= 1.05
    flux[40:44] = np.nan
    injected.curve["x"].to_numpy()[50] = np.nan
    with pytest.warns(TsogridWarning, match="1 frames are NaN"):
        found = detrend(injected.curve, ALL, transit=injected.transit, signal=signal)
    assert abs(float(found["depth"] - clean["depth"])) < 0.6 * float(clean["depth_err"])
    assert not found["used"][[10, 11, 12, 300, middle]].any()
    assert float(found["flux"][10]) > 1.03  # it stays in the light curve
    assert np.flatnonzero(np.isnan(found["flux"])).tolist() == [40, 41, 42, 43, 50]
    assert np.isfinite(found["flux_err"]).to_numpy().tolist() == np.isfinite(found["flux"]).to_numpy().tolist()
    assert "5 frames beyond" in found.attrs["clipping"]


def test_a_deep_transit_of_the_wrong_shape_is_not_clipped():
    injected = made(6, white=1e-4, depth=0.02)
    mid, duration = injected.transit
    found = detrend(injected.curve, ALL, transit=(mid + 0.1 * duration, duration))
    inside = found["transit"].to_numpy() < 1
    assert found["used"].to_numpy()[inside].mean() > 0.98


def test_regressors_are_chosen():
    injected = made(7, white=2e-4, systematics=False)
    x = injected.curve["x"]
    injected.curve["flux"] = (injected.curve["flux"] * (1 + 0.02 * (x - x.mean()))).assign_attrs(units="adu")
    found = detrend(injected.curve, [*ALL, "x^2", "x*y"], 2, transit=injected.transit, ramp=True, choose="bic")
    assert found["regressor"].to_numpy().tolist() == ["x"]
    assert found.attrs["selection"].startswith("the least BIC of 512 combinations: x; ")
    whole = detrend(injected.curve, ALL, transit=injected.transit)
    assert float(found["bic"]) < float(whole["bic"])
    alone = detrend(injected.curve, ["x"], 0, transit=injected.transit)
    assert float(found["depth"]) == float(alone["depth"])
    assert float(alone["depth_err"]) < float(found["depth_err"]) < float(whole["depth_err"])  # the choice has its share
    with pytest.raises(ConfigError, match="at most 12 regressors to choose from, found 13"):
        detrend(
            injected.curve, [*ALL, "x^2", "x*y", "y^2", "x^3", "y^3", "sky^2", "x*sky", "y*sky"],
            transit=injected.transit, choose="bic",
        )  # fmt: skip


def test_everything_is_named():
    injected = made(8)
    found = detrend(injected.curve, ALL, transit=injected.transit)
    for name, array in found.data_vars.items():
        assert array.attrs["long_name"], name
        assert array.attrs["units"], name
    assert found["unit"].to_numpy().tolist() == ["d", "pixel", "pixel", "pixel", "adu / pixel"]
    assert found["contribution"].dims == ("time", "regressor")
    assert isinstance(found.copy(deep=True), xr.Dataset)
    with pytest.raises(ConfigError, match="choose an aperture"):
        detrend(injected.curve.expand_dims(aperture=["r3"]), ALL)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"transit": (2460000.9, 0.1)}, "expected frames in it, found none"),
        ({"transit": (2460000.15, 3.0)}, "frames out of it"),
        ({"transit": (2460000.15,)}, "expected \\(mid, duration\\)"),
        ({"transit": (2460000.15, "long")}, "expected a duration"),
        ({"transit": (2460000.15, 0.1, 1.5)}, "ratio between 0 and 1"),
        ({"transit": np.ones(3)}, "each of 400 frames"),
        ({"signal": "hide"}, "found 'hide'"),
        ({"choose": "aic"}, "'aic'"),
        ({"clip": 0}, "positive number"),
    ],
)
def test_what_is_refused(options, words):
    injected = made(9)
    with pytest.raises(ConfigError, match=words):
        detrend(injected.curve, ALL, **({"transit": injected.transit} | options))


def test_too_few_frames():
    injected = made(9)
    injected.curve["flux"].to_numpy()[5:-3] = np.nan
    with pytest.raises(ConfigError, match="at least 10 frames for the regression, found 8"):
        detrend(injected.curve, ALL, transit=False)
