"""Units of the result: what gain, integration time and rates make of fluxes and their errors."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import tsogrid
from tests.samples import SHARED
from tsogrid.errors import InputError

RADIUS = 4.0
AREA = np.pi * RADIUS**2
LEVEL = 50.0
PLAIN = {"center": {"method": "none", "position": "fixed"}, "sky": [{"method": "none"}], "x": 10, "y": 9, "radius": RADIUS}


def measured(frames, **settings):
    result = tsogrid.measure(frames, **PLAIN, input=settings).compute()
    return float(result["flux"][0, 0, 0, 0]), float(result["flux_err"][0, 0, 0, 0]), result["flux"].attrs["units"]


def error_of(electrons, read_noise=0.0):
    """Of the sum over an aperture with exact edges: Σ w² (electrons + read noise²), w being nearly 1."""
    with_edges = np.sqrt((electrons + read_noise**2) * AREA)
    return pytest.approx(with_edges, rel=0.06)


@pytest.fixture
def flat(tmp_path):
    def write(unit=None, **cards):
        header = fits.Header({"JD": 2450000.5, "EXPTIME": 7.0, "RDNOISE1": 6.0} | cards)
        if unit:
            header["BUNIT"] = unit
        path = tmp_path / "flat.fits"
        fits.PrimaryHDU(np.full((20, 22), LEVEL), header).writeto(path, overwrite=True)
        return path

    return write


def test_rates_become_electrons(flat):
    path = flat(INTTIME=2.5)
    common = {"units": "electron", "gain": 2.0, "read_noise": "RDNOISE1"}
    flux, error, unit = measured(path, rate=True, integration_time="INTTIME", **common)
    assert flux == pytest.approx(LEVEL * 2 * 2.5 * AREA)
    assert error == error_of(LEVEL * 2 * 2.5, 6.0)
    assert unit == "electron"
    assert measured(path, rate=True, integration_time=2.5, **common) == (flux, error, unit)
    assert measured(path, **common)[0] == pytest.approx(LEVEL * 2 * AREA)
    assert measured(path, integration_time="INTTIME", **common)[0] == pytest.approx(LEVEL * 2 * AREA)  # no rate
    assert measured(path, rate=True, **common)[0] == pytest.approx(LEVEL * 2 * 2.5 * AREA)


def test_the_unit_says_whether_pixels_are_rates_unless_the_user_does(flat):
    path = flat("DN/s", INTTIME=2.5)
    common = {"units": "electron", "gain": 2.0, "integration_time": "INTTIME"}
    assert measured(path, **common)[0] == pytest.approx(LEVEL * 2 * 2.5 * AREA)
    assert measured(path, rate=False, **common)[0] == pytest.approx(LEVEL * 2 * AREA)


def test_errors_in_the_native_unit_know_the_rate(flat):
    flux, error, unit = measured(flat(), rate=True, integration_time=2.5, gain=2.0, read_noise=6.0)
    assert flux == pytest.approx(LEVEL * AREA)
    assert error * 5.0 == error_of(LEVEL * 5.0, 6.0)
    assert unit == "1"


def test_electrons_need_no_gain(flat):
    path = flat("electron/s")
    assert measured(path, units="electron", integration_time=2.5)[:2] == (
        pytest.approx(LEVEL * 2.5 * AREA),
        error_of(LEVEL * 2.5),
    )
    assert measured(path, integration_time=2.5)[1] * 2.5 == error_of(LEVEL * 2.5)


@pytest.mark.parametrize("source", ["array", "dataset"])
def test_rates_that_come_without_a_header(source):
    array = np.full((3, 20, 22), LEVEL)
    frames = array if source == "array" else xr.Dataset({"data": (("time", "y", "x"), array)})
    settings = {"units": "electron", "gain": 2.0, "rate": True, "integration_time": 2.5}
    assert measured(frames, **settings)[0] == pytest.approx(LEVEL * 5 * AREA)
    with pytest.raises(InputError, match="the integration time is not known"):
        measured(frames, units="electron", gain=2.0, rate=True)
    with pytest.raises(InputError, match=r"input\.gain is not known"):
        measured(frames, units="electron")


def test_a_gain_image_is_multiplied_by_the_integration_time(flat, tmp_path):
    path, gain = flat(), tmp_path / "gain_image.fits"
    fits.PrimaryHDU(np.full((20, 22), 3.0)).writeto(gain)
    settings = {"units": "electron", "gain": str(gain), "rate": True}
    assert measured(path, integration_time=2.5, **settings)[0] == pytest.approx(LEVEL * 7.5 * AREA)
    assert measured(path, **settings)[0] == pytest.approx(LEVEL * 3 * 7 * AREA)  # EXPTIME
    assert measured(path, units="electron", gain=str(gain))[0] == pytest.approx(LEVEL * 3 * AREA)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data is not beside the project")
def test_sums_of_tshirt():
    with np.load(SHARED / "tshirt" / "npz" / "b_mean.npz") as golden:
        x, y = golden["cen"][0, 0]
        raw, raw_err = golden["raw"][:, 0], golden["raw_err"][:, 0]
    result = tsogrid.measure(
        SHARED / "tshirt" / "b", x=x, y=y, radius=20,
        center={"method": "none", "position": "fixed"}, sky=[{"method": "none"}],
        input={"rate": True, "integration_time": "INTTIME", "gain": 2.05, "units": "electron", "read_noise": 13.0},
    ).compute()  # fmt: skip
    np.testing.assert_allclose(result["flux"][:, 0, 0, 0], raw, rtol=1e-6)  # what is not finite counts in neither
    np.testing.assert_allclose(result["flux_err"][:, 0, 0, 0], raw_err, rtol=0.01)  # pixels at the edge: w and not w²
