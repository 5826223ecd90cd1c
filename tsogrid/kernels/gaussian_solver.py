"""Levenberg–Marquardt on normal equations, for one source at a time, with weights that may follow the model.

A step is judged by χ² with the weights that it was computed with (χ² with weights that follow the model has its minimum
elsewhere than the unbiased solution of the equations). The iteration ends when the predicted gain of a step is far
below the statistical errors, or when the steps are as small as rounding.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import part
from tsogrid.kernels.gaussian_models import STRIDE, rotated_equations, upright_equations

# The last step, still taken, is at most this squared fraction of the error; the next one would be smaller by far.
_STEP_IN_ERRORS = 1e-6
_SMALLEST_STEP = 1e-11
_FIRST_DAMPING = 1e-4
_LAST_DAMPING = 1e10
SMALLEST_SIGMA = 0.1


@part
def copy_values(target, source):  # type: ignore[no-untyped-def]
    """Copy a 1-D array; assigning slices would compile numba's string formatting, for a message about shapes."""
    for i in range(source.size):
        target[i] = source[i]


@part
def factorise(matrix, factor, n):  # type: ignore[no-untyped-def]
    """Cholesky factor (lower) of the lower triangle of an n × n matrix; return whether it is positive definite."""
    for i in range(n):
        for j in range(i + 1):
            value = matrix[i, j]
            for k in range(j):
                value -= factor[i, k] * factor[j, k]
            if i > j:
                factor[i, j] = value / factor[j, j]
            elif value > 1e-14 * matrix[i, i]:
                factor[i, i] = math.sqrt(value)
            else:
                return False
    return True


