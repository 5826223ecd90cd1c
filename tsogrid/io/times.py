"""Times as one header tells them: every keyword that may hold one, as MJD in UTC with the resolution that its digits show.

A camera may write DATE-OBS in local time, MJD-OBS rounded to three decimals and UT-OBS in full. Which of them is right and
best shows only over the whole series: that is the part of `tsogrid.io.mid_times`.
"""

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tsogrid.config.observer import clock_offset
from tsogrid.ephemeris import MJD_ZERO
from tsogrid.io.cards import Cards, first_value

DAY = 86400.0
HOUR = 3600.0
_ORDINAL_MJD_ZERO = datetime.date(1858, 11, 17).toordinal()
_MJD_RANGE = (15000.0, 100000.0)  # 1899 to 2132: anything else is no date of an observation

_DATE = re.compile(r"^(\d{4})[-/](\d{1,2})[-/](\d{1,2})$")
_OLD_DATE = re.compile(r"^(\d{1,2})[-/](\d{1,2})[-/](\d{2})$")  # DD/MM/YY of the years 19YY
_CLOCK = re.compile(r"^(\d{1,2}):(\d{1,2})(?::(\d{1,2})(\.\d*)?)?$")
_OFFSET = re.compile(r"(Z|UTC?|[-+]\d{2}:?\d{2})$")
_NUMBER = re.compile(r"[-+]?\d+\.?(\d*)(?:[eEdD]([-+]?\d+))?")

# UTC days with a leap second at their end (IERS Bulletin C): the hours of such a day are parts of 86401 seconds, as in ERFA.
_LEAP_DAYS = frozenset(
    datetime.date(year, month, 30 if month == 6 else 31).toordinal() - _ORDINAL_MJD_ZERO
    for month, years in (
        (6, (1972, 1981, 1982, 1983, 1985, 1992, 1993, 1994, 1997, 2012, 2015)),
        (12, (1972, 1973, 1974, 1975, 1976, 1977, 1978, 1979, 1987, 1989, 1990, 1995, 1998, 2005, 2008, 2016)),
    )
    for year in years
)
LOCAL_SCALES = ("local", "lt", "local time", "lcl")
_ZONE_KEYS = ("TIMEZONE", "TIMEZON", "TZ", "UTCOFFS", "UTCOFFSE", "UTC-OFF", "UTOFFSET", "GMTOFFS", "TIMEOFFS")

CLOCK_KEYS = ("TIME-OBS", "UT-OBS", "UTSTART", "UTC-OBS", "UT", "UTC", "UTSHUT", "TIME-BEG", "UT-START", "UTSTRT")
EXPOSURE_KEYS = (
    "EXPTIME", "EXPOSURE", "XPOSURE", "EXP_TIME", "EXP-TIME", "ITIME", "EFFINTTM", "INTTIME", "ELAPTIME", "TEXPTIME",
)  # fmt: skip


class Candidate(NamedTuple):
    """A keyword that may hold a frame's time; `stamp` says which part of the exposure its name means."""

    key: str
    kind: str  # date | clock | mjd | jd
    stamp: str  # start | mid | end | named by the user ("auto")


# In order of preference among equally good ones.
CANDIDATES = (
    *(Candidate(key, "date", "mid") for key in ("DATE-AVG", "DATE-MID")),
    *(Candidate(key, "mjd", "mid") for key in ("MJD-AVG", "MJD-MID", "MJD_AVG", "MJD_MID")),
    *(Candidate(key, "jd", "mid") for key in ("JD-MID", "JD_MID", "JD-AVG", "JD_UTC", "JDMID", "MIDJD")),
    Candidate("DATE-BEG", "date", "start"),
    *(Candidate(key, "date", "auto") for key in ("DATE-OBS", "DATE_OBS")),
    *(Candidate(key, "clock", "auto") for key in CLOCK_KEYS),
    Candidate("MJD-BEG", "mjd", "start"),
    *(Candidate(key, "mjd", "auto") for key in ("MJD-OBS", "MJD_OBS", "MJD")),
    Candidate("EXPSTART", "mjd", "start"),
    Candidate("JD_SOBS", "jd", "start"),
    *(Candidate(key, "jd", "auto") for key in ("JD-OBS", "JD_OBS", "JD")),
    Candidate("DATE-END", "date", "end"),
    Candidate("MJD-END", "mjd", "end"),
)


