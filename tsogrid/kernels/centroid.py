"""Where a source is, without a model of its shape: centre of mass, and the peak of a cross-correlation.

Both look only at a box of whole pixels around a guess. The centre of mass is the first moment of the light above a
level. The cross-correlation multiplies a zero-mean image of the star with the frame at every whole-pixel offset of a
search box, as few long passes over one flat window: a template that is a sum of few (column × row) products, as every
Gaussian is, costs two one-dimensional passes for each product, any other template one pass per template pixel.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.box import box_start, check_positions, odd_width, on_grid
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.correlation import (
    fill_scores,
    fill_tables,
    fill_window,
    largest_score,
    level_out,
    refined_offset,
    star_meant,
)
from tsogrid.kernels.lane_median import lane_medians
from tsogrid.kernels.statistics import INDEX, INTEGERS, SAMPLE
from tsogrid.kernels.vectors import LANES, WIDTH, write, zeros

# Products below this fraction of the template's largest one are rounding noise.
_RANK_TOLERANCE = 1e-12


class Center(NamedTuple):
    """Positions in pixels of the frames, 0-based; each (n, ns), NaN where there is none."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


def center_of_mass(data: NDArray[np.floating], x: ArrayLike, y: ArrayLike, box: int, level: ArrayLike = 0.0) -> Center:
    r"""Centre of the light above a level in a box around a guess.

    .. math:: x_c = \sum x_i (I_i - L) / \sum (I_i - L)

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Frames, float32 or float64; a non-finite pixel is bad and left out.
    x, y : array_like, shape (n, ns)
        Guesses in pixels, 0-based; NaN gives NaN.
    box : int
        Full width of the box in pixels (an even width is rounded down), centred on the pixel nearest the guess and
        clipped to the frame.
    level : array_like, broadcastable to (n, ns)
        Sky per pixel that is taken off first, in the unit of data.

    Returns
    -------
    Center
        NaN where no pixel is good, the light is not positive, or the centre falls outside the clipped box.

    Raises
    ------
    ValueError
        If shapes, types or the width of the box do not fit.
    """
    columns, rows = check_positions(data, x, y)
    levels = np.ascontiguousarray(np.broadcast_to(np.asarray(level, dtype=np.float64), columns.shape))
    result = Center(np.empty(columns.shape), np.empty(columns.shape))
    _center_of_mass(data, columns, rows, odd_width(box), levels, result.x, result.y)
    return result


def box_edge_level(data: NDArray[np.floating], x: ArrayLike, y: ArrayLike, box: int) -> NDArray[np.float64]:
    """Median of the good pixels on the edge, one pixel wide, of a box around a guess.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Frames, float32 or float64.
    x, y : array_like, shape (n, ns)
        Positions in pixels, 0-based.
    box : int
        Full width in pixels, placed as in `center_of_mass`. Parts of the edge outside the frame are left out.

    Returns
    -------
    ndarray, shape (n, ns)
        Level per pixel in the unit of data; NaN where no pixel of the edge is good.

    Raises
    ------
    ValueError
        If shapes, types or the width of the box do not fit.
    """
    columns, rows = check_positions(data, x, y)
    result = np.empty(columns.shape)
    width = odd_width(box)
    _box_edge_level(data, columns, rows, width, np.empty((4 * width, LANES)), result)
    return result


def gaussian_template(sigma: float, size: int | None = None) -> NDArray[np.float64]:
    """Round Gaussian star integrated over pixels, centred on the middle pixel, of sum 1.

    Parameters
    ----------
    sigma : float
        Width (1 σ) in pixels.
    size : int, optional
        Full width of the image in pixels, odd (even is rounded down); 3 σ to each side if not given.

    Returns
    -------
    ndarray, shape (size, size)

    Raises
    ------
    ValueError
        If sigma is not positive.
    """
    if not sigma > 0:
        raise ValueError(f"a Gaussian needs a positive width, found sigma={sigma}")
    width = odd_width(2 * math.ceil(3 * sigma) + 1 if size is None else size)
    edges = (np.arange(width + 1) - width / 2) / (sigma * math.sqrt(2))
    profile = np.diff([math.erf(edge) for edge in edges])
    profile /= profile.sum()
    return np.outer(profile, profile)


