"""Results as files: what is in the tables, and that a file is whole or not there."""

import re

import numpy as np
import pandas as pd
import pytest
from astropy.table import QTable, Table

import tsogrid
from tsogrid import export as exporting
from tsogrid.config import Config
from tsogrid.errors import ConfigError, StoreError, TsogridWarning
from tsogrid.export import export, plain_table
from tsogrid.export.provenance import provenance

SKY = [
    {"method": "annulus", "inner": 8, "outer": 14, "statistic": "clipped-median"},
    {"method": "annulus", "inner": 7, "outer": 12, "statistic": "mean"},
]


@pytest.fixture
def result(star_frames):
    return tsogrid.measure(
        star_frames,
        x=30,
        y=23,
        radius=[3, 4.5],
        sky=SKY,
        input={"gain": None},
        center={"method": "none", "position": "fixed"},
    )


pytestmark = pytest.mark.filterwarnings("ignore:The frames carry no errors:tsogrid.errors.TsogridWarning")


@pytest.mark.parametrize("to", ["ecsv", "csv"])
def test_every_aperture_and_sky_is_there(result, to, tmp_path):
    path = export(result, tmp_path / f"night.{to}", to)
    table = Table.read(path) if to == "ecsv" else pd.read_csv(path, comment="#")
    known = result.compute()
    for aperture in known["aperture"].values:
        np.testing.assert_array_equal(table[f"aperture_sum_{aperture}"], known["aperture_sum"].sel(aperture=aperture)[:, 0])
        for sky in known["sky"].values:
            flux = known["flux"].sel(aperture=aperture, sky=sky)[:, 0]
            np.testing.assert_array_equal(table[f"flux_{aperture}_{sky}"], flux)
    assert len(table) == known.sizes["time"]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_several_sources_are_told_apart(star_frames):
    table = plain_table(tsogrid.measure(star_frames, x=[30, 12], y=[23, 14], radius=3, sky=SKY[:1]))
    assert {"x_source0", "flux_source1_r3_annulus8-14-clipped-median"} <= set(table.colnames)


def test_units_and_time_scale_are_told(exposure, tmp_path):
    result = tsogrid.measure(exposure.files, radius=3)
    table = Table.read(export(result, tmp_path / "t.ecsv"))
    unit = result["flux"].attrs["units"]
    name = next(name for name in table.colnames if name.startswith("flux_r3"))
    assert table[name].unit == unit
    assert table["time"].unit == "d"
    assert table[name].description == result["flux"].attrs["long_name"]
    assert table.meta["time_scale"] == result["time"].attrs["scale"]
    text = export(result, tmp_path / "t.csv", "csv").read_text()
    assert f"# time_scale: {result['time'].attrs['scale']}\n" in text
    assert f"# {name}: {table[name].unit}, {result['flux'].attrs['long_name']}\n" in text


def test_a_file_is_whole_or_as_it_was(result, tmp_path, monkeypatch):
    path = tmp_path / "night.csv"
    path.write_text("older")

    def half(table, to):
        to.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(exporting.FORMATS, "csv", half)
    with pytest.raises(StoreError, match="No space left"):
        export(result, path, "csv")
    assert path.read_text() == "older"
    assert [each.name for each in tmp_path.iterdir()] == ["night.csv"]


def test_tables_can_be_narrowed(result, tmp_path):
    table = Table.read(export(result, tmp_path / "x.ecsv", aperture=4.5, sky=1))
    assert [name for name in table.colnames if name.startswith("flux_r")] == ["flux_r4.5_annulus7-12-mean"]


def test_provenance_is_in_every_table(exposure, tmp_path):
    result = tsogrid.measure(exposure.files, radius=3)
    expected = provenance(result)
    assert set(expected) == {"creator", "config_identity"}
    with pytest.warns(TsogridWarning, match="lacks"):
        export(result, tmp_path / "jwst.ecsv", profile="jwst")
    export(result, tmp_path / "plain.ecsv")
    export(result, tmp_path / "drift.ecsv", profile="drift")
    for name in ("plain", "jwst", "drift"):
        meta = Table.read(tmp_path / f"{name}.ecsv").meta
        assert {key: meta[key] for key in expected} == expected


def test_refusals(result, tmp_path):
    for wanted, words in (
        ({"to": "xls"}, "ecsv, csv, fits, hdf5, netcdf, aavso, aij, found 'xls'"),
        ({"to": "csv", "profile": "kepler"}, "jwst, drift, tshirt, eureka, or none; found 'kepler'"),
        ({"to": "csv", "profile": "eureka"}, "format of hdf5 with the profile eureka, found 'csv'"),
        ({"to": "csv", "profile": "drift", "sky": 0}, "the profile drift takes none of these; found sky"),
        ({"to": "netcdf", "observer": "X"}, "netcdf takes source, aperture, sky; found observer"),
        ({"to": "csv", "aperture": "r7"}, "r3, r4.5; found 'r7'"),
        ({"to": "fits", "sky": "no"}, "annulus7-12-mean, or a number from 0 to 1; found 'no'"),
        ({"to": "aij", "source": 3}, "source: expected one of"),
    ):
        with pytest.raises(ConfigError, match=re.escape(words)):
            export(result, tmp_path / "x", **wanted)
    with pytest.raises(StoreError, match="existing folder"):
        export(result, tmp_path / "no" / "x.csv", "csv")
    assert not list(tmp_path.iterdir())


def measured(exposure, **more):
    content = {"preset": "jwst", "input": {"error": "err", **more.pop("input", {})}, **more}
    config = Config.from_mapping(content)
    frames = tsogrid.open_frames(exposure.files, error="err")
    return tsogrid.measure(frames, config)


def test_the_jwst_profile_scales_to_jansky(exposure, tmp_path):
    native = QTable.read(export(measured(exposure), tmp_path / "a.ecsv", profile="jwst"))
    jansky = QTable.read(export(measured(exposure, input={"units": "Jy"}), tmp_path / "b.ecsv", profile="jwst"))
    assert native.colnames == jansky.colnames
    assert native.meta["number_of_integrations"] == len(native) == 30
    for name in ("aperture_sum", "net_aperture_sum_err", "psf_flux", "annulus_mean"):
        assert native[name].unit == jansky[name].unit == "Jy"
        np.testing.assert_allclose(
            native[name].value, jansky[name].value, rtol=2e-6, atol=1e-6 * native["aperture_sum"].value[0]
        )


def test_the_jwst_profile_of_another_store_says_what_it_lacks(exposure, tmp_path):
    result = measured(exposure, sky=SKY[:1])
    with pytest.warns(TsogridWarning, match="annulus_mean"):
        path = export(result, tmp_path / "a.ecsv", profile="jwst")
    table = QTable.read(path)
    assert np.isnan(table["annulus_sum"].value).all()
    good = np.isfinite(result["flux"].values[:, 0, 0, 0])
    np.testing.assert_array_equal(np.isfinite(table["net_aperture_sum"].value), good)
    array = tsogrid.measure(np.ones((3, 40, 40), np.float32), x=20, y=20, radius=3, sky=SKY[1:])
    with pytest.warns(TsogridWarning, match="MJD, BJD_TDB"):
        export(array, tmp_path / "b.ecsv", profile="jwst")
