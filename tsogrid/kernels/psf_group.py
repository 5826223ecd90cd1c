"""Positions and fluxes of stars that overlap, fitted together with the shape of their images known.

Each group is fitted by Levenberg–Marquardt to the pixels within a radius of its stars, on what is left of the frame when all
other stars are taken off; then its stars are taken off too, and the next group follows (Gauss–Seidel). Repeated calls settle
what neighbouring groups give each other. Weights follow the model of the call's start: a pixel's own noise does not decide
how much it counts.
"""

import math

import numpy as np

from tsogrid.kernels.cholesky import factorise, substitute
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.moffat import TERMS, add_star, profile_terms, profile_value

PASSES = 30  # at most, for one group in one call
_SETTLED = 1e-4  # gain in χ² of a step after which the next one is nothing beside the errors
_LARGEST_DAMPING = 1e8


@part
def _gather(members, start, stop, x, y, rest, good, model, floor, slope, radius, pixels, values):  # type: ignore[no-untyped-def]
    """List the pixels of a group: row and column, value before its stars are added back, and weight; return the number."""
    ny, nx = rest.shape
    low_x, high_x, low_y, high_y = np.inf, -np.inf, np.inf, -np.inf
    for k in range(start, stop):
        star = members[k]
        low_x, high_x = min(low_x, x[star]), max(high_x, x[star])
        low_y, high_y = min(low_y, y[star]), max(high_y, y[star])
    count = 0
    for j in range(max(0, math.ceil(low_y - radius)), min(ny - 1, math.floor(high_y + radius)) + 1):
        for i in range(max(0, math.ceil(low_x - radius)), min(nx - 1, math.floor(high_x + radius)) + 1):
            if not good[j, i]:
                continue
            inside = False
            for k in range(start, stop):
                if (i - x[members[k]]) ** 2 + (j - y[members[k]]) ** 2 <= radius * radius:
                    inside = True
                    break
            if inside and count < pixels.shape[0]:
                pixels[count, 0], pixels[count, 1] = j, i
                values[count, 0] = rest[j, i]
                values[count, 1] = 1.0 / (floor[j, i] + slope * max(model[j, i], 0.0))
                count += 1
    return count


@part
def _add_back(members, start, stop, x, y, flux, shape, nodes, active, pixels, values, count):  # type: ignore[no-untyped-def]
    """Add the group's own stars to its pixels, each where it is active; later passes subtract the same ones."""
    for p in range(count):
        for k in range(start, stop):
            star = members[k]
            u, v = pixels[p, 1] - x[star], pixels[p, 0] - y[star]
            if u * u + v * v <= active * active:
                values[p, 0] += flux[star] * profile_value(u, v, shape, nodes)


@part
def _equations(  # type: ignore[no-untyped-def]
    parameters, origin, n, shape, nodes, active, pixels, values, count, normal, gradient, extra, near, terms
):
    """Fill the normal equations of a group (x, y, flux of each star) and what sky and shape do to them; return χ²."""
    size = 3 * n
    for i in range(size):
        gradient[i] = 0.0
        for j in range(size):
            normal[i, j] = 0.0
        for j in range(extra.shape[1]):
            extra[i, j] = 0.0
    square = 0.0
    by_shape = np.zeros(4)
    for p in range(count):
        value, weight = values[p, 0], values[p, 1]
        used = 0
        by_shape[:] = 0.0
        for k in range(n):
            u, v = pixels[p, 1] - origin[3 * k], pixels[p, 0] - origin[3 * k + 1]
            if u * u + v * v > active * active:
                continue
            flux = parameters[3 * k + 2]
            profile_terms(pixels[p, 1] - parameters[3 * k], pixels[p, 0] - parameters[3 * k + 1], shape, nodes, terms)
            near[used] = k
            value -= flux * terms[0]
            extra_terms = used * 3
            gradient[size + extra_terms] = flux * terms[1]
            gradient[size + extra_terms + 1] = flux * terms[2]
            gradient[size + extra_terms + 2] = terms[0]
            for s in range(4):
                by_shape[s] += flux * terms[3 + s]
            used += 1
        square += weight * value * value
        for one in range(used):
            for r in range(3):
                row = 3 * near[one] + r
                slope = weight * gradient[size + 3 * one + r]
                gradient[row] += slope * value
                for two in range(one + 1):
                    column = 3 * near[two]
                    for s in range(3):
                        normal[row, column + s] += slope * gradient[size + 3 * two + s]
                if extra.shape[1] > 0:
                    extra[row, 0] += slope
                    for s in range(4):
                        extra[row, 1 + s] += slope * by_shape[s]
    return square


