"""Robust polynomials along eight lines of pixels at once: three fits, each to the points near the fit before.

A pass keeps the points whose residual is smaller than three median absolute residuals (about zero, unscaled), chosen anew
from all points of the line. The polynomial is a sum of polynomials that are orthogonal on the kept points (G. E. Forsythe
1957, J. SIAM 5, 74): their three-term recurrence needs no normal equations and stays stable at degree 5, however the points
lie. A constant or a straight line has the same terms, found in one pass of sums. Abscissas count from the middle of the
line's own points, so that the bits do not depend on the box around them. A line is a lane: it goes through the same
operations whatever its neighbours are.

Residuals are kept in single precision, rounded from double, which halves the work of their medians and is nearly always
enough to tell which of them are within reach: none lies between the two ends that the reach may have. Where one does,
double precision decides, so that no number depends on it.
"""

import numpy as np

from tsogrid.kernels.compile import by_type, part
from tsogrid.kernels.line_medians import MEAN_TO_MEDIAN, bracket_of_lines, count_lines, limits_of_lines, median_of_line
from tsogrid.kernels.line_points import EVEN, ODD, PLACES, REST, SIZES, VALUES, part_of
from tsogrid.kernels.statistics import INDEX
from tsogrid.kernels.vectors import (
    WIDTH,
    add_bits,
    any_of,
    as_double,
    as_single,
    counted,
    fill,
    fused,
    load,
    load_bits,
    no_count,
    store,
    where,
    with_lane,
)

PASSES = 3
REACH = 3.0  # median absolute residuals
LARGEST_ORDER = 5
_SINGLE = 2.0**-23  # more than the rounding of a number to single precision changes it
_SMALL, _LARGE = 1e-35, 1e37  # between them single precision rounds so
_ROUNDING = 1e-13  # of the fitted values: a residual below it is rounding, and no outlier
# A line's terms, eight lines side by side: where its abscissa is 0, which residuals the last fit kept, the last fit but one
# and the last. A fit is level and slope, or the shift and ratio of the recurrence and the coefficient of each polynomial.
MIDDLE, _REACH, _BEFORE = 0, 1, 2
LAST = _BEFORE + 3 * (LARGEST_ORDER + 1)
TERMS = LAST + 3 * (LARGEST_ORDER + 1)


def least_points(order: int) -> int:
    """Number of points below which a line has no polynomial: three, or as many as there are coefficients."""
    return max(3, order + 1)


@by_type
def _abscissa(place, middle):  # type: ignore[no-untyped-def]
    """Of a row of points, in every line; ``middle`` is a vector, or a number where places count from it already."""
    if hasattr(middle, "element"):
        return lambda place, middle: place - middle
    return lambda place, middle: fill(place)


@part
def _sums(work, singles, rows, middle, near, far):  # type: ignore[no-untyped-def]
    """Σ 1, Σ u, Σ u², Σ v and Σ u v over the points whose size is at most ``near``; whether as many are at most ``far``."""
    places, values, zero = part_of(work, PLACES), part_of(work, VALUES), fill(0.0)
    count, more, first, second, total, moment = no_count(), no_count(), zero, zero, zero, zero
    for k in range(rows):
        single = load(singles, INDEX(WIDTH * k))
        u, value, keep = _abscissa(work[INDEX(places + k)], middle), load(work, INDEX(values + WIDTH * k)), single <= near
        count, more = counted(count, keep), counted(more, single <= far)
        first = where(keep, first + u, first)
        second = where(keep, fused(u, u, second), second)
        total = where(keep, total + value, total)
        moment = where(keep, fused(u, value, moment), moment)
    return (as_double(count), first, second, total, moment), as_single(count) == as_single(more)


@part
def _kept_sums(work, singles, rows, origin, whole, near, far):  # type: ignore[no-untyped-def]
    """`_sums`, with fewer instructions where no point is missing."""
    if whole:
        return _sums(work, singles, rows, 0.0, near, far)
    return _sums(work, singles, rows, origin, near, far)


@part
def _straight_residuals(work, singles, rows, middle, level, slope, pivot):  # type: ignore[no-untyped-def]
    """Fill the residuals' sizes; count those up to a pivot."""
    places, values, count = part_of(work, PLACES), part_of(work, VALUES), no_count()
    for k in range(rows):
        fitted = fused(slope, _abscissa(work[INDEX(places + k)], middle), level)
        size = abs(as_single(load(work, INDEX(values + WIDTH * k)) - fitted))
        store(singles, INDEX(WIDTH * k), size)
        count = counted(count, size <= pivot)
    return as_single(count)


