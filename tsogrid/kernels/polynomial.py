"""A robust polynomial along one line of pixels: three fits, each to the points near the fit before.

A pass keeps the points whose residual is smaller than three median absolute residuals (about zero, unscaled), chosen anew
from all points of the line. The polynomial is a sum of polynomials that are orthogonal on the kept points (G. E. Forsythe
1957, J. SIAM 5, 74): their three-term recurrence needs no normal equations and stays stable at degree 5, however the points
lie. A constant or a straight line has the same terms, found in one pass of sums. Abscissas count from the middle of the
line's own points, so that the bits do not depend on the box around them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import part
from tsogrid.kernels.statistics import INDEX, SAMPLE, center_value, guess_rank, infinity_key, key_of, ranked_keys, value_of

PASSES = 3
REACH = 3.0  # median absolute residuals
LARGEST_ORDER = 5
_ROUNDING = 1e-13  # of the fitted values: a residual below it is rounding, and no outlier
_SLOPE = 2.33  # of normal values: change of the median |residual| from rank to rank, times their number, over itself
# Rows of the work array of one line.
ABSCISSA, VALUE, RESIDUAL, KEPT, _REST, _POLYNOMIAL, _BEFORE = range(7)


def line_work(length: int) -> NDArray[np.float64]:
    """Scratch for lines of at most ``length`` points."""
    return np.zeros((7, length + SAMPLE))


def _summing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile loops whose sums may run in whole vectors; no point is NaN."""
    return part(function, fastmath={"reassoc", "contract", "nsz"})


@part
def largest_value(keys):  # type: ignore[no-untyped-def]
    """Largest value that has a key: a residual of huge pixels may be beyond it."""
    return np.float64(value_of(keys.dtype.type(infinity_key(keys) - 1)))


def least_points(order: int) -> int:
    """Number of points below which a line has no polynomial: three, or as many as there are coefficients."""
    return max(3, order + 1)


@_summing
def _straight_sums(work, n, reach):  # type: ignore[no-untyped-def]
    """Moments of the kept points that a constant or a straight line needs."""
    abscissa, value, residual = work[ABSCISSA], work[VALUE], work[RESIDUAL]
    count, first, second, total, moment = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        u, v = abscissa[INDEX(i)], value[INDEX(i)]
        keep = 1.0 if residual[INDEX(i)] < reach else 0.0
        count += keep
        first += keep * u
        second += keep * (u * u)
        total += keep * v
        moment += keep * (u * v)
    return count, first, second, total, moment


@_summing
def _straight_residuals(work, n, level, slope, keys):  # type: ignore[no-untyped-def]
    abscissa, value, residual = work[ABSCISSA], work[VALUE], work[RESIDUAL]
    largest = largest_value(keys)
    for i in range(n):
        distance = abs(value[INDEX(i)] - (level + slope * abscissa[INDEX(i)]))
        residual[INDEX(i)] = distance
        keys[INDEX(i)] = key_of(distance if distance < largest else largest, keys)


@_summing
def _keep(work, n, reach):  # type: ignore[no-untyped-def]
    """Write 1 for the points within reach, 0 for the others; return their number."""
    residual, kept = work[RESIDUAL], work[KEPT]
    count = 0.0
    for i in range(n):
        keep = 1.0 if residual[INDEX(i)] < reach else 0.0
        kept[INDEX(i)] = keep
        count += keep
    return count


@_summing
def _orthogonal_sums(work, n):  # type: ignore[no-untyped-def]
    """Σ p², Σ u p² and Σ p v over the kept points."""
    abscissa, kept, rest, polynomial = work[ABSCISSA], work[KEPT], work[_REST], work[_POLYNOMIAL]
    norm, shift, projection = 0.0, 0.0, 0.0
    for i in range(n):
        p = polynomial[INDEX(i)]
        square = kept[INDEX(i)] * (p * p)
        norm += square
        shift += abscissa[INDEX(i)] * square
        projection += kept[INDEX(i)] * (p * rest[INDEX(i)])
    return norm, shift, projection


@_summing
def _advance(work, n, shift, ratio, coefficient):  # type: ignore[no-untyped-def]
    """Take the k-th term off the rest, and make p(k+1) = (u − shift) p(k) − ratio p(k−1)."""
    abscissa, rest, polynomial, before = work[ABSCISSA], work[_REST], work[_POLYNOMIAL], work[_BEFORE]
    for i in range(n):
        p = polynomial[INDEX(i)]
        rest[INDEX(i)] -= coefficient * p
        polynomial[INDEX(i)] = (abscissa[INDEX(i)] - shift) * p - ratio * before[INDEX(i)]
        before[INDEX(i)] = p


