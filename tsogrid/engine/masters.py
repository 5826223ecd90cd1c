"""Masters: many raw calibration frames become one, once, in bands of rows so that memory stays small.

What a master was made of names the file that it is kept in; the next run reads that file. A master is rounded to single
precision before its first use, so that a run with a kept one gives the same bits.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tsogrid.config import Master
from tsogrid.errors import InputError
from tsogrid.io.calibration_frames import CalibrationFile, save_image
from tsogrid.io.fits import scan

BAND_BYTES = 32e6  # of one band of all frames, in double precision
_VERSION = 1  # of what is done here: another one makes kept masters anew
_MEDIAN_ERROR = 1.2533  # of a median of Gaussian numbers, over that of their mean: sqrt(pi / 2)
_MAD = 1.4826

Read = Callable[[CalibrationFile, int, slice], np.ndarray]  # file, frame in it, rows → pixels of these rows, made ready


class Made(NamedTuple):
    """A master.

    Parameters
    ----------
    data : ndarray of float32, shape (ny, nx)
        NaN where no frame has a good pixel.
    error : ndarray of float32, shape (ny, nx), or None
        1 sigma; None if unknown.
    hash : str
        Of what it holds.
    label : str
        What it is, in words.
    note : str
        Whether it was made or had been kept, and where.
    """

    data: np.ndarray
    error: np.ndarray | None
    hash: str
    label: str
    note: str = ""

    @property
    def line(self) -> str:
        """Label, identity and note, for the log."""
        return f"{self.label} [{self.hash}]" + (f", {self.note}" if self.note else "")


def digest(*parts: object) -> str:
    """Hash arrays and plain values to 16 hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        is_array = isinstance(part, np.ndarray)
        found.update(np.ascontiguousarray(part).tobytes() if is_array else json.dumps(part, default=str).encode())
    return found.hexdigest()[:16]


def made(data: np.ndarray, error: np.ndarray | None, label: str, note: str = "") -> Made:
    """Put a master together from its image, its error and its name."""
    data = np.asarray(data, np.float32)
    error = None if error is None else np.asarray(error, np.float32)
    return Made(data, error, digest(data, "none" if error is None else error), label, note)


def ready_master(file: CalibrationFile, shape: tuple[int, int], trim: tuple[int, int, int, int] | None, what: str) -> Made:
    """Read a master that is ready.

    Parameters
    ----------
    file : CalibrationFile
        One file; its extensions ERR (or UNCERT) and MASK count.
    shape : (int, int)
        Rows and columns of a frame.
    trim : (int, int, int, int) or None
        Rows and columns that are kept of a frame: a master of just this size is put there.
    what : str
        The key of ``calibrate``, for errors.

    Returns
    -------
    Made

    Raises
    ------
    InputError
        Another size, or no finite pixel.
    """
    y0, y1, x0, x1 = trim or (0, shape[0], 0, shape[1])
    place = (slice(None), slice(None)) if file.shape == shape else (slice(y0, y1), slice(x0, x1))
    if file.shape not in (shape, (y1 - y0, x1 - x0)):
        trimmed = "" if (y1 - y0, x1 - x0) == shape else f", or {x1 - x0} × {y1 - y0} without the overscan"
        raise InputError(
            f"calibrate.{what}: {file.path}: expected {shape[1]} × {shape[0]} pixels (x × y) like the "
            f"frames{trimmed}, found "
            f"{file.shape[1]} × {file.shape[0]}. Name a master of the same detector, binning and window."
        )
    images = {}
    for name in file.images:
        whole = np.full(shape, np.nan)
        whole[place] = file.read(image=name)
        images[name] = whole
    data = images["SCI"]
    if "MASK" in images:
        data = np.where(images["MASK"] == 0, data, np.nan)
    if not np.isfinite(data).any():
        raise InputError(f"calibrate.{what}: {file.path}: expected an image with finite pixels, found none.")
    return made(data, images.get("ERR"), f"{what} {file.name}")