@part
def _fit_straight(order, sums, terms, at):  # type: ignore[no-untyped-def]
    """Level and slope of degree 0 or 1."""
    count, first, second, total, moment = sums
    mean, level, slope = first / count, total / count, fill(0.0)
    if order > 0:
        slope = (moment - mean * total) / (second - mean * first)
        level = level - slope * mean
    store(terms, INDEX(WIDTH * at), level)
    store(terms, INDEX(WIDTH * (at + 1)), slope)
    return level, slope


@part
def _second_sums(work, rows, middle, near, singles, newer, older, shift, coefficient):  # type: ignore[no-untyped-def]
    """`_next_sums` after the polynomial of degree 0, which is 1."""
    places, values, rest, zero = part_of(work, PLACES), part_of(work, VALUES), part_of(work, REST), fill(0.0)
    norm, moment, projection = zero, zero, zero
    for k in range(rows):
        place = WIDTH * k
        u, value = work[INDEX(places + k)] - middle, load(work, INDEX(values + place))
        left = where(value == value, value, zero) - coefficient
        p = u - shift
        store(work, INDEX(rest + place), left)
        store(work, INDEX(older + place), p)
        store(work, INDEX(newer + place), fill(1.0))
        p = where(load(singles, INDEX(place)) <= near, p, zero)
        norm = fused(p, p, norm)
        moment = fused(u * p, p, moment)
        projection = fused(p, left, projection)
    return norm, moment, projection


@part
def _next_sums(work, rows, middle, near, singles, newer, older, shift, ratio, coefficient):  # type: ignore[no-untyped-def]
    """Take the term before off the rest and make the next polynomial; Σ p², Σ u p² and Σ p rest over the kept points."""
    places, rest, zero = part_of(work, PLACES), part_of(work, REST), fill(0.0)
    norm, moment, projection = zero, zero, zero
    for k in range(rows):
        place = WIDTH * k
        p, u = load(work, INDEX(newer + place)), work[INDEX(places + k)] - middle
        left = fused(0.0 - coefficient, p, load(work, INDEX(rest + place)))
        p = fused(u - shift, p, 0.0 - ratio * load(work, INDEX(older + place)))
        store(work, INDEX(rest + place), left)
        store(work, INDEX(older + place), p)
        p = where(load(singles, INDEX(place)) <= near, p, zero)
        norm = fused(p, p, norm)
        moment = fused(u * p, p, moment)
        projection = fused(p, left, projection)
    return norm, moment, projection


@part
def _general_residuals(work, singles, rows, newer, coefficient):  # type: ignore[no-untyped-def]
    """Fill the residuals' sizes; return the largest fitted value."""
    values, rest, largest = part_of(work, VALUES), part_of(work, REST), fill(0.0)
    for k in range(rows):
        place = WIDTH * k
        left = fused(0.0 - coefficient, load(work, INDEX(newer + place)), load(work, INDEX(rest + place)))
        value = load(work, INDEX(values + place))
        fitted = abs(value - left)
        store(singles, INDEX(place), as_single(where(value == value, abs(left), value)))
        largest = where(fitted > largest, fitted, largest)
    return largest


@part
def _fit_general(work, singles, rows, middle, near, order, sums, terms, at):  # type: ignore[no-untyped-def]
    """One fit of any degree; what its residuals are made of."""
    norm, moment, _, projection, _ = sums
    newer, older, ratio = part_of(work, EVEN), part_of(work, ODD), fill(0.0)
    coefficient = ratio
    for k in range(order + 1):
        shift, coefficient = moment / norm, projection / norm
        store(terms, INDEX(WIDTH * (at + 3 * k)), shift)
        store(terms, INDEX(WIDTH * (at + 3 * k + 1)), ratio)
        store(terms, INDEX(WIDTH * (at + 3 * k + 2)), coefficient)
        before = norm
        if k == 0:
            norm, moment, projection = _second_sums(work, rows, middle, near, singles, newer, older, shift, coefficient)
        elif k < order:
            norm, moment, projection = _next_sums(work, rows, middle, near, singles, newer, older, shift, ratio, coefficient)
        if k < order:
            newer, older, ratio = older, newer, norm / before
    return newer, coefficient


