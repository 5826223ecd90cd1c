"""Times as the user says they are told: by one keyword, or by the number of an integration in its exposure.

Frames that were cut from one exposure of the JWST all carry the date of the exposure; which integration a frame is, and how
long one takes, is in other keywords. tshirt knows three ways to make a time of these, and they are kept as it has them
(``timingMethod``: JWSTint, JWSTseg, intCounter).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tsogrid.errors import InputError
from tsogrid.io.cards import Cards, first_number, first_value
from tsogrid.io.times import FrameStamps, Stamp, frame_stamps, read_stamp

NUMBER_KEYS = ("ON_NINT", "ON_INT")  # number of the integration, in frames cut from an exposure of the JWST
LENGTH_KEYS = ("INTTIME", "EFFINTTM")
_TIME_LIKE = re.compile(r"DATE|MJD|JD|^UT|^TIME|EXPSTART")
_JD_FROM = 2400000.5  # numbers from here on are Julian dates, smaller ones are modified
_MINUTE = 60.0


class Step(NamedTuple):
    """Where an integration lies in its exposure."""

    number: int
    seconds: float  # from the start of the exposure to the time that is meant


def integration_step(path: str, headers: Sequence[Cards], timing: str) -> Step:
    """Say how long after the start of its exposure a frame's time is.

    Parameters
    ----------
    path : str
        The file, for errors.
    headers : sequence of Cards
        The first that has a keyword counts.
    timing : {"integration", "segment", "counter"}
        ``integration``: ``(TFRAME + INTTIME)(n − ½)``, n being ON_NINT or ON_INT; ``segment``: the same with
        n = (INTSTART + INTEND)/2; ``counter``: n minutes, which only counts. EFFINTTM stands in where INTTIME is missing.

    Returns
    -------
    Step

    Raises
    ------
    InputError
        A keyword is missing.
    """

    def number(*keys: str) -> float:
        found = first_number(headers, *keys)
        if found is None:
            raise InputError(
                f"{path}: expected a number in header keyword {' or '.join(keys)} (input.timing is {timing}), found none. "
                "Choose another timing, or input.header_extension if the keyword stands elsewhere."
            )
        return float(found)

    count = (number("INTSTART") + number("INTEND")) / 2 if timing == "segment" else number(*NUMBER_KEYS)
    if timing == "counter":
        return Step(int(count), count * _MINUTE)
    return Step(int(count), (number("TFRAME") + number(*LENGTH_KEYS)) * (count - 0.5))


def read_told(
    path: str, headers: Sequence[Cards], keyword: str, time_format: str, time_offset: float | None = None
) -> FrameStamps:
    """Read the one keyword that tells a frame's time.

    Parameters
    ----------
    path : str
        The file, for errors.
    headers : sequence of Cards
        The first that has the keyword counts.
    keyword : str
        Which.
    time_format : {"auto", "date", "mjd", "jd"}
        What it holds; ``auto``: text is a date, a number from 2400000.5 on a Julian date, a smaller one a modified one.
    time_offset : float, optional
        Hours that the clock of the camera is ahead of UTC.

    Returns
    -------
    FrameStamps
        With that keyword alone.

    Raises
    ------
    InputError
        The keyword is missing, or holds no such time.
    """
    found = first_value(headers, keyword)
    if found is None:
        others = dict.fromkeys(key for header in headers for key in header if _TIME_LIKE.search(key))
        raise InputError(
            f"{path}: expected a header keyword {keyword} (input.time_keyword), found none. "
            f"Keywords there that may tell a time: {', '.join(others) or 'none'}."
        )
    kind = _guessed(found) if time_format == "auto" else time_format
    stamp: Stamp | None = read_stamp(headers, keyword, kind, time_offset)
    if stamp is None:
        meant = {"date": "a date with its time of day (here or in TIME-OBS)", "mjd": "an MJD", "jd": "a Julian date"}[kind]
        raise InputError(
            f"{path}: expected {meant} in header keyword {keyword} (input.time_keyword), found {found!r}. "
            "Say what it holds with input.time_format, or name another keyword."
        )
    return frame_stamps(headers, {keyword: stamp}, time_offset)


def _guessed(value: object) -> str:
    try:
        return "jd" if float(value) >= _JD_FROM else "mjd"  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "date"
