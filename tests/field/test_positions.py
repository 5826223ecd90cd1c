"""Positions that were found elsewhere, and what stands in where there are none."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import tsogrid
from tests.field.conftest import config_of
from tsogrid.errors import ConfigError
from tsogrid.field.positions import read_positions
from tsogrid.flags import SourceFlag

PLACES = np.array([(30.0, 24.0), (31.5, 23.0), (28.0, 26.0), (30.5, 24.5)])
TWO = [{"name": "b", "x": 20, "y": 20}, {"name": "a", "x": 30, "y": 24}]
FROM_FILE = {"position": "file", "method": "none"}


@pytest.fixture
def store(night, tmp_path):
    """A result of the sources a (the star) and b, in this order."""
    config = config_of(night(PLACES), sources=TWO[::-1], output={"store": str(tmp_path / "first.zarr")})
    return tsogrid.run(config).load(), tmp_path / "first.zarr"


def test_positions_of_another_result_by_the_names_of_its_sources(store, tmp_path):
    result, path = store
    positions = read_positions(path, ["b", "a"], 4)
    np.testing.assert_array_equal(positions[:, 1, 0], result["x"].sel(source="a"))
    np.testing.assert_array_equal(positions[:, 0, 1], result["y"].sel(source="b"))
    config = config_of(tmp_path / "night", sources=TWO, center=FROM_FILE | {"position_file": str(path)})
    again = tsogrid.measure(str(tmp_path / "night"), config).compute()
    for name in ("x", "y", "flux", "flux_err"):
        np.testing.assert_array_equal(again[name].sel(source="a"), result[name].sel(source="a"))
    with pytest.raises(ConfigError, match=r"expected the sources a, c, found a, b .*missing: c"):
        read_positions(path, ["a", "c"], 4)
    with pytest.raises(ConfigError, match="expected positions for the 5 frames that are measured, found 4"):
        read_positions(path, ["a"], 5)


@pytest.mark.parametrize("primary", [False, True])
def test_centroids_of_a_file_of_tshirt(tmp_path, primary):
    centroids = np.stack([PLACES, PLACES + 3], axis=1)
    first = fits.PrimaryHDU(centroids if primary else None)
    first.name = "Centroids" if primary else "PRIMARY"
    units = [first] if primary else [first, fits.ImageHDU(centroids, name="CENTROIDS")]
    fits.HDUList(units).writeto(tmp_path / "cen.fits")
    np.testing.assert_array_equal(read_positions(tmp_path / "cen.fits", ["b", "a"], 4), centroids)
    with pytest.raises(ConfigError, match=r"expected positions of 1 sources \(a\), found 2"):
        read_positions(tmp_path / "cen.fits", ["a"], 4)


def test_what_holds_no_positions(tmp_path):
    fits.PrimaryHDU(np.zeros((4, 2))).writeto(tmp_path / "image.fits")
    units = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((4, 2)), name="CENTROIDS")]
    fits.HDUList(units).writeto(tmp_path / "flat.fits")
    (tmp_path / "text.fits").write_text("frame,x,y\n")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("image.fits", r"expected an extension CENTROIDS \(frames, sources, 2\) in it .*found none"),
        ("flat.fits", r"found an array of the shape \(4, 2\)"),
        ("text.fits", "expected a FITS file"),
        ("folder", "expected a store of tsogrid with x and y"),
        ("gone.zarr", "no such file"),
        ("gone.fits", "no such file"),
        ("gone.csv", "no such file"),
    ):
        with pytest.raises(ConfigError, match=rf"{name}: .*{message}"):
            read_positions(tmp_path / name, ["a"], 4)


@pytest.fixture
def gaps(night, tmp_path):
    """A table that lacks the star's row of frame 2 and has an empty cell in frame 3."""
    rows = [(f, "a", *PLACES[f]) for f in (0, 1)] + [(3, "a", np.nan, 24.0)]
    rows += [(f, "b", 20.0, 20.0) for f in range(4)]
    Table(rows=rows, names=("frame", "source", "x", "y")).write(tmp_path / "places.ecsv", format="ascii.ecsv")
    return night(PLACES), str(tmp_path / "places.ecsv")


def test_what_a_table_lacks_is_nan(gaps):
    folder, path = gaps
    result = tsogrid.measure(
        str(folder), config_of(folder, sources=TWO, center=FROM_FILE | {"position_file": path})
    ).compute()  # fmt: skip
    star = result.sel(source="a")
    assert np.isfinite(star["flux"][:, 0, 0]).values.tolist() == [True, True, False, False]
    assert (star["flags"].values & SourceFlag.POSITION_OFF_FRAME > 0).tolist() == [False, False, True, True]
    assert not (star["flags"].values & SourceFlag.POSITION_FALLBACK).any()


@pytest.mark.parametrize("center", [{"method": "none"}, {"method": "gaussian"}, {"guess": "median"}])
@pytest.mark.parametrize("block", [1, 4])
def test_the_own_position_stands_in_where_it_is_asked_for(gaps, center, block):
    folder, path = gaps
    given = {"position": "file", "position_file": path, "fallback": "planned", **center}
    result = tsogrid.measure(str(folder), config_of(folder, sources=TWO, center=given), block=block).compute()
    star = result.sel(source="a")
    np.testing.assert_array_equal(star["x"], [PLACES[0, 0], PLACES[1, 0], 30, 30])
    np.testing.assert_array_equal(star["y"], [PLACES[0, 1], PLACES[1, 1], 24, 24])
    assert np.isfinite(star["flux"]).all()
    fallback = (result["flags"].values & SourceFlag.POSITION_FALLBACK) > 0
    assert fallback[:, 1].tolist() == [False, False, True, True]
    assert not fallback[:, 0].any()


def test_a_source_without_world_coordinates_may_have_its_positions_from_a_file(gaps):
    folder, path = gaps
    sources = [TWO[0], {"name": "a", "ra": 150.0, "dec": 20.0}]
    result = tsogrid.measure(
        str(folder), config_of(folder, sources=sources, center=FROM_FILE | {"position_file": path})
    ).compute()  # fmt: skip
    assert np.isfinite(result["flux"].sel(source="a")[:2]).all()


def test_files_that_are_named_get_their_own_positions(tmp_path):
    """tshirt's rows are in the order of names, frames in that of times; other names say nothing."""
    centroids = PLACES[:, None]
    names = fits.BinTableHDU.from_columns([fits.Column("File Path", "20A", array=[f"there/{n}.fits" for n in "abcd"])])
    names.name = "FILENAMES"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(centroids, name="CENTROIDS"), names]).writeto(tmp_path / "cen.fits")
    here = [f"/data/{n}.fits" for n in "cadb"]
    np.testing.assert_array_equal(read_positions(tmp_path / "cen.fits", ["a"], 4, here), centroids[[2, 0, 3, 1]])
    for other in (["e.fits", *here[1:]], ["a.fits"] * 4, []):
        np.testing.assert_array_equal(read_positions(tmp_path / "cen.fits", ["a"], 4, other), centroids)


def test_a_series_whose_names_are_not_in_the_order_of_time(store, night, tmp_path):
    result, path = store
    files = np.array([str(name) for name in result["file"].to_numpy()])
    assert len(set(files)) == 4
    found = read_positions(path, ["a"], 4, list(files[::-1]))
    np.testing.assert_array_equal(found[:, 0, 0], result["x"].sel(source="a")[::-1])
