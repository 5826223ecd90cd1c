"""Level, noise and middle of the good pixels of each cell of a mesh: clipped means around levels that are nearly known."""

import math

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import kernel

_CLIP = 3.0
_ROUNDS = 4
# Variance of a normal distribution cut off at ± 3 standard deviations, over that of the whole one.
_KEPT = 1.0 - 2.0 * _CLIP * math.exp(-0.5 * _CLIP**2) / math.sqrt(2.0 * math.pi) / math.erf(_CLIP / math.sqrt(2.0))


@kernel
def _clipped(values, used, level, noise, out):  # type: ignore[no-untyped-def]
    ny, nx = values.shape
    high, wide = level.shape
    for row in range(high):
        for column in range(wide):
            middle, width = level[row, column], noise[row, column]
            for _ in range(_ROUNDS):
                count = 0
                total = square = across = along = 0.0
                for j in range(row * ny // high, (row + 1) * ny // high):
                    for i in range(column * nx // wide, (column + 1) * nx // wide):
                        value = values[j, i] - middle
                        if used[j, i] and abs(value) <= _CLIP * width:
                            count += 1
                            total += value
                            square += value * value
                            across += i
                            along += j
                out[0, row, column] = count
                if count < 2:
                    break
                mean = total / count
                middle += mean
                width = math.sqrt(max(square / count - mean * mean, 0.0) * count / (count - 1) / _KEPT)
                out[1, row, column], out[2, row, column] = middle, width
                out[3, row, column], out[4, row, column] = across / count, along / count


def clipped_mesh(
    values: NDArray[np.float64], used: NDArray[np.bool_], level: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Clip the pixels of each cell at three standard deviations about their mean, and describe what is left.

    Parameters
    ----------
    values : (ny, nx) array of float64
        A frame.
    used : (ny, nx) array of bool
        Pixels that count.
    level, noise : (cells_y, cells_x) array of float64
        Where the clipping starts; their shape is that of the mesh.

    Returns
    -------
    (5, cells_y, cells_x) array
        Number of pixels, mean, standard deviation (of the whole distribution, if it is normal), and mean x and y of the
        pixels; NaN, but for the number, where fewer than two are left.
    """
    out = np.full((5, *level.shape), np.nan)
    _clipped(values, used, np.ascontiguousarray(level), np.ascontiguousarray(noise), out)
    out[1:, out[0] < 2] = np.nan
    return out
