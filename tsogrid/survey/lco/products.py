"""The refined WCS and the table of fluxes in the FITS file itself: in a copy, or in place; whole or not at all.

The units have the names that the old pipeline gives them, and replace units of the same name. What the file held before
stays as it is, byte for byte where FITS allows it.
"""

import gzip
import os
import warnings
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

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
    packed = Path(target).suffix == ".gz"

    def write(place: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(source, memmap=False, disable_image_compression=True) as units:
                kept = fits.HDUList([unit for unit in units if unit.name not in (WCS_UNIT, TABLE_UNIT)])
                kept.append(wcs_unit(cards))
                kept.append(table_unit(table, radius))
                with open(place, "wb") as file:
                    if packed:
                        # No time in the file: the same products are the same bytes.
                        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=LEVEL, mtime=0, filename="") as stream:
                            kept.writeto(stream, output_verify="ignore")
                    else:
                        kept.writeto(file, output_verify="ignore")

    write_file(target, write, os.stat(source).st_mode & 0o777 | 0o600)
