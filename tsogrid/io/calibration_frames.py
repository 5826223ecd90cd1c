"""Calibration frames on the disk: which files are meant, what their headers say, and their pixels in bands of rows.

A master that is made is kept as a FITS file, written under another name and renamed, so that no reader sees half of one.
"""

import glob
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.config import InputConfig, Master, Storage
from tsogrid.errors import ConfigError, InputError
from tsogrid.io.cards import first_number, first_value
from tsogrid.io.files import resolve
from tsogrid.io.fits import FitsFile, Image, Unit
from tsogrid.io.ground import plane_of, science_unit
from tsogrid.io.instruments import ATTRIBUTES
from tsogrid.io.lazy import FrameArray, make_runs
from tsogrid.io.remote_names import base_name, is_remote
from tsogrid.io.scanning import scan_all, without_secrets
from tsogrid.io.times import EXPOSURE_KEYS

_ERRORS = ("ERR", "UNCERT", "ERROR", "SIGMA")
_MASKS = ("MASK", "DQ", "BPM")


@dataclass(frozen=True)
class CalibrationFile:
    """A file of calibration frames, its headers read.

    Parameters
    ----------
    path : str
        Where.
    identity : tuple
        Name, size, hash of the headers, and the time of its last change (of a remote file: its version).
    images : dict of Image
        ``SCI``, and ``ERR`` and ``MASK`` where there are.
    exposure : float or None
        Seconds.
    filter : str or None
        As the header names it.
    storage : Storage
        How it is reached, if it is remote.
    version : int
        Of a remote file, see `FitsFile`.
    """

    path: str
    identity: tuple[Any, ...]
    images: dict[str, Image]
    exposure: float | None
    filter: str | None
    storage: Storage = field(default_factory=Storage)
    version: int = 0

    @property
    def name(self) -> str:
        return base_name(self.path)

    @property
    def shape(self) -> tuple[int, int]:
        return self.images["SCI"].shape[1:]

    def read(self, row: int = 0, image: str = "SCI", rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
        """Read pixels of one of its frames in double precision; shape (rows, columns)."""
        found = self.images[image]
        one = np.zeros(1, np.int64)
        array = FrameArray(
            [self.path],
            np.array([found.offset]),
            [found.pixels],
            make_runs(one, one + row),
            (1, *found.shape[1:]),
            np.float64,
            self.storage,
            np.array([self.version]),
        )
        return np.asarray(array.read((0, rows, columns)), np.float64)


def is_raw(master: Master) -> bool:
    """Whether frames as read out are meant: as the user says, else if there are several files or a pattern."""
    if master.raw is not None:
        return master.raw
    first = os.path.expanduser(master.files[0])
    if is_remote(first):
        return len(master.files) > 1 or glob.has_magic(first) or first.endswith("/")
    return len(master.files) > 1 or os.path.isdir(first) or (glob.has_magic(first) and not os.path.lexists(first))


def calibration_files(master: Master, config: InputConfig, what: str) -> list[CalibrationFile]:
    """Find the files that a key of ``calibrate`` names, and read their headers.

    Parameters
    ----------
    master : Master
        Which.
    config : InputConfig
        Its extension and plane count here too.
    what : str
        The key, for errors.

    Returns
    -------
    list of CalibrationFile

    Raises
    ------
    InputError, ConfigError
        Files that are missing or unreadable.
    """
    try:
        paths = resolve(master.files, storage=config.storage)
    except InputError as error:
        raise InputError(f"calibrate.{what}: {error}") from None
    with without_secrets(paths):
        return [_calibration_file(file, config, what) for file in scan_all(paths, config.storage)]


def _calibration_file(file: FitsFile, config: InputConfig, what: str) -> CalibrationFile:
    try:
        unit = science_unit(file, config.extension)
    except InputError:  # the frames' extension need not be that of a master
        unit = science_unit(file, None)
    images = {"SCI": plane_of(file, file.image(unit), config.plane)}
    for kind, names in (("ERR", _ERRORS), ("MASK", _MASKS)):
        other: Unit | None = next((found for name in names if (found := file.find(name)) is not None), None)
        if other is not None and other is not unit and other.nbytes and file.image(other).shape == images["SCI"].shape:
            images[kind] = file.image(other)
    headers = [unit.header, file.primary]
    exposure = first_number(headers, *EXPOSURE_KEYS)
    name = first_value(headers, *ATTRIBUTES["filter"])
    try:
        changed = file.version if is_remote(file.path) else os.stat(file.path).st_mtime_ns
    except OSError as error:
        raise InputError(f"calibrate.{what}: {file.path}: cannot be read ({error.strerror})") from None
    return CalibrationFile(
        file.path,
        (file.name, file.size, file.hash, changed),
        images,
        None if exposure is None else float(exposure),
        None if name is None else str(name).strip(),
        file.storage,
        file.version,
    )


def require_shape(files: Sequence[CalibrationFile], shape: tuple[int, int], what: str) -> None:
    """Refuse raw frames that are not of the shape of the frames."""
    for file in files:
        if file.shape != shape:
            raise InputError(
                f"calibrate.{what}: {file.path}: expected {shape[1]} × {shape[0]} pixels (x × y) like the frames, found "
                f"{file.shape[1]} × {file.shape[0]}. Name frames of the same detector, binning and window."
            )


def save_image(path: Path, data: np.ndarray, error: np.ndarray | None, cards: dict[str, Any], history: list[str]) -> None:
    """Write an image with its error, whole or not at all.

    Parameters
    ----------
    path : Path
        Where; its folder is made.
    data, error : ndarray, shape (ny, nx)
        The image, and its 1 sigma error if known.
    cards : dict
        Header keywords.
    history : list of str
        What it was made of.

    Raises
    ------
    ConfigError
        The folder cannot be written.
    """
    from astropy.io import fits  # 10 MB, seldom needed

    primary = fits.PrimaryHDU(data)
    primary.header.update(cards)
    for line in history:
        primary.header.add_history(line)
    units = [primary] if error is None else [primary, fits.ImageHDU(error, name="ERR")]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fits.HDUList(units).writeto(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error_:
        raise ConfigError(
            f"{path}: the master cannot be kept here ({error_.strerror or error_}). Name another folder in "
            "calibrate.masters."
        ) from None
