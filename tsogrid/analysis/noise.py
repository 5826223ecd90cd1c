"""The noise budget of a light curve: photons, sky, read noise, the sky's own error, 1/f and scintillation, each on its own.

Every part is relative to the flux, one number a frame. What cannot be known from the result, and is not told, is NaN, and
the attribute ``unknown`` says what is missing.
"""

import json
import math
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.analysis.select import cells, light_curve_attributes, require_result, source_number

ROW_MODELS = ("rowamp", "readoutgp", "colrow")  # as in labels: skies that follow the 1/f noise of the read-out
SCALE_HEIGHT = 8000.0  # metres, of the atmosphere
COUNTS = ("", "1", "dn", "adu", "count", "counts", "ct")
PARTS = {
    "photon": "photon noise of the source",
    "sky_photon": "photon noise of the sky in the aperture",
    "read": "read noise of the aperture's pixels",
    "pixels": "noise of the aperture's pixels, as propagated from their errors",
    "sky_level": "error of the sky that is taken off",
    "one_over_f": "error of the row model that takes off the 1/f noise, and of the sky after it",
    "scintillation": "scintillation",
}


def scintillation(diameter: Any, exposure: Any, airmass: Any = 1.0, altitude: Any = 0.0, correction: float = 1.5) -> Any:
    """Give the relative scintillation noise of a long exposure.

    σ² = 10⁻⁵ C² D^(−4/3) t⁻¹ X³ exp(−2h/H), H = 8000 m: Young (1967, AJ 72, 747) as corrected by Osborn et al. (2015, MNRAS
    452, 1707), who measured C between 1.3 (La Palma) and 1.7 (San Pedro Mártir); C = 1 is close to Young's own formula,
    which gives too little at most sites.

    Parameters
    ----------
    diameter : float
        Of the telescope's aperture, metres.
    exposure : float
        Seconds.
    airmass : float or array
        1 at the zenith.
    altitude : float
        Of the observatory, metres.
    correction : float
        C, in m^(2/3) s^(1/2).

    Returns
    -------
    float or array
        Standard deviation relative to the flux.
    """
    height = np.exp(-np.asarray(altitude, float) / SCALE_HEIGHT)
    result = math.sqrt(1e-5) * correction * diameter ** (-2 / 3) * exposure**-0.5 * airmass**1.5 * height
    return result if isinstance(result, xr.DataArray) else float(result) if np.ndim(result) == 0 else result


def electrons_per_unit(result: xr.Dataset, gain: float | None = None) -> float:
    """Give the electrons in one unit of the flux; NaN if the gain is unknown or the unit is no count.

    Parameters
    ----------
    result : Dataset
        A result or one of its light curves.
    gain : float, optional
        Electrons in one count; the result's own if not given.

    Returns
    -------
    float
    """
    unit = str(result.attrs.get("data_units", result["flux"].attrs.get("units", ""))).lower().replace(" ", "")
    base, _, per = unit.partition("/")
    seconds = _number(result, "integration_time_s") if per == "s" else 1.0 if not per else math.nan
    if base in ("electron", "electrons", "e-"):
        return seconds
    return (_number(result, "gain") if gain is None else float(gain)) * seconds if base in COUNTS else math.nan


def _number(result: xr.Dataset, name: str) -> float:
    """Look for a number among the attributes, then in the configuration of the run."""
    value = result.attrs.get(name)
    if value is None:
        value = json.loads(result.attrs.get("config", "{}")).get("input", {}).get(name)
    return float(value) if isinstance(value, int | float | np.number) else math.nan


