"""What the detector and the optics put on the pixels of a series: overscan, bias, dark, flat, and what of it a window needs.

Windows are cut out of the masters as they are out of the frames; `tsogrid.engine.correction` takes them off the pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from tsogrid.kernels.overscan import OverscanLevels, overscan_levels, smooth_levels

Image = np.ndarray  # (ny, nx)
Region = tuple[int, int, int, int]  # rows [y0, y1), columns [x0, x1)


@dataclass(frozen=True)
class Strip:
    """The overscan of one amplifier, and the pixels that it reads.

    Parameters
    ----------
    section, data : Region
        Overscan and data.
    axis : int
        1 if a level is that of a row, 2 if of a column.
    gain, read_noise : float
        Of the amplifier; NaN if they are those of the whole frame.
    """

    section: Region
    data: Region
    axis: int
    gain: float = math.nan
    read_noise: float = math.nan


class Masters(NamedTuple):
    """Images (ny, nx) that belong to all frames, each None where there is none; errors of 1 sigma."""

    bias: Image | None = None
    bias_error: Image | None = None
    dark: Image | None = None
    dark_error: Image | None = None


_NONE = Masters()


class Levels(NamedTuple):
    """The levels of one amplifier in the frames of a block."""

    rows: slice  # of the window
    columns: slice
    axis: int
    level: np.ndarray  # (n, lines of the window)
    variance: np.ndarray  # likewise, in units of the variance of a pixel
    read_noise: float


@dataclass(frozen=True)
class Correction:
    """What is taken off the pixels of one window of one block.

    Parameters
    ----------
    levels : tuple of Levels
        Of the overscans.
    masters : Masters
        Cut to the window.
    flat, flat_error : ndarray, shape (n_flats, ny, nx), or None
        Cut to the window.
    which : ndarray of int, shape (n,)
        The flat of each frame.
    factor : ndarray, shape (n,)
        By which the dark is multiplied in each frame.
    gain, read_noise : ndarray, shape (ny, nx), or float
        Of amplifiers that have their own; NaN where they are those of the whole frame.
    all_errors : bool
        Whether the noise of the masters counts.
    """

    levels: tuple[Levels, ...]
    masters: Masters
    flat: np.ndarray | None
    flat_error: np.ndarray | None
    which: np.ndarray
    factor: np.ndarray
    gain: np.ndarray | float
    read_noise: np.ndarray | float
    all_errors: bool


@dataclass(frozen=True)
class Detector:
    """Calibration of a whole series.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of a frame.
    strips : tuple of Strip
        Overscans.
    statistic : str
        See `tsogrid.kernels.overscan`.
    order : int or None
        Likewise.
    masters : Masters
        Whole frames.
    flats : tuple of (Image, Image or None)
        Flats and their errors: one, or one a filter.
    which : ndarray of int, shape (n_frames,)
        The flat of each frame.
    factor : ndarray, shape (n_frames,)
        By which the dark is multiplied in each frame.
    all_errors : bool
        Whether the noise of the masters counts.
    lines : tuple of str
        What is done, in words.
    hashes : dict of str
        What decides the numbers.
    """

    shape: tuple[int, int]
    strips: tuple[Strip, ...] = ()
    statistic: str = "clipped-mean"
    order: int | None = None
    masters: Masters = _NONE
    flats: tuple[tuple[Image, Image | None], ...] = ()
    which: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    factor: np.ndarray = field(default_factory=lambda: np.zeros(0))
    all_errors: bool = False
    lines: tuple[str, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)
    _cuts: tuple[Region, ...] | None = None  # windows that the images were cut to, in place of whole frames

    @property
    def has_gain(self) -> bool:
        """Whether amplifiers have a gain of their own."""
        return any(math.isfinite(strip.gain) for strip in self.strips)

    def only(self, windows: list[Region]) -> "Detector":
        """Give the same with the images cut to windows: as much as these need, for sending."""

        def cut(image: Image | None) -> Image | None:
            if image is None or self._cuts is not None:
                return image
            return np.concatenate([image[y0:y1, x0:x1].ravel() for y0, y1, x0, x1 in windows])

        return replace(
            self,
            masters=Masters(*(cut(each) for each in self.masters)),
            flats=tuple((_there(cut(flat)), cut(error)) for flat, error in self.flats),
            _cuts=tuple(windows) if self._cuts is None else self._cuts,
        )

    def _cut(self, image: Image | None, window: Region) -> Image | None:
        if image is None:
            return None
        y0, y1, x0, x1 = window
        if self._cuts is None:
            return image[y0:y1, x0:x1]
        sizes = [(b - a) * (d - c) for a, b, c, d in self._cuts]
        index = self._cuts.index(window)
        start = sum(sizes[:index])
        return image[start : start + sizes[index]].reshape(y1 - y0, x1 - x0)

    def needed(self, window: Region) -> list[Region]:
        """Say which overscan pixels a window needs: one region for each amplifier that reads some of it."""
        return [self._read(strip, window) for strip in self._touching(window)]

    def _touching(self, window: Region) -> Iterator[Strip]:
        y0, y1, x0, x1 = window
        for strip in self.strips:
            a, b, c, d = strip.data
            if a < y1 and y0 < b and c < x1 and x0 < d:
                yield strip

    def _read(self, strip: Strip, window: Region) -> Region:
        a, b, c, d = strip.section
        if self.order is not None:
            return strip.section
        y0, y1, x0, x1 = _common(window, strip.data)
        first, last = (
            (max(a, min(y0, b)), min(b, max(y1, a))) if strip.axis == 1 else (max(c, min(x0, d)), min(d, max(x1, c)))
        )
        return (first, last, c, d) if strip.axis == 1 else (a, b, first, last)

    def overscan_pixels(self, window: Region) -> int:
        """Count the overscan pixels of a frame that are read for a window."""
        return sum((b - a) * (d - c) for a, b, c, d in self.needed(window))

    def for_block(
        self, window: Region, strips: list[np.ndarray] | None, first: int, last: int, whole: np.ndarray | None = None
    ) -> Correction:
        """Make ready what is taken off a window of frames first … last − 1.

        Parameters
        ----------
        window : Region
            Which pixels.
        strips : list of ndarray, shape (n, ny, nx), or None
            The overscan pixels that `needed` names; None: they are in `whole`.
        first, last : int
            Frames.
        whole : ndarray, shape (n, ny, nx), optional
            The pixels of whole frames.

        Returns
        -------
        Correction
        """
        if strips is None:
            strips = [_there(whole)[:, a:b, c:d] for a, b, c, d in self.needed(window)]
        touching = list(self._touching(window))
        levels = tuple(self._levels(strip, window, each) for strip, each in zip(touching, strips, strict=True))
        flats = [_there(self._cut(flat, window)) for flat, _ in self.flats]
        errors = [self._cut(error, window) for _, error in self.flats]
        known = bool(errors) and self.all_errors and all(each is not None for each in errors)
        return Correction(
            levels,
            Masters(*(self._cut(each, window) for each in self.masters)),
            np.stack(flats) if flats else None,
            np.stack([_there(each) for each in errors]) if known else None,
            self.which[first:last],
            self.factor[first:last],
            self._map("gain", window),
            self._map("read_noise", window),
            self.all_errors,
        )

    def _map(self, name: str, window: Region) -> np.ndarray | float:
        """Spread a number of the amplifiers over the pixels of a window."""
        if all(math.isnan(getattr(strip, name)) for strip in self.strips):
            return math.nan
        y0, y1, x0, x1 = window
        made = np.full((y1 - y0, x1 - x0), np.nan)
        for strip in self._touching(window):
            a, b, c, d = _common(window, strip.data)
            made[a - y0 : b - y0, c - x0 : d - x0] = getattr(strip, name)
        return made

    def _levels(self, strip: Strip, window: Region, pixels: np.ndarray) -> Levels:
        y0, y1, x0, x1 = _common(window, strip.data)
        across = pixels if strip.axis == 1 else pixels.swapaxes(1, 2)
        found = overscan_levels(across, self.statistic)
        lines = np.arange(y0, y1) if strip.axis == 1 else np.arange(x0, x1)
        read = self._read(strip, window)
        start = read[0] if strip.axis == 1 else read[2]
        if self.order is not None:
            found = smooth_levels(found, self.order, lines - start)
        else:  # lines without overscan have no level
            inside = (lines >= start) & (lines < start + found.level.shape[1])
            spread = [np.full((len(pixels), lines.size), np.nan) for _ in found]
            for whole, part in zip(spread, found, strict=True):
                whole[:, inside] = part
            found = OverscanLevels(*spread)
        rows, columns = slice(y0 - window[0], y1 - window[0]), slice(x0 - window[2], x1 - window[2])
        return Levels(rows, columns, strip.axis, found.level, found.variance, strip.read_noise)


def _there(image: Image | None) -> Image:
    assert image is not None
    return image


def _common(one: Region, other: Region) -> Region:
    return max(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), min(one[3], other[3])