@_summing
def _general_residuals(work, n, keys):  # type: ignore[no-untyped-def]
    """Fill residuals and their keys; return the largest fitted value."""
    value, residual, rest = work[VALUE], work[RESIDUAL], work[_REST]
    largest, size = largest_value(keys), 0.0
    for i in range(n):
        distance = abs(rest[INDEX(i)])
        residual[INDEX(i)] = distance
        keys[INDEX(i)] = key_of(distance if distance < largest else largest, keys)
        fitted = abs(value[INDEX(i)] - rest[INDEX(i)])
        size = fitted if fitted > size else size
    return size


@part
def _fit_straight(work, n, order, reach, terms, last, keys):  # type: ignore[no-untyped-def]
    """One fit of degree 0 or 1; unless it is the last, residuals for the next. Returns the size of the fitted values."""
    count, first, second, total, moment = _straight_sums(work, n, reach)
    middle, level, slope = first / count, total / count, 0.0
    terms[0, 0], terms[1, 0], terms[2, 0] = middle, 0.0, level
    if order > 0:
        slope = (moment - middle * total) / (second - middle * first)
        terms[0, 1], terms[1, 1], terms[2, 1] = 0.0, 0.0, slope
        level -= slope * middle
    if not last:
        _straight_residuals(work, n, level, slope, keys)
    return abs(level) + abs(slope * work[ABSCISSA, 0])


@part
def _fit_general(work, n, order, reach, terms, last, keys):  # type: ignore[no-untyped-def]
    """One fit of any degree; as `_fit_straight`."""
    _keep(work, n, reach)
    for i in range(n):
        work[_REST, i], work[_POLYNOMIAL, i], work[_BEFORE, i] = work[VALUE, i], 1.0, 0.0
    before = 1.0
    for k in range(order + 1):
        norm, shift, projection = _orthogonal_sums(work, n)
        terms[0, k], terms[1, k], terms[2, k] = shift / norm, (norm / before if k > 0 else 0.0), projection / norm
        before = norm
        _advance(work, n, terms[0, k], terms[1, k], terms[2, k])
    return 0.0 if last else _general_residuals(work, n, keys)


@part
def median_residual(keys, n, guess):  # type: ignore[no-untyped-def]
    """Median of ``n`` values that are not negative, from their keys; ``guess`` (0: none) saves passes, no more."""
    rank = (n - 1) // 2
    pair = n % 2 == 0
    if guess > 0.0:
        pivot, slope = key_of(guess, keys), _SLOPE * guess / n
    else:
        pivot, slope = guess_rank(keys, n, n, rank)
    first, second = ranked_keys(keys, n, n, rank, pair, pivot, slope)
    return center_value(first, second if pair else first)


@part
def robust_polynomial(work, n, order, guess, terms, keys):  # type: ignore[no-untyped-def]
    """Fit the points of a line; return the reach that chose the points of the last fit, and the first median residual.

    Parameters
    ----------
    work : from `line_work`; the first ``n`` of the rows ABSCISSA and VALUE are the points. Those whose RESIDUAL is below the
        returned reach, afterwards, are the ones that the last fit was made to.
    n : number of points, at least `least_points`.
    order : degree of the polynomial.
    guess : first guess of the median residual, 0 for none; it changes no number.
    terms : (3, order + 1), overwritten: shift and ratio of the recurrence, and coefficient, of every orthogonal polynomial.
    keys : scratch for ``n`` and a sample, of the integers that set the precision of the median.
    """
    for i in range(n):
        work[RESIDUAL, i] = 0.0
    reach, guess_of_line = np.inf, guess
    for attempt in range(PASSES):
        last = attempt == PASSES - 1
        if order < 2:
            size = _fit_straight(work, n, order, reach, terms, last, keys)
        else:
            size = _fit_general(work, n, order, reach, terms, last, keys)
        if last:
            break
        guess = median_residual(keys, n, guess)
        guess_of_line = guess if attempt == 0 else guess_of_line
        reach = max(REACH * guess, _ROUNDING * size + 1e-300)
        # Half of the points are always within reach; where that is too few for the polynomial, all of them are.
        if order >= 2 and _keep(work, n, reach) <= order:
            reach = np.inf
    return reach, guess_of_line


@part
def take_off(values, start, step, length, middle, terms, order):  # type: ignore[no-untyped-def]
    """Subtract a polynomial from ``length`` places of a flat array; its abscissa is 0 at place ``middle``."""
    if order < 2:
        slope = terms[2, 1] if order > 0 else 0.0
        level = terms[2, 0] - slope * terms[0, 0]
        for i in range(length):
            values[INDEX(start + i * step)] -= level + slope * (i - middle)
        return
    for i in range(length):
        u = i - middle
        before, polynomial, total = 0.0, 1.0, 0.0
        for k in range(order + 1):
            total += terms[2, k] * polynomial
            before, polynomial = polynomial, (u - terms[0, k]) * polynomial - terms[1, k] * before
        values[INDEX(start + i * step)] -= total
