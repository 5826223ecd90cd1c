"""What bad input gets: one message that says what was expected, what was found and what to do; nothing is half-written."""

import ctypes
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.table import Table

from tsogrid.cli.main import main


def rewrite(path, change):
    """Open a FITS file, change its units, and write it back."""
    with fits.open(path, memmap=False) as units:
        units = fits.HDUList([unit.copy() for unit in units])
    change(units)
    units.writeto(path, overwrite=True)


def write_frame(path, array, **cards):
    fits.PrimaryHDU(array, fits.Header(cards)).writeto(path)


# Files


def test_no_such_file(refused, write_config):
    refused("run", write_config(input={"files": ["gone_calints.fits"]}), words=["gone_calints.fits", "no such file"])
    refused("inspect", "gone.fits", words=["gone.fits", "no such file"])
    refused("init", "gone.fits", "--output", "new.yaml", words=["gone.fits", "no such file"])


def test_a_glob_that_matches_nothing(refused, write_config):
    refused("run", write_config(input={"files": ["data/*.fits"]}), words=["data/*.fits", "found none"])


def test_a_folder_without_frames(refused, write_config, here):
    (here / "empty").mkdir()
    (here / "empty" / "notes.txt").write_text("no frames")
    refused("run", write_config(input={"files": ["empty"]}), words=["empty", "expected FITS files", "found none"])


def test_not_fits(refused, write_config, here):
    (here / "table.fits").write_text("x,y\n1,2\n")
    refused("run", write_config(input={"files": ["table.fits"]}), words=["table.fits", "expected a FITS file"])


@pytest.mark.parametrize(("kept", "word"), [(4000, "header"), (60_000, "data")])
def test_truncated(refused, write_config, data, kept, word):
    path = sorted(data.iterdir())[1]
    with path.open("r+b") as file:
        file.truncate(kept)
    refused("run", write_config(), words=[path.name, "truncated", word])


@pytest.fixture
def truncated_when_open(data, monkeypatch):
    """The second file loses its pixels as soon as its header was read."""
    import tsogrid.engine.run as engine

    path = sorted(data.iterdir())[1]
    opened = engine.open_frames

    def open_and_truncate(source):
        frames = opened(source)
        with path.open("r+b") as file:
            file.truncate(60_000)
        return frames

    monkeypatch.setattr(engine, "open_frames", open_and_truncate)
    return path


def test_a_file_truncated_after_it_was_opened(tsogrid, write_config, truncated_when_open, jwst_files, monkeypatch):
    outcome = tsogrid("run", write_config())
    assert outcome.status == 1
    assert outcome.err.count("error: ") == 1
    assert truncated_when_open.name in outcome.err
    assert "truncated" in outcome.err
    monkeypatch.undo()
    monkeypatch.chdir(write_config().parent)
    shutil.copy(jwst_files[1], truncated_when_open)
    again = tsogrid("run", write_config(), "--resume")
    assert again.status == 0, again
    assert "measured 5 frames" in again.out


def test_workers_print_no_traceback(write_config, truncated_when_open, capfd):
    with pytest.raises(SystemExit) as left:
        main(["run", str(write_config()), "--cluster", "local", "--workers", "1", "--block", "2"])
    captured = capfd.readouterr()
    assert left.value.code == 1
    assert captured.err.startswith("error: ")
    assert captured.err.count("error: ") == 1
    assert "Traceback" not in captured.err + captured.out


def test_a_wrong_extension(refused, write_config, data):
    config = write_config(input={"files": ["data"], "extension": "FLUX"})
    refused("run", config, words=["FLUX", "SCI", "expected an extension"])


@pytest.mark.parametrize("shape", [(30,), (2, 3, 20, 30)])
def test_data_of_one_and_four_dimensions(refused, write_config, here, shape):
    write_frame(here / "odd.fits", np.ones(shape, np.float32))
    refused("run", write_config(input={"files": ["odd.fits"]}), words=["odd.fits", f"{len(shape)}-D", "expected a 2-D"])


