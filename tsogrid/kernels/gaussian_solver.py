"""Levenberg–Marquardt on normal equations, one source in each lane, with weights that may follow the model.

A step is judged by χ² with the weights that it was computed with (χ² with weights that follow the model has its minimum
elsewhere than the unbiased solution of the equations). The iteration ends when the predicted gain of a step is far
below the statistical errors, or the next step's would be, or when the steps are as small as rounding. A lane that has ended
keeps what it found while the others go on; every lane takes the steps that it would take alone.
"""

import math
from functools import partial

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.gaussian_models import PARAMETERS, SCRATCH, TRIANGLE, upright_equations
from tsogrid.kernels.gaussian_rotated import rotated_equations
from tsogrid.kernels.vectors import any_of, read, spread, where, write

# The last step, still taken, is at most this fraction of the error; the next one would be smaller by far.
_STEP_IN_ERRORS = 1e-3
# Or the next one is expected to be at most this fraction; the second where only the noise will be fitted with what is found.
_NEXT_STEP, _NEXT_STEP_BEFORE = 1e-5, 3e-3
# A step of s errors that changes the shape by the fraction q leaves about q·s for the next one, as the model is not straight
# in its parameters, and some q more, as the residuals are not zero.
_RESIDUAL = 4.0
# Damping leaves this times itself, for parameters that are correlated.
_CORRELATED = 10.0
_SMALLEST_STEP = 1e-11
_FIRST_DAMPING = 1e-4
_LAST_DAMPING = 1e10
SMALLEST_SIGMA = 0.1


@part
def _factorise(normal, free, damping, n, factor):  # type: ignore[no-untyped-def]
    """Cholesky factor, its diagonal inverted, of the damped matrix; return where it is positive definite.

    Rows and columns of parameters that are not free are those of the unit matrix.
    """
    good = damping >= 0.0
    for i in range(n):
        row = i * (i + 1) // 2
        for j in range(i + 1):
            column = j * (j + 1) // 2
            value = spread(0.0)
            if free[i] and free[j]:
                value = read(normal, row + j)
            if i == j:
                value = value * (1.0 + damping) if free[i] else spread(1.0)
            diagonal = value
            for k in range(j):
                value -= read(factor, row + k) * read(factor, column + k)
            if i > j:
                write(factor, row + j, value * read(factor, column + j))
            else:
                positive = value > 1e-14 * diagonal
                good = good & positive
                write(factor, row + i, 1.0 / math.sqrt(where(positive, value, 1.0)))
    return good


