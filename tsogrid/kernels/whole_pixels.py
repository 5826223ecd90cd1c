"""Statistics of the whole pixels in regions about each source: of several regions, and of several images, at once.

Images of one series of frames differ in the levels of rows and columns that are taken off them; they are not made: levels
go off each pixel as it is gathered. What belongs to a place alone is found once for all images: which pixels lie in a
region, and their errors. A region's pixels stand row by row, so that its numbers are the same whatever else is asked for.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.clipping import clipped_interval
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.disc import disc_rows, open_span, touches_frame
from tsogrid.kernels.eights import ARRAY, EIGHT, NUMBER, PLACE, emit
from tsogrid.kernels.statistics import (
    INDEX,
    INTEGERS,
    LANES,
    MAD_TO_SIGMA,
    SAMPLE,
    bad_key,
    center_value,
    count_interval,
    count_up_to,
    finite_interval,
    interval_moments,
    interval_variance,
    key_interval,
    median_deviation,
    seeded_middle_keys,
)

STATISTICS = {"mean": 0, "median": 1, "clipped-mean": 2, "clipped-median": 3, "robust-mean": 4, "whole-mean": 5}
_MEAN, _MEDIAN, _CLIPPED_MEAN, _CLIPPED_MEDIAN, _ROBUST_MEAN, _WHOLE_MEAN = range(6)
ROBUST_REACH = 10.0  # the robust mean keeps what lies within this many (unscaled) MAD of the median


class RowLevels(NamedTuple):
    """What is taken off the pixels of rows and columns: images of one series of frames.

    ``level`` is (m, n, ny, na), float64: image, frame, row, amplifier. ``pieces`` (k, 3) are the columns of a row from left
    to right: first, one past the last, and their amplifier, −1 where nothing is taken off. ``columns`` (m, n, nx), float64,
    is what is taken off the columns; None: nothing. The sum of both is rounded to the precision of the pixels.
    """

    level: NDArray[np.float64]
    pieces: NDArray[np.int64]
    columns: NDArray[np.float64] | None = None


def checked_rows(data: NDArray[np.floating], rows: RowLevels | None) -> RowLevels:
    """Levels as kernels take them: of one image without any if None are given; columns flat, and eight more.

    Raises
    ------
    ValueError
        The levels do not fit the data.
    """
    n, ny, nx = data.shape
    if rows is None:
        return RowLevels(np.zeros((1, n, 1, 1)), np.array([[0, nx, -1]]), np.zeros(EIGHT))
    level = np.ascontiguousarray(rows.level, np.float64)
    if level.ndim != 4 or level.shape[1:3] != (n, ny) or rows.pieces[:, 2].max() >= level.shape[3]:
        raise ValueError(f"expected levels (images, {n}, {ny}, na), found {rows.level.shape}")
    if rows.columns is None:
        return RowLevels(level, rows.pieces, np.zeros(EIGHT))
    if rows.columns.shape != (len(level), n, nx):
        raise ValueError(f"expected levels of columns ({len(level)}, {n}, {nx}), found {rows.columns.shape}")
    columns = np.zeros(rows.columns.size + EIGHT)
    columns[: rows.columns.size] = rows.columns.reshape(-1)
    return RowLevels(level, rows.pieces, columns)


def row_pieces(bounds: NDArray[np.int64], nx: int) -> NDArray[np.int64]:
    """Columns 0 … nx − 1 as pieces of one amplifier, or of none (see `RowLevels`), from the amplifiers' ranges (na, 2)."""
    pieces, last = [], 0
    for index in np.argsort(bounds[:, 0]).tolist():
        start, stop = bounds[index].tolist()
        pieces += [(last, start, -1)] * (start > last) + [(start, stop, index)]
        last = stop
    return np.array(pieces + [(last, nx, -1)] * (nx > last), np.int64)


