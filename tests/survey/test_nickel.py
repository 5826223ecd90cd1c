"""The Nickel pipeline as its users run it: their folders, tables, options, and what goes wrong in a night."""

import logging
import os

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from tests.survey.nights import (
    COLUMNS,
    OURS,
    SHAPE,
    STARS,
    header_of,
    image_of,
    logger_restored,
    wcs_cards,
    write_frame,
    write_night,
)
from tsogrid.config import NoCluster
from tsogrid.errors import ConfigError, InputError, RunError
from tsogrid.flags import ImageFlag
from tsogrid.survey import open_catalogues, to_dataframe
from tsogrid.survey.nickel import adjust_global_logger, photometry_all

HERE = NoCluster()


@pytest.fixture
def night(tmp_path):
    return write_night(tmp_path / "night")


def run(night, *arguments, **options):
    return photometry_all(night, *arguments, cluster=HERE, **options)


def inputs_of(night):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (night / "reduced").rglob("*.fits")}


def test_every_frame_has_its_table_in_pipnicks_form(night):
    before = inputs_of(night)
    paths = run(night)
    assert [path.relative_to(night / "photometric").as_posix() for path in paths] == [
        "unconsolidated/PG1633_B/d1034_photsrcs.csv",
        "unconsolidated/SA110_B/d1033_photsrcs.csv",
        "unconsolidated/SA110_R/d1031_photsrcs.csv",
        "unconsolidated/SA110_R/d1032_photsrcs.csv",
    ]
    assert paths[0].read_text().splitlines()[0] == f"{COLUMNS},{OURS}"
    table = pd.read_csv(paths[2])
    order = np.argsort(-STARS[:, 2])
    np.testing.assert_allclose(table[["x_fit", "y_fit"]], STARS[order, :2], atol=0.1)
    np.testing.assert_allclose(table["flux_psf"], STARS[order, 2], rtol=0.03)
    assert set(table["filter"]) == {"R"}
    assert table["time"].iloc[0] == pytest.approx(60487 + (4 * 60 + 31.5) / 1440, abs=1e-7)
    np.testing.assert_allclose(table["mag"], -2.5 * np.log10(table["flux_psf"] / 60), atol=1e-3)
    np.testing.assert_allclose(table["mag_err"], 1.0857 * table["flux_err"] / table["flux_psf"], atol=1e-3)
    assert table["ra"].isna().all()
    assert inputs_of(night) == before
    rows = to_dataframe(open_catalogues(night / "photometric" / "unconsolidated.zarr"))
    assert rows["object"].tolist()[0] == "PG1633"
    assert len(rows) == sum(len(pd.read_csv(path)) for path in paths)
    lines = (night / "photometry_files.tbl").read_text().splitlines()
    assert lines[0].split() == ["|", "names", "|", "objects", "|", "filters", "|", "paths", "|"]
    assert lines[1].split() == ["|", "d1034_red", "|", "PG1633", "|", "B", "|", "reduced/PG1633_B/d1034_red.fits", "|"]
    assert " - DEBUG - " in (night / "photometry.log").read_text()


def test_exclusions_are_parts_of_names_and_are_commented_out_in_the_table(night):
    assert len(run(night, excl_files=["D1032"], excl_objs="pg 16", excl_filts=[])) == 2
    table = night / "photometry_files.tbl"
    commented = [line.split()[1 if line[1] == " " else 0] for line in table.read_text().splitlines() if line.startswith("#")]
    assert len(commented) == 2
    assert len(run(night, use_table=True)) == 2
    table.write_text(table.read_text().replace("| d1033", "#| d1033"))
    assert [path.name for path in run(night, True)] == ["d1031_photsrcs.csv"]
    assert len(open_catalogues(night / "photometric" / "unconsolidated.zarr")["path"]) == 1
    assert len(run(night)) == 4  # without -t the comments are not obeyed, and stay
    assert table.read_text().count("#") == 3
    with pytest.raises(InputError, match=r"all 4 frames are excluded"):
        run(night, excl_filts=["r", "B"])
    table.write_text(table.read_text().replace("#", ""))
    table.rename(night / "astrometry_files.tbl")
    old = night / "astrometry_files.tbl"
    old.write_text(old.read_text().replace("| d1034", "# | d1034"))
    assert len(run(night, True)) == 3


def test_new_frames_new_settings_and_groups(night, caplog):
    with caplog.at_level(logging.DEBUG, "tsogrid"):
        run(night)
        caplog.clear()
        write_frame(night, 1035)
        assert len(run(night)) == 5
        assert sum("sources, FWHM" in message for message in caplog.messages) == 1
        caplog.clear()
        (night / "photometric/unconsolidated/SA110_R/d1035_photsrcs.csv").unlink()
        assert all(path.exists() for path in run(night))
        assert not any("sources, FWHM" in message for message in caplog.messages)
        run(night, thresh=20.0)
        assert sum("sources, FWHM" in message for message in caplog.messages) == 5
        assert any("thresh: 8.0 in the store, 20.0 now" in message for message in caplog.messages)
    paths = run(night, group=True)
    assert paths[0].name == "d1034_photsrcs_consol.csv"
    assert paths[0].parents[1].name == "consolidated"
    assert pd.read_csv(paths[0])["group_id"].is_unique


