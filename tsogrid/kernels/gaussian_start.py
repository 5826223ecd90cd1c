"""What Gaussian fits begin with: first guesses from the pixels of a box alone, and the noise once these are fitted.

The guess comes from the box smoothed over 3×3 pixels (a single hot pixel must not become the star, and an undersampled
star gets a width): the level is the median of the box's edge, the centre and the widths are the moments of the pixels
above 30 % of the peak, corrected for what the threshold cuts off a Gaussian.
"""

import math

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.gaussian_profile import fill_profiles
from tsogrid.kernels.gaussian_rotated import rotated_profile
from tsogrid.kernels.vectors import read, spread, where, write

_THRESHOLD = 0.3
# Of a Gaussian, what is above the fraction f of its peak, with T = ln 1/f: the volume in units of 2πσ² times the peak,
# 1 − f − fT, and the variance in σ², (1 − f − fT − fT²/2) over that.
_LOG = -math.log(_THRESHOLD)
_VOLUME = 1 - _THRESHOLD - _THRESHOLD * _LOG
_CUT = (_VOLUME - _THRESHOLD * _LOG**2 / 2) / _VOLUME
# How their logarithms change with that of the peak above the threshold: dT = d ln peak.
_VOLUME_SLOPE = _THRESHOLD * _LOG / _VOLUME
_CUT_SLOPE = _THRESHOLD * _LOG**2 / 2 / (_VOLUME * _CUT) - _VOLUME_SLOPE
# What the pixel and the 3×3 mean add to the variance along each axis.
_SMOOTHING = 1 / 12 + 2 / 3
_SMALLEST_START = 0.5


@part
def refit_noise(parameters, rotated, ny, nx, base, variance, column, line, noise):  # type: ignore[no-untyped-def]
    """Fit the line through error² again, against the model in place of the data, whose noise flattens the first line.

    The variance that the first line gives for a pixel is itself a straight line in the model: error² is fitted against it,
    by weights that know nothing of the pixel's own noise.
    """
    amplitude, level = read(parameters, 0), read(parameters, 1)
    constant, slope, floor = read(noise, 0), read(noise, 1), read(noise, 2)
    if rotated is None:
        fill_profiles(column, nx, read(parameters, 2), read(parameters, 4))
        fill_profiles(line, ny, read(parameters, 3), read(parameters, 5))
    s, su, suu, sv, suv = spread(0.0), spread(0.0), spread(0.0), spread(0.0), spread(0.0)
    for j in range(ny):
        if rotated is not None:
            rotated_profile(parameters, j, nx, column)
        height = amplitude
        if rotated is None:
            height = amplitude * read(line, 3 * j)
        for i in range(nx):
            good = read(base, j * nx + i)
            expected = constant + slope * (level + height * read(column, 3 * i))
            w = good / where(expected > floor, expected, floor)
            wv = w * read(variance, j * nx + i)
            s += w * w
            su += w
            suu += good
            sv += w * wv
            suv += wv
    determinant = s * suu - su * su
    ratio = (s * suv - su * sv) / determinant
    ratio = where(ratio > 0.0, ratio, 0.0)
    known = determinant > 1e-10 * s * suu
    write(noise, 0, where(known, (sv - ratio * su) / s + ratio * constant, constant))
    write(noise, 1, where(known, ratio * slope, slope))


