"""From scanned files to one Dataset: frames in the order of time, each variable one lazy array over all files."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.core import indexing

from tsogrid import schema
from tsogrid.config import InputConfig, Storage
from tsogrid.errors import InputError
from tsogrid.flags import JWST_DQ
from tsogrid.io.axis import INTEGRATION_ATTRS, TimeAxis, time_axis
from tsogrid.io.cards import Cards, first_number
from tsogrid.io.fits import FitsFile, Image
from tsogrid.io.instruments import ATTRIBUTES, identity
from tsogrid.io.lazy import FrameArray, RootSumArray, Runs, WordArray
from tsogrid.io.lazy_coordinates import OfFiles
from tsogrid.io.placing import integrations, joined, runs_of
from tsogrid.io.remote_names import base_name, is_remote, shown

DIMS = ("time", "y", "x")
_STAND_INS = ("EFFINTTM", "EXPTIME")  # where the keyword of the integration time is missing, as in tshirt
_SAME = 1e-6  # relative difference up to which integration times are one
_FLOAT32_PIXELS = ("u1", ">i2", ">f4")  # float32 holds all their values


@dataclass
class FileFrames:
    """The frames of one file: where their pixels lie, and when they were taken; arrays are (rows,)."""

    path: str
    size: int
    hash: str
    images: dict[str, Image]  # SCI; ERR, VAR_POISSON, VAR_RNOISE, DQ where there are
    integration: np.ndarray
    mjd_utc: np.ndarray
    bjd_tdb: np.ndarray
    origin: str  # of the times, in words
    keywords: dict[str, Any]  # that all files must share
    gain: float | None = None
    read_noise: float | None = None
    integration_time: float | None = None  # seconds by which rates are multiplied, where the headers are asked
    integration_time_key: str = ""  # the keyword that it was found in
    wcs: str | None = None  # the cards of the celestial world coordinates
    exposure: float = math.nan  # seconds, as the header of the frame says
    filter: str = ""
    altitude: np.ndarray | None = None  # of the target, degrees; where site and target are known
    airmass: np.ndarray | None = None
    chosen: np.ndarray | None = None  # rows of the file that are frames; None: all
    quality: np.ndarray | None = None  # a word of bits for each frame, (rows,)
    quality_bits: dict[str, int] = field(default_factory=dict)
    version: int = 0  # of a remote file, see `FitsFile`

    @property
    def name(self) -> str:
        return base_name(self.path)

    @property
    def rows(self) -> int:
        return self.images["SCI"].shape[0] if self.chosen is None else self.chosen.size

    @property
    def row_numbers(self) -> np.ndarray:
        """Rows of the file that are frames, (rows,)."""
        return np.arange(self.rows) if self.chosen is None else self.chosen


def require_shape(file: FitsFile, name: str, image: Image, science: Image) -> None:
    """Refuse an image that does not have the shape of the science image."""
    if image.shape != science.shape:
        raise InputError(
            f"{file.path}: expected {name} of the shape of the science image, {_text(science.shape)}, "
            f"found {_text(image.shape)}"
        )


def header_number(file: FitsFile, headers: Sequence[Cards], what: str, given: float | str | None) -> float | None:
    """Give a number that is given itself or as the keyword of a header."""
    if not isinstance(given, str):
        return given
    if is_file_name(given):
        return None
    for header in headers:
        try:
            return float(header[given])
        except KeyError:
            continue
        except (TypeError, ValueError):
            raise InputError(
                f"{file.path}: expected a number in header keyword {given} (input.{what}), found {header[given]!r}"
            ) from None
    raise InputError(f"{file.path}: expected a header keyword {given} (input.{what}), found none: give the number itself")


def integration_seconds(
    file: FitsFile, headers: Sequence[Cards], config: InputConfig, unit: str
) -> tuple[float | None, str]:
    """Give the integration time that a file's header tells, where the configuration needs it.

    Parameters
    ----------
    file : FitsFile
        For errors.
    headers : sequence of Cards
        The first that has a keyword counts.
    config : InputConfig
        Its ``integration_time`` (a keyword), ``rate``, ``units`` and ``gain``.
    unit : str
        Unit of the pixels.

    Returns
    -------
    seconds : float or None
        None where it is given itself, or not needed.
    key : str
        The keyword that it was found in.

    Raises
    ------
    InputError
        The keyword is missing, and there is none to stand in.
    """
    given = config.integration_time
    if isinstance(given, str):
        keys: tuple[str, ...] = (given.strip().upper(), *_STAND_INS)
    elif given is None and is_rate(config, unit) and (config.units == "electron" or config.gain is not None):
        keys = ATTRIBUTES["integration_time_s"]
    else:
        return None, ""
    for key in keys:
        found = first_number(headers, key)
        if found is not None and found > 0:
            return float(found), key
    if given is None:
        return None, ""
    raise InputError(
        f"{file.path}: expected a positive number in header keyword {given} (input.integration_time), found none, nor in "
        f"{' or '.join(_STAND_INS)}: give the seconds themselves"
    )


def is_rate(config: InputConfig, unit: str) -> bool:
    """Whether pixels are per second: as the configuration says, else their unit."""
    return config.rate if config.rate is not None else unit.strip().lower().endswith("/s")


def is_file_name(text: str) -> bool:
    """Whether a text means a file and not a header keyword."""
    return os.sep in text or Path(text).suffix.lower() in (".fits", ".fit", ".gz") or Path(text).is_file()


def assemble(
    parts: list[FileFrames], config: InputConfig, describe: Callable[[str], dict[str, Any]], reader: str
) -> tuple[xr.Dataset, list[str]]:
    """Make the Dataset of a series.

    Parameters
    ----------
    parts : list of FileFrames
        In the order in which frames without times are to stand.
    config : InputConfig
        Its ``error``, ``gain`` and ``read_noise`` count here.
    describe : callable
        Gives the attributes of a file from its path.
    reader : str
        Name of the reader.

    Returns
    -------
    frames : xarray.Dataset
    notes : list of str
        What the user should know.

    Raises
    ------
    InputError
        A file has no ERR where it is asked for, or gain and read noise differ.
    """
    axis = time_axis(
        joined(parts, "mjd_utc"),
        joined(parts, "bjd_tdb"),
        origin="; ".join(dict.fromkeys(part.origin for part in parts if part.origin)),
    )
    runs = runs_of(parts, axis.order)
    shape = (axis.index.size, *parts[0].images["SCI"].shape[1:])
    dtype = np.result_type(*{_dtype(part.images["SCI"]) for part in parts})
    variables = {"data": xr.Variable(DIMS, _lazy(_array(parts, "SCI", runs, shape, dtype, config.storage)))}
    packed = [
        image.pixels for part in parts for image in part.images.values() if image.pixels.packed or image.pixels.extension
    ]
    if packed:  # whoever reads several windows had better read one
        variables["data"].attrs["packed"] = "tiles" if packed[0].extension is not None else "file"
    error, notes = _error(parts, config, runs, shape, dtype)
    if error is not None:
        variables["error"] = xr.Variable(DIMS, _lazy(error), {"long_name": "1 sigma error of data"})
    if all("DQ" in part.images for part in parts):
        bits = xr.Variable(DIMS, _lazy(_array(parts, "DQ", runs, shape, np.dtype(np.uint32), config.storage)))
        bits.attrs["long_name"] = "data quality"
        if reader == "jwst":
            bits.attrs |= {"flag_masks": list(JWST_DQ.values()), "flag_meanings": " ".join(JWST_DQ)}
        variables["dq"] = bits
    words = [part.quality for part in parts if part.quality is not None]
    if len(words) == len(parts):
        variables["dq"] = xr.Variable(DIMS, _lazy(WordArray(np.concatenate(words)[axis.order], shape)))
        variables["dq"].attrs |= {"long_name": "data quality, one word a frame"} | {
            "flag_masks": list(parts[0].quality_bits.values()),
            "flag_meanings": " ".join(parts[0].quality_bits),
        }

    def of_files(labels: np.ndarray) -> Any:
        return OfFiles(labels, runs, shape[0]).where_long()

    names = np.array([part.name for part in parts], dtype=object)
    extra: dict[str, tuple[Any, dict[str, Any]]] = {
        "integration": (integrations(parts, axis.order, runs), INTEGRATION_ATTRS),
        "file": (of_files(names), {"long_name": "file"}),
    }
    for name in ("altitude", "airmass"):
        values = [found for part in parts if (found := getattr(part, name)) is not None]
        if len(values) == len(parts):
            extra[name] = np.concatenate(values)[axis.order], dict(schema.TIME_COORDINATES[name])
    texts = np.array([part.wcs or "" for part in parts], dtype=object)
    if len(set(texts)) > 1:
        extra["wcs"] = (of_files(texts), {"long_name": "FITS cards of the celestial world coordinates of each frame"})
    if len({part.filter for part in parts}) > 1:
        filters = np.array([part.filter for part in parts], dtype=object)
        extra["filter"] = (of_files(filters), {"long_name": "filter"})
    exposure = np.array([part.exposure for part in parts])
    if len(set(exposure[np.isfinite(exposure)])) > 1:
        extra["exposure"] = (of_files(exposure), {"units": "s", "long_name": "exposure time"})
    in_series = [parts[i] for i in dict.fromkeys(runs.file.tolist())]
    attrs = describe(in_series[0].path)
    attrs |= _numbers(parts, config)
    seconds, more = _integration_time(parts, config)
    attrs |= seconds
    notes = [*notes, *more]
    attrs |= {"reader": reader, "inputs": identity(in_series)}
    if "units" in attrs:
        for name in ("data", "error"):
            if name in variables:
                variables[name].attrs["units"] = attrs["units"]
    frames = xr.Dataset(variables, coordinates(axis, extra), attrs)
    return frames, [*notes, *axis.notes]


def coordinates(axis: TimeAxis, extra: dict[str, tuple[Any, dict[str, Any]]]) -> dict[str, xr.Variable]:
    """Make the coordinates of the frames."""
    axis.index.flags.writeable = False  # it may be a coordinate as well: the index then is no copy of it
    every: dict[str, Any] = {"time": (pd.Index(axis.index, copy=False), axis.attrs), **axis.coords, **extra}
    return {name: xr.Variable("time", values, attrs) for name, (values, attrs) in every.items()}


def _lazy(array: FrameArray | RootSumArray | WordArray) -> Any:
    return indexing.LazilyIndexedArray(array)


def _array(
    parts: list[FileFrames], name: str, runs: Runs, shape: tuple[int, int, int], dtype: np.dtype[Any], storage: Storage
) -> FrameArray:
    images = [part.images[name] for part in parts]
    return FrameArray(
        [part.path for part in parts],
        np.array([image.offset for image in images], np.int64),
        [image.pixels for image in images],
        runs,
        shape,
        dtype,
        storage,
        np.array([part.version for part in parts], np.int64),
    )


def _error(
    parts: list[FileFrames], config: InputConfig, runs: Runs, shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> tuple[FrameArray | RootSumArray | None, list[str]]:
    wanted = config.error
    if wanted == "none":
        return None, []
    if wanted == "auto" and all({"VAR_POISSON", "VAR_RNOISE"} <= part.images.keys() for part in parts):
        variances = [_array(parts, name, runs, shape, dtype, config.storage) for name in ("VAR_POISSON", "VAR_RNOISE")]
        return RootSumArray(*variances), []
    without = [part.path for part in parts if "ERR" not in part.images]
    if not without:
        return _array(parts, "ERR", runs, shape, dtype, config.storage), []
    if wanted == "err":
        raise InputError(
            f"{without[0]}: expected an ERR extension (input.error is err), found none: use error: auto or none"
        )
    if len(without) < len(parts):
        return None, [f"{len(without)} of {len(parts)} files have no ERR, {base_name(without[0])} is one: ERR is not used"]
    return None, []


def _dtype(image: Image) -> np.dtype[Any]:
    return np.dtype(np.float32 if image.pixels.dtype in _FLOAT32_PIXELS else np.float64)


def require_alike(parts: list[FileFrames]) -> None:
    """Refuse files whose frames or keywords say that they do not belong together."""
    first = parts[0]
    for part in parts[1:]:
        here, there = part.images["SCI"].shape[1:], first.images["SCI"].shape[1:]
        if here != there:
            raise InputError(
                f"{part.path}: expected frames of {_text(there)} pixels (y × x) as in {first.name}, found {_text(here)}: "
                "measure them apart, or leave them out with input.exclude"
            )
        for key in first.keywords.keys() & part.keywords.keys():
            if first.keywords[key] != part.keywords[key]:
                raise InputError(
                    f"{part.path}: expected {key} = {first.keywords[key]!r} as in {first.name}, found "
                    f"{part.keywords[key]!r}: files of one series must belong together, measure these apart"
                )


def _numbers(parts: list[FileFrames], config: InputConfig) -> dict[str, Any]:
    """Give gain and read noise, as far as they are given; they are never assumed."""
    result: dict[str, Any] = {}
    for name in ("gain", "read_noise"):
        values = {getattr(part, name) for part in parts}
        if len(values) > 1:
            raise InputError(
                f"header keyword {getattr(config, name)} (input.{name}) differs between the files: "
                f"{', '.join(f'{each:g}' for each in sorted(values)[:5])}: give one number"
            )
        if (number := values.pop()) is not None:
            result[name] = number
    if isinstance(config.gain, str) and is_file_name(config.gain):
        if is_remote(config.gain):
            raise InputError(f"{shown(config.gain)}: expected a file on this machine (input.gain), found a URL: download it")
        path = os.path.abspath(os.path.expanduser(config.gain))
        if not os.path.isfile(path):
            raise InputError(f"{path}: no such file (input.gain: a number, a header keyword or a FITS file)")
        result["gain_file"] = path
    return result


def _integration_time(parts: list[FileFrames], config: InputConfig) -> tuple[dict[str, float], list[str]]:
    """Give the one integration time of all files, as far as their headers were asked for it."""
    known = [(part, part.integration_time) for part in parts if part.integration_time is not None]
    if not known:
        return {}, []
    first, seconds = known[0]
    for part, other in known:
        if abs(other - seconds) > _SAME * seconds:
            raise InputError(
                f"{part.path}: expected an integration time of {seconds:g} s ({first.integration_time_key}) as in "
                f"{first.name}, found {other:g} s ({part.integration_time_key}): measure these files apart, or give "
                "input.integration_time in seconds"
            )
    notes = []
    if isinstance(config.integration_time, str):
        wanted = config.integration_time.strip().upper()
        without = [part for part in parts if part.integration_time_key != wanted]
        if without:
            notes.append(
                f"{len(without)} of {len(parts)} files have no {wanted} (input.integration_time), {without[0].name} is "
                f"one: {without[0].integration_time_key} is taken in its place"
            )
    return {"integration_time_s": seconds}, notes


def _text(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape)
