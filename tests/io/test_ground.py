"""Frames of ground-based cameras: which header time is taken, and what is refused."""

import os
import re
from datetime import datetime

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.io.cards import Cards
from tsogrid.io.frames import open_frames
from tsogrid.io.times import parse_date

JD = 2457552.4895833335  # 2016-06-12T23:45:00


@pytest.mark.parametrize(
    ("keywords", "shift"),
    [
        ({"DATE__OBS": "2016-06-12T23:45:00.000"}, 30),
        ({"DATE__OBS": "2016-06-12T16:45:00.000-0700"}, 30),
        ({"DATE__OBS": "2016-06-13T05:15:00+05:30"}, 30),
        ({"DATE__OBS": "2016-06-12", "TIME__OBS": "23:45:00.000"}, 30),
        ({"DATE__OBS": "2016-06-12T00:00:00", "UT": "23:45:00.000"}, 30),
        ({"DATE__OBS": "2016-06-12", "UTSTART": "23:45:00"}, 30),
        ({"UT__OBS": "2016-06-12T23:45:00.0-0000", "MJD__OBS": 57551.99}, 30),
        ({"MJD__OBS": JD - 2400000.5}, 30),
        ({"JD": JD}, 30),
        ({"JD__OBS": JD, "DATE__OBS": "2016-06-12T23:44"}, 30),
        ({"JD__MID": JD + 30 / 86400, "DATE__OBS": "2016-06-12T23:45:00.000"}, 30),
        ({"MJD__AVG": JD - 2400000.5 + 30 / 86400}, 30),
        ({"DATE__OBS": "2016-06-12T23:46:08.184", "TIMESYS": "TT"}, 30),
        ({"DATE__OBS": "2016-06-12T23:45:00.000", "time_stamp": "mid"}, 0),
        ({"DATE__OBS": "2016-06-12T23:45:00.000", "time_stamp": "end"}, -30),
        ({"DATE__OBS": "2016-06-12T23:45:00.000", "DATE__BEG": "2016-06-12T23:44:30", "time_stamp": "mid"}, 0),
    ],
)
def test_the_time_is_mid_exposure(keywords, shift, frame):
    time_stamp = keywords.get("time_stamp", "auto")
    header = {key: value for key, value in keywords.items() if key != "time_stamp"}
    path = frame("one.fits", EXPTIME=60.0, **header)
    frames = open_frames(path, time_stamp=time_stamp)
    np.testing.assert_allclose(frames["time"], JD + shift / 86400, rtol=0, atol=2e-9)
    np.testing.assert_allclose(frames["mjd_utc"], JD - 2400000.5 + shift / 86400, rtol=0, atol=2e-9)
    assert frames["time"].attrs["scale"] == "utc"


@given(when=st.datetimes(min_value=datetime(1972, 1, 1), max_value=datetime(2024, 1, 1)))
def test_dates_agree_with_astropy(when):
    text = when.isoformat(timespec="microseconds")
    stamp = parse_date(text)
    assert stamp is not None
    assert abs(stamp.mjd - Time(text, scale="utc").mjd) < 2e-11  # also on days with a leap second, which are stretched
    assert stamp.resolution == pytest.approx(1e-6)


@pytest.mark.parametrize("text", ["", "yesterday", "2016-06-12", "2016-13-12T10:00:00", "2016-06-12T25:61"])
def test_no_dates(text):
    assert parse_date(text) is None


def test_frames_are_sorted_by_time_in_every_form_of_list(frame):
    for i, minute in enumerate([5, 1, 9, 3]):
        frame(f"f{i}.fits", np.full((4, 5), minute, np.float32), EXPTIME=0.0, DATE__OBS=f"2020-01-01T00:{minute:02}:00")
    folder = frame("skipped.fits", EXPTIME=1.0).parent
    for source in (folder, f"{folder}/*.fits", [folder / "f2.fits", f"{folder}/f[013].fits"]):
        frames = open_frames(source, exclude=["skip*"])
        assert frames["data"][:, 0, 0].values.tolist() == [1, 3, 5, 9]
        assert frames["file"].values.tolist() == ["f1.fits", "f3.fits", "f0.fits", "f2.fits"]
        assert (np.diff(frames["time"]) > 0).all()


