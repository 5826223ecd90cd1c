"""How a frame lies to a reference frame, by the pattern of their stars: shift, rotation, scale, and perhaps a mirror.

Two stars of the frame and two of the reference make a hypothesis: it puts the one pair on the other. Of all that agree in
length and in brightness the one is taken under which most stars fall on stars; it is then refined by least squares over
all of them. Last comes the doubt: a transform is believed only if stars that should be seen are seen, if they fit closely,
and if chance would hardly bring so many together. Nothing is followed from frame to frame, so that no jump is too large.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc

from tsogrid.flags import RegistrationFlag
from tsogrid.kernels.compile import kernel, part

PAIRED = 40  # brightest stars of which pairs are made
COUNTED = 60  # brightest stars of the frame that are counted under a hypothesis
NEAR = 3.0  # pixels within which a star falls on another under a hypothesis
SHORTEST = 15.0  # pixels: closer pairs tell no angle
PAIR_BRIGHTNESS = 0.7  # natural logarithm by which the two stars of a pair may differ in how much fainter they are
BRIGHTNESS = 0.9  # likewise, any star and the first of the pair
LEAST = 3  # stars that must fit
WORST = 1.0  # pixels: the largest root mean square of what is left
CHANCE = 1e-3  # largest expected number of transforms as good that chance would bring
SEEN = 0.45  # least share of the stars that should be seen
FAINTER = 1.5  # how much brighter than the faintest a star must be planned to be missed
PRECISE = 0.03  # pixels: no star is better known than so
# Angles (degrees from 0 and from 180) and scales: first what telescopes do, then what they may do, then anything.
TIERS = ((1.5, 0.006), (6.0, 0.03), (180.0, 0.2))
# How little of the star's light must be left for the frame to count as clouded
CLOUDED = 0.3


class Registration(NamedTuple):
    """How each frame lies to the reference; NaN where it is not known.

    A star at ``p`` in the reference is at ``c + scale · R(rotation) · M · (p − c) + shift`` in the frame, with ``c`` the
    middle of the frame, R counter-clockwise from x to y, and M the mirror x → −x or nothing.

    Parameters
    ----------
    shift_x, shift_y : ndarray, shape (n,)
        Shift of the middle of the frame, in pixels.
    rotation : ndarray, shape (n,)
        In radians, −π … π.
    scale : ndarray, shape (n,)
        Pixels in the frame for one pixel in the reference.
    mirrored : ndarray of bool, shape (n,)
    matched : ndarray of int, shape (n,)
        Stars that are in both.
    rms : ndarray, shape (n,)
        Root mean square distance of the matched stars, in pixels of the frame.
    transparency : ndarray, shape (n,)
        Median flux of the matched stars, in that of the reference.
    flags : ndarray of int, shape (n,)
        `RegistrationFlag`: why a frame is not registered, and what is odd about one that is.
    """

    shift_x: NDArray[np.float64]
    shift_y: NDArray[np.float64]
    rotation: NDArray[np.float64]
    scale: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    matched: NDArray[np.int64]
    rms: NDArray[np.float64]
    transparency: NDArray[np.float64]
    flags: NDArray[np.int64]


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


class _Fit(NamedTuple):
    """A transform from the frame to the reference, complex: reference = a · frame + b (frame mirrored first, perhaps)."""

    a: complex
    b: complex
    frame: NDArray[np.int64]  # matched stars of the frame
    reference: NDArray[np.int64]  # and of the reference
    rms: float
    transparency: float


def register(frames: list[Pattern], reference: Pattern, shape: tuple[int, int], mirror: bool = False) -> Registration:
    """Find how frames lie to a reference frame.

    Parameters
    ----------
    frames : list of Pattern
        The stars of each frame.
    reference : Pattern
        The stars of the reference frame.
    shape : (int, int)
        Rows and columns of a frame.
    mirror : bool
        Whether a frame may also be a mirror image of the reference.

    Returns
    -------
    Registration

    Notes
    -----
    The chance that ``k`` of ``m`` further stars fall within ``d`` of one of ``N`` on an area ``A`` is binomial with
    ``p = π d² N / A``; it is multiplied by the number of hypotheses of the same kind (cf. Lang et al. 2010, AJ 139, 1782).
    """
    n = len(frames)
    shift_x, shift_y, rotation, scale, rms, transparency = (np.full(n, np.nan) for _ in range(6))
    matched, flags = np.zeros(n, np.int64), np.zeros(n, np.int64)
    result = Registration(shift_x, shift_y, rotation, scale, np.zeros(n, bool), matched, rms, transparency, flags)
    for index, stars in enumerate(frames):
        result.flags[index] = _one_frame(stars, reference, shape, mirror, index, result)
    return result


def _one_frame(
    stars: Pattern, reference: Pattern, shape: tuple[int, int], mirror: bool, index: int, result: Registration
) -> int:
    """Register one frame; write what is found, and return its flags."""
    if min(len(stars.x), len(reference.x)) < LEAST:
        return int(RegistrationFlag.TOO_FEW_STARS)
    why = RegistrationFlag.NO_MATCH
    for largest_angle, largest_scale in TIERS:
        for mirrored in (False, True) if mirror else (False,):
            seen = stars._replace(x=shape[1] - 1 - stars.x) if mirrored else stars
            fit, hypotheses = _best(seen, reference, shape, largest_angle, largest_scale)
            if fit is None:
                continue
            doubt = _doubt(fit, seen, reference, shape, hypotheses)
            if not doubt:
                _write(fit, shape, mirrored, index, result)
                return int(RegistrationFlag.CLOUDED) if fit.transparency < CLOUDED else 0
            if len(fit.frame) >= LEAST:
                why = doubt
    return int(why)


def _write(fit: _Fit, shape: tuple[int, int], mirrored: bool, index: int, result: Registration) -> None:
    """Turn the transform round, and count from the middle of the frame."""
    middle = complex((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    inverse = 1 / fit.a
    shift = inverse * (middle - fit.b) - middle
    if mirrored:  # frame = flip(inverse · (reference − b)), and a flip after a rotation is one before the opposite rotation
        inverse, shift = inverse.conjugate(), complex(-shift.real, shift.imag)
    result.shift_x[index], result.shift_y[index] = shift.real, shift.imag
    result.rotation[index], result.scale[index] = math.atan2(inverse.imag, inverse.real), abs(inverse)
    result.mirrored[index] = mirrored
    result.matched[index] = len(fit.frame)
    result.rms[index], result.transparency[index] = fit.rms * abs(inverse), fit.transparency


def positions_in_frames(
    registration: Registration, x: ArrayLike, y: ArrayLike, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Carry positions of the reference frame over to every frame.

    Parameters
    ----------
    registration : Registration
        Of n frames.
    x, y : array_like, shape (n, n_sources)
        0-based pixels of the reference frame.
    shape : (int, int)
        Rows and columns of a frame.

    Returns
    -------
    x, y : ndarray, shape (n, n_sources)
        0-based pixels of each frame; NaN where it is not registered.
    """
    middle_x, middle_y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    u, v = np.asarray(x, float) - middle_x, np.asarray(y, float) - middle_y
    u = np.where(registration.mirrored[:, None], -u, u)
    cosine = (registration.scale * np.cos(registration.rotation))[:, None]
    sine = (registration.scale * np.sin(registration.rotation))[:, None]
    return (
        middle_x + registration.shift_x[:, None] + cosine * u - sine * v,
        middle_y + registration.shift_y[:, None] + sine * u + cosine * v,
    )


