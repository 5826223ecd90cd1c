"""Times that the user says how to read: one keyword, or the number of an integration in its exposure."""

import re

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.io.cards import Cards
from tsogrid.io.frames import open_frames
from tsogrid.io.told_times import integration_step

JD = 2457552.4895833335  # 2016-06-12T23:45:00
EXPOSURE = {
    "DATE__OBS": "2022-10-01", "TIME__OBS": "03:04:05.678", "TFRAME": 0.34061, "INTTIME": 2.72488, "EFFINTTM": 2.38427,
    "ON_NINT": 5, "INTSTART": 1, "INTEND": 12, "NRESETS": 1, "EXPSTART": 59853.12784349537,
    "MJD-AVG": 59853.5, "DATE-END": "2022-10-01T23:00:00",
}  # fmt: skip
START = 59853 + (3 * 3600 + 4 * 60 + 5.678) / 86400


@pytest.mark.parametrize(
    ("keyword", "value", "settings"),
    [
        ("WHEN", "2016-06-12T23:45:00.000", {}),
        ("WHEN", "2016-06-12", {}),  # and TIME-OBS
        ("WHEN", "2016-06-12 23:45:00", {"time_format": "date"}),
        ("WHEN", JD, {}),
        ("WHEN", JD, {"time_format": "jd"}),
        ("WHEN", str(JD), {}),
        ("WHEN", JD - 2400000.5, {}),
        ("WHEN", JD - 2400000.5, {"time_format": "mjd"}),
        ("DATE-OBS", "2016-06-12", {}),
        ("MJD-AVG", JD - 2400000.5 + 30 / 86400, {}),  # its name says the middle
    ],
)
@pytest.mark.parametrize(("time_stamp", "shift"), [("auto", 30), ("start", 30), ("mid", 0), ("end", -30)])
def test_one_keyword_tells_the_time(frame, keyword, value, settings, time_stamp, shift):
    path = frame("one.fits", EXPTIME=60.0, TIME__OBS="23:45:00.000", JD=2450000.0, **{keyword: value})
    frames = open_frames(path, time_keyword=keyword.lower(), time_stamp=time_stamp, **settings)
    expected = JD + (shift + (30 if keyword == "MJD-AVG" and time_stamp != "auto" else 0)) / 86400
    np.testing.assert_allclose(frames["time"], expected, rtol=0, atol=1e-9)
    assert frames["time"].attrs["source"].startswith(keyword)


@pytest.mark.parametrize(
    ("value", "settings", "message"),
    [
        (None, {}, r"one\.fits: expected a header keyword WHEN .*found none.*: JD-OBS, UTSTART\."),
        ("2016-06-12", {}, r"expected a date with its time of day .*found '2016-06-12'"),
        ("noon", {"time_format": "date"}, "found 'noon'"),
        ("noon", {"time_format": "mjd"}, "expected an MJD .*found 'noon'"),
        (JD, {"time_format": "mjd"}, "expected an MJD"),
        (JD - 2400000.5, {"time_format": "jd"}, "expected a Julian date"),
        (12.5, {}, "expected an MJD"),
        (True, {}, "expected an MJD .*found True"),
    ],
)
def test_a_keyword_that_tells_no_time(frame, value, settings, message):
    header = {} if value is None else {"WHEN": value}
    path = frame("one.fits", EXPTIME=60.0, JD__OBS=JD, UTSTART="", **header)
    with pytest.raises(InputError, match=message):
        open_frames(path, time_keyword="WHEN", **settings)


def test_a_keyword_that_is_missing_in_one_file(frame):
    frame("a.fits", EXPTIME=1.0, WHEN=JD)
    folder = frame("b.fits", EXPTIME=1.0, JD=JD).parent
    with pytest.raises(InputError, match=r"b\.fits: expected a header keyword WHEN"):
        open_frames(folder, time_keyword="WHEN")


@pytest.mark.parametrize(
    ("settings", "change", "seconds"),
    [
        ({"timing": "integration"}, {}, (0.34061 + 2.72488) * 4.5),
        ({"timing": "integration"}, {"ON_NINT": None, "ON_INT": 5}, (0.34061 + 2.72488) * 4.5),
        ({"timing": "integration"}, {"INTTIME": None}, (0.34061 + 2.38427) * 4.5),
        ({"timing": "segment"}, {"ON_NINT": None}, (0.34061 + 2.72488) * 6.0),
        ({"timing": "counter"}, {"TFRAME": None, "INTTIME": None}, 300.0),
        ({"timing": "counter", "time_stamp": "start"}, {"EXPTIME": 60.0}, 300.0),
        ({"timing": "integration", "time_keyword": "EXPSTART"}, {"EXPSTART": START}, (0.34061 + 2.72488) * 4.5),
    ],
)
def test_integrations_are_counted_from_the_start_of_the_exposure(frame, settings, change, seconds):
    header = {key: value for key, value in (EXPOSURE | change).items() if value is not None}
    frames = open_frames(frame("one.fits", **header), **settings)
    np.testing.assert_allclose(frames["mjd_utc"], START + seconds / 86400, rtol=0, atol=1e-11)
    assert frames["integration"].values == (6 if settings["timing"] == "segment" else 5)


