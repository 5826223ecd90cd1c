"""Boxes of whole pixels around a position: where they begin, and which positions can be returned from them.

A box has an odd full width and is centred on the pixel nearest the position; a position exactly between two pixels
belongs to the lower one. All work inside a box uses coordinates counted from the box, so that a frame and a stamp cut
from it give the same bits; positions are returned on a grid of 2**-36 pixel, so that adding a whole number of pixels
later is exact.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.compile import part

GRID = 2.0**36
_FLOATS = np.dtype(np.float32), np.dtype(np.float64)


def odd_width(box: int) -> int:
    """Return the full width of a box in pixels, an even one rounded down.

    Raises
    ------
    ValueError
        If less than one pixel would be left.
    """
    width = int(box) - (int(box) + 1) % 2
    if width < 1:
        raise ValueError(f"a box needs a full width of at least 1 pixel, found {box}")
    return width


def check_positions(
    data: NDArray[np.floating], x: ArrayLike, y: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the positions as (n, ns) float64 arrays after checking them against frames (n, ny, nx).

    Raises
    ------
    ValueError
        If data is not a native C-contiguous float32 or float64 cube, or the positions are not (n, ns).
    """
    if data.ndim != 3 or data.dtype not in _FLOATS:
        raise ValueError(f"expected frames (n, ny, nx) of float32 or float64, found {data.dtype} {data.shape}")
    if not data.flags.c_contiguous or not data.dtype.isnative:
        raise ValueError("frames must be C-contiguous and of native byte order")
    columns = np.ascontiguousarray(x, dtype=np.float64)
    rows = np.ascontiguousarray(y, dtype=np.float64)
    if columns.ndim != 2 or columns.shape != rows.shape or columns.shape[0] != data.shape[0]:
        raise ValueError(
            f"expected x and y of shape ({data.shape[0]}, ns) for {data.shape[0]} frames, "
            f"found {columns.shape} and {rows.shape}"
        )
    return columns, rows


@part
def box_start(position: float, width: int) -> int:
    """Index of the first pixel of a box of odd full width (may lie outside the frame)."""
    # Positions far off any frame must not overflow the integer.
    nearest = math.ceil(min(max(position, -1e9), 1e9) - 0.5)
    return int(nearest) - width // 2


@part
def on_grid(offset: float) -> float:
    """Round a coordinate inside a box to the grid on which adding whole pixels is exact."""
    return np.rint(offset * GRID) / GRID
