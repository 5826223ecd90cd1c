"""The middle of the exposures of a series, by the most precise keyword that agrees with the others.

Which keyword is best shows only over all frames: one that most of them have, that changes from frame to frame, and that
shows the most digits (trailing zeros are not written). Where keywords disagree, one that others bear out goes before one
that stands alone, and one that is named UT before one that may be local time; what was taken, and by how much the others
differ, is said.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsogrid.io.times import CANDIDATES, DAY, HOUR, LOCAL_SCALES, Candidate, FrameStamps, says_utc

ENOUGH = 1e-3  # seconds: beyond this a finer resolution decides nothing
SLACK = 0.5  # seconds between two keywords that are no disagreement: shutters and clocks are not better
LATE = 5.0, 0.2  # seconds, and part of the exposure, that the end of an exposure may be late: the read-out
_ZONE_STEP = 900.0  # seconds: time zones differ from UTC by multiples of it
_LARGEST_ZONE = 14 * HOUR
_SCALES = ("tai", "tt", "tdb", "tcb", "tcg")
_GPS_BEHIND_TAI = 19.0  # seconds


class Told(NamedTuple):
    """What one keyword says of a series: (frames,) mid-exposure, MJD in UTC; NaN where it says nothing."""

    candidate: Candidate
    mid: np.ndarray
    resolution: float  # seconds, the finest of the series

    @property
    def is_constant(self) -> bool:
        known = self.mid[np.isfinite(self.mid)]
        return known.size > 1 and bool((known == known[0]).all())


def mid_times(
    frames: Sequence[FrameStamps], time_stamp: str, keyword: str | None = None
) -> tuple[np.ndarray, str, list[str]]:
    """Give the mid-exposure times of a series.

    Parameters
    ----------
    frames : sequence of FrameStamps
        What each header says, in the order of the files.
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
    ranked = [_named(keyword)] if keyword is not None else _ranked(frames, time_stamp)
    if not ranked:
        return np.full(len(frames), np.nan), "", []
    exposure = np.array([frame.exposure for frame in frames])
    scales = [frame.scale for frame in frames]
    notes: list[str] = []
    told = []
    for candidate in ranked:
        mjd, moved = _unwrapped(frames, candidate.key)
        stamp = _stamp_of(candidate, time_stamp, keyword)
        if stamp != "mid":
            mjd = mjd + np.where(np.isnan(exposure), 0.0, exposure) * (0.5 if stamp == "start" else -0.5) / DAY
        found = [frame.stamps[candidate.key].resolution for frame in frames if candidate.key in frame.stamps]
        told.append((Told(candidate, _to_utc(mjd, scales), min(found, default=np.inf)), moved))
    chosen = _consistent([each for each, _ in told], exposure, time_stamp, notes)
    moved = next(count for each, count in told if each is chosen)
    if moved:
        notes.append(
            f"{moved} of {len(frames)} frames come after midnight, but their date ({chosen.candidate.key}) is that of the "
            "evening: a day is added"
        )
    if scales and set(scales) <= set(LOCAL_SCALES) and not says_utc(chosen.candidate.key):
        notes.append("TIMESYS says that times are local: expected their offset from UTC in input.time_offset")
    stamp = _stamp_of(chosen.candidate, time_stamp, keyword)
    if stamp != "mid":
        unknown = np.isnan(exposure) & ~np.isnan(chosen.mid)
        if unknown.any():
            notes.append(
                f"{unknown.sum()} of {len(frames)} frames have no exposure time (EXPTIME): their times are those of the "
                f"{stamp} of the exposure"
            )
    origin = f"{chosen.candidate.key}, {stamp} of the exposure" + ("" if stamp == "mid" else ", moved to its middle")
    return chosen.mid, origin, notes


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
    ranked = _ranked(frames, "auto", starts) if keyword is None else [_named(keyword)]
    if not ranked:
        return np.full(len(frames), np.nan), ""
    return _to_utc(_times_of(frames, ranked[0].key), [frame.scale for frame in frames]), ranked[0].key


def _named(keyword: str) -> Candidate:
    return next((each for each in CANDIDATES if each.key == keyword), Candidate(keyword, "", "auto"))


def _stamp_of(candidate: Candidate, time_stamp: str, keyword: str | None) -> str:
    told = candidate.stamp if time_stamp == "auto" or (keyword is None and candidate.stamp != "auto") else time_stamp
    return "start" if told == "auto" else told


def _times_of(frames: Sequence[FrameStamps], key: str) -> np.ndarray:
    return np.array([frame.stamps[key].mjd if key in frame.stamps else np.nan for frame in frames], float)


def _unwrapped(frames: Sequence[FrameStamps], key: str) -> tuple[np.ndarray, int]:
    """Add a day after midnight where the date is that of the evening, in all files; and how many frames that concerns.

    In the order of the files time would go back by more than half a day on one and the same date.
    """
    mjd = _times_of(frames, key)
    apart = [key in frame.stamps and frame.stamps[key].day_apart for frame in frames]
    extra = np.zeros(mjd.size)
    for index in range(1, mjd.size):
        if apart[index] and apart[index - 1] and np.floor(mjd[index]) == np.floor(mjd[index - 1]):
            extra[index] = extra[index - 1] + (mjd[index] - mjd[index - 1] < -0.5) - (mjd[index] - mjd[index - 1] > 0.5)
    extra = np.maximum(extra, 0.0)
    return mjd + extra, int(np.count_nonzero(extra))


