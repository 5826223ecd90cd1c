"""Pixels that stand out of their own time series, once the star's own changes are taken out.

Frame t is compared with the frames of a window about it. Each of them, less the template (the running median of every pixel
at t), is a change: of the sky, and near a star of its flux and place. Near a planned position the change is what
`tsogrid.kernels.star_change` makes of it, a star as a whole; elsewhere it is a local level. What is left over has a running
median and a scatter of its own; a pixel whose rest lies too far from that median is an outlier, and what template, change
and median give together is what was expected of it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.box import check_positions
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.least_squares import TERMS, median_size, median_value
from tsogrid.kernels.star_change import star_residual, star_terms
from tsogrid.kernels.star_pixels import find_star, gather_star, guess_variances
from tsogrid.kernels.star_profile import ORDERS, WIDTHS
from tsogrid.kernels.statistics import SAMPLE
from tsogrid.kernels.time_columns import SPACING, finite_or_last, median_columns, neighbour_median
from tsogrid.kernels.time_noise import FEWEST, POOL, judge_sky, judge_star, raise_noise, scatter_in_time

REACH = SPACING + 1 + POOL  # pixels beside a pixel that its verdict depends on, away from stars
TURNS = 2  # the second with a template from frames that the first has brought to one place and flux


class TimeOutliers(NamedTuple):
    """What stood out, and what had been expected; shapes (last − first, ny, nx)."""

    expected: NDArray[np.floating]
    outlier: NDArray[np.bool_]


def time_outliers(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: ArrayLike,
    y: ArrayLike,
    first: int,
    last: int,
    window: int,
    threshold: float,
    stamp: int,
    search: int,
) -> TimeOutliers:
    """Find the pixels that stand out of their own time series.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Frames, with those on both sides that the window needs. Bad pixels are not finite.
    error : ndarray, shape (n, ny, nx), or None
        1 sigma, in the unit of the data; None: measured from the scatter in time.
    x, y : array-like, shape (n, n_sources)
        Planned positions of the stars in pixels; none where not finite or outside.
    first, last : int
        Frames first … last − 1 are judged. Numbers are the same however a series is cut if frames first − window // 2 …
        last − 1 + window // 2 are there, as far as the series has them.
    window : int
        Frames in the running median, odd; it ends where the frames end.
    threshold : float
        In standard deviations.
    stamp : int
        Half width in pixels of the box about a star in which it is followed as a whole.
    search : int
        Farthest distance in x or y of a star from its planned position, in pixels; 0: it is there.

    Returns
    -------
    TimeOutliers
        ``expected`` in the data's type, NaN at bad pixels and where fewer than three frames of the window are good.

    Raises
    ------
    ValueError
        Arrays of the wrong shape or type, or a window or range of frames that cannot be.

    Notes
    -----
    The noise of a pixel is the running median of its error, or a straight line (variance against flux) through the MAD of
    the rests in time of all pixels about the star; it is taken larger where a pixel scatters visibly more than that, where
    all pixels do, and where a frame's core does not follow the model. The MAD of n values is corrected by n / (n − 0.8)
    (Croux & Rousseeuw 1992, Computational Statistics 1, 411). See docs/numbers.md.
    """
    columns, rows = check_positions(data, x, y)
    n = data.shape[0]
    if window < FEWEST or window % 2 == 0:
        raise ValueError(f"expected an odd window of at least {FEWEST} frames, found {window}")
    if not 0 <= first <= last <= n:
        raise ValueError(f"expected frames first … last within 0 … {n}, found {first} … {last}")
    if error is not None and (error.shape != data.shape or error.dtype != data.dtype):
        raise ValueError(f"expected errors like the data {data.dtype} {data.shape}, found {error.dtype} {error.shape}")
    known = error is not None
    errors = np.empty((0, 0, 0), data.dtype) if error is None else np.ascontiguousarray(error)
    expected = np.empty((last - first, *data.shape[1:]), data.dtype)
    outlier = np.zeros(expected.shape, np.bool_)
    pixels = np.require(data, requirements=["C", "W"])
    _filter(
        pixels,
        errors,
        known,
        columns,
        rows,
        first,
        window // 2,
        float(threshold),
        int(stamp),
        int(search),
        expected,
        outlier,
    )
    return TimeOutliers(expected, outlier)


@part
def pixel_rests(data, error, known, t, start, frames, ny, nx, columns, template, sigma, rest, near, values, level):  # type: ignore[no-untyped-def]
    """The window's median frame and error, and each of its frames less these and less its own smooth changes."""
    width = ny * nx
    for k in range(frames):
        finite_or_last(data[start + k].reshape(-1), width, columns[k])
    median_columns(columns, frames, width, template)
    if known:
        for k in range(frames):
            finite_or_last(error[start + k].reshape(-1), width, columns[k])
        median_columns(columns, frames, width, sigma)
        raise_noise(sigma, error[t].reshape(-1), ny, nx, near, values, level)
    for k in range(frames):
        frame = data[start + k].reshape(-1)
        for j in range(width):
            values[j] = np.float64(frame[j]) - template[j]
        neighbour_median(values, ny, nx, np.int64(SPACING), near, level)
        for j in range(width):
            rest[k, j] = values[j] - level[j]