@part
def _substitute(factor, vector, n):  # type: ignore[no-untyped-def]
    """Solve in place with a factor of `_factorise`."""
    for i in range(n):
        row = i * (i + 1) // 2
        value = read(vector, i)
        for k in range(i):
            value -= read(factor, row + k) * read(vector, k)
        write(vector, i, value * read(factor, row + i))
    for i in range(n - 1, -1, -1):
        value = read(vector, i)
        for k in range(i + 1, n):
            value -= read(factor, k * (k + 1) // 2 + i) * read(vector, k)
        write(vector, i, value * read(factor, i * (i + 1) // 2 + i))


@part
def _allowed(parameters, rotated, limits, width):  # type: ignore[no-untyped-def]
    """Where the amplitude is positive, the centre inside the box and both widths between 0.1 pixel and the box."""
    x, y = read(parameters, 2), read(parameters, 3)
    inside = (x >= read(limits, 0)) & (x <= read(limits, 1)) & (y >= read(limits, 2)) & (y <= read(limits, 3))
    inside = inside & (read(parameters, 0) > 0.0)
    if rotated is not None:
        a, b, c = read(parameters, 4), read(parameters, 5), read(parameters, 6)
        middle, half = 0.5 * (a + c), 0.5 * (a - c)
        reach = math.sqrt(half * half + b * b)
        large, small = middle + reach, middle - reach
        return inside & (small > 1.0 / (width * width)) & (large < 1.0 / (SMALLEST_SIGMA * SMALLEST_SIGMA))
    for k in range(4, 6):
        sigma = read(parameters, k)
        inside = inside & (sigma > SMALLEST_SIGMA) & (sigma < width)
    return inside


@partial(part, forceinline=True)
def _equations(  # type: ignore[no-untyped-def]
    rotated, parameters, moved, ny, nx, value, base, old_weight, weight, noise, reweight, column, line, normal, gradient
):
    if rotated is not None:
        return rotated_equations(
            parameters, ny, nx, value, base, old_weight, weight, noise, reweight, column, line, normal, gradient
        )
    return upright_equations(
        parameters, moved, ny, nx, value, base, old_weight, weight, noise, reweight, column, line, normal, gradient
    )


@part
def _is_rounding(step, free, n, parameters, rotated):  # type: ignore[no-untyped-def]
    """Where every step is below the smallest that counts, relative to amplitude and inverse widths."""
    amplitude = abs(read(parameters, 0))
    shape = spread(1.0)
    if rotated is not None:
        shape = read(parameters, 4) + read(parameters, 6)
    small = amplitude >= 0.0
    for k in range(n):
        if free[k]:
            unit = spread(1.0)
            if k < 2:
                unit = amplitude
            elif k >= 4:
                unit = shape
            small = small & (abs(read(step, k)) <= _SMALLEST_STEP * unit)
    return small


@part
def _largest(step, first, count):  # type: ignore[no-untyped-def]
    largest = abs(read(step, first))
    for k in range(first + 1, first + count):
        size = abs(read(step, k))
        largest = where(size > largest, size, largest)
    return largest


@part
def _change(step, parameters, rotated):  # type: ignore[no-untyped-def]
    """By which fraction, about, a step changes the height, the place (in widths) and the widths."""
    change = abs(read(step, 0)) / read(parameters, 0)
    if rotated is not None:
        a, b, c = read(parameters, 4), read(parameters, 5), read(parameters, 6)
        # Bounds: the inverse covariance is at most a + c, and its inverse at most that over the determinant.
        move, grow = _largest(step, 2, 2) * math.sqrt(a + c), 0.5 * _largest(step, 4, 3) * (a + c) / (a * c - b * b)
        change = where(move > change, move, change)
        return where(grow > change, grow, change)
    for k in range(2, 4):
        inverse = 1.0 / read(parameters, k + 2)
        move, grow = abs(read(step, k)) * inverse, abs(read(step, k + 2)) * inverse
        change = where(move > change, move, change)
        change = where(grow > change, grow, change)
    return change


@part
def _keep(mask, target, source, n):  # type: ignore[no-untyped-def]
    """Copy the first vectors of an array, only where the mask is true."""
    for k in range(n):
        write(target, k, where(mask, read(source, k), read(target, k)))


@part
def solve(  # type: ignore[no-untyped-def]
    running, parameters, free, rotated, ny, nx, width, limits, value, base, weights, noise, reweight, scale_errors, limit,
    before, after, work, scales
):  # fmt: skip
    """Fit in place where ``running`` is true; return where a solution was found.

    Parameters
    ----------
    parameters : (7, LANES) start values, then the solution.
    free : (7,) whether each parameter is fitted.
    rotated : True, or None for an upright Gaussian, whose code then has nothing of the other.
    limits : (5, LANES) range of x, range of y, and number of good pixels.
    value, base, noise, reweight : as in `gaussian_models.upright_equations`.
    weights : two times (ny · nx, LANES) scratch; not used if weights do not follow the model.
    scale_errors : whether weights are only relative, so that the covariance is scaled by χ² per degree of freedom.
    limit : largest number of passes.
    before : whether the noise will be fitted again, with what is found here, and then the source once more.
    after : whether that has happened, and left the profiles of an upright Gaussian in ``work``.
    work : tuple of scratch arrays made by `solver_work`; the first takes the normal equations of the last pass.
    scales : (1, LANES), overwritten by what the covariance has to be multiplied by.
    """
    normal, other_normal, gradient, other_gradient, trial, step, factor, column, line = work
    n = 6 if rotated is None else 7
    unknown = 0
    for k in range(n):
        unknown += free[k]
    count = read(limits, 4)
    running = running & (count > unknown) & _allowed(parameters, rotated, limits, width)
    found = running & ~running
    old, new = weights
    if not reweight:
        old, new = base, base
    next_step = _NEXT_STEP_BEFORE if before else _NEXT_STEP
    damping, square = spread(_FIRST_DAMPING), spread(0.0)
    passes, moved = 0, not after
    for k in range(n):
        write(trial, k, read(parameters, k))
    while passes < limit and any_of(running):
        old_square, new_square = _equations(
            rotated, trial, moved, ny, nx, value, base, old, new, noise, reweight, column, line, other_normal, other_gradient
        )
        better, worse = running, running & ~running
        if passes > 0:
            better = running & (old_square <= square * (1 + 1e-12))
            worse = running & ~better
            damping = where(better, where(damping > 1e-6, 0.1 * damping, 1e-7), damping)
            damping = where(worse, where(damping > 1e-3, 10.0 * damping, 0.01), damping)
        passes, moved = passes + 1, True
        _keep(better, parameters, trial, n)
        _keep(better, normal, other_normal, n * (n + 1) // 2)
        _keep(better, gradient, other_gradient, n)
        square = where(better, new_square, square)
        running = running & (damping < _LAST_DAMPING)
        if reweight:
            if any_of(worse):
                _keep(worse, new, old, ny * nx)
            old, new = new, old
        bad, gain = running, spread(0.0)
        while any_of(bad):
            solved = _factorise(normal, free, damping, n, factor)
            for k in range(n):
                write(step, k, read(gradient, k) if free[k] else spread(0.0))
            _substitute(factor, step, n)
            gain = spread(0.0)
            for k in range(n):
                change = read(step, k)
                gain += change * read(gradient, k)
                write(trial, k, read(parameters, k) + where(running, change, 0.0))
            bad = running & ~(solved & (gain == gain) & _allowed(trial, rotated, limits, width))
            damping = where(bad, where(damping > 1e-3, 10.0 * damping, 0.01), damping)
            running = running & (damping < _LAST_DAMPING)
        scale = square / (count - unknown) if scale_errors else spread(1.0)
        size = math.sqrt(gain / scale)
        following = _change(step, parameters, rotated) * (size + _RESIDUAL) + _CORRELATED * damping * size
        # A step shortened by damping says nothing about the distance to the solution.
        last = (size <= _STEP_IN_ERRORS) | (following <= next_step) | _is_rounding(step, free, n, parameters, rotated)
        last = running & (damping <= 0.01) & last
        _keep(last, parameters, trial, n)
        write(scales, 0, where(last, scale, read(scales, 0)))
        found, running = found | last, running & ~last
    return found


@part
def invert(normal, free, n, factor, step, covariance):  # type: ignore[no-untyped-def]
    """Fill covariance, (7, 7, LANES), with the inverse, 0 for parameters that are not free; return where there is one."""
    good = _factorise(normal, free, spread(0.0), n, factor)
    covariance[:] = 0.0
    for i in range(n):
        if not free[i]:
            continue
        for k in range(n):
            write(step, k, 1.0 if k == i else 0.0)
        _substitute(factor, step, n)
        for k in range(n):
            write(covariance, 7 * k + i, read(step, k))
        variance = read(step, i)
        good = good & (variance > 0.0) & (variance < np.inf)
    return good


@part
def solver_size(ny, nx):  # type: ignore[no-untyped-def]
    """How many vectors `solver_work` takes for boxes of this many rows and columns."""
    return 3 * TRIANGLE + 4 * PARAMETERS + SCRATCH * (nx + ny)


@part
def room(scratch, first, count):  # type: ignore[no-untyped-def]
    """Some vectors of a large array."""
    return scratch[first : first + count]


@part
def solver_work(scratch, first, ny, nx):  # type: ignore[no-untyped-def]
    """Scratch arrays of `solve`, from a vector of a large array on."""
    gradient = first + 2 * TRIANGLE
    factor = gradient + 4 * PARAMETERS
    column = factor + TRIANGLE
    return (
        room(scratch, first, TRIANGLE),
        room(scratch, first + TRIANGLE, TRIANGLE),
        room(scratch, gradient, PARAMETERS),
        room(scratch, gradient + PARAMETERS, PARAMETERS),
        room(scratch, gradient + 2 * PARAMETERS, PARAMETERS),
        room(scratch, gradient + 3 * PARAMETERS, PARAMETERS),
        room(scratch, factor, TRIANGLE),
        room(scratch, column, SCRATCH * nx),
        room(scratch, column + SCRATCH * nx, SCRATCH * ny),
    )
