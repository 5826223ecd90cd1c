"""Products of the JWST pipeline: ``_calints``, ``_crfints``, ``_rateints`` in segments, and averaged ``_cal`` and ``_rate``.

The segments of an exposure number their integrations through; the numbers put them in order, show what is missing or
doubled, and give the times where the table INT_TIMES does not.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from tsogrid.config import InputConfig
from tsogrid.errors import InputError
from tsogrid.io.cards import first_value
from tsogrid.io.fits import FitsFile, Unit
from tsogrid.io.ground import science_unit
from tsogrid.io.instruments import attributes, first_celestial_wcs, is_spectral
from tsogrid.io.series import FileFrames, header_number, integration_seconds, require_alike, require_shape
from tsogrid.io.times import DAY, MJD_ZERO

_EXPOSURE_KEYS = ("PROGRAM", "OBSERVTN", "VISIT", "VISITGRP", "SEQ_ID", "ACT_ID", "EXPOSURE")
_SETUP_KEYS = (
    *("TARGNAME", "INSTRUME", "DETECTOR", "FILTER", "PUPIL", "SUBARRAY", "SUBSTRT1", "SUBSTRT2", "EXP_TYPE"),
    "BUNIT",
)
_BJD_IS_FULL = 1e6  # days: in these files BJD_TDB is BJD − 2400000.5, a number of five digits


def is_jwst(file: FitsFile) -> bool:
    """Whether a file is a product of the JWST pipeline that holds images."""
    return file.primary.get("TELESCOP") == "JWST" and file.find("SCI") is not None


class JWSTReader:
    """Reads segments one by one and puts them in order."""

    name = "jwst"

    def __init__(self, config: InputConfig) -> None:
        self.config = config
        self.parts: list[FileFrames] = []
        self.segments: list[tuple[int | None, int | None]] = []  # number, total
        self.spectral: set[str] = set()

    def add(self, file: FitsFile) -> None:
        """Take in a scanned file."""
        unit = science_unit(file, self.config.extension or "SCI")
        science = file.image(unit)
        images = {"SCI": science}
        for name in ("ERR", "VAR_POISSON", "VAR_RNOISE", "DQ"):
            other = file.find(name)
            if other is not None and other.nbytes and other is not unit:
                images[name] = file.image(other)
                require_shape(file, name, images[name], science)
        number, mjd, bjd, origin = _times(file, science.shape[0], len(unit.axes) == 2)
        headers = [unit.header, file.primary]
        keys = _SETUP_KEYS if len(unit.axes) == 2 else (*_SETUP_KEYS, *_EXPOSURE_KEYS)
        keywords: dict[str, Any] = {}
        for key in keys:
            if (found := first_value(headers, key)) is not None:
                keywords[key] = found
        keywords["dimensions"] = len(unit.axes)
        if is_spectral(kind := str(keywords.get("EXP_TYPE", ""))):
            self.spectral.add(kind)
        seconds, key = integration_seconds(file, headers, self.config, str(keywords.get("BUNIT", "")))
        self.segments.append((file.primary.get("EXSEGNUM"), file.primary.get("EXSEGTOT")))
        self.parts.append(
            FileFrames(
                file.path,
                file.size,
                file.hash,
                images,
                number,
                mjd,
                bjd,
                origin,
                keywords,
                header_number(file, headers, "gain", self.config.gain),
                header_number(file, headers, "read_noise", self.config.read_noise),
                seconds,
                key,
                first_celestial_wcs(headers),
            )
        )

    def finish(self) -> tuple[list[FileFrames], list[str]]:
        """Give the segments in order, and what the user should know."""
        notes = [f"EXP_TYPE {kind} means spectra: frames are measured as direct images" for kind in sorted(self.spectral)]
        order = sorted(range(len(self.parts)), key=lambda i: int(self.parts[i].integration[0]))
        require_alike(self.parts)
        parts = [self.parts[i] for i in order]
        if parts[0].keywords["dimensions"] == 3:
            self._require_apart(parts)
            notes.extend(self._missing())
        return parts, notes

    def _require_apart(self, parts: list[FileFrames]) -> None:
        for before, part in pairwise(parts):
            if part.integration[0] <= before.integration[-1]:
                raise InputError(
                    f"{part.path}: integrations {part.integration[0]} to {part.integration[-1]} are also in "
                    f"{before.name} ({before.integration[0]} to {before.integration[-1]}): name each segment once"
                )

    def _missing(self) -> list[str]:
        numbers = {int(number) for number, _ in self.segments if number is not None}
        totals = {int(total) for _, total in self.segments if total is not None}
        if not numbers:
            return []
        # Without a total only gaps between the segments can be seen.
        expected = range(1, max(totals) + 1) if totals else range(min(numbers), max(numbers) + 1)
        missing = [str(n) for n in expected if n not in numbers]
        if not missing:
            return []
        several = "segments" if len(missing) > 1 else "segment"
        verb = "are" if len(missing) > 1 else "is"
        of = f" of {max(totals)}" if totals else ""
        return [f"{several} {', '.join(missing)}{of} of the exposure {verb} not among the files; the rest is read"]

    def describe(self, file: FitsFile) -> dict[str, Any]:
        """Give the attributes that a file tells."""
        unit = science_unit(file, self.config.extension or "SCI")
        return attributes([unit.header, file.primary], file.image(unit).shape[1:])


def _times(file: FitsFile, rows: int, averaged: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Give numbers, MJD_UTC and BJD_TDB (full, days) of the middle of each integration, and where they come from."""
    unknown = np.full(rows, np.nan)
    table = None if averaged else _read_table(file)
    start = file.primary.get("INTSTART")
    if start is None:
        # A table with this file's own rows knows which they are; an unsegmented exposure begins with 1.
        own_rows = table is not None and len(table["number"]) == rows
        start = int(table["number"][0]) if table is not None and own_rows else 1
    number = int(start) + np.arange(rows)
    if table is None:
        return number, _computed(file, number, averaged), unknown, "EXPSTART, EFFINTTM and TFRAME (computed)"
    first = int(start) - int(table["number"][0])
    here = slice(first, first + rows)
    if first < 0 or not np.array_equal(table["number"][here], number):
        raise InputError(
            f"{file.path}: expected rows of INT_TIMES for integrations {number[0]} to {number[-1]}, found "
            f"{len(table['number'])} rows, {table['number'][0]} to {table['number'][-1]}"
        )
    mjd, bjd = table["mjd"][here], table["bjd"][here]
    origin = "INT_TIMES"
    if not _are_times(mjd):  # a table that nobody has filled
        mjd, origin = _computed(file, number, averaged), "EXPSTART, EFFINTTM and TFRAME (computed)"
    bjd = np.where(bjd < _BJD_IS_FULL, bjd + MJD_ZERO, bjd) if _are_times(bjd) else unknown
    return number, mjd, bjd, origin


