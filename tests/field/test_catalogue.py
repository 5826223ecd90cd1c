"""Catalogues: which columns are meant, in which units, and what is refused."""

import numpy as np
import pytest
from astropy import units
from astropy.table import MaskedColumn, Table

import tsogrid
from tests.field.conftest import SKY, celestial, config_of
from tsogrid.config import Catalogue
from tsogrid.engine.run import prepared
from tsogrid.errors import ConfigError, TsogridWarning
from tsogrid.field.catalogue import read_catalogue


def read(path, **more):
    return read_catalogue(Catalogue(catalogue=str(path), **more))


@pytest.mark.parametrize("ending", ["csv", "ecsv", "fits", "vot"])
@pytest.mark.parametrize(
    "columns", [("ra", "dec", "source_id"), ("RA_ICRS", "DE_ICRS", "Name"), ("_RAJ2000", "_DEJ2000", "ID")]
)  # fmt: skip
def test_usual_columns_are_found(tmp_path, ending, columns):
    table = Table({columns[2]: ["a", "b"], "parallax": [1.0, 2.0], columns[0]: [150.5, 151.0], columns[1]: [-20.0, 2.5]})
    path = tmp_path / f"stars.{ending}"
    table.write(path, format={"csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits", "vot": "votable"}[ending])
    assert read(path, role="reference") == [
        {"name": "a", "role": "reference", "ra": 150.5, "dec": -20.0},
        {"name": "b", "role": "reference", "ra": 151.0, "dec": 2.5},
    ]


def test_units_and_texts(tmp_path):
    table = Table({"ra": [10.0] * units.hourangle, "dec": [-0.5] * units.rad})
    table.write(tmp_path / "hours.ecsv")
    (star,) = read(tmp_path / "hours.ecsv")
    assert star["name"] == "star1"
    assert (star["ra"], star["dec"]) == pytest.approx((150.0, np.rad2deg(-0.5)))
    (tmp_path / "text.csv").write_text("# a comment\nra,dec,star\n02:04:10.28,+46:41:16.2,HAT-P-32\n2 4 0,46d41m16s,b\n")
    first, second = read(tmp_path / "text.csv")
    assert first == {"name": "HAT-P-32", "role": "target", "ra": pytest.approx(31.042833), "dec": pytest.approx(46.6878333)}
    assert (second["ra"], second["dec"]) == pytest.approx((31.0, 46.68777777))
    (tmp_path / "sex.cat").write_text("NUMBER X_IMAGE Y_IMAGE\n1 11.5 21\n")
    assert read(tmp_path / "sex.cat") == [{"name": "star1", "role": "target", "x": 10.5, "y": 20.0}]


def test_named_columns_and_rows(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text("id,ra,dec,col,row,tic\n1,1,2,30,40,77\n2,3,4,50,60,78\n")
    assert [star["name"] for star in read(path)] == ["1", "2"]
    (star,) = read(path, x="col", y="ROW", name="tic", only=["78"])
    assert star == {"name": "78", "role": "target", "x": 50.0, "y": 60.0}


def test_rows_without_a_position_are_left_out(tmp_path):
    table = Table({"name": ["a", "b", "c"], "ra": MaskedColumn([1.0, 2.0, np.nan], mask=[0, 1, 0]), "dec": [1.0, 2.0, 3.0]})
    table.write(tmp_path / "s.ecsv")
    with pytest.warns(TsogridWarning, match=r"2 of 3 stars have no position and are left out: b, c"):
        assert [star["name"] for star in read(tmp_path / "s.ecsv")] == ["a"]


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("name,parallax\na,1\n", {}, "expected columns of positions such as ra and dec"),
        ("ra,dec\n", {}, "found no rows"),
        ("ra,dec\n1,2\n", {"ra": "alfa", "dec": "dec"}, "expected a column 'alfa' .*found ra, dec"),
        ("ra,dec\nx,2\n", {}, "expected numbers in the column 'ra'"),
        ("ra,dec\n1:2:x,2\n", {}, "expected angles in the column 'ra'"),
        ("ra,dec\n2455000.5,2\n", {}, "Are these the right columns"),
        ("ra,dec,name\n1,2,a\n3,4,a\n", {}, "expected each name once .* found 'a' several times"),
        ("ra,dec,name\n1,2,a\n", {"only": ["b"]}, "expected stars of this catalogue in only .*found b"),
        ("ra,dec\n,\n", {}, "found none that is a number in 1 rows"),
    ],
)
def test_what_is_refused(tmp_path, text, more, message):
    path = tmp_path / "stars.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read(path, **more)
    assert str(path) in str(error.value)


def test_files_that_are_no_catalogue(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "no.csv")
    (tmp_path / "stars.fits").write_text("ra,dec\n1,2\n")
    with pytest.raises(ConfigError, match="expected a table of stars"):
        read(tmp_path / "stars.fits")
    (tmp_path / "stars.docx").write_text("")
    with pytest.raises(ConfigError, match=r"ending '\.docx'"):
        read(tmp_path / "stars.docx")
    with pytest.raises(ConfigError, match="ra and dec, or x and y"):
        tsogrid.Config.from_mapping({"sources": {"catalogue": "a.csv", "ra": "ra"}})
    with pytest.raises(ConfigError, match=r"sources\.0\.detect\.treshold: unknown key; did you mean threshold"):
        tsogrid.Config.from_mapping({"sources": [{"detect": {"treshold": 3}}]})


def test_entries_combine_and_paths_are_relative_to_the_file(tmp_path, night):
    folder = night([(30, 24), (31, 25)], [celestial(30, 24), celestial(31, 25)])
    (tmp_path / "stars.csv").write_text(f"name,ra,dec\nstar,1,2\ncat,{SKY[0]},{SKY[1]}\n")
    text = "\n".join(
        [
            f"input: {{files: {folder}, gain: 1}}",
            f"sources: [{{name: star, ra: {SKY[0]}, dec: {SKY[1]}}}, stars.csv, {{name: c, x: 5, y: 6, role: reference}}]",
            "center: {method: none, position: fixed}",
        ]
    )
    (tmp_path / "night.yaml").write_text(text)
    config = tsogrid.Config.from_yaml(tmp_path / "night.yaml")
    _, plan = prepared(config)
    assert plan.sources.names == ("star", "cat", "c")  # a star that stands by itself is taken as it stands there
    assert plan.sources.roles == ("target", "target", "reference")
    np.testing.assert_allclose(plan.sources.planned[:, 1], [(30, 24), (31, 25)], atol=1e-6)
    assert [star["name"] for star in plan.identity()["config"]["sources"]] == ["star", "cat", "c"]
    twice = config_of(folder, sources=["stars.csv", {"catalogue": str(tmp_path / "stars.csv")}])
    assert len(twice.sources) == 2
    both = config_of(folder, sources=[str(tmp_path / "stars.csv")] * 2)
    with pytest.raises(ConfigError, match="found cat, star in more than one of its entries"):
        prepared(both)