def _ranked(frames: Sequence[FrameStamps], time_stamp: str, candidates: Sequence[Candidate] = CANDIDATES) -> list[Candidate]:
    """Order the keywords: which most frames have, which change from frame to frame, which show the most digits."""
    ranked = []
    for order, candidate in enumerate(candidates):
        found = [frame.stamps[candidate.key] for frame in frames if candidate.key in frame.stamps]
        if found:
            finest = max(min(stamp.resolution for stamp in found), ENOUGH)
            # What the user says of the time stamps is meant for keywords that do not say it themselves.
            last = candidate.stamp == "end" or (time_stamp != "auto" and candidate.stamp != "auto")
            ranked.append((-len(found), last, -len({stamp.mjd for stamp in found}), finest, order))
    return [candidates[each[-1]] for each in sorted(ranked)]


def _consistent(told: list[Told], exposure: np.ndarray, time_stamp: str, notes: list[str]) -> Told:
    """Choose the first of the ranked keywords that the others do not contradict, and say what disagrees."""
    best = told[0]
    voters = [each for each in told if each is best or not each.is_constant]
    agreeing = {id(each): [other for other in voters if _agree(each, other, exposure)] for each in voters}
    whole = np.isfinite(best.mid).sum()
    for other in voters:
        if np.isfinite(other.mid).sum() < whole or other in agreeing[id(best)] or other.candidate.stamp == "end":
            continue
        apart = _apart(best, other)
        if _is_half(apart, exposure):  # start or middle: FITS says what DATE-OBS is, and the warning says the rest
            continue
        ours, theirs = agreeing[id(best)], agreeing[id(other)]
        if _is_zone(apart, best, other):
            better = any(says_utc(each.candidate.key) for each in theirs) and not any(
                says_utc(each.candidate.key) for each in ours
            )
        else:
            better = len(theirs) > len(ours)
        if better:
            best = other
    if time_stamp == "auto" or best.candidate.stamp == "auto":
        notes += [_difference(best, each, agreeing, exposure) for each in voters if each not in agreeing[id(best)]]
    return best


def _apart(one: Told, other: Told) -> np.ndarray:
    """Seconds by which the other's times are later, of the frames that both have."""
    both = np.isfinite(one.mid) & np.isfinite(other.mid)
    return (other.mid[both] - one.mid[both]) * DAY


def _agree(one: Told, other: Told, exposure: np.ndarray) -> bool:
    """Whether two keywords agree in all frames, as far as their digits and the clocks of cameras allow."""
    if one is other:
        return True
    apart = _apart(one, other)
    allowed = _allowed(one) + _allowed(other) + SLACK
    least, most = -allowed, allowed
    late = LATE[0] + LATE[1] * float(np.nanmax(exposure, initial=0.0))
    if other.candidate.stamp == "end":
        most += late
    if one.candidate.stamp == "end":
        least -= late
    return bool(((apart >= least) & (apart <= most)).all())


def _allowed(each: Told) -> float:
    """Seconds by which rounded or cut digits may be off."""
    return each.resolution if each.resolution > ENOUGH else 0.0


def _is_half(apart: np.ndarray, exposure: np.ndarray) -> bool:
    """Whether two keywords differ by half an exposure: one of them means the middle."""
    length = float(np.nanmedian(exposure)) if np.isfinite(exposure).any() else 0.0
    return length > 0 and bool(np.abs(np.abs(np.median(apart)) - length / 2) < SLACK + 0.02 * length)


def _is_zone(apart: np.ndarray, one: Told, other: Told) -> bool:
    """Whether two keywords differ as local time and UTC do."""
    middle = float(np.median(apart))
    steps = round(middle / _ZONE_STEP)
    allowed = _allowed(one) + _allowed(other) + SLACK
    return steps != 0 and abs(middle) <= _LARGEST_ZONE + allowed and abs(middle - steps * _ZONE_STEP) <= allowed


def _difference(best: Told, other: Told, agreeing: dict[int, list[Told]], exposure: np.ndarray) -> str:
    apart = _apart(best, other)
    far = apart[np.argmax(np.abs(apart))]
    middle = float(np.median(apart))
    here, there = best.candidate.key, other.candidate.key
    spread = "" if abs(far - middle) < SLACK else f" (up to {abs(far):.1f} s)"
    if _is_zone(apart, best, other):
        why = f", {abs(middle) / HOUR:g} h as between local time and UTC (see input.time_offset)"
    elif _is_half(apart, exposure):
        why = ", half of the exposure: one of them seems to mean its middle (see input.time_stamp)"
    else:
        why = ""
    others = [each.candidate.key for each in agreeing[id(best)] if each is not best]
    with_others = f", with which {', '.join(others)} agree{'s' if len(others) == 1 else ''}" if others else ""
    later = "later" if middle >= 0 else "earlier"
    return (
        f"{here} and {there} disagree: as middle of the exposure {there} is {abs(middle):.1f} s {later}{spread}{why}; "
        f"{here} is taken{with_others} (or name one in input.time_keyword)"
    )


def _to_utc(mjd: np.ndarray, scales: list[str]) -> np.ndarray:
    """Bring times of other scales to UTC."""
    for scale in sorted(set(scales) & {*_SCALES, "gps"}):
        from astropy.time import Time  # a third of a second to import, and seldom needed

        here = (np.array(scales) == scale) & np.isfinite(mjd)
        behind = _GPS_BEHIND_TAI / DAY if scale == "gps" else 0.0
        mjd[here] = Time(mjd[here] + behind, format="mjd", scale="tai" if scale == "gps" else scale).utc.mjd
    return mjd
