"""Cross-correlation against a plain formulation, pixel by pixel: edges, bad pixels, boxes and templates of all widths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsogrid.kernels.centroid import cross_correlation, gaussian_template


def filled(frame, box):
    """Bad pixels as the mean of their good neighbours in 3 × 3 pixels, else in 5 × 5, else the median of the box."""
    known = np.where(np.isfinite(frame), frame, np.nan)
    result = known.copy()
    for row, column in np.argwhere(np.isnan(known)):
        for reach in (1, 2):
            near = known[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
            if np.isfinite(near).any():
                result[row, column] = np.nanmean(near)
                break
        else:
            result[row, column] = np.nanmedian(known[box])
    return result


def score_at(frame, row, column, template):
    """Frame × template, the template's mean off, over what of it lies on the frame, scaled to the whole one's norm."""
    half = len(template) // 2
    rows, columns = (np.arange(place - half, place + half + 1) for place in (row, column))
    down, right = ((each >= 0) & (each < size) for each, size in zip((rows, columns), frame.shape, strict=True))
    part = template[np.ix_(down, right)]
    rest, norm = part - part.mean(), np.sum((template - template.mean()) ** 2)
    if not np.sum(rest**2) > 1e-3 * norm:
        return -np.inf
    return np.sum(frame[np.ix_(rows[down], columns[right])] * rest) * np.sqrt(norm / np.sum(rest**2))


def meant(scores, begin, width):
    """Row and column of the largest score; of several peaks the highest after a taper towards the border of the box."""
    wide = np.pad(scores, 1, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(wide, (3, 3)).max(axis=(2, 3))
    peaks = (scores == around) & (scores >= 0.2 * scores.max())
    best = np.unravel_index(np.argmax(scores), scores.shape)
    if np.count_nonzero(peaks) < 2:
        return best
    noise = 1.4826 * np.median(np.abs(scores[np.isfinite(scores)]))
    rows, columns = np.mgrid[: scores.shape[0], : scores.shape[1]] + begin[:, None, None] - width // 2
    taper = np.cos(np.pi / 2 * np.maximum(np.abs(rows), np.abs(columns)) / (width / 2 + 1)) ** 2
    rivals = np.where(peaks & (scores >= 5 * noise), scores * taper, -np.inf)
    return np.unravel_index(np.argmax(rivals), scores.shape) if rivals.max() > 0 else best


def plain_place(frame, x, y, width, template):
    """Place (x, y) of the star that is meant in a box about a pixel, refined by a quadratic surface through nine scores."""
    first = np.array([y, x]) - width // 2
    low = np.maximum(first, 0)
    stop = np.clip(first + width, low, frame.shape)
    box = np.s_[low[0] : stop[0], low[1] : stop[1]]
    good = np.isfinite(frame[box]).sum()
    if not good or 2 * good < frame[box].size:
        return np.nan, np.nan
    pixels = filled(frame, box)
    scores = np.array([[score_at(pixels, j, i, template) for i in range(low[1], stop[1])] for j in range(low[0], stop[0])])
    if not scores.max() > 0:
        return np.nan, np.nan
    row, column = meant(scores, low - first, width)
    dx = dy = 0.0
    if 0 < row < len(scores) - 1 and 0 < column < scores.shape[1] - 1:
        v, u = (each.ravel() for each in np.mgrid[-1:2, -1:2])
        surface = np.stack([np.ones(9), u, v, u**2, v**2, u * v], axis=1)
        nine = scores[row - 1 : row + 2, column - 1 : column + 2].ravel()
        _, gx, gy, gxx, gyy, gxy = np.linalg.lstsq(surface, nine, rcond=None)[0]
        bend = np.array([[2 * gxx, gxy], [gxy, 2 * gyy]])
        if gxx < 0 and gyy < 0 and np.linalg.det(bend) > 0:
            step = -np.linalg.solve(bend, [gx, gy])
            dx, dy = step if np.abs(step).max() <= 1 else (0.0, 0.0)
    return low[1] + column + dx, low[0] + row + dy


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(9, 40), st.integers(9, 40)),
    width=st.sampled_from([1, 3, 7, 9, 15, 17, 25]),
    size=st.sampled_from([3, 5, 7, 11]),
    kind=st.sampled_from(["gaussian", "two products", "any"]),
    bad=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_places_are_those_of_the_plain_formulation(seed, shape, width, size, kind, bad):
    rng = np.random.default_rng(seed)
    template = gaussian_template(1.4, size)
    if kind == "two products":
        template = template + 0.1 * np.outer(rng.random(size), rng.random(size))
    elif kind == "any":
        template = template + 0.05 * rng.random((size, size))
    guess = np.array([rng.integers(-2, each + 2) for each in shape])
    star = guess + rng.uniform(-3, 3, 2)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    frame = 2000 * np.exp(-((rows - star[0]) ** 2 + (columns - star[1]) ** 2) / (2 * 1.4**2)) + rng.normal(100, 2, shape)
    frame[rng.random(shape) < bad] = np.nan
    found = cross_correlation(frame[None], [[float(guess[1])]], [[float(guess[0])]], width, template)
    expected = plain_place(frame, guess[1], guess[0], width, template)
    np.testing.assert_allclose((found.x[0, 0], found.y[0, 0]), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_search_leaves_nothing_behind_for_the_next(dtype):
    """Boxes in the frame, over its edges and with bad pixels in turn: each place is that of its frame alone."""
    rng = np.random.default_rng(4)
    data = rng.normal(100, 3, (12, 30, 34)).astype(dtype)
    x, y = rng.uniform(-4, 38, (12, 3)), rng.uniform(-4, 34, (12, 3))
    data[rng.random(data.shape) < 0.05] = np.nan
    data[4], data[7] = np.nan, np.inf
    template = gaussian_template(1.5)
    together = cross_correlation(data, x, y, 13, template)
    alone = [cross_correlation(data[k : k + 1], x[k : k + 1], y[k : k + 1], 13, template) for k in range(12)]
    np.testing.assert_array_equal(together.x, np.concatenate([each.x for each in alone]))
    np.testing.assert_array_equal(together.y, np.concatenate([each.y for each in alone]))
    assert np.isnan(together.x[[4, 7]]).all()
    assert np.isfinite(together.x[[0, 1, 2]]).any()