def test_solutions_join_the_catalogues(night):
    wcs = fits.Header(wcs_cards())
    folder = night / "astrometric" / "wcs" / "SA110_R"
    folder.mkdir(parents=True)
    run(night)
    fits.PrimaryHDU(header=wcs).writeto(folder / "d1031_astro.fits")
    (night / "astrometric" / "corr").mkdir()
    (night / "astrometric" / "corr" / "d1032_corr.fits").write_text("half written")
    write_frame(night, 1036, cards=wcs_cards())
    paths = run(night)
    found = open_catalogues(night / "photometric" / "unconsolidated.zarr").load()
    assert found["wcs"].values.tolist() == ["", "", "astrometric/wcs/SA110_R/d1031_astro.fits", "", "header"]
    for path in (paths[2], paths[4]):
        table = pd.read_csv(path)
        np.testing.assert_allclose(table["dec"], 0.13 + 1e-4 * (table["y_fit"] - 54.5), atol=1e-6)
        np.testing.assert_allclose(table["ra"], 280.6 - 1e-4 * (table["x_fit"] - 74.5), atol=1e-6)
    assert found["image_flags"].values[2] == 0
    assert found["image_flags"].values[3] == int(ImageFlag.NO_WCS)


def test_bad_frames_are_named_and_the_others_are_done(night):
    (night / "reduced" / "SA110_R" / "d1040_red.fits").write_text("no FITS file\n")
    whole = (night / "reduced" / "PG1633_B" / "d1034_red.fits").read_bytes()
    (night / "reduced" / "PG1633_B" / "d1034_red.fits").write_bytes(whole[:40000])
    (night / "reduced" / "SA110_R" / "notes.txt").write_text("clouds")
    empty = fits.PrimaryHDU(np.full(SHAPE, np.nan, np.float32), header_of(1041, "SA 110", "R"))
    empty.writeto(night / "reduced" / "SA110_R" / "d1041_red.fits")
    with pytest.raises(RunError, match=r"2 of 6 images .*\n.*d1034_red.fits: .*truncated.*\n.*d1040_red.fits: InputError"):
        run(night)
    tables = sorted(path.name for path in (night / "photometric" / "unconsolidated").rglob("*.csv"))
    assert tables == [f"d{number}_photsrcs.csv" for number in (1031, 1032, 1033, 1041)]
    found = open_catalogues(night / "photometric" / "unconsolidated.zarr")
    flags = dict(zip(found["path"].values.tolist(), found["image_flags"].values.tolist(), strict=True))
    assert flags["../reduced/SA110_R/d1040_red.fits"] == int(ImageFlag.UNREADABLE)
    assert flags["../reduced/SA110_R/d1041_red.fits"] & int(ImageFlag.NO_STARS)
    (night / "reduced" / "PG1633_B" / "d1034_red.fits").write_bytes(whole)
    assert len(run(night, excl_files=["1040"])) == 5


def test_what_is_no_night_is_said(tmp_path):
    with pytest.raises(InputError, match="expected the folder of a night"):
        run(tmp_path / "none")
    with pytest.raises(InputError, match="expected a folder with the reduced frames"):
        run(tmp_path)
    (tmp_path / "reduced" / "SA110_R").mkdir(parents=True)
    with pytest.raises(InputError, match="expected frames"):
        run(tmp_path)
    with pytest.raises(InputError, match="Did you mean"):
        run(tmp_path / "reduced")
    write_frame(tmp_path, 1031)
    with pytest.raises(ConfigError, match="fittype"):
        run(tmp_path, fittype="round")


def test_plots_are_saved_also_of_frames_that_were_measured(tmp_path):
    write_frame(tmp_path, 1031)
    run(tmp_path)
    run(tmp_path, plot_final=True, plot_inters=True)
    plots = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "photometric" / "plots").rglob("*.png"))
    folder = "photometric/plots/unconsolidated/SA110_R"
    assert plots == [f"{folder}/d1031_groups.png", f"{folder}/d1031_sources.png"]
    assert all(os.path.getsize(tmp_path / path) > 10000 for path in plots)


def test_the_logger_shows_a_level_and_writes_all(tmp_path, capsys):
    with logger_restored():
        adjust_global_logger(3, "night.photometry", tmp_path)
        adjust_global_logger("WARNING", "night.photometry", tmp_path)
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger("tsogrid").log(level, "at %d", level)
        assert capsys.readouterr().out.count("at ") == 1
        assert (tmp_path / "photometry.log").read_text().count("at ") == 3


def test_a_frame_is_read_with_its_error_and_a_packed_one_is_not_taken_twice(tmp_path):
    path = write_frame(tmp_path, 1031)
    with fits.open(path) as units:
        units.append(fits.ImageHDU(np.sqrt(image_of()), name="ERR"))
        units.writeto(path.with_name("d1031_red.fits.gz"))
    assert len(run(tmp_path)) == 1
    path.unlink()
    assert len(run(tmp_path)) == 1
