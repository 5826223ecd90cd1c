"""The part of a block's pixels that its apertures and sky regions touch.

A model of whole lines needs every pixel of them; once it is known, nothing beyond the sources' reach is looked at again, so
models are spread, and taken off, only there.
"""

from dataclasses import dataclass

import numpy as np

from tsogrid.engine.apertures import Places

WORTH = 0.7  # of the pixels: a neighbourhood that is larger saves less than its copy costs


@dataclass(frozen=True)
class Neighbourhood:
    """A box of rows and columns.

    Parameters
    ----------
    rows, columns : slice
        Of the pixels of the block.
    """

    rows: slice
    columns: slice

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row, one past the last, and the same of columns."""
        return self.rows.start, self.rows.stop, self.columns.start, self.columns.stop

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """Give the box out of pixels of shape (n, ny, nx), C-contiguous."""
        return np.ascontiguousarray(pixels[:, self.rows, self.columns])

    def places(self, places: Places) -> Places:
        """Give places in pixels of the box."""
        return Places(places.x - self.columns.start, places.y - self.rows.start, places.fwhm, places.keep)


def everything(shape: tuple[int, int]) -> Neighbourhood:
    """The box of all pixels."""
    return Neighbourhood(slice(0, shape[0]), slice(0, shape[1]))


def neighbourhood(x: np.ndarray, y: np.ndarray, reach: float, shape: tuple[int, int]) -> Neighbourhood:
    """Find the box that holds everything within reach of the sources.

    Parameters
    ----------
    x, y : ndarray, shape (n, n_sources)
        Positions in pixels; one that is not finite has no neighbourhood.
    reach : float
        How far a source's apertures and regions reach, in pixels.
    shape : (int, int)
        Rows and columns of the pixels.

    Returns
    -------
    Neighbourhood
        At least one pixel of the frame; everything where little would be left out.
    """
    known = np.isfinite(x) & np.isfinite(y)
    if not (known.any() and np.isfinite(reach)):
        return everything(shape)
    rows, columns = (slice(*span_about(along[known], reach, size)) for along, size in zip((y, x), shape, strict=True))
    if (rows.stop - rows.start) * (columns.stop - columns.start) > WORTH * shape[0] * shape[1]:
        return everything(shape)
    return Neighbourhood(rows, columns)


def span_about(along: np.ndarray, reach: float, size: int) -> tuple[int, int]:
    """Give the pixels, first and one past the last, within reach of places along an axis of so many.

    At least one, and all where there is no place.
    """
    if not along.size:
        return 0, size
    first = min(max(int(np.floor(along.min() - reach)), 0), size - 1)
    return first, min(max(int(np.ceil(along.max() + reach)) + 1, first + 1), size)
