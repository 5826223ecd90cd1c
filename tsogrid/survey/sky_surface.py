"""The sky under the stars of an image, and its noise: a mesh of clipped means, linear from cell to cell.

The stars' models are taken off before, so that wings do not lift the sky; pixels under bright stars take no part. A cell
speaks for the middle of the pixels that it has, not for its own.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.clipped_mesh import clipped_mesh
from tsogrid.kernels.mesh import cell_levels

CELL = 64  # pixels, about, of a cell's side
_ROUNDS = 3
_FEWEST = 0.1  # of a cell's pixels: with less, it takes what its neighbours say


class Sky(NamedTuple):
    """Sky of an image.

    Parameters
    ----------
    level, variance : (ny, nx) array
        Sky, and variance of a pixel without stars.
    error : (cells_y, cells_x) array
        Error of the level.
    noise : (cells_y, cells_x) array
        Standard deviation of a pixel.
    """

    level: NDArray[np.float64]
    variance: NDArray[np.float64]
    error: NDArray[np.float64]
    noise: NDArray[np.float64]

    def error_at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Error of the level at positions (n,), in 0-based pixels."""
        ny, nx = self.level.shape
        high, wide = self.error.shape
        row = np.clip(((y + 0.5) * high / ny).astype(np.int64), 0, high - 1)
        column = np.clip(((x + 0.5) * wide / nx).astype(np.int64), 0, wide - 1)
        return self.error[row, column]


def first_sky(image: NDArray[np.float64], used: NDArray[np.bool_]) -> Sky | None:
    """Sky of an image whose stars are not known yet: medians, then clipped means.

    Parameters
    ----------
    image : (ny, nx) array
        Frame.
    used : (ny, nx) array of bool
        Good pixels.

    Returns
    -------
    Sky or None
        None where there is no good pixel.
    """
    level, noise = cell_levels(np.where(used, image, np.nan).astype(np.float32))
    if not np.isfinite(level).any() or not np.nanmax(noise, initial=0.0) > 0:
        return None
    ny, nx = image.shape
    surface, spread = (_surface(_coarser(cells, *_mesh(ny, nx)), ny, nx) for cells in (level, noise))
    return sky_surface(image, used & (image < surface + 3.0 * spread), surface, spread)


def sky_surface(
    image: NDArray[np.float64], used: NDArray[np.bool_], near: NDArray[np.float64], spread: NDArray[np.float64]
) -> Sky | None:
    """Sky of an image without its stars.

    Parameters
    ----------
    image : (ny, nx) array
        Frame minus the models of its stars.
    used : (ny, nx) array of bool
        Pixels that tell the sky.
    near, spread : (ny, nx) array
        Sky and noise as far as known, linear between the middles of the same cells: what is finer in them would stay.

    Returns
    -------
    Sky or None
        None where too few pixels are left.
    """
    ny, nx = image.shape
    high, wide = _mesh(ny, nx)
    surface, noise, error = near, np.full((high, wide), float(np.median(spread))), np.zeros((high, wide))
    middle_x, middle_y = (np.arange(wide) + 0.5) * nx / wide - 0.5, (np.arange(high) + 0.5) * ny / high - 0.5
    for _ in range(_ROUNDS):  # what a cell says moves its neighbours' surface too
        number, level, width, x, y = clipped_mesh(np.ascontiguousarray(image - surface), used, np.zeros((high, wide)), noise)
        enough = (number >= max(20.0, _FEWEST * ny * nx / (high * wide))) & (width > 0)
        if not enough.any():
            return None
        level, noise = _filled(level, enough), _filled(width, enough)
        for axis, place, middle in ((0, y, middle_y[:, None]), (1, x, middle_x[None, :])):
            if level.shape[axis] > 1:
                step = (ny, nx)[axis] / level.shape[axis]
                level = level - np.where(enough, np.gradient(level, axis=axis) * (place - middle) / step, 0.0)
        error = noise / np.sqrt(np.where(enough, number, number[enough].min()))
        surface = surface + _surface(level, ny, nx)
    return Sky(surface, _surface(noise, ny, nx) ** 2, error, noise)


def _mesh(ny: int, nx: int) -> tuple[int, int]:
    """Cells along y and x."""
    return max(1, round(ny / CELL)), max(1, round(nx / CELL))


def _coarser(cells: NDArray[np.float64], high: int, wide: int) -> NDArray[np.float64]:
    """Medians of a finer mesh in the cells of a coarser one."""
    rows, columns = (np.array_split(np.arange(n), min(n, m)) for n, m in zip(cells.shape, (high, wide), strict=True))
    return np.array([[np.median(cells[np.ix_(row, column)]) for column in columns] for row in rows])


def _filled(cells: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Cells that know nothing take the mean of those that know, the near ones counting more."""
    if known.all():
        return cells
    row, column = np.nonzero(known)
    filled = cells.copy()
    for j, i in zip(*np.nonzero(~known), strict=True):
        weight = 1.0 / ((row - j) ** 2 + (column - i) ** 2) ** 2
        filled[j, i] = np.sum(weight * cells[row, column]) / weight.sum()
    return filled


def _linear(length: int, cells: int) -> NDArray[np.float64]:
    """Weights (length, cells) of the cells at each pixel of an axis: linear, also beyond the outer cells' middles."""
    weights = np.zeros((length, cells))
    if cells == 1:
        weights[:] = 1.0
        return weights
    place = (np.arange(length) + 0.5) * cells / length - 0.5
    left = np.clip(np.floor(place), 0, cells - 2).astype(np.int64)
    every = np.arange(length)
    weights[every, left] = 1.0 - (place - left)
    weights[every, left + 1] = place - left
    return weights


def _surface(cells: NDArray[np.float64], ny: int, nx: int) -> NDArray[np.float64]:
    """Values of a mesh at every pixel."""
    along = np.einsum("yc,cd->yd", _linear(ny, cells.shape[0]), cells, optimize=False)
    return np.einsum("yd,xd->yx", along, _linear(nx, cells.shape[1]), optimize=False)