def test_repeated_and_missing_times_make_the_frame_number_the_index(frame):
    frame("f0.fits", EXPTIME=0.0, JD=2450000.5)
    frame("f1.fits", EXPTIME=0.0, JD=2450000.25)
    folder = frame("f2.fits", EXPTIME=0.0, JD=2450000.5).parent
    with pytest.warns(TsogridWarning, match="1 of 3 times are repeated"):
        frames = open_frames(folder)
    assert frames["time"].values.tolist() == [0, 1, 2]
    assert frames["time_raw"].values.tolist() == [2450000.25, 2450000.5, 2450000.5]
    frame("f3.fits")
    with pytest.warns(TsogridWarning, match="1 of 4 frames have no time"):
        frames = open_frames(folder)
    assert frames["time"].attrs["units"] == "1"
    np.testing.assert_array_equal(frames["time_raw"], [2450000.5, 2450000.25, 2450000.5, np.nan])


def test_cubes_without_times(tmp_path):
    cubes = [np.random.default_rng(i).random((3, 4, 5)) for i in range(2)]
    for i, cube in enumerate(cubes):
        fits.PrimaryHDU(cube).writeto(tmp_path / f"{i}.fits")
    with pytest.warns(TsogridWarning, match="no frame has a time"):
        frames = open_frames(tmp_path)
    np.testing.assert_array_equal(frames["data"], np.concatenate(cubes))
    assert frames["time"].values.tolist() == [0, 1, 2, 3, 4, 5]
    assert frames["integration"].values.tolist() == [1, 2, 3, 1, 2, 3]


def test_extensions_and_err(tmp_path):
    images = {name: np.full((3, 4), value, np.float32) for name, value in (("OTHER", 1), ("SCI", 2), ("ERR", 3))}
    units = [fits.PrimaryHDU(), *(fits.ImageHDU(image, name=name) for name, image in images.items())]
    units[0].header["DATE-OBS"], units[0].header["EXPTIME"] = "2020-01-01T00:00:00.5", 2
    path = tmp_path / "x.fits"
    fits.HDUList(units).writeto(path)
    frames = open_frames(path)
    assert frames["data"].values.max() == 2
    assert frames["error"].values.max() == 3
    for extension in (1, "1", "other"):
        assert open_frames(path, extension=extension)["data"].values.max() == 1
    for extension in (7, "NONE"):
        with pytest.raises(InputError, match=r"expected an extension .*the file holds: 0 PRIMARY, 1 OTHER"):
            open_frames(path, extension=extension)
    with pytest.raises(InputError, match="expected an image in extension 0"):
        open_frames(path, extension=0)


def test_gain_and_read_noise_by_keyword(frame):
    common = {"EXPTIME": 0.0, "RN": 6}
    frame("f0.fits", JD=2450000.5, G=1.5, **common)
    folder = frame("f1.fits", JD=2450000.75, G=1.5, **common).parent
    attrs = open_frames(folder, gain="G", read_noise="RN").attrs
    assert (attrs["gain"], attrs["read_noise"]) == (1.5, 6)
    assert "gain" not in open_frames(folder).attrs
    with pytest.raises(InputError, match="expected a header keyword H"):
        open_frames(folder, gain="H")
    image = frame("gain.fits", folder="calibration")
    assert open_frames(folder, gain=str(image)).attrs["gain_file"] == str(image)
    frame("f2.fits", JD=2450000.8, G=1.7, **common)
    with pytest.raises(InputError, match=r"differs between the files: 1\.5, 1\.7"):
        open_frames(folder, gain="G")


