"""Whole pixels whose centre lies in a disc or a rectangle, decided by the distance itself: rounded chords change nothing.

Distances are taken from differences (pixel − centre) only: a stamp and the frame it was cut from give the same pixels.
"""

import math

from tsogrid.kernels.compile import part


@part
def _inside(column, x, distance2, radius2, closed):  # type: ignore[no-untyped-def]
    difference = column - x
    total = difference * difference + distance2
    return total < radius2 or (closed and total == radius2)


@part
def touches_frame(x, y, radius, ny, nx):  # type: ignore[no-untyped-def]
    """Whether the square around a disc meets the frame; false for a position that is NaN."""
    reach = radius + 1.0
    return x > -reach and y > -reach and x < nx + reach and y < ny + reach


@part
def disc_rows(y, radius, ny):  # type: ignore[no-untyped-def]
    """First row, and one past the last, that a disc can touch in the frame (for a disc that `touches_frame`)."""
    first = max(math.floor(y - radius), 0.0)
    stop = min(math.ceil(y + radius) + 1.0, float(ny))
    return int(first), int(stop)


@part
def disc_columns(x, distance, radius, closed, nx):  # type: ignore[no-untyped-def]
    """First column, and one past the last, of the pixels of a row inside a disc, clipped to the frame.

    ``distance`` is row − centre; inside means d < radius, or d ≤ radius if ``closed``. No pixel: start = stop.
    """
    distance2, radius2 = distance * distance, radius * radius
    if distance2 > radius2:
        return 0, 0
    half = math.sqrt(radius2 - distance2)
    start, last = math.ceil(x - half), math.floor(x + half)
    # the rounding of x ± half is put right where it matters
    if _inside(start - 1.0, x, distance2, radius2, closed):
        start -= 1.0
    elif not _inside(start, x, distance2, radius2, closed):
        start += 1.0
    if _inside(last + 1.0, x, distance2, radius2, closed):
        last += 1.0
    elif not _inside(last, x, distance2, radius2, closed):
        last -= 1.0
    start, stop = max(start, 0.0), min(last + 1.0, float(nx))
    if start >= stop:
        return 0, 0
    return int(start), int(stop)


@part
def open_span(center, half, n):  # type: ignore[no-untyped-def]
    """First pixel, and one past the last, with |pixel − centre| < half, clipped to 0 … n."""
    start, last = math.ceil(center - half), math.floor(center + half)
    if not start - center > -half:
        start += 1.0
    if not last - center < half:
        last -= 1.0
    start, stop = max(start, 0.0), min(last + 1.0, float(n))
    if start >= stop:
        return 0, 0
    return int(start), int(stop)
