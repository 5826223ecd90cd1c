"""tshirt's photometry file: its extensions, shapes and keywords, and its errors."""

import numpy as np
import pytest
from astropy.io import fits

import tsogrid
from tests.compat.goldens import SMALL
from tsogrid.config import Config
from tsogrid.errors import ConfigError
from tsogrid.export import export
from tsogrid.export.tshirt import tshirt_units

pytestmark = pytest.mark.filterwarnings("ignore:The frames carry no errors:tsogrid.errors.TsogridWarning")
EXTENSIONS = "PHOTOMETRY,PHOT ERR,BACKG PHOT,BACKG ERR,TIME,CENTROIDS,FILENAMES,ORIG HEADER,FWHM"
SKY = [
    {"method": "annulus", "inner": 12, "outer": 18, "statistic": "median"},
    {"method": "annulus", "inner": 12, "outer": 18, "statistic": "robust-mean"},
    {"method": "annulus", "inner": 12, "outer": 18, "statistic": "mean"},
    {"method": "none"},
]


@pytest.fixture(scope="module")
def result():
    config = Config.from_mapping(
        {
            "input": {"files": [str(SMALL / "a")], "gain": 1.0, "read_noise": 6, "units": "electron"},
            "sources": [{"name": "target", "x": 72, "y": 96}, {"name": "ref1", "x": 130, "y": 60, "role": "reference"}],
            "center": {"predict": "none", "fit_box": 29},
            "sky": SKY,
            "apertures": [{"shape": "circle", "radius": [6, 8]}],
            "photometry": {"sky_error": "measured"},
            "cluster": {"kind": "none"},
        }
    )
    return tsogrid.measure(tsogrid.open_frames(config.input), config).compute(scheduler="threads")


def test_extensions_shapes_and_keywords(result, tmp_path):
    path = export(result, tmp_path / "phot.fits", "fits", "tshirt", aperture="r8", sky="annulus12-18-mean")
    one = result.sel(aperture="r8", sky="annulus12-18-mean")
    with fits.open(path) as units:
        assert ",".join(unit.name for unit in units) == EXTENSIONS
        for name, variable in (("PHOTOMETRY", "flux"), ("BACKG PHOT", "sky_sum"), ("BACKG ERR", "sky_sum_err")):
            np.testing.assert_array_equal(units[name].data, one[variable])
        np.testing.assert_allclose(units["PHOT ERR"].data, one["flux_err"], rtol=1e-12)
        np.testing.assert_array_equal(units["TIME"].data, one["jd_utc"])
        np.testing.assert_array_equal(units["CENTROIDS"].data[..., 1], one["y"])
        np.testing.assert_array_equal(units["FILENAMES"].data["File Path"], ["a_001.fits", "a_036.fits"])
        assert units["FWHM"].data.shape == units["CENTROIDS"].data.shape == (2, 2, 2)
        assert np.median(units["FWHM"].data) == pytest.approx(5.0, abs=1)
        header = units["PHOTOMETRY"].header
        expected = {"NSOURCE": 2, "NIMG": 2, "AXIS1": "src", "AXIS2": "image", "SRCNAME": "SYNTH-A", "NIGHT": "UT2016-06-12"}
        expected |= {"SRCGEOM": "Circular", "APRADIUS": 8.0, "BKGGEOM": "CircularAnnulus", "BKGSTART": 12.0, "BKGEND": 18.0}
        expected |= {"BKGMETH": "mean", "BKGSUB": True, "UNITS": "electron", "BOXSZ": 14, "SCALEDAP": False}
        assert {key: header[key] for key in expected} == expected
        assert [units["CENTROIDS"].header[f"AXIS{n}"] for n in (1, 2, 3)] == ["dimension", "src", "image"]
        assert units["TIME"].header["UNITS"] == "days"
        assert units["ORIG HEADER"].header["OBJECT"] == "SYNTH-A"


@pytest.mark.parametrize(
    ("sky", "factor", "method"), [("median", np.sqrt(np.pi / 2) * 1.4826, "median"), ("robust-mean", 1.4826, "robust mean")]
)
def test_errors_of_whole_pixels_are_tshirts(result, sky, factor, method):
    label = f"annulus12-18-{sky}"
    units, one = tshirt_units(result, sky=label), result.sel(sky=label).isel(aperture=0)
    np.testing.assert_allclose(units["BACKG ERR"].data * factor, one["sky_sum_err"], rtol=1e-12)
    np.testing.assert_allclose(
        units["PHOT ERR"].data, np.hypot(one["aperture_sum_err"], units["BACKG ERR"].data), rtol=1e-12
    )
    assert units[0].header["BKGMETH"] == method


def test_without_a_sky_the_background_is_unknown(result):
    units = tshirt_units(result, sky="none")
    assert np.isnan(units["BACKG PHOT"].data).all()
    assert not units["BACKG ERR"].data.any()
    assert units[0].header["BKGSUB"] is False
    np.testing.assert_array_equal(units[0].data, result["aperture_sum"].isel(aperture=0))


def test_without_a_fit_there_are_no_widths(star_frames, tmp_path):
    fixed = tsogrid.measure(star_frames, x=30, y=23, radius=3, center={"method": "none", "position": "fixed"})
    units = tshirt_units(fixed)
    assert "FWHM" not in units
    assert np.isnan(units["TIME"].data).all() or units["TIME"].data.shape == (fixed.sizes["time"],)
    units.writeto(tmp_path / "phot.fits")


def test_refusals(result, tmp_path):
    with pytest.raises(ConfigError, match="r6, r8; found 'r7'"):
        export(result, tmp_path / "phot.fits", "fits", "tshirt", aperture="r7")
    with pytest.raises(ConfigError, match="expected a format of fits"):
        export(result, tmp_path / "phot.csv", "csv", "tshirt")
    with pytest.raises(ConfigError, match="takes aperture, sky; found source"):
        export(result, tmp_path / "phot.fits", "fits", "tshirt", source=0)
    assert not list(tmp_path.iterdir())
