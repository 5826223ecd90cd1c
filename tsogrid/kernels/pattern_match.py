"""Which stars of a frame are which of a reference: pairs of bright stars make hypotheses, and the best matches most stars.

A pair of the frame and one of the reference that agree in length, and in how much fainter their stars are, say how the frame
lies; the hypothesis counts the stars of the frame that fall on a star of the reference which is fainter by as much. Pairs of
the brightest come first, so that most frames are done after a few of them.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import kernel, part

PAIRED = 40  # brightest stars of which pairs are made
COUNTED = 60  # brightest stars of the frame that are counted under a hypothesis
NEAR = 3.0  # pixels within which a star falls on another under a hypothesis
SHORTEST = 15.0  # pixels: closer pairs tell no angle
PAIR_BRIGHTNESS = 0.7  # natural logarithm by which the two stars of a pair may differ in how much fainter they are
BRIGHTNESS = 0.9  # likewise, any star and the first of the pair


class Pattern(NamedTuple):
    """Stars of one frame, the brightest first.

    Parameters
    ----------
    x, y, flux : ndarray, shape (n_stars,)
        Pixels, and data units.
    error : ndarray, shape (n_stars,)
        Of x and of y, in pixels.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]


class Match(NamedTuple):
    """A transform of complex places, reference = a · frame + b, and how many hypotheses it was chosen from."""

    a: complex
    b: complex
    hypotheses: int


def best_match(
    stars: Pattern, reference: Pattern, shape: tuple[int, int], largest_angle: float, largest_scale: float
) -> Match | None:
    """Find the hypothesis under which most stars of a frame fall on stars of the reference.

    Parameters
    ----------
    stars, reference : Pattern
        Of the frame, and of the reference frame.
    shape : (int, int)
        Rows and columns of a frame.
    largest_angle : float
        Degrees from 0 or from 180 by which the frame may be turned.
    largest_scale : float
        By how much its scale may differ from 1.

    Returns
    -------
    Match or None
        None if no two stars match.
    """
    brightest = min(PAIRED, len(reference.x))
    first, second = np.triu_indices(brightest, 1)
    lengths = np.hypot(reference.x[first] - reference.x[second], reference.y[first] - reference.y[second])
    order = np.argsort(lengths, kind="stable")
    pairs = np.stack([first[order], second[order]], axis=1).astype(np.int64)
    side = 2.0 * NEAR
    grid = np.full((int(shape[0] / side) + 2, int(shape[1] / side) + 2, 4), -1, np.int32)
    out = np.zeros(6)
    _most_matched(
        *(np.ascontiguousarray(each) for each in (stars.x, stars.y, np.log(stars.flux))),
        *(np.ascontiguousarray(each) for each in (reference.x, reference.y, np.log(reference.flux))),
        pairs,
        lengths[order],
        grid,
        math.radians(largest_angle),
        largest_scale,
        np.full(len(reference.x), -1, np.int64),
        out,
    )
    if out[0] < 2:
        return None
    return Match(complex(out[1], out[2]), complex(out[3], out[4]), int(out[5]))


@part
def _fill_grid(x, y, grid):  # type: ignore[no-untyped-def]
    """Write every star into the cell it is in, four of a cell at most, the brightest."""
    for k in range(x.size):
        j, i = int((y[k] + NEAR) / (2.0 * NEAR)), int((x[k] + NEAR) / (2.0 * NEAR))
        if not (0 <= j < grid.shape[0] and 0 <= i < grid.shape[1]):
            continue
        for slot in range(grid.shape[2]):
            if grid[j, i, slot] < 0:
                grid[j, i, slot] = k
                break


@part
def _nearest(grid, x, y, stars_x, stars_y):  # type: ignore[no-untyped-def]
    """The star nearest to a place, not farther than `NEAR`, and the square of its distance; −1 if there is none."""
    best, found = NEAR * NEAR, -1
    v, u = (y + NEAR) / (2.0 * NEAR), (x + NEAR) / (2.0 * NEAR)
    j, i = math.floor(v), math.floor(u)
    j0 = j if v - j >= 0.5 else j - 1
    i0 = i if u - i >= 0.5 else i - 1
    for row in range(max(j0, 0), min(j0 + 2, grid.shape[0])):
        for column in range(max(i0, 0), min(i0 + 2, grid.shape[1])):
            for slot in range(grid.shape[2]):
                k = grid[row, column, slot]
                if k < 0:
                    break
                distance = (stars_x[k] - x) ** 2 + (stars_y[k] - y) ** 2
                if distance < best:
                    best, found = distance, k
    return found, best


@kernel
def _most_matched(x, y, light, ref_x, ref_y, ref_light, pairs, lengths, grid, angle, scale, used, out):  # type: ignore[no-untyped-def]
    """Write how many stars the best hypothesis matches, its transform (a and b), and how many hypotheses were tried."""
    _fill_grid(ref_x, ref_y, grid)
    paired, counted = min(PAIRED, x.size), min(COUNTED, x.size)
    ny, nx = (grid.shape[0] - 1) * 2.0 * NEAR, (grid.shape[1] - 1) * 2.0 * NEAR
    best_count, best_rest, tried = 0, np.inf, 0
    enough = np.inf
    for q in range(1, paired):
        if best_count >= enough:  # bright pairs have found it, and no other can match more than a few stars more
            break
        for p in range(q):
            dx, dy = x[q] - x[p], y[q] - y[p]
            length = math.hypot(dx, dy)
            if length < SHORTEST:
                continue
            slack = 2.0 / length + scale
            first = np.searchsorted(lengths, length * (1.0 - slack))
            for k in range(first, lengths.size):
                if lengths[k] > length * (1.0 + slack):
                    break
                for turned in range(2):
                    i, j = pairs[k, turned], pairs[k, 1 - turned]
                    fainter = light[p] - ref_light[i]
                    if abs(fainter - (light[q] - ref_light[j])) > PAIR_BRIGHTNESS:
                        continue
                    # a = (r_j − r_i) / (f_q − f_p), of complex places
                    ex, ey = ref_x[j] - ref_x[i], ref_y[j] - ref_y[i]
                    square = length * length
                    a_re, a_im = (ex * dx + ey * dy) / square, (ey * dx - ex * dy) / square
                    turn = abs(math.atan2(a_im, a_re))
                    if min(turn, math.pi - turn) > angle + 2.0 / length:
                        continue
                    tried += 1
                    b_re = ref_x[i] - (a_re * x[p] - a_im * y[p])
                    b_im = ref_y[i] - (a_re * y[p] + a_im * x[p])
                    count, inside, rest = 0, 0, 0.0
                    for star in range(counted):
                        u = a_re * x[star] - a_im * y[star] + b_re
                        v = a_re * y[star] + a_im * x[star] + b_im
                        if not (-NEAR < u < nx and -NEAR < v < ny):
                            continue
                        inside += 1
                        found, distance = _nearest(grid, u, v, ref_x, ref_y)
                        if found < 0 or used[found] == tried:
                            continue
                        if abs(light[star] - ref_light[found] - fainter) > BRIGHTNESS:
                            continue
                        used[found] = tried
                        count += 1
                        rest += distance
                    if count > best_count or (count == best_count and rest < best_rest):
                        best_count, best_rest = count, rest
                        out[1], out[2], out[3], out[4] = a_re, a_im, b_re, b_im
                        if count >= 12 and count >= 0.75 * inside:
                            enough = count
    out[0], out[5] = best_count, tried
