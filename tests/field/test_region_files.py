"""Stars of AstroImageJ and ds9: where their pixels are here."""

import pytest

from tsogrid.config import Source
from tsogrid.errors import ConfigError
from tsogrid.field.region_files import is_region_file, read_region_file

APERTURES = """#AstroImageJ Saved Apertures
#Sat Jun 22 22:19:34 EDT 2013
.aperture.radius=8.0
.multiaperture.naperturesmax=500
.multiaperture.isrefstar=false,true,true
.multiaperture.xapertures=0.5,425.25,10.5
.multiaperture.yapertures=499.5,213.75,0.5
.multiaperture.absmagapertures=99.999,99.999,12.1
"""
REGIONS = """# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1
physical
circle(425.5,287.25,8) # text={target}
point(466,184) # point=x text={b} tag={reference}
-circle(3,4,5)
fk5
circle(2:04:10.2775,+46:41:16.210,10.0") # text={ref1}
"""


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_imagej_counts_from_edges_and_from_the_top(tmp_path):
    stars = read_region_file(written(tmp_path, "night.apertures", APERTURES), (500, 650))
    assert [star["name"] for star in stars] == ["T1", "C2", "C3"]
    assert [star["role"] for star in stars] == ["target", "reference", "reference"]
    assert [(star["x"], star["y"]) for star in stars] == [(0.0, 0.0), (424.75, 285.75), (10.0, 499.0)]
    assert all(Source(**star) for star in stars)


def test_the_word_fits_says_that_pixels_are_those_of_fits(tmp_path):
    text = ".multiaperture.xapertures=FITS   1.00, 425.00\n.multiaperture.yapertures=FITS1.00,287.00\n"
    stars = read_region_file(written(tmp_path, "n.apertures", text), (500, 650))
    assert [(star["x"], star["y"]) for star in stars] == [(0.0, 0.0), (424.0, 286.0)]
    assert [star["name"] for star in stars] == ["T1", "T2"]


def test_regions_of_ds9_in_pixels_and_on_the_sky(tmp_path):
    pytest.importorskip("regions")
    stars = read_region_file(written(tmp_path, "stars.reg", REGIONS), (500, 650))
    assert [star["name"] for star in stars] == ["target", "b", "ref1"]
    assert [star["role"] for star in stars] == ["target", "reference", "reference"]
    assert (stars[0]["x"], stars[0]["y"]) == (424.5, 286.25)
    assert stars[2]["ra"] == pytest.approx(31.042823, abs=3e-5)
    assert stars[2]["dec"] == pytest.approx(46.687836, abs=1e-5)
    assert all(Source(**star) for star in stars)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.apertures", "hello\n", "expected the apertures of AstroImageJ"),
        ("a.apertures", ".multiaperture.xapertures=1,2\n.multiaperture.yapertures=1\n", "as many x as y"),
        ("a.apertures", ".multiaperture.xapertures=1,a\n.multiaperture.yapertures=1,2\n", "numbers separated by commas"),
        ("a.reg", "image\ncircle(1,2,3) # text={s}\ncircle(4,5,6) # text={s}\n", "several times"),
        ("a.reg", "nothing of the kind", "expected"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path, name, text, what):
    pytest.importorskip("regions")
    with pytest.raises(ConfigError, match=what):
        read_region_file(written(tmp_path, name, text), (500, 650))


def test_a_file_that_is_not_there(tmp_path):
    assert is_region_file(tmp_path / "x.REG")
    assert not is_region_file(tmp_path / "x.csv")
    with pytest.raises(ConfigError, match="No such file"):
        read_region_file(tmp_path / "x.reg", (500, 650))
