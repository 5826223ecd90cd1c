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
from tsogrid.kernels.star_change import BRIGHT, LEAST, UNEVEN, star_residual, star_terms
from tsogrid.kernels.star_profile import ORDERS, WIDTHS
from tsogrid.kernels.statistics import MAD_TO_SIGMA, SAMPLE
from tsogrid.kernels.time_columns import SPACING, finite_or_last, median_columns, neighbour_median

FEWEST = 3  # frames that make a running median
REACH = SPACING + 1  # pixels beside a pixel that its verdict depends on, away from stars
CHANCE = 1.75  # a scatter that is larger than expected by less than this may be chance
MISFIT = 1.5  # likewise for the rest of a whole core in one frame
FLOOR = 0.001  # of the flux about a pixel of the core: no rest smaller than that counts as noise
ROUNDING = 1e-6  # of the template: how far pixels are exact


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
    the rests in time of all pixels about the star; it is taken larger where a pixel scatters visibly more than that, where all
    pixels do, and where a frame's core does not follow the model. The MAD of n values is corrected by n / (n − 0.8)
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
        pixels, errors, known, columns, rows, first, window // 2, float(threshold), int(stamp), int(search), expected, outlier
    )
    return TimeOutliers(expected, outlier)


@part
def find_star(template, ny, nx, x, y, search):  # type: ignore[no-untyped-def]
    """Row and column of a star: the brightest 3 × 3 pixels about a planned position, nearer ones preferred; −1 if none."""
    if not (x >= -0.5 and x <= nx - 0.5 and y >= -0.5 and y <= ny - 0.5):
        return -1, -1
    row, column = min(int(np.ceil(y - 0.5)), ny - 1), min(int(np.ceil(x - 0.5)), nx - 1)
    row, column = max(row, 0), max(column, 0)
    if search == 0:
        return row, column
    best, best_row, best_column = 0.0, row, column
    lowest = np.inf
    for i in range(max(0, row - search), min(ny, row + search + 1)):
        for j in range(max(0, column - search), min(nx, column + search + 1)):
            value = template[i * nx + j]
            lowest = value if value < lowest else lowest
    for i in range(max(0, row - search), min(ny, row + search + 1)):
        for j in range(max(0, column - search), min(nx, column + search + 1)):
            total, count = 0.0, 0
            for k in range(max(0, i - 1), min(ny, i + 2)):
                for m in range(max(0, j - 1), min(nx, j + 2)):
                    value = template[k * nx + m]
                    if abs(value) < np.inf:
                        total += value - lowest
                        count += 1
            distance = max(abs(i - row), abs(j - column)) / (search + 1.0)
            score = total / max(count, 1) * np.cos(0.5 * np.pi * distance) ** 2
            if count >= 4 and score > best:
                best, best_row, best_column = score, i, j
    return best_row, best_column