class Stamp(NamedTuple):
    """A time as a header tells it."""

    mjd: float
    resolution: float  # seconds
    day_apart: bool = False  # the date stands in another keyword than the time of day


@dataclass
class FrameStamps:
    """What the header of one frame says about its time."""

    stamps: dict[str, Stamp]
    exposure: float  # seconds; NaN if unknown
    scale: str  # TIMESYS in lower case


def parse_date(text: str, clock: Callable[[], str | None] = lambda: None, ahead: float = 0.0) -> Stamp | None:
    """Read a date with time of day as MJD in UTC.

    Parameters
    ----------
    text : str
        ``2017-12-19T18:33:43.317``, with or without an offset from UTC (``-0700``, ``+05:30``, ``Z``), or a date alone.
    clock : callable, optional
        Gives the time of day for a date alone (or for one that says midnight), or None.
    ahead : float
        Hours that the clock is ahead of UTC, for a time that does not tell its offset.

    Returns
    -------
    Stamp or None
        None if `text` is no date, or a date without time of day.
    """
    date, _, time = text.strip().replace(" ", "T", 1).partition("T")
    time, offset = split_offset(time)
    apart = False
    if not offset and not time.strip("0:."):  # no time of day, or midnight, which some cameras write in its place
        other = clock()
        if other is not None:
            time, offset = split_offset(other)
            apart = True
    return at(_day(date), time, ahead if offset is None else offset, apart)


def split_offset(time: str) -> tuple[str, float | None]:
    """Take the offset from UTC off a time of day; hours, None if it tells none."""
    time = time.strip()
    offset = _OFFSET.search(time)
    if offset is None:
        return time, None
    digits = offset.group().replace(":", "")
    hours = 0.0 if digits[0] in "ZU" else (int(digits[1:3]) + int(digits[3:5]) / 60) * (-1 if digits[0] == "-" else 1)
    return time[: offset.start()].strip(), hours


def at(day: int | None, time: str, ahead: float, apart: bool = False) -> Stamp | None:
    """Give the time at a time of day, as text, of a day (whole MJD) by a clock that is so many hours ahead of UTC."""
    seconds = _seconds(time)
    if day is None or seconds is None:
        return None
    total = seconds.mjd - ahead * HOUR
    if not 0 <= total < DAY and ahead:  # another day in UTC
        day += int(total // DAY)
        total %= DAY
    return Stamp(day + total / (DAY + 1 if day in _LEAP_DAYS else DAY), seconds.resolution, apart)


def _day(text: str) -> int | None:
    match, old = _DATE.match(text), _OLD_DATE.match(text)
    try:
        if match:
            year, month, day = (int(part) for part in match.groups())
        elif old:
            day, month, year = (int(part) for part in old.groups())
            year += 1900
        else:
            return None
        return datetime.date(year, month, day).toordinal() - _ORDINAL_MJD_ZERO
    except ValueError:
        return None


def _seconds(text: str) -> Stamp | None:
    match = _CLOCK.match(text)
    if not match:
        return None
    hours, minutes, seconds, fraction = match.groups()
    total = int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0) + float(fraction or 0.0)
    resolution = 60.0 if seconds is None else 10.0 ** -max(0, len(fraction or ".") - 1)
    return Stamp(total, resolution) if total <= DAY + 1 else None


def _days(header: Cards, key: str, zero: float) -> Stamp | None:
    number = header.get(key)
    if isinstance(number, bool) or not isinstance(number, int | float | str):
        return None
    try:
        days = float(number)
    except ValueError:
        return None
    mjd = days - zero
    if not _MJD_RANGE[0] < mjd < _MJD_RANGE[1]:
        return None
    shown = _NUMBER.search(header.text(key))
    decimals = len(shown.group(1) or "") - int(shown.group(2) or 0) if shown else 0
    return Stamp(mjd, DAY * max(10.0**-decimals, float(np.spacing(abs(days)))))


def read_stamps(headers: Sequence[Cards], time_offset: float | None = None) -> FrameStamps:
    """Read every time that the headers of one frame tell, and its exposure time.

    Parameters
    ----------
    headers : sequence of Cards
        The header of the image, then the primary one; the first that has a keyword counts.
    time_offset : float, optional
        Hours that the clock of the camera is ahead of UTC.
    """
    stamps: dict[str, Stamp] = {}
    for candidate in CANDIDATES:
        stamp = read_stamp(headers, candidate.key, candidate.kind, time_offset)
        if stamp is not None:
            stamps[candidate.key] = stamp
    return frame_stamps(headers, stamps, time_offset)