@part
def _left_before(terms, order, u, value):  # type: ignore[no-untyped-def]
    """What the last fit but one leaves of a value, by the same operations as the fit did."""
    if order < 2:
        return value - fused(load(terms, INDEX(WIDTH * (_BEFORE + 1))), u, load(terms, INDEX(WIDTH * _BEFORE)))
    before, p = fill(0.0), fill(1.0)
    for k in range(order + 1):
        at = _BEFORE + 3 * k
        value = fused(0.0 - load(terms, INDEX(WIDTH * (at + 2))), p, value)
        ratio = load(terms, INDEX(WIDTH * (at + 1)))
        before, p = p, fused(u - load(terms, INDEX(WIDTH * at)), p, 0.0 - ratio * before)
    return value


@part
def _decide(work, singles, rows, origin, order, least, terms, rounded, chosen):  # type: ignore[no-untyped-def]
    """Which points are within reach, by residuals in double precision: their sizes become 0, all others infinite."""
    places, values, sizes, reach = part_of(work, PLACES), part_of(work, VALUES), part_of(work, SIZES), least
    for k in range(rows):
        u, value = work[INDEX(places + k)] - origin, load(work, INDEX(values + WIDTH * k))
        store(work, INDEX(sizes + WIDTH * k), abs(_left_before(terms, order, u, value)))
    for line in range(WIDTH):
        middling = median_of_line(work, sizes + line, np.int64(WIDTH), sizes + WIDTH * rows, rounded, chosen)
        reach = with_lane(reach, INDEX(line), REACH * middling)
    reach = where(least > reach, least, reach)
    for k in range(rows):
        size = load(work, INDEX(sizes + WIDTH * k))
        store(singles, INDEX(WIDTH * k), as_single(where(size < reach, 0.0, where(size == size, np.inf, size))))
    return reach


@part
def _mean_size(singles, rows, points):  # type: ignore[no-untyped-def]
    """About the median of normal residuals, from their mean."""
    total = fill(np.float32(0.0))
    for k in range(rows):
        size = load(singles, INDEX(WIDTH * k))
        total = where(size == size, total + size, total)
    return total * MEAN_TO_MEDIAN / as_single(points)


@part
def robust_lines(work, singles, rows, lines, order, whole_sums, guess, terms, rounded, chosen):  # type: ignore[no-untyped-def]
    """Fit eight lines; return the first median residual of each.

    Parameters
    ----------
    work : from `line_work`, filled by `pack_rows` or `whole_rows`.
    singles : scratch of float32, eight lines.
    rows : number of rows in ``work``.
    lines : of each line the number of its points, where the middle of them is, how far from there the first and the last
        lie, whether it is fitted, and (for all eight together) whether no point of any is missing.
    order : degree of the polynomial.
    whole_sums : Σ v and Σ u v if no point is missing.
    guess : first guess of the median residual, 0 for none; it changes no number.
    terms : flat, TERMS rows of eight; overwritten.
    rounded : whether the medians are those of residuals in single precision.
    chosen : scratch of float64 for a line, and one more.
    """
    points, middle, half, alive, whole = lines
    origin = fill(0.0) if whole else middle
    counted_points = where(alive, points, 0.0)
    infinite = fill(np.float32(np.inf))
    reach, near, far, least, first_guess = fill(np.inf), infinite, infinite, fill(0.0), guess
    store(terms, INDEX(WIDTH * MIDDLE), where(alive, middle, 0.0))
    for attempt in range(PASSES):
        last = attempt == PASSES - 1
        at = LAST if last else _BEFORE
        if attempt == 0 and order < 2 and whole:
            sums = (points, fill(0.0), points * (points * points - 1.0) * (1.0 / 12.0), whole_sums[0], whole_sums[1])
        else:
            sums, clear = _kept_sums(work, singles, rows, origin, whole, near, far)
            # Where single precision does not tell which points are kept, double precision does.
            clear = (clear & (as_double(far) < _LARGE) & (reach > _SMALL)) if attempt > 0 else alive
            if any_of(alive & ~clear):
                reach = _decide(work, singles, rows, origin, order, least, terms, rounded, chosen)
                near = fill(np.float32(0.0))
                sums, clear = _kept_sums(work, singles, rows, origin, whole, near, near)
            few = alive & (sums[0] < order + 0.5)
            if order > 1 and any_of(few):
                # Half of the points are always within reach; where that is too few for the polynomial, all of them are.
                reach, near = where(few, np.inf, reach), where(few, infinite, near)
                sums, clear = _kept_sums(work, singles, rows, origin, whole, near, near)
        store(terms, INDEX(WIDTH * _REACH), reach)
        if order < 2:
            level, slope = _fit_straight(order, sums, terms, at)
            if last:
                break
            if whole:
                counts = _straight_residuals(work, singles, rows, 0.0, level, slope, guess)
            else:
                counts = _straight_residuals(work, singles, rows, middle, level, slope, guess)
            largest = abs(level) + abs(slope * half)
        else:
            newer, coefficient = _fit_general(work, singles, rows, origin, near, order, sums, terms, at)
            if last:
                break
            largest, counts = _general_residuals(work, singles, rows, newer, coefficient), guess
        unknown = alive & ~(guess > np.float32(0.0))
        if any_of(unknown):
            guess = where(unknown, _mean_size(singles, rows, points), guess)
        if order > 1 or any_of(unknown):
            counts = count_lines(singles, rows, guess)
        bracket = bracket_of_lines(singles, rows, counted_points, guess, counts)
        lowest, highest = limits_of_lines(singles, rows, bracket)
        least = fused(fill(_ROUNDING), largest, fill(1e-300))
        reach, most = (REACH * (1.0 - _SINGLE)) * lowest, (REACH * (1.0 + _SINGLE)) * highest
        reach, most = where(least > reach, least, reach), where(least > most, least, most)
        near, far = as_single(reach * (1.0 - 2.0 * _SINGLE)), as_single(most * (1.0 + _SINGLE))
        guess = where(alive, as_single(lowest), guess)
        first_guess = guess if attempt == 0 else first_guess
    if any_of(~alive):  # such a line keeps nothing and loses nothing
        store(terms, INDEX(WIDTH * _REACH), where(alive, reach, -1.0))
        for row in range(_BEFORE, TERMS):
            store(terms, INDEX(WIDTH * row), where(alive, load(terms, INDEX(WIDTH * row)), 0.0))
    return first_guess


