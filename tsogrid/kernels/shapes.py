"""Sums over shapes other than the exact circle: rectangles, rings, and circles of whole or sub-pixels.

The weights are photutils' own aperture masks, save the exact overlap of a rectangle, which photutils has only from 3.1 on.
They are made about the source's place within its pixel, so that a stamp and the frame it was cut from give the same bits; a
place and size that come again are looked up.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Mask(NamedTuple):
    """Weights (h, w) of the pixels of a box whose first pixel is (row, column) of the frame; it may reach outside."""

    row: int
    column: int
    weight: NDArray[np.float64]


class ShapeSums(NamedTuple):
    """Sums over the good pixels of a shape, each (n, ns): Σ w·I, its variance, Σ w; and how many bad pixels have w > 0."""

    sum: NDArray[np.float64]
    variance: NDArray[np.float64]
    area: NDArray[np.float64]
    bad: NDArray[np.int32]


def _circle(sizes: tuple[float, ...]) -> Any:
    from photutils.aperture import CircularAperture

    return CircularAperture((0.0, 0.0), *sizes)


def _rectangle(sizes: tuple[float, ...]) -> Any:
    from photutils.aperture import RectangularAperture

    return RectangularAperture((0.0, 0.0), *sizes)


def _annulus(sizes: tuple[float, ...]) -> Any:
    from photutils.aperture import CircularAnnulus

    return CircularAnnulus((0.0, 0.0), *sizes)


# photutils takes most of a second to import: only who has such a shape waits for it.
_APERTURES: dict[str, Callable[[tuple[float, ...]], Any]] = {
    "circle": _circle,
    "rectangle": _rectangle,
    "annulus": _annulus,
}


@dataclass(frozen=True)
class ShapeWeights:
    """The weights of one kind of shape.

    Parameters
    ----------
    kind : {"circle", "rectangle", "annulus"}
        Of sizes (radius,), (width, height), (inner, outer), in pixels.
    overlap : {"exact", "center", "subpixel"}
        As photutils has it: the overlap of pixel and shape, 1 or 0 by the pixel's centre, or the share of a grid of
        subpixels. Up to 3.0 photutils' ``exact`` of a rectangle is ``subpixel`` with 32.
    subpixels : int
        On a side of a pixel.
    """

    kind: str
    overlap: str = "exact"
    subpixels: int = 5

    def mask(self, x: float, y: float, sizes: tuple[float, ...]) -> Mask | None:
        """Give the weights about a place.

        Parameters
        ----------
        x, y : float
            The centre in pixels.
        sizes : tuple of float
            In pixels.

        Returns
        -------
        Mask or None
            None where a position or a size is not finite or not positive.
        """
        if not (math.isfinite(x) and math.isfinite(y) and all(math.isfinite(size) and size > 0 for size in sizes)):
            return None
        column, row = math.floor(x + 0.5), math.floor(y + 0.5)  # ties alike in a stamp and in the frame
        near = _mask(self.kind, self.overlap, self.subpixels, x - column, y - row, sizes)
        return Mask(near.row + row, near.column + column, near.weight)


@functools.lru_cache(maxsize=64)
def _mask(kind: str, overlap: str, subpixels: int, x: float, y: float, sizes: tuple[float, ...]) -> Mask:
    if kind == "rectangle" and overlap == "exact":
        (column, across), (row, along) = _overlap(x, sizes[0]), _overlap(y, sizes[1])
        return Mask(row, column, np.outer(along, across))
    aperture = _APERTURES[kind](sizes)
    aperture.positions = (x, y)
    made = aperture.to_mask(method=overlap, subpixels=subpixels)
    return Mask(made.bbox.iymin, made.bbox.ixmin, np.asarray(made.data, np.float64))


def _overlap(center: float, length: float) -> tuple[int, NDArray[np.float64]]:
    """First pixel under an interval of one axis, and the part of each pixel from there on that lies in it."""
    low, high = center - length / 2, center + length / 2
    first = math.floor(low + 0.5)
    edges = np.arange(first, math.ceil(high + 0.5) + 1) - 0.5
    return first, np.diff(np.clip(edges, low, high))


def _inside(mask: Mask, ny: int, nx: int) -> tuple[slice, slice, NDArray[np.float64]] | None:
    """Rows and columns of the frame that a mask covers, and its weights there; None if it covers nothing."""
    height, width = mask.weight.shape
    top, bottom = max(mask.row, 0), min(mask.row + height, ny)
    left, right = max(mask.column, 0), min(mask.column + width, nx)
    if top >= bottom or left >= right:
        return None
    weight = mask.weight[top - mask.row : bottom - mask.row, left - mask.column : right - mask.column]
    return slice(top, bottom), slice(left, right), weight


def shape_sums(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    shape: ShapeWeights,
    sizes: NDArray[np.float64],
    variance_weight: str = "w2",
) -> ShapeSums:
    """Sums over a shape about each source of each frame.

    Parameters
    ----------
    data : (n, ny, nx) array of float
        Frames; a pixel that is not finite is bad and left out.
    error : array like `data`, or None
        1 sigma of each pixel.
    x, y : (n, ns) array of float
        Centres in pixels; (0, 0) is the centre of the first pixel. Pixels outside the frame have no part.
    shape : ShapeWeights
        Kind and overlap.
    sizes : (n, ns, k) array of float
        Sizes of the shape, in pixels.
    variance_weight : {"w2", "w"}
        What a pixel of error σ adds to the variance: w²σ², as for independent pixels, or wσ².

    Returns
    -------
    ShapeSums
        Each (n, ns). ``variance`` is NaN without `error`. Where a position or size is unknown: NaN, NaN, 0, 0.
    """
    out = np.zeros((4, *x.shape))
    for frame, source in np.ndindex(x.shape):
        mask = shape.mask(float(x[frame, source]), float(y[frame, source]), tuple(sizes[frame, source].tolist()))
        if mask is None:
            out[:2, frame, source] = np.nan
            continue
        box = _inside(mask, *data.shape[1:])
        if box is None:
            continue
        rows, columns, weight = box
        values = data[frame, rows, columns].astype(np.float64)
        good = np.isfinite(values)
        weight_good = np.where(good, weight, 0.0)
        out[0, frame, source] = (weight_good * np.where(good, values, 0.0)).sum()
        out[2, frame, source] = weight_good.sum()
        out[3, frame, source] = np.count_nonzero(~good & (weight > 0))
        if error is not None:
            factor = weight_good if variance_weight == "w" else weight_good**2
            sigma = error[frame, rows, columns].astype(np.float64)
            out[1, frame, source] = (factor * np.where(weight_good > 0, sigma, 0.0) ** 2).sum()
    if error is None:
        out[1] = np.nan
    return ShapeSums(out[0], out[1], out[2], out[3].astype(np.int32))


def dense_weights(
    data: NDArray[np.floating],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    shape: ShapeWeights,
    sizes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weights of all pixels of each frame in a shape about its one source; bad pixels have none.

    Parameters
    ----------
    data : (n, ny, nx) array of float
        Read only for which pixels are good.
    x, y : (n,) array of float
        Centres in pixels.
    shape : ShapeWeights
        Kind and overlap.
    sizes : (n, k) array of float
        In pixels.

    Returns
    -------
    (n, ny, nx) array of float
    """
    weights = np.zeros(data.shape)
    for frame in range(len(x)):
        mask = shape.mask(float(x[frame]), float(y[frame]), tuple(sizes[frame].tolist()))
        box = None if mask is None else _inside(mask, *data.shape[1:])
        if box is not None:
            weights[frame, box[0], box[1]] = box[2]
    return np.where(np.isfinite(data), weights, 0.0)


