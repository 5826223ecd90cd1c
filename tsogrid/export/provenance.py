"""Where numbers come from and in which time they stand: what every exported file says of the run that made it."""

import hashlib
import json
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.ephemeris import MJD_ZERO

DIGITS = 16  # of a SHA-256, in hexadecimal
# Standard of time → coordinate of the result that holds it as a full Julian date.
COORDINATES = {"BJD_TDB": "bjd_tdb", "JD_UTC": "jd_utc"}
_SCALES = {"BJD_TDB": "tdb", "JD_UTC": "utc"}


def provenance(result: xr.Dataset) -> dict[str, str]:
    """Say which program, configuration and frames made a result.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`, or a light curve of one.

    Returns
    -------
    dict
        ``creator`` (with its version); ``config_identity`` and, of a store, ``input_identity``: the first 16 digits of the
        SHA-256 of the scientific configuration, and of names, sizes and header hashes of the files.
    """
    attributes = result.attrs
    content = {"creator": f"tsogrid {attributes.get('tsogrid_version', '')}".strip()}
    if "config" in attributes:
        content["config_identity"] = _digest(str(attributes["config"]))
    inputs = _identity(attributes).get("inputs")
    if inputs:
        content["input_identity"] = _digest(json.dumps(inputs, sort_keys=True))
    return content


def _identity(attributes: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(str(attributes.get("identity") or "{}"))
    return found if isinstance(found, dict) else {}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def best_times(result: xr.Dataset) -> tuple[str | None, np.ndarray]:
    """Give the times of the frames in the best standard in which they are known.

    Parameters
    ----------
    result : Dataset
        A result or a light curve.

    Returns
    -------
    standard : str or None
        ``BJD_TDB`` or else ``JD_UTC``; None where only the frames' numbers are known.
    days : ndarray, shape (n_frames,)
        Full Julian dates of mid-exposure, or the numbers.
    """
    times = known_times(result)
    standard = next(iter(times), None)
    return standard, times[standard] if standard else np.asarray(result["time"].to_numpy(), float)


def known_times(result: xr.Dataset) -> dict[str, np.ndarray]:
    """Collect the standards of time in which the frames' times are known.

    Parameters
    ----------
    result : Dataset
        A result or a light curve.

    Returns
    -------
    dict
        ``BJD_TDB`` and ``JD_UTC`` as far as known, in this order: full Julian dates of mid-exposure, shape (n_frames,), NaN
        where a frame has none.
    """
    found: dict[str, np.ndarray] = {}
    for standard, coordinate in COORDINATES.items():
        if coordinate in result.coords:
            found[standard] = result[coordinate].to_numpy().astype(float)
            continue
        for name in ("time", "time_raw"):
            attributes = result[name].attrs if name in result.coords else {}
            if attributes.get("scale") == _SCALES[standard] and attributes.get("format") == "jd":
                found[standard] = result[name].to_numpy().astype(float)
                break
    if "JD_UTC" not in found and "mjd_utc" in result.coords:
        found["JD_UTC"] = result["mjd_utc"].to_numpy().astype(float) + MJD_ZERO
    return found