@part
def gather_star(template, sigma, known, star, rows, columns, ny, nx, stamp, level, pixels, offsets, flux, weights):  # type: ignore[no-untyped-def]
    """List the pixels that belong to a star: its core first, then others of the fit, then the rest; give the three counts.

    ``pixels`` takes the indices, ``offsets`` the places in the stamp, ``flux`` the largest distance from ``level`` in 3 × 3
    pixels, ``weights`` the variances of the fit so far. A pixel belongs to the nearest star.
    """
    row, column = rows[star], columns[star]
    peak = 0.0
    for y in range(max(0, row - 1), min(ny, row + 2)):
        for x in range(max(0, column - 1), min(nx, column + 2)):
            size = abs(template[y * nx + x] - level)
            peak = size if size > peak and size < np.inf else peak
    n_core, n_fit, count = 0, 0, 0
    for kind in range(3):
        for y in range(max(0, row - stamp), min(ny, row + stamp + 1)):
            for x in range(max(0, column - stamp), min(nx, column + stamp + 1)):
                j = y * nx + x
                own = abs(template[j]) < np.inf
                distance = (y - row) ** 2 + (x - column) ** 2
                for other in range(rows.size):
                    if other != star and rows[other] >= 0:
                        farther = (y - rows[other]) ** 2 + (x - columns[other]) ** 2
                        own = own and (farther > distance or (farther == distance and other > star))
                if not own:
                    continue
                around = 0.0
                for k in range(max(0, y - 1), min(ny, y + 2)):
                    for m in range(max(0, x - 1), min(nx, x + 2)):
                        size = abs(template[k * nx + m] - level)
                        around = size if size > around and size < np.inf else around
                usable = not known or sigma[j] > 0.0
                bright = around >= BRIGHT * peak and abs(y - row) + abs(x - column) <= stamp
                if kind != (2 if not usable else (0 if bright else 1)):
                    continue
                pixels[count] = j
                flux[count] = around
                offsets[0, count] = x - column + stamp
                offsets[1, count] = y - row + stamp
                count += 1
        if kind == 0:
            n_core = count
        elif kind == 1:
            n_fit = count
    for i in range(n_fit):
        variance = (UNEVEN * flux[i]) ** 2 + (LEAST * peak) ** 2
        if known:
            variance += sigma[pixels[i]] ** 2
        weights[i] = variance
    return n_core, n_fit, count


@part
def guess_variances(template, pixels, level, n_fit, scatter, peak, weights):  # type: ignore[no-untyped-def]
    """Add variances where no error is known: the scatter of the sky, and photons as of a star with S/N 100."""
    for i in range(n_fit):
        weights[i] += scatter**2 + 1e-4 * peak * max(template[pixels[i]] - level, 0.0)


@part
def scatter_in_time(rest, n, width, columns, middle, scatter):  # type: ignore[no-untyped-def]
    """Running median of the rests of every pixel and 1.4826 MAD about it; NaN with fewer than three good frames."""
    for k in range(n):
        finite_or_last(rest[k], width, columns[k])
    median_columns(columns, n, width, middle)
    for j in range(width):
        scatter[j] = 0.0
    for k in range(n):
        line = columns[k]
        for j in range(width):
            size = abs(rest[k, j] - middle[j])
            good = size < np.inf
            line[j] = size if good else np.inf
            scatter[j] += 1.0 if good else 0.0
    for j in range(width):  # the counts, until the medians take their place
        if scatter[j] < FEWEST:
            middle[j] = np.nan
        scatter[j] = MAD_TO_SIGMA * scatter[j] / max(scatter[j] - 0.8, 0.2)
    sort_and_scale(columns, n, width, scatter)


@part
def sort_and_scale(columns, n, width, scatter):  # type: ignore[no-untyped-def]
    """Multiply every pixel's factor by the median of its column."""
    sizes = columns[n]
    median_columns(columns, n, width, sizes)
    for j in range(width):
        scatter[j] *= sizes[j]


@part
def excess(scatter, sigma):  # type: ignore[no-untyped-def]
    """Variance of a pixel that scatters more than its noise explains, beyond what may be chance."""
    beyond = scatter * scatter - (CHANCE * sigma) ** 2
    return beyond if beyond > 0.0 else 0.0


@part
def judge_sky(template, sigma, known, rest, now, middle, scatter, pooled, ny, nx, threshold, near, values, expected, outlier):  # type: ignore[no-untyped-def]
    """Judge every pixel of a frame by its level against its neighbours."""
    neighbour_median(scatter, ny, nx, np.int64(1), near, pooled)
    for j in range(ny * nx):
        noise = pooled[j]
        if known and sigma[j] > noise:
            noise = sigma[j]
        variance = noise * noise + excess(scatter[j], noise) + (ROUNDING * template[j]) ** 2
        away = rest[now, j] - middle[j]
        outlier[j] = away * away > threshold * threshold * variance
        expected[j] = values[j] - away


