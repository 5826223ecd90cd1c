"""Magnitudes in the AAVSO's form: fields, header, and the numbers of the relative light curve."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from tests.analysis.nights import night as made_night
from tsogrid.errors import ConfigError, TsogridWarning
from tsogrid.export import export
from tsogrid.export.aavso import FIELDS
from tsogrid.export.provenance import provenance


def read(path):
    lines = path.read_text().splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert lines[: len(head)] == head
    rows = Table.read(lines[len(head) :], format="ascii.no_header", delimiter=",", names=FIELDS)
    return dict(line[1:].split("=", 1) for line in head[:6]), head, rows


def test_differential_magnitudes(night, tmp_path):
    path = export(night, tmp_path / "star.txt", "aavso", aperture=5, sky=0, observer="TST01")
    parameters, head, rows = read(path)
    assert parameters == {
        "TYPE": "EXTENDED", "OBSCODE": "TST01", "SOFTWARE": provenance(night)["creator"], "DELIM": ",", "DATE": "JD",
        "OBSTYPE": "CCD",
    }  # fmt: skip
    assert head[-1] == f"#{','.join(FIELDS)}"
    assert f"#input_identity: {provenance(night)['input_identity']}" in head
    cell = night.sel(aperture="r5").isel(sky=0).compute()
    target, counts = cell["flux"][:, 0], cell["flux"][:, 1:].sum("source")
    np.testing.assert_allclose(rows["DATE"], night["jd_utc"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(rows["MAG"], -2.5 * np.log10(target / counts), rtol=0, atol=6e-6)
    relative = night.tso.relative(aperture=5, sky=0)
    np.testing.assert_allclose(rows["MERR"], 1.0857362 * relative["flux_err"] / relative["flux"], rtol=0, atol=6e-5)
    assert set(rows["FILT"]) == {"R"}
    assert set(rows["MTYPE"]) == {"DIF"}
    assert set(rows["CNAME"]) == {"ENSEMBLE"}
    assert set(rows["CMAG"]) == set(rows["CHART"]) == {"na"}


def test_another_star_has_its_own_name(night, tmp_path):
    night.attrs["target"] = "HAT-P-32"
    for source, name in ((None, "HAT-P-32"), ("c1", "c1")):
        _, _, rows = read(export(night, tmp_path / "a.txt", "aavso", source=source, aperture=5, sky=0, observer="TST01"))
        assert set(rows["NAME"]) == {name}
        with fits.open(export(night, tmp_path / "a.fits", "fits", source=source, aperture=5, sky=0)) as units:
            assert units["LIGHTCURVE"].header["OBJECT"] == name


def test_frames_without_a_flux_are_left_out_and_one_star_is_named(tmp_path):
    result = made_night(40, (1e5, 2e5))
    result["flux"][3, 0] = np.nan
    result["flux"][7, 1] = np.nan
    result["time"].attrs |= {"scale": "utc"}
    result.attrs |= {"filter": "rp", "target": "SS Cyg, #1"}
    _, _, rows = read(export(result, tmp_path / "star.txt", "aavso", observer="TST01"))
    kept = np.delete(np.arange(40), [3, 7])
    np.testing.assert_allclose(rows["DATE"], result["time"][kept], rtol=0, atol=1e-8)
    assert set(rows["CNAME"]) == {"ref1"}
    np.testing.assert_allclose(rows["CMAG"], -2.5 * np.log10(result["flux"][kept, 1, 0, 0]), rtol=0, atol=6e-5)
    assert (rows["FILT"][0], rows["NAME"][0]) == ("SR", "SS Cyg 1")


def test_what_is_not_known_is_said(tmp_path):
    result = made_night(40, (1e5, 2e5), errors=False)  # in BJD_TDB, without a filter
    with pytest.warns(TsogridWarning) as warned:
        path = export(result, tmp_path / "star.txt", "aavso")
    said = " ".join(str(each.message) for each in warned)
    for words in ("BJD_TDB", "--observer", "--band"):
        assert words in said
    parameters, _, rows = read(path)
    assert parameters["DATE"] == "BJD"
    assert (rows["FILT"][0], rows["NOTES"][0], rows["MERR"][0]) == ("O", "filter unknown", "na")
    with pytest.warns(TsogridWarning, match="BJD_TDB"):
        _, _, rows = read(export(result, path, "aavso", observer="TST01", band="CV"))
    assert (rows["FILT"][0], rows["NOTES"][0]) == ("CV", "na")


def test_refusals(night, tmp_path):
    with pytest.raises(ConfigError, match="role: reference"):
        export(night.isel(source=[0]), tmp_path / "x", "aavso")
    numbered = night.drop_vars(["jd_utc", "mjd_utc"]).assign_coords(time=np.arange(14))
    with pytest.raises(ConfigError, match="frame numbers only"):
        export(numbered, tmp_path / "x", "aavso")
    assert not list(tmp_path.iterdir())
