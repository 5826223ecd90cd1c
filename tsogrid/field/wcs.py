"""World coordinates of the frames: the celestial WCS that the reader kept as header text."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.utils.exceptions import AstropyWarning

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
        None where the frames have no celestial coordinates, or none that can be used.
    """
    if not header_text:
        return None
    from astropy.io import fits  # 18 MB both, needed for sources on the sky
    from astropy.wcs import WCS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # what wcslib mends in a header is no news to the user
        try:
            wcs = WCS(fits.Header.fromstring(header_text, sep="\n"))
            if (wcs.naxis, wcs.wcs.lng, wcs.wcs.lat) != (2, 0, 1):
                wcs = wcs.celestial
            wcs.wcs.set()
        except Exception:  # whatever wcslib and astropy raise of a damaged header
            return None
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
    x, y = wcs_pixels(wcs, np.array([[ra, dec]]))[0]
    if not np.isfinite(x) or not np.isfinite(y):
        raise InputError(f"Source {name!r} (ra {ra:.6f}, dec {dec:.6f}) does not fall on these frames.")
    return float(x), float(y)


def sky_to_pixels(header_texts: Sequence[str] | np.ndarray, sky: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels of sources in every frame, by that frame's own WCS.

    Parameters
    ----------
    header_texts : sequence of str
        FITS cards of each frame; empty where it has no WCS. Frames that share a text are computed once.
    sky : ndarray, shape (n_sources, 2)
        Right ascension and declination, ICRS, in degrees.

    Returns
    -------
    pixels : ndarray, shape (n_frames, n_sources, 2)
        x, y in 0-based pixels; NaN where a frame has no usable WCS, or a position has no pixel.
    usable : ndarray of bool, shape (n_frames,)
        Whether the frame has a usable WCS.
    """
    index: dict[str, int] = {}
    which = np.array([index.setdefault(str(text), len(index)) for text in header_texts], int)
    pixels = np.full((len(index), len(sky), 2), np.nan)
    usable = np.zeros(len(index), bool)
    for text, place in index.items():
        wcs = celestial_wcs(text)
        if wcs is not None:
            usable[place] = True
            pixels[place] = wcs_pixels(wcs, sky)
    return pixels[which], usable[which]


def pixels_to_sky(header_text: str, pixels: np.ndarray) -> np.ndarray:
    """Find the sky positions of pixels.

    Parameters
    ----------
    header_text : str
        FITS cards of a frame that has a usable WCS.
    pixels : ndarray, shape (n, 2)
        x, y in 0-based pixels.

    Returns
    -------
    ndarray, shape (n, 2)
        Right ascension and declination, ICRS, in degrees; NaN where there is none.
    """
    wcs = celestial_wcs(header_text)
    if wcs is None:
        return np.full(pixels.shape, np.nan)
    with np.errstate(invalid="ignore"):
        lon, lat = wcs.pixel_to_world_values(pixels[:, 0], pixels[:, 1])
    if _is_icrs(wcs):
        return np.stack([lon, lat], axis=-1)
    from astropy.coordinates import SkyCoord
    from astropy.wcs.utils import wcs_to_celestial_frame

    there = SkyCoord(lon, lat, unit="deg", frame=wcs_to_celestial_frame(wcs)).icrs
    return np.stack([there.ra.deg, there.dec.deg], axis=-1)


def _is_icrs(wcs: Any) -> bool:
    """Whether coordinates are ICRS, or FK5 of J2000, which differs by 0.02 arcsec and is taken as the same."""
    return wcs.wcs.lngtyp.strip() == "RA" and not wcs.wcs.radesys.strip().startswith("FK4")


def wcs_pixels(wcs: Any, sky: np.ndarray) -> np.ndarray:
    """Find the pixels of sky positions by one WCS.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        Celestial.
    sky : ndarray, shape (n_sources, 2)
        Right ascension and declination, ICRS, in degrees.

    Returns
    -------
    ndarray, shape (n_sources, 2)
        x, y in 0-based pixels; NaN where there are none.
    """
    from astropy.wcs import NoConvergence

    with np.errstate(invalid="ignore"):
        try:
            return np.stack(wcs.world_to_pixel_values(*_in_frame_of(wcs, sky)), axis=-1)
        except NoConvergence:
            # A distortion has no inverse far away from the frame: one such position must not cost the others theirs.
            if len(sky) == 1:
                return np.full((1, 2), np.nan)
            return np.concatenate([wcs_pixels(wcs, sky[i : i + 1]) for i in range(len(sky))])


def _in_frame_of(wcs: Any, sky: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in the system of a WCS, degrees."""
    if _is_icrs(wcs):
        return sky[:, 0], sky[:, 1]
    from astropy.coordinates import SkyCoord
    from astropy.wcs.utils import wcs_to_celestial_frame

    there = SkyCoord(sky[:, 0], sky[:, 1], unit="deg").transform_to(wcs_to_celestial_frame(wcs)).spherical
    return there.lon.deg, there.lat.deg