def combined(
    files: Sequence[CalibrationFile], read: Read, master: Master, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Combine frames pixel by pixel.

    Parameters
    ----------
    files : sequence of CalibrationFile
        Their frames; a cube holds several.
    read : callable
        Gives the rows of a frame, made ready.
    master : Master
        How: ``clipped-mean`` leaves out what lies more than ``clip`` standard deviations from the median of a pixel. The
        standard deviation is 1.4826 MAD of the pixel, at least the median over its row of what all pixels scatter: of five
        frames of whole numbers the pixel's own may be 0.
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    data, error : ndarray, shape (ny, nx)
        The error is the scatter of the frames over the root of their number; None of a single frame.
    """
    frames = [(file, row) for file in files for row in range(file.images["SCI"].shape[0])]
    ny, nx = shape
    step = max(1, int(BAND_BYTES / (8 * nx * len(frames))))
    data, error = np.empty(shape), np.empty(shape)
    for start in range(0, ny, step):
        rows = slice(start, min(start + step, ny))
        stack = np.stack([read(file, row, rows) for file, row in frames])
        data[rows], error[rows] = _combine(stack, master)
    return data, error if len(frames) > 1 else None


def _combine(stack: np.ndarray, master: Master) -> tuple[np.ndarray, np.ndarray]:
    good = np.isfinite(stack)
    middle = _median(np.where(good, stack, np.nan))
    away = np.abs(stack - middle)
    with np.errstate(invalid="ignore", divide="ignore"):
        count = good.sum(axis=0)
        scatter = np.sqrt(np.where(good, away**2, 0.0).sum(axis=0) / np.maximum(count - 1, 1))
        usual = _median(np.where(count > 1, scatter, np.nan).T)[:, None]
        own = _MAD * _median(np.where(good, away, np.nan))
        good &= away <= master.clip * np.fmax(own, np.nan_to_num(usual))
        count = good.sum(axis=0)
        mean = np.where(good, stack, 0.0).sum(axis=0) / count
        spread = np.sqrt(np.where(good, (stack - mean) ** 2, 0.0).sum(axis=0) / (count - 1))
        error = np.where(count > 1, spread / np.sqrt(count), np.nan)
    if master.combine == "median":
        return middle, error * np.where(count > 2, _MEDIAN_ERROR, 1.0)
    return np.where(count > 0, mean, np.nan), error


def _median(stack: np.ndarray) -> np.ndarray:
    """Median over the first axis of what is finite; NaN where nothing is."""
    ordered = np.sort(stack, axis=0)  # NaN last
    count = np.isfinite(stack).sum(axis=0)[None]
    low, high = (np.take_along_axis(ordered, np.maximum(each, 0), axis=0)[0] for each in ((count - 1) // 2, count // 2))
    return np.asarray((low + high) / 2)


def kept_or_made(
    folder: Path | None,
    keep: bool,
    what: str,
    files: Sequence[CalibrationFile],
    depends: Sequence[object],
    make: Callable[[], tuple[np.ndarray, np.ndarray | None]],
    label: str,
) -> Made:
    """Read the master that an earlier run has kept, or make it and keep it.

    Parameters
    ----------
    folder : Path or None
        Where masters are kept; None: nowhere.
    keep : bool
        Whether one that is made here is kept.
    what : str
        Its kind: bias, dark, flat.
    files : sequence of CalibrationFile
        What it is made of.
    depends : sequence
        What else decides its pixels.
    make : callable
        Makes data and error.
    label : str
        What it is, in words.

    Returns
    -------
    Made
    """
    key = digest(_VERSION, what, [list(file.identity) for file in files], *depends)
    path = None if folder is None else folder / f"{what}-{key}.fits"
    if path is not None and path.is_file() and (found := _kept(path)) is not None:
        return made(*found, label, f"kept in {path}")
    data, error = make()
    result = made(data, error, label)
    if path is None or not keep:
        return result
    cards = {"IMAGETYP": f"master {what}", "NCOMBINE": sum(file.images["SCI"].shape[0] for file in files), "TSOGRID": key}
    save_image(path, result.data, result.error, cards, [file.name.encode("ascii", "replace").decode() for file in files])
    return result._replace(note=f"made and kept as {path}")


def _kept(path: Path) -> tuple[np.ndarray, np.ndarray | None] | None:
    """A kept master; None if the file is damaged, which is then made anew."""
    try:
        file = scan(str(path))
        found = [CalibrationFile(str(path), (), {"SCI": file.image(unit)}, None, None).read() for unit in file.units]
    except InputError:
        return None
    return (found[0], found[1] if len(found) > 1 else None) if found else None
