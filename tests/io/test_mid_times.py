"""Which of many keywords tells the time: the most precise one that the others bear out, with the numbers of the rest."""

import warnings

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from tsogrid.errors import TsogridWarning
from tsogrid.io.frames import open_frames
from tsogrid.io.mid_times import mid_times
from tsogrid.io.times import FrameStamps, Stamp, parse_date

STARTS = Time("2017-12-20T01:33:43.317", scale="utc").mjd + np.arange(5) * 361.25 / 86400
LENGTH = 60.0


def texts(mjd, digits=3, hours=0.0):
    return [str(Time(each + hours / 24, format="mjd", precision=digits).isot) for each in mjd]


def night(frame, **columns):
    """Five frames with these header cards, one value a frame."""
    for index in range(len(STARTS)):
        cards = {key: values[index] if isinstance(values, list) else values for key, values in columns.items()}
        folder = frame(f"f{index}.fits", EXPTIME=LENGTH, **cards).parent
    return folder


def rounded(values, decimals):
    return [round(float(value), decimals) for value in values]


@pytest.mark.parametrize(
    ("columns", "settings", "taken", "said"),
    [
        # Rounded days beside a full date.
        ({"DATE__OBS": texts(STARTS), "MJD__OBS": rounded(STARTS, 3)}, {}, "DATE-OBS", None),
        # A local date with its offset, UT in full, rounded days: all agree.
        (
            {
                "DATE__OBS": [text + "-0700" for text in texts(STARTS, hours=-7)],
                "UT__OBS": [text + "-0000" for text in texts(STARTS)],
                "MJD__OBS": rounded(STARTS, 3),
            },
            {},
            "DATE-OBS",
            None,
        ),
        # The same without the offset: UT and the days outvote it.
        (
            {"DATE__OBS": texts(STARTS, hours=-7), "UT__OBS": texts(STARTS), "MJD__OBS": rounded(STARTS, 3)},
            {},
            "UT-OBS",
            r"UT-OBS and DATE-OBS disagree: .* DATE-OBS is 25200\.0 s earlier, 7 h as between local time and UTC .*"
            r"UT-OBS is taken, with which MJD-OBS agrees",
        ),
        # A local date and a UT time of day alone, whose day must be found.
        ({"DATE__OBS": texts(STARTS, hours=-7), "UT": [t[11:] for t in texts(STARTS)]}, {}, "UT", "25200.0 s earlier, 7 h"),
        # The offset from the configuration: it shifts the date, and not what is named UT.
        (
            {"DATE__OBS": texts(STARTS, hours=-7), "UT": [t[11:] for t in texts(STARTS)]},
            {"time_offset": -7},
            "DATE-OBS",
            None,
        ),
        ({"DATE__OBS": texts(STARTS, hours=5.5)}, {"time_offset": "+05:30"}, "DATE-OBS", None),
        ({"DATE__OBS": texts(STARTS, hours=-7), "TIMESYS": "LOCAL", "TIMEZONE": -7}, {}, "DATE-OBS", None),
        ({"DATE__OBS": texts(STARTS), "TIMESYS": "UTC", "TIMEZONE": -7}, {}, "DATE-OBS", None),
        # A clock that stands still, or the start of the exposure in all frames, is no witness.
        ({"DATE__OBS": texts(STARTS), "JD": float(STARTS[0] + 2400000.5)}, {}, "DATE-OBS", None),
        # Three against one.
        (
            {
                "DATE__OBS": texts(STARTS + 100 / 86400),
                "MJD__OBS": rounded(STARTS, 5),
                "JD": rounded(STARTS + 2400000.5, 5),
                "UT__OBS": texts(STARTS, 0),
            },
            {},
            "MJD-OBS",
            r"MJD-OBS and DATE-OBS disagree: .* is \d+\.\d s later .*, with which JD, UT-OBS agree",
        ),
        # The middle where the name says so; DATE-OBS is then the middle too, and that is said.
        (
            {"DATE__OBS": texts(STARTS + 30 / 86400), "MJD__AVG": list(STARTS + 30 / 86400)},
            {},
            None,
            r"half of the exposure: one of them seems to mean its middle \(see input\.time_stamp\)",
        ),
        # The end of an exposure comes after the read-out.
        ({"DATE__OBS": texts(STARTS), "DATE__END": texts(STARTS + (LENGTH + 4) / 86400)}, {}, "DATE-OBS", None),
        # One date for the whole night.
        ({"DATE__OBS": "2017-12-20", "UTSTART": [t[11:] for t in texts(STARTS)]}, {}, "DATE-OBS", None),
    ],
)
def test_the_keyword_that_the_others_bear_out(frame, columns, settings, taken, said):
    folder = night(frame, **columns)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frames = open_frames(folder, **settings)
    words = [str(each.message) for each in caught if issubclass(each.category, TsogridWarning)]
    if said is None:
        assert words == []
    else:
        assert len(words) == 1
        with pytest.warns(TsogridWarning, match=said):
            warnings.warn(words[0], TsogridWarning, stacklevel=1)
    if taken is not None:
        assert frames["time"].attrs["source"].startswith(f"{taken}, start")
        np.testing.assert_allclose(frames["mjd_utc"], STARTS + 30 / 86400, rtol=0, atol=0.6 / 86400)


