"""World coordinates of the frames: the celestial WCS that the reader kept as header text."""

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from tsogrid.errors import InputError


def celestial_wcs(header_text: str | None) -> Any | None:
    """Make the celestial WCS of the frames.

    Parameters
    ----------
    header_text : str or None
        FITS cards, one a line: the attribute ``wcs`` of the frames.

    Returns
    -------
    astropy.wcs.WCS or None
        None where the frames have no celestial coordinates.
    """
    if not header_text:
        return None
    wcs = WCS(fits.Header.fromstring(header_text, sep="\n")).celestial
    return wcs if wcs.has_celestial else None


def sky_to_pixel(header_text: str | None, ra: float, dec: float, name: str) -> tuple[float, float]:
    """Find a source's pixel from its sky position.

    Parameters
    ----------
    header_text : str or None
        The attribute ``wcs`` of the frames.
    ra, dec : float
        ICRS, in degrees.
    name : str
        What to call the source in an error.

    Returns
    -------
    x, y : float
        0-based pixels.

    Raises
    ------
    InputError
        The frames have no WCS, or the position has no pixel.
    """
    wcs = celestial_wcs(header_text)
    if wcs is None:
        raise InputError(f"Source {name!r} is given by ra and dec, but the frames have no WCS. Give x and y (pixels).")
    x, y = (float(value) for value in wcs.world_to_pixel_values(ra, dec))
    if not np.isfinite(x) or not np.isfinite(y):
        raise InputError(f"Source {name!r} (ra {ra:.6f}, dec {dec:.6f}) does not fall on these frames.")
    return x, y