@part
def _smooth(value, base, ny, nx, smooth):  # type: ignore[no-untyped-def]
    """Fill smooth with the mean of the good pixels in 3×3, −inf where there is none; return the largest."""
    peak = spread(-np.inf)
    for j in range(ny):
        below, above = max(j - 1, 0) * nx, min(j + 1, ny - 1) * nx
        with_below, with_above = 1.0 if j > 0 else 0.0, 1.0 if j < ny - 1 else 0.0
        last, this = spread(0.0), spread(0.0)
        last_count, this_count = spread(0.0), spread(0.0)
        for i in range(nx + 1):
            following, count = spread(0.0), spread(0.0)
            if i < nx:
                following = (
                    read(value, j * nx + i) + with_below * read(value, below + i) + with_above * read(value, above + i)
                )
                count += where(read(base, j * nx + i) > 0.0, 1.0, spread(0.0))
                count += where(read(base, below + i) > 0.0, with_below, spread(0.0))
                count += where(read(base, above + i) > 0.0, with_above, spread(0.0))
            if i > 0:
                good = last_count + this_count + count
                mean = where(good > 0.0, (last + this + following) / good, -np.inf)
                write(smooth, j * nx + i - 1, mean)
                peak = where(mean > peak, mean, peak)
            last, this = this, following
            last_count, this_count = this_count, count
    return peak


@part
def _moments(smooth, ny, nx, threshold):  # type: ignore[no-untyped-def]
    """Sums of light, and of light times x, y, x², xy, y², over the pixels above the threshold."""
    total, x, y, xx, xy, yy = spread(0.0), spread(0.0), spread(0.0), spread(0.0), spread(0.0), spread(0.0)
    for j in range(ny):
        row, row_x, row_xx = spread(0.0), spread(0.0), spread(0.0)
        for i in range(nx):
            light = read(smooth, j * nx + i)
            light = where(light > threshold, light - threshold, 0.0)
            row += light
            row_x += light * i
            row_xx += light * (i * i)
        total += row
        x += row_x
        y += row * j
        xx += row_xx
        xy += row_x * j
        yy += row * (j * j)
    return total, x, y, xx, xy, yy


@part
def _at_least(value, smallest):  # type: ignore[no-untyped-def]
    return where(value > smallest, value, smallest)


@part
def start_values(value, base, ny, nx, level, rotated, smooth, parameters):  # type: ignore[no-untyped-def]
    """Fill parameters (in the order of the models) with first guesses; return where there is one.

    ``smooth``, of the shape of ``value``, is scratch.
    """
    peak = _smooth(value, base, ny, nx, smooth)
    good = (level - level == 0.0) & (peak > level)
    threshold = level + _THRESHOLD * (peak - level)
    total, x, y, xx, xy, yy = _moments(smooth, ny, nx, threshold)
    x, y = x / total, y / total
    smallest = _SMALLEST_START**2 + _SMOOTHING
    smooth_x = _at_least((xx / total - x * x) / _CUT, smallest)
    smooth_y = _at_least((yy / total - y * y) / _CUT, smallest)
    # The largest pixel is not the peak between pixels, which the volume knows.
    higher = total / ((2 * math.pi * _VOLUME) * math.sqrt(smooth_x * smooth_y) * (peak - level))
    excess = (higher - 1.0) / (1.0 + _VOLUME_SLOPE - _CUT_SLOPE)
    excess = where(excess > 0.0, where(excess < 0.2, excess, 0.2), 0.0)
    smooth_x = _at_least(smooth_x * (1.0 - _CUT_SLOPE * excess), smallest)
    smooth_y = _at_least(smooth_y * (1.0 - _CUT_SLOPE * excess), smallest)
    variance_x, variance_y = smooth_x - _SMOOTHING, smooth_y - _SMOOTHING
    height = (peak - level) * (1.0 + excess)
    write(parameters, 0, height * math.sqrt(smooth_x * smooth_y / (variance_x * variance_y)))
    write(parameters, 1, level)
    write(parameters, 2, x)
    write(parameters, 3, y)
    if rotated is None:
        write(parameters, 4, math.sqrt(variance_x))
        write(parameters, 5, math.sqrt(variance_y))
        return good
    largest = 0.9 * math.sqrt(variance_x * variance_y)
    covariance = -_at_least(-_at_least((xy / total - x * y) / _CUT, -largest), -largest)
    determinant = variance_x * variance_y - covariance * covariance
    write(parameters, 4, variance_y / determinant)
    write(parameters, 5, -covariance / determinant)
    write(parameters, 6, variance_x / determinant)
    return good
