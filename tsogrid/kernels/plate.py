"""Plate constants: the map from the pixels of a frame to a plane tangent to the sky, from stars whose places are known.

From a first transform on, stars of the frame and of the catalogue are paired as each other's nearest, the map is fitted with
weights that fall off for stars that lie off, and the circle in which pairs must fall shrinks. The map has as many terms as
the stars can carry: few give a similarity, more an affine map, many a polynomial if it leaves clearly less.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

PRECISE = 0.02  # pixels: no star is better known than so
SIMILAR = 8  # stars: of fewer only shift, rotation and scale are fitted
ENOUGH = {1: SIMILAR, 2: 50, 3: 120}  # stars for a polynomial of each degree
CLEARLY = 10.0  # by how much the Bayesian information criterion must fall for a higher degree
CLIP = 4.0  # of the usual distance: what lies farther off has no part in the last fit
ALIKE = 1.2  # natural logarithm by which a star's flux may differ from the one expected
SKEW = 0.02  # ratio of the axes' scales less 1, of an affine map that is still believed
PASSES = 12


class Plate(NamedTuple):
    """A map from pixels to a tangent plane: ``plane = Σ coefficients[k] · dx^i · dy^j`` with (i, j) = ``powers(degree)[k]``.

    Parameters
    ----------
    middle : (float, float)
        The pixel that dx and dy are counted from.
    coefficients : ndarray, shape (n_terms, 2)
        Of both coordinates of the plane, in its unit.
    degree : int
        Of the polynomial.
    star, entry : ndarray of int, shape (n_matched,)
        The pairs: numbers of stars of the frame, and of the catalogue.
    used : ndarray of bool, shape (n_matched,)
        Which of them took part in the last fit.
    rms : float
        Root mean square distance of the used pairs, in pixels; of both coordinates together.
    precision : float
        Expected error of a place on the frame, in pixels, by what is left and by how many stars took part; infinite if there
        are no more than terms.
    """

    middle: tuple[float, float]
    coefficients: NDArray[np.float64]
    degree: int
    star: NDArray[np.int64]
    entry: NDArray[np.int64]
    used: NDArray[np.bool_]
    rms: float
    precision: float = math.inf


def powers(degree: int) -> list[tuple[int, int]]:
    """Give the exponents of dx and dy of the terms of a polynomial, the constant first."""
    return [(total - j, j) for total in range(degree + 1) for j in range(total + 1)]


def plane_of(plate: Plate, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Carry pixels to the plane; shape (n, 2)."""
    return _terms(x - plate.middle[0], y - plate.middle[1], plate.degree) @ plate.coefficients


def fit_plate(
    stars: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    plane: NDArray[np.float64],
    flux: NDArray[np.float64],
    first: tuple[NDArray[np.int64], NDArray[np.int64]],
    middle: tuple[float, float],
    near: float = 3.0,
) -> Plate:
    """Fit the plate constants of a frame.

    Parameters
    ----------
    stars : (x, y, flux, error), each of shape (n_stars,)
        Of the frame: 0-based pixels, data units, and the error of x and of y in pixels.
    plane : ndarray, shape (n_entries, 2)
        Places of the catalogue's stars in the tangent plane, in any unit.
    flux : ndarray, shape (n_entries,)
        Of the catalogue's stars, in any unit.
    first : (star, entry), each of shape (n,)
        Pairs to begin with, two at least.
    middle : (float, float)
        The pixel from which pixels are counted.
    near : float
        Pixels within which pairs are looked for at first.

    Returns
    -------
    Plate
    """
    x, y, light, error = stars
    star, entry = first
    weights = 1.0 / (PRECISE**2 + error**2)
    sky_tree, here = cKDTree(plane), np.stack([x, y], axis=-1)
    before = np.zeros(0, np.int64)
    coefficients, degree = _fitted(x[star], y[star], plane[entry], weights[star], middle, 1)
    for _ in range(PASSES):
        pixel = _pixel_size(coefficients)
        there = _terms(x - middle[0], y - middle[1], degree) @ coefficients
        star, entry = _nearest_pairs(there, plane, sky_tree, near * pixel)
        star, entry = _alike(star, entry, light, flux)
        if len(star) < 2:
            break
        coefficients, degree = _fitted(x[star], y[star], plane[entry], weights[star], middle, degree)
        left = _left(here[star], plane[entry], middle, coefficients, degree)
        near = max(min(near, max(5.0 * float(np.median(left)), 0.5 * near)), 0.3)
        if len(star) == len(before) and (star == before).all():
            break
        before = star
    if len(star) < 2:
        return Plate(middle, coefficients, degree, star, entry, np.zeros(len(star), bool), math.nan)
    return _highest(x, y, plane, weights, star, entry, middle)


