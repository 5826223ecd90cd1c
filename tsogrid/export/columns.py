"""What the formats of one light curve share: its centre, its quality, and its reference stars as one comparison."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from tsogrid.analysis import ensemble
from tsogrid.analysis.choice import has_references
from tsogrid.analysis.reference import relative
from tsogrid.export.chosen import Chosen
from tsogrid.flags import OF_THE_FIELD

APERTURE_FLAG_SHIFT = 16  # bits of aperture_flags stand above those of flags
_CENTRES = (("x_fit", "y_fit"), ("x_quadratic", "y_quadratic"), ("x_com", "y_com"), ("x", "y"))  # the first that is there


def centre(plane: xr.Dataset) -> tuple[str, str]:
    """Name the variables that hold the best measured centre: of the fit, else of mass, else where the apertures stood."""
    return next((names for names in _CENTRES if set(names) <= set(plane.data_vars)), ("x", "y"))


def values(plane: xr.Dataset, name: str) -> np.ndarray:
    """Give a variable over time; NaN where the result does not have it. Shape (n_frames,)."""
    if name not in plane:
        return np.full(plane.sizes["time"], np.nan)
    return np.asarray(plane[name].to_numpy(), float)


def quality(plane: xr.Dataset) -> np.ndarray:
    """Give ``flags + 65536 aperture_flags`` of one source and aperture, without overlaps; int32, shape (n_frames,).

    Programs leave out points whose quality is not 0: of a star with a near neighbour nothing would remain.
    """
    total = np.zeros(plane.sizes["time"], np.int32)
    for name, shift, left_out in (("flags", 0, 0), ("aperture_flags", APERTURE_FLAG_SHIFT, int(OF_THE_FIELD))):
        if name in plane:
            total |= (plane[name].to_numpy().astype(np.int32) & ~left_out) << shift
    return total


@dataclass(frozen=True)
class Comparison:
    """A source over its reference stars.

    Parameters
    ----------
    curve : Dataset
        From `tsogrid.analysis.reference.relative`: ``flux`` of median 1 and ``flux_err``.
    names : tuple of str
        The reference stars that are used.
    counts, counts_err : ndarray, shape (n_frames,)
        Their flux together, in the result's unit: the sum, where none of their points is rejected.
    ratio, ratio_err : ndarray, shape (n_frames,)
        The source's flux over it: ``curve.flux`` times a constant.
    """

    curve: xr.Dataset
    names: tuple[str, ...]
    counts: np.ndarray
    counts_err: np.ndarray
    ratio: np.ndarray
    ratio_err: np.ndarray


def over_references(result: xr.Dataset, chosen: Chosen) -> Comparison | None:
    """Compare the chosen source with its reference stars.

    Parameters
    ----------
    result : Dataset
        A result.
    chosen : Chosen
        Its source, aperture and sky.

    Returns
    -------
    Comparison or None
        None where the source has no reference star.

    Raises
    ------
    ConfigError
        It has some, and none of them can be used.
    """
    star = chosen.numbers["source"]
    if not has_references(result, star):
        return None
    cell = result.isel(aperture=[chosen.numbers["aperture"]], sky=[chosen.numbers["sky"]])
    curve = relative(cell, star)
    used = np.asarray(curve["used"], bool)
    names = [str(name) for name in curve["reference"].to_numpy()]
    flux = cell["flux"].isel(aperture=0, sky=0).transpose("time", "source")
    every = [str(name) for name in result["source"].to_numpy()]
    stars = flux.isel(source=[every.index(name) for name in names]).to_numpy().astype(float)
    # The comparison is relative to these medians: together they make it the flux of all the stars that are used.
    whole = float(np.nansum(ensemble.normal_flux(stars[:, :, None], used)[used, 0]))
    counts, counts_err = (np.asarray(curve[name], float) * whole for name in ("comparison", "comparison_err"))
    target = flux.isel(source=star).to_numpy().astype(float)
    ratio = target / counts
    # One constant leads from the relative flux, whose median is 1, to the ratio.
    known = np.isfinite(ratio) & np.isfinite(curve["flux"].to_numpy()) & (curve["flux"].to_numpy() != 0)
    scale = float(np.median(ratio[known] / curve["flux"].to_numpy()[known])) if known.any() else float("nan")
    used_names = tuple(name for name, use in zip(names, used, strict=True) if use)
    return Comparison(curve, used_names, counts, counts_err, ratio, np.asarray(curve["flux_err"], float) * scale)