def shape_line_variance(
    data: NDArray[np.floating],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    shape: ShapeWeights,
    sizes: NDArray[np.float64],
    line_variance: NDArray[np.float64],
    lines: NDArray[np.integer],
    axis: int = 1,
) -> NDArray[np.float64]:
    """Variance that levels shared by the pixels of a line and amplifier add to the sum over a shape.

    The counterpart of `tsogrid.kernels.line_sums.circle_line_sums`: Σ_ja (Σ w)² v_ja over the good pixels.

    Parameters
    ----------
    data : (n, ny, nx) array of float
        Read only for which pixels are good.
    x, y : (n, ns) array of float
        Centres in pixels.
    shape : ShapeWeights
        Kind and overlap.
    sizes : (n, ns, k) array of float
        In pixels.
    line_variance : (n, n_lines, na) array of float
        Variance of the level of each line and amplifier.
    lines : (nx,) or (ny,) array of int
        The amplifier of each pixel along the fast axis, −1 for none.
    axis : {1, 2}
        Whether lines run along x (1) or y (2).

    Returns
    -------
    (n, ns) array of float
    """
    out = np.zeros(x.shape)
    for frame, source in np.ndindex(x.shape):
        mask = shape.mask(float(x[frame, source]), float(y[frame, source]), tuple(sizes[frame, source].tolist()))
        if mask is None:
            out[frame, source] = np.nan
            continue
        box = _inside(mask, *data.shape[1:])
        if box is None:
            continue
        rows, columns, weight = box
        weight = np.where(np.isfinite(data[frame, rows, columns]), weight, 0.0)
        if axis == 2:
            rows, columns, weight = columns, rows, weight.T
        of_pixel = lines[columns]
        for amplifier in range(line_variance.shape[2]):
            shared = weight[:, of_pixel == amplifier].sum(axis=1)
            variance = line_variance[frame, rows, amplifier]
            out[frame, source] += (shared[shared > 0] ** 2 * variance[shared > 0]).sum()
    return out


