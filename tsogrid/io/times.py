"""Times of ground-based frames: every header keyword that tells one is weighed, and the most precise is taken.

A camera may write DATE-OBS in local time, MJD-OBS rounded to three decimals and UT-OBS in full; which is best shows
only over the whole series (trailing zeros are not written). Each keyword therefore gives a time and the resolution
that its digits show; the series takes the one keyword that most frames have, that changes from frame to frame, and
that shows the most digits.
"""

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tsogrid.io.cards import Cards, first_number, first_value

MJD_ZERO = 2400000.5  # JD of MJD 0
DAY = 86400.0
ENOUGH = 1e-3  # seconds: beyond this a finer resolution decides nothing
_ORDINAL_MJD_ZERO = datetime.date(1858, 11, 17).toordinal()
_MJD_RANGE = (15000.0, 100000.0)  # 1899 to 2132: anything else is no date of an observation

_DATE = re.compile(r"^(\d{4})[-/](\d{1,2})[-/](\d{1,2})$")
_OLD_DATE = re.compile(r"^(\d{1,2})[-/](\d{1,2})[-/](\d{2})$")  # DD/MM/YY of the years 19YY
_CLOCK = re.compile(r"^(\d{1,2}):(\d{1,2})(?::(\d{1,2})(\.\d*)?)?$")
_OFFSET = re.compile(r"(Z|[-+]\d{2}:?\d{2})$")
_NUMBER = re.compile(r"[-+]?\d+\.?(\d*)(?:[eEdD]([-+]?\d+))?")

CLOCK_KEYS = ("TIME-OBS", "UT-OBS", "UTSTART", "UTC-OBS", "UT", "UTC", "UTSHUT", "TIME-BEG", "UT-START", "UTSTRT")
EXPOSURE_KEYS = ("EXPTIME", "EXPOSURE", "XPOSURE", "EXP_TIME", "ITIME", "EFFINTTM", "INTTIME", "ELAPTIME", "TEXPTIME")


class Candidate(NamedTuple):
    """A keyword that may hold a frame's time; `stamp` says which part of the exposure its name means."""

    key: str
    kind: str  # date | mjd | jd
    stamp: str  # start | mid | end | named by the user ("auto")


