"""Light curves as FITS tables: read back by astropy and, where it is installed, by lightkurve."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.timeseries import TimeSeries

from tsogrid.errors import ConfigError
from tsogrid.export import export
from tsogrid.export.provenance import provenance
from tsogrid.flags import OF_THE_FIELD


def test_astropy_reads_a_time_series(space, tmp_path):
    path = export(space, tmp_path / "curve.fits", "fits")
    one = space.isel(source=0, aperture=0, sky=0)
    table = Table.read(path, hdu=1, astropy_native=True)
    assert table["TIME"].scale == "tdb"
    np.testing.assert_allclose(table["TIME"].jd, one["bjd_tdb"], rtol=0, atol=1e-9)
    series = TimeSeries(table, time=table["TIME"])
    np.testing.assert_array_equal(series["FLUX"].value, one["flux"])
    assert series["FLUX"].unit == u.Unit(one["flux"].attrs["units"])
    for column, variable in (
        ("FLUX_ERR", "flux_err"), ("CENTROID_COL", "x_fit"), ("CENTROID_ROW", "y_fit"), ("BACKGROUND", "sky_sum"),
        ("SKY_LEVEL", "sky_level"),
    ):  # fmt: skip
        np.testing.assert_array_equal(table[column].value, one[variable], err_msg=column)
    assert table["CENTROID_COL"].unit == u.pixel
    bad = one["aperture_flags"] & ~int(OF_THE_FIELD)
    np.testing.assert_array_equal(table["QUALITY"], one["flags"] + 65536 * bad)
    np.testing.assert_array_equal(table["CADENCENO"], one["integration"])
    header = fits.getheader(path, 1)
    assert (header["TIMESYS"], header["BJDREFI"], header["BJDREFF"], header["JDREF"]) == ("TDB", 2457000, 0.0, 2457000.0)
    primary = fits.getheader(path, 0)
    assert primary["CONFIGID"] == provenance(space)["config_identity"]
    assert json.loads(primary["CONFIG"]) == json.loads(space.attrs["config"])
    assert (primary["APERTURE"], primary["CHOICE"]) == ("r3", "source target (the only source); the only aperture and sky")
    with fits.open(path) as units:
        units.verify("exception")


def test_a_night_in_utc_over_its_reference_stars(night, tmp_path):
    path = export(night, tmp_path / "curve.fits", "fits", aperture=5, sky=0)
    with fits.open(path) as units:
        data, header = units[1].data, units[1].header
        np.testing.assert_allclose(data["TIME"] + header["JDREF"], night["jd_utc"], rtol=0, atol=1e-9)
        assert header["TIMESYS"] == "UTC"
        assert "BJDREFI" not in header
        np.testing.assert_array_equal(data["CADENCENO"], np.arange(14))
        relative = night.tso.relative(aperture=5, sky=0)
        np.testing.assert_array_equal(data["REL_FLUX"], relative["flux"])
        np.testing.assert_array_equal(data["REL_FLUX_ERR"], relative["flux_err"])
        assert units[0].header["INPUTID"] == provenance(night)["input_identity"]


def test_frames_without_times_are_numbered(star_frames, tmp_path, recwarn):
    import tsogrid

    path = export(tsogrid.measure(star_frames, x=30, y=23, radius=3), tmp_path / "curve.fits", "fits")
    with fits.open(path) as units:
        np.testing.assert_array_equal(units[1].data["TIME"], np.arange(20))
        assert "TIMESYS" not in units[1].header


READ = """
import sys, warnings
warnings.simplefilter("ignore")
import lightkurve, numpy
curve = lightkurve.read(sys.argv[1])
numpy.savez(sys.argv[2], time=curve.time.jd, flux=curve.flux.value, error=curve.flux_err.value, scale=curve.time.scale)
"""


@pytest.mark.skipif(importlib.util.find_spec("lightkurve") is None, reason="lightkurve is not installed")
@pytest.mark.parametrize("which", ["space", "night"])
def test_lightkurve_reads_it(request, tmp_path, which):
    # In a process of its own: it warns when it is imported, and warnings are errors here.
    result = request.getfixturevalue(which)
    path = export(result, tmp_path / "curve.fits", "fits", aperture=3, sky=0)
    subprocess.run([sys.executable, "-c", READ, path, tmp_path / "read.npz"], check=True)
    read = np.load(tmp_path / "read.npz")
    one = result.isel(source=0, aperture=0, sky=0)
    np.testing.assert_array_equal(read["flux"], one["flux"])
    np.testing.assert_array_equal(read["error"], one["flux_err"])
    np.testing.assert_allclose(read["time"], one["time"], rtol=0, atol=1e-9)
    assert read["scale"] == one["time"].attrs["scale"]


def test_lightkurve_is_named_where_it_is_missing(night, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightkurve", None)
    with pytest.raises(ConfigError, match=r"tsogrid\[lightkurve\]"):
        night.tso.to_lightkurve()
