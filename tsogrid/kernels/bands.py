"""What a circle covers of rows and columns of pixels: the number of the first pixel that its edge crosses, and two overlaps.

A row that a circle's edge crosses steeply has, on each side, one or two pixels that are covered in part, and all between
are covered whole; so has a column that it crosses flatly. So all rows, and all columns, of a circle are cut by the same few
operations without a branch, which become vector instructions. The line that lies across the axis is cut in two halves, so
that every arc stays in one quadrant.
"""

import math
from functools import partial

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.overlap import clamp, half_chord

# Loops over a multiple of this run in vector instructions to their end; scratch has room for the surplus,
# which nobody reads.
LANES = 8
# A segment is half of sin θ (radius²) times θ / sin θ − 1 = Σ g_n sin²ⁿ(θ/2), from asin(z) / √(1 − z²): neither the chord's
# length nor an angle is needed, and no square root.
_SERIES = tuple(4.0**n * math.factorial(n) ** 2 / math.factorial(2 * n + 1) for n in range(1, 18))
# From this radius on the square of that sine is at most 2/(4 r²) ≤ 1/128, where eight terms reach 1e-16 of a pixel; from a
# radius of 2 on it is at most 1/8.
_LARGE = 8.0
# A product and a sum may be one instruction: in vectors to the end of a loop, so always the same ones.
_CONTRACT = {"contract"}


@part
def padded(count):  # type: ignore[no-untyped-def]
    return (count + LANES - 1) & -LANES


@partial(part, fastmath=_CONTRACT)
def _long_series(t):  # type: ignore[no-untyped-def]
    highest = _SERIES[12] + t * (_SERIES[13] + t * (_SERIES[14] + t * (_SERIES[15] + t * _SERIES[16])))
    high = _SERIES[8] + t * (_SERIES[9] + t * (_SERIES[10] + t * (_SERIES[11] + t * highest)))
    middle = _SERIES[4] + t * (_SERIES[5] + t * (_SERIES[6] + t * (_SERIES[7] + t * high)))
    return t * (_SERIES[0] + t * (_SERIES[1] + t * (_SERIES[2] + t * (_SERIES[3] + t * middle))))


@partial(part, fastmath=_CONTRACT)
def _short_series(t):  # type: ignore[no-untyped-def]
    high = _SERIES[4] + t * (_SERIES[5] + t * (_SERIES[6] + t * _SERIES[7]))
    return t * (_SERIES[0] + t * (_SERIES[1] + t * (_SERIES[2] + t * (_SERIES[3] + t * high))))


@partial(part, forceinline=True, fastmath=_CONTRACT)  # a call would keep the loop from becoming vectors
def _cut(lower, upper, near, far, whole, grid, least, radius, scale, many):  # type: ignore[no-untyped-def]
    """The two pixels of a band that the edge crosses: the number of the first, and the overlaps of both.

    The band lies between ``lower`` and ``upper`` from the axis, where the half chords are ``near`` and ``far``; ``whole`` is
    the half chord up to which pixels are whole. Pixel k lies between k - 1 + grid and k + grid.
    """
    height = upper - lower
    first = max(np.floor(whole - grid) + 1.0, least)
    border = first + grid
    # how far above the band's lower edge the circle meets the border between both pixels
    reach = max(near - border, 0.0)
    meets = clamp(half_chord(radius, border) - lower, height) if reach > 0.0 else 0.0
    enter, leave = clamp(far - (border - 1.0), 1.0), clamp(near - (border - 1.0), 1.0)
    step, drop = leave - enter, height - meets
    t = (step * step + drop * drop) * scale
    across = (border - 1.0 + leave) * drop + (lower + meets) * step
    segment = 0.5 * across * (_long_series(t) if many else _short_series(t))
    inner = enter * height + step * (height + meets) * 0.5 + segment
    enter = max(far - border, 0.0)
    step = reach - enter
    t = (step * step + meets * meets) * scale
    segment = 0.5 * (near * meets + lower * step) * (_long_series(t) if many else _short_series(t))
    return first, inner, enter * height + step * meets * 0.5 + segment


@partial(part, fastmath=_CONTRACT)
def cut_lines(count, shift, center, radius, grid, other_grid, least, other_least, rim, other_rim, cuts):  # type: ignore[no-untyped-def]
    """Cut lines of pixels (rows or columns) on both sides of the axis: right and left, or above and below."""
    # No branches: this loop becomes vector instructions.
    scale = 1.0 / (4.0 * radius * radius)
    many = radius < _LARGE
    limit, other_limit = half_chord(radius, rim), half_chord(radius, other_rim)
    first, inner, outer, other_first, other_inner, other_outer = cuts[0], cuts[1], cuts[2], cuts[3], cuts[4], cuts[5]
    for m in range(count):
        i = np.uintp(m)
        low, high = m + shift - 0.5 - center, m + shift + 0.5 - center
        lower, upper = max(low, -high, 0.0), max(-low, high)
        near, far = half_chord(radius, lower), half_chord(radius, upper)
        here = max(far, rim)
        first[i], inner[i], outer[i] = _cut(
            min(lower, limit), min(upper, limit), max(near, rim), here, here, grid, least, radius, scale, many
        )
        here = max(far, other_rim)
        other_first[i], other_inner[i], other_outer[i] = _cut(
            min(lower, other_limit),
            min(upper, other_limit),
            max(near, other_rim),
            here,
            here,
            other_grid,
            other_least,
            radius,
            scale,
            many,
        )


@part
def halve_axes(x, y, halves):  # type: ignore[no-untyped-def]
    """Prepare what is the same for all circles about a point: first the row on the axis, its halves right and left."""
    for m in range(8):
        center = y if m < 4 else x
        across = x if m < 4 else y
        halves[0, m] = 0.5 - center if m % 4 < 2 else 0.5 + center
        halves[1, m] = 0.5 + abs(center)
        halves[2, m] = 0.5 - across if m % 2 == 0 else 0.5 + across
        halves[3, m] = 0.0


@partial(part, fastmath=_CONTRACT)
def cut_halves(halves, count, radius):  # type: ignore[no-untyped-def]
    """Cut the halves of the lines on the axis; rows are upper edges, those of the larger halves, grid, least, results."""
    scale = 1.0 / (4.0 * radius * radius)
    many = radius < _LARGE
    upper, largest, grid, least = halves[0], halves[1], halves[2], halves[3]
    first, inner, outer = halves[4], halves[5], halves[6]
    for m in range(count):
        i = np.uintp(m)
        far, whole = half_chord(radius, upper[i]), half_chord(radius, largest[i])
        first[i], inner[i], outer[i] = _cut(0.0, upper[i], radius, far, whole, grid[i], least[i], radius, scale, many)