@emit(ARRAY, PLACE, NUMBER, ARRAY, PLACE)
def _write_keys(builder, pixels, at, level, keys, place):  # type: ignore[no-untyped-def]
    """Write the keys of eight pixels less a level."""
    from tsogrid.kernels import eight_instructions

    eight_instructions.store_keys(builder, pixels, at, level, keys, place)


@emit(ARRAY, PLACE, NUMBER, ARRAY, PLACE, ARRAY, PLACE)
def _write_keys_of_columns(builder, pixels, at, level, keys, place, columns, column):  # type: ignore[no-untyped-def]
    """As `_write_keys`, less what belongs to the columns, too."""
    from tsogrid.kernels import eight_instructions

    eight_instructions.store_keys(builder, pixels, at, level + columns.load(column), keys, place)


@emit(ARRAY, PLACE, ARRAY, PLACE)
def _copy(builder, given, at, copied, place):  # type: ignore[no-untyped-def]
    from tsogrid.kernels import eight_instructions

    eight_instructions.copy(builder, given, at, copied, place)


@emit(NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, ARRAY, PLACE, PLACE)
def _cut_rows(builder, row, x, y, radius, nx, spans, first, stop):  # type: ignore[no-untyped-def]
    """Write what `tsogrid.kernels.disc.disc_columns` gives for the open disc in eight rows, from ``row`` on."""
    x, square = x.exactly(), radius.exactly() * radius
    distance = (row + row.count()).exactly() - y
    square_distance = distance * distance

    def inside(column):  # type: ignore[no-untyped-def]
        difference = column - x
        return square > difference * difference + square_distance

    half = (square - square_distance).least(0.0).root()
    start, last = -(-(x - half)).floor(), (x + half).floor()
    # the rounding of x ± half is put right where it matters
    start = (start - 1.0).where(inside(start - 1.0), start.where(inside(start), start + 1.0)).least(0.0)
    after = (last + 1.0).where(inside(last + 1.0), last.where(inside(last), last - 1.0)) + 1.0
    after = after.most(nx)
    some = builder.and_(after > start, square_distance <= square)
    spans.store_whole(first, start.where(some, 0.0))
    spans.store_whole(stop, after.where(some, 0.0))


@part
def _find_segments(x, y, rectangle, inner, outer, ny, nx, pieces, spans, segments):  # type: ignore[no-untyped-def]
    """Pixels in a row inside, of one amplifier: place of the first in the frame, number, row, amplifier; left to right.

    Inside is inner ≤ d < outer, or in a rectangle |dx| < inner and |dy| < outer. Returned is how many segments there are.
    """
    count = np.int64(0)
    if not touches_frame(x, y, max(inner, outer), ny, nx):
        return count
    first, stop = open_span(y, outer, ny) if rectangle else disc_rows(y, outer, ny)
    for row in range(first, stop, EIGHT):
        at = row - first
        if rectangle:
            left, right = open_span(x, inner, nx)
            for line in range(EIGHT):
                spans[0, at + line], spans[1, at + line], spans[2, at + line], spans[3, at + line] = left, right, 0, 0
        else:
            width = spans.shape[1]
            begin_row, columns = np.float64(row), np.float64(nx)
            _cut_rows(begin_row, x, y, outer, columns, spans, INDEX(at), INDEX(width + at))
            _cut_rows(begin_row, x, y, inner, columns, spans, INDEX(2 * width + at), INDEX(3 * width + at))
    for row in range(first, stop):
        at = INDEX(row - first)
        left, right, hole, end = spans[0, at], spans[1, at], spans[2, at], spans[3, at]
        if hole == end:
            hole, end = right, right
        for side in range(2):
            start, after = (left, hole) if side == 0 else (end, right)
            for piece in range(pieces.shape[0]):
                begin, over = max(start, pieces[INDEX(piece), 0]), min(after, pieces[INDEX(piece), 1])
                if begin < over:
                    segments[INDEX(count), 0], segments[INDEX(count), 1] = row * nx + begin, over - begin
                    segments[INDEX(count), 2], segments[INDEX(count), 3] = row, pieces[INDEX(piece), 2]
                    count += 1
    return count


