"""What the pipeline reads: configuration, catalogue, and FITS files that are not as they should be."""

import gzip
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from tests.lco_fields import PIXEL, WCS_KEYS, field, write
from tsogrid.errors import ConfigError, InputError
from tsogrid.survey.lco.frame import read_frame
from tsogrid.survey.lco.settings import read_settings, settings_from
from tsogrid.survey.lco.stars import ask_vizier, find_catalogue, read_stars, stars_of

DATA = Path(__file__).parents[1] / "data" / "lco"


def test_the_old_configuration_is_taken_as_it_is():
    config = read_settings(DATA / "reduction_config.yaml")
    assert (config.target.name, config.target.RA, config.target.Dec) == ("TESTEV", 268.4225108, -29.3099478)
    assert config.photometry.aperture_arcsec == 2.0
    assert pytest.approx(262.60625) == settings_from({"target": {"RA": "17:30:25.5", "Dec": "-25:30:30.5"}}).target.RA
    assert read_settings(None).photometry.aperture_arcsec == 2.0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"photometry": {"apperture_arcsec": 2}}, "did you mean aperture_arcsec"),
        ({"photometrie": {}}, "did you mean photometry"),
        ({"photometry": {"aperture_arcsec": -1}}, "greater than 0"),
        ({"target": {"RA": "abc"}}, "target.RA"),
    ],
)
def test_a_wrong_configuration_says_what_is_meant(content, told):
    with pytest.raises(ConfigError, match=told):
        settings_from(content)


def test_a_configuration_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="found none that can be read"):
        read_settings(tmp_path / "none.yaml")


def test_the_sample_catalogue():
    stars = read_stars(DATA / "Gaia_catalog.dat")
    assert len(stars) == 210
    assert stars.source_id[0] == 4056000000000047514 or stars.source_id[0] == 4056000000001504610
    assert stars.flux.keys() == {"G", "BP", "RP"}
    np.testing.assert_array_equal(stars.brightness("ip"), stars.flux["RP"])
    np.testing.assert_array_equal(stars.brightness("gp"), stars.flux["BP"])
    np.testing.assert_array_equal(stars.brightness("V"), stars.flux["G"])
    assert stars.fingerprint == read_stars(DATA / "Gaia_catalog.dat").fingerprint


def test_columns_by_the_names_of_vizier_and_magnitudes(tmp_path):
    table = Table({"RA_ICRS": [10.0, 11.0], "DE_ICRS": [-1.0, 60.0], "Source": [5, 6], "Gmag": [15.0, 16.0]})
    table["pmRA"], table["pmDE"] = [1000.0, 0.0], [0.0, -500.0]
    table["RPmag"] = np.ma.masked_array([14.0, 0.0], [False, True])
    stars = stars_of(table)
    assert stars.source_id.tolist() == [5, 6]
    assert stars.flux["G"][0] / stars.flux["G"][1] == pytest.approx(10**0.4)
    assert stars.brightness("zs")[1] == pytest.approx(stars.flux["G"][1] * 10**0.4)  # RP unknown: as red as the others
    # Ten years after Gaia's epoch (2016.0, JD 2457389.0 or so): 10 arcsec to the east, 5 to the south.
    moved = stars.sky_at(51544.5 + 26.0 * 365.25)
    assert (moved[0, 0] - 10.0) * np.cos(np.deg2rad(1.0)) * 3600 == pytest.approx(10.0, abs=1e-6)
    assert (moved[1, 1] - 60.0) * 3600 == pytest.approx(-5.0, abs=1e-6)
    np.testing.assert_array_equal(stars.sky_at(np.nan), stars.sky)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"a": [1.0], "b": [2.0]}, "expected columns ra and dec"),
        ({"ra": [1.0], "dec": [2.0]}, "expected a column of brightness"),
        ({"ra": [1.0], "dec": [2.0], "gmag": [15.0], "source_id": [4.056e18]}, "digits are lost"),
    ],
)
def test_a_catalogue_that_cannot_serve(columns, told):
    with pytest.raises(ConfigError, match=told):
        stars_of(Table(columns))


def test_the_catalogue_is_looked_for_above(tmp_path):
    inner = tmp_path / "sinistro" / "ip"
    inner.mkdir(parents=True)
    assert find_catalogue(inner) is None
    (tmp_path / "sinistro" / "Gaia_catalog.dat").write_text("ra dec\n")
    assert find_catalogue(inner).resolve() == (tmp_path / "sinistro" / "Gaia_catalog.dat").resolve()