@part
def _evaluated(terms, at, order, u):  # type: ignore[no-untyped-def]
    """Value of a fit of degree 2 or more."""
    before, p, total = fill(0.0), fill(1.0), fill(0.0)
    for k in range(order + 1):
        total = fused(load(terms, INDEX(WIDTH * (at + 3 * k + 2))), p, total)
        shift, ratio = load(terms, INDEX(WIDTH * (at + 3 * k))), load(terms, INDEX(WIDTH * (at + 3 * k + 1)))
        before, p = p, (u - shift) * p - ratio * before
    return total


@part
def spread_line(terms, line, order, spread):  # type: ignore[no-untyped-def]
    """Give all eight lanes the terms of one line."""
    number = 2 if order < 2 else 3 * (order + 1)
    for k in range(_BEFORE + 2 * number):
        row = WIDTH * (k if k < _BEFORE + number else k - _BEFORE - number + LAST)
        store(spread, INDEX(row), fill(terms[INDEX(row + line)]))


@part
def take_off(values, marks, start, step, count, place, stride, order, terms, bit):  # type: ignore[no-untyped-def]
    """Subtract the last fit from ``count`` groups of eight pixels, and set a bit at those that it was made to.

    Group c begins at pixel ``start + c step`` of the flat arrays; its pixels lie at ``place + c stride`` of their lines.
    """
    middle, reach = load(terms, INDEX(WIDTH * MIDDLE)), load(terms, INDEX(WIDTH * _REACH))
    level, slope = load(terms, INDEX(WIDTH * _BEFORE)), load(terms, INDEX(WIDTH * (_BEFORE + 1)))
    last_level, last_slope = load(terms, INDEX(WIDTH * LAST)), load(terms, INDEX(WIDTH * (LAST + 1)))
    u = place - middle
    for c in range(count):
        pixel = INDEX(start + c * step)
        value = load(values, pixel)
        if order < 2:
            size, fitted = abs(value - fused(slope, u, level)), fused(last_slope, u, last_level)
        else:
            size, fitted = abs(_left_before(terms, order, u, value)), _evaluated(terms, LAST, order, u)
        add_bits(marks, pixel, bit, (size < reach) & load_bits(marks, pixel, np.uint8(1)))
        store(values, pixel, value - fitted)
        u = u + stride
