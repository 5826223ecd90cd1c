"""Single frames and cubes of any camera: the image, its error if there is an ERR extension, and the time in the header."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tsogrid.config import InputConfig
from tsogrid.errors import InputError
from tsogrid.io.cards import Cards, first_number, first_value
from tsogrid.io.cubes import is_slope, plane_times
from tsogrid.io.fits import FitsFile, Image, Unit
from tsogrid.io.instruments import ATTRIBUTES, attributes, first_celestial_wcs
from tsogrid.io.mid_times import mid_times, start_times
from tsogrid.io.observer import Observed, observe
from tsogrid.io.pointing import Pointing, header_target
from tsogrid.io.sections import sections_text
from tsogrid.io.series import FileFrames, header_number, integration_seconds, require_alike, require_shape
from tsogrid.io.times import DAY, EXPOSURE_KEYS, FrameStamps, read_stamps
from tsogrid.io.told_times import LENGTH_KEYS, NUMBER_KEYS, Step, integration_step, read_told

# What stands beside a science image: errors, quality, weights, exposure and background maps.
_COMPANION = re.compile(
    r"^(ERR|UNC|SIGMA|STD|RMS|VAR|IVAR|WHT|WEIGHT|DQ|MASK|BPM|FLAG|QUAL|NSAMP|SAMP|TIME|EXP|BKG|BACK|SKY|AREA|CON|CTX|COV|PSF|CAT)"
)


def science_unit(file: FitsFile, extension: int | str | None) -> Unit:
    """Find the unit that holds the frames: the one that is named, else SCI, else the first image.

    Raises
    ------
    InputError
        There is no such extension, no image at all, or several of one size that nothing tells apart.
    """
    if extension is not None:
        return named_unit(file, extension, "extension")
    images = [unit for unit in file.units if unit.is_image]
    named = [unit for unit in images if unit.name == "SCI"]
    if not images:
        raise InputError(f"{file.path}: expected an image, found none{file.contents()}")
    alike = [unit for unit in named or images if unit.axes == (named or images)[0].axes and not _COMPANION.match(unit.name)]
    if len(alike) > 1:
        names = ", ".join(_called(unit) for unit in alike)
        raise InputError(
            f"{file.path}: expected one image, found {len(alike)} of one size, such as amplifiers or chips: {names}. "
            "Choose one with input.extension; each is measured in a run of its own."
        )
    return (named or images)[0]


def _called(unit: Unit) -> str:
    version = unit.header.get("EXTVER")
    return f"{unit.index}" + (f" ({unit.name}{'' if version is None else f',{version}'})" if unit.name else "")


def named_unit(file: FitsFile, extension: int | str, what: str) -> Unit:
    """Find the unit that a key of ``input`` names, by EXTNAME (with EXTVER: ``SCI,2``) or by number.

    Raises
    ------
    InputError
        There is no such extension.
    """
    if isinstance(extension, str) and not extension.lstrip("-").isdigit():
        name, _, version = extension.strip().upper().partition(",")
        fitting = [unit for unit in file.units if unit.name == name.strip()]
        if version.strip():
            fitting = [unit for unit in fitting if str(unit.header.get("EXTVER", 1)) == version.strip()]
        named = fitting[0] if fitting else None
        if named is not None:
            return named
        if extension.strip().upper() == "PRIMARY":
            return file.units[0]
    elif 0 <= int(extension) < len(file.units):
        return file.units[int(extension)]
    raise InputError(f"{file.path}: expected an extension {extension!r} (input.{what}), found none{file.contents()}")


def plane_of(file: FitsFile, image: Image, plane: int | None) -> Image:
    """Give one plane of a cube as an image of its own; without a plane the image as it is.

    Raises
    ------
    InputError
        The cube does not have so many.
    """
    if plane is None:
        return image
    rows, ny, nx = image.shape
    if plane >= rows:
        what = "a 2-D frame" if rows == 1 else f"{rows} planes"
        raise InputError(f"{file.path}: expected a cube with a plane {plane} (input.plane, counted from 0), found {what}")
    tiled = image.pixels.extension is not None
    step = 1 if tiled else image.pixels.stride or ny * nx * np.dtype(image.pixels.dtype).itemsize
    return replace(image, offset=image.offset + plane * step, shape=(1, ny, nx))


class GroundReader:
    """Reads files one by one; the times are known when all headers have been seen."""

    name = "fits"

    def __init__(self, config: InputConfig) -> None:
        self.config = config
        self.keyword = config.time_keyword.strip().upper() if config.time_keyword else None
        self.parts: list[FileFrames] = []
        self.stamps: list[FrameStamps] = []
        self.counted: list[tuple[int, float] | None] = []
        self.steps: list[Step] = []
        self.pointings: list[Pointing | None] = []
        self.first_headers: list[Cards] = []
        self.observed = Observed()
        self._texts: dict[str | None, str | None] = {}  # files that share their world coordinates share the text

    def add(self, file: FitsFile) -> None:
        """Take in a scanned file."""
        unit = science_unit(file, self.config.extension)
        whole = file.image(unit)
        slope = self.config.plane is None and is_slope(file, unit)
        science = plane_of(file, whole, 0 if slope else self.config.plane)
        images = {"SCI": science}
        if slope and self.config.error == "err":  # a formal error of the fit, too small: only for who asks for it
            images["ERR"] = plane_of(file, whole, 1)
        error = file.find("ERR")
        if error is not None and error is not unit and self.config.error != "none":
            images["ERR"] = file.image(error)
            require_shape(file, "ERR", images["ERR"], whole)
            images["ERR"] = plane_of(file, images["ERR"], self.config.plane)
        headers = self._headers(file, unit)
        rows = science.shape[0]
        unknown = np.full(rows, np.nan)
        units = unit.header.get("BUNIT", "DN/s" if slope else None)
        seconds, key = integration_seconds(file, headers, self.config, str(units or ""))
        wcs = first_celestial_wcs(headers)
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
                seconds,
                key,
                self._texts.setdefault(wcs, wcs),
                *_setup(headers),
            )
        )
        self._add_times(file, headers, rows)

    def _add_times(self, file: FitsFile, headers: list[Cards], rows: int) -> None:
        timing = self.config.timing
        self.first_headers = self.first_headers or headers
        self.pointings.append(header_target(headers) if self.config.target is None else None)
        if rows > 1:
            # The header of a cube tells when the cube began, not when each of its frames did.
            if timing != "auto" or self.keyword is not None:
                key = "timing" if timing != "auto" else "time_keyword"
                value = getattr(self.config, key)
                raise InputError(
                    f"{file.path}: expected files of one frame each (input.{key} is {value}), found a cube of {rows}. "
                    f"Choose its frame with input.plane, or leave out {key}."
                )
            if (known := plane_times(headers, rows)) is not None:
                part = self.parts[-1]
                part.mjd_utc[:], part.bjd_tdb[:], part.origin = known
            self.stamps.append(FrameStamps({}, float("nan"), "utc"))
            self.counted.append(None)
            return
        if timing != "auto":
            self.steps.append(integration_step(file.path, headers, timing))
        if self.keyword is not None:
            self.stamps.append(read_told(file.path, headers, self.keyword, self.config.time_format, self.config.time_offset))
        else:
            self.stamps.append(read_stamps(headers, self.config.time_offset))
            self.counted.append(_counted_time(headers))

    def finish(self) -> tuple[list[FileFrames], list[str]]:
        """Give all files with their times, and what the user should know."""
        require_alike(self.parts)
        if self.steps:
            self._finish_steps()
            return self.parts, []
        if self.counted and all(each is not None for each in self.counted):
            for part, each in zip(self.parts, self.counted, strict=True):
                assert each is not None
                part.integration[:], part.mjd_utc[:] = each
                part.origin = "EXPSTART and the number of the integration"
            return self.parts, []
        mjd, origin, notes = mid_times(self.stamps, self.config.time_stamp, self.keyword)
        for part, time in zip(self.parts, mjd, strict=True):
            if part.rows == 1:
                part.mjd_utc[:] = time
                part.origin = origin
        if all(part.rows == 1 for part in self.parts):
            notes = [*notes, *self._finish_observed(mjd)]
        return self.parts, notes

    def _finish_observed(self, mjd: np.ndarray) -> list[str]:
        """Give the times what site and target make of them; what the user should know."""
        found = self.observed = observe(self.config, mjd, self.first_headers, self.pointings)
        for index, part in enumerate(self.parts):
            if found.bjd_tdb is not None and found.altitude is not None and found.airmass is not None:
                part.bjd_tdb[:] = found.bjd_tdb[index]
                part.altitude, part.airmass = found.altitude[index : index + 1], found.airmass[index : index + 1]
                part.origin = f"{part.origin}; {found.words}"
        return found.notes

    def _finish_steps(self) -> None:
        """Count every frame's time from the start of its exposure, as input.timing says."""
        start, key = start_times(self.stamps, self.keyword)
        for part, time, step in zip(self.parts, start, self.steps, strict=True):
            if np.isnan(time):
                raise InputError(
                    f"{part.path}: expected the start of the exposure in the header (input.timing is {self.config.timing}), "
                    f"found none{f' in {key}' if key else ''}. Name its keyword in input.time_keyword."
                )
            part.integration[:] = step.number
            part.mjd_utc[:] = time + step.seconds / DAY
            part.origin = f"{key} and the number of the integration (timing: {self.config.timing})"

    def describe(self, file: FitsFile) -> dict[str, Any]:
        """Give the attributes that a file tells."""
        unit = science_unit(file, self.config.extension)
        headers = self._headers(file, unit)
        sections = sections_text(headers)
        told = attributes(headers, file.image(unit).shape[1:]) | ({"sections": sections} if sections else {})
        told |= self.observed.attributes
        return {"units": "DN/s"} | told if self.config.plane is None and is_slope(file, unit) else told

    def _headers(self, file: FitsFile, unit: Unit) -> list[Cards]:
        """Where keywords are looked for, in order: where the user says, with the image, in the first header."""
        units = [unit, file.units[0]]
        if self.config.header_extension is not None:
            units.insert(0, named_unit(file, self.config.header_extension, "header_extension"))
        return [each.header for each in {each.index: each for each in units}.values()]


def _setup(headers: list[Cards]) -> tuple[float, str]:
    """Give exposure time and filter, by which calibration frames are chosen; NaN and empty where they are not known."""
    seconds, name = first_number(headers, *EXPOSURE_KEYS), first_value(headers, *ATTRIBUTES["filter"])
    return float("nan") if seconds is None else float(seconds), "" if name is None else str(name).strip()


def _counted_time(headers: Sequence[Cards]) -> tuple[int, float] | None:
    """Give the number of an integration and its middle (MJD), in files that hold one integration of an exposure each.

    DATE-OBS is that of the exposure in all of them. ``EXPSTART + (n − 1)(INTTIME + NRESETS·TFRAME) + INTTIME/2``, with
    EFFINTTM where INTTIME is missing.
    """

    keys = (NUMBER_KEYS, ("EXPSTART",), LENGTH_KEYS, ("TFRAME",))
    number, start, length, frame = (first_number(headers, *each) for each in keys)
    if number is None or start is None or length is None or frame is None:
        return None
    resets = first_number(headers, "NRESETS")
    cadence = length + (1 if resets is None else resets) * frame
    return int(number), start + ((number - 1) * cadence + length / 2) / DAY