@part
def _gather_errors(error, corner, segments, count, gathered):  # type: ignore[no-untyped-def]
    n = np.int64(0)
    for segment in range(count):
        at, width = corner + segments[INDEX(segment), 0], segments[INDEX(segment), 1]
        if at + width + EIGHT <= error.size:
            for column in range(0, width, EIGHT):  # what is too much is written again
                _copy(error, INDEX(at + column), gathered, INDEX(n + column))
        else:
            for column in range(width):
                gathered[INDEX(n + column)] = error[INDEX(at + column)]
        n += width


@part
def _gather_keys(pixels, corner, shape, segments, count, rows, image, frame, keys, one):  # type: ignore[no-untyped-def]
    """Write the keys of the pixels of an image that lie inside, row by row; return how many."""
    levels, _, columns = rows
    nx = shape[1]
    n, first = np.int64(0), (image * levels.shape[1] + frame) * nx
    for segment in range(count):
        at, width = corner + segments[INDEX(segment), 0], segments[INDEX(segment), 1]
        row, amplifier = segments[INDEX(segment), 2], segments[INDEX(segment), 3]
        level = np.float64(0.0)
        if amplifier >= 0:
            level = levels[INDEX(image), INDEX(frame), INDEX(row), INDEX(amplifier)]
        own = first + segments[INDEX(segment), 0] - row * nx
        if at + width + EIGHT > pixels.size:
            for column in range(width):
                one[0] = pixels[INDEX(at + column)]  # the last pixels of all: one of eight counts
                taken = level if columns.size == EIGHT else level + columns[INDEX(own + column)]
                _write_keys(one, INDEX(0), taken, keys, INDEX(n + column))
        elif columns.size > EIGHT:
            for column in range(0, width, EIGHT):  # what is too much is written again
                _write_keys_of_columns(
                    pixels, INDEX(at + column), level, keys, INDEX(n + column), columns, INDEX(own + column)
                )
        else:
            for column in range(0, width, EIGHT):
                _write_keys(pixels, INDEX(at + column), level, keys, INDEX(n + column))
        n += width
    return n


@part
def _used_interval(keys, n, good, statistic, deviations, lanes, pivot, slope):  # type: ignore[no-untyped-def]
    """Interval of keys that a statistic of whole pixels uses, their number, and a median: of all, or after clipping.

    ``pivot`` and ``slope``: where to look for the median first, as `clipped_interval` has them; returned for the next.
    """
    if statistic in (_CLIPPED_MEAN, _CLIPPED_MEDIAN):
        return clipped_interval(keys, n, good, lanes, pivot, slope)
    low, high = finite_interval(keys)
    if good == 0:
        return low, high, good, np.nan, pivot, slope
    first, second, slope = seeded_middle_keys(keys, n, good, pivot, slope)
    center = center_value(first, second)
    used = good
    if statistic == _ROBUST_MEAN:
        reach = ROBUST_REACH * median_deviation(keys, n, low, high, good, center, deviations)
        # when more than half of the pixels are equal, these are what lies near the median
        low, high = key_interval(keys, center - reach, center + reach, reach > 0.0)
        _, used = count_interval(keys, n, low, high)
    return low, high, used, center, first, slope