def test_without_a_catalogue_vizier_is_asked(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "astroquery", None)
    monkeypatch.setitem(sys.modules, "astroquery.vizier", None)
    with pytest.raises(ConfigError, match=r"found no Gaia_catalog.dat here and no astroquery.*--catalog FILE"):
        ask_vizier(10.0, -20.0, tmp_path / "Gaia_catalog.dat")

    class Vizier:
        """Stands for astroquery's: no network here."""

        answer: object = ()

        def __init__(self, **_):
            pass

        def query_region(self, *_, **__):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    module = types.ModuleType("astroquery.vizier")
    module.Vizier = Vizier
    monkeypatch.setitem(sys.modules, "astroquery.vizier", module)
    Vizier.answer = ConnectionError("no route")
    with pytest.raises(InputError, match=r"Vizier could not be asked.*no route.*--catalog FILE"):
        ask_vizier(10.0, -20.0, tmp_path / "Gaia_catalog.dat")
    Vizier.answer = []
    with pytest.raises(InputError, match="knows no star"):
        ask_vizier(10.0, -20.0, tmp_path / "Gaia_catalog.dat")
    Vizier.answer = [Table({"RA_ICRS": [10.0, 10.1], "DE_ICRS": [-20.0, -20.1], "Source": [7, 8], "Gmag": [16.0, 15.0]})]
    stars = ask_vizier(10.0, -20.0, tmp_path / "Gaia_catalog.dat")
    assert stars.source_id.tolist() == [8, 7]  # the brightest first
    assert read_stars(tmp_path / "Gaia_catalog.dat").fingerprint == stars.fingerprint


def test_a_frame_of_banzai(tmp_path):
    frame = field(1, size=120, stars=20)
    mask = np.zeros(frame.shape, np.uint8)
    mask[3, 4], mask[5, 6], mask[7, 8] = 1, 2, 4
    read = read_frame(write(tmp_path / "a.fits", frame, mask=mask))
    assert np.isnan(read.data[3, 4])
    assert np.isnan(read.data).sum() == 1
    assert read.full[5, 6]
    np.testing.assert_allclose(read.listed[:, :2].min(), frame.listed[:, :2].min() - 1)
    assert (np.diff(read.listed[:, 2]) <= 0).all()
    assert read.facts["mjd"] == pytest.approx(61201.2 + 30 / 86400, abs=1e-9)
    assert read.facts["filter"] == "ip"
    assert read.facts["latitude"] == pytest.approx(-30.17, abs=0.05)
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    np.testing.assert_array_equal(read_frame(str(packed)).data, read.data)


def test_what_a_header_does_not_tell_is_found_elsewhere(tmp_path):
    frame = field(1, size=120, stars=20)
    assert read_frame(write(tmp_path / "a.fits", frame, drop=["PIXSCALE"])).pixel_scale == pytest.approx(PIXEL, rel=1e-6)
    lost = read_frame(write(tmp_path / "b.fits", frame, drop=WCS_KEYS))
    assert lost.wcs.wcs.crval == pytest.approx([268.42, -29.31])
    assert read_frame(write(tmp_path / "c.fits", frame, drop=[*WCS_KEYS, "RA", "DEC"])).wcs is None
    frame.listed[::2, 0] = np.nan
    frame.listed[1, 2] = -1.0
    assert len(read_frame(write(tmp_path / "d.fits", frame)).listed) == len(frame.listed) - len(frame.listed[::2]) - 1
    fits.PrimaryHDU(frame.image, frame.header).writeto(tmp_path / "e.fits")
    bare = read_frame(str(tmp_path / "e.fits"))
    assert bare.listed is None
    np.testing.assert_allclose(bare.error, np.sqrt(frame.image + 8.2**2), rtol=1e-5)


@pytest.mark.parametrize("kind", ["half", "text", "empty", "table", "no exposure", "half packed", "none"])
def test_files_that_are_none(tmp_path, kind):
    path = tmp_path / "a.fits"
    write(path, field(1, size=120, stars=20), drop=["EXPTIME"] if kind == "no exposure" else ())
    content = path.read_bytes()
    if kind == "half":
        path.write_bytes(content[: len(content) // 3])
    elif kind == "text":
        path.write_text("hello")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "table":
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(Table({"x": [1.0]}))]).writeto(path, overwrite=True)
    elif kind == "half packed":
        path.write_bytes(gzip.compress(content)[:20000])
    elif kind == "none":
        path.unlink()
    with pytest.raises(InputError, match=r"a\.fits"):
        read_frame(str(path))