@part
def _step(normal, gradient, size, damping, reduced, factor, step):  # type: ignore[no-untyped-def]
    """Fill the damped step; return its gain, NaN where the equations have no solution."""
    for i in range(size):
        step[i] = gradient[i]
        for j in range(i + 1):
            reduced[i, j] = normal[i, j]
        reduced[i, i] *= 1.0 + damping
    if not factorise(reduced, factor, size):
        return np.nan
    substitute(factor, step, size)
    gain = 0.0
    for i in range(size):
        gain += step[i] * gradient[i]
    return gain


@part
def _solve(origin, n, shape, nodes, active, bound, pixels, values, count, parameters, trial, work):  # type: ignore[no-untyped-def]
    """Fit one group in place; return whether it converged."""
    normal, other, gradient, turned, extra, near, terms, reduced, factor, step = work
    size = 3 * n
    square = _equations(
        parameters, origin, n, shape, nodes, active, pixels, values, count, normal, gradient, extra, near, terms
    )
    damping, passes = 1e-3, 1
    while passes < PASSES and damping < _LARGEST_DAMPING:
        gain = _step(normal, gradient, size, damping, reduced, factor, step)
        fine = not math.isnan(gain)
        for i in range(size):
            trial[i] = parameters[i] + step[i]
        for k in range(n):
            moved = math.hypot(trial[3 * k] - origin[3 * k], trial[3 * k + 1] - origin[3 * k + 1])
            fine = fine and moved <= bound and trial[3 * k + 2] > 0.0
        if not fine:
            damping = max(10.0 * damping, 0.01)
            continue
        new = _equations(trial, origin, n, shape, nodes, active, pixels, values, count, other, turned, extra, near, terms)
        passes += 1
        if new <= square * (1.0 + 1e-12):
            for i in range(size):
                parameters[i] = trial[i]
            normal, other = other, normal
            gradient, turned = turned, gradient
            square = new
            if damping <= 0.01 and gain <= _SETTLED:
                return True
            damping = max(0.1 * damping, 1e-9)
        else:
            damping = max(10.0 * damping, 0.01)
    return False


@kernel
def fit_groups(  # type: ignore[no-untyped-def]
    rest, good, model, floor, slope, members, first, x, y, flux, shape, nodes, reach, radius, active, bound, most, converged
):
    """Fit groups of stars one after the other, in place.

    Parameters
    ----------
    rest : (ny, nx) the frame without its sky and without any star, finite. Changed with every fitted group.
    good : (ny, nx) bool, pixels that are fitted.
    model : (ny, nx) sum of all stars at the call's start, for the weights.
    floor, slope : (ny, nx) variance without stars, and variance per unit of the model.
    members, first : star numbers group after group, and (groups + 1,) where each group begins.
    x, y, flux, reach : (n,) of all stars; those of members change. reach is how far a star is taken off.
    shape, nodes : as in `moffat.add_moffats`.
    radius, active : pixels within the first distance of a star are fitted, stars within the second of a pixel count there.
    bound : how far a star may move in a call.
    most : largest number of pixels of a group.
    converged : (n,) bool, changed for members.
    """
    largest = 0
    for g in range(first.size - 1):
        largest = max(largest, first[g + 1] - first[g])
    size = 3 * largest
    work = (
        np.zeros((size, size)), np.zeros((size, size)), np.zeros(2 * size), np.zeros(2 * size), np.zeros((size, 0)),
        np.zeros(largest, np.int64), np.zeros(TERMS), np.zeros((size, size)), np.zeros((size, size)), np.zeros(size),
    )  # fmt: skip
    pixels, values = np.zeros((most, 2), np.int64), np.zeros((most, 2))
    parameters, origin, trial = np.zeros(size), np.zeros(size), np.zeros(size)
    for g in range(first.size - 1):
        start, stop = first[g], first[g + 1]
        n = stop - start
        count = _gather(members, start, stop, x, y, rest, good, model, floor, slope, radius, pixels, values)
        for k in range(n):
            star = members[start + k]
            parameters[3 * k], parameters[3 * k + 1], parameters[3 * k + 2] = x[star], y[star], flux[star]
            origin[3 * k], origin[3 * k + 1] = x[star], y[star]
            converged[star] = False
        if count <= 3 * n:
            continue
        _add_back(members, start, stop, x, y, flux, shape, nodes, active, pixels, values, count)
        settled = _solve(origin, n, shape, nodes, active, bound, pixels, values, count, parameters, trial, work)
        for k in range(n):
            star = members[start + k]
            converged[star] = settled
            add_star(rest, x[star], y[star], flux[star], shape, nodes, reach[star])
            x[star], y[star], flux[star] = parameters[3 * k], parameters[3 * k + 1], parameters[3 * k + 2]
            add_star(rest, x[star], y[star], -flux[star], shape, nodes, reach[star])


