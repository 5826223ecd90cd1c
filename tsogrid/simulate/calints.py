"""A segment of a JWST exposure as a file: headers first, then the planes in batches, then the final name.

The layout is that of a NIRCam ``_calints`` product (PRIMARY, SCI, ERR, DQ, AREA, INT_TIMES, VAR_POISSON, VAR_RNOISE,
VAR_FLAT). The pixels come from an iterator and each batch is written to all planes at once, so a file of any size needs
the memory of one batch; it bears its name only when it is complete. `Exposure` holds what the headers say: the clock of
the detector, and how many electrons a file unit is.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time
from numpy.typing import NDArray

from tsogrid.simulate.signal import ROW_OVERHEAD

BLOCK = 2880  # bytes; FITS pads every header and every data unit to a multiple
TICK = 1e-5  # seconds a pixel
DAY = 86400.0
EXPOSURE_START = 60383.1  # MJD UTC
TDB_MINUS_UTC = 69.184  # seconds, since 2017
LIGHT_TRAVEL = 311.9  # seconds, observatory to barycentre, at the start; it grows by BARYCENTRIC_SPEED / c
BARYCENTRIC_SPEED = -12345.6  # m/s
SPEED_OF_LIGHT = 299792458.0
PIXEL_AREA = 2.21526907387943e-14  # steradian
PIXEL_SCALE = 8.52777777777777e-06  # degree
MJY_PER_SR = 4.143  # MJy/sr that give 1 DN/s
GAIN = 2.05  # electron per DN
RIGHT_ASCENSION, DECLINATION, ROLL = 237.1433974, 28.1567486, 25.0  # degree
SUBARRAYS = {(64, 64): "SUB64P", (160, 160): "SUB160P", (400, 400): "SUB400P", (2048, 2048): "FULL"}
SUBARRAYS |= {(rows, 2048): f"SUBGRISM{rows}" for rows in (64, 128, 256)}

PLANES = ("SCI", "ERR", "DQ", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")
INT_TIMES = np.dtype(
    [("integration_number", ">i4")]
    + [(f"int_{when}_{scale}", ">f8") for scale in ("MJD_UTC", "BJD_TDB") for when in ("start", "mid", "end")]
)


@dataclass(frozen=True)
class Exposure:
    """What is the same in all segments of an exposure; lengths in pixels, positions 0-based."""

    integrations: int
    segments: int
    shape: tuple[int, int]
    amplifiers: int
    groups: int
    units: str
    x_reference: float
    y_reference: float

    @property
    def frame_time(self) -> float:
        """Seconds to read one frame."""
        rows, columns = self.shape
        return (rows + 1) * (columns // self.amplifiers + ROW_OVERHEAD) * TICK

    @property
    def integration_time(self) -> float:
        """Seconds of exposure in one integration."""
        return self.groups * self.frame_time

    @property
    def electrons_per_unit(self) -> float:
        """Electrons, in one pixel and one integration, of a pixel value of 1."""
        return GAIN * self.integration_time / (MJY_PER_SR if self.units == "MJy/sr" else 1.0)

    def int_times(self) -> NDArray[Any]:
        """The INT_TIMES table of all integrations; its BJD is BJD_TDB − 2400000.5. One reset frame between two."""
        table = np.zeros(self.integrations, dtype=INT_TIMES)
        number = np.arange(self.integrations)
        table["integration_number"] = number + 1
        for when, part in (("start", 0.0), ("mid", 0.5), ("end", 1.0)):
            elapsed = number * (self.integration_time + self.frame_time) + part * self.integration_time
            barycentric = TDB_MINUS_UTC + LIGHT_TRAVEL + elapsed * BARYCENTRIC_SPEED / SPEED_OF_LIGHT
            table[f"int_{when}_MJD_UTC"] = EXPOSURE_START + elapsed / DAY
            table[f"int_{when}_BJD_TDB"] = EXPOSURE_START + (elapsed + barycentric) / DAY
        return table


def write_segment(
    path: Path, exposure: Exposure, segment: int, first: int, stop: int,
    int_times: NDArray[Any], batches: Iterator[dict[str, NDArray[Any]]],
) -> None:  # fmt: skip
    """Write one segment.

    Parameters
    ----------
    path : Path
        Name of the file; until it is complete it is ``.<name>.partial`` in the same folder.
    exposure : Exposure
        What the headers say.
    segment : int
        Number of the segment, from 1.
    first, stop : int
        Integrations ``first`` (counted from 0) to before ``stop`` are in it.
    int_times : ndarray
        Rows of the INT_TIMES table, none for an empty table.
    batches : iterator of dict
        For each batch of integrations, in order, an array (integrations, rows, columns) for each name in `PLANES`.

    Raises
    ------
    OSError
        The folder cannot be written to, or the disk is full; no file is left behind.
    """
    cube = (stop - first, *exposure.shape)
    table = fits.BinTableHDU(int_times, name="INT_TIMES")
    units = fits.Header([("BUNIT", exposure.units, "physical units of the array values")])
    headers = {
        "PRIMARY": (_primary_header(path.name, exposure, segment, first, stop), 0),
        "SCI": _image_unit("SCI", -32, cube, _science_cards(exposure)),
        "ERR": _image_unit("ERR", -32, cube, units),
        "DQ": _image_unit("DQ", 32, cube, fits.Header([("BSCALE", 1), ("BZERO", 2**31)])),
        "AREA": _image_unit("AREA", -32, exposure.shape, fits.Header()),
        "INT_TIMES": (table.header, int_times.nbytes),
        **{name: _image_unit(name, -32, cube, fits.Header()) for name in PLANES[3:]},
    }
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            begins = {}
            for name, (header, size) in headers.items():
                file.write(header.tostring().encode("ascii"))
                begins[name] = file.tell()
                file.truncate(begins[name] + -(-size // BLOCK) * BLOCK)
                file.seek(0, os.SEEK_END)
            _write_at(file, begins["AREA"], np.ones(exposure.shape, dtype=">f4"))
            _write_at(file, begins["INT_TIMES"], int_times)
            for batch in batches:
                for name in PLANES:
                    plane = batch[name]
                    if name == "DQ":  # unsigned numbers less 2**31: the same bits with the highest one turned
                        plane = (plane.astype(np.uint32) ^ np.uint32(2**31)).astype(">u4")
                    begins[name] = _write_at(file, begins[name], plane.astype(plane.dtype.newbyteorder(">")))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _write_at(file: Any, offset: int, array: NDArray[Any]) -> int:
    """Write an array's bytes at an offset and return where it ends."""
    file.seek(offset)
    file.write(np.ascontiguousarray(array).view(np.uint8).data)
    return offset + array.nbytes