@part
def follow_star(  # type: ignore[no-untyped-def]
    data,
    start,
    frames,
    now,
    ground,
    pixels,
    offsets,
    weights,
    n_core,
    n_fit,
    count,
    stamp,
    base,
    change,
    star_rest,
    star_middle,
    star_scatter,
    columns,
    lines,
    line,
    terms,
    weighted,
    factor,
    vectors,
    scratch,
    keys,
):
    """What a star's pixels keep in each frame when it is followed as a whole; returns how far it moved in frame `now`."""
    shift = 0.0
    for turn in range(TURNS):
        star_terms(
            base,
            ground,
            weights,
            n_fit,
            count,
            offsets,
            stamp,
            lines,
            line,
            terms,
            weighted,
            factor,
            vectors,
            scratch,
            keys,
        )
        for k in range(frames):
            frame = data[start + k].reshape(-1)
            for i in range(count):
                change[i] = np.float64(frame[pixels[i]]) - base[i]
            star_residual(
                change, terms, weights, n_core, n_fit, count, weighted, factor, star_rest[k], scratch, vectors, keys
            )
            if k == now:
                shift = np.hypot(vectors[0, 1], vectors[0, 2])
        scatter_in_time(star_rest, frames, count, columns, star_middle, star_scatter)
        if turn < TURNS - 1:
            for i in range(count):
                base[i] += star_middle[i] if abs(star_middle[i]) < np.inf else 0.0
    return shift


@kernel
def _filter(data, error, known, x, y, first, half, threshold, stamp, search, expected, outlier):  # type: ignore[no-untyped-def]
    n, ny, nx = data.shape
    width = ny * nx
    longest = 2 * half + 1
    box = min(width, (2 * stamp + 1) ** 2)
    columns, near = np.empty((max(longest, 1) + 1, width)), np.empty((9, width))
    rest = np.empty((longest, width))
    template, sigma, middle, scatter, pooled, level = (
        np.empty(width),
        np.empty(width),
        np.empty(width),
        np.empty(width),
        np.empty(width),
        np.empty(width),
    )
    values, best, odd = np.empty(width), np.empty(width), np.empty(width, np.bool_)
    pixels, flux, weights, change, base = np.empty(box, np.int64), np.empty(box), np.empty(box), np.empty(box), np.empty(box)
    terms, weighted = np.empty((TERMS, box)), np.empty((box, TERMS))
    factor, vectors = np.empty((TERMS, TERMS)), np.empty((2, TERMS))
    star_rest, scratch = np.empty((longest, box)), np.empty((4, box))
    offsets = np.empty((2, box), np.int64)
    lines, line = np.empty((2, WIDTHS, ORDERS, 2 * stamp + 1)), np.empty((5, 2 * stamp + 2))
    star_middle, star_scatter = np.empty(box), np.empty(box)
    keys = np.empty(box + SAMPLE, np.int64)
    rows, stars = np.empty(x.shape[1], np.int64), np.empty(x.shape[1], np.int64)
    for t in range(first, first + expected.shape[0]):
        start, stop = max(0, t - half), min(n, t + half + 1)
        frames, now = stop - start, t - start
        pixel_rests(data, error, known, t, start, frames, ny, nx, columns, template, sigma, rest, near, values, level)
        frame = data[t].reshape(-1)
        for j in range(width):
            values[j] = frame[j]
        scatter_in_time(rest, frames, width, columns, middle, scatter)
        judge_sky(
            template, sigma, known, rest, now, middle, scatter, pooled, level, ny, nx, threshold, near, values, best, odd
        )
        for star in range(x.shape[1]):
            rows[star], stars[star] = find_star(template, ny, nx, x[t, star], y[t, star], search)
        for star in range(x.shape[1]):
            if rows[star] < 0:
                continue
            y0, y1 = max(0, rows[star] - stamp), min(ny, rows[star] + stamp + 1)
            x0, x1 = max(0, stars[star] - stamp), min(nx, stars[star] + stamp + 1)
            count = 0
            for row in range(y0, y1):
                for column in range(x0, x1):
                    scratch[0, count] = template[row * nx + column]
                    scratch[1, count] = scatter[row * nx + column]
                    count += 1
            ground = median_value(scratch[0], count, keys)
            faint, _ = median_size(scratch[1], np.int64(0), count, scratch[2], keys)
            n_core, n_fit, count = gather_star(
                template, sigma, known, star, rows, stars, ny, nx, stamp, ground, pixels, offsets, flux, weights
            )
            if n_core == 0 or n_fit < 3 * TERMS:
                continue
            if not known:
                peak = 0.0
                for i in range(n_core):
                    peak = max(peak, flux[i])
                guess_variances(template, pixels, ground, n_fit, faint, peak, weights)
            for i in range(n_fit):
                weights[i] = 1.0 / weights[i]
            for i in range(count):
                base[i] = template[pixels[i]]
            shift = follow_star(
                data,
                start,
                frames,
                now,
                ground,
                pixels,
                offsets,
                weights,
                n_core,
                n_fit,
                count,
                stamp,
                base,
                change,
                star_rest,
                star_middle,
                star_scatter,
                columns,
                lines,
                line,
                terms,
                weighted,
                factor,
                vectors,
                scratch,
                keys,
            )
            judge_star(
                sigma,
                known,
                pixels,
                flux,
                terms,
                n_core,
                n_fit,
                count,
                shift,
                star_rest,
                now,
                star_middle,
                star_scatter,
                threshold,
                values,
                scratch,
                keys,
                best,
                odd,
            )
        for j in range(width):
            expected[t - first, j // nx, j % nx] = best[j]
            outlier[t - first, j // nx, j % nx] = odd[j]