# In order of preference among equally good ones.
CANDIDATES = (
    *(Candidate(key, "date", "mid") for key in ("DATE-AVG", "DATE-MID")),
    *(Candidate(key, "mjd", "mid") for key in ("MJD-AVG", "MJD-MID", "MJD_AVG", "MJD_MID")),
    *(Candidate(key, "jd", "mid") for key in ("JD-MID", "JD_MID", "JD-AVG", "JD_UTC", "JDMID", "MIDJD")),
    Candidate("DATE-BEG", "date", "start"),
    *(Candidate(key, "date", "auto") for key in ("DATE-OBS", "DATE_OBS", *CLOCK_KEYS[1:4])),
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


@dataclass
class FrameStamps:
    """What the header of one frame says about its time."""

    stamps: dict[str, Stamp]
    exposure: float  # seconds; NaN if unknown
    scale: str  # TIMESYS in lower case


def parse_date(text: str, clock: Callable[[], str | None] = lambda: None) -> Stamp | None:
    """Read a date with time of day as MJD in UTC.

    Parameters
    ----------
    text : str
        ``2017-12-19T18:33:43.317``, with or without an offset from UTC (``-0700``, ``+05:30``, ``Z``), or a date alone.
    clock : callable, optional
        Gives the time of day for a date alone (or for one that says midnight), or None.

    Returns
    -------
    Stamp or None
        None if `text` is no date, or a date without time of day.
    """
    date, _, time = text.strip().replace(" ", "T", 1).partition("T")
    time = time.strip()
    shift = 0.0
    offset = _OFFSET.search(time)
    if offset:
        time = time[: offset.start()].strip()
        digits = offset.group().replace(":", "")
        if digits != "Z":
            shift = (int(digits[1:3]) * 60 + int(digits[3:5])) * (-60.0 if digits[0] == "-" else 60.0)
    if not shift and not time.strip("0:."):  # no time of day, or midnight, which some cameras write in its place
        time = clock() or time
    day, seconds = _day(date), _seconds(time)
    if day is None or seconds is None:
        return None
    return Stamp(day + (seconds.mjd - shift) / DAY, seconds.resolution)


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


def read_stamps(headers: Sequence[Cards]) -> FrameStamps:
    """Read every time that the headers of one frame tell, and its exposure time.

    Parameters
    ----------
    headers : sequence of Cards
        The header of the image, then the primary one; the first that has a keyword counts.
    """

    stamps: dict[str, Stamp] = {}
    for candidate in CANDIDATES:
        stamp = read_stamp(headers, candidate.key, candidate.kind)
        if stamp is not None:
            stamps[candidate.key] = stamp
    return frame_stamps(headers, stamps)


def read_stamp(headers: Sequence[Cards], key: str, kind: str) -> Stamp | None:
    """Read one keyword as a time.

    Parameters
    ----------
    headers : sequence of Cards
        The first that has the keyword, with a time in it, counts.
    key : str
        The keyword.
    kind : {"date", "mjd", "jd"}
        What it holds; a date alone takes its time of day from the clock keywords.

    Returns
    -------
    Stamp or None
    """

    def clock() -> str | None:
        for name in CLOCK_KEYS:
            text = first_value(headers, name)
            if isinstance(text, str) and _seconds(_OFFSET.sub("", text).strip()):
                return text if not _OFFSET.search(text) else _OFFSET.sub("", text).strip()
        return None

    for header in headers:
        if key not in header:
            continue
        stamp: Stamp | None
        if kind == "date":
            text = header.get(key)
            stamp = parse_date(text, clock) if isinstance(text, str) else None
        else:
            stamp = _days(header, key, MJD_ZERO if kind == "jd" else 0.0)
        if stamp is not None:
            return stamp
    return None


def frame_stamps(headers: Sequence[Cards], stamps: dict[str, Stamp]) -> FrameStamps:
    """Put the times of a frame beside its exposure time and time scale."""
    exposure = first_number(headers, *EXPOSURE_KEYS)
    seconds = float("nan") if exposure is None or exposure < 0 else float(exposure)
    return FrameStamps(stamps, seconds, str(first_value(headers, "TIMESYS") or "utc").lower())


def mid_times(
    frames: Sequence[FrameStamps], time_stamp: str, keyword: str | None = None
) -> tuple[np.ndarray, str, list[str]]:
    """Give the mid-exposure times of a series.

    Parameters
    ----------
    frames : sequence of FrameStamps
        What each header says.
    time_stamp : {"auto", "start", "mid", "end"}
        What part of the exposure keywords mean whose name does not say it; ``auto`` is the start, as FITS defines DATE-OBS.
    keyword : str, optional
        The one keyword that counts; `time_stamp`, where it is not ``auto``, then goes before what its name says.

    Returns
    -------
    mjd : (frames,) float64
        MJD in UTC; NaN where a header does not tell it.
    origin : str
        Which keyword was taken, in words.
    notes : list of str
        What the user should know.
    """
    chosen = _best(frames, time_stamp) if keyword is None else _named(keyword)
    if chosen is None:
        return np.full(len(frames), np.nan), "", []
    mjd = _times_of(frames, chosen.key)
    exposure = np.array([frame.exposure for frame in frames])
    told = chosen.stamp if time_stamp == "auto" or (keyword is None and chosen.stamp != "auto") else time_stamp
    stamp = {"auto": "start"}.get(told, told)
    notes = []
    if stamp != "mid":
        unknown = np.isnan(exposure) & ~np.isnan(mjd)
        if unknown.any():
            notes.append(
                f"{unknown.sum()} of {mjd.size} frames have no exposure time (EXPTIME): their times are those of the "
                f"{stamp} of the exposure"
            )
        mjd += np.where(np.isnan(exposure), 0.0, exposure) * (0.5 if stamp == "start" else -0.5) / DAY
    mjd = _to_utc(mjd, [frame.scale for frame in frames])
    origin = f"{chosen.key}, {stamp} of the exposure" + ("" if stamp == "mid" else ", moved to its middle")
    return mjd, origin, notes


def start_times(frames: Sequence[FrameStamps], keyword: str | None = None) -> tuple[np.ndarray, str]:
    """Give the times of a series as they stand in the headers, of keywords that do not mean the middle or the end.

    Parameters
    ----------
    frames : sequence of FrameStamps
        What each header says.
    keyword : str, optional
        The one keyword that counts, whatever its name says.

    Returns
    -------
    mjd : (frames,) float64
        MJD in UTC; NaN where a header does not tell it.
    key : str
        Which keyword was taken; empty if there is none.
    """
    starts = tuple(candidate for candidate in CANDIDATES if candidate.stamp in ("start", "auto"))
    chosen = _best(frames, "auto", starts) if keyword is None else _named(keyword)
    if chosen is None:
        return np.full(len(frames), np.nan), ""
    return _to_utc(_times_of(frames, chosen.key), [frame.scale for frame in frames]), chosen.key


def _named(keyword: str) -> Candidate:
    return next((each for each in CANDIDATES if each.key == keyword), Candidate(keyword, "", "auto"))


def _times_of(frames: Sequence[FrameStamps], key: str) -> np.ndarray:
    return np.array([frame.stamps[key].mjd if key in frame.stamps else np.nan for frame in frames], float)


def _best(frames: Sequence[FrameStamps], time_stamp: str, candidates: Sequence[Candidate] = CANDIDATES) -> Candidate | None:
    """Choose the keyword that most frames have, that changes from frame to frame, and that shows the most digits."""
    ranked = []
    for order, candidate in enumerate(candidates):
        found = [frame.stamps[candidate.key] for frame in frames if candidate.key in frame.stamps]
        if found:
            finest = max(min(stamp.resolution for stamp in found), ENOUGH)
            # What the user says of the time stamps is meant for keywords that do not say it themselves.
            last = candidate.stamp == "end" or (time_stamp != "auto" and candidate.stamp != "auto")
            ranked.append((-len(found), last, -len({stamp.mjd for stamp in found}), finest, order))
    return candidates[min(ranked)[-1]] if ranked else None


def _to_utc(mjd: np.ndarray, scales: list[str]) -> np.ndarray:
    for scale in sorted(set(scales) & {"tai", "tt", "tdb", "tcb", "tcg"}):
        from astropy.time import Time  # a third of a second to import, and seldom needed

        here = (np.array(scales) == scale) & np.isfinite(mjd)
        mjd[here] = Time(mjd[here], format="mjd", scale=scale).utc.mjd
    return mjd
