"""Sky and noise of a frame from place to place: medians over the cells of a mesh."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.statistics import MAD_TO_SIGMA

CELL = 32  # pixels of a cell's side
SAMPLES = 12  # a side of the grid on which a cell is sampled


def cell_of(position: NDArray[Any], length: int, cells: int) -> NDArray[np.int64]:
    """Give the cell of positions along an axis of so many pixels and cells; outside the frame the outermost."""
    return np.clip((position + 0.5) * cells / length, 0, cells - 1).astype(np.int64)


def cell_levels(image: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and noise of the cells of a frame.

    Parameters
    ----------
    image : ndarray of float32, shape (ny, nx)
        A pixel that is not finite takes no part.

    Returns
    -------
    level, noise : ndarray, shape (cells_y, cells_x)
        Cells of 32 pixels a side or somewhat more, as many as fit: median and 1.4826 MAD of 12 × 12 pixels of each, both
        evened out by the median of 3 × 3 cells. NaN where no pixel is good.
    """
    ny, nx = image.shape
    cells_y, cells_x = max(1, ny // CELL), max(1, nx // CELL)
    rows, columns = _samples(ny, cells_y), _samples(nx, cells_x)
    sampled = image[np.ix_(rows, columns)].reshape(cells_y, SAMPLES, cells_x, SAMPLES)
    values = sampled.transpose(0, 2, 1, 3).reshape(cells_y, cells_x, -1)
    values = np.where(np.isfinite(values), values, np.float32(np.nan))
    level = _medians(values)
    noise = MAD_TO_SIGMA * _medians(np.abs(values - level[..., None].astype(np.float32)))
    typical = noise[noise > 0]
    noise = np.where(noise > 0, noise, np.median(typical) if typical.size else np.nan)
    return _evened(level), _evened(noise)


def _samples(length: int, cells: int) -> NDArray[np.int64]:
    """Rows or columns at which the cells are sampled, as evenly as whole pixels can be."""
    return ((np.arange(cells * SAMPLES) + 0.5) * length / (cells * SAMPLES)).astype(np.int64)


def _medians(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Median along the last axis without NaN (which are sorted to the end); NaN where there is none else."""
    ordered = np.sort(values, axis=-1)
    good = np.isfinite(ordered).sum(axis=-1)
    low, high = np.maximum((good - 1) // 2, 0)[..., None], (good // 2)[..., None]
    high = np.minimum(high, ordered.shape[-1] - 1)
    middle = 0.5 * (np.take_along_axis(ordered, low, -1).astype(np.float64) + np.take_along_axis(ordered, high, -1))[..., 0]
    return np.where(good > 0, middle, np.nan)


def _evened(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each cell and its eight neighbours; a cell that knows nothing takes the median of all."""
    padded = np.pad(cells, 1, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(*cells.shape, 9)
    evened = _medians(around)
    known = evened[np.isfinite(evened)]
    return np.where(np.isfinite(evened), evened, np.median(known) if known.size else np.nan)