def test_frames_of_different_shape(refused, write_config, here):
    for index, shape in enumerate([(48, 56), (48, 56), (48, 55)]):
        write_frame(here / f"f{index}.fits", np.ones(shape, np.float32), **{"DATE-OBS": f"2024-01-01T00:0{index}:00"})
    refused("run", write_config(input={"files": ["f?.fits"]}), words=["f2.fits", "48 × 55", "48 × 56"])


def test_no_finite_pixel(refused, write_config, data):
    def blank(units):
        units["SCI"].data[:] = np.nan

    for path in data.iterdir():
        rewrite(path, blank)
    refused("run", write_config(), words=["finite pixel", "10 frames"])
    refused("run", write_config(), "--dry-run", words=["finite pixel"])


def test_err_of_another_shape(refused, write_config, data):
    path = sorted(data.iterdir())[0]

    def crop(units):
        units["ERR"].data = units["ERR"].data[:, :-1]

    rewrite(path, crop)
    refused("run", write_config(), words=[path.name, "ERR", "5 × 31 × 48", "5 × 32 × 48"])


def test_int_times_of_the_wrong_length(refused, write_config, data):
    path = sorted(data.iterdir())[1]

    def shorten(units):
        units["INT_TIMES"].data = units["INT_TIMES"].data[:3]

    rewrite(path, shorten)
    refused("run", write_config(), words=[path.name, "INT_TIMES", "3 rows"])


def test_a_segment_twice(refused, write_config, data):
    first = sorted(data.iterdir())[0]
    shutil.copy(first, data / "again-seg001_calints.fits")
    refused("run", write_config(), words=["integrations 1 to 5", first.name, "again-seg001"])


def test_segments_of_different_targets(refused, write_config, data):
    path = sorted(data.iterdir())[1]

    def rename(units):
        units[0].header["TARGNAME"] = "OTHER"

    rewrite(path, rename)
    refused("run", write_config(), words=[path.name, "TARGNAME", "OTHER", "SIMULATED"])


def test_a_missing_segment_is_a_warning(tsogrid, write_config, data, here):
    sorted(data.iterdir())[0].unlink()
    outcome = tsogrid("run", write_config())
    assert outcome.status == 0, outcome
    assert outcome.err.startswith("warning: segment 1 of 2")
    assert outcome.err.count("\n") == 1
    with xr.open_zarr(here / "night.zarr") as result:
        assert result.sizes["time"] == 5


def test_the_same_file_twice(refused, write_config, data):
    names = [f"data/{path.name}" for path in sorted(data.iterdir())]
    config = write_config(input={"files": [names[0], names[1], names[0]]})
    refused("run", config, words=[names[0], "twice"])
    refused("run", config, "data", names[1], words=[names[1], "twice"])


