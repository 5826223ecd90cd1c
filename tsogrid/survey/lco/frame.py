"""One FITS image as the pipeline needs it: pixels, errors, what is bad, the star list, the approximate WCS, and the facts.

Frames of BANZAI have their units by name (SCI, CAT, BPM, ERR); any other image is read as far as it goes. BANZAI counts the
pixels of its star list from 1: here they count from 0.
"""

import io
import math
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs.utils import proj_plane_pixel_scales

from tsogrid.errors import InputError
from tsogrid.field.plate_solution import tangent_plane
from tsogrid.field.wcs import celestial_wcs
from tsogrid.io.cards import Cards, first_number, first_value
from tsogrid.io.fits import open_source, scan
from tsogrid.io.mid_times import mid_times
from tsogrid.io.pointing import header_target
from tsogrid.io.site_keywords import header_coordinates, header_name
from tsogrid.io.times import read_stamps

STAR_LIST, MASKS, ERRORS = ("CAT",), ("BPM", "MASK"), ("ERR", "ERROR", "UNCERT")
BAD, FULL, DIM = 1, 2, 4  # BANZAI's bits of BPM: bad, saturated, of low quantum efficiency (which is in the flat field)
FIRST_PIXEL = 1.0  # BANZAI's number of the first pixel
BROKEN = (OSError, ValueError, TypeError, EOFError, zlib.error, KeyError, IndexError, AttributeError)


@dataclass
class Frame:
    """One image.

    Parameters
    ----------
    path : str
    data : ndarray, shape (ny, nx)
        Bad pixels NaN; C-contiguous float32 or float64.
    error : ndarray, shape (ny, nx), or None
        1 sigma of each pixel, of the same type.
    full : ndarray of bool, shape (ny, nx)
        Saturated pixels.
    listed : ndarray, shape (n, 3), or None
        The star list: x, y (0-based pixels) and flux, the brightest first; None where the file has none.
    header : astropy.io.fits.Header
        Of the image.
    wcs : astropy.wcs.WCS or None
        The approximate one of the header, or one made of pointing and pixel scale.
    pixel_scale : float
        Arcseconds; NaN where nothing tells it.
    exposure : float
        Seconds.
    facts : dict
        ``mjd`` (mid-exposure, UTC; NaN where unknown), ``exptime``, ``filter``, ``object``, ``ra``, ``dec`` (of the header,
        degrees), ``latitude``, ``longitude``, ``height`` of the site (degrees, metres; NaN where unknown).
    """

    path: str
    data: np.ndarray
    error: np.ndarray | None
    full: np.ndarray
    listed: np.ndarray | None
    header: fits.Header
    wcs: Any
    pixel_scale: float
    exposure: float
    facts: dict[str, float | str]


def read_frame(path: str) -> Frame:
    """Read an image.

    Parameters
    ----------
    path : str
        A FITS file, perhaps packed (``.gz``, ``.fz``).

    Returns
    -------
    Frame

    Raises
    ------
    InputError
        No such file, no FITS, truncated or damaged, without an image or an exposure time.
    """
    scanned = scan(path)  # says in words what is wrong with a damaged file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", AstropyUserWarning)  # that a file may be truncated
            with open_source(path) as file:
                content = io.BytesIO(file.read(0, file.size))  # unpacked once, whatever order its units are read in
            with fits.open(content, memmap=False) as units:
                return _frame(path, units, [Cards(unit.header.raw) for unit in scanned.units])
    except InputError:
        raise
    except (*BROKEN, AstropyUserWarning) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{path}: expected a FITS image that can be read, found damage ({what}); copy it again.") from None


def image_unit(path: str, units: fits.HDUList) -> int:
    """Say which unit holds the image: SCI, else the first with two axes.

    Raises
    ------
    InputError
        There is none.
    """
    images = [
        index
        for index, unit in enumerate(units)
        if isinstance(unit, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU) and unit.header.get("NAXIS") == 2
    ]
    named = [index for index in images if units[index].name.upper() == "SCI"]
    if not images:
        raise InputError(f"{path}: expected an image with two axes, found none in {len(units)} units.")
    return (named or images)[0]


