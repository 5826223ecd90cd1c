"""One source's light curve: what is chosen, what it keeps, and what is said of a choice that is not there."""

import numpy as np
import pytest

from tests.analysis.nights import night
from tsogrid.analysis.lightcurve import light_curve
from tsogrid.errors import ConfigError


def test_it_is_the_plane_of_the_result():
    result = night(20, apertures=3, skies=2)
    curve = light_curve(result, "ref2", 4, 1)
    np.testing.assert_array_equal(curve["flux"], result["flux"].sel(source="ref2").isel(aperture=1, sky=1))
    np.testing.assert_array_equal(curve["flux_err"], result["flux_err"].sel(source="ref2").isel(aperture=1, sky=1))
    assert curve["flux"].dims == ("time",)
    assert curve["flux"].attrs == result["flux"].attrs
    assert curve["time"].attrs["scale"] == "tdb"
    assert "identity" not in curve.attrs
    assert curve.attrs["choice"] == "source ref2 (given); aperture r4 (given), sky rowamp16+annulus12-20-mean (given)"
    np.testing.assert_array_equal(light_curve(result, 2, "r4", "rowamp16+annulus12-20-mean")["flux"], curve["flux"])


def test_what_is_not_chosen_stays_and_can_be_selected():
    result = night(20, apertures=3, skies=2)
    curve = light_curve(result)
    assert curve["flux"].dims == ("time", "aperture", "sky")
    assert curve["source"].item() == "target"
    assert curve.attrs["choice"].startswith("source target (the first target of 5 sources); 3 apertures, 2 skies")
    np.testing.assert_array_equal(curve["flux"].sel(radius=5).isel(sky=0), result["flux"].isel(source=0, aperture=2, sky=0))
    assert light_curve(night(20))["flux"].dims == ("time",)  # the only aperture, the only sky
    assert light_curve(result, aperture=["r3", 5])["aperture"].to_numpy().tolist() == ["r3", "r5"]


def test_a_lazy_result_stays_lazy():
    result = night(20, apertures=2).chunk(time=7)
    for normalise in (False, "median", "mean"):
        curve = light_curve(result, normalise=normalise)
        assert curve["flux"].chunks is not None
        assert curve["flux_err"].chunks is not None
    eager = light_curve(result.compute(), normalise="median")
    np.testing.assert_allclose(light_curve(result, normalise=True)["flux"], eager["flux"], rtol=1e-15)
    np.testing.assert_allclose(eager["flux"].median("time"), 1, rtol=1e-15)
    assert eager["flux"].attrs["units"] == "1"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"source": "x"}, ["target, ref1, ref2", "0 to 4", "'x'"]),
        ({"source": 7}, ["0 to 4", "7"]),
        ({"aperture": 9}, ["radii 3, 4, 5", "9"]),
        ({"aperture": "rect"}, ["r3, r4, r5", "'rect'"]),
        ({"sky": 2}, ["annulus12-20-mean, rowamp16+annulus12-20-mean", "2"]),
        ({"normalise": "mode"}, ["median or mean", "'mode'"]),
    ],
)
def test_errors_list_what_there_is(wrong, words):
    with pytest.raises(ConfigError) as caught:
        light_curve(night(5, apertures=3, skies=2), **wrong)
    for word in words:
        assert word in str(caught.value)


def test_a_light_curve_is_no_result():
    with pytest.raises(ConfigError, match="source, aperture, sky"):
        light_curve(light_curve(night(5)))


def test_one_lazy_light_curve_over_its_median():
    result = night(20, apertures=2)
    lazy = light_curve(result.chunk(time=7), aperture=3, sky=0, normalise="median")
    assert lazy["flux"].chunks is not None
    assert lazy["flux"].dims == ("time",)
    known = light_curve(result, aperture=3, sky=0, normalise="median")
    np.testing.assert_array_equal(lazy["flux"], known["flux"])
    assert set(lazy.coords) == set(known.coords)
