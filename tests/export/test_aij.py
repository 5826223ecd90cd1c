"""Measurements tables of AstroImageJ: columns, numbers and names as other programs read them."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from tests.analysis.nights import night as made_night
from tsogrid.errors import TsogridWarning
from tsogrid.export import export
from tsogrid.export.provenance import provenance

COLUMNS = {  # as readers of these tables ask for them
    "Label", "slice", "Saturated", "J.D.-2400000", "JD_UTC", "Source_Radius", "Sky_Rad(min)", "Sky_Rad(max)", "rel_flux_T1",
    "rel_flux_err_T1", "tot_C_cnts", "Source-Sky_T1", "Source_Error_T1", "Sky/Pixel_T1", "Width_T1", "X(FITS)_T1",
    "Y(FITS)_T1", "Source-Sky_C2", "Source-Sky_C3",
}  # fmt: skip


def test_a_night_comes_back(night, tmp_path):
    path = export(night, tmp_path / "night.tbl", "aij", aperture=5, sky=0)
    table = pd.read_csv(path, sep="\t")
    assert set(table.columns) >= COLUMNS
    cell = night.sel(aperture="r5").isel(sky=0).compute()
    for column, values in (
        ("JD_UTC", cell["jd_utc"]),
        ("Source-Sky_T1", cell["flux"].sel(source="star")),
        ("Source_Error_C3", cell["flux_err"].sel(source="c2")),
        ("Sky/Pixel_T1", cell["sky_level"].sel(source="star")),
        ("X(FITS)_T1", cell["x_fit"].sel(source="star") + 1),
        ("Y(FITS)_C2", cell["y_fit"].sel(source="c1") + 1),
        ("X-Width_T1", np.sqrt(8 * np.log(2) * (cell["sigma_x"].sel(source="star") ** 2 + 1 / 12))),
    ):
        np.testing.assert_allclose(table[column], values, rtol=1e-12, err_msg=column)
    np.testing.assert_allclose(table["tot_C_cnts"], table["Source-Sky_C2"] + table["Source-Sky_C3"], rtol=1e-12)
    np.testing.assert_allclose(table["rel_flux_T1"], table["Source-Sky_T1"] / table["tot_C_cnts"], rtol=1e-12)
    relative = night.tso.relative(aperture=5, sky=0)
    np.testing.assert_allclose(table["rel_flux_T1"] / table["rel_flux_T1"].median(), relative["flux"], rtol=1e-12)
    np.testing.assert_allclose(
        table["rel_flux_err_T1"] / table["rel_flux_T1"], relative["flux_err"] / relative["flux"], rtol=1e-12
    )
    assert (table["Source_Radius"] == 5).all()
    assert (table["Sky_Rad(max)"] == 14).all()
    origin = table["Origin"][0]
    for words in (provenance(night)["input_identity"], "aperture=r5", "unit=adu", "T1=star", "C3=c2"):
        assert words in origin


def test_astropy_reads_it(night, tmp_path):
    table = Table.read(export(night, tmp_path / "night.tbl", "aij"), format="ascii.tab")
    assert len(table) == 14
    assert np.isfinite(table["rel_flux_T1"]).all()


def test_targets_come_after_reference_stars(tmp_path):
    result = made_night(30, (1e5, 2e5, 3e5))
    result["role"][2] = "target"
    table = pd.read_csv(export(result, tmp_path / "x.tbl", "aij", source=2), sep="\t")
    assert {"Source-Sky_T1", "Source-Sky_C2", "Source-Sky_T3", "rel_flux_T1", "rel_flux_T3", "BJD_TDB"} <= set(table.columns)
    assert "rel_flux_C2" not in table
    np.testing.assert_allclose(table["Source-Sky_T1"], result["flux"][:, 2, 0, 0], rtol=1e-14)
    np.testing.assert_allclose(table["tot_C_cnts"], result["flux"][:, 1, 0, 0], rtol=1e-12)


def test_without_reference_stars_there_is_no_relative_flux(space, tmp_path):
    with pytest.warns(TsogridWarning, match="no rel_flux"):
        path = export(space, tmp_path / "x.tbl", "aij")
    table = pd.read_csv(path, sep="\t")
    assert not [name for name in table if name.startswith(("rel_flux", "tot_C"))]
    np.testing.assert_allclose(table["BJD_TDB"], space["bjd_tdb"], rtol=0, atol=1e-9)
    assert np.isnan(table["Source-Sky_T1"][11])