def _highest(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    plane: NDArray[np.float64],
    weights: NDArray[np.float64],
    star: NDArray[np.int64],
    entry: NDArray[np.int64],
    middle: tuple[float, float],
) -> Plate:
    """Fit the pairs without those that lie off, with the degree that they can carry."""
    here, there, usual = np.stack([x[star], y[star]], axis=-1), plane[entry], weights[star]
    best: Plate | None = None
    best_score = math.inf
    for degree, enough in ENOUGH.items():
        if degree > 1 and len(star) < enough:
            break
        used = np.ones(len(star), bool)
        for _ in range(4):
            coefficients, _ = _fitted(here[used, 0], here[used, 1], there[used], usual[used], middle, degree)
            left = _left(here, there, middle, coefficients, degree) * np.sqrt(usual)
            limit = CLIP * max(
                float(np.median(left[used])) / 1.18, 1.0
            )  # 1.18: the median where nothing is wrong (√(2 ln 2))
            again = left <= limit
            if again.sum() < max(SIMILAR, len(star) // 2) or (again == used).all():
                break
            used = again
        left = _left(here, there, middle, coefficients, degree)[used]
        rms = math.sqrt(float((left**2).mean()))
        count = 2 * int(used.sum())
        score = count * math.log(max(rms, 1e-9)) * 2 + 2 * len(powers(degree)) * math.log(count)
        if best is None or score < best_score - CLEARLY:
            terms = len(powers(degree)) if used.sum() >= SIMILAR else 2
            free = int(used.sum()) - terms
            precision = math.inf
            if free > 0:  # the mean variance of a fitted value is that of one star times terms over stars
                spread = float((left**2 * usual[used]).sum()) / free
                precision = math.sqrt(spread * terms / float(usual[used].sum()))
            best, best_score = Plate(middle, coefficients, degree, star, entry, used, rms, precision), score
    assert best is not None
    return best


def _fitted(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    plane: NDArray[np.float64],
    weights: NDArray[np.float64],
    middle: tuple[float, float],
    degree: int,
) -> tuple[NDArray[np.float64], int]:
    """Least squares with weights that fall off for stars that lie off (Cauchy's); a similarity of few stars."""
    dx, dy = x - middle[0], y - middle[1]
    now = weights
    few = len(x) < SIMILAR
    coefficients = _solved(dx, dy, plane, now, degree, few)
    for _ in range(3 if len(x) > 5 else 0):
        left = _left(np.stack([x, y], axis=-1), plane, middle, coefficients, degree)
        pull = left**2 * weights
        usual = max(float(np.median(pull)) / 1.39, 1.0)  # 1.39: the median where nothing is wrong (2 ln 2)
        now = weights / (1.0 + pull / (6.0 * usual))
        coefficients = _solved(dx, dy, plane, now, degree, few)
    return coefficients, degree


def _solved(
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    plane: NDArray[np.float64],
    weights: NDArray[np.float64],
    degree: int,
    few: bool,
) -> NDArray[np.float64]:
    if not few:
        root = np.sqrt(weights)
        terms = _terms(dx, dy, degree)
        size = np.maximum(np.abs(terms).max(axis=0), 1e-30)  # high powers of pixels and a constant in one matrix
        found = np.linalg.lstsq(terms / size * root[:, None], plane * root[:, None], rcond=None)[0] / size[:, None]
        values = np.linalg.svd(found[1:3], compute_uv=False)
        if degree > 1 or values[0] < (1.0 + SKEW) * values[1]:
            return np.asarray(found)
    return min(
        (_similar(dx, dy, plane, weights, sign) for sign in (1.0, -1.0)),
        key=lambda each: float((weights[:, None] * (_terms(dx, dy, 1) @ each - plane) ** 2).sum()),
    )


def _similar(
    dx: NDArray[np.float64], dy: NDArray[np.float64], plane: NDArray[np.float64], weights: NDArray[np.float64], sign: float
) -> NDArray[np.float64]:
    """Shift, rotation and scale alone, of one parity."""
    total = weights.sum()
    here, there = dx + 1j * sign * dy, plane[:, 0] + 1j * plane[:, 1]
    middle, goal = (weights * here).sum() / total, (weights * there).sum() / total
    u, v = here - middle, there - goal
    a = (weights * u.conj() * v).sum() / max((weights * np.abs(u) ** 2).sum(), 1e-300)
    b = goal - a * middle
    return np.array([[b.real, b.imag], [a.real, a.imag], [-sign * a.imag, sign * a.real]])


def _terms(dx: NDArray[np.float64], dy: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    return np.stack([dx**i * dy**j for i, j in powers(degree)], axis=-1)


def _pixel_size(coefficients: NDArray[np.float64]) -> float:
    return math.sqrt(abs(float(np.linalg.det(coefficients[1:3]))))


def _left(
    here: NDArray[np.float64],
    plane: NDArray[np.float64],
    middle: tuple[float, float],
    coefficients: NDArray[np.float64],
    degree: int,
) -> NDArray[np.float64]:
    """Distances of pairs, in pixels."""
    off = _terms(here[:, 0] - middle[0], here[:, 1] - middle[1], degree) @ coefficients - plane
    return np.hypot(off[:, 0], off[:, 1]) / max(_pixel_size(coefficients), 1e-300)


def _nearest_pairs(
    there: NDArray[np.float64], plane: NDArray[np.float64], tree: cKDTree, near: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs that are each other's nearest, and not farther apart than so much."""
    distance, entry = tree.query(there, distance_upper_bound=near)
    _, back = cKDTree(there).query(plane)
    star = np.flatnonzero(np.isfinite(distance))
    star = star[back[entry[star]] == star]
    return star, entry[star]


def _alike(
    star: NDArray[np.int64], entry: NDArray[np.int64], light: NDArray[np.float64], flux: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep the pairs whose fluxes agree, where there are enough to tell."""
    if len(star) < 4:
        return star, entry
    fainter = np.log(light[star]) - np.log(flux[entry])
    good = np.abs(fainter - np.median(fainter)) < ALIKE
    return (star[good], entry[good]) if good.sum() >= 3 else (star, entry)
