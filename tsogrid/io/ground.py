"""Single frames and cubes of any camera: the image, its error if there is an ERR extension, and the time in the header."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsogrid.config import InputConfig
from tsogrid.errors import InputError
from tsogrid.io.cards import Cards, first_number
from tsogrid.io.fits import FitsFile, Unit, scan
from tsogrid.io.instruments import attributes
from tsogrid.io.series import FileFrames, header_number, require_alike, require_shape
from tsogrid.io.times import DAY, FrameStamps, mid_times, read_stamps

_COUNT_KEYS = ("ON_NINT", "ON_INT")  # number of the integration, in frames cut from an exposure of the JWST


def science_unit(file: FitsFile, extension: int | str | None) -> Unit:
    """Find the unit that holds the frames: the one that is named, else SCI, else the first image.

    Raises
    ------
    InputError
        There is no such extension, or no image at all.
    """
    if extension is None:
        named = file.find("SCI")
        if named is not None:
            return named
        for unit in file.units:
            if unit.is_image or unit.is_compressed:
                return unit
        raise InputError(f"{file.path}: expected an image, found none{file.contents()}")
    if isinstance(extension, str) and not extension.lstrip("-").isdigit():
        named = file.find(extension.strip().upper())
        if named is not None:
            return named
        if extension.strip().upper() == "PRIMARY":
            return file.units[0]
    elif 0 <= int(extension) < len(file.units):
        return file.units[int(extension)]
    raise InputError(f"{file.path}: expected an extension {extension!r} (input.extension), found none{file.contents()}")


class GroundReader:
    """Reads files one by one; the times are known when all headers have been seen."""

    name = "fits"

    def __init__(self, config: InputConfig) -> None:
        self.config = config
        self.parts: list[FileFrames] = []
        self.stamps: list[FrameStamps] = []
        self.counted: list[tuple[int, float] | None] = []

    def add(self, file: FitsFile) -> None:
        """Take in a scanned file."""
        unit = science_unit(file, self.config.extension)
        science = file.image(unit)
        images = {"SCI": science}
        error = file.find("ERR")
        if error is not None and error is not unit and self.config.error != "none":
            images["ERR"] = file.image(error)
            require_shape(file, "ERR", images["ERR"], science)
        headers = _headers(file, unit)
        rows = science.shape[0]
        unknown = np.full(rows, np.nan)
        units = unit.header.get("BUNIT")
        self.parts.append(
            FileFrames(
                file.path,
                file.size,
                file.hash,
                images,
                np.arange(1, rows + 1),
                unknown.copy(),
                unknown.copy(),
                "",
                {} if units is None else {"BUNIT": units},
                header_number(file, headers, "gain", self.config.gain),
                header_number(file, headers, "read_noise", self.config.read_noise),
            )
        )
        # The header of a cube tells when the cube began, not when each of its frames did.
        self.stamps.append(read_stamps(headers) if rows == 1 else FrameStamps({}, float("nan"), "utc"))
        self.counted.append(_counted_time(headers) if rows == 1 else None)

    def finish(self) -> tuple[list[FileFrames], list[str]]:
        """Give all files with their times, and what the user should know."""
        require_alike(self.parts)
        if all(each is not None for each in self.counted):
            for part, each in zip(self.parts, self.counted, strict=True):
                assert each is not None
                part.integration[:], part.mjd_utc[:] = each
                part.origin = "EXPSTART and the number of the integration"
            return self.parts, []
        mjd, origin, notes = mid_times(self.stamps, self.config.time_stamp)
        for part, time in zip(self.parts, mjd, strict=True):
            if part.rows == 1:
                part.mjd_utc[:] = time
                part.origin = origin
        return self.parts, notes

    def describe(self, path: str) -> dict[str, Any]:
        """Give the attributes that a file tells."""
        file = scan(path)
        unit = science_unit(file, self.config.extension)
        return attributes(_headers(file, unit), file.image(unit).shape[1:])


def _headers(file: FitsFile, unit: Unit) -> list[Cards]:
    return [unit.header] if unit.index == 0 else [unit.header, file.primary]


def _counted_time(headers: Sequence[Cards]) -> tuple[int, float] | None:
    """Give the number of an integration and its middle (MJD), in files that hold one integration of an exposure each.

    DATE-OBS is that of the exposure in all of them. ``EXPSTART + (n − 1)(INTTIME + NRESETS·TFRAME) + INTTIME/2``, with
    EFFINTTM where INTTIME is missing.
    """

    keys = (_COUNT_KEYS, ("EXPSTART",), ("INTTIME", "EFFINTTM"), ("TFRAME",))
    number, start, length, frame = (first_number(headers, *each) for each in keys)
    if number is None or start is None or length is None or frame is None:
        return None
    resets = first_number(headers, "NRESETS")
    cadence = length + (1 if resets is None else resets) * frame
    return int(number), start + ((number - 1) * cadence + length / 2) / DAY