def contains(kind: str, sizes: NDArray[np.float64], dx: NDArray[np.float64], dy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the centres of pixels lie inside a shape.

    Parameters
    ----------
    kind : {"circle", "rectangle", "annulus"}
        See `ShapeWeights`.
    sizes : (k, m) array of float
        Sizes about each pixel's source, in pixels.
    dx, dy : (m,) array of float
        Pixel less centre.

    Returns
    -------
    (m,) array of bool
    """
    if kind == "rectangle":
        return np.asarray((abs(dx) < sizes[0] / 2) & (abs(dy) < sizes[1] / 2))
    distance = np.hypot(dx, dy)
    if kind == "circle":
        return np.asarray(distance < sizes[0])
    return np.asarray((distance >= sizes[0]) & (distance < sizes[1]))


def mask_area(
    x: NDArray[np.float64], y: NDArray[np.float64], shape: ShapeWeights, sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Summed weights of a shape on an endless grid of pixels.

    Parameters
    ----------
    x, y : (n, ns) array of float
        Centres in pixels.
    shape : ShapeWeights
        Kind and overlap.
    sizes : (n, ns, k) array of float
        In pixels.

    Returns
    -------
    (n, ns) array of float
        In square pixels; NaN where a place or size is unknown.
    """
    area = np.full(x.shape, np.nan)
    for frame, source in np.ndindex(x.shape):
        mask = shape.mask(float(x[frame, source]), float(y[frame, source]), tuple(sizes[frame, source].tolist()))
        if mask is not None:
            area[frame, source] = mask.weight.sum()
    return area


def analytic_area(kind: str, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of a shape of sizes (…, k), in square pixels."""
    if kind == "rectangle":
        return np.asarray(sizes[..., 0] * sizes[..., 1])
    hole = sizes[..., 0] ** 2 if kind == "annulus" else 0.0
    return np.asarray(np.pi * (sizes[..., -1] ** 2 - hole))
