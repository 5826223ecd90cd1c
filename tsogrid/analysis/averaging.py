"""How scatter falls when a light curve is averaged: the rms of binned means against the size of the bins.

White noise falls as one over the root of the bin; what is correlated in time does not. Beside the rms stand the line that
the errors promise (photons) and the line of white noise from the scatter of single points.
"""

from typing import Any

import numpy as np
import xarray as xr

from tsogrid.analysis.binning import GAP, require_light_curve, runs
from tsogrid.analysis.scatter import averaged, deviation, median
from tsogrid.errors import ConfigError

FEWEST_BINS = 4  # that still have an rms worth showing


def sizes(frames: int, number: int = 20) -> np.ndarray:
    """Give numbers of frames in a bin, evenly spaced by their logarithm.

    Parameters
    ----------
    frames : int
        Length of the series.
    number : int
        How many, before those that round to the same are merged.

    Returns
    -------
    ndarray of int
        From 1 to a quarter of the series.
    """
    largest = max(frames // FEWEST_BINS, 1)
    return np.unique(np.rint(np.geomspace(1, largest, number)).astype(int))


def means(flux: np.ndarray, time: np.ndarray, points: int, gap: float = GAP) -> np.ndarray:
    """Means of runs of frames, whole ones only, none of them over a gap.

    Parameters
    ----------
    flux : ndarray, shape (n, …)
        What is not finite is left out of its mean.
    time : ndarray, shape (n,)
        Of the frames.
    points : int
        Frames in a mean.
    gap : float
        In median steps of time.

    Returns
    -------
    ndarray, shape (bins, …)
    """
    return np.concatenate([averaged(flux[run], points) for run in runs(time, gap)])


def allan(curve: xr.Dataset, number: int = 20, gap: float = GAP) -> xr.Dataset:
    """Average a light curve over longer and longer bins.

    A transit, or any other signal, counts as noise here: take it off first, or give a part without it.

    Parameters
    ----------
    curve : Dataset
        ``flux`` and ``flux_err`` over time, and over any other dimensions.
    number : int
        Sizes of bins, evenly spaced by their logarithm from 1 frame to a quarter of the series.
    gap : float
        A step of time longer than so many median steps is a gap; bins do not reach over it, and only whole bins count.

    Returns
    -------
    Dataset
        Over ``frames``, the number of frames in a bin, with the coordinates ``timescale`` (days, frames × median step) and
        ``bins`` (their number): ``rms``, the standard deviation of the means, relative to the median flux; ``rms_err`` =
        rms/√(2 (bins − 1)); ``photon`` = median error/√frames; ``white`` = standard deviation of single frames/√frames.

    Raises
    ------
    ConfigError
        It is no light curve, or has fewer than four frames.
    """
    require_light_curve(curve)
    names = [name for name in ("flux", "flux_err") if name in curve]
    ordered = curve[names].transpose("time", ...).compute()
    time = np.asarray(ordered["time"], float)
    if len(time) < FEWEST_BINS:
        raise ConfigError(f"allan: expected at least {FEWEST_BINS} frames, found {len(time)}.")
    middle = median(ordered["flux"].to_numpy().astype(float))
    flux = ordered["flux"].to_numpy() / middle
    error = median(ordered["flux_err"].to_numpy() / middle) if "flux_err" in ordered else np.full_like(middle, np.nan)
    points, bins, rms = [], [], []
    for size in sizes(len(time), number):
        found = means(flux, time, int(size), gap)
        if len(found) >= FEWEST_BINS:
            points.append(int(size))
            bins.append(len(found))
            rms.append(deviation(found))
    scatter = np.stack(rms)
    root = np.sqrt(np.array(points, float)).reshape(-1, *([1] * middle.ndim))
    count = np.array(bins, float).reshape(root.shape)
    dims = ("frames", *(dim for dim in ordered["flux"].dims if dim != "time"))
    step = float(np.median(np.diff(time)))
    kept: dict[Any, Any] = {name: value for name, value in ordered.coords.items() if "time" not in value.dims}
    unit = curve["time"].attrs.get("units", "1")
    kept["frames"] = ("frames", np.array(points), {"units": "1", "long_name": "frames in a bin"})
    kept["timescale"] = ("frames", np.array(points) * step, {"units": unit, "long_name": "length of a bin"})
    kept["bins"] = ("frames", np.array(bins), {"units": "1", "long_name": "number of bins"})
    result = xr.Dataset(coords=kept)
    for name, values, long_name in (
        ("rms", scatter, "rms of binned means"),
        ("rms_err", scatter / np.sqrt(2 * (count - 1)), "1 sigma error of the rms"),
        ("photon", error / root, "what the errors promise"),
        ("white", deviation(flux) / root, "white noise of the same scatter"),
    ):
        result[name] = (dims, values, {"units": "1", "long_name": long_name})
    result.attrs = dict(curve.attrs)
    return result