def _best(
    stars: Pattern, reference: Pattern, shape: tuple[int, int], largest_angle: float, largest_scale: float
) -> tuple[_Fit | None, int]:
    """Find the hypothesis under which most stars fall on stars, and refine it; also how many hypotheses there were."""
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
        return None, 0
    return _refined(stars, reference, complex(out[1], out[2]), complex(out[3], out[4])), int(out[5])


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


def _refined(stars: Pattern, reference: Pattern, a: complex, b: complex) -> _Fit:
    """Fit the transform to all stars that it brings together, while the circle in which they must fall shrinks."""
    here, there = stars.x + 1j * stars.y, reference.x + 1j * reference.y
    light, there_light = np.log(stars.flux), np.log(reference.flux)
    frame = ref = np.zeros(0, np.int64)
    rms, fainter = math.nan, math.nan
    near = NEAR
    for _ in range(8):
        before = frame
        frame, ref = _mutual(a * here + b, there, near)
        if len(frame) < 2:
            break
        differences = light[frame] - there_light[ref]
        fainter = float(np.median(differences))
        alike = np.abs(differences - fainter) < BRIGHTNESS
        if alike.sum() >= 2:
            frame, ref = frame[alike], ref[alike]
        weights = 1.0 / (PRECISE**2 + stars.error[frame] ** 2 + reference.error[ref] ** 2)
        a, b = _similarity(here[frame], there[ref], weights)
        left = np.abs(a * here[frame] + b - there[ref])
        rms = math.sqrt(float((left**2).mean()))
        # Half the circle's radius is kept at least: the first fits know little of how close the stars will come.
        near = max(min(near, max(4.0 * float(np.median(left)), 0.5 * near)), 0.3)
        if len(frame) == len(before) and (frame == before).all() and near < 1.5:
            break
    return _Fit(a, b, frame, ref, rms, math.exp(fainter) if math.isfinite(fainter) else math.nan)


