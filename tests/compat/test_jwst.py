"""The JWST table against the tables of the pipeline itself, and against its step written down a second time."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import typer
from astropy.io import fits
from astropy.table import QTable
from typer.testing import CliRunner

from tests.compat.the_step import the_step
from tests.samples import SHARED
from tsogrid.cli.jwst import jwst
from tsogrid.compat import jwst_run
from tsogrid.compat.jwst import jwst_config
from tsogrid.compat.jwst_run import tso_photometry
from tsogrid.errors import ConfigError, InputError, StoreError, TsogridWarning

DATA = Path(__file__).resolve().parents[1] / "data" / "jwst"
WHOLE = DATA / "a_nrc_sub64p_calints.fits"
FIRST, SECOND = DATA / "b_own-seg001_calints.fits", DATA / "b_own-seg002_calints.fits"
CASES = [
    ("a_fixed_r3_4_5", [WHOLE], {}),
    ("a_fixed_r5_8_12", [WHOLE], {"radius": 5.0, "radius_inner": 8.0, "radius_outer": 12.0}),
    ("a_moving_r3_4_5", [WHOLE], {"moving_centroid": True}),
    ("a_planned_r3_4_5", [WHOLE], {"centroid_source": False}),
    ("b_own_fixed_seg001", [FIRST], {}),
    ("b_own_fixed_seg002", [SECOND], {}),
    ("b_own_planned_tso3_stacked", [SECOND, FIRST], {"centroid_source": False}),
]
SUMS = ("aperture_sum", "annulus_sum", "annulus_mean", "aperture_bkg", "net_aperture_sum")
quiet = pytest.mark.filterwarnings("ignore::tsogrid.errors.TsogridWarning")


def values(column):
    return np.asarray(getattr(column, "value", column), float)


def assert_close(table, expected, skip=()):
    """The agreement that is promised: sums 1e-6 of |aperture_sum|, errors 1e-5, centroids 1e-4 pixel, widths 1e-3."""
    total = np.abs(values(expected["aperture_sum"]))
    for name in expected:
        if name in skip:
            continue
        found, wanted = values(table[name]), values(expected[name])
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted), err_msg=name)
        if name in SUMS:
            tolerance = 1e-6 * total
        elif name.endswith("_err"):
            tolerance = 1e-5 * np.abs(wanted)
        elif name.startswith("psf"):
            tolerance = 1e-3 * np.abs(wanted)
        elif name in ("MJD", "BJD_TDB") or name.endswith("_icrs"):
            tolerance = 1e-9
        else:
            tolerance = 1e-4
        off = np.abs(found - wanted)
        assert np.all((off <= tolerance) | np.isnan(wanted)), f"{name}: {np.nanmax(off)}"


@quiet
@pytest.mark.parametrize(("name", "files", "options"), CASES, ids=[case[0] for case in CASES])
def test_the_tables_of_the_pipeline(name, files, options):
    expected = QTable.read(DATA / "ecsv" / f"{name}.ecsv")
    table = tso_photometry(files, **options)
    assert table.colnames == expected.colnames
    assert [str(table[c].unit) for c in table.colnames[2:]] == [str(expected[c].unit) for c in expected.colnames[2:]]
    assert {key: table.meta.get(key) for key in expected.meta} == dict(expected.meta)
    # An infinite pixel in the box costs the step its widths; here it is a bad pixel like others.
    ill = [c for c in expected.colnames if c.startswith("psf") and np.isnan(values(expected[c])).any()]
    for column in ill:
        lost = np.isnan(values(expected[column]))
        assert lost.sum() == 1
        assert np.isfinite(values(table[column])).all()
        table[column][lost] = np.nan
    assert_close(table, {c: expected[c] for c in expected.colnames})


def test_segments_share_the_median_of_the_series():
    both, swapped = tso_photometry([FIRST, SECOND]), tso_photometry([SECOND, FIRST])
    alone = QTable.read(DATA / "ecsv" / "b_own_fixed_seg001.ecsv")
    for column in both.colnames:
        np.testing.assert_array_equal(values(both[column]), values(swapped[column]))
    np.testing.assert_array_equal(values(both["aperture_x"]), np.median(values(both["centroid_x"])))
    assert abs(values(both["aperture_x"])[0] - values(alone["aperture_x"])[0]) > 0.01


def variant(folder, edit=None, n=10, primary=(), sci=()):
    """The first integrations of a file, changed."""
    path = folder / "variant_calints.fits"
    with fits.open(WHOLE) as hdus:
        units = [fits.PrimaryHDU(header=hdus[0].header)]
        units += [fits.ImageHDU(hdus[name].data[:n], hdus[name].header, name=name) for name in ("SCI", "ERR", "DQ")]
        units.append(fits.BinTableHDU(hdus["INT_TIMES"].data, name="INT_TIMES"))
        changed = fits.HDUList(units)
        changed[0].header.update(dict(primary))
        changed["SCI"].header.update(dict(sci))
        if edit is not None:
            edit(changed)
        changed.writeto(path)
    return path


def placed(x, y):
    return {"XREF_SCI": x + 1.0, "YREF_SCI": y + 1.0}


PEERS = {
    "over the corner": ({"sci": placed(1.2, 62.1)}, {"center": False}),
    "partly off": ({"sci": placed(-2.2, 30)}, {"center": False}),
    "only a sliver inside": ({"sci": placed(-3.3, 30)}, {"center": False}),
    "wholly off": ({"sci": placed(-10, 30)}, {"center": False}),
    "planned outside": ({"sci": placed(70, 32)}, {}),
    "no pixel's centre inside": ({}, {"center": False, "radii": (0.3, 4, 5)}),
    "star at the edge": ({"edit": lambda hdus: crop(hdus)}, {"moving": True}),
    "large": ({}, {"radii": (6.5, 9, 31)}),
}


def crop(hdus):
    for name in ("SCI", "ERR", "DQ"):
        hdus[name].data = hdus[name].data[:, 10:, 31:].copy()
    hdus["SCI"].header.update(placed(1.0, 21.5))


def options_of(peer):
    radii = peer.get("radii", (3, 4, 5))
    names = ("radius", "radius_inner", "radius_outer")
    rest = {"centroid_source": peer.get("center", True), "moving_centroid": peer.get("moving", False)}
    return dict(zip(names, radii, strict=True)) | rest


@quiet
@pytest.mark.parametrize("case", PEERS)
def test_the_step_on_other_files(case, tmp_path):
    change, peer = PEERS[case]
    path = variant(tmp_path, **change)
    assert_close(tso_photometry([path], **options_of(peer)), the_step(path, **peer))


def test_scattered_bad_pixels(tmp_path):
    def edit(hdus):
        random = np.random.default_rng(3)
        data, dq, error = (hdus[name].data for name in ("SCI", "DQ", "ERR"))
        data[random.random(data.shape) < 0.05] = np.nan
        flagged = random.random(data.shape) < 0.05
        dq[flagged] |= 1
        data[flagged & (random.random(data.shape) < 0.5)] = 1e4
        error[random.random(data.shape) < 1e-3] = np.nan

    path = variant(tmp_path, edit)
    assert_close(tso_photometry([path]), the_step(path))


def test_counts_become_electrons(tmp_path):
    random = np.random.default_rng(1)
    gain = random.normal(2, 0.1, (2048, 2048)).astype(np.float32)
    gain[52:116, 1932:1996][random.random((64, 64)) < 0.01] = np.nan
    image = tmp_path / "gain.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(gain, name="SCI")]).writeto(image)
    path = variant(tmp_path, sci={"BUNIT": "DN/s"})
    for given, peer in ((image, gain[52:116, 1932:1996]), ("2.5", 2.5), (2.5, 2.5)):
        table = tso_photometry([path], gain=given)
        assert str(table["net_aperture_sum"].unit) == str(table["psf_flux"].unit) == "electron"
        assert_close(table, the_step(path, gain=peer))


def test_counts_without_a_gain_stay(tmp_path):
    path = variant(tmp_path, sci={"BUNIT": "DN/s"})
    with pytest.warns(TsogridWarning, match="gain"):
        table = tso_photometry([path])
    assert str(table["aperture_sum"].unit) == "DN / s"


def test_the_weak_lens_is_summed_whole(tmp_path):
    def edit(hdus):
        hdus["ERR"].data[3, 5, 6] = np.nan

    path = variant(tmp_path, edit, primary={"PUPIL": "WLP8"})
    table = tso_photometry([path])
    with fits.open(path) as hdus:
        factor = 1e6 * hdus["SCI"].header["PIXAR_SR"]
        total = np.nansum(hdus["SCI"].data * factor, axis=(1, 2), dtype=float)
        error = np.sqrt(np.nansum((hdus["ERR"].data * factor).astype(float) ** 2, axis=(1, 2)))
    np.testing.assert_allclose(values(table["aperture_sum"]), total, rtol=1e-6)
    np.testing.assert_allclose(values(table["net_aperture_sum_err"]), error, rtol=1e-5)
    np.testing.assert_array_equal(values(table["net_aperture_sum"]), values(table["aperture_sum"]))
    for name in ("annulus_sum", "annulus_mean", "aperture_bkg", "aperture_bkg_err"):
        assert np.isnan(values(table[name])).all()
    assert "sum of all values" in table.meta["apertures"]
    peer = the_step(path)
    assert_close(
        table, {"aperture_sum": table["aperture_sum"], "centroid_x": peer["centroid_x"], "aperture_x": peer["aperture_x"]}
    )


@pytest.mark.filterwarnings("ignore:.*whose net flux is NaN")
@pytest.mark.parametrize("moving", [False, True])
def test_a_failed_frame_is_a_row_of_nan(moving, tmp_path):
    def edit(hdus):
        hdus["SCI"].data[7] = np.nan

    with pytest.warns(TsogridWarning, match="1 of 10 integrations without a centroid: 8"):
        table = tso_photometry([variant(tmp_path, edit)], moving_centroid=moving)
    lost = np.arange(10) == 7
    np.testing.assert_array_equal(np.isnan(values(table["net_aperture_sum"])), lost)
    np.testing.assert_array_equal(np.isnan(values(table["centroid_x"])), lost)
    np.testing.assert_array_equal(np.isnan(values(table["aperture_x"])), lost & moving)


@quiet
@pytest.mark.parametrize("moving", [False, True])
def test_without_any_centroid_the_planned_position(moving, tmp_path):
    def edit(hdus):
        hdus["SCI"].data[:] = 1

    table = tso_photometry([variant(tmp_path, edit)], moving_centroid=moving)
    np.testing.assert_array_equal(values(table["aperture_x"]), 32.0)
    np.testing.assert_array_equal(values(table["aperture_y"]), 31.5)
    assert np.isnan(values(table["centroid_x"])).all()
    assert np.isfinite(values(table["net_aperture_sum"])).all()


def test_no_finite_pixel_is_an_error(tmp_path):
    def edit(hdus):
        hdus["SCI"].data[:] = np.nan

    with pytest.raises(InputError, match="None of the 10 frames has a finite pixel"):
        tso_photometry([variant(tmp_path, edit)], centroid_source=False)


def test_the_header_serves_without_gwcs(monkeypatch):
    exact = tso_photometry([WHOLE], centroid_source=False)
    monkeypatch.setattr(jwst_run, "sky_transform", lambda path: None)
    table = tso_photometry([WHOLE], centroid_source=False)
    for name in ("aperture_ra_icrs", "aperture_dec_icrs"):
        np.testing.assert_allclose(values(table[name]), values(exact[name]), rtol=0, atol=1e-9)


def test_with_a_store_the_same_numbers(tmp_path):
    table = tso_photometry([FIRST, SECOND], store=tmp_path / "night.zarr")
    memory = tso_photometry([FIRST, SECOND])
    for name in table.colnames:
        np.testing.assert_array_equal(values(table[name]), values(memory[name]))


def test_a_spectral_file_without_times_and_reference():
    path = SHARED / "jwst" / "miri_lrs_slitless_calints.fits"
    if not path.is_file():
        pytest.skip("the folder shared/data is not beside the project")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = tso_photometry([path])
    told = " ".join(str(each.message) for each in caught)
    for word in ("MIR_LRS-SLITLESS", "XREF_SCI", "gain", "BJD_TDB"):
        assert word in told
    assert len(table) == 4
    assert np.isfinite(values(table["MJD"])).all()
    assert np.isnan(values(table["BJD_TDB"])).all()
    assert np.isfinite(values(table["net_aperture_sum"])).all()


def test_options_become_a_configuration():
    with pytest.warns(TsogridWarning, match="search_box_width"):
        config = jwst_config([WHOLE], radius=2.5, search_box_width=20, moving_centroid=True)
    assert config.radii == [2.5]
    assert config.center.search_box == 19
    assert config.center.position == "frame"
    assert config.input.units == "Jy"
    with pytest.raises(ConfigError, match="inner < outer"):
        jwst_config([WHOLE], radius_inner=5, radius_outer=4)


APP = typer.Typer()
APP.command()(jwst)


def test_the_command(tmp_path):
    output = tmp_path / "T.ecsv"
    words = [str(SECOND), str(FIRST), "--output", str(output), "--no-centroid-source", "--radius", "3"]
    assert CliRunner().invoke(APP, words).exit_code == 0
    expected = QTable.read(DATA / "ecsv" / "b_own_planned_tso3_stacked.ecsv")
    assert_close(QTable.read(output), {c: expected[c] for c in expected.colnames})
    assert [each.name for each in tmp_path.iterdir()] == ["T.ecsv"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["nothing.fits", "--output", "T.ecsv"], InputError),
        ([str(WHOLE), "--output", "nowhere/T.ecsv"], StoreError),
        ([str(WHOLE), "--output", "T.ecsv", "--radius", "-1"], ConfigError),
        ([str(WHOLE), "--output", "T.ecsv", "--gain", "nothing.fits"], InputError),
        ([str(WHOLE), str(WHOLE), "--output", "T.ecsv"], InputError),
    ],
)
def test_the_command_refuses(words, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(APP, words)
    assert isinstance(result.exception, kind)
    assert not list(tmp_path.iterdir())