@kernel
def _levels(  # type: ignore[no-untyped-def]
    pixels, error, with_error, shape, x, y, rectangle, sizes, pairs, rows, statistic, scratch, out
):
    """Write level, Σσ² (without errors the variance of one pixel) and number of the whole pixels that a statistic uses."""
    pieces = rows[1]
    spans, segments, keys, deviations, gathered, one, lanes = scratch
    ny, nx = shape
    bad = bad_key(keys)
    for frame in range(x.shape[0]):
        corner = frame * ny * nx
        for source in range(x.shape[1]):
            pivot, slope = keys.dtype.type(0), np.nan  # a region's median begins at the last one's
            region, count = np.int64(-1), np.int64(0)
            for pair in range(pairs.shape[0]):
                if pairs[pair, 0] != region:
                    region = pairs[pair, 0]
                    inner, outer = sizes[region, 0], sizes[region, 1]
                    at = x[frame, source], y[frame, source]
                    count = _find_segments(at[0], at[1], rectangle, inner, outer, ny, nx, pieces, spans, segments)
                    if with_error:
                        _gather_errors(error, corner, segments, count, gathered)
                n = _gather_keys(pixels, corner, shape, segments, count, rows, pairs[pair, 1], frame, keys, one)
                good = count_up_to(keys, n, keys.dtype.type(bad - 1))
                low, high, used, center, pivot, slope = _used_interval(
                    keys, n, good, statistic, deviations, lanes, pivot, slope
                )
                level = center
                if statistic in (_CLIPPED_MEAN, _ROBUST_MEAN, _WHOLE_MEAN):
                    level += interval_moments(keys, n, low, high, center, lanes)[0] / used
                if with_error:
                    variance = interval_variance(keys, n, low, high, gathered, np.int64(0), lanes)
                else:
                    deviation = MAD_TO_SIGMA * median_deviation(keys, n, low, high, used, center, deviations)
                    variance = deviation * deviation
                out[0, pair, frame, source] = level
                out[1, pair, frame, source] = variance
                out[2, pair, frame, source] = used


def whole_pixel_levels(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    rectangle: bool,
    sizes: NDArray[np.float64],
    statistic: int,
    rows: RowLevels | None = None,
    pairs: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Statistic of the whole pixels in regions about each place.

    Parameters
    ----------
    data, error : (n, ny, nx) array of float32 or float64
        Frames, and the errors of their pixels, or None; C-contiguous.
    x, y : (n, ns) array of float64
        Places in pixels, C-contiguous.
    rectangle : bool
        Whether regions are rectangles, and not rings.
    sizes : (nr, 2) array of float
        Radii, or the half sides of a rectangle.
    statistic : int
        Of STATISTICS, but ``mean``.
    rows : RowLevels, optional
        Images by what is taken off the data; the data alone if not given.
    pairs : (np, 2) array of int, optional
        Region and image of each result, those of one region together; every region in the first image if not given.

    Returns
    -------
    (3, np, n, ns) array
        Level, Σσ² of the pixels in use (without ``error`` the variance of one, from their scatter) and their number.
    """
    _n, ny, nx = data.shape
    across, along = np.minimum(sizes.max(axis=0), 1e9).tolist()
    lines = min(ny, 2 * math.ceil(along) + 3)
    pixels = lines * min(nx, 2 * math.ceil(across if rectangle else along) + 3)
    rows = checked_rows(data, rows)
    if pairs is None:
        pairs = np.zeros((len(sizes), 2), np.int64)
        pairs[:, 0] = np.arange(len(sizes))
    integers = INTEGERS[data.dtype]
    out = np.empty((3, len(pairs), *x.shape))
    _levels(
        data.reshape(-1),
        (data if error is None else error).reshape(-1),
        error is not None,
        (ny, nx),
        x,
        y,
        rectangle,
        sizes,
        pairs,
        rows,
        statistic,
        (
            np.empty((4, lines + EIGHT), np.int64),
            np.empty((2 * lines * len(rows.pieces), 4), np.int64),
            np.empty(pixels + SAMPLE, integers),
            np.empty(pixels + SAMPLE, integers),
            np.empty(pixels + EIGHT, data.dtype),
            np.zeros(EIGHT, data.dtype),
            np.empty((2, LANES)),
        ),
        out,
    )
    return out