def _frame(path: str, units: fits.HDUList, cards: list[Cards]) -> Frame:
    index = image_unit(path, units)
    unit = units[index]
    raw = np.asarray(unit.data)
    data: np.ndarray = np.ascontiguousarray(raw, np.float64 if raw.dtype.itemsize > 4 else np.float32)
    headers = [cards[index], cards[0]] if index < len(cards) else cards[:1]
    if isinstance(unit, fits.CompImageHDU):
        headers = [Cards(unit.header.tostring().encode("ascii", "replace")), *headers]
    mask = _beside(units, MASKS, data.shape)
    bits = np.zeros(data.shape, np.int64) if mask is None else np.nan_to_num(mask).astype(np.int64)
    level = float(first_number(headers, "SATURATE") or math.inf)
    with np.errstate(invalid="ignore"):
        full = ((bits & FULL) != 0) | (data >= level)
    data[(bits & ~(FULL | DIM)) != 0] = np.nan
    stamps = read_stamps(headers)
    exposure = stamps.exposure
    if not exposure > 0:
        raise InputError(f"{path}: expected an exposure time above 0 (EXPTIME), found {exposure:g}.")
    wcs = celestial_wcs(unit.header.tostring(sep="\n"))
    pointing = header_target(headers)
    given = float(first_number(headers, "PIXSCALE") or 0.0)
    scale = given if given > 0 else _scale_of(wcs)
    if wcs is None and pointing is not None and math.isfinite(scale):
        wcs = tangent_plane(np.array([pointing.ra, pointing.dec]), scale / 3600.0)
        wcs.wcs.crpix = [(data.shape[1] + 1) / 2, (data.shape[0] + 1) / 2]
    site = header_coordinates(headers)
    named = header_name(headers)
    place = site.site(site.sense or 1) if site is not None else named[1] if named is not None else None
    return Frame(
        path,
        data,
        _error(units, data, headers),
        full,
        _star_list(units),
        unit.header.copy(),
        wcs,
        scale,
        exposure,
        {
            "mjd": float(mid_times([stamps], "auto")[0][0]),
            "exptime": exposure,
            "filter": _text(headers, "FILTER"),
            "object": _text(headers, "OBJECT"),
            "ra": math.nan if pointing is None else pointing.ra,
            "dec": math.nan if pointing is None else pointing.dec,
            "latitude": math.nan if place is None else place.lat,
            "longitude": math.nan if place is None else place.lon,
            "height": math.nan if place is None else place.height,
        },
    )


def _text(headers: list[Cards], key: str) -> str:
    return str(first_value(headers, key) or "").strip()


def _beside(units: fits.HDUList, names: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray | None:
    """The image of a unit with one of some names, if it has the shape of the image itself."""
    for unit in units:
        if unit.name.upper() in names and not isinstance(unit, fits.BinTableHDU) and unit.data is not None:
            found = np.asarray(unit.data)
            if found.shape == shape:
                return found
    return None


def _error(units: fits.HDUList, data: np.ndarray, headers: list[Cards]) -> np.ndarray | None:
    """Errors of the pixels: those of the file, else of gain and read noise; None where nothing tells them."""
    found = _beside(units, ERRORS, data.shape)
    if found is not None:
        error = np.ascontiguousarray(found, data.dtype)
        return np.where(error > 0, error, np.asarray(np.nan, data.dtype))
    gain, noise = (float(first_number(headers, key) or 0.0) for key in ("GAIN", "RDNOISE"))
    if not gain > 0:
        return None
    with np.errstate(invalid="ignore"):
        return np.ascontiguousarray(np.sqrt(np.maximum(data, 0.0) * gain + noise**2) / gain, data.dtype)


def _scale_of(wcs: Any) -> float:
    if wcs is None:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scale = float(np.sqrt(np.prod(proj_plane_pixel_scales(wcs)))) * 3600.0
    return scale if math.isfinite(scale) and scale > 0 else math.nan


def _star_list(units: fits.HDUList) -> np.ndarray | None:
    for unit in units:
        if not isinstance(unit, fits.BinTableHDU) or unit.name.upper() not in STAR_LIST or unit.data is None:
            continue
        names = {str(name).lower(): str(name) for name in unit.columns.names}
        if not {"x", "y"} <= names.keys():
            return None
        x, y = (np.asarray(unit.data[names[key]], float) - FIRST_PIXEL for key in ("x", "y"))
        if "flux" not in names:
            return None  # without fluxes its pattern says little: the image tells more
        table = np.stack([x, y, np.asarray(unit.data[names["flux"]], float)], axis=-1)
        table = table[np.isfinite(table).all(axis=1) & (table[:, 2] > 0)]
        return table[np.argsort(-table[:, 2], kind="stable")]
    return None
