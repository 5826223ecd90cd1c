"""What the headers of known cameras say, in the words of the result: attributes, amplifiers, exposure types."""

import json
import re
from collections.abc import Sequence
from typing import Any

from tsogrid.io.cards import Cards, first_number, first_value

# Attribute → keywords, the first that is found counts.
ATTRIBUTES = {
    "units": ("BUNIT",),
    "telescope": ("TELESCOP",),
    "instrument": ("INSTRUME",),
    "detector": ("DETECTOR",),
    "channel": ("CHANNEL",),
    "filter": ("FILTER", "FILTNAM"),
    "pupil": ("PUPIL",),
    "subarray": ("SUBARRAY",),
    "target": ("TARGNAME", "TARGPROP", "OBJECT"),
    "exposure_type": ("EXP_TYPE",),
    "readout": ("READPATT",),
    "pixel_area_sr": ("PIXAR_SR",),
    "integration_time_s": ("EFFINTTM", "INTTIME", "EXPTIME", "EXPOSURE"),
    "fast_axis": ("FASTAXIS",),
}
_NUMBERS = {"pixel_area_sr", "integration_time_s", "fast_axis"}

# Exposure types of the JWST whose frames are spectra; only direct images are meant to be measured.
SPECTRAL_TYPES = (
    "MIR_LRS-SLITLESS",
    "MIR_LRS-FIXEDSLIT",
    "MIR_MRS",
    "NRC_TSGRISM",
    "NRC_GRISM",
    "NRC_WFSS",
    "NIS_SOSS",
    "NIS_WFSS",
    "NRS_BRIGHTOBJ",
    "NRS_FIXEDSLIT",
    "NRS_IFU",
    "NRS_MSASPEC",
)

DETECTOR_COLUMNS = 2048  # of the near-infrared detectors of the JWST
FOUR_AMPLIFIERS = 4

_WCS_KEYWORD = re.compile(
    r"^(C(TYPE|RVAL|RPIX|DELT|UNIT|ROTA)[12]|(PC|CD)[12]_[12]|PC00[12]00[12]|PV[12]_\d+|LONPOLE|LATPOLE|RADESYS|EQUINOX"
    r"|[AB]P?_(ORDER|DMAX|\d_\d))$"
)


def attributes(headers: Sequence[Cards], shape: tuple[int, int]) -> dict[str, Any]:
    """Give the attributes of the frames that headers tell.

    Parameters
    ----------
    headers : sequence of Cards
        The header of the image, then the primary one; the first that has a keyword counts.
    shape : (int, int)
        ny, nx of a frame.

    Returns
    -------
    dict
        Text, numbers and lists of numbers; what is unknown is absent.
    """

    result: dict[str, Any] = {}
    for name, keys in ATTRIBUTES.items():
        found = first_number(headers, *keys) if name in _NUMBERS else first_value(headers, *keys)
        if found is not None:
            result[name] = found if name in _NUMBERS else str(found)
    if "fast_axis" in result:
        result["fast_axis"] = int(result["fast_axis"])
    outputs = first_number(headers, "NOUTPUTS")
    if outputs is not None:
        result["outputs"] = int(outputs)
    columns = amplifier_columns(outputs, shape[1], result.get("fast_axis"))
    if columns:
        result["amplifiers"] = columns
    for name, key in (("x_ref", "XREF_SCI"), ("y_ref", "YREF_SCI")):
        position = first_number(headers, key)
        if position is not None:
            result[name] = float(position) - 1.0  # FITS counts pixels from 1
    origin = [first_number(headers, key) for key in ("SUBSTRT1", "SUBSTRT2")]
    if None not in origin:
        result["subarray_origin"] = [int(each) for each in origin if each is not None]
    if text := first_celestial_wcs(headers):
        result["wcs"] = text
    return result


def amplifier_columns(outputs: float | None, width: int, fast_axis: int | None = None) -> list[int]:
    """Give the columns that each amplifier reads.

    Parameters
    ----------
    outputs : number or None
        How many amplifiers read the frame (NOUTPUTS).
    width : int
        Columns of the frame.
    fast_axis : int, optional
        FASTAXIS; amplifiers whose lines run along y (±2) are not known here.

    Returns
    -------
    list of int
        ``[start, stop, start, stop, …]``, 0-based, stop excluded; empty if the geometry is not known.
    """
    if fast_axis is not None and abs(fast_axis) != 1:
        return []
    if outputs == 1:
        return [0, width]
    if outputs == FOUR_AMPLIFIERS and width == DETECTOR_COLUMNS:
        step = width // FOUR_AMPLIFIERS
        return [edge for a in range(FOUR_AMPLIFIERS) for edge in (a * step, (a + 1) * step)]
    return []


def celestial_wcs(header: Cards) -> str | None:
    """Give the cards of a header's 2-D celestial WCS as text, lines separated by a newline, or None.

    ``astropy.wcs.WCS(fits.Header.fromstring(text, sep="\\n"))`` makes it usable. The cards are copied as they stand: nothing
    is rounded, and distortion (SIP, PV) stays.
    """
    kinds = [str(header.get(f"CTYPE{n}", "")).upper() for n in (1, 2)]
    longitude = any(kind.startswith(("RA-", "GLON", "ELON")) for kind in kinds)
    latitude = any(kind.startswith(("DEC-", "GLAT", "ELAT")) for kind in kinds)
    if not (longitude and latitude) or header.get("CRVAL1") is None:
        return None
    lines = [f"{'WCSAXES':8}= {2:>20}".ljust(80)]
    lines += [header.image(key) for key in header if _WCS_KEYWORD.match(key) and header.get(key) is not None]
    return "\n".join(lines)


def first_celestial_wcs(headers: Sequence[Cards]) -> str | None:
    """Give the celestial WCS of the first header that has one."""
    return next((text for header in headers if (text := celestial_wcs(header))), None)


def is_spectral(exposure_type: str | None) -> bool:
    """Whether an exposure type means spectra, not images."""
    return exposure_type is not None and exposure_type.upper().startswith(SPECTRAL_TYPES)


def identity(files: Sequence[Any]) -> str:
    """Give the JSON list of name, size and header hash of each file, in series order."""
    return json.dumps([{"name": file.name, "size": file.size, "hash": file.hash} for file in files])
