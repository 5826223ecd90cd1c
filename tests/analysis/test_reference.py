"""Relative light curves: what is common divides out, errors are honest, and tshirt's numbers where tshirt is right."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.nights import night, wave
from tsogrid.analysis.ensemble import accepted, comparison, normal_flux
from tsogrid.analysis.lightcurve import light_curve
from tsogrid.analysis.reference import relative
from tsogrid.analysis.scatter import median
from tsogrid.errors import ConfigError

TSHIRT = Path(__file__).parents[1] / "data" / "tshirt" / "npz"


def test_what_is_common_divides_out_exactly():
    rng = np.random.default_rng(1)
    signal = wave(200, 0.01)
    for weights in ("flux", "equal"):
        result = night(200, transparency=rng.uniform(0.2, 1, 200), signals={0: signal}, noise=False, apertures=2)
        curve = relative(result, weights=weights)
        expected = (1 + signal) / np.median(1 + signal)
        np.testing.assert_allclose(curve["flux"].isel(aperture=1), expected, rtol=1e-13)
        np.testing.assert_allclose(curve["flux"].isel(aperture=0), expected, rtol=1e-13)
        assert curve["used"].all()


def test_stars_that_come_and_go_leave_no_step():
    rng = np.random.default_rng(2)
    result = night(200, transparency=np.linspace(1, 0.3, 200), noise=False)
    flux = result["flux"].to_numpy()
    flux[150:, 1] = np.nan  # the brightest, gone where the sky is darkest
    flux[rng.random(200) < 0.1, 3] = np.nan
    flux[20, 1:] = np.nan  # no reference at all
    flux[30, 0] = np.nan
    curve = relative(result)
    bad = np.zeros(200, bool)
    bad[[20, 30]] = True
    np.testing.assert_allclose(curve["flux"][~bad], 1, rtol=1e-13)
    assert np.isnan(curve["flux"][bad]).all()
    assert np.isnan(curve["flux_err"][bad]).all()
    assert not curve["kept"].to_numpy()[150:, 0].any()
    assert curve["rejected"].sum() == 0


@pytest.mark.parametrize("weights", ["flux", "equal"])
def test_errors_are_honest(weights):
    result = night(20_000, transparency=np.linspace(1, 0.5, 20_000), seed=3)
    curve = relative(result, weights=weights)
    pull = (curve["flux"] - 1) / curve["flux_err"]
    assert abs(float(pull.mean())) < 0.03
    assert abs(float(pull.std()) - 1) < 0.02


def test_errors_are_honest_where_points_are_lost_and_a_star_varies():
    result = night(6000, signals={2: wave(6000, 0.02)}, seed=4)
    flux = result["flux"].to_numpy()
    rng = np.random.default_rng(5)
    flux[rng.random(flux.shape) < 0.05] = np.nan
    curve = relative(result)
    assert curve["used"].to_numpy().tolist() == [True, False, True, True]
    pull = (curve["flux"] - 1) / curve["flux_err"]
    assert abs(float(pull.std()) - 1) < 0.05


def test_without_errors_the_fluxes_are_the_same():
    curve = relative(night(300, seed=6, errors=False))
    np.testing.assert_allclose(curve["flux"], relative(night(300, seed=6))["flux"], rtol=1e-12)
    assert np.isnan(curve["flux_err"]).all()


def test_every_cell_is_as_if_it_were_alone():
    result = night(100, apertures=3, skies=2, seed=7)
    every = relative(result, veto=False)
    assert every["flux"].dims == ("time", "aperture", "sky")
    for aperture in (3, 5):
        one = relative(result, aperture=aperture, sky=1, veto=False)
        same = every.sel(radius=aperture).isel(sky=1)
        for name in set(one.data_vars) - {"reason"}:
            np.testing.assert_allclose(one[name], same[name], rtol=1e-12, atol=1e-15)
    assert every["flux"].attrs == {"units": "1", "long_name": "relative flux"}
    assert relative(result.chunk(time=30), veto=False)["flux"].equals(every["flux"])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    order=st.permutations([1, 2, 3, 4]),
    scale=st.lists(st.floats(0.01, 100), min_size=5, max_size=5),
    holes=st.integers(0, 30),
)
def test_neither_order_nor_scale_changes_anything(seed, order, scale, holes):
    result = night(60, (1e5, 2e5, 1e5, 5e4, 3e4), seed=seed)
    rng = np.random.default_rng(seed)
    result["flux"].to_numpy().reshape(-1)[rng.integers(0, 300, holes)] = np.nan
    known = relative(result)
    turned = relative(result.isel(source=[0, *order]))
    np.testing.assert_allclose(turned["flux"], known["flux"], rtol=1e-10)
    np.testing.assert_allclose(turned["flux_err"], known["flux_err"], rtol=1e-10)
    equal = relative(result, weights="equal")
    factor = np.array(scale)[:, None, None]
    scaled = result.assign(flux=result["flux"] * factor, flux_err=result["flux_err"] * factor)
    for name in ("flux", "flux_err", "kept", "used"):
        np.testing.assert_allclose(relative(scaled, weights="equal")[name], equal[name], rtol=1e-10)
    # Weights by flux change with the scale of a reference star, but not with the target's or a common one.
    factor[1:] = factor[1]
    scaled = result.assign(flux=result["flux"] * factor, flux_err=result["flux_err"] * factor)
    np.testing.assert_allclose(relative(scaled)["flux"], known["flux"], rtol=1e-10)


def test_references_are_those_that_are_asked_for():
    result = night(50, seed=8)
    assert relative(result, "ref1")["reference"].to_numpy().tolist() == ["ref2", "ref3", "ref4"]
    chosen = relative(result, references=["ref1", 3])
    assert chosen["reference"].to_numpy().tolist() == ["ref1", "ref3"]
    left = relative(result, exclude=["ref2", 4])
    np.testing.assert_allclose(left["flux"], chosen["flux"], rtol=1e-14)
    assert left["reason"].to_numpy().tolist() == ["", "excluded by hand", "", "excluded by hand"]
    assert left["weight"].to_numpy()[[1, 3]].tolist() == [0, 0]
    np.testing.assert_allclose(left["weight"].sum(), 1, rtol=1e-14)
    assert "2 of 4 reference stars" in left.attrs["choice"]
    # A star that is not used is still checked, against those that are.
    assert np.isfinite(left["check_scatter"]).all()


def test_dark_and_rare_stars_are_left_out():
    result = night(60, seed=9)
    flux = result["flux"].to_numpy()
    flux[:, 2] -= 1e6
    flux[25:, 3] = np.nan
    curve = relative(result)
    assert curve["used"].to_numpy().tolist() == [True, False, False, True]
    assert "not positive" in curve["reason"].to_numpy()[1]
    assert curve["reason"].to_numpy()[2] == "measured in 25 of 60 frames only"
    assert relative(result, veto=False)["used"].to_numpy().tolist() == [True, False, True, True]
    flux[:, 1:] -= 1e7
    with pytest.raises(ConfigError, match="found none"):
        relative(result)


def test_a_cell_that_a_star_lacks_costs_it_only_that_cell():
    result = night(100, apertures=3, skies=2, seed=12, signals={4: wave(100, 0.05)})
    known = relative(result)
    flux = result["flux"].to_numpy()
    flux[:, 2, 2] = np.nan  # the largest aperture of a star at the edge
    flux[:, 1:, :, 1] = np.nan  # a sky that failed
    curve = relative(result)
    assert curve["used"].to_numpy().tolist() == known["used"].to_numpy().tolist() == [True, True, True, False]
    for aperture in (0, 1):
        here = {"aperture": aperture, "sky": 0}
        np.testing.assert_array_equal(curve["flux"].isel(here), known["flux"].isel(here))
    assert np.isfinite(curve["flux"].isel(aperture=2, sky=0)).all()
    assert np.isnan(curve["flux"].isel(sky=1)).all()
    np.testing.assert_allclose(curve["weight"].isel(sky=0).sum("reference"), 1, rtol=1e-14)
    assert float(curve["weight"].isel(reference=1, aperture=2, sky=0)) == 0


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_short_and_empty_series_are_no_failure(frames):
    result = night(frames, apertures=2)
    assert np.isfinite(relative(result)["flux"]).all()
    result["flux"].to_numpy()[:, 0] = np.nan
    assert np.isnan(relative(result)["flux"]).all()
    result["flux"].to_numpy()[0, 1] = np.inf
    assert np.isfinite(relative(result)["comparison"]).sum() == 2 * frames


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"references": ["ref9"]}, "target, ref1"),
        ({"references": ["target", "ref1"]}, "other than the source"),
        ({"references": "ref1"}, "lists"),
        ({"exclude": ["target"]}, "expected to exclude of ref1, ref2"),
        ({"exclude": [1, 2, 3, 4]}, "all are excluded"),
        ({"weights": "best"}, "flux or equal"),
        ({"aperture": 9}, "radii 3"),
    ],
)
def test_wrong_references_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        relative(night(20), **wrong)


def test_without_reference_stars_it_says_what_there_is():
    result = night(20).isel(source=[0])
    with pytest.raises(ConfigError, match=r"found none for target; the sources are target \(target\).*role: reference"):
        relative(result)


# tshirt rejects points farther than N times one MAD of all stars (2.5 times too large); which points these were follows
# from its numbers: those beyond this deviation.
@pytest.mark.parametrize(
    ("name", "column", "beyond"),
    [
        ("a_mean", "ref", 0.03),
        ("a_mean", "ref_sig3", 0.018),
        ("a_mean", "ref_renorm", 0.03),
        ("a_mean", "ref_ex2", np.inf),
        ("a_median", "ref", 0.0225),
        ("a_median", "ref_sig3", 0.0125),
        ("a_median", "ref_renorm", 0.0225),
        ("a_median", "ref_ex2", np.inf),
        ("a_edge5_nocen", "ref", 0.057),
        ("a_edge5_nocen", "ref_sig3", 0.035),
        ("a_edge5_nocen", "ref_renorm", 0.057),
        ("a_edge5_nocen", "ref_ex2", np.inf),
        ("a_sat", "ref", np.inf),
        ("a_sat", "ref_renorm", np.inf),
    ],
)
def test_peer_tshirt(name, column, beyond):
    with np.load(TSHIRT / f"{name}.npz") as stored:
        flux, error = stored["flux"], stored["flux_err"]
        known, known_err = stored[column], stored[column.replace("ref", "referr", 1)]
    stars = [star for star in range(1, flux.shape[1]) if not (column == "ref_ex2" and star == 2)]
    middle = np.nanmedian(flux, axis=0)  # of its own frames, as tshirt does
    normal, normal_err = flux / middle, error / middle
    kept = np.abs(normal[:, stars] - median(normal[:, stars].T)[:, None]) < beyond
    weight = np.ones(len(stars)) if column == "ref_renorm" else middle[stars]
    mean, mean_err = comparison(normal[:, stars, None], normal_err[:, stars, None], weight[:, None], kept[..., None])
    ratio = flux[:, 0] / mean[:, 0]
    np.testing.assert_allclose(ratio / np.nanmedian(ratio), known, rtol=1e-14)
    if column == "ref_renorm":  # its error belongs to weights by flux
        return
    # Its error takes the target's error over its median flux, ours over the point's own.
    np.testing.assert_allclose(np.hypot(normal_err[:, 0], (mean_err / mean)[:, 0]), known_err, rtol=1e-13)


@pytest.mark.parametrize("name", ["a_mean", "a_median"])
def test_peer_tshirt_through_the_whole(name):
    with np.load(TSHIRT / f"{name}.npz") as stored:
        flux, error, known, known_err = (stored[key] for key in ("flux", "flux_err", "ref_ex2", "referr_ex2"))
    result = night(len(flux), (1, 1, 1, 1)).assign(
        flux=lambda made: made["flux"].copy(data=flux[..., None, None]),
        flux_err=lambda made: made["flux_err"].copy(data=error[..., None, None]),
    )
    curve = relative(result, exclude=[2], reject=None, veto=False)
    np.testing.assert_allclose(curve["flux"], known, rtol=1e-14)
    own = known_err**2 - (error[:, 0] / np.median(flux[:, 0])) ** 2 + (error[:, 0] / flux[:, 0]) ** 2
    np.testing.assert_allclose(curve["flux_err"], known * np.sqrt(own), rtol=1e-13)


def rates(frames, fluxes, threshold, seed=0, clouds=None):
    made = night(frames, (1.0, *fluxes), transparency=clouds, seed=seed)
    flux, error = made["flux"].to_numpy()[:, 1:, 0], made["flux_err"].to_numpy()[:, 1:, 0]
    middle = normal_flux(flux, np.ones(len(fluxes), bool))
    kept = accepted((flux / middle)[..., 0], (error / middle)[..., 0], middle[:, 0], threshold)
    return 1 - kept.mean(axis=0)


@pytest.mark.parametrize(
    "fluxes", [(1e5,) * 4, (1e5,) * 5, (1.4e5, 7e4, 5e4, 3e4), (1e6, 1e6, 1e5, 1e4), (1e7, 1e5, 1e5, 1e5, 1e5)]
)
@pytest.mark.parametrize("clouds", [1.0, 0.2])
def test_good_points_are_rejected_at_the_gaussian_rate(fluxes, clouds):
    frames = 40_000
    found = rates(frames, fluxes, 3.0, clouds=np.linspace(clouds, 1, frames))
    assert (found < 0.0027 + 5 * np.sqrt(0.0027 / frames)).all(), found
    assert rates(frames, fluxes, 5.0, seed=1).max() <= 1 / frames


def test_three_stars_lose_nothing_and_four_lose_what_is_bad():
    assert rates(1000, (1e5, 1e5, 1e5), 1.0).max() == 0
    result = night(400, seed=11)
    flux = result["flux"].to_numpy()
    flux[[5, 60, 61], 1] *= 1.3  # the brightest reference
    flux[100, 4] *= 0.5
    curve = relative(result)
    assert curve["rejected"].to_numpy().tolist() == [3, 0, 0, 1]
    assert not curve["kept"].to_numpy()[[5, 60, 61, 100], [0, 0, 0, 3]].any()
    assert "5 sigma" in curve.attrs["rejection"]
    assert float(np.abs((curve["flux"] - 1) / curve["flux_err"]).max()) < 5
    few = relative(result, exclude=["ref2"])
    assert few["rejected"].sum() == 0
    assert few.attrs["rejection"] == "none: it needs 4 reference stars, 3 are used"
    assert relative(result, reject=None).attrs["rejection"] == "none asked for"


def test_the_target_alone_is_not_changed_by_its_references():
    result = night(100, signals={0: -0.02 * (np.abs(np.arange(100) - 50) < 10)}, noise=False)
    alone = light_curve(result, normalise="median")
    both = relative(result)
    assert float(both["flux"].min()) == pytest.approx(0.98, rel=1e-12)
    assert float(alone["flux"].min()) < 0.98
