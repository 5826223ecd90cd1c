"""A reduced frame as the Nickel camera's pipeline leaves it: pixels, what is bad of them, and what its header tells."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from tsogrid.errors import InputError
from tsogrid.io.cards import Cards, first_number, first_value
from tsogrid.io.fits import scan
from tsogrid.io.mid_times import mid_times
from tsogrid.io.times import read_stamps
from tsogrid.survey.nickel.file_table import plain

MASK = "MASK"
ERRORS = ("ERR", "ERROR", "SIGMA")
_NUMBERS = ("ADU", "DN", "COUNT", "COUNTS")  # units of pixels that still want the gain


@dataclass(frozen=True)
class Image:
    """A frame.

    Parameters
    ----------
    data : (ny, nx) array of float64
        Pixels.
    error : (ny, nx) array or None
        Their errors, if the file has them.
    mask : (ny, nx) array of bool or None
        True where bad.
    gain : float
        Electrons per unit of the data.
    facts : dict
        ``object``, ``filter``, ``time`` (MJD, UTC, of mid-exposure), ``exptime`` (s), ``airmass``; NaN or "" where unknown.
    """

    data: np.ndarray
    error: np.ndarray | None
    mask: np.ndarray | None
    gain: float
    facts: dict[str, float | str]


def read_image(path: str) -> Image:
    """Read a frame.

    Parameters
    ----------
    path : str
        A FITS file, packed or not.

    Returns
    -------
    Image

    Raises
    ------
    InputError
        The file is missing, truncated or no FITS file, or holds no image.
    """
    file = scan(path)  # says what is wrong with a file in words, and costs no pixels
    headers = [unit.header for unit in file.units]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # what astropy mends in a header is no news to the observer
        try:
            with fits.open(path, memmap=False) as units:
                science = _science(units)
                if science is None:
                    raise InputError(f"{path}: expected an image, found none{file.contents()}")
                data = np.asarray(units[science].data, np.float64)
                mask = _companion(units, (MASK,))
                error = _companion(units, ERRORS)
        except InputError:
            raise
        except Exception as found:  # of astropy, of many types
            raise InputError(f"{path}: the pixels cannot be read ({found}); copy or download it again") from None
    if data.ndim != 2:
        raise InputError(f"{path}: expected a 2-D image, found {data.ndim} dimensions {data.shape}.")
    for name, other in (("mask", mask), ("error", error)):
        if other is not None and other.shape != data.shape:
            raise InputError(f"{path}: expected a {name} of the image's shape {data.shape}, found {other.shape}.")
    bad = None if mask is None else np.nan_to_num(mask, nan=1.0) != 0
    return Image(data, None if error is None else error.astype(np.float64), bad, _gain(headers), facts_of(headers))


def _science(units: Any) -> int | None:
    """The first unit with pixels."""
    for number, unit in enumerate(units):
        if unit.is_image and unit.header.get("NAXIS", 0) >= 2 and unit.name not in (MASK, *ERRORS):
            return number
    return None


def _companion(units: Any, names: Sequence[str]) -> np.ndarray | None:
    found = next((unit for unit in units if unit.name in names and unit.is_image and unit.data is not None), None)
    return None if found is None else np.asarray(found.data)


def _gain(headers: Sequence[Cards]) -> float:
    gain = first_number(headers, "GAIN", "EGAIN")
    unit = plain(first_value(headers, "BUNIT") or "")
    return float(gain) if gain is not None and gain > 0 and unit in _NUMBERS else 1.0


def facts_of(headers: Sequence[Cards]) -> dict[str, float | str]:
    """Give what the headers of a frame tell of it.

    Parameters
    ----------
    headers : sequence of Cards
        Of all units of the file.

    Returns
    -------
    dict
        See `Image`.
    """
    stamps = read_stamps(headers)
    time, _, _ = mid_times([stamps], "auto")
    airmass = first_number(headers, "AIRMASS")
    return {
        "object": str(first_value(headers, "OBJECT") or "").strip(),
        "filter": str(first_value(headers, "FILTNAM", "FILTER") or "").strip(),
        "time": float(time[0]),
        "exptime": float(stamps.exposure),
        "airmass": float(airmass) if airmass is not None else float("nan"),
    }
