"""Scores of a cross-correlation at every pixel of a search box, and what to do about bad pixels and edges.

The search box and a margin of half a template are copied into one flat window, so that a shift of the template is a
shift of the flat index. Rows of the window begin at a line of the cache (its *pitch*), and all work goes over eight pixels
of a row at a time: what lies beyond the box in the last eight is never looked at.
"""

import math

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import INDEX, MAD_TO_SIGMA, key_of, median
from tsogrid.kernels.vectors import WIDTH, any_of, fill, load, store

RIVAL = 0.2  # part of the largest score that a nearer star must have to compete
STANDS_OUT = 5.0  # and how far it must stand out of the scatter of all scores, in standard deviations


@part
def _neighbour_mean(data, frame, row, column, reach):  # type: ignore[no-untyped-def]
    """Mean of the good pixels within reach of a pixel in x and y; NaN without any."""
    total, count = 0.0, 0
    for j in range(max(0, row - reach), min(data.shape[1], row + reach + 1)):
        for i in range(max(0, column - reach), min(data.shape[2], column + reach + 1)):
            if math.isfinite(data[frame, j, i]):
                total += data[frame, j, i]
                count += 1
    return total / count if count > 0 else np.nan


@part
def _box_median(data, frame, left, low, width, keys):  # type: ignore[no-untyped-def]
    count = np.int64(0)
    for j in range(max(0, low), min(data.shape[1], low + width)):
        for i in range(max(0, left), min(data.shape[2], left + width)):
            if math.isfinite(data[frame, j, i]):
                keys[count] = key_of(np.float64(data[frame, j, i]), keys)
                count += 1
    return median(keys, count, count)


@part
def fill_window(data, frame, left, low, width, half, pitch, window, keys):  # type: ignore[no-untyped-def]
    """Copy box and margin into the flat window, bad pixels filled; return whether half of the box is good."""
    ny, nx = data.shape[1], data.shape[2]
    side = width + 2 * half
    first_j, last_j = max(0, half - low), min(side, ny - low + half)
    first_i, last_i = max(0, half - left), min(side, nx - left + half)
    if first_j > 0 or last_j < side or first_i > 0 or last_i < side:
        window[:] = 0.0
    bad = np.int64(0)
    for j in range(first_j, last_j):
        row = low + j - half
        for i in range(first_i, last_i):
            value = np.float64(data[INDEX(frame), INDEX(row), INDEX(left + i - half)])
            window[INDEX(j * pitch + i)] = value
            bad += 0 if value - value == 0.0 else 1
    inside = max(min(last_j, half + width) - max(first_j, half), 0) * max(min(last_i, half + width) - max(first_i, half), 0)
    good = inside
    if bad > 0:
        good -= _fill_bad(data, frame, left, low, width, half, pitch, window, keys)
    return good > 0 and 2 * good >= inside


@part
def _fill_bad(data, frame, left, low, width, half, pitch, window, keys):  # type: ignore[no-untyped-def]
    """Put what neighbours tell in place of bad pixels of the window; return how many were in the box."""
    ny, nx = data.shape[1], data.shape[2]
    side = width + 2 * half
    bad = 0
    fallback = np.nan
    for j in range(max(0, half - low), min(side, ny - low + half)):
        for i in range(max(0, half - left), min(side, nx - left + half)):
            if math.isfinite(window[j * pitch + i]):
                continue
            bad += half <= j < half + width and half <= i < half + width
            value = np.float64(_neighbour_mean(data, frame, low + j - half, left + i - half, np.int64(1)))
            if math.isnan(value):
                value = np.float64(_neighbour_mean(data, frame, low + j - half, left + i - half, np.int64(2)))
            if math.isnan(value):
                if math.isnan(fallback):
                    fallback = _box_median(data, frame, left, low, width, keys)
                value = np.float64(fallback)
            window[j * pitch + i] = value
    return bad


@part
def _sum_across(score, sums, source, factors, rows, columns, pitch):  # type: ignore[no-untyped-def]
    """Write the sum over t of factors[t] · source[m + t] to score[m], that of source[m + t] alone to sums[m]."""
    for row in range(rows):
        for column in range(0, columns, WIDTH):
            first = INDEX(row * pitch + column)
            weighted, bare = fill(0.0), fill(0.0)
            for t in range(factors.size):
                here = load(source, first + INDEX(t))
                weighted += factors[INDEX(t)] * here
                bare += here
            store(score, first, weighted)
            store(sums, first, bare)


