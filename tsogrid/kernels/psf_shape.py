"""The shape of the stars' images, from many stars at once: one Moffat shape, and place, flux and sky of each star.

This is the fit of a stack without stacking: every star keeps its own pixels, so nothing is shifted or interpolated, and the
brighter ones count for more. Each star's own parameters are eliminated from the normal equations (Schur complement), so that
the work grows with the number of stars and not with its cube.
"""

import math

import numpy as np

from tsogrid.kernels.cholesky import factorise, substitute
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.moffat import TERMS, profile_terms, profile_value

OWN = 4  # x, y, flux, sky of a star
_PASSES = 40
_SETTLED = 1e-4  # gain in χ²
LARGEST_ALPHA = 20.0
SMALLEST_ALPHA = 1.1


@part
def _passed(own, shape, is_round, count, pixels, values, weights, nodes, work):  # type: ignore[no-untyped-def]
    """Fill every star's normal equations, the coupling to the shape, and the shape's; return χ²."""
    a_own, a_mixed, a_shared, g_own, g_shared, squares, terms, slopes, sums = work
    number = 2 if is_round else 4
    size = OWN + number + 1  # the last is what is left of the pixel
    a_shared[:] = 0.0
    g_shared[:] = 0.0
    total = 0.0
    for k in range(count.size):
        sums[:] = 0.0
        flux = own[k, 2]
        for p in range(count[k]):
            profile_terms(pixels[k, p, 1] - own[k, 0], pixels[k, p, 0] - own[k, 1], shape, nodes, terms)
            slopes[0], slopes[1], slopes[2], slopes[3] = flux * terms[1], flux * terms[2], terms[0], 1.0
            if is_round:
                slopes[4], slopes[5] = flux * (terms[3] + terms[5]), flux * terms[6]
            else:
                for s in range(4):
                    slopes[OWN + s] = flux * terms[3 + s]
            slopes[size - 1] = values[k, p] - flux * terms[0] - own[k, 3]
            for r in range(size):
                slope = weights[k, p] * slopes[r]
                for s in range(r + 1):
                    sums[r, s] += slope * slopes[s]
        for r in range(OWN):
            g_own[k, r] = sums[size - 1, r]
            for s in range(r + 1):
                a_own[k, r, s] = sums[r, s]
            for s in range(number):
                a_mixed[k, r, s] = sums[OWN + s, r]
        for r in range(number):
            g_shared[r] += sums[size - 1, OWN + r]
            for s in range(r + 1):
                a_shared[r, s] += sums[OWN + r, OWN + s]
        squares[k] = sums[size - 1, size - 1]
        total += squares[k]
    return total


@part
def _eliminated(damping, number, count, work, factors, solved, matrix, vector):  # type: ignore[no-untyped-def]
    """Fill the shape's equations without the stars' own parameters; return whether they can be solved."""
    a_own, a_mixed, a_shared, g_own, g_shared, _, _, _, _ = work
    column = np.zeros(OWN)
    reduced = np.zeros((OWN, OWN))
    for r in range(number):
        vector[r] = g_shared[r]
        for s in range(r + 1):
            matrix[r, s] = a_shared[r, s]
        matrix[r, r] *= 1.0 + damping
    for k in range(count.size):
        for r in range(OWN):
            for s in range(r + 1):
                reduced[r, s] = a_own[k, r, s]
            reduced[r, r] *= 1.0 + damping
        if not factorise(reduced, factors[k], np.int64(OWN)):
            return False
        for s in range(number + 1):
            for r in range(OWN):
                column[r] = a_mixed[k, r, s] if s < number else g_own[k, r]
            substitute(factors[k], column, np.int64(OWN))
            for r in range(OWN):
                solved[k, r, s] = column[r]
        for r in range(number):
            for i in range(OWN):
                vector[r] -= a_mixed[k, i, r] * solved[k, i, number]
                for s in range(r + 1):
                    matrix[r, s] -= a_mixed[k, i, r] * solved[k, i, s]
    return True


@part
def _allowed(own, shape, radius):  # type: ignore[no-untyped-def]
    a, b, c, alpha = shape[0], shape[1], shape[2], shape[3]
    least = 1.0 / (9.0 * radius * radius)
    if not (a > least and c > least and a < 25.0 and c < 25.0 and a * c - b * b > 0.01 * a * c):
        return False
    if not SMALLEST_ALPHA < alpha < LARGEST_ALPHA:
        return False
    return own[:, 2].min() > 0.0


@part
def _moved(own, shape, step, solved, number, is_round, own_to, shape_to):  # type: ignore[no-untyped-def]
    """Take a step of the shape, and the stars' own steps that belong to it."""
    for k in range(own.shape[0]):
        for r in range(OWN):
            change = solved[k, r, number]
            for s in range(number):
                change -= solved[k, r, s] * step[s]
            own_to[k, r] = own[k, r] + change
    if is_round:
        shape_to[0] = shape[0] + step[0]
        shape_to[1] = 0.0
        shape_to[2] = shape_to[0]
        shape_to[3] = shape[3] + step[1]
    else:
        for s in range(4):
            shape_to[s] = shape[s] + step[s]