def test_files_that_are_refused(frame, tmp_path):
    good = frame("good.fits", np.zeros((100, 100), np.float32), JD=2450000.5, EXPTIME=1)
    content = good.read_bytes()
    cases = {
        "text.fits": (b"hello", "expected a FITS file, found something else"),
        "empty.fits": (b"", "expected a FITS file, found an empty file"),
        "packed.fits": (b"\x1f\x8b" + content, "truncated or damaged gzip file"),
        "header.fits": (content[:700], "truncated FITS file: header 0 has no END card"),
        "data.fits": (content[:9000], r"truncated FITS file: expected 42880 bytes .*found 9000"),
        "axes.fits": (content.replace(b"BITPIX  =                  -32", b"BITPIX  =                  -31"), "BITPIX = -31"),
    }
    for name, (bytes_, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(bytes_)
        with pytest.raises(InputError, match=message) as caught:
            open_frames(path)
        assert str(path) in str(caught.value)
    without_padding = tmp_path / "short.fits"
    without_padding.write_bytes(content[: 2880 + 40000])
    assert open_frames(without_padding)["data"].values.shape == (1, 100, 100)
    for dimensions in (1, 4):
        path = tmp_path / f"{dimensions}.fits"
        fits.PrimaryHDU(np.zeros((3,) * dimensions)).writeto(path)
        with pytest.raises(InputError, match=f"found {dimensions}-D data"):
            open_frames(path)
    small = frame("small.fits", np.zeros((100, 99), np.float32), JD=2450000.6, EXPTIME=1)
    with pytest.raises(InputError, match=re.escape(str(small))):
        open_frames([good, small])


def test_names_that_are_refused(frame, tmp_path):
    path = frame("a.fits", JD=2450000.5, EXPTIME=1)
    (tmp_path / "nothing").mkdir()
    os.symlink(path, tmp_path / "link.fits")
    for source, message in (
        (tmp_path / "no.fits", "no such file"),
        (tmp_path / "no" / "no.fits", "there is no folder"),
        (f"{tmp_path}/*.xyz", "expected files that match this pattern, found none"),
        (tmp_path / "nothing", "expected FITS files .* in this folder, found none"),
        ([path, path], "given twice"),
        ([path, tmp_path / "link.fits"], "given twice"),
        ([], "expected at least one file"),
        ("", "empty text"),
        (3.5, "found float"),
        ([path, 3], "found a list of"),
    ):
        with pytest.raises(InputError, match=message):
            open_frames(source)
    with pytest.raises(InputError, match="all 1 files are excluded"):
        open_frames(path, exclude="a*")
    with pytest.raises(ConfigError, match="exclude"):
        open_frames(path, exclud=[])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(frame):
    path = frame("a.fits")
    path.chmod(0)
    with pytest.raises(InputError, match="no permission"):
        open_frames(path)


def test_cards_are_astropys(frame):
    path = frame("a.fits", TEXT="it's / a & b", LONG="x" * 150, REAL=-1.5e-7, WHOLE=-3, YES=True, BLANKTXT="", LAST=1e22)
    with fits.open(path, mode="update") as file:
        file[0].header["HIERARCH ESO TEL NAME"] = "big"
        file[0].header["NOTHING"] = None
    cards, header = Cards(path.read_bytes()[: 2880 * 2]), fits.getheader(path)
    for key in ("TEXT", "LONG", "REAL", "WHOLE", "YES", "LAST", "ESO TEL NAME", "NAXIS1"):
        assert cards.get(key) == header[key]
        assert type(cards.get(key)) is type(header[key])
    assert cards.get("BLANKTXT", 5) == cards.get("NOTHING", 5) == cards.get("ABSENT", 5) == 5
    assert Cards(b"EXPTIME = 060.00 / s".ljust(80) + b"D       = 1.5D3".ljust(80)).number("D") == 1500.0


def test_a_real_night(shared):
    frames = open_frames(shared / "hatp32")
    paths = sorted((shared / "hatp32").glob("*.FITS"))
    assert frames.sizes == {"time": 71, "y": 500, "x": 650}
    for i in (0, 35, 70):
        np.testing.assert_array_equal(frames["data"][i], fits.getdata(paths[i]))
        start = Time(fits.getheader(paths[i])["UT-OBS"].removesuffix("-0000"), scale="utc")
        np.testing.assert_allclose(frames["jd_utc"][i], start.jd + 30 / 86400, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["a", "b"])
def test_frames_of_tshirt(name, shared):
    frames = open_frames(shared / "tshirt" / name)
    paths = sorted((shared / "tshirt" / name).glob("*.fits"))
    np.testing.assert_array_equal(frames["data"], np.array([fits.getdata(path) for path in paths]))
    header = fits.getheader(paths[3])
    if name == "a":
        assert frames["time"][3] == pytest.approx(header["JD-OBS"] + 12.5 / 86400, abs=1e-8)
    else:  # one integration of an exposure in each file
        cadence = header["INTTIME"] + header["TFRAME"]
        expected = header["EXPSTART"] + (3 * cadence + header["INTTIME"] / 2) / 86400
        assert frames["mjd_utc"][3] == pytest.approx(expected, abs=1e-10)
        assert frames["integration"].values.tolist() == list(range(1, 25))