@part
def _sum_down(score, sums, source, plain, factors, rows, columns, pitch):  # type: ignore[no-untyped-def]
    """Write the sum of factors[t] · source[m + t · pitch] to score[m], that of plain alone to sums[m], two rows at a time.

    The second of the last two rows may lie beyond the others.
    """
    step = INDEX(pitch)
    for row in range(0, rows, 2):
        for column in range(0, columns, WIDTH):
            first = INDEX(row * pitch + column)
            at = first
            weighted, bare, next_weighted, next_bare = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
            here, here_plain = load(source, at), load(plain, at)
            for t in range(factors.size):
                at += step
                below, below_plain = load(source, at), load(plain, at)
                factor = factors[INDEX(t)]
                weighted += factor * here
                bare += here_plain
                next_weighted += factor * below
                next_bare += below_plain
                here, here_plain = below, below_plain
            store(score, first, weighted)
            store(sums, first, bare)
            store(score, first + step, next_weighted)
            store(sums, first + step, next_bare)


@part
def _accumulate(target, source, start, factors, step, length):  # type: ignore[no-untyped-def]
    """Add to target[m] the sum over t of factors[t] · source[start + m + t·step], four terms a pass."""
    # Unsigned indices cannot be negative: without the check for that, the loops become whole vectors.
    t = 0
    while t < factors.size:
        first = np.uint64(start + t * step)
        if t + 4 <= factors.size:
            second, third, fourth = first + np.uint64(step), first + np.uint64(2 * step), first + np.uint64(3 * step)
            a, b, c, d = factors[t], factors[t + 1], factors[t + 2], factors[t + 3]
            for k in range(length):
                m = np.uint64(k)
                target[m] += (a * source[first + m] + b * source[second + m]) + (
                    c * source[third + m] + d * source[fourth + m]
                )
            t += 4
        else:
            a = factors[t]
            for k in range(length):
                m = np.uint64(k)
                target[m] += a * source[first + m]
            t += 1


@part
def fill_scores(  # type: ignore[no-untyped-def]
    window, width, pitch, template, vertical, horizontal, separable, ones, middle, bare, sums, score
):
    """Fill score and sums (flat, rows of the window's pitch): frame × template, and the frame alone, over the template."""
    size = template.shape[0]
    side = width + size - 1
    all_rows, box_rows = (side - 1) * pitch + width, (width - 1) * pitch + width
    zero, one = np.int64(0), np.int64(1)
    if separable:
        _sum_across(middle, bare, window, horizontal[0], side, width, pitch)
        _sum_down(score, sums, middle, bare, vertical[0], width, width, pitch)
        for term in range(1, vertical.shape[0]):
            middle[:] = 0.0
            _accumulate(middle, window, zero, horizontal[term], one, all_rows)
            _accumulate(score, middle, zero, vertical[term], pitch, box_rows)
        return
    score[:] = 0.0
    bare[:] = 0.0
    sums[:] = 0.0
    for row in range(size):
        _accumulate(score, window, row * pitch, template[row], one, box_rows)
    _accumulate(bare, window, zero, ones, one, all_rows)
    _accumulate(sums, bare, zero, ones, pitch, box_rows)


@part
def refined_offset(score, index, pitch):  # type: ignore[no-untyped-def]
    """Offset from a pixel to the maximum of the quadratic surface fitted to its 3×3 scores."""
    gx, gy, gxx, gyy, gxy = 0.0, 0.0, 0.0, 0.0, 0.0
    for dj in range(-1, 2):
        for di in range(-1, 2):
            value = score[index + dj * pitch + di]
            gx += di * value / 6
            gy += dj * value / 6
            gxx += (di * di - 2 / 3) * value
            gyy += (dj * dj - 2 / 3) * value
            gxy += di * dj * value / 4
    determinant = gxx * gyy - gxy * gxy
    if not (gxx < 0 and gyy < 0 and determinant > 0):
        return 0.0, 0.0
    dx = (gxy * gy - gyy * gx) / determinant
    dy = (gxy * gx - gxx * gy) / determinant
    return (dx, dy) if abs(dx) <= 1 and abs(dy) <= 1 else (0.0, 0.0)


@part
def fill_tables(template, tables):  # type: ignore[no-untyped-def]
    """Sums of the template, and of its square, over all pixels below and left of each pixel corner; 0 before."""
    size = template.shape[0]
    for j in range(size):
        for i in range(size):
            for k in range(2):
                value = template[j, i] if k == 0 else template[j, i] * template[j, i]
                tables[k, j + 1, i + 1] = tables[k, j, i + 1] + tables[k, j + 1, i] - tables[k, j, i] + value