def _mutual(
    here: NDArray[np.complex128], there: NDArray[np.complex128], near: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of stars that are each other's nearest, and not farther apart than so many pixels."""
    distance = np.abs(here[:, None] - there[None])
    nearest, back = distance.argmin(axis=1), distance.argmin(axis=0)
    own = np.arange(len(here))
    good = (back[nearest] == own) & (distance[own, nearest] <= near)
    return own[good], nearest[good]


def _similarity(
    here: NDArray[np.complex128], there: NDArray[np.complex128], weights: NDArray[np.float64]
) -> tuple[complex, complex]:
    """Least squares of ``there = a · here + b`` in complex places."""
    total = weights.sum()
    middle, goal = (weights * here).sum() / total, (weights * there).sum() / total
    u, v = here - middle, there - goal
    a = complex((weights * u.conj() * v).sum() / (weights * np.abs(u) ** 2).sum())
    return a, complex(goal - a * middle)


def _doubt(
    fit: _Fit, stars: Pattern, reference: Pattern, shape: tuple[int, int], hypotheses: int
) -> RegistrationFlag | None:
    """Say why a transform is not to be believed; None if it is."""
    matched = len(fit.frame)
    if matched < LEAST:
        return RegistrationFlag.NO_MATCH
    if not fit.rms <= WORST:
        return RegistrationFlag.POOR_FIT
    ny, nx = shape
    seen_there = fit.a * (stars.x + 1j * stars.y) + fit.b
    expected_here = (reference.x + 1j * reference.y - fit.b) / fit.a
    ours = _inside(seen_there, nx, ny, 3.0)
    bright = reference.flux * fit.transparency > FAINTER * stars.flux.min()
    expected = _inside(expected_here, nx, ny, 6.0) & bright
    found = np.zeros(len(reference.x), bool)
    found[fit.reference] = True
    if (expected & found).sum() < SEEN * expected.sum():
        return RegistrationFlag.STARS_MISSING
    within = max(3.0 * fit.rms, 0.5)
    chance = 0.5 * math.pi * within**2 * len(reference.x) / (nx * ny)  # half of them fit in brightness
    trials = max(int(ours.sum()), matched) - 2
    expected_by_chance = hypotheses * float(bdtrc(matched - 3, trials, min(chance, 1.0)))
    return RegistrationFlag.BY_CHANCE if expected_by_chance > CHANCE else None


def _inside(places: NDArray[np.complex128], nx: int, ny: int, margin: float) -> NDArray[np.bool_]:
    x, y = places.real, places.imag
    return (x >= margin) & (x <= nx - 1 - margin) & (y >= margin) & (y <= ny - 1 - margin)
