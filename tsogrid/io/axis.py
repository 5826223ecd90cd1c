"""The time axis: one series, one time standard.

The index is the middle of the exposure in days: BJD_TDB if all frames know it, else JD_UTC. An index must be finite and
strictly increasing; where the times are not, the frame number is the index and the times stay beside it.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tsogrid.ephemeris import MJD_ZERO
from tsogrid.io.lazy_coordinates import Shifted

BJD_ATTRS = {
    "units": "d",
    "scale": "tdb",
    "format": "jd",
    "long_name": "BJD_TDB of mid-exposure",
    "time_origin": "barycentre of the solar system; Julian date, no offset",
}
JD_ATTRS = {
    "units": "d",
    "scale": "utc",
    "format": "jd",
    "long_name": "JD_UTC of mid-exposure",
    "time_origin": "observer; Julian date, no offset",
}
MJD_ATTRS = {
    "units": "d",
    "scale": "utc",
    "format": "mjd",
    "long_name": "MJD_UTC of mid-exposure",
    "time_origin": "observer; JD − 2400000.5",
}
NUMBER_ATTRS = {"units": "1", "long_name": "frame number"}
INTEGRATION_ATTRS = {"units": "1", "long_name": "number of the integration"}


@dataclass
class TimeAxis:
    """The order of the frames and their coordinates, (frames,) each, already in that order.

    Frames that are in order have the slice of all as their order: what is indexed by it is not copied.
    """

    order: np.ndarray | slice
    index: np.ndarray
    attrs: dict[str, Any]
    coords: dict[str, tuple[Any, dict[str, Any]]]
    notes: list[str] = field(default_factory=list)


def time_axis(mjd_utc: np.ndarray, bjd_tdb: np.ndarray, origin: str = "", expected: bool = True) -> TimeAxis:
    """Order frames by time and choose their index.

    Parameters
    ----------
    mjd_utc, bjd_tdb : (frames,) float64
        Middle of the exposures, MJD and full BJD in days; NaN where unknown.
    origin : str
        Where the times come from, in words.
    expected : bool
        Whether frames without any time deserve a note (files do, arrays do not).

    Returns
    -------
    TimeAxis
    """
    is_barycentric = bool(np.isfinite(bjd_tdb).all()) and bjd_tdb.size > 0
    times = bjd_tdb if is_barycentric else mjd_utc + MJD_ZERO
    attrs = dict(BJD_ATTRS if is_barycentric else JD_ATTRS)
    if origin:
        attrs["source"] = origin
    order, index, index_attrs, raw, notes = choose_index(times, attrs, expected)
    coords: dict[str, tuple[Any, dict[str, Any]]] = {}
    if raw is not None:
        coords["time_raw"] = (raw, attrs)
    if np.isfinite(mjd_utc).any():
        mjd_utc = mjd_utc[order]
        coords["mjd_utc"] = (mjd_utc, dict(MJD_ATTRS))
        coords["jd_utc"] = (Shifted(mjd_utc, MJD_ZERO).where_long(), dict(JD_ATTRS))
    if np.isfinite(bjd_tdb).any():
        coords["bjd_tdb"] = (index if index_attrs.get("scale") == "tdb" else bjd_tdb[order], dict(BJD_ATTRS))
    return TimeAxis(order, index, index_attrs, coords, notes)


def choose_index(
    times: np.ndarray, attrs: dict[str, Any], expected: bool = True
) -> tuple[np.ndarray | slice, np.ndarray, dict[str, Any], np.ndarray | None, list[str]]:
    """Choose between times and frame numbers as the index.

    Parameters
    ----------
    times : (frames,) float64
        Days; NaN where unknown.
    attrs : dict
        Attributes of these times.
    expected : bool
        Whether it is worth a note that no frame has a time.

    Returns
    -------
    order : (frames,) int, or slice
        Frames in the order of the series; the slice of all where they are in order.
    index : (frames,)
        Its index: the times, or the frame numbers from 0 on.
    index_attrs : dict
        Attributes of the index.
    raw : (frames,) or None
        The times in that order, if they are not the index and at least one is known.
    notes : list of str
        Why the times are not the index.
    """
    numbers = np.arange(times.size)
    missing = int((~np.isfinite(times)).sum())
    if missing == times.size:
        notes = ["no frame has a time in its header: the index is the frame number"] if expected else []
        return slice(None), numbers, dict(NUMBER_ATTRS), None, notes
    if missing:
        # Frames without a time have a place only in the order in which they were given.
        note = f"{missing} of {times.size} frames have no time: the index is the frame number, the times are in time_raw"
        return slice(None), numbers, dict(NUMBER_ATTRS), times.copy(), [note]
    if (times[1:] > times[:-1]).all():
        return slice(None), times, dict(attrs), None, []
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    repeated = int((np.diff(ordered) == 0).sum())
    if repeated:
        note = f"{repeated} of {times.size} times are repeated: the index is the frame number, the times are in time_raw"
        return order, numbers, dict(NUMBER_ATTRS), ordered, [note]
    return order, ordered, dict(attrs), None, []
