"""The noise budget: each part by its formula, and what is not known is said."""

import numpy as np
import pytest
import xarray as xr

from tests.analysis.nights import GAIN, night
from tsogrid.analysis.lightcurve import light_curve
from tsogrid.analysis.noise import electrons_per_unit, noise, scintillation


def test_every_part_by_its_formula():
    result = night(40, apertures=2, skies=2, noise=False)
    budget = noise(result, aperture=4)
    flux = result["flux"].isel(source=0, aperture=1)
    area = np.pi * 16
    np.testing.assert_allclose(budget["photon"], np.sqrt(flux * GAIN) / (flux * GAIN), rtol=1e-14)
    np.testing.assert_allclose(budget["sky_photon"], np.sqrt(600 * GAIN) / (flux * GAIN), rtol=1e-14)
    np.testing.assert_allclose(budget["read"], np.sqrt(area) * 8 / (flux * GAIN), rtol=1e-14)
    np.testing.assert_allclose(budget["pixels"], np.sqrt(flux / GAIN) / flux, rtol=1e-14)
    # The first sky is an annulus, the second has a model of the rows.
    rows = budget["one_over_f"].to_numpy()
    np.testing.assert_array_equal(rows[:, 0], 0)
    np.testing.assert_allclose(rows[:, 1], 20 / flux[:, 1], rtol=1e-14)
    np.testing.assert_array_equal(budget["sky_level"][:, 1], 0)
    total = budget["photon"] ** 2 + budget["sky_photon"] ** 2 + budget["read"] ** 2 + (20 / flux) ** 2
    np.testing.assert_allclose(budget["total"], np.sqrt(total), rtol=1e-14)
    assert np.isnan(budget["scintillation"]).all()
    assert budget.attrs["unknown"] == "scintillation: not told: diameter, altitude, airmass"
    assert {str(part.attrs["units"]) for part in budget.data_vars.values()} == {"1"}


@pytest.mark.parametrize("label", ["readoutgp20+annulus12-20-mean", "colrow12-20-1-1-YX"])
def test_every_model_of_rows_counts_as_such(label):
    result = night(40).assign_coords(sky=np.array([label], object))
    budget = noise(result)
    np.testing.assert_array_equal(budget["sky_level"], 0)
    assert (budget["one_over_f"] > 0).all()


def test_scintillation():
    # Young's example: 1 m, at sea level, zenith, one second.
    assert scintillation(1, 1, correction=1) == pytest.approx(0.09 * 100 ** (-2 / 3) / np.sqrt(2), rel=0.08)
    assert scintillation(1, 4) == pytest.approx(scintillation(1, 1) / 2)
    assert scintillation(8, 1) == pytest.approx(scintillation(1, 1) / 4)
    assert scintillation(1, 1, altitude=8000) == pytest.approx(scintillation(1, 1) / np.e)
    np.testing.assert_allclose(scintillation(1, 1, np.array([1.0, 4.0])), scintillation(1, 1) * np.array([1, 8]))
    result = night(40)
    airmass = np.linspace(1, 2, 40)
    budget = noise(result, diameter=0.5, altitude=2400, airmass=airmass)
    np.testing.assert_allclose(budget["scintillation"], scintillation(0.5, 60, airmass, 2400), rtol=1e-14)
    assert budget.attrs["unknown"] == "nothing"
    assert (budget["total"] > budget["scintillation"]).all()
    known = result.assign_coords(airmass=("time", airmass)).assign_attrs(telescope_diameter_m=0.5, site_altitude_m=2400)
    xr.testing.assert_allclose(noise(known)["scintillation"].drop_vars("airmass"), budget["scintillation"])


def test_what_is_unknown_is_nan_and_said():
    result = night(20)
    del result.attrs["gain"]
    budget = noise(result)
    for name in ("photon", "sky_photon", "read", "scintillation"):
        assert np.isnan(budget[name]).all()
    np.testing.assert_allclose(budget["total"], np.hypot(budget["pixels"], budget["sky_level"]), rtol=1e-14)
    assert "photon, sky_photon: no gain" in budget.attrs["unknown"]
    assert np.isfinite(noise(result, gain=2.0)["photon"]).all()
    result.attrs["config"] = '{"input": {"gain": 1.5, "read_noise": 3}}'
    assert electrons_per_unit(result) == 1.5


@pytest.mark.parametrize(
    ("unit", "electrons"),
    [("adu", 1.5), ("DN/s", 90.0), ("electron", 1.0), ("electron/s", 60.0), ("MJy/sr", np.nan), ("Jy", np.nan)],
)
def test_electrons_in_a_unit(unit, electrons):
    np.testing.assert_equal(electrons_per_unit(night(5).assign_attrs(data_units=unit)), electrons)


def test_the_budget_meets_the_scatter():
    result = night(4000, transparency=1.0, seed=2)
    budget = noise(result.chunk(time=500))
    curve = light_curve(result, normalise="median")
    assert float(curve["flux"].std()) == pytest.approx(float(budget["photon"].median()), rel=0.05)
