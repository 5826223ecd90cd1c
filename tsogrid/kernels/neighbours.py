"""How near the sources of a frame stand to each other, and which of many marked pixels lie about which source.

Sources are put in the order of their x, so that only those nearby are looked at: the work grows with the number of sources
and not with its square.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.compile import kernel


def nearest_neighbour(x: ArrayLike, y: ArrayLike, limit: float, square: bool = False) -> NDArray[np.float64]:
    """Distance from each source of each frame to the nearest other one.

    Parameters
    ----------
    x, y : (n, ns) array of float
        Positions in pixels; one that is not finite is near to nothing.
    limit : float
        Distances up to which sources are looked for, in pixels.
    square : bool
        The larger of the distances along x and y in place of √(dx² + dy²): for rectangles, positions being counted in
        their sides.

    Returns
    -------
    (n, ns) array of float
        inf where no other source is within the limit.

    Raises
    ------
    ValueError
        If x and y are not two arrays (n, ns) of one shape.
    """
    x, y = np.ascontiguousarray(x, np.float64), np.ascontiguousarray(y, np.float64)
    if x.ndim != 2 or x.shape != y.shape:
        raise ValueError(f"x, y: expected (frames, sources) each, got {x.shape} and {y.shape}")
    out = np.full(x.shape, np.inf)
    _nearest(x, y, float(limit), bool(square), np.argsort(x, axis=1), out)
    return out


@kernel
def _nearest(x, y, limit, square, order, out):  # type: ignore[no-untyped-def]
    for frame in range(x.shape[0]):
        for first in range(x.shape[1]):
            i = order[frame, first]
            for second in range(first + 1, x.shape[1]):
                j = order[frame, second]
                dx, dy = x[frame, j] - x[frame, i], abs(y[frame, j] - y[frame, i])
                if not dx <= limit:  # NaN stands last
                    break
                distance = max(dx, dy) if square else np.sqrt(dx * dx + dy * dy)
                if dy <= limit and distance <= limit:
                    out[frame, i] = min(out[frame, i], distance)
                    out[frame, j] = min(out[frame, j], distance)


def marked_about(marked: NDArray[np.bool_], x: ArrayLike, y: ArrayLike, reach: ArrayLike) -> tuple[NDArray[np.int64], ...]:
    """Find the marked pixels in the square about each source.

    Parameters
    ----------
    marked : (n, ny, nx) array of bool
        Mostly false.
    x, y : (n, ns) array of float
        Positions in pixels; about one that is not finite there is nothing.
    reach : (n, ns) array of float
        Half the side of the square, in pixels; nothing where it is not finite.

    Returns
    -------
    frame, source, row, column : (m,) array of int
        One of each for every pixel with |column − x| ≤ reach and |row − y| ≤ reach of a source.
    """
    frame, row, column = (each.astype(np.int64) for each in np.nonzero(marked))
    first = np.searchsorted(frame, np.arange(len(marked) + 1))
    x, y, reach = (np.ascontiguousarray(each, np.float64) for each in (x, y, reach))
    order = np.argsort(x, axis=1)
    widest = np.fmax.reduce(np.where(np.isfinite(reach), reach, 0.0), axis=1, initial=0.0)
    ordered = np.take_along_axis(x, order, axis=1)
    parts = []
    for one in range(len(marked)):
        pixels = slice(first[one], first[one + 1])
        if pixels.start == pixels.stop:
            continue
        # a frame has few marked pixels or few sources: the pairs near in x are listed, and those near in y are left
        low = np.searchsorted(ordered[one], column[pixels] - widest[one], side="left")
        high = np.searchsorted(ordered[one], column[pixels] + widest[one], side="right")
        pixel = np.repeat(np.arange(pixels.start, pixels.stop), high - low)
        place = (
            np.arange(len(pixel)) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + np.repeat(low, high - low)
        )
        source = order[one, place]
        near = (np.abs(column[pixel] - x[one, source]) <= reach[one, source]) & (
            np.abs(row[pixel] - y[one, source]) <= reach[one, source]
        )
        parts.append((frame[pixel[near]], source[near], row[pixel[near]], column[pixel[near]]))
    if not parts:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing, nothing
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))