@part
def rectangle_sum(table, below, above, before, after):  # type: ignore[no-untyped-def]
    """Sum over the rows below … above and the columns before … after (ends excluded) from a table of sums."""
    return table[above, after] - table[below, after] - table[above, before] + table[below, before]


@part
def _is_peak(score, i, j, first_i, last_i, first_j, last_j, pitch):  # type: ignore[no-untyped-def]
    """Whether no score beside a pixel is larger."""
    for dj in range(max(first_j, j - 1), min(last_j, j + 2)):
        for di in range(max(first_i, i - 1), min(last_i, i + 2)):
            if score[dj * pitch + di] > score[j * pitch + i]:
                return False
    return True


@part
def star_meant(score, best_i, best_j, first_i, last_i, first_j, last_j, width, pitch, keys):  # type: ignore[no-untyped-def]
    """Column and row of the star that the guess means: of the peaks that stand out, the highest after a taper."""
    least = RIVAL * score[best_j * pitch + best_i]
    rivals = np.int64(0)
    for j in range(first_j, last_j):
        for start in range(0, last_i, WIDTH):
            if any_of(load(score, INDEX(j * pitch + start)) >= least):
                for i in range(max(start, first_i), min(start + WIDTH, last_i)):
                    if score[j * pitch + i] >= least and _is_peak(score, i, j, first_i, last_i, first_j, last_j, pitch):
                        rivals += 1
    if rivals < 2:
        return best_i, best_j
    count = np.int64(0)
    for j in range(first_j, last_j):
        for i in range(first_i, last_i):
            if math.isfinite(score[j * pitch + i]):
                keys[count] = key_of(abs(score[j * pitch + i]), keys)
                count += 1
    least = max(least, STANDS_OUT * MAD_TO_SIGMA * median(keys, count, count))
    middle, reach = width // 2, width / 2 + 1
    most = -1.0
    for j in range(first_j, last_j):
        for i in range(first_i, last_i):
            value = score[j * pitch + i]
            if value >= least and _is_peak(score, i, j, first_i, last_i, first_j, last_j, pitch):
                taper = math.cos(math.pi / 2 * max(abs(i - middle), abs(j - middle)) / reach)
                if value * taper * taper > most:
                    most, best_i, best_j = value * taper * taper, i, j
    return best_i, best_j


@part
def level_out(score, sums, tables, whole, norm, size, left, low, shape, width, pitch):  # type: ignore[no-untyped-def]
    """Take the template's mean off the scores, and scale those of templates that reach over the frame's edge."""
    ny, nx = shape
    half = size // 2
    first_i, last_i = max(0, -left), min(width, nx - left)
    # Columns at which the whole template is on the frame.
    start = min(max(first_i, half - left), last_i)
    stop = max(start, min(last_i, nx - left - half))
    for j in range(max(0, -low), min(width, ny - low)):
        below, above = max(0, half - low - j), min(size, ny - low - j + half)
        inside = above - below == size
        row = j * pitch
        if inside:
            for i in range(start, stop):
                m = np.uint64(row + i)
                score[m] -= whole * sums[m]
        for side in range(2):
            begin, end = first_i, last_i
            if inside:
                begin, end = (first_i, start) if side == 0 else (stop, last_i)
            elif side == 1:
                break
            for i in range(begin, end):
                before, after = max(0, half - left - i), min(size, nx - left - i + half)
                m = row + i
                total = rectangle_sum(tables[0], below, above, before, after)
                square = rectangle_sum(tables[1], below, above, before, after)
                mean = total / ((above - below) * (after - before))
                power = square - mean * total
                # What is left of the template counts as much as the whole would.
                rest = score[m] - mean * sums[m]
                score[m] = rest * math.sqrt(norm / power) if power > 1e-3 * norm else -np.inf


@part
def largest_score(score, first_i, last_i, first_j, last_j, pitch):  # type: ignore[no-untyped-def]
    """Column and row of the first of the largest scores above 0, −1 if there is none."""
    best, best_i, best_j = 0.0, -1, -1
    for j in range(first_j, last_j):
        for start in range(0, last_i, WIDTH):
            if any_of(load(score, INDEX(j * pitch + start)) > best):
                for i in range(max(start, first_i), min(start + WIDTH, last_i)):
                    if score[j * pitch + i] > best:
                        best, best_i, best_j = score[j * pitch + i], i, j
    return best_i, best_j