@kernel
def group_errors(  # type: ignore[no-untyped-def]
    rest,
    good,
    model,
    floor,
    slope,
    members,
    first,
    x,
    y,
    flux,
    shape,
    nodes,
    radius,
    active,
    most,
    sky_error,
    shape_cov,
    out,
    sums,
):
    """Errors of fitted groups from the joint covariance, the sky's error and that of the shape.

    Parameters
    ----------
    rest … most : as in `fit_groups`, nothing is changed.
    sky_error : (n,) error of the sky at each star, one for all pixels of it.
    shape_cov : (4, 4) covariance of a, b, c, α.
    out : (n, 3) errors of x, y, flux; NaN where there are none.
    sums : (groups,) error of the sum of the fluxes of a group.
    """
    largest = 0
    for g in range(first.size - 1):
        largest = max(largest, first[g + 1] - first[g])
    size = 3 * largest
    normal, factor = np.zeros((size, size)), np.zeros((size, size))
    gradient, extra, column = np.zeros(2 * size), np.zeros((size, 5)), np.zeros(size)
    near, terms = np.zeros(largest, np.int64), np.zeros(TERMS)
    pixels, values = np.zeros((most, 2), np.int64), np.zeros((most, 2))
    parameters, effect, total = np.zeros(size), np.zeros((size, 5)), np.zeros(5)
    for g in range(first.size - 1):
        start, stop = first[g], first[g + 1]
        n = stop - start
        sums[g] = np.nan
        sky = 0.0
        for k in range(n):
            star = members[start + k]
            parameters[3 * k], parameters[3 * k + 1], parameters[3 * k + 2] = x[star], y[star], flux[star]
            sky = max(sky, sky_error[star])
            for s in range(3):
                out[star, s] = np.nan
        count = _gather(members, start, stop, x, y, rest, good, model, floor, slope, radius, pixels, values)
        if count <= 3 * n:
            continue
        _equations(
            parameters, parameters, n, shape, nodes, active, pixels, values, count, normal, gradient, extra, near, terms
        )
        if not factorise(normal, factor, 3 * n):
            continue
        for s in range(5):  # how the parameters answer to the sky and to the shape
            for i in range(3 * n):
                column[i] = extra[i, s]
            substitute(factor, column, 3 * n)
            for i in range(3 * n):
                effect[i, s] = column[i]
        summed = 0.0
        for i in range(3 * n):
            for j in range(3 * n):
                column[j] = 0.0
            column[i] = 1.0
            substitute(factor, column, 3 * n)
            variance = column[i] + (effect[i, 0] * sky) ** 2
            for r in range(4):
                for s in range(4):
                    variance += effect[i, 1 + r] * shape_cov[r, s] * effect[i, 1 + s]
            out[members[start + i // 3], i % 3] = math.sqrt(variance)
            if i % 3 == 2:
                for k in range(n):
                    summed += column[3 * k + 2]
        for s in range(5):
            total[s] = 0.0
            for k in range(n):
                total[s] += effect[3 * k + 2, s]
        summed += (total[0] * sky) ** 2
        for r in range(4):
            for s in range(4):
                summed += total[1 + r] * shape_cov[r, s] * total[1 + s]
        sums[g] = math.sqrt(summed)
