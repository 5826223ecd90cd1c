"""Bins and averages: means by hand, errors that are honest, gaps that are kept, white noise that falls as it should."""

from datetime import timedelta

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.nights import night
from tsogrid.analysis.averaging import allan, sizes
from tsogrid.analysis.binning import bin_light_curve, runs
from tsogrid.analysis.lightcurve import light_curve
from tsogrid.analysis.scatter import averaged, deviation, mad, median, over_time, point_to_point
from tsogrid.errors import ConfigError

MINUTE = 1 / 1440


def curve(flux, error=None, step=MINUTE, time=None):
    flux = np.asarray(flux, float)
    times = 2460000 + step * np.arange(len(flux)) if time is None else np.asarray(time, float)
    error = np.ones_like(flux) if error is None else np.asarray(error, float)
    dims = ("time", "aperture")[: flux.ndim]
    return xr.Dataset(
        {"flux": (dims, flux, {"units": "adu", "long_name": "flux"}), "flux_err": (dims, error)},
        coords={"time": ("time", times, {"units": "d", "scale": "tdb"})},
    )


def test_means_by_hand():
    flux = [1.0, 3, 5, np.nan, 7, 9, 11]
    error = [1.0, 2, 2, 1, 1, 1, 3]
    binned = bin_light_curve(curve(flux, error), 3)
    np.testing.assert_allclose(binned["flux"], [3, 8, 11])
    np.testing.assert_array_equal(binned["points"], [3, 2, 1])
    np.testing.assert_allclose(binned["flux_err"], [1, np.sqrt(2) / 2, 3])
    np.testing.assert_allclose(binned["flux_err_measured"], [2 / np.sqrt(3), 1, np.nan])
    np.testing.assert_allclose((binned["time"] - 2460000) / MINUTE, [1, 4, 6], atol=1e-6)
    assert binned["time"].attrs["scale"] == "tdb"
    assert binned["flux"].attrs["units"] == "adu"
    weighted = bin_light_curve(curve(flux, error), 3, method="inverse-variance")
    assert float(weighted["flux"][0]) == pytest.approx((1 + 3 / 4 + 5 / 4) / 1.5)
    assert float(weighted["flux_err"][0]) == pytest.approx(1 / np.sqrt(1.5))
    middle = bin_light_curve(curve(flux, error), 3, method="median")
    np.testing.assert_allclose(middle["flux"], [3, 8, 11])
    assert float(middle["flux_err"][0]) == pytest.approx(1.2533 * np.sqrt(3) / 2)
    assert float(middle["flux_err_measured"][0]) == pytest.approx(1.2533 * 1.4826 * 2 / np.sqrt(3))
    assert float(middle["flux_err"][1]) == pytest.approx(np.sqrt(2) / 2)


@pytest.mark.parametrize("width", [0.01, "14.4 min", "864s", "0.24h", timedelta(minutes=14.4), 14.4 * u.min])
def test_bins_of_time(width):
    times = 2460000.5 + np.sort(np.random.default_rng(1).uniform(0, 0.1, 400))
    times[0] = 2460000.5
    values = np.arange(400.0)
    binned = bin_light_curve(curve(values, time=times), width=width)
    place = np.floor((times - times[0]) / 0.01 + 1e-6)
    np.testing.assert_allclose(binned["flux"], [values[place == each].mean() for each in np.unique(place)])
    np.testing.assert_allclose(binned["time"], [times[place == each].mean() for each in np.unique(place)])


def test_bins_stop_at_gaps():
    time = 2460000 + MINUTE * np.array([0, 1, 2, 3, 4, 60, 61, 62, 63, 64])
    assert [(run.start, run.stop) for run in runs(time)] == [(0, 5), (5, 10)]
    binned = bin_light_curve(curve(np.arange(10.0), time=time), 4)
    np.testing.assert_allclose(binned["flux"], [1.5, 4, 6.5, 9])
    assert bin_light_curve(curve(np.arange(10.0), time=time), width=1.0)["flux"].to_numpy().tolist() == [4.5]


def test_many_light_curves_at_once_and_empty_bins():
    flux = np.arange(24.0).reshape(12, 2)
    flux[4:6, 0] = np.nan
    flux[8:10] = np.nan
    binned = bin_light_curve(curve(flux), 2)
    np.testing.assert_allclose(binned["flux"][:, 1], [2, 6, 10, 14, 22])  # the bin without any point is gone
    np.testing.assert_allclose(binned["flux"][:, 0], [1, 5, np.nan, 13, 21])
    assert binned["points"].to_numpy().tolist() == [[2, 2], [2, 2], [0, 2], [2, 2], [2, 2]]


@pytest.mark.parametrize("method", ["mean", "inverse-variance", "median"])
def test_errors_of_bins_are_honest(method):
    rng = np.random.default_rng(2)
    error = rng.uniform(1, 3, 40_000)
    binned = bin_light_curve(curve(100 + error * rng.standard_normal(40_000), error), 20, method=method)
    pull = (binned["flux"] - 100) / binned["flux_err"]
    assert float(pull.std()) == pytest.approx(1, abs=0.06)
    assert float((binned["flux_err_measured"] / binned["flux_err"]).mean()) == pytest.approx(1, abs=0.12)