def test_midnight_under_the_date_of_the_evening(frame):
    times = Time("2020-03-01T23:50:00", scale="utc").mjd + np.arange(5) * 300 / 86400
    for index, text in enumerate(texts(times, 0)):
        folder = frame(f"f{index}.fits", EXPTIME=0.0, DATE__OBS="2020-03-01", UT=text[11:]).parent
    with pytest.warns(TsogridWarning, match=r"3 of 5 frames come after midnight.*\(DATE-OBS\) is that of the evening"):
        frames = open_frames(folder)
    np.testing.assert_allclose(frames["mjd_utc"], times, rtol=0, atol=1e-8)
    for index, text in enumerate(texts(times, 0)):  # with a true date nothing is added
        (folder / f"f{index}.fits").unlink()
        frame(f"f{index}.fits", EXPTIME=0.0, DATE__OBS=text[:10], UT=text[11:])
    np.testing.assert_allclose(open_frames(folder)["mjd_utc"], times, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("scale", "behind"), [("TAI", -37.0), ("GPS", -18.0), ("UT", 0.0)])
def test_other_scales(frame, scale, behind):
    path = frame("one.fits", EXPTIME=0.0, DATE__OBS="2020-01-01T12:00:00.000", TIMESYS=scale)
    wanted = Time("2020-01-01T12:00:00", scale="utc").mjd + behind / 86400
    np.testing.assert_allclose(open_frames(path)["mjd_utc"], wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("text", ["2016-12-31T12:00:00.000", "2016-12-31T23:59:60.500", "2015-06-30T23:59:59.900"])
@pytest.mark.parametrize("hours", [0, -7, 9.5])
def test_days_with_a_leap_second(text, hours):
    stamp = parse_date(text, ahead=0)
    assert abs(stamp.mjd - Time(text, scale="utc").mjd) * 86400 < 1e-5
    if "60" not in text[17:]:  # nobody's local clock shows it
        local = Time(Time(text, scale="utc").mjd + hours / 24, format="mjd", precision=3)
        shifted = parse_date(str(local.isot), ahead=hours)
        assert abs(shifted.mjd - stamp.mjd) * 86400 < 1.1


@given(
    exposure=st.floats(0, 3600),
    digits=st.integers(0, 6),
    zone=st.sampled_from([-10, -7, 0, 1, 5.5, 12]),
    count=st.integers(2, 6),
)
def test_any_mixture_gives_the_middle(exposure, digits, zone, count):
    starts = 58107.065 + np.arange(count) * (exposure + 7.0) / 86400
    frames = [
        FrameStamps(
            {
                "DATE-OBS": Stamp(start + zone / 24, 1e-3),
                "UT-OBS": Stamp(np.round(start * 86400, digits) / 86400, 10.0**-digits),
                "MJD-OBS": Stamp(np.floor(start * 1e5) / 1e5, 0.864),
            },
            exposure,
            "utc",
        )
        for start in starts
    ]
    mjd, _, notes = mid_times(frames, "auto")
    assert np.abs(mjd - starts - exposure / 2 / 86400).max() * 86400 < 10.0**-digits + 0.01
    assert bool(notes) == bool(zone)
