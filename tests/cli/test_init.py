"""Configurations that `tsogrid init` writes run as they are and say what was guessed; and shells complete commands."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import yaml
from astropy.io import fits

from tsogrid.simulate import simulate_night


def opened(path):
    with xr.open_zarr(path) as result:
        return result.load()


@pytest.mark.parametrize("kind", ["exposure", "night"])
def test_init_writes_what_runs(tsogrid, data, night_files, here, kind):
    files = ["data"] if kind == "exposure" else [str(path) for path in night_files]
    outcome = tsogrid("init", *files, "--output", "made.yaml")
    assert (outcome.status, outcome.err) == (0, "")
    text = (here / "made.yaml").read_text()
    assert ("from the header" if kind == "exposure" else "guessed: the brightest star") in text
    assert "target at x = " in outcome.out
    assert max(map(len, text.splitlines())) <= 125
    ran = tsogrid("run", "made.yaml", "--cluster", "none")
    assert ran.status == 0, ran
    assert np.isfinite(opened(here / "made.zarr")["flux"].isel(time=0)).all()
    again = tsogrid("init", *files, "--output", "made.yaml")
    assert again.status == 2
    assert "exists" in again.err
    assert (here / "made.yaml").read_text() == text


def test_init_names_a_whole_folder_in_one_line(here):
    from tsogrid.cli.init import named

    folder = here / "many"
    folder.mkdir()
    files = []
    for index in range(30):
        (folder / f"f{index}.fits").touch()
        files.append(f"many/f{index}.fits")
    assert named(files, here) == ["many"]
    assert named(files[:25], here) == files[:25]
    assert named(["/far/away.fits"], here) == ["/far/away.fits"]


STARS = [(60.0, 50.0, 1e5), (120.0, 90.0, 2e5), (40.0, 110.0, 0.6e5), (125.0, 96.0, 1.5e5), (150.0, 40.0, 5e3)]


@pytest.fixture
def field(here):
    """Four frames of five stars: two lie close together, one is faint."""
    return simulate_night(here / "f", frames=4, shape=(140, 180), stars=STARS, fwhm=3, drift=0.5, jitter=0.1, seed=2)


def sources(path):
    return yaml.safe_load(path.read_text())["sources"]


def test_stars_are_guessed_by_detection(tsogrid, here, field):
    outcome = tsogrid("init", "f", "--output", "made.yaml")
    assert outcome.status == 0, outcome
    found = sources(here / "made.yaml")
    assert [star.get("role", "target") for star in found] == ["target", "reference"]
    for star, number in zip(found, (0, 2), strict=True):  # the pair is not isolated, the faint one too faint
        on_frames = np.hypot(star["x"] - field.x[:3, number], star["y"] - field.y[:3, number])
        assert on_frames.min() < 0.3  # of the first frames the one that shows the stars best is searched
    assert re.search(r"ref1 at x = .*guessed: isolated, 0\.\d+ times the target's flux", outcome.out)
    content = yaml.safe_load((here / "made.yaml").read_text())["input"]
    assert (content["gain"], content["read_noise"]) == ("GAIN", "RDNOISE")
    assert "gain is the header's GAIN, 1.5 in the first file" in outcome.out


def test_the_header_tells_the_target(tsogrid, here, field):
    for path in field.files:
        with fits.open(path, mode="update") as units:
            header = units[0].header
            header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=150.0, CRVAL2=2.0, CRPIX1=91.0, CRPIX2=71.0)
            header.update(CDELT1=-0.0002, CDELT2=0.0002, OBJCTRA="10 00 04.0", OBJCTDEC="+02 00 28.8")
            header["GAIN"] = 120
    outcome = tsogrid("init", "f", "--output", "made.yaml")
    target, *others = sources(here / "made.yaml")
    # 10h 0m 4s is 1 arcmin east of the reference pixel: x = 90 - 83; the star nearest within reach is none.
    assert (target["x"], target["y"]) == pytest.approx((6.7, 110.0), abs=0.2)
    assert not others
    assert "no star was found there" in outcome.out
    assert "no gain: GAIN is 120" in outcome.out
    assert yaml.safe_load((here / "made.yaml").read_text())["input"]["gain"] is None
    for path in field.files:
        with fits.open(path, mode="update") as units:
            units[0].header["OBJCTRA"], units[0].header["OBJCTDEC"] = "09 59 58.2", "+02 00 18.0"
    outcome = tsogrid("init", "f", "--output", "again.yaml")
    target, *others = sources(here / "again.yaml")
    assert "the star nearest to the position from the header (OBJCTRA, OBJCTDEC) by its WCS" in outcome.out
    assert np.hypot(target["x"] - field.x[:3, 3].mean(), target["y"] - field.y[:3, 3].mean()) < 1.5
    assert [star["name"] for star in others] == ["ref1", "ref2"]


def test_an_empty_field(tsogrid, here):
    simulate_night(here / "f", frames=2, shape=(40, 50), stars=[(20.0, 20.0, 1.0)], seed=2)
    outcome = tsogrid("init", "f", "--output", "made.yaml")
    assert sources(here / "made.yaml") == [{"name": "target", "x": 24.5, "y": 19.5}]
    assert "put your star here" in outcome.out


@pytest.mark.parametrize(
    ("words", "offered"), [("tsogrid ex", ["explore", "export"]), ("tsogrid export --so", ["--source"])]
)
def test_the_shell_completes(words, offered):
    environment = os.environ | {
        "_TSOGRID_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tsogrid.cli.main"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == offered