@part
def judge_star(sigma, known, pixels, flux, terms, n_core, n_fit, count, rest, now, middle, scatter, threshold, values, scratch, keys, expected, outlier):  # type: ignore[no-untyped-def]
    """Judge the pixels of a star by what its model leaves."""
    noise, ratio = scratch[0], scratch[1]
    if known:
        for i in range(count):
            s = sigma[pixels[i]]
            noise[i] = s if s > 0.0 else scatter[i]
            ratio[i] = scatter[i] / noise[i]
        larger, _ = median_size(ratio, np.int64(0), count, scratch[2], keys)
        larger = larger if larger > 1.0 else 1.0
        for i in range(count):
            noise[i] *= larger
    else:
        sky, good = median_size(scatter, n_core, n_fit, scratch[2], keys)
        if good == 0:
            sky = 0.0
        for i in range(n_core):
            slope = (scatter[i] * scatter[i] - sky * sky) / terms[0, i]
            ratio[i] = (slope if slope > 0.0 else 0.0) if terms[0, i] > 0.0 else np.nan
        slope, good = median_size(ratio, np.int64(0), n_core, scratch[2], keys)
        if good == 0:
            slope = 0.0
        for i in range(count):
            noise[i] = np.sqrt(sky * sky + slope * max(terms[0, i], 0.0))
    for i in range(count):
        noise[i] = np.sqrt(noise[i] * noise[i] + (FLOOR * flux[i]) ** 2 + (ROUNDING * values[pixels[i]]) ** 2)
    # A frame whose core does not follow the model (a large shift, another width) is judged by how far it does not.
    for i in range(n_core):
        ratio[i] = (rest[now, i] - middle[i]) / flux[i]
    missed, _ = median_size(ratio, np.int64(0), n_core, scratch[2], keys)
    for i in range(n_core):
        ratio[i] = noise[i] / flux[i]
    usual, _ = median_size(ratio, np.int64(0), n_core, scratch[2], keys)
    misfit = (MAD_TO_SIGMA * missed) ** 2 - (MISFIT * usual) ** 2
    misfit = misfit if misfit > 0.0 else 0.0
    for i in range(count):
        variance = noise[i] * noise[i] + excess(scatter[i], noise[i]) + misfit * flux[i] ** 2
        away = rest[now, i] - middle[i]
        outlier[pixels[i]] = away * away > threshold * threshold * variance
        expected[pixels[i]] = values[pixels[i]] - away


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
    pixels, flux, weights, change = np.empty(box, np.int64), np.empty(box), np.empty(box), np.empty(box)
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
        for k in range(frames):
            finite_or_last(data[start + k].reshape(-1), width, columns[k])
        median_columns(columns, frames, width, template)
        if known:
            for k in range(frames):
                finite_or_last(error[start + k].reshape(-1), width, columns[k])
            median_columns(columns, frames, width, sigma)
        for k in range(frames):
            frame = data[start + k].reshape(-1)
            for j in range(width):
                values[j] = np.float64(frame[j]) - template[j]
            neighbour_median(values, ny, nx, np.int64(SPACING), near, level)
            for j in range(width):
                rest[k, j] = values[j] - level[j]
        frame = data[t].reshape(-1)
        for j in range(width):
            values[j] = frame[j]
        scatter_in_time(rest, frames, width, columns, middle, scatter)
        judge_sky(
            template, sigma, known, rest, now, middle, scatter, pooled, ny, nx, threshold, near, values, best, odd
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
            star_terms(
                template,
                pixels,
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
                    change[i] = np.float64(frame[pixels[i]]) - template[pixels[i]]
                star_residual(
                    change, terms, weights, n_core, n_fit, count, weighted, factor, star_rest[k], scratch, vectors, keys
                )
            scatter_in_time(star_rest, frames, count, columns, star_middle, star_scatter)
            judge_star(
                sigma,
                known,
                pixels,
                flux,
                terms,
                n_core,
                n_fit,
                count,
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