@contextmanager
def bound_by_permissions():
    """Take from root what lets it read and write everything; skip where that cannot be done."""
    library = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    before = (ctypes.c_uint32 * 6)()
    if sys.platform != "linux" or library.capget(header, before) != 0:
        pytest.skip("needs Linux")
    less = (ctypes.c_uint32 * 6)(*before)
    less[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH of the effective set
    assert library.capset(header, less) == 0
    try:
        yield
    finally:
        assert library.capset(header, before) == 0


def test_an_unreadable_file(refused, write_config, data, tsogrid):
    path = sorted(data.iterdir())[0]
    path.chmod(0)
    with bound_by_permissions():
        outcome = tsogrid("run", write_config())
    path.chmod(0o644)
    assert outcome.status == 1
    assert outcome.err.startswith("error: ")
    assert path.name in outcome.err
    assert "permission" in outcome.err
    assert not (data.parent / "night.zarr").exists()


# Configuration


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"centre": {"fit_box": 9}}, ["centre", "did you mean center?"]),
        ({"center": {"fit_bx": 9}}, ["center.fit_bx", "did you mean fit_box?"]),
        ({"center": {"fit_box": "wide"}}, ["center.fit_box", "integer", "'wide'"]),
        ({"sky": [{"method": "annulus", "inner": 12, "outer": 7}]}, ["sky.0", "inner 12", "outer 7"]),
        ({"apertures": [{"shape": "circle", "radius": [-3]}]}, ["apertures.0", "radius", "greater than 0", "-3"]),
        ({"sources": [{"name": "a", "x": 1, "y": 1}, {"name": "a", "x": 9, "y": 9}]}, ["sources", "different names", "a"]),
        ({"input": {"files": []}}, ["input.files", "found none"]),
    ],
    ids=[
        "unknown section",
        "unknown key",
        "wrong type",
        "inner over outer",
        "negative radius",
        "one name twice",
        "no files",
    ],
)
def test_a_wrong_configuration(refused, write_config, data, sections, words):
    refused("run", write_config(**sections), status=2, words=words)


def test_broken_yaml(refused, here):
    (here / "night.yaml").write_text("input:\n  files: [data/*.fits\nsources: {{\n")
    refused("run", "night.yaml", status=2, words=["night.yaml, line", "expected YAML"])
    refused("inspect", "night.yaml", status=2, words=["night.yaml, line"])
    refused("run", "gone.yaml", status=2, words=["gone.yaml", "no such file", "tsogrid init"])


def test_a_source_outside_every_frame(refused, write_config, data):
    config = write_config(sources=[{"name": "lost", "x": 900, "y": 4}])
    refused("run", config, words=["'lost'", "x = 900", "outside every frame", "x ≤ 47"])


def test_no_sources_over_single_frame_files(refused, write_config, night_files):
    config = write_config(input={"files": [str(path) for path in night_files]}, sources=None)
    refused("run", config, status=2, words=["sources", "found none"])


def test_no_sources_over_a_cube(tsogrid, write_config, data, here):
    outcome = tsogrid("run", write_config(sources=None))
    assert outcome.status == 0, outcome
    with xr.open_zarr(here / "night.zarr") as result:
        assert abs(float(np.nanmedian(result["x"])) - 20.2) < 0.2


# Bad frames are numbers, not failures


def test_a_frame_of_nan_and_a_fit_that_fails(tsogrid, write_config, data, here):
    def drop_star(units):
        units["SCI"].data[2] = np.random.default_rng(0).normal(0, 1e-3, units["SCI"].data[2].shape)

    rewrite(sorted(data.iterdir())[0], drop_star)
    outcome = tsogrid("run", write_config())
    assert outcome.status == 0, outcome
    assert outcome.err == ""
    assert "no_data" in outcome.out
    assert "center_failed" in outcome.out
    with xr.open_zarr(here / "night.zarr") as result:
        bad = np.flatnonzero(result["flags"].isel(source=0).to_numpy())
        flux = result["flux"].isel(source=0, aperture=0, sky=0).to_numpy()
    assert 7 in bad
    assert 2 in bad
    assert np.isnan(flux[7])
    assert np.isfinite(np.delete(flux, bad)).all()


# Through a real process, as a shell sees it


def test_a_real_process_leaves_one_line_and_its_status(here):
    (here / "night.yaml").write_text("inptu: {files: [a.fits]}\n")
    command = [sys.executable, "-m", "tsogrid.cli.main", "run", "night.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=here, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: night.yaml is not a valid configuration")
    assert "inptu: unknown key; did you mean input?" in done.stderr
    assert sorted(os.listdir(here)) == ["night.yaml"]


def test_tables_are_no_images(refused, write_config, here):
    Table({"x": [1, 2]}).write(here / "catalogue.fits")
    refused("inspect", "catalogue.fits", words=["catalogue.fits", "expected an image"])
