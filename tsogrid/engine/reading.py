"""Reading the pixels of a block, but for frames that were set aside: these are not touched, and are bad in every pixel.

A file that cannot be read, or kills who reads it, costs its own frames and no others: also a filter along time sees a bad
frame there, as it would where the file were full of NaN.
"""

from collections.abc import Set
from itertools import pairwise

import numpy as np
import xarray as xr

from tsogrid.engine.pipeline import Arrays
from tsogrid.flags import SourceFlag


def read_but(variable: xr.Variable, first: int, last: int, region: tuple[int, int, int, int], aside: Set[int]) -> np.ndarray:
    """Read a region of frames first … last − 1.

    Parameters
    ----------
    variable : Variable, dims (time, y, x)
        Lazy.
    first, last : int
        Which frames.
    region : (y0, y1, x0, x1)
        Rows and columns.
    aside : set of int
        Frames of the series that are not read.

    Returns
    -------
    ndarray, shape (last − first, y1 − y0, x1 − x0)
        NaN in frames that were not read; 0 where these are bits.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    y0, y1, x0, x1 = region
    lost = sorted(frame for frame in aside if first <= frame < last)
    if not lost:
        return variable[first:last, y0:y1, x0:x1].to_numpy()
    out = np.full((last - first, y1 - y0, x1 - x0), np.nan if variable.dtype.kind == "f" else 0, variable.dtype)
    for before, after in pairwise([first - 1, *lost, last]):
        if before + 1 < after:
            out[before + 1 - first : after - first] = variable[before + 1 : after, y0:y1, x0:x1].to_numpy()
    return out


def flagged_aside(result: Arrays, start: int, stop: int, aside: Set[int]) -> Arrays:
    """Flag the frames of a block's result that were set aside."""
    lost = [frame - start for frame in aside if start <= frame < stop]
    if lost:
        result["flags"][lost] |= int(SourceFlag.UNREADABLE)
    return result
