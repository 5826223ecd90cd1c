"""How a frame lies to a reference frame, by the pattern of their stars: shift, rotation, scale, and perhaps a mirror.

Two stars of the frame and two of the reference make a hypothesis: it puts the one pair on the other. Of all that agree in
length and in brightness the one is taken under which most stars fall on stars; it is then refined by least squares over
all of them. Last comes the doubt: a transform is believed only if stars that should be seen are seen, if they fit closely,
and if chance would hardly bring so many together. Nothing is followed from frame to frame, so that no jump is too large.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.flags import RegistrationFlag
from tsogrid.kernels.pattern_match import BRIGHTNESS, NEAR, Pattern, best_match

LEAST = 3  # stars that must fit
WORST = 1.0  # pixels: the largest root mean square of what is left
CHANCE = 1e-3  # largest expected number of transforms as good that chance would bring
SEEN = 0.45  # least share of the stars that should be seen
FAINTER = 1.5  # how much brighter than the faintest a star must be planned to be missed
PRECISE = 0.03  # pixels: no star is better known than so
ROBUST = 6  # stars from which those that lie off count for less
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


class Transform(NamedTuple):
    """How a frame lies to a reference: complex places, reference = a · frame + b.

    Parameters
    ----------
    a, b : complex
        Of pixels, x + iy.
    frame, reference : ndarray of int, shape (n_matched,)
        The matched stars, by their numbers in both patterns.
    rms : float
        Root mean square distance of the matched stars, in pixels of the reference.
    transparency : float
        Median flux of the matched stars, in that of the reference.
    mirrored : bool
        Whether x of the frame has to be counted from its right edge (nx − 1 − x) first.
    seen : float
        Share of the stars that should be seen which are.
    by_chance : float
        Expected number of transforms as good that chance would bring.
    """

    a: complex
    b: complex
    frame: NDArray[np.int64]
    reference: NDArray[np.int64]
    rms: float
    transparency: float
    mirrored: bool = False
    seen: float = math.nan
    by_chance: float = math.nan


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
    fit = find_transform(stars, reference, shape, mirror=mirror)
    if isinstance(fit, RegistrationFlag):
        return int(fit)
    _write(fit, shape, index, result)
    return int(RegistrationFlag.CLOUDED) if fit.transparency < CLOUDED else 0


def find_transform(
    stars: Pattern,
    reference: Pattern,
    shape: tuple[int, int],
    reference_shape: tuple[int, int] | None = None,
    mirror: bool = False,
    tiers: Sequence[tuple[float, float]] = TIERS,
) -> Transform | RegistrationFlag:
    """Find how one frame lies to a reference, or say why that is not known.

    Parameters
    ----------
    stars, reference : Pattern
        Of the frame, and of the reference.
    shape : (int, int)
        Rows and columns of the frame.
    reference_shape : (int, int), optional
        Of the reference, if it has others; its stars lie in 0 … columns − 1 and 0 … rows − 1.
    mirror : bool
        Whether the frame may also be a mirror image of the reference.
    tiers : sequence of (float, float)
        Largest angles from 0 and from 180 degrees, and largest differences of scale, that are tried in turn.

    Returns
    -------
    Transform or RegistrationFlag
        The first that is beyond doubt, or the reason why there is none.
    """
    if min(len(stars.x), len(reference.x)) < LEAST:
        return RegistrationFlag.TOO_FEW_STARS
    there = shape if reference_shape is None else reference_shape
    why = RegistrationFlag.NO_MATCH
    for largest_angle, largest_scale in tiers:
        for mirrored in (False, True) if mirror else (False,):
            seen = stars._replace(x=shape[1] - 1 - stars.x) if mirrored else stars
            match = best_match(seen, reference, there, largest_angle, largest_scale)
            if match is None:
                continue
            fit = _refined(seen, reference, match.a, match.b)
            if len(fit.frame) < LEAST:
                continue
            fit, doubt = _judged(fit, seen, reference, shape, there, match.hypotheses)
            if doubt is None:
                return fit._replace(mirrored=mirrored)
            why = doubt
    return why


def _write(fit: Transform, shape: tuple[int, int], index: int, result: Registration) -> None:
    """Turn the transform round, and count from the middle of the frame."""
    middle = complex((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    inverse = 1 / fit.a
    shift = inverse * (middle - fit.b) - middle
    if (
        fit.mirrored
    ):  # frame = flip(inverse · (reference − b)), and a flip after a rotation is one before the opposite rotation
        inverse, shift = inverse.conjugate(), complex(-shift.real, shift.imag)
    result.shift_x[index], result.shift_y[index] = shift.real, shift.imag
    result.rotation[index], result.scale[index] = math.atan2(inverse.imag, inverse.real), abs(inverse)
    result.mirrored[index] = fit.mirrored
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


def _refined(stars: Pattern, reference: Pattern, a: complex, b: complex) -> Transform:
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
        variance = PRECISE**2 + stars.error[frame] ** 2 + reference.error[ref] ** 2
        a, b = _similarity(here[frame], there[ref], 1.0 / variance)
        if len(frame) >= ROBUST:  # a bright star that a hot pixel draws away must not take all with it
            for _ in range(3):
                pull = np.abs(a * here[frame] + b - there[ref]) ** 2 / variance
                usual = max(float(np.median(pull)) / 1.39, 1.0)  # 1.39: the median where nothing is wrong (2 ln 2)
                a, b = _similarity(here[frame], there[ref], 1.0 / (variance * (1.0 + pull / (6.0 * usual))))
        left = np.abs(a * here[frame] + b - there[ref])
        rms = math.sqrt(float((left**2).mean()))
        # Half the circle's radius is kept at least: the first fits know little of how close the stars will come.
        near = max(min(near, max(4.0 * float(np.median(left)), 0.5 * near)), 0.3)
        if len(frame) == len(before) and (frame == before).all() and near < 1.5:
            break
    return Transform(a, b, frame, ref, rms, math.exp(fainter) if math.isfinite(fainter) else math.nan)


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


def _judged(
    fit: Transform,
    stars: Pattern,
    reference: Pattern,
    shape: tuple[int, int],
    reference_shape: tuple[int, int],
    hypotheses: int,
) -> tuple[Transform, RegistrationFlag | None]:
    """Complete a transform by what speaks for it, and say why it is not to be believed; None if it is."""
    from scipy.special import bdtrc  # 15 MB, seldom needed

    matched = len(fit.frame)
    ny, nx = shape
    there_ny, there_nx = reference_shape
    ours = _inside(fit.a * (stars.x + 1j * stars.y) + fit.b, there_nx, there_ny, 3.0)
    bright = reference.flux * fit.transparency > FAINTER * stars.flux.min()
    expected = _inside((reference.x + 1j * reference.y - fit.b) / fit.a, nx, ny, 6.0) & bright
    found = np.zeros(len(reference.x), bool)
    found[fit.reference] = True
    seen, due = int((expected & found).sum()), int(expected.sum())
    within = max(3.0 * fit.rms, 0.5)
    chance = 0.5 * math.pi * within**2 * len(reference.x) / (there_nx * there_ny)  # half of them fit in brightness
    trials = max(int(ours.sum()), matched) - 2
    by_chance = hypotheses * float(bdtrc(matched - 3, trials, min(chance, 1.0)))
    fit = fit._replace(seen=seen / due if due else math.nan, by_chance=by_chance)
    if not fit.rms <= WORST:
        return fit, RegistrationFlag.POOR_FIT
    if seen < SEEN * due:
        return fit, RegistrationFlag.STARS_MISSING
    return fit, RegistrationFlag.BY_CHANCE if by_chance > CHANCE else None


def _inside(places: NDArray[np.complex128], nx: int, ny: int, margin: float) -> NDArray[np.bool_]:
    x, y = places.real, places.imag
    return (x >= margin) & (x <= nx - 1 - margin) & (y >= margin) & (y <= ny - 1 - margin)