def noise(
    result: xr.Dataset,
    source: Any = None,
    aperture: Any = None,
    sky: Any = None,
    *,
    gain: float | None = None,
    read_noise: float | None = None,
    diameter: float | None = None,
    altitude: float | None = None,
    airmass: Any = None,
    exposure: float | None = None,
    correction: float = 1.5,
) -> xr.Dataset:
    """Say where the noise of a source's flux comes from.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    source, aperture, sky : optional
        As in `tsogrid.analysis.lightcurve.light_curve`.
    gain, read_noise : float, optional
        Electrons in a count, electrons; the result's own (attributes, configuration) if not given.
    diameter, altitude, exposure : float, optional
        Of the telescope and the observatory, metres; seconds. The attributes ``telescope_diameter_m``, ``site_altitude_m``
        and ``integration_time_s`` if not given.
    airmass : float or array over time, optional
        The coordinate or attribute ``airmass`` if not given.
    correction : float
        See `scintillation`.

    Returns
    -------
    Dataset
        Over time (and apertures and skies where several are left), relative to the flux: ``photon``, ``sky_photon``,
        ``read``; ``pixels``, what the errors of the pixels say of these three together; ``sky_level`` or, of skies with a
        model of the rows, ``one_over_f``; ``scintillation``; ``total``, the root of the sum of the squares of what is known
        (the first three, or else ``pixels``); ``error``, the error of the flux that is stored.

    Raises
    ------
    ConfigError
        There is no such source, aperture or sky.
    """
    require_result(result)
    number, said = source_number(result, source)
    names = ["flux", "flux_err", "aperture_sum_err", "aperture_area", "sky_sum", "sky_sum_err"]
    chosen, where = cells(result[names].isel(source=number), aperture, sky)
    chosen = chosen.compute()
    electrons = electrons_per_unit(result, gain)
    read = _number(result, "read_noise") if read_noise is None else float(read_noise)
    diameter = _number(result, "telescope_diameter_m") if diameter is None else float(diameter)
    altitude = _number(result, "site_altitude_m") if altitude is None else float(altitude)
    exposure = _number(result, "integration_time_s") if exposure is None else float(exposure)
    if airmass is None:
        airmass = result["airmass"] if "airmass" in result.coords else _number(result, "airmass")
    elif np.ndim(airmass) == 1 and not isinstance(airmass, xr.DataArray):
        airmass = xr.DataArray(np.asarray(airmass, float), {"time": result["time"]}, "time")

    flux = chosen["flux"].where(chosen["flux"] > 0)
    ones = flux * 0 + 1
    has_rows = _has_row_model(chosen["sky"])
    parts = {
        "photon": np.sqrt(flux / electrons) / flux,
        "sky_photon": np.sqrt(np.maximum(chosen["sky_sum"], 0) / electrons) / flux,
        "read": np.sqrt(chosen["aperture_area"]) * read / electrons / flux,
        "pixels": chosen["aperture_sum_err"] / flux,
        "sky_level": (chosen["sky_sum_err"] / flux).where(~has_rows, 0.0),
        "one_over_f": (chosen["sky_sum_err"] / flux).where(has_rows, 0.0),
        "scintillation": ones * scintillation(diameter, exposure, airmass, altitude, correction),
    }
    own = parts["photon"] ** 2 + parts["sky_photon"] ** 2 + parts["read"] ** 2
    known = [own if math.isfinite(electrons) and math.isfinite(read) else parts["pixels"] ** 2]
    known += [parts["sky_level"] ** 2, parts["one_over_f"] ** 2]
    unknown = {
        "photon, sky_photon": None if math.isfinite(electrons) else "no gain, or fluxes that are no counts",
        "read": None if math.isfinite(electrons * read) else "no gain or no read noise",
        "scintillation": _missing(diameter=diameter, altitude=altitude, exposure=exposure, airmass=airmass),
    }
    if unknown["scintillation"] is None:
        known.append(parts["scintillation"] ** 2)
    parts["total"] = np.sqrt(sum(known[1:], start=known[0]))
    parts["error"] = chosen["flux_err"] / flux
    words = {**PARTS, "total": "all that is known, in quadrature", "error": "error of the flux in the result"}
    budget = xr.Dataset({
        name: part.transpose(*chosen["flux"].dims, missing_dims="ignore").assign_attrs(units="1", long_name=words[name])
        for name, part in parts.items()
    })  # fmt: skip
    missing = "; ".join(f"{name}: {why}" for name, why in unknown.items() if why)
    said = "; ".join(word for word in (said, where) if word)
    budget.attrs = light_curve_attributes(result) | {"choice": said, "unknown": missing or "nothing"}
    return budget


def _has_row_model(sky: xr.DataArray) -> xr.DataArray:
    labels = np.asarray(sky.to_numpy(), object)
    found = np.array([any(name in str(label) for name in ROW_MODELS) for label in labels.reshape(-1)], bool)
    return xr.DataArray(found.reshape(labels.shape), dims=sky.dims, coords={"sky": sky})


def _missing(**values: Any) -> str | None:
    names = [name for name, value in values.items() if not np.all(np.isfinite(value))]
    return f"not told: {', '.join(names)}" if names else None