def _are_times(days: np.ndarray) -> bool:
    return bool(np.isfinite(days).all() and (days > 0).all())


def _read_table(file: FitsFile) -> dict[str, np.ndarray] | None:
    unit: Unit | None = file.find("INT_TIMES")
    table = None if unit is None else file.table(unit)
    if table is None or not len(table):
        return None
    columns = {str(name).lower(): name for name in table.dtype.names}
    wanted = {"number": "integration_number", "mjd": "int_mid_mjd_utc", "bjd": "int_mid_bjd_tdb"}
    if not {wanted["number"], wanted["mjd"]} <= columns.keys():
        raise InputError(
            f"{file.path}: expected INT_TIMES with the columns integration_number and int_mid_MJD_UTC, found "
            f"{', '.join(table.dtype.names)}"
        )
    result = {}
    for key, name in wanted.items():
        dtype = np.int64 if key == "number" else np.float64
        if name in columns:
            result[key] = np.array(table[columns[name]], dtype=dtype)
        else:
            result[key] = np.full(len(table), np.nan)
    return result


def _computed(file: FitsFile, number: np.ndarray, averaged: bool) -> np.ndarray:
    """Compute the middle of integrations, MJD in UTC.

    ``EXPSTART + (n − 1)(EFFINTTM + NRESETS·TFRAME) + EFFINTTM/2``, in seconds after EXPSTART. EXPSTART is the
    exposure's, also in later segments. The middle of an average is the mean over its integrations.
    """
    primary = file.primary
    start, length, frame = (primary.number(key) for key in ("EXPSTART", "EFFINTTM", "TFRAME"))
    resets = primary.get("NRESETS", 1)
    n = number.astype(float)
    if averaged:
        last = primary.get("INTEND", number[0] + int(primary.get("NINTS", 1)) - 1)
        n = (n + max(float(last), float(number[0]))) / 2
    if start is None or length is None or (frame is None and (n != 1).any() and resets):
        return np.full(number.size, np.nan)
    return np.asarray(start + ((n - 1) * (length + resets * (frame or 0.0)) + length / 2) / DAY)