@part
def substitute(factor, vector, n):  # type: ignore[no-untyped-def]
    """Solve in place with a Cholesky factor."""
    for i in range(n):
        for k in range(i):
            vector[i] -= factor[i, k] * vector[k]
        vector[i] /= factor[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            vector[i] -= factor[k, i] * vector[k]
        vector[i] /= factor[i, i]


@part
def allowed(parameters, rotated, ny, nx, width):  # type: ignore[no-untyped-def]
    """Whether the amplitude is positive, the centre inside the box and both widths between 0.1 pixel and the box."""
    x, y = parameters[2], parameters[3]
    if not (parameters[0] > 0 and -0.5 <= x <= nx - 0.5 and -0.5 <= y <= ny - 0.5):
        return False
    if rotated is not None:
        a, b, c = parameters[4], parameters[5], parameters[6]
        middle = 0.5 * (a + c)
        reach = math.sqrt((0.5 * (a - c)) ** 2 + b * b)
        large, small = middle + reach, middle - reach
        return small > 1.0 / (width * width) and large < 1.0 / (SMALLEST_SIGMA * SMALLEST_SIGMA)
    return SMALLEST_SIGMA < parameters[4] < width and SMALLEST_SIGMA < parameters[5] < width


@part
def _equations(  # type: ignore[no-untyped-def]
    rotated, parameters, ny, nx, value, base, old_weight, weight, noise, reweight, column, line, sums, normal, gradient
):
    if rotated is not None:
        return rotated_equations(
            parameters, ny, nx, value, base, old_weight, weight, noise, reweight, column, line, sums, normal, gradient
        )
    return upright_equations(
        parameters, ny, nx, value, base, old_weight, weight, noise, reweight, column, line, sums, normal, gradient
    )


@part
def _damped_step(normal, gradient, free, damping, reduced, factor, step):  # type: ignore[no-untyped-def]
    """Fill step (one value per free parameter); return the gain g·step, NaN if there is no solution."""
    n = free.size
    for i in range(n):
        step[i] = gradient[free[i]]
        for j in range(i + 1):
            reduced[i, j] = normal[free[i], free[j]]
        reduced[i, i] *= 1.0 + damping
    if not factorise(reduced, factor, n):
        return np.nan
    substitute(factor, step, n)
    gain = 0.0
    for i in range(n):
        gain += step[i] * gradient[free[i]]
    return gain


@part
def _is_rounding(step, free, parameters, rotated):  # type: ignore[no-untyped-def]
    """Whether every step is below the smallest that counts, relative to amplitude and inverse widths."""
    for i in range(free.size):
        k = free[i]
        unit = 1.0
        if k < 2:
            unit = abs(parameters[0])
        elif rotated is not None and k >= 4:
            unit = parameters[4] + parameters[6]
        if not abs(step[i]) <= _SMALLEST_STEP * unit:
            return False
    return True


@part
def solve(  # type: ignore[no-untyped-def]
    parameters, free, rotated, ny, nx, width, value, base, weights, noise, reweight, scale_errors, limit, work, covariance
):
    """Fit in place; fill the covariance of all parameters (0 for fixed ones).

    Returns which of the two arrays of weights holds those of the solution, or -1 if the fit did not converge.

    Parameters
    ----------
    parameters : start values, then the solution.
    free : indices of the parameters that are fitted.
    rotated : True, or None for an upright Gaussian, whose code then has nothing of the other.
    value, base, noise, reweight : as in `gaussian_models.upright_equations`.
    weights : (2, ny, padded) scratch.
    scale_errors : whether weights are only relative, so that the covariance is scaled by χ² per degree of freedom.
    limit : largest number of passes.
    work : tuple of scratch arrays made by `solver_work`.
    covariance : (7, 7), overwritten.
    """
    column, line, sums, normal, other_normal, gradient, other_gradient, trial, step, reduced, factor = work
    n = free.size
    count = 0
    for j in range(ny):
        for i in range(nx):
            count += base[j, i] > 0
    if count <= n or not allowed(parameters, rotated, ny, nx, width):
        return -1
    current = 0
    if not reweight:
        for j in range(base.shape[0]):
            copy_values(weights[0, j], base[j])
            copy_values(weights[1, j], base[j])
    else:
        weights[1] = 0.0
    column[:] = 0.0
    _, square = _equations(
        rotated,
        parameters,
        ny,
        nx,
        value,
        base,
        weights[1],
        weights[0],
        noise,
        reweight,
        column,
        line,
        sums,
        normal,
        gradient,
    )
    damping = _FIRST_DAMPING
    passes = 1
    while passes <= limit and damping < _LAST_DAMPING:
        gain = _damped_step(normal, gradient, free, damping, reduced, factor, step)
        scale = square / (count - n) if scale_errors else 1.0
        copy_values(trial, parameters)
        for i in range(n):
            trial[free[i]] += step[i]
        if math.isnan(gain) or not allowed(trial, rotated, ny, nx, width):
            damping = max(10.0 * damping, 0.01)
            continue
        # A step shortened by damping says nothing about the distance to the solution.
        if damping <= 0.01 and (gain <= _STEP_IN_ERRORS * scale or _is_rounding(step, free, parameters, rotated)):
            copy_values(parameters, trial)
            return current if _fill_covariance(normal, free, scale, reduced, factor, step, covariance) else -1
        old_square, new_square = _equations(
            rotated,
            trial,
            ny,
            nx,
            value,
            base,
            weights[current],
            weights[1 - current],
            noise,
            reweight,
            column,
            line,
            sums,
            other_normal,
            other_gradient,
        )
        passes += 1
        if old_square <= square * (1 + 1e-12):
            copy_values(parameters, trial)
            square = new_square
            current = 1 - current
            normal, other_normal = other_normal, normal
            gradient, other_gradient = other_gradient, gradient
            damping = max(0.1 * damping, 1e-7)
        else:
            damping = max(10.0 * damping, 0.01)
    return -1


@part
def _fill_covariance(normal, free, scale, reduced, factor, step, covariance):  # type: ignore[no-untyped-def]
    n = free.size
    covariance[:] = 0.0
    for i in range(n):
        for j in range(i + 1):
            reduced[i, j] = normal[free[i], free[j]]
    if not factorise(reduced, factor, n):
        return False
    for i in range(n):
        step[:] = 0.0
        step[i] = 1.0
        substitute(factor, step, n)
        for j in range(n):
            covariance[free[j], free[i]] = scale * step[j]
        if not (math.isfinite(covariance[free[i], free[i]]) and covariance[free[i], free[i]] > 0):
            return False
    return True


def solver_work(padded: int) -> tuple[NDArray[np.float64], ...]:
    """Scratch arrays of `solve` for boxes of at most this many (padded) pixels a side."""
    shapes: list[tuple[int, ...]] = [(5, padded + 1), (5, padded + 1), (16 * STRIDE,), (7, 7), (7, 7)]
    return tuple(np.zeros(shape) for shape in [*shapes, (7,), (7,), (7,), (7,), (7, 7), (7, 7)])