def cross_correlation(
    data: NDArray[np.floating], x: ArrayLike, y: ArrayLike, search_box: int, psf: NDArray[np.floating]
) -> Center:
    """Position at which a template fits best, searched at every pixel of a box around a guess.

    The score of a pixel is the sum of frame × template over the template centred there, the template's mean taken off so
    that a constant level does not count; template pixels outside the frame are left out, and the rest scaled to the
    same norm. The largest score wins, unless a star nearer to the guess stands out of the noise with at least a fifth of
    it: these compete by score × cos²(π/2 · distance / half the box), so that a brighter neighbour at the border of the
    box does not take the place of the star that was pointed at. The winner is refined by the maximum of the quadratic
    surface through it and its eight neighbours; a peak on the border of the box stays on its pixel.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Frames, float32 or float64. A bad (non-finite) pixel counts as the mean of its good neighbours in 3×3 pixels, else
        in 5×5, else as the median of the search box.
    x, y : array_like, shape (n, ns)
        Guesses in pixels, 0-based; NaN gives NaN.
    search_box : int
        Full width in pixels, placed as in `center_of_mass` and clipped to the frame.
    psf : ndarray, shape (k, k)
        Image of a star with its centre on the middle pixel; k odd.

    Returns
    -------
    Center
        NaN where fewer than half of the pixels of the clipped box are good or no score is positive.

    Raises
    ------
    ValueError
        If the template is not a finite square of odd width, or the other arguments do not fit.
    """
    columns, rows = check_positions(data, x, y)
    template = np.ascontiguousarray(psf, dtype=np.float64)
    if template.ndim != 2 or template.shape[0] != template.shape[1] or template.shape[0] % 2 == 0:
        raise ValueError(f"the template must be a square of odd width, found shape {template.shape}")
    if not np.isfinite(template).all():
        raise ValueError("the template must be finite everywhere")
    width, size = odd_width(search_box), template.shape[0]
    vertical, horizontal = _products(template.tobytes(), size)
    # Cost in multiplications per row of the window: two one-dimensional passes a product, or all template pixels.
    separable = len(vertical) * (2 * width + size) < size * width
    result = Center(np.empty(columns.shape), np.empty(columns.shape))
    side = width + size - 1
    pitch = -(-side // WIDTH) * WIDTH
    keys = np.empty(width * width + SAMPLE, INTEGERS[data.dtype])
    tables = np.zeros((2, size + 1, size + 1))
    ones = np.ones(size)
    # Sums are made eight at a time, and shifted: the last go beyond the end.
    lines = side + 2
    window, middle, bare, sums, score = (zeros(pitch * lines) for _ in range(5))
    _cross_correlation(
        data,
        columns,
        rows,
        width,
        pitch,
        template,
        vertical,
        horizontal,
        separable,
        ones,
        keys,
        tables,
        (window, middle, bare),
        (sums, score),
        *result,
    )
    return result


@lru_cache(maxsize=4)
def _products(template: bytes, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows whose outer products sum to the template, each (terms, size); a run has one template."""
    left, strength, right = np.linalg.svd(np.frombuffer(template).reshape(size, size))
    kept = max(1, int(np.count_nonzero(strength > _RANK_TOLERANCE * strength[0])))
    vertical = (left[:, :kept] * strength[:kept]).T
    return np.ascontiguousarray(vertical), np.ascontiguousarray(right[:kept])


@kernel
def _center_of_mass(data, x, y, width, level, x_out, y_out):  # type: ignore[no-untyped-def]
    ny, nx = data.shape[1], data.shape[2]
    for frame in range(x.shape[0]):
        for source in range(x.shape[1]):
            x_out[frame, source] = np.nan
            y_out[frame, source] = np.nan
            if math.isnan(x[frame, source]) or math.isnan(y[frame, source]):
                continue
            left = box_start(x[frame, source], width)
            low = box_start(y[frame, source], width)
            first_i, last_i = max(0, -left), min(width, nx - left)
            first_j, last_j = max(0, -low), min(width, ny - low)
            total, moment_x, moment_y = 0.0, 0.0, 0.0
            for j in range(first_j, last_j):
                for i in range(first_i, last_i):
                    value = np.float64(data[frame, low + j, left + i]) - level[frame, source]
                    if math.isfinite(value):
                        total += value
                        moment_x += i * value
                        moment_y += j * value
            if not total > 0:
                continue
            u, v = moment_x / total, moment_y / total
            if first_i - 0.5 <= u <= last_i - 0.5 and first_j - 0.5 <= v <= last_j - 0.5:
                x_out[frame, source] = left + on_grid(u)
                y_out[frame, source] = low + on_grid(v)


@part
def _copy_edge(data, frame, x, y, width, edge, lane):  # type: ignore[no-untyped-def]
    """Copy the pixels on the edge of one box into a lane, NaN outside the frame; return how many there are."""
    ny, nx = data.shape[1], data.shape[2]
    known = not (math.isnan(x) or math.isnan(y))
    left, low = box_start(x, width), box_start(y, width)
    count = np.int64(0)
    for j in range(width):
        step = 1 if j == 0 or j == width - 1 else width - 1
        inside = known and 0 <= low + j < ny
        for i in range(0, width, step):
            value = np.nan
            if inside and 0 <= left + i < nx:
                value = np.float64(data[frame, INDEX(low + j), INDEX(left + i)])
            edge[count, lane] = value
            count += 1
    return count


@kernel
def _box_edge_level(data, x, y, width, edge, level):  # type: ignore[no-untyped-def]
    medians = np.empty((1, LANES))
    for first in range(0, x.size, LANES):
        count = np.int64(0)
        for lane in range(LANES):
            index = min(first + lane, x.size - 1)  # the last one's also in lanes that are left over
            frame, source = index // x.shape[1], index % x.shape[1]
            count = _copy_edge(data, frame, x[frame, source], y[frame, source], width, edge, lane)
        write(medians, 0, lane_medians(edge, count))
        for lane in range(min(LANES, x.size - first)):
            level[(first + lane) // x.shape[1], (first + lane) % x.shape[1]] = medians[0, lane]


@kernel
def _cross_correlation(  # type: ignore[no-untyped-def]
    data, x, y, width, pitch, template, vertical, horizontal, separable, ones, keys, tables, windows, scores, x_out, y_out
):
    ny, nx = data.shape[1], data.shape[2]
    size = template.shape[0]
    half = size // 2
    window, middle, bare = windows
    sums, score = scores
    fill_tables(template, tables)
    whole = tables[0, size, size] / (size * size)
    norm = tables[1, size, size] - whole * tables[0, size, size]
    for frame in range(x.shape[0]):
        for source in range(x.shape[1]):
            x_out[frame, source] = np.nan
            y_out[frame, source] = np.nan
            if math.isnan(x[frame, source]) or math.isnan(y[frame, source]):
                continue
            left = box_start(x[frame, source], width)
            low = box_start(y[frame, source], width)
            if not fill_window(data, frame, left, low, width, half, pitch, window, keys):
                continue
            fill_scores(window, width, pitch, template, vertical, horizontal, separable, ones, middle, bare, sums, score)
            first_i, last_i = max(0, -left), min(width, nx - left)
            first_j, last_j = max(0, -low), min(width, ny - low)
            level_out(score, sums, tables, whole, norm, size, left, low, (ny, nx), width, pitch)
            best_i, best_j = largest_score(score, first_i, last_i, first_j, last_j, pitch)
            if best_i < 0:
                continue
            best_i, best_j = star_meant(score, best_i, best_j, first_i, last_i, first_j, last_j, width, pitch, keys)
            du, dv = 0.0, 0.0
            if first_i < best_i < last_i - 1 and first_j < best_j < last_j - 1:
                du, dv = refined_offset(score, best_j * pitch + best_i, pitch)
            x_out[frame, source] = left + on_grid(best_i + du)
            y_out[frame, source] = low + on_grid(best_j + dv)
