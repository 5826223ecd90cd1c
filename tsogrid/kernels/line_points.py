"""The points of eight lines side by side, as fits want them: a vector a row, turned where lines run along rows.

Rows without a point of any of the eight are left out. Where no point of any is missing there is nothing to look for, and
fits need fewer instructions.
"""

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import INDEX
from tsogrid.kernels.vectors import (
    WIDTH,
    all_of,
    any_of,
    as_double,
    as_single,
    counted,
    fill,
    fused,
    load,
    load_marked,
    no_count,
    store,
    store_turned,
    where,
    zeros,
)

# Parts of the flat work array of eight lines. VALUES: the points, NaN where one is bad; SIZES: |residual|.
PLACES, VALUES, SIZES, REST, EVEN, ODD = range(6)
PARTS = 6


def line_work(length: int) -> NDArray[np.float64]:
    """Scratch for eight lines of at most ``length`` points."""
    return zeros(PARTS * WIDTH * (length + WIDTH))


@part
def part_of(work, which):  # type: ignore[no-untyped-def]
    """Where a part of the work array begins."""
    return which * (work.size // PARTS)


@part
def gather_columns(values, marks, h, pitch, column, work):  # type: ignore[no-untyped-def]
    """Copy eight columns, NaN where a pixel must not be fitted; whether there is none such, and then Σ v and Σ u v."""
    packed, u = part_of(work, VALUES), fill(-0.5 * (h - 1))
    total, moment = fill(0.0), fill(0.0)
    for j in range(h):
        row = load_marked(values, marks, INDEX(j * pitch + column), np.uint8(1))
        total, moment = total + row, fused(u, row, moment)
        u = u + 1.0
        store(work, INDEX(packed + WIDTH * j), row)
    return all_of(moment == moment), (total, moment)  # a pixel that is missing is NaN, and so are the sums


@part
def gather_rows(values, marks, w, pitch, row, work):  # type: ignore[no-untyped-def]
    """Copy eight rows, turned to columns; as `gather_columns`."""
    one, packed, u = np.uint8(1), part_of(work, VALUES), fill(-0.5 * (w - 1))
    total, moment = fill(0.0), fill(0.0)
    for i in range(0, w, WIDTH):
        pixel = row * pitch + i
        a = load_marked(values, marks, INDEX(pixel), one)
        b = load_marked(values, marks, INDEX(pixel + pitch), one)
        c = load_marked(values, marks, INDEX(pixel + 2 * pitch), one)
        d = load_marked(values, marks, INDEX(pixel + 3 * pitch), one)
        e = load_marked(values, marks, INDEX(pixel + 4 * pitch), one)
        f = load_marked(values, marks, INDEX(pixel + 5 * pitch), one)
        g = load_marked(values, marks, INDEX(pixel + 6 * pitch), one)
        h = load_marked(values, marks, INDEX(pixel + 7 * pitch), one)
        store_turned(work, INDEX(packed + WIDTH * i), (a, b, c, d, e, f, g, h))
        for k in range(i, min(i + WIDTH, w)):
            column = load(work, INDEX(packed + WIDTH * k))
            total, moment = total + column, fused(u, column, moment)
            u = u + 1.0
    return all_of(moment == moment), (total, moment)  # a pixel that is missing is NaN, and so are the sums


@part
def pack_rows(work, singles, length):  # type: ignore[no-untyped-def]
    """Leave out the rows without a point from ``length`` rows of eight lines (NaN: bad) in VALUES; note the others' places.

    In ``singles`` points are 0, which is within any reach. Returns how many rows are left, and of every line the number of
    points, and the places of the first and the last.
    """
    places, values = part_of(work, PLACES), part_of(work, VALUES)
    rows, points, first, last = 0, no_count(), fill(-1.0), fill(-1.0)
    for k in range(length):
        row, place = load(work, INDEX(values + WIDTH * k)), fill(np.float64(k))
        good = row == row
        work[INDEX(places + rows)] = np.float64(k)
        store(work, INDEX(values + WIDTH * rows), row)
        store(singles, INDEX(WIDTH * rows), as_single(where(good, 0.0, row)))
        rows += 1 if any_of(good) else 0
        first = where(good & (first < 0.0), place, first)
        last = where(good, place, last)
        points = counted(points, good)
    return rows, as_double(points), first, last


@part
def whole_rows(work, singles, length, places_too, singles_too):  # type: ignore[no-untyped-def]
    """As `pack_rows` where all points are good; the places count from their middle.

    Places are the same for all lines, and ``singles`` are looked at only where sums are not known from gathering: each is
    written where it is asked for.
    """
    places, middle = part_of(work, PLACES), 0.5 * (length - 1)
    for k in range(length if places_too else 0):
        work[INDEX(places + k)] = np.float64(k) - middle
    for k in range(length if singles_too else 0):
        store(singles, INDEX(WIDTH * k), fill(np.float32(0.0)))
    return length, fill(np.float64(length)), fill(0.0), fill(length - 1.0)
