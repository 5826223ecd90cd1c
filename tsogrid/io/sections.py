"""Sections of a frame as FITS headers write them: ``[x1:x2,y1:y2]``, counted from 1, ends included."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsogrid.config import Overscan
from tsogrid.errors import ConfigError, InputError
from tsogrid.io.cards import Cards

_SECTION = re.compile(r"^\s*\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]\s*$")
_BIAS = re.compile(r"^(?:BIASSEC|BSEC)(\d*)$")
_DATA = ("TRIMSEC", "TSEC", "DATASEC", "DSEC")


class Box(NamedTuple):
    """Rows [y0, y1) and columns [x0, x1) of a frame, counted from 0."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def text(self) -> str:
        """Write it as a FITS header does."""
        return f"[{self.x0 + 1}:{self.x1},{self.y0 + 1}:{self.y1}]"


class AmplifierSections(NamedTuple):
    """Where one amplifier's overscan lies, which pixels it reads, and along which axis its levels are taken.

    ``axis`` is 1 if the overscan lies beside the data (a level a row), 2 if above or below (a level a column).
    """

    section: Box
    data: Box
    axis: int
    gain: float | None
    read_noise: float | None


class Layout(NamedTuple):
    """The amplifiers of a frame, and its part that sees the sky (None: nothing is cut off)."""

    amplifiers: tuple[AmplifierSections, ...]
    trim: Box | None


def sections_text(headers: Sequence[Cards]) -> str:
    """Collect all keywords of headers that hold a section, as one text: ``BIASSEC=[…] TRIMSEC=[…]``."""
    found: dict[str, str] = {}
    for header in headers:
        for key in header:
            if "[" in header.text(key) and isinstance(value := header.get(key), str) and _SECTION.match(value):
                found.setdefault(key, value.replace(" ", ""))
    return " ".join(f"{key}={value}" for key, value in found.items())


def box_of(text: str, shape: tuple[int, int], known: dict[str, str], what: str) -> Box:
    """Read a section, or the header keyword that holds it.

    Raises
    ------
    ConfigError, InputError
        It is neither, or reaches outside the frame.
    """
    keyword = text.strip().upper()
    match = _SECTION.match(known.get(keyword, text))
    if match is None:
        have = ", ".join(known) or "none"
        raise ConfigError(
            f"{what}: expected a section such as [1:32,1:{shape[0]}] (x1:x2,y1:y2, counted from 1, ends included) "
            "or a header "
            f"keyword that holds one, found {text!r}. Keywords of the first frame with a section: {have}."
        )
    x1, x2, y1, y2 = (int(each) for each in match.groups())
    box = Box(min(y1, y2) - 1, max(y1, y2), min(x1, x2) - 1, max(x1, x2))
    if box.y0 < 0 or box.x0 < 0 or box.y1 > shape[0] or box.x1 > shape[1]:
        raise InputError(
            f"{what}: expected a section inside the frame of {shape[1]} × {shape[0]} pixels (x × y), found {box.text()}. "
            "Give a section of the frame as it is stored."
        )
    return box


