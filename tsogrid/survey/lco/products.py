"""The refined WCS and the table of fluxes in the FITS file itself: in a copy, or in place; whole or not at all.

The units have the names that the old pipeline gives them, and replace units of the same name. What the file held before
stays as it is, byte for byte.
"""

import gzip
import io
import os
import warnings
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from tsogrid.io.fits import BLOCK, open_source, scan
from tsogrid.survey.lco.whole import write_file

WCS_UNIT = "LCO MICROLENSING PHOTOMETRY UPDATED WCS"
TABLE_UNIT = "LCO MICROLENSING APERTURE PHOTOMETRY"
LEVEL = 1  # of gzip: pixels with noise pack no better for more


def wcs_unit(cards: str) -> fits.ImageHDU:
    """Make the unit that holds a WCS in its header.

    Parameters
    ----------
    cards : str
        FITS cards, one a line.
    """
    header = fits.Header.fromstring(cards, sep="\n")
    header["EXTNAME"] = WCS_UNIT
    return fits.ImageHDU(header=header)


def table_unit(table: Any, radius: float) -> fits.BinTableHDU:
    """Make the unit that holds the table of fluxes.

    Parameters
    ----------
    table : astropy.table.Table
    radius : float
        Of the circles, pixels.
    """
    unit = fits.BinTableHDU(table)
    unit.header["EXTNAME"] = TABLE_UNIT
    unit.header["APRAD"] = (radius, "radius of the apertures, pixels")
    return unit


def write_products(source: str | Path, target: str | Path, cards: str, table: Any, radius: float) -> None:
    """Write an image with its products.

    Parameters
    ----------
    source : path-like
        The image; it may be the target too.
    target : path-like
        Written beside, flushed, and then renamed: whole, or not there (and the old one as it was).
    cards : str
        The refined WCS, FITS cards, one a line.
    table : astropy.table.Table
        The fluxes.
    radius : float
        Of the circles, pixels.

    Raises
    ------
    StoreError
        The folder cannot be written, or the disk is full.
    """
    content = _kept(str(source)) + _as_bytes([wcs_unit(cards), table_unit(table, radius)])
    if Path(target).suffix == ".gz":
        content = gzip.compress(content, LEVEL, mtime=0)  # no time in the file: the same products are the same bytes

    def write(place: Path) -> None:
        place.write_bytes(content)

    write_file(target, write, os.stat(source).st_mode & 0o777 | 0o600)


def _kept(path: str) -> bytes:
    """The units of a file without earlier products, as they are."""
    with open_source(path) as file:
        content = bytes(file.read(0, file.size))
    parts = []
    for unit in scan(path).units:
        end = unit.offset + -(-unit.nbytes // BLOCK) * BLOCK
        start = unit.offset - len(unit.header.raw)
        if str(unit.header.get("EXTNAME", "")).strip() not in (WCS_UNIT, TABLE_UNIT):
            parts.append(content[start:end].ljust(end - start, b"\0"))
    return b"".join(parts)


def _as_bytes(units: list[Any]) -> bytes:
    """Units as they stand in a file behind others."""
    stream = io.BytesIO()
    first = fits.PrimaryHDU()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        fits.HDUList([first, *units]).writeto(stream, output_verify="ignore")
    return stream.getvalue()[BLOCK:]
