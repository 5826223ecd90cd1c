"""Cut-outs about sources, a box of whole pixels for each source of each frame, and the pixels of them that a sky step uses.

A box is placed on the pixel nearest its source, so that frame and window give the same cut-out, to the bit; what lies
outside the frame is NaN. Inside, positions are counted from the box's own first pixel.
"""

from typing import NamedTuple, Protocol

import numpy as np


class Cutouts(NamedTuple):
    """Boxes about sources; m = n_frames · n_sources of them, the sources of a frame side by side.

    Parameters
    ----------
    data : ndarray, shape (m, h, w)
        Pixels, of the frames' type; NaN outside the frame, or everywhere if the position is NaN.
    x, y : ndarray, shape (m, 1)
        Position of the source in its box.
    """

    data: np.ndarray
    x: np.ndarray
    y: np.ndarray


class Shaped(Protocol):
    """A sky step with a region of its own: a ring, or where ``outer`` is None a rectangle."""

    inner: float | None
    outer: float | None
    width: float | None
    height: float | None
    offset: tuple[float, float]


def cut_out(data: np.ndarray, x: np.ndarray, y: np.ndarray, half_height: int, half_width: int) -> Cutouts:
    """Copy a box about every source of every frame.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Frames, or the window of them that was read.
    x, y : ndarray, shape (n, n_sources)
        Positions in pixels of ``data``.
    half_height, half_width : int
        Pixels to each side of the one nearest the source: a box has 2 half + 1 rows and columns.

    Returns
    -------
    Cutouts
    """
    n, ny, nx = data.shape
    h, w = 2 * half_height + 1, 2 * half_width + 1
    known = (np.isfinite(x) & np.isfinite(y)).ravel()
    # As everywhere, a position exactly between two pixels belongs to the lower one; far off, all boxes are alike empty.
    left, low = (
        np.clip(np.ceil(np.where(known, position.ravel(), 0.0) - 0.5), -(size + nearest), 2 * size + nearest).astype(
            np.int64
        )
        - half
        for position, half, size, nearest in ((x, half_width, nx, w), (y, half_height, ny, h))
    )
    boxes = np.full((n * x.shape[1], h, w), np.nan, data.dtype)
    first_column, last_column = np.clip([left, left + w], 0, nx)
    first_row, last_row = np.clip([low, low + h], 0, ny)
    inside = known & (first_column < last_column) & (first_row < last_row)
    for index in np.flatnonzero(inside):
        rows = slice(first_row[index], last_row[index])
        columns = slice(first_column[index], last_column[index])
        boxes[
            index,
            rows.start - low[index] : rows.stop - low[index],
            columns.start - left[index] : columns.stop - left[index],
        ] = data[index // x.shape[1], rows, columns]
    return Cutouts(boxes, (x.ravel() - left)[:, None], (y.ravel() - low)[:, None])


def region_of(
    step: Shaped, x: np.ndarray, y: np.ndarray, shape: tuple[int, int], growth: np.ndarray | None = None
) -> np.ndarray:
    """Find the whole pixels that a step uses: those whose centre lies in its ring or rectangle.

    Parameters
    ----------
    step : Shaped
        The step: ``inner ≤ d < outer``, or ``|dx| < width / 2`` and ``|dy| < height / 2``, about the source plus its offset.
    x, y : ndarray, shape (m, 1)
        Positions in the cut-outs.
    shape : (int, int)
        Rows and columns of a cut-out.
    growth : ndarray, shape (m,), optional
        How far the borders have moved outwards, in pixels; NaN where this is not known.

    Returns
    -------
    ndarray of bool, shape (m, h, w)
        None of the pixels where the position is NaN.
    """
    dx = np.arange(shape[1]) - (x + step.offset[0])
    dy = np.arange(shape[0]) - (y + step.offset[1])
    moved = np.zeros((len(x), 1, 1)) if growth is None else np.asarray(growth, float)[:, None, None]
    if step.outer is not None:
        square = (dx * dx)[:, None, :] + (dy * dy)[:, :, None]
        inner, outer = np.maximum((step.inner or 0.0) + moved, 0.0), np.maximum(step.outer + moved, 0.0)
        return np.asarray((square < outer**2) & (square >= inner**2))
    inside_column = np.abs(dx)[:, None, :] < (step.width or 0.0) / 2 + moved
    inside_row = np.abs(dy)[:, :, None] < (step.height or 0.0) / 2 + moved
    return np.asarray(inside_row & inside_column)
