"""What bad drifts, position files, times and world coordinates get on the command line: one message, and nothing written."""

import numpy as np
import pytest
from astropy.io import fits

FIXED = {"method": "none", "position": "fixed"}
STAR = [{"name": "star", "x": 27.0, "y": 23.0}]
ON_SKY = [{"name": "star", "ra": 150.0, "dec": 20.0}]


@pytest.fixture
def frames(here):
    """Three frames of two planes each, a time of its own in each file, no world coordinates."""
    folder = here / "frames"
    folder.mkdir()
    for i in range(3):
        header = fits.Header({"JD": 2450000.5 + i, "EXPTIME": 5.0 + i, "WHEN": "late"})
        fits.PrimaryHDU(np.full((2, 48, 56), 9.0, np.float32), header).writeto(folder / f"f{i}.fits")
    (here / "short.csv").write_text("Index,dx,dy\n0,0.5,0.5\n")
    (here / "columns.csv").write_text("frame,x,y\n0,0.5,0.5\n")
    fits.PrimaryHDU(np.zeros((3, 1, 2))).writeto(here / "other.fits")
    return folder


@pytest.fixture
def single_frames(write_config, frames):
    """A configuration over the first planes."""

    def write(sources=STAR, center=FIXED, **given):
        return write_config(input={"files": ["frames"], "plane": 0, **given}, sources=sources, center=center)

    return write


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"plane": 2}, 1, ["f0.fits", "a plane 2", "input.plane", "found 2 planes"]),
        ({"plane": -1}, 2, ["input.plane", "greater than or equal to 0"]),
        ({"header_extension": "CAMERA"}, 1, ["f0.fits", "'CAMERA'", "input.header_extension", "0 PRIMARY"]),
        ({"time_keyword": "MJD-OBS"}, 1, ["f0.fits", "header keyword MJD-OBS", "input.time_keyword", "JD"]),
        ({"time_keyword": "WHEN"}, 1, ["f0.fits", "'late'", "input.time_format"]),
        ({"time_keyword": "JD", "time_format": "mjd"}, 1, ["f0.fits", "expected an MJD", "2450000.5"]),
        ({"time_format": "unix"}, 2, ["input.time_format", "'mjd'"]),
        ({"timing": "integration"}, 1, ["f0.fits", "ON_NINT or ON_INT", "input.timing"]),
        ({"timing": "segment"}, 1, ["f0.fits", "INTSTART"]),
        ({"timing": "counter", "plane": None}, 1, ["f0.fits", "cube of 2", "input.plane"]),
        ({"timing": "integration", "reader": "jwst"}, 2, ["input.plane", "reader: jwst"]),
        ({"integration_time": "ITIME"}, 1, ["f1.fits", "5 s (EXPTIME)", "f0.fits", "6 s", "input.integration_time"]),
        ({"integration_time": -2}, 2, ["input.integration_time", "greater than 0"]),
        ({"units": "electron"}, 1, ["input.gain", "is not known"]),
        ({"rate": True, "units": "electron", "gain": 2.0}, 1, ["f1.fits", "5 s (EXPTIME)", "6 s (EXPTIME)"]),
        ({"containing": True}, 2, ["input.containing", "ra and dec"]),
    ],
)
def test_frames_that_are_not_as_they_are_said_to_be(refused, single_frames, given, status, words):
    refused("run", single_frames(**given), status=status, words=words)


def test_frames_without_world_coordinates(refused, single_frames):
    refused("run", single_frames(ON_SKY), words=["'star'", "no WCS", "Give x and y"])
    refused("run", single_frames(ON_SKY, containing=True), words=["none among 3", "3 of them have no usable WCS"])


@pytest.mark.parametrize(
    ("drift", "words"),
    [
        ({"file": "gone.csv"}, ["gone.csv", "no such file", "center.drift"]),
        ({"file": "gone.zarr"}, ["gone.zarr", "no such file", "center.drift"]),
        ({"file": "short.csv"}, ["short.csv", "3 frames", "Index 1, 2"]),
        ({"file": "columns.csv"}, ["columns.csv", "Index, dx, dy", "missing: Index"]),
        ({"file": "other.fits"}, ["other.fits", "CENTROIDS", "found none"]),
        ({"file": "frames"}, ["frames", "a store of tsogrid"]),
        ({"scale": 2.0}, ["center.drift.file"]),
        ({"file": "short.csv", "scal": 2.0}, ["center.drift.scal", "did you mean scale?"]),
    ],
)
def test_drifts(refused, single_frames, drift, words):
    refused("run", single_frames(center=FIXED | {"drift": drift}), status=2, words=words)


@pytest.mark.parametrize("name", ["other.fits", "gone.zarr", "short.csv"])
def test_position_files(refused, single_frames, name):
    config = single_frames(center={"position": "file", "position_file": name, "method": "none"})
    refused("run", config, status=2, words=[name])


def test_a_drift_file_is_made_and_read(tsogrid, single_frames, here):
    config = single_frames(gain=1.0)
    assert tsogrid("run", config, "--store", "first.zarr").status == 0
    outcome = tsogrid("export", "first.zarr", "--to", "csv", "--profile", "drift", "--output", "moves.csv")
    assert outcome.status == 0, outcome
    profiles = ((), "first.csv"), (("--profile", "drift"), "first.drift.csv"), (("--profile", "jwst"), "first.jwst.csv")
    for profile, name in profiles:  # neither takes the other's place
        assert tsogrid("export", "first.zarr", "--to", "csv", *profile).status == 0
        assert (here / name).exists()
    assert (here / "first.drift.csv").read_text() == (here / "moves.csv").read_text()
    assert "flux" in (here / "first.csv").read_text()
    assert (here / "moves.csv").read_text().splitlines()[-3:] == [
        "0,f0.fits,0.0,0.0",
        "1,f1.fits,0.0,0.0",
        "2,f2.fits,0.0,0.0",
    ]
    for name in ("moves.csv", "first.zarr"):
        again = single_frames(gain=1.0, center=FIXED | {"drift": {"file": name}})
        assert tsogrid("run", again, "--store", f"{name}.zarr").status == 0