@given(count=st.integers(1, 100_000), length=st.floats(0.01, 1e4), frame_time=st.floats(0.01, 100))
def test_the_middle_lies_half_way_between_the_steps(count, length, frame_time):
    def header(number):
        cards = fits.Header({"ON_NINT": number, "INTTIME": length, "TFRAME": frame_time})
        return [Cards(cards.tostring().encode())]

    here, after = (integration_step("x", header(count + step), "integration") for step in (0, 1))
    assert here.number == count
    assert after.seconds - here.seconds == pytest.approx(length + frame_time, rel=1e-6)
    assert integration_step("x", header(1), "integration").seconds == pytest.approx((length + frame_time) / 2)


@pytest.mark.parametrize(
    ("timing", "missing", "message"),
    [
        ("integration", ("ON_NINT",), "header keyword ON_NINT or ON_INT"),
        ("integration", ("TFRAME",), "header keyword TFRAME"),
        ("integration", ("INTTIME", "EFFINTTM"), "header keyword INTTIME or EFFINTTM"),
        ("segment", ("INTEND",), "header keyword INTEND"),
        ("counter", ("ON_NINT",), "header keyword ON_NINT or ON_INT"),
        ("integration", ("DATE__OBS", "EXPSTART"), "expected the start of the exposure"),
    ],
)
def test_keywords_that_timing_needs(frame, timing, missing, message):
    path = frame("one.fits", **{key: value for key, value in EXPOSURE.items() if key not in missing})
    with pytest.raises(InputError, match=rf"one\.fits: .*{message}.*{timing}"):
        open_frames(path, timing=timing)


def test_keywords_of_another_extension_come_first(tmp_path):
    primary = fits.PrimaryHDU(np.zeros((4, 5)), fits.Header({"JD": 2450000.5, "EXPTIME": 0.0, "GAIN": 1.0}))
    other = fits.ImageHDU(np.zeros((2, 2)), fits.Header({"JD": JD, "GAIN": 2.0}), name="CAMERA")
    fits.HDUList([primary, other]).writeto(tmp_path / "one.fits")
    assert open_frames(tmp_path / "one.fits", gain="GAIN")["time"] == 2450000.5
    for extension in ("camera", 1, "1"):
        frames = open_frames(tmp_path / "one.fits", header_extension=extension, gain="GAIN")
        assert frames["time"] == JD
        assert frames.attrs["gain"] == 2.0
        assert frames.sizes == {"time": 1, "y": 4, "x": 5}
    with pytest.raises(InputError, match=r"expected an extension 'NONE' \(input.header_extension\)"):
        open_frames(tmp_path / "one.fits", header_extension="NONE")


def test_exposures_know_their_own_times(segment):
    path = segment()
    for settings in ({"timing": "integration"}, {"time_keyword": "EXPSTART"}, {"plane": 0}, {"header_extension": 0}):
        key = next(iter(settings))
        with pytest.raises(ConfigError, match=f"leave out {key}, or use reader: fits"):
            open_frames(path, reader="jwst", **settings)
    with pytest.raises(InputError, match=r"found a cube of 6\. Choose its frame with input\.plane"):
        open_frames(path, timing="integration")
    with pytest.raises(InputError, match=r"input\.time_keyword is EXPSTART.* found a cube of 6"):
        open_frames(path, time_keyword="EXPSTART")
    assert open_frames(path, plane=2).attrs["reader"] == "fits"
    assert open_frames(path).attrs["reader"] == "jwst"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a", {"time_stamp": "mid"}),
        *(("a", {"time_stamp": "mid", "time_keyword": key}) for key in ("DATE-OBS", "DATE_ISO", "MJD-OBS", "JD-OBS")),
        ("b", {"timing": "integration"}),
        ("b", {"timing": "integration", "time_keyword": "DATE-OBS"}),
    ],
)
def test_times_of_tshirt(name, settings, shared):
    frames = open_frames(shared / "tshirt" / name, **settings)
    with np.load(shared / "tshirt" / "npz" / f"{name}_mean.npz") as golden:
        assert frames["file"].values.tolist() == golden["files"].tolist()
        np.testing.assert_allclose(frames["time"], golden["jd"], rtol=0, atol=1e-9)


def test_frames_of_one_segment_share_its_time(shared):
    with pytest.warns(TsogridWarning, match=re.escape("22 of 24 times are repeated")):
        frames = open_frames(shared / "tshirt" / "b", timing="segment")
    assert len(set(frames["time_raw"].values)) == 2
