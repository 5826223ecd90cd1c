"""Overlaps of pixels with a circle, exactly: of any pixel with any circle, and what larger circles need as well.

The overlap follows from the points where the edge enters and leaves the pixel: a rectangle, a trapezoid and the segment
between chord and arc. All coordinates are differences from the centre.
"""

import math

import numpy as np

from tsogrid.kernels.compile import part

# asin(s) − s √(1 − s²) = s³ Σ c_n s²ⁿ, from integrating 2 s²/√(1 − s²) term by term
_SERIES = tuple(2.0 * math.comb(2 * n, n) / (4.0**n * (2 * n + 3)) for n in range(14))
# Below this radius a pixel may meet more than two quadrants, and the series would need more terms: pixels are
# taken one by one.
SMALL = 2.0


@part
def nearest_pixel(position):  # type: ignore[no-untyped-def]
    """The pixel (as a float) that holds a position; exact, where floor(position + 0.5) may round up."""
    whole = np.floor(position)
    return whole + 1.0 if position - whole >= 0.5 else whole


@part
def touched_range(center, radius, axis, size):  # type: ignore[no-untyped-def]
    # limited as floats: positions and radii may exceed every integer
    first = np.floor(center - radius + 0.5) + axis
    stop = np.floor(center + radius + 0.5) + axis + 1.0
    return np.int64(clamp(first, np.float64(size))), np.int64(clamp(stop, np.float64(size)))


@part
def half_chord(radius, distance):  # type: ignore[no-untyped-def]
    # the product keeps its digits near the circle's rim, where r² − d² would lose them
    return math.sqrt(max((radius - distance) * (radius + distance), 0.0))


@part
def clamp(value, upper):  # type: ignore[no-untyped-def]
    return min(max(value, 0.0), upper)


@part
def _long_series(t):  # type: ignore[no-untyped-def]
    high = _SERIES[8] + t * (_SERIES[9] + t * (_SERIES[10] + t * (_SERIES[11] + t * (_SERIES[12] + t * _SERIES[13]))))
    high = _SERIES[4] + t * (_SERIES[5] + t * (_SERIES[6] + t * (_SERIES[7] + t * high)))
    return _SERIES[0] + t * (_SERIES[1] + t * (_SERIES[2] + t * (_SERIES[3] + t * high)))


@part
def _quadrant_overlap(left, right, lower, upper, radius):  # type: ignore[no-untyped-def]
    """Overlap of a circle about (0, 0) with a rectangle of the first quadrant."""
    width, height = right - left, upper - lower
    enter_x = clamp(half_chord(radius, upper) - left, width)
    leave_x = clamp(half_chord(radius, lower) - left, width)
    enter_y = clamp(half_chord(radius, left) - lower, height)
    leave_y = clamp(half_chord(radius, right) - lower, height)
    chord2 = (leave_x - enter_x) ** 2 + (enter_y - leave_y) ** 2
    t = chord2 / (4.0 * radius * radius)
    if t <= 0.125:
        segment = chord2 * math.sqrt(chord2) / (8.0 * radius) * _long_series(t)
    else:
        s = math.sqrt(min(t, 0.5))
        segment = radius * radius * (math.asin(s) - s * math.sqrt(1.0 - s * s))
    return enter_x * height + (leave_x - enter_x) * (enter_y + leave_y) * 0.5 + segment


@part
def pixel_overlap(left, right, lower, upper, radius):  # type: ignore[no-untyped-def]
    """Area of the rectangle (left, right) × (lower, upper) inside a circle about (0, 0).

    Parameters
    ----------
    left, right, lower, upper : float
        Edges of the rectangle relative to the circle's centre, in pixels.
    radius : float
        Radius in pixels, positive.

    Returns
    -------
    float
        The area in square pixels, good to about 1e-15.
    """
    if max(-left, right) ** 2 + max(-lower, upper) ** 2 <= radius * radius:
        return (right - left) * (upper - lower)
    area = 0.0
    for horizontal in range(2):
        near_x, far_x = (max(left, 0.0), right) if horizontal == 0 else (max(-right, 0.0), -left)
        if far_x <= near_x or near_x >= radius:
            continue
        for vertical in range(2):
            near_y, far_y = (max(lower, 0.0), upper) if vertical == 0 else (max(-upper, 0.0), -lower)
            if far_y > near_y and near_y < radius:
                area += _quadrant_overlap(near_x, far_x, near_y, far_y, radius)
    return area


@part
def small_circle(radius, steps, edges, touched, index, weight, offset):  # type: ignore[no-untyped-def]
    first_row, stop_row, first_column, stop_column = touched
    count, area = np.int64(0), 0.0
    for row in range(first_row, stop_row):
        for column in range(first_column, stop_column):
            overlap = pixel_overlap(edges[1, column], edges[1, column + 1], edges[0, row], edges[0, row + 1], radius)
            if overlap > 0.0:
                index[offset + count] = row * steps[0] + column * steps[1]
                weight[offset + count] = overlap
                count += 1
                area += overlap
    return count, area
