"""One level of the sky for a whole frame: the median of all pixels far from every source."""

import math

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.box import check_positions
from tsogrid.kernels.compile import kernel
from tsogrid.kernels.disc import disc_columns, disc_rows, touches_frame
from tsogrid.kernels.statistics import SAMPLE, as_bits, copy_keys, mask_keys, median


def background_level(
    data: NDArray[np.floating], x: NDArray[np.float64], y: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """Median of the good pixels of each frame that are farther than ``radius`` from every source.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous; pixels that are not finite are bad.
    x, y : (n, ns) array of float
        Positions of the sources in pixels; NaN hides nothing.
    radius : float
        In pixels; pixels whose centre is at d > radius are kept.

    Returns
    -------
    (n,) array of float
        Median of each frame (the mean, in double precision, of the middle two of an even number); NaN without good pixels.

    Raises
    ------
    ValueError
        If the radius is negative or not finite, or shapes do not agree.
    """
    columns, rows = check_positions(data, x, y)
    if not 0.0 <= radius < math.inf:
        raise ValueError(f"expected a radius of at least 0, found {radius}")
    n, ny, nx = data.shape
    bits = as_bits(data)
    level = np.empty(n)
    _background_levels(bits, (ny, nx), columns, rows, float(radius), np.empty(ny * nx + SAMPLE, bits.dtype), level)
    return level


@kernel
def _background_levels(bits, shape, x, y, radius, keys, level):  # type: ignore[no-untyped-def]
    ny, nx = shape
    for frame in range(level.size):
        good = copy_keys(bits, frame * ny * nx, ny * nx, keys, np.int64(0))
        for source in range(x.shape[1]):
            column = x[frame, source]
            if not touches_frame(column, y[frame, source], radius, ny, nx):
                continue
            first, stop = disc_rows(y[frame, source], radius, ny)
            for row in range(first, stop):
                start, end = disc_columns(column, row - y[frame, source], radius, True, nx)
                good -= mask_keys(keys, row * nx + start, row * nx + end)
        level[frame] = median(keys, ny * nx, good)