@part
def _work(stars):  # type: ignore[no-untyped-def]
    return (
        np.zeros((stars, OWN, OWN)), np.zeros((stars, OWN, 4)), np.zeros((4, 4)), np.zeros((stars, OWN)), np.zeros(4),
        np.zeros(stars), np.zeros(TERMS), np.zeros(OWN + 5), np.zeros((OWN + 5, OWN + 5)),
    )  # fmt: skip


@kernel
def fit_shape(  # type: ignore[no-untyped-def]
    rest,
    others,
    floor,
    slope,
    usable,
    radius,
    is_round,
    nodes,
    weight_nodes,
    rounds,
    own,
    shape,
    covariance,
    squares,
    number_of,
):
    """Fit the shape and the stars' own parameters, in place; return whether it converged.

    Parameters
    ----------
    rest : (ny, nx) the frame without its sky.
    others : (stars, side, side) what the other stars give to the pixels of each star's stamp; NaN where they disturb it.
    floor, slope : (ny, nx) variance without stars, and variance per unit of the model.
    usable : (ny, nx) bool.
    radius : of the round stamps, in pixels; side is 2 ⌈radius⌉ + 1, its middle the star's nearest pixel.
    is_round : one width only.
    nodes : as in `moffat.add_moffats`. weight_nodes : those of the start, which the first weights follow.
    rounds : how often the weights follow the model.
    own : (stars, 4) x, y, flux, sky above that of the frame; starts and results.
    shape : (4,) start and result.
    covariance : (4, 4) of the shape, overwritten.
    squares, number_of : (stars,) χ² and pixels of each star.
    """
    stars = own.shape[0]
    half = math.ceil(radius)
    most = (2 * half + 1) ** 2
    ny, nx = rest.shape
    pixels, values, weights = np.zeros((stars, most, 2), np.int64), np.zeros((stars, most)), np.zeros((stars, most))
    count = np.zeros(stars, np.int64)
    for k in range(stars):
        row, column = math.floor(own[k, 1] + 0.5), math.floor(own[k, 0] + 0.5)
        for j in range(max(0, row - half), min(ny, row + half + 1)):
            for i in range(max(0, column - half), min(nx, column + half + 1)):
                other = others[k, j - row + half, i - column + half]
                if (j - row) ** 2 + (i - column) ** 2 <= radius * radius and usable[j, i] and other < np.inf:
                    p = count[k]
                    pixels[k, p, 0], pixels[k, p, 1], values[k, p] = j, i, rest[j, i] - other
                    count[k] += 1
        number_of[k] = count[k]
        if count[k] <= 2 * OWN:
            return False
    number = 2 if is_round else 4
    work, other_work = _work(stars), _work(stars)
    factors, solved = np.zeros((stars, OWN, OWN)), np.zeros((stars, OWN, 5))
    matrix, factor, vector = np.zeros((4, 4)), np.zeros((4, 4)), np.zeros(4)
    own_to, shape_to = own.copy(), shape.copy()
    settled = False
    for turn in range(rounds):
        places = weight_nodes if turn == 0 else nodes
        for k in range(stars):
            row, column = math.floor(own[k, 1] + 0.5), math.floor(own[k, 0] + 0.5)
            for p in range(count[k]):
                j, i = pixels[k, p, 0], pixels[k, p, 1]
                model = own[k, 2] * profile_value(i - own[k, 0], j - own[k, 1], shape, places)
                weights[k, p] = 1.0 / (floor[j, i] + slope * max(model + rest[j, i] - values[k, p], 0.0))
        square = _passed(own, shape, is_round, count, pixels, values, weights, nodes, work)
        damping = 1e-3
        settled = False
        for _ in range(_PASSES):
            possible = _eliminated(damping, number, count, work, factors, solved, matrix, vector)
            possible = possible and factorise(matrix, factor, number)
            if possible:
                substitute(factor, vector, number)
                _moved(own, shape, vector, solved, number, is_round, own_to, shape_to)
                possible = _allowed(own_to, shape_to, radius)
            new = np.inf
            if possible:
                new = _passed(own_to, shape_to, is_round, count, pixels, values, weights, nodes, other_work)
            if new <= square * (1.0 + 1e-12):
                gain = square - new
                own[:] = own_to
                shape[:] = shape_to
                square = new
                work, other_work = other_work, work
                if damping <= 0.01 and gain <= _SETTLED:
                    settled = True
                    break
                damping = max(0.1 * damping, 1e-9)
            else:
                damping = max(10.0 * damping, 0.01)
                if damping > 1e8:
                    break
    squares[:] = work[5]
    covariance[:] = 0.0
    if not _eliminated(0.0, number, count, work, factors, solved, matrix, vector) or not factorise(matrix, factor, number):
        return False
    for s in range(number):
        vector[:] = 0.0
        vector[s] = 1.0
        substitute(factor, vector, number)
        for r in range(number):
            covariance[r, s] = vector[r]
    if is_round:  # a and c are one, α stands last
        width, mixed, exponent = covariance[0, 0], covariance[0, 1], covariance[1, 1]
        covariance[:] = 0.0
        covariance[0, 0] = covariance[0, 2] = covariance[2, 0] = covariance[2, 2] = width
        covariance[0, 3] = covariance[3, 0] = covariance[2, 3] = covariance[3, 2] = mixed
        covariance[3, 3] = exponent
    return settled