def read_stamp(headers: Sequence[Cards], key: str, kind: str, time_offset: float | None = None) -> Stamp | None:
    """Read one keyword as a time.

    Parameters
    ----------
    headers : sequence of Cards
        The first that has the keyword, with a time in it, counts.
    key : str
        The keyword.
    kind : {"date", "clock", "mjd", "jd"}
        What it holds; a date alone takes its time of day from the clock keywords, and a time of day its date from DATE-OBS.
    time_offset : float, optional
        Hours that the clock of the camera is ahead of UTC; it does not count for keywords that are named UT.

    Returns
    -------
    Stamp or None
    """

    def clock() -> str | None:
        for name in CLOCK_KEYS:
            text = first_value(headers, name)
            if isinstance(text, str) and _seconds(split_offset(text)[0]):
                time, offset = split_offset(text)
                return f"{time}Z" if offset is None and says_utc(name) else text
        return None

    ahead = 0.0 if says_utc(key) else zone_hours(headers, time_offset) or 0.0
    for header in headers:
        if key not in header:
            continue
        stamp: Stamp | None
        if kind in ("date", "clock"):
            text = header.get(key)
            stamp = parse_date(text, clock, ahead) if isinstance(text, str) else None
            if stamp is None and kind == "clock" and isinstance(text, str):
                stamp = _clock_stamp(headers, text, ahead, clock())
        else:
            stamp = _days(header, key, MJD_ZERO if kind == "jd" else 0.0)
        if stamp is not None:
            return stamp
    return None


def says_utc(key: str) -> bool:
    """Whether a keyword's name says that its time is UTC (or that it is a day count, which nobody keeps in local time)."""
    return key.startswith(("UT", "MJD", "JD", "MIDJD"))


def zone_hours(headers: Sequence[Cards], time_offset: float | None) -> float | None:
    """Give the hours that times without an offset of their own are ahead of UTC; None if they are UTC.

    They are as the user says; else, only where TIMESYS says that times are local, as a keyword for the time zone tells.
    """
    if time_offset is not None:
        return time_offset
    if str(first_value(headers, "TIMESYS") or "").strip().lower() not in LOCAL_SCALES:
        return None
    for key in _ZONE_KEYS:
        try:
            hours = clock_offset(first_value(headers, key))
        except ValueError:
            continue
        if hours is not None:
            return float(hours)
    return None


def clock_hours(headers: Sequence[Cards], time_offset: float | None) -> float | None:
    """Give the hours that the camera's own clock is ahead of UTC, as far as anything tells; a zero tells nothing."""
    for key in ("DATE-OBS", "DATE_OBS", "DATE-LOC", "DATE-BEG"):
        text = first_value(headers, key)
        hours = split_offset(text)[1] if isinstance(text, str) and "T" in text else None
        if hours:
            return hours
    return zone_hours(headers, time_offset) or None


def _clock_stamp(headers: Sequence[Cards], text: str, ahead: float, first: str | None) -> Stamp | None:
    """Read a time of day that stands beside a date with a time of its own: its day is the one that brings both nearest."""
    date = first_value(headers, "DATE-OBS", "DATE_OBS", "DATE-BEG")
    if not isinstance(date, str):
        return None
    day = _day(date.strip().replace(" ", "T", 1).partition("T")[0])
    time, offset = split_offset(text)
    stamp = at(day, time, ahead if offset is None else offset, apart=True)
    own = parse_date(date, lambda: first, ahead)
    if stamp is None or own is None or (own.day_apart and first is not None and split_offset(first)[0] == time):
        return None  # the date has no other time than this one, and holds it already
    return stamp._replace(mjd=stamp.mjd + round(own.mjd - stamp.mjd), day_apart=own.day_apart)


def frame_stamps(headers: Sequence[Cards], stamps: dict[str, Stamp], time_offset: float | None = None) -> FrameStamps:
    """Put the times of a frame beside its exposure time and the scale that they are in."""
    seconds = float("nan")
    for key in EXPOSURE_KEYS:
        try:
            found = float(str(first_value(headers, key)))
        except ValueError:
            continue
        if found >= 0:
            seconds = found
            break
    scale = str(first_value(headers, "TIMESYS") or "utc").strip().lower()
    was_local = scale in LOCAL_SCALES and zone_hours(headers, time_offset) is not None
    return FrameStamps(stamps, seconds, "utc" if was_local else scale)
