"""How the image of a star changes in shape: the leading eigenimages of stamps over their flux, and their course in time.

A stamp over its own sum does not know how bright the star is, so what is left is motion, width, and pixels that drift
(the settling of MIRI's detector). Deviations from the usual image are divided by its root, as photons scatter, and taken
apart by singular values.
"""

from typing import Any

import numpy as np
import xarray as xr
from scipy.linalg import svd

from tsogrid.analysis.scatter import NORMAL_MAD, median
from tsogrid.analysis.select import require_result, source_number
from tsogrid.errors import ConfigError

CLIP = 6.0  # 1.4826 MAD of a pixel's series; what is farther is a cosmic ray


def eigenimages(frames: xr.Dataset, result: xr.Dataset, source: Any = None, number: int = 3, box: int = 15) -> xr.Dataset:
    """Find the leading eigenimages of a star and how strong each is in every frame.

    Parameters
    ----------
    frames : Dataset
        From `tsogrid.open_frames`: ``data`` (time, y, x); only the stamps are read.
    result : Dataset
        Measured from these frames: positions and sky.
    source : str or int, optional
        Name or number; the first target if not given.
    number : int
        How many eigenimages.
    box : int
        Width of the stamp, odd, pixels, about the median position.

    Returns
    -------
    Dataset
        ``eigen1`` …, over time, each of mean 0 and standard deviation 1; NaN in frames without a flux. ``images``
        (eigenimage, row, column) and ``share``, the part of the variance. `detrend(..., extra=...)` takes it as it is.

    Raises
    ------
    ConfigError
        Other frames than those of the result, a box that is not on the frame, or too few frames.
    """
    require_result(result)
    if "data" not in frames or frames["data"].dims != ("time", "y", "x"):
        raise ConfigError("eigenimages: expected frames with data (time, y, x), from tsogrid.open_frames.")
    if not np.array_equal(frames["time"].to_numpy(), result["time"].to_numpy()):
        raise ConfigError(
            f"eigenimages: expected the {result.sizes['time']} frames of the result, found others ({frames.sizes['time']})."
        )
    index = source_number(result, source)[0]
    place = [float(median(result[axis].isel(source=index).to_numpy().astype(float))) for axis in ("y", "x")]
    half = box // 2
    if box % 2 == 0 or box < 3 or not np.isfinite(place).all():
        raise ConfigError(
            f"eigenimages: expected an odd box of at least 3 pixels about a known position, found {box}, {place}."
        )
    rows, columns = (slice(round(at) - half, round(at) + half + 1) for at in place)
    if rows.start < 0 or columns.start < 0 or rows.stop > frames.sizes["y"] or columns.stop > frames.sizes["x"]:
        raise ConfigError(
            f"eigenimages: expected a box on the frame, found {box} pixels about y = {place[0]:.1f}, x = {place[1]:.1f}."
        )
    stamps = frames["data"].isel(y=rows, x=columns).to_numpy().astype(float).reshape(len(frames["time"]), -1)
    sky = result["sky_level"].isel(source=index, sky=0).to_numpy()
    series, images, share = decompose(stamps - np.nan_to_num(sky)[:, None], number)
    found = xr.Dataset(coords={"time": result["time"]})
    for place_of, values in enumerate(series.T, start=1):
        long_name = f"strength of eigenimage {place_of}"
        found[f"eigen{place_of}"] = ("time", values, {"units": "1", "long_name": long_name})
    unit = {"units": "1", "long_name": "eigenimage, over the root of the mean image"}
    found["images"] = (("eigenimage", "row", "column"), images.reshape(-1, box, box), unit)
    found["share"] = ("eigenimage", share, {"units": "1", "long_name": "part of the variance"})
    return found


def decompose(stamps: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take stamps over their sums apart.

    Parameters
    ----------
    stamps : ndarray, shape (n, pixels)
        Less sky; a pixel that is not finite takes the median of its series.
    number : int
        How many eigenimages.

    Returns
    -------
    series : ndarray, shape (n, number)
        Mean 0, standard deviation 1; NaN where a stamp has no positive sum.
    images : ndarray, shape (number, pixels)
        Of length 1; the largest pixel is positive.
    share : ndarray, shape (number,)

    Raises
    ------
    ConfigError
        There are not more frames than eigenimages.
    """
    # A pixel's median is first taken of stamps over their brightness, so that filling does not know of the transit.
    size = np.nansum(np.where(np.isfinite(stamps), stamps, np.nan), axis=1)
    size = np.where(size > 0, size, np.nan)
    usual = median(stamps / size[:, None])
    for _ in range(2):  # what is missing is taken from the usual image, and the sum made again
        filled = np.where(np.isfinite(stamps), stamps, np.nan_to_num(usual) * size[:, None])
        size = filled.sum(axis=1)
        size = np.where(size > 0, size, np.nan)
        usual = median(filled / size[:, None])
    shares = filled / size[:, None]
    good = np.isfinite(shares).all(axis=1)
    if number < 1 or good.sum() <= number + 1:
        raise ConfigError(f"eigenimages: expected more frames than eigenimages ({number}), found {int(good.sum())}.")
    mean = np.maximum(usual, 1e-4 * usual.max())
    change = (shares[good] - usual) / np.sqrt(mean)
    limit = CLIP * NORMAL_MAD * median(np.abs(change - median(change)))
    change = np.where(np.abs(change - median(change)) > limit, 0.0, change)
    change = change - change.mean(axis=0)
    left, strength, right = svd(change, full_matrices=False, check_finite=False)
    sign = np.sign(right[np.arange(number), np.abs(right[:number]).argmax(axis=1)])
    series = np.full((len(stamps), number), np.nan)
    series[good] = left[:, :number] * sign * np.sqrt(good.sum())
    part = strength**2 / max(float((strength**2).sum()), np.finfo(float).tiny)
    return series, right[:number] * sign[:, None], part[:number]