def _image_unit(name: str, bits: int, shape: tuple[int, ...], cards: fits.Header) -> tuple[fits.Header, int]:
    """Header of an image extension and the bytes of its data."""
    header = fits.Header([("XTENSION", "IMAGE", "Image extension"), ("BITPIX", bits), ("NAXIS", len(shape))])
    header.extend([(f"NAXIS{axis}", length) for axis, length in enumerate(reversed(shape), start=1)], strip=False)
    header.extend([("PCOUNT", 0), ("GCOUNT", 1), ("EXTNAME", name), ("EXTVER", 1)], strip=False)
    header.extend(cards, strip=False)
    return header, abs(bits) // 8 * int(np.prod(shape))


def _primary_header(name: str, exposure: Exposure, segment: int, first: int, stop: int) -> fits.Header:
    rows, columns = exposure.shape
    count, seconds = exposure.integrations, exposure.integration_time
    duration = count * (seconds + exposure.frame_time)
    begin = Time(EXPOSURE_START, format="mjd", scale="utc").isot
    cards = [
        ("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True), ("DATE", begin),
        ("ORIGIN", "tsogrid", "simulated frames"), ("FILENAME", name), ("DATAMODL", "CubeModel"),
        ("TELESCOP", "JWST"), ("DATE-OBS", begin[:10]), ("TIME-OBS", begin[11:]), ("DATE-BEG", begin),
        ("PROGRAM", "00000"), ("OBSERVTN", "001"), ("VISIT", "001"), ("EXPOSURE", "00001"), ("TSOVISIT", True),
        ("TARGNAME", "SIMULATED"), ("TARG_RA", RIGHT_ASCENSION), ("TARG_DEC", DECLINATION),
        ("INSTRUME", "NIRCAM"), ("DETECTOR", "NRCB1"), ("MODULE", "B"), ("CHANNEL", "SHORT"),
        ("FILTER", "F210M"), ("PUPIL", "CLEAR"), ("EXP_TYPE", "NRC_TSIMAGE"), ("EXPSTART", EXPOSURE_START),
        ("EXPMID", EXPOSURE_START + duration / 2 / DAY), ("EXPEND", EXPOSURE_START + duration / DAY),
        ("READPATT", "RAPID"), ("EXSEGNUM", segment), ("EXSEGTOT", exposure.segments), ("NINTS", count),
        ("INTSTART", first + 1), ("INTEND", stop), ("NGROUPS", exposure.groups), ("NFRAMES", 1), ("GROUPGAP", 0),
        ("NRESETS", 1), ("TFRAME", exposure.frame_time), ("TGROUP", exposure.frame_time), ("EFFINTTM", seconds),
        ("EFFEXPTM", count * seconds), ("DURATION", duration), ("NOUTPUTS", exposure.amplifiers),
        ("SUBARRAY", SUBARRAYS.get(exposure.shape, "GENERIC")),
        ("SUBSTRT1", 1 + max(2048 - columns, 0) // 2), ("SUBSTRT2", 1 + min(52, max(2048 - rows, 0))),
        ("SUBSIZE1", columns), ("SUBSIZE2", rows), ("FASTAXIS", 1), ("SLOWAXIS", 2),
        *((f"S_{step}", "COMPLETE") for step in ("WCS", "DARK", "DQINIT", "FLAT", "LINEAR", "PHOTOM", "RAMP")),
    ]  # fmt: skip
    return fits.Header(cards)


def _science_cards(exposure: Exposure) -> fits.Header:
    """Units, photometry and the celestial coordinates, which are tangential about the planned position."""
    angle = np.deg2rad(ROLL)
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    cards = [
        ("MJD-BEG", EXPOSURE_START), ("BUNIT", exposure.units, "physical units of the array values"),
        ("PHOTMJSR", MJY_PER_SR, "MJy/steradian that give 1 DN/s"), ("PIXAR_SR", PIXEL_AREA, "steradian"),
        ("RADESYS", "ICRS"), ("WCSAXES", 2),
        ("CRPIX1", exposure.x_reference + 1), ("CRPIX2", exposure.y_reference + 1),
        ("CRVAL1", RIGHT_ASCENSION), ("CRVAL2", DECLINATION), ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"),
        ("CUNIT1", "deg"), ("CUNIT2", "deg"), ("CDELT1", PIXEL_SCALE), ("CDELT2", PIXEL_SCALE),
        ("PC1_1", -cosine), ("PC1_2", sine), ("PC2_1", sine), ("PC2_2", cosine),
        ("RA_REF", RIGHT_ASCENSION), ("DEC_REF", DECLINATION), ("ROLL_REF", ROLL),
        ("VELOSYS", BARYCENTRIC_SPEED, "m/s"),
        ("XREF_SCI", exposure.x_reference + 1), ("YREF_SCI", exposure.y_reference + 1),
    ]  # fmt: skip
    if exposure.units != "MJy/sr":
        cards = [card for card in cards if card[0] != "PHOTMJSR"]
    return fits.Header(cards)