def layout_of(overscan: Overscan, text: str, shape: tuple[int, int]) -> Layout:
    """Find where overscan and data lie.

    Parameters
    ----------
    overscan : Overscan
        What the configuration says; without amplifiers BIASSEC (or BIASSEC1, BIASSEC2, …, BSEC11, …) of the header, and
        TRIMSEC, else DATASEC, of the same number.
    text : str
        Sections in the header, see `sections_text`.
    shape : (int, int)
        Rows and columns of a frame.

    Returns
    -------
    Layout

    Raises
    ------
    ConfigError, InputError
        No overscan is known, a section is none, or sections do not fit together.
    """
    known = dict(item.split("=", 1) for item in text.split())
    named = [(each.section, each.data, each.gain, each.read_noise) for each in overscan.amplifiers]
    if not named:
        numbers = sorted(match.group(1) for key in known if (match := _BIAS.match(key)))
        numbers = [number for number in numbers if number] or numbers  # numbered ones are more than the one for all
        named = [(_key(known, ("BIASSEC", "BSEC"), n) or "", _key(known, _DATA, n), None, None) for n in numbers]
    if not named:
        raise InputError(
            "calibrate.overscan: expected BIASSEC in the header of the first frame, found none. Give the "
            "section, for example "
            f'overscan: "[1:32,1:{shape[0]}]" (x1:x2,y1:y2, counted from 1, ends included).'
        )
    boxes = [box_of(section, shape, known, "calibrate.overscan") for section, *_ in named]
    shares = _shared(boxes, shape) if len(named) > 1 and not any(data for _, data, *_ in named) else []
    amplifiers = []
    for index, (box, (_, data, gain, noise)) in enumerate(zip(boxes, named, strict=True)):
        if data is not None:
            seen = box_of(data, shape, known, "calibrate.overscan.amplifiers.data")
        elif len(named) == 1:
            seen = _seen(box, shape, known)
        elif shares:
            seen = shares[index]
        else:
            raise ConfigError(
                "calibrate.overscan: expected data: (the pixels that it reads) for each of several amplifiers, "
                "found none for "
                f"the overscan {box.text()}."
            )
        axis = 1 if box.x1 <= seen.x0 or box.x0 >= seen.x1 else 2
        if axis == 2 and not (box.y1 <= seen.y0 or box.y0 >= seen.y1):
            raise ConfigError(f"calibrate.overscan: expected overscan and data apart, found {box.text()} and {seen.text()}.")
        amplifiers.append(AmplifierSections(_skipped(box, seen, axis, overscan.skip), seen, axis, gain, noise))
    if len({each.axis for each in amplifiers}) > 1:
        raise ConfigError("calibrate.overscan: expected all overscans beside, or all above or below the data, found both.")
    return Layout(tuple(amplifiers), _trimmed(overscan, amplifiers, known, shape))


def _key(known: dict[str, str], names: Sequence[str], number: str) -> str | None:
    return next((f"{name}{number}" for name in names if f"{name}{number}" in known), None)


def _seen(box: Box, shape: tuple[int, int], known: dict[str, str]) -> Box:
    """The data section of the header if it lies beside the overscan, else all pixels on the larger side of it."""
    if (key := _key(known, _DATA, "")) is not None:
        told = box_of(key, shape, known, "calibrate.overscan")
        if told.x1 <= box.x0 or told.x0 >= box.x1 or told.y1 <= box.y0 or told.y0 >= box.y1:
            return told
    ny, nx = shape
    if box.y1 - box.y0 >= box.x1 - box.x0:
        left = box.x0 > nx - box.x1
        return Box(0, ny, 0 if left else box.x1, box.x0 if left else nx)
    low = box.y0 > ny - box.y1
    return Box(0 if low else box.y1, box.y0 if low else ny, 0, nx)


def _shared(boxes: list[Box], shape: tuple[int, int]) -> list[Box]:
    """Share the columns outside all overscans equally, from left to right; nothing where that is not clear."""
    columns = np.ones(shape[1], bool)
    for box in boxes:
        columns[box.x0 : box.x1] = False
    seen = np.flatnonzero(columns)
    upright = all(box.y1 - box.y0 > box.x1 - box.x0 for box in boxes)
    if not upright or not seen.size or seen[-1] - seen[0] + 1 != seen.size or seen.size % len(boxes):
        return []
    width, left = seen.size // len(boxes), int(seen[0])
    order = sorted(range(len(boxes)), key=lambda index: boxes[index].x0)
    return [Box(0, shape[0], left + order.index(i) * width, left + (order.index(i) + 1) * width) for i in range(len(boxes))]


def _skipped(box: Box, data: Box, axis: int, skip: int) -> Box:
    """Leave out the pixels next to the data, where charge trails."""
    y0, y1, x0, x1 = box
    if axis == 1:
        x0, x1 = (x0 + skip, x1) if x0 >= data.x1 else (x0, x1 - skip)
    else:
        y0, y1 = (y0 + skip, y1) if y0 >= data.y1 else (y0, y1 - skip)
    if x0 >= x1 or y0 >= y1:
        raise ConfigError(
            f"calibrate.overscan.skip: expected fewer pixels than the overscan {box.text()} has, found {skip}."
        )
    return Box(y0, y1, x0, x1)


def _trimmed(
    overscan: Overscan, amplifiers: list[AmplifierSections], known: dict[str, str], shape: tuple[int, int]
) -> Box | None:
    if isinstance(overscan.trim, str):
        return box_of(overscan.trim, shape, known, "calibrate.overscan.trim")
    if not overscan.trim:
        return None
    boxes = [each.data for each in amplifiers]
    return Box(min(b.y0 for b in boxes), max(b.y1 for b in boxes), min(b.x0 for b in boxes), max(b.x1 for b in boxes))
