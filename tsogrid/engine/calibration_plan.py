"""Which calibration a series gets: overscan, masters, what chooses them (exposure times, filters), and what is always bad.

Everything that headers and calibration files decide is decided here, once, before a pixel of the series is read.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from tsogrid.config import Config, Dark, Flat, Master
from tsogrid.engine.detector import Detector, Masters
from tsogrid.engine.electronics import electronics_of, less_electronics, with_bias
from tsogrid.engine.masters import Made, combined, digest, kept_or_made, made, ready_master
from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.io.calibration_frames import CalibrationFile, calibration_files, is_raw, require_shape

LEVEL = 2.0  # data units: the overscan of a master that is less it
SAME_EXPOSURE = 1e-3  # relative difference up to which exposure times are one


class Planned(NamedTuple):
    """The calibration of a series.

    Parameters
    ----------
    detector : Detector or None
        What is taken off; None if nothing is.
    bad : ndarray of bool, shape (ny, nx), or None
        Pixels that are bad in all frames: trimmed, in a bad column, without a master, in the dark of the flat.
    """

    detector: Detector | None
    bad: np.ndarray | None


def plan_calibration(frames: xr.Dataset, config: Config, attributes: dict[str, Any], keep: bool = True) -> Planned:
    """Find or make what ``calibrate`` asks for.

    Parameters
    ----------
    frames : Dataset
        The series.
    config : Config
        ``calibrate`` counts, ``input`` says how files are read, ``output.store`` where masters are kept.
    attributes : dict
        Of the frames, completed by the configuration.
    keep : bool
        Whether masters that are made are kept on the disk.

    Returns
    -------
    Planned

    Raises
    ------
    ConfigError, InputError
        Files that are missing, of another size, filter or exposure time, or that hold no image.
    """
    calibrate = config.calibrate
    shape = (frames.sizes["y"], frames.sizes["x"])
    bad = np.zeros(shape, bool)
    beyond = [column for column in calibrate.bad_columns if column != int(column) or column >= shape[1]]
    if beyond:
        raise ConfigError(f"calibrate.bad_columns: expected columns 0 … {shape[1] - 1} of the frames, found {beyond[0]:g}.")
    bad[:, [int(column) for column in calibrate.bad_columns]] = True
    if not calibrate.has_frames:
        return Planned(None, bad if bad.any() else None)
    series = _Series(frames, config, attributes, shape, bad, keep)
    return Planned(series.detector(), bad if bad.any() else None)


@dataclass
class _Series:
    """The masters of a series, as they are found one after the other."""

    frames: xr.Dataset
    config: Config
    attributes: dict[str, Any]
    shape: tuple[int, int]
    bad: np.ndarray
    keep: bool
    trim: tuple[int, int, int, int] | None = None
    bias: Made | None = None
    electronics: Detector = field(init=False)  # overscan and bias: what every raw frame is less

    def detector(self) -> Detector:
        calibrate, lines = self.config.calibrate, []
        sections = str(self.attributes.get("sections", ""))
        self.electronics, self.trim = electronics_of(calibrate.overscan, sections, self.shape, self.bad)
        lines += list(self.electronics.lines)
        if calibrate.bias is not None:
            self.bias = self._bias(calibrate.bias)
            lines.append(self.bias.line)
            self.electronics = with_bias(self.electronics, self.bias.data, self.bias.hash)
        n = self.frames.sizes["time"]
        factor, which = np.ones(n), np.zeros(n, np.int64)
        dark: Made | None = None
        flats: list[Made] = []
        if calibrate.dark is not None:
            dark, factor = self._dark_of_frames(calibrate.dark)
            lines.append(dark.line)
        if calibrate.flat is not None:
            flats, which = self._flats(calibrate.flat)
            lines += [flat.line for flat in flats]
        for image in (self.bias, dark, *flats):
            if image is not None:
                self.bad |= ~np.isfinite(image.data)
        named = {"bias": self.bias, "dark": dark, **{f"flat{index or ''}": flat for index, flat in enumerate(flats)}}
        hashes = dict(self.electronics.hashes) | {name: each.hash for name, each in named.items() if each is not None}
        every = calibrate.errors == "all"  # else the errors of masters need not travel
        bias_image, bias_error = _images(self.bias, every)
        dark_image, dark_error = _images(dark, every)
        return Detector(
            self.shape,
            self.electronics.strips,
            self.electronics.statistic,
            self.electronics.order,
            Masters(bias_image, bias_error, dark_image, dark_error),
            tuple((flat.data, flat.error if every else None) for flat in flats),
            which,
            factor,
            every,
            tuple(lines),
            hashes,
        )

    @property
    def _folder(self) -> Path | None:
        """Where masters are kept: where the user says, else beside the store."""
        if self.config.calibrate.masters is not None:
            return Path(self.config.calibrate.masters)
        store = self.config.output.store
        if store is None or "://" in store:  # beside a store in a bucket nothing can be kept
            return None
        return Path(store).resolve().parent / "masters"

    def _files(self, master: Master, what: str) -> list[CalibrationFile]:
        files = calibration_files(master, self.config.input, what)
        if is_raw(master):
            require_shape(files, self.shape, what)
        return files

    def _ready(self, file: CalibrationFile, what: str) -> Made:
        """A master as it is, with a warning if its own overscan shows that it is not ready."""
        found = ready_master(file, self.shape, self.trim, what)
        for y0, y1, x0, x1 in [strip.section for strip in self.electronics.strips] if file.shape == self.shape else []:
            pixels = found.data[y0:y1, x0:x1]
            pixels = pixels[np.isfinite(pixels)]
            level, scatter = (float(np.median(pixels)), float(np.std(pixels))) if pixels.size else (0.0, 0.0)
            if abs(level) > max(LEVEL, 10 * scatter):
                warnings.warn(
                    f"calibrate.{what}: {file.name} seems to hold its overscan still (a level of {level:.6g} "
                    "there), which is "
                    "taken off the frames: say raw: true if it is as read out, or leave the overscan's columns out of it.",
                    TsogridWarning,
                    stacklevel=2,
                )
        return found

    def _bias(self, master: Master) -> Made:
        files = self._files(master, "bias")
        if not is_raw(master):
            return self._ready(_only(files, "bias"), "bias")
        depends = [master.combine, master.clip, self.electronics.hashes, self.electronics.statistic, self.electronics.order]
        return kept_or_made(
            self._folder,
            self.keep,
            "bias",
            files,
            depends,
            lambda: combined(files, partial(less_electronics, self.electronics), master, self.shape),
            f"bias {_named(files)}",
        )

    @property
    def _has_level(self) -> bool:
        """Whether the level of the electronics is known: without it a dark cannot be scaled."""
        return self.bias is not None or bool(self.electronics.strips)

    def _exposures(self) -> np.ndarray | None:
        """Exposure times of the frames in seconds; None where one is unknown."""
        n = self.frames.sizes["time"]
        if "exposure" in self.frames.coords:
            found = self.frames["exposure"].to_numpy()
            return found if np.isfinite(found).all() else None
        seconds = self.attributes.get("integration_time_s")
        return None if seconds is None else np.full(n, float(seconds))

    def _dark_of_frames(self, dark: Dark) -> tuple[Made, np.ndarray]:
        exposures = self._exposures()
        one = float(exposures[0]) if exposures is not None and _same(exposures) else None
        found, seconds = self._dark(dark, one)
        if dark.scale == "none":
            return found, np.ones(self.frames.sizes["time"])
        if seconds is None or exposures is None:
            raise ConfigError(
                f"calibrate.dark: expected the exposure times of frames and darks in their headers, found none "
                f"{'in the dark' if seconds is None else 'in all frames'}. Give calibrate.dark.exposure and "
                "input.integration_time in seconds, or scale: none for a dark of the same exposure time."
            )
        factor = exposures / seconds
        matched = np.abs(factor - 1) <= SAME_EXPOSURE
        if dark.scale == "auto":
            factor[matched] = 1.0
        if not self._has_level and not matched.all():
            raise ConfigError(
                f"calibrate.dark: expected a dark of {exposures[~matched][0]:g} s like the frames, found "
                f"{seconds:g} s. To scale it "
                "by the exposure time, the level of the electronics must be known: give calibrate.bias or "
                "calibrate.overscan."
            )
        return found._replace(label=f"{found.label} × {_range(factor)}"), factor

    def _dark(self, dark: Dark, exposure: float | None) -> tuple[Made, float | None]:
        """The dark for an exposure time (None: of several), and its own; of many those of that exposure time are taken."""
        files = self._files(dark, "dark")
        seconds = {file.path: dark.exposure or file.exposure for file in files}
        if exposure is not None:
            matched = [file for file in files if (own := seconds[file.path]) is not None and _same([own, exposure])]
            files = matched or files
        if not is_raw(dark):
            file = _only(files, "dark")
            return self._ready(file, "dark"), seconds[file.path]
        known = [own for file in files if (own := seconds[file.path]) is not None]
        scaled = len(known) == len(files) and not _same(known)
        if scaled and not self._has_level:
            raise ConfigError(
                f"calibrate.dark: expected darks of one exposure time, found {min(known):g} … {max(known):g} s. "
                "To scale them "
                "the level of the electronics must be known: give calibrate.bias or calibrate.overscan."
            )
        reference = max(known) if len(known) == len(files) else None
        factors = {file.path: reference / (seconds[file.path] or 1.0) if scaled and reference else 1.0 for file in files}

        def read(file: CalibrationFile, row: int, rows: slice) -> np.ndarray:
            return less_electronics(self.electronics, file, row, rows) * factors[file.path]

        depends = [dark.combine, dark.clip, self.electronics.hashes, self.electronics.statistic, self.electronics.order]
        label = f"dark {_named(files)}" + (f", {reference:g} s" if reference is not None else "")
        made_ = kept_or_made(
            self._folder,
            self.keep,
            "dark",
            files,
            [*depends, sorted(factors.values())],
            lambda: combined(files, read, dark, self.shape),
            label,
        )
        return made_, reference

    def _flats(self, flat: Flat) -> tuple[list[Made], np.ndarray]:
        """The flat of each filter of the series, and which of them each frame takes."""
        n = self.frames.sizes["time"]
        names = np.full(n, str(self.attributes.get("filter", "") or "").strip(), dtype=object)
        if "filter" in self.frames.coords:
            names = self.frames["filter"].to_numpy().astype(object)
        if flat.filter is not None:
            names[:] = flat.filter
        files = self._files(flat, "flat")
        wanted = list(dict.fromkeys(str(name) for name in names))
        which = np.array([wanted.index(str(name)) for name in names], np.int64)
        return [self._flat(flat, files, name, flat.filter is not None) for name in wanted], which

    def _flat(self, flat: Flat, files: list[CalibrationFile], name: str, forced: bool) -> Made:
        told = [file for file in files if file.filter is not None]
        fitting = [file for file in files if file.filter is None or not name or file.filter.casefold() == name.casefold()]
        if forced and len(files) == 1:
            fitting = files
        if not fitting:
            have = ", ".join(sorted({str(file.filter) for file in told}))
            raise InputError(
                f"calibrate.flat: expected flats in the filter {name} of the frames, found {have}. Name flats of "
                "that filter, or "
                "say calibrate.flat.filter where headers name one filter in two ways."
            )
        if is_raw(flat):
            several = {file.filter for file in fitting}
            if len(several) > 1:
                raise InputError(
                    f"calibrate.flat: expected flats of one filter, found {', '.join(sorted(map(str, several)))}, "
                    "and the frames "
                    "do not say theirs. Say calibrate.flat.filter."
                )
            return self._raw_flat(flat, fitting)
        found = self._ready(_only(fitting, "flat"), "flat")
        data, error = self._normalised(found.data.astype(np.float64), found.error, flat, found.label)
        return made(data, error, found.label)

    def _raw_flat(self, flat: Flat, files: list[CalibrationFile]) -> Made:
        if not self._has_level and self.config.calibrate.dark is None:
            raise ConfigError(
                "calibrate.flat: expected calibrate.bias, overscan or dark beside raw flats, found none: with "
                "the level of the "
                "electronics in them they are too flat. Give one of these, or a master flat (raw: false)."
            )
        darks = {file.path: self._dark_of_flat(file) for file in files}
        levels: dict[tuple[str, int], float] = {}

        def less_dark(file: CalibrationFile, row: int, rows: slice) -> np.ndarray:
            pixels = less_electronics(self.electronics, file, row, rows)
            dark = darks[file.path]
            return pixels if dark is None else pixels - dark[0].data[rows].astype(np.float64) * dark[1]

        def read(file: CalibrationFile, row: int, rows: slice) -> np.ndarray:
            if (file.path, row) not in levels:
                whole = less_dark(file, row, slice(0, self.shape[0]))
                levels[file.path, row] = self._level(whole, f"{file.path}")
            return less_dark(file, row, rows) / levels[file.path, row]

        def make() -> tuple[np.ndarray, np.ndarray | None]:
            return self._normalised(*combined(files, read, flat, self.shape), flat, "flat")

        depends = [flat.combine, flat.clip, flat.minimum, self.electronics.hashes, self.electronics.statistic]
        used = sorted({f"{dark[0].hash} {dark[1]:.9g}" for dark in darks.values() if dark is not None})
        in_filter = f" in {files[0].filter}" if files[0].filter else ""
        return kept_or_made(
            self._folder,
            self.keep,
            "flat",
            files,
            [*depends, self.electronics.order, digest(self.bad), used],
            make,
            f"flat {_named(files)}{in_filter}",
        )

    def _dark_of_flat(self, file: CalibrationFile) -> tuple[Made, float] | None:
        """The dark in a raw flat and its factor; None where it cannot be known, and is small."""
        dark = self.config.calibrate.dark
        if dark is None:
            return None
        found, seconds = self._dark(dark, file.exposure)
        if seconds is not None and file.exposure is not None and (self._has_level or _same([seconds, file.exposure])):
            return found, file.exposure / seconds
        if self._has_level:
            return None
        raise ConfigError(
            f"calibrate.flat: {file.path}: expected a dark of its exposure time ({file.exposure} s), found one of "
            f"{seconds} s. "
            "Give such darks too, or calibrate.bias or calibrate.overscan, so that a dark can be scaled."
        )

    def _level(self, image: np.ndarray, name: str) -> float:
        inside = image[~self.bad & np.isfinite(image)]
        level = float(np.median(inside)) if inside.size else math.nan
        if not level > 0:
            raise InputError(
                f"calibrate.flat: {name}: expected light, found a median of {level:g} once bias and dark are off. "
                "Is it a flat?"
            )
        return level

    def _normalised(
        self, data: np.ndarray, error: np.ndarray | None, flat: Flat, name: str
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Divide by the median, and make pixels bad that see nearly no light."""
        level = self._level(data, name)
        with np.errstate(invalid="ignore"):
            data = np.where(data / level >= max(flat.minimum, 1e-6), data / level, np.nan)
        return data, None if error is None else error / level


def _images(master: Made | None, with_error: bool) -> tuple[np.ndarray | None, np.ndarray | None]:
    if master is None:
        return None, None
    return master.data, master.error if with_error else None


def _only(files: Sequence[CalibrationFile], what: str) -> CalibrationFile:
    if len(files) == 1:
        return files[0]
    raise InputError(
        f"calibrate.{what}: expected one master that fits the frames, found {len(files)}: "
        f"{', '.join(f.name for f in files[:4])}. "
        "Name one, or say raw: true if they are raw frames to combine."
    )


def _named(files: Sequence[CalibrationFile]) -> str:
    count = sum(file.images["SCI"].shape[0] for file in files)
    return f"of {count} frames ({files[0].name} … {files[-1].name})" if count > 1 else f"of {files[0].name}"


def _same(seconds: Sequence[float] | np.ndarray) -> bool:
    return float(max(seconds)) - float(min(seconds)) <= SAME_EXPOSURE * float(max(seconds))


def _range(factor: np.ndarray) -> str:
    low, high = float(factor.min()), float(factor.max())
    return f"{low:.6g}" if low == high else f"{low:.6g} … {high:.6g}"
