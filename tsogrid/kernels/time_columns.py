"""Medians of many short columns at once: over the frames of a window, or over the neighbours of every pixel.

Each column is one pixel's few values. A sorting network is the same list of comparisons for every column, so that whole
rows of columns are compared at a time (vector instructions); a bad value is +inf, which sorts to the end.
"""

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import INDEX

SPACING = 2  # pixels between the nine that make a local level: a compact hit does not reach the half of them


@part
def order_rows(low, high, width):  # type: ignore[no-untyped-def]
    """Put the smaller of each pair into ``low`` and the larger into ``high``."""
    for j in range(width):
        first, second = low[INDEX(j)], high[INDEX(j)]
        swapped = second < first
        low[INDEX(j)] = second if swapped else first
        high[INDEX(j)] = first if swapped else second


@part
def sort_columns(columns, n, width):  # type: ignore[no-untyped-def]
    """Sort the first ``n`` rows of ``columns`` along each of ``width`` columns, ascending.

    Batcher's merge exchange for any n (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M).
    """
    if n < 2:
        return
    top = 1
    while top < n:
        top *= 2
    top //= 2
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            for i in range(n - d):
                if (i & p) == r:
                    order_rows(columns[i], columns[i + d], width)
            if q == p:
                break
            d = q - p
            q //= 2
            r = p
        p //= 2


@part
def median_columns(columns, n, width, median):  # type: ignore[no-untyped-def]
    """Sort the columns and write the median of the finite values of each (the mean of the middle two if even), else NaN."""
    sort_columns(columns, n, width)
    for j in range(width):
        good = n
        while good > 0 and columns[good - 1, j] == np.inf:
            good -= 1
        if good == 0:
            median[j] = np.nan
        else:
            median[j] = 0.5 * columns[(good - 1) // 2, j] + 0.5 * columns[good // 2, j]


@part
def finite_or_last(values, width, row):  # type: ignore[no-untyped-def]
    """Copy one row of values; what is not finite becomes +inf, which sorts last."""
    for j in range(width):
        value = np.float64(values[INDEX(j)])
        row[INDEX(j)] = value if abs(value) < np.inf else np.inf


@part
def neighbour_median(image, ny, nx, spacing, columns, median):  # type: ignore[no-untyped-def]
    """Median of every pixel and its eight neighbours at ``spacing`` pixels, over the finite ones inside the image.

    ``image`` and ``median`` are flat; ``columns`` is scratch of nine rows.
    """
    row = 0
    for dy in (-spacing, np.int64(0), spacing):
        for dx in (-spacing, np.int64(0), spacing):
            line = columns[row]
            row += 1
            for j in range(ny * nx):
                line[INDEX(j)] = np.inf
            start, stop = max(0, -dx), min(nx, nx - dx)
            for y in range(max(0, -dy), min(ny, ny - dy)):
                target, source = y * nx, (y + dy) * nx + dx
                for x in range(start, stop):
                    value = image[INDEX(source + x)]
                    line[INDEX(target + x)] = value if abs(value) < np.inf else np.inf
    median_columns(columns, np.int64(9), ny * nx, median)