@settings(max_examples=40, deadline=None)
@given(
    flux=st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1, max_size=40),
    count=st.integers(1, 12),
    method=st.sampled_from(["mean", "median", "inverse-variance"]),
)
def test_bins_hold_every_point_once(flux, count, method):
    binned = bin_light_curve(curve(flux), count, method=method)
    good = np.isfinite(flux)
    assert int(binned["points"].sum()) == good.sum()
    if method != "median":
        total = float((binned["flux"] * binned["points"]).sum())
        assert total == pytest.approx(np.nansum(flux), rel=1e-9, abs=1e-3)
    if good.any():
        assert float(binned["flux"].min()) >= np.nanmin(flux) - 1e-6
        assert float(binned["flux"].max()) <= np.nanmax(flux) + 1e-6


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "either count"),
        ({"count": 2, "width": 0.1}, "either count"),
        ({"count": 0}, "at least 1"),
        ({"width": "3 weeks"}, "10 min"),
        ({"width": -1.0}, "length of time"),
        ({"count": 2, "method": "mode"}, "mean, inverse-variance, median"),
    ],
)
def test_wrong_bins_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        bin_light_curve(curve(np.ones(9)), **wrong)


def test_more_refusals():
    with pytest.raises(ConfigError, match="needs errors"):
        bin_light_curve(curve(np.ones(9), np.full(9, np.nan)), 2, method="inverse-variance")
    with pytest.raises(ConfigError, match="several sources"):
        bin_light_curve(night(9), 2)
    frames = curve(np.ones(9))
    frames["time"].attrs.clear()
    with pytest.raises(ConfigError, match="not in days"):
        bin_light_curve(frames, width="5 min")


def test_scatter_by_hand():
    values = np.array([1.0, 3, np.nan, 2, 6])
    assert deviation(values) == pytest.approx(np.std([1, 3, 2, 6], ddof=1))
    assert median(values) == 2.5
    assert mad(values) == pytest.approx(1.4826)  # deviations 1.5, 0.5, 0.5, 3.5
    assert point_to_point(values) == pytest.approx(np.std([2, -1, 4], ddof=1) / np.sqrt(2))
    np.testing.assert_array_equal(averaged(np.arange(7.0), 3), [1, 4])
    assert np.isnan(median(np.full((3, 2), np.nan))).all()
    rng = np.random.default_rng(3)
    slow = xr.DataArray(rng.standard_normal((20_000, 2)) + np.linspace(0, 50, 20_000)[:, None], dims=("time", "sky"))
    np.testing.assert_allclose(over_time(point_to_point, slow), 1, rtol=0.03)
    assert (over_time(deviation, slow) > 10).all()
    np.testing.assert_allclose(over_time(mad, slow[:, :1] * 0 + rng.standard_normal((20_000, 1))), 1, rtol=0.03)


def test_white_noise_falls_with_the_root():
    rng = np.random.default_rng(4)
    found = allan(curve(1000 + rng.standard_normal(20_000)))
    assert len(found["frames"]) >= 18
    np.testing.assert_allclose(found["rms"][0], 1e-3, rtol=0.02)
    np.testing.assert_allclose(found["white"], found["photon"], rtol=0.02)
    pull = (found["rms"] - found["white"]) / found["rms_err"]
    assert float(np.abs(pull).max()) < 4
    np.testing.assert_allclose(found["timescale"] / MINUTE, found["frames"], rtol=1e-6)
    np.testing.assert_array_equal(found["bins"], 20_000 // found["frames"])


def test_red_noise_does_not_fall():
    rng = np.random.default_rng(5)
    walk = 1000 + np.cumsum(0.1 * rng.standard_normal(5000)) + rng.standard_normal(5000)
    found = allan(curve(walk)).isel(frames=-3)
    assert float(found["rms"]) > 5 * float(found["white"])


def test_averages_stop_at_gaps():
    time = np.concatenate([np.arange(50.0), 1000 + np.arange(50.0)]) * MINUTE
    values = np.where(time < 0.5, 1.0, 3.0) + np.tile([0.1, -0.1], 50)
    found = allan(curve(values, time=time))
    by_size = dict(zip(found["frames"].to_numpy().tolist(), found["bins"].to_numpy().tolist(), strict=True))
    assert all(bins == 2 * (50 // size) for size, bins in by_size.items())
    assert sizes(100)[-1] == 25


def test_light_curves_of_a_result_are_averaged_together():
    found = allan(light_curve(night(120, apertures=2, skies=2)))
    assert found["rms"].dims == ("frames", "aperture", "sky")
    assert np.isfinite(found["rms"]).all()
    with pytest.raises(ConfigError, match="at least 4"):
        allan(curve(np.ones(3)))
