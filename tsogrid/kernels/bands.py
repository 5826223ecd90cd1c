"""What a circle covers of rows and columns of pixels: the number of the first pixel that its edge crosses, and two overlaps.

A row that a circle's edge crosses steeply has, on each side, one or two pixels that are covered in part, and all between
are covered whole; so has a column that it crosses flatly. So all rows, and all columns, of a circle are cut by the same few
operations without a branch, which become vector instructions. The line that lies across the axis is cut in two halves, so
that every arc stays in one quadrant.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.eights import ARRAY, EIGHT, NUMBER, PLACE, emit, place_of

if TYPE_CHECKING:
    from tsogrid.kernels.eight_instructions import Eight

# Loops over a multiple of this run in vector instructions to their end; scratch has room for the surplus,
# which nobody reads.
LANES = EIGHT
# A segment is half of sin θ (radius²) times θ / sin θ − 1 = Σ g_n tⁿ with t = sin²(θ/2), g_n = 4ⁿ n!² / (2n + 1)!, from
# asin(z) / √(1 − z²): neither the chord's length nor an angle is needed, and no square root. The polynomials are half of
# that sum over t, and meet it at the Chebyshev nodes of 0 … 1/8 and of 0 … 1/128 (worked out with 50 digits): off by
# 5e-16 and 1e-14, which times t and the cross product that it comes with is under 1e-15 of a pixel.
_LONG = (
    0.3333333333333329,
    0.26666666666735583,
    0.22857142839004704,
    0.2031746216414875,
    0.18470323311629022,
    0.17052420650143027,
    0.15863033702678894,
    0.155212174431306,
    0.10684236231413764,
    0.2530718500314959,
)
_SHORT = (0.3333333333333432, 0.2666666666035054, 0.2285714931990368, 0.20315147983664059, 0.18807403919852436)
# t is at most 2 / (4 r²): 1/128 from this radius on, and 1/8 from a radius of 2 on.
_LARGE = 8.0


@part
def padded(count):  # type: ignore[no-untyped-def]
    return (count + LANES - 1) & -LANES


def _polynomial(t: Eight, factors: tuple[float, ...]) -> Eight:
    """Evaluated in pairs, so that few products wait for each other."""
    terms = [t * high + low for low, high in zip(factors[::2], factors[1::2], strict=False)]
    if len(factors) % 2:
        terms.append(t * 0.0 + factors[-1])
    return terms[0] if len(terms) == 1 else _sum_of_powers(t * t, terms)


def _sum_of_powers(power: Eight, terms: list[Eight]) -> Eight:
    if len(terms) == 1:
        return terms[0]
    pairs = [power * high + low for low, high in zip(terms[::2], terms[1::2], strict=False)]
    return _sum_of_powers(power * power, pairs + terms[2 * len(pairs) :])


def _half_chord(radius: Eight, distance: Eight) -> Eight:
    # the product keeps its digits near the circle's rim, where r² − d² would lose them
    return ((radius - distance) * (radius + distance)).least(0.0).root()


@emit(ARRAY, PLACE, NUMBER, ARRAY, PLACE)
def _half_chords(builder, edges, at, radius, chords, place):  # type: ignore[no-untyped-def]
    chords.store(place, _half_chord(radius, edges.load(at).exactly()))


def _first_in_part(far: Eight, outer: Eight, across: Eight, radius: Eight) -> Eight:
    """The first pixel from the axis, which lies at ``across`` in its own, whose farther corner is not in the circle."""
    # Exactly: what is whole by rows is whole by columns.
    square = radius * radius
    edge = (far + 0.5 + across).floor()
    inner, corner = edge - 0.5 - across, edge + 0.5 - across
    below, above = inner * inner + outer * outer <= square, corner * corner + outer * outer <= square
    return (edge + 1.0).where(above, edge).where(below, edge - 1.0)


@emit(ARRAY, PLACE, ARRAY, PLACE, NUMBER, NUMBER, ARRAY, PLACE, PLACE)
def _cross(builder, edges, at, chords, place, radius, across, cuts, cut, width):  # type: ignore[no-untyped-def]
    low, high = edges.load(at).exactly(), edges.load(builder.add(at, place_of(1))).exactly()
    far = chords.load(place).exactly().most(chords.load(builder.add(place, place_of(1))).exactly())
    outer, across, radius = (-low).least(high), across.exactly(), radius.exactly()
    cuts.store(cut, _first_in_part(far, outer, across, radius))
    cuts.store(builder.add(cut, builder.mul(width, place_of(3))), _first_in_part(far, outer, -across, radius))


@partial(part, forceinline=True)
def cross_lines(edges, begin, count, radius, across, chords, cuts, row):  # type: ignore[no-untyped-def]
    """Half chords at the edges of lines of pixels, and for both sides of each line the first pixel that is not whole.

    ``edges`` are distances from the axis; ``count`` lines from ``begin`` on are looked at, and the surplus up to a multiple
    of `LANES`. What is found is written into six rows of ``cuts`` from ``row`` on: of both sides the first pixel, here, and
    overlaps with it and the next, by `cut_lines`.
    """
    width = cuts.shape[1]
    for m in range(0, count + 1, LANES):
        _half_chords(edges, np.uintp(begin + m), radius, chords, np.uintp(m))
    for m in range(0, count, LANES):
        cut = np.uintp(row * width + m)
        _cross(edges, np.uintp(begin + m), chords, np.uintp(m), radius, across, cuts, cut, np.uintp(width))


@emit(ARRAY, PLACE, PLACE, NUMBER, NUMBER, ARRAY, PLACE)
def _span(builder, cuts, at, width, axis, size, spans, place):  # type: ignore[no-untyped-def]
    stop = (axis + cuts.load(at)).least(0.0).most(size)
    first = (axis - cuts.load(builder.add(at, builder.mul(width, place_of(3)))) + 1.0).least(0.0).most(size)
    spans.store_whole(place, first)
    spans.store_whole(builder.add(place, width), stop)


@partial(part, forceinline=True)
def span_lines(cuts, first, count, axis, size, spans):  # type: ignore[no-untyped-def]
    """Write what is covered whole of lines that `cross_lines` has looked at: the first pixel, and one past the last."""
    for m in range(0, count, LANES):
        _span(cuts, np.uintp(m), np.uintp(cuts.shape[1]), axis, size, spans, np.uintp(first + m))


def _cut(
    lower: Eight, upper: Eight, near: Eight, far: Eight, border: Eight, radius: Eight, scale: Eight, factors: Any
) -> Any:
    """The overlaps of two pixels of a band: the first that is not whole, which ends at ``border``, and the one beyond it.

    The band lies between ``lower`` and ``upper`` from the axis, where the half chords are ``near`` and ``far``.
    """
    height, step, inner_border = upper - lower, near - far, border - 1.0
    t = (step * step + height * height) * scale
    segment = (near * upper - far * lower) * (t * _polynomial(t, factors))
    total = height * 0.5 * ((near - inner_border) + (far - inner_border)) + segment
    # how far above the band's lower edge the circle meets the border between both pixels
    reach = (near - border).least(0.0)
    meets = (_half_chord(radius, border) - lower).least(0.0).most(height).where(reach > 0.0, 0.0)
    enter = (far - border).least(0.0)
    step = reach - enter
    t = (step * step + meets * meets) * scale
    outer = meets * (step * 0.5 + enter) + (near * meets + lower * step) * (t * _polynomial(t, factors))
    return total - outer, outer


def _cut_lines(factors: tuple[float, ...]) -> Any:
    places = (PLACE, PLACE)
    numbers = (NUMBER, NUMBER, NUMBER)

    @emit(ARRAY, PLACE, ARRAY, PLACE, ARRAY, *numbers, ARRAY, *places)
    def cut(builder, edges, at, chords, place, bounds, radius, scale, across, cuts, start, width):  # type: ignore[no-untyped-def]
        low, high = edges.load(at), edges.load(builder.add(at, place_of(1)))
        one, other = chords.load(place), chords.load(builder.add(place, place_of(1)))
        lower, upper = low.least(-high).least(0.0), (-low).least(high)
        near, far = one.least(other), one.most(other)
        for side in range(2):
            least, rim, limit = (bounds.every(side + 2 * m) for m in range(3))
            places = [builder.add(start, builder.mul(width, place_of(3 * side + m))) for m in range(3)]
            first = cuts.load(places[0]).least(least)
            border = first + (across * (2.0 * side - 1.0) + 0.5)
            inner, outer = _cut(
                lower.most(limit), upper.most(limit), near.least(rim), far.least(rim), border, radius, scale, factors
            )
            for place_there, numbers in zip(places, (first, inner, outer), strict=True):
                cuts.store(place_there, numbers)

    return cut


_cut_of_small, _cut_of_large = _cut_lines(_LONG), _cut_lines(_SHORT)


@partial(part, forceinline=True)
def cut_lines(edges, begin, chords, skip, count, radius, across, bounds, cuts, row):  # type: ignore[no-untyped-def]
    """Cut lines of pixels (rows or columns) on both sides of the axis: right and left, or above and below.

    `cross_lines` has looked at these lines, from ``begin`` on; the first ``skip`` of them are left out. ``bounds`` are of
    both sides the first pixel at which to begin, the distance of its edge from the axis, and the half chord there.
    """
    scale = 1.0 / (4.0 * radius * radius)
    width = np.uintp(cuts.shape[1])
    for m in range(skip, skip + count, LANES):
        at, place, cut = np.uintp(begin + m), np.uintp(m), np.uintp(row * cuts.shape[1] + m)
        if radius < _LARGE:
            _cut_of_small(edges, at, chords, place, bounds, radius, scale, across, cuts, cut, width)
        else:
            _cut_of_large(edges, at, chords, place, bounds, radius, scale, across, cuts, cut, width)


@emit(ARRAY, PLACE, PLACE, NUMBER, NUMBER, NUMBER, ARRAY, ARRAY, PLACE)
def _list(builder, cuts, first, inner, place, along, stride, index, weight, offset):  # type: ignore[no-untyped-def]
    index.store_whole(offset, place + along * along.count() + stride * cuts.load(first))
    weight.store(offset, cuts.load(inner))


@partial(part, forceinline=True)
def list_lines(cuts, row, begin, count, place, along, stride, index, weight, offset):  # type: ignore[no-untyped-def]
    """List the first pixel of each line, and what it covers of it, from ``offset`` on, and a surplus.

    ``row`` is the row of cuts with the first pixels of one side, ``place`` the index of the first line's pixel on the axis,
    ``along`` the way to the next line's, ``stride`` outward.
    """
    at = row * cuts.shape[1] + begin
    for m in range(0, count, LANES):
        _list(
            cuts,
            np.uintp(at + m),
            np.uintp(at + cuts.shape[1] + m),
            np.float64(place + m * along),
            np.float64(along),
            np.float64(stride),
            index,
            weight,
            np.uintp(offset + m),
        )


@part
def halve_axes(x, y, halves):  # type: ignore[no-untyped-def]
    """Prepare what is the same for all circles about a point: first the row on the axis, its halves right and left."""
    for m in range(8):
        center = y if m < 4 else x
        across = x if m < 4 else y
        halves[0, m] = 0.5 - center if m % 4 < 2 else 0.5 + center
        halves[1, m] = 0.5 - across if m % 2 == 0 else 0.5 + across
        halves[2, m] = 0.0


def _cut_halves(factors: tuple[float, ...]) -> Any:
    @emit(ARRAY, NUMBER, NUMBER)
    def cut(builder, halves, radius, scale):  # type: ignore[no-untyped-def]
        upper, grid, first = (halves.load(place_of(EIGHT * m)) for m in range(3))
        lower = upper - upper
        inner, outer = _cut(lower, upper, radius, _half_chord(radius, upper), first + grid, radius, scale, factors)
        halves.store(place_of(3 * EIGHT), inner)
        halves.store(place_of(4 * EIGHT), outer)

    return cut


_halves_of_small, _halves_of_large = _cut_halves(_LONG), _cut_halves(_SHORT)


@partial(part, forceinline=True)
def cut_halves(halves, radius):  # type: ignore[no-untyped-def]
    """Cut the halves of the lines on the axis; rows are upper edges, grid, the first pixel in part, and results."""
    scale = 1.0 / (4.0 * radius * radius)
    if radius < _LARGE:
        _halves_of_small(halves, radius, scale)
    else:
        _halves_of_large(halves, radius, scale)
