"""Target pixel files of Kepler, K2 and TESS (also those that astrocut makes): stamps of one star in the rows of a table.

Pixels are read by byte ranges out of the rows. TIME is the barycentric middle of the cadence in TDB, less BJDREFI + BJDREFF;
rows without a time (gaps) are left out. QUALITY is one word a cadence: it becomes ``dq``, with the names of its bits, and
the bits that make a cadence useless are gathered in DO_NOT_USE.
"""

import re
from typing import Any

import numpy as np

from tsogrid.config import InputConfig
from tsogrid.errors import InputError
from tsogrid.io.cards import Cards, first_number, first_value
from tsogrid.io.fits import FitsFile, Image, PixelFormat, Unit
from tsogrid.io.instruments import attributes, celestial_wcs
from tsogrid.io.series import FileFrames, header_number, require_alike

_SIZES = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_DTYPES = {"I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_FORM = re.compile(r"^\s*(\d*)([LXBIJKAEDCMPQ])")
_SETUP = ("OBJECT", "KEPLERID", "TICID", "TELESCOP")
DO_NOT_USE = 1 << 31

# QUALITY in the TESS Science Data Products Description Document (EXP-TESS-ARC-ICD-0014) and the Kepler Archive Manual
# (KDMC-10008, table 2-3).
TESS_BITS = {
    "ATTITUDE_TWEAK": 1,
    "SAFE_MODE": 2,
    "COARSE_POINT": 4,
    "EARTH_POINT": 8,
    "ARGABRIGHTENING": 16,
    "DESATURATION": 32,
    "COSMIC_RAY_IN_APERTURE": 64,
    "MANUAL_EXCLUDE": 128,
    "DISCONTINUITY": 256,
    "IMPULSIVE_OUTLIER": 512,
    "COSMIC_RAY_IN_COLLATERAL": 1024,
    "STRAY_LIGHT": 2048,
    "SCATTERED_LIGHT": 4096,
    "PLANET_SEARCH_EXCLUDE": 8192,
    "BAD_CALIBRATION": 16384,
    "FEW_TARGETS": 32768,
}
KEPLER_BITS = {
    "ATTITUDE_TWEAK": 1,
    "SAFE_MODE": 2,
    "COARSE_POINT": 4,
    "EARTH_POINT": 8,
    "ZERO_CROSSING": 16,
    "DESATURATION": 32,
    "ARGABRIGHTENING": 64,
    "COSMIC_RAY_IN_APERTURE": 128,
    "MANUAL_EXCLUDE": 256,
    "SENSITIVITY_DROPOUT": 1024,
    "IMPULSIVE_OUTLIER": 2048,
    "ARGABRIGHTENING_ON_CCD": 4096,
    "COSMIC_RAY_IN_COLLATERAL": 8192,
    "DETECTOR_ANOMALY": 16384,
    "NO_FINE_POINT": 32768,
    "NO_DATA": 65536,
    "ROLLING_BAND_IN_APERTURE": 131072,
    "ROLLING_BAND_IN_MASK": 262144,
    "POSSIBLE_THRUSTER_FIRING": 524288,
    "THRUSTER_FIRING": 1048576,
}
# Bits that make a cadence useless; outliers stay, since flares and transits can be taken for them.
_BASIC = ("ATTITUDE_TWEAK", "SAFE_MODE", "COARSE_POINT", "EARTH_POINT", "DESATURATION", "MANUAL_EXCLUDE")
TESS_USELESS = (*_BASIC, "ARGABRIGHTENING", "BAD_CALIBRATION")
KEPLER_USELESS = (*_BASIC, "DETECTOR_ANOMALY", "NO_DATA", "THRUSTER_FIRING")


def is_target_pixels(file: FitsFile) -> bool:
    """Whether a file holds stamps of one star in the rows of a table."""
    return _table(file) is not None


def _table(file: FitsFile) -> Unit | None:
    for unit in file.units:
        if unit.header.get("XTENSION") == "BINTABLE" and not unit.is_compressed:
            names = _columns(unit)
            if {"TIME", "FLUX"} <= names.keys() and f"TDIM{names['FLUX'][0]}" in unit.header:
                return unit
    return None


def _columns(unit: Unit) -> dict[str, tuple[int, int, str]]:
    """Number, byte in the row and kind of each column."""
    found, at = {}, 0
    for n in range(1, int(unit.header.get("TFIELDS", 0)) + 1):
        match = _FORM.match(str(unit.header.get(f"TFORM{n}", "")))
        if match is None:
            return {}
        count, kind = int(match.group(1) or 1), match.group(2)
        found[str(unit.header.get(f"TTYPE{n}", "")).strip().upper()] = (n, at, kind)
        at += -(-count // 8) if kind == "X" else count * _SIZES[kind]
    return found


class TargetPixelReader:
    """Reads target pixel files one by one."""

    name = "tpf"

    def __init__(self, config: InputConfig) -> None:
        self.config = config
        self.parts: list[FileFrames] = []
        self.gaps = 0

    def add(self, file: FitsFile) -> None:
        """Take in a scanned file."""
        unit = _required(file)
        columns = _columns(unit)
        images = {"SCI": _stamps(file, unit, columns, "FLUX")}
        if self.config.error != "none" and "FLUX_ERR" in columns:
            images["ERR"] = _stamps(file, unit, columns, "FLUX_ERR")
        headers = [unit.header, file.primary]
        time = _numbers(file, unit, columns["TIME"])
        chosen = np.flatnonzero(np.isfinite(time))
        self.gaps += time.size - chosen.size
        if not chosen.size:
            raise InputError(f"{file.path}: expected cadences with a time, found none in {time.size} rows.")
        zero = [first_number(headers, key) for key in ("BJDREFI", "BJDREFF")]
        if zero[0] is None:
            raise InputError(f"{file.path}: expected BJDREFI, the zero of its times, in the header, found none.")
        bits, useless = (TESS_BITS, TESS_USELESS) if _is_tess(headers) else (KEPLER_BITS, KEPLER_USELESS)
        words = np.zeros(time.size, np.int64)
        if "QUALITY" in columns:
            words = _numbers(file, unit, columns["QUALITY"]).astype(np.int64)
        bad = (words & sum(bits[name] for name in useless)) != 0
        cadence = _numbers(file, unit, columns["CADENCENO"]) if "CADENCENO" in columns else np.zeros(time.size)
        if not (np.diff(cadence) > 0).all():  # astrocut writes zeros
            cadence = np.arange(1.0, time.size + 1)
        keywords = {key: value for key in _SETUP if (value := first_value(headers, key)) is not None}
        self.parts.append(
            FileFrames(
                file.path,
                file.size,
                file.hash,
                images,
                cadence[chosen].astype(np.int64),
                np.full(chosen.size, np.nan),
                time[chosen] + zero[0] + (zero[1] or 0.0),
                f"TIME + {zero[0] + (zero[1] or 0.0):.10g}",
                keywords,
                header_number(file, headers, "gain", self.config.gain),
                header_number(file, headers, "read_noise", self.config.read_noise),
                wcs=_wcs(file),
                chosen=chosen,
                quality=np.where(bad, words | DO_NOT_USE, words)[chosen].astype(np.uint32),
                quality_bits={"DO_NOT_USE": DO_NOT_USE, **bits},
            )
        )

    def finish(self) -> tuple[list[FileFrames], list[str]]:
        """Give all files, and what the user should know."""
        require_alike(self.parts)
        notes = [f"{self.gaps} rows have no time and are left out"] if self.gaps else []
        return self.parts, notes

    def describe(self, file: FitsFile) -> dict[str, Any]:
        """Give the attributes that a file tells."""
        unit = _required(file)
        columns = _columns(unit)
        shape = _stamps(file, unit, columns, "FLUX").shape[1:]
        told = attributes([unit.header, file.primary], shape)
        told.pop("integration_time_s", None)  # EXPOSURE is in days here, and the time on the whole target
        if units := unit.header.get(f"TUNIT{columns['FLUX'][0]}"):
            told["units"] = str(units)
        text = _wcs(file)
        if text is not None:
            told["wcs"] = text
            told |= _target_pixel([unit.header, file.primary], text, shape)
        aperture = file.find("APERTURE")
        if aperture is not None and aperture.is_image and aperture.axes == shape:
            with file.open() as source:
                stored = source.read(aperture.offset, aperture.nbytes)
            dtype = f">i{abs(int(aperture.header['BITPIX'])) // 8}"
            # Row by row, as the mission gives it: bit 1 was collected, bit 2 is in the optimal aperture.
            told["aperture_mask"] = np.frombuffer(stored, dtype).astype(int).tolist()
        return told


def _is_tess(headers: list[Cards]) -> bool:
    return "TESS" in str(first_value(headers, "TELESCOP") or "").upper()


def _required(file: FitsFile) -> Unit:
    unit = _table(file)
    if unit is None:
        raise InputError(
            f"{file.path}: expected a target pixel file (a table with TIME and FLUX images), found none{file.contents()}"
        )
    if not int(unit.header["NAXIS2"]):
        raise InputError(f"{file.path}: expected cadences in extension {unit.index}, found a table without rows.")
    return unit


def _stamps(file: FitsFile, unit: Unit, columns: dict[str, tuple[int, int, str]], name: str) -> Image:
    number, at, kind = columns[name]
    lengths = re.findall(r"\d+", str(unit.header.get(f"TDIM{number}", "")))
    if kind not in _DTYPES or len(lengths) != 2:
        raise InputError(
            f"{file.path}: expected images of numbers in {name}, found TDIM {unit.header.get(f'TDIM{number}')!r}."
        )
    nx, ny = (int(each) for each in lengths)
    pixels = PixelFormat(_DTYPES[kind], stride=int(unit.header["NAXIS1"]), packed=file.packing is not None)
    return Image(unit.offset + at, pixels, (int(unit.header["NAXIS2"]), ny, nx))


def _numbers(file: FitsFile, unit: Unit, column: tuple[int, int, str]) -> np.ndarray:
    """One number of every row, in double precision; (rows,)."""
    _, at, kind = column
    stride, dtype = int(unit.header["NAXIS1"]), np.dtype(_DTYPES[kind])
    offsets = unit.offset + at + np.arange(int(unit.header["NAXIS2"]), dtype=np.int64) * stride
    with file.open() as source:
        return np.frombuffer(source.read_many(offsets, dtype.itemsize), dtype).astype(np.float64)


def _wcs(file: FitsFile) -> str | None:
    """The world coordinates of the stamp, which stand with the image of its aperture."""
    unit = file.find("APERTURE")
    return None if unit is None else celestial_wcs(unit.header)


def _target_pixel(headers: list[Cards], text: str, shape: tuple[int, ...]) -> dict[str, float]:
    """Where the target is on the stamp, if its position is known and lies there."""
    ra, dec = first_number(headers, "RA_OBJ"), first_number(headers, "DEC_OBJ")
    if ra is None or dec is None:
        return {}
    from astropy.io import fits
    from astropy.wcs import WCS

    x, y = (float(each) for each in WCS(fits.Header.fromstring(text, sep="\n")).all_world2pix(ra, dec, 0))
    inside = -0.5 <= x <= shape[1] - 0.5 and -0.5 <= y <= shape[0] - 0.5
    return {"x_ref": x, "y_ref": y} if inside else {}
