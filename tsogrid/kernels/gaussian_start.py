"""What a Gaussian fit begins with: the pixels of one box, their noise, and a first guess from that frame alone.

The guess comes from the box smoothed over 3×3 pixels (a single hot pixel must not become the star, and an undersampled
star gets a width): the level is the median of the box's edge, the centre and the widths are the moments of the pixels
above 30 % of the peak, corrected for what the threshold cuts off a Gaussian.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.gaussian_profile import vector
from tsogrid.kernels.statistics import INDEX

FIXED, ERROR, MODEL_OF_ERROR, MODEL_OF_GAIN = 0, 1, 2, 3
_THRESHOLD = 0.3
# Variance of a Gaussian above the fraction f of its peak, in σ²: (1 − f(1 + ln 1/f)) / (1 − f).
_CUT = (1 - _THRESHOLD * (1 - math.log(_THRESHOLD))) / (1 - _THRESHOLD)
# What the pixel and the 3×3 mean add to the variance along each axis.
_SMOOTHING = 1 / 12 + 2 / 3
_SMALLEST_START = 0.5
# A model may fall below the faintest pixel of the box; its variance may not fall to nothing.
_FLOOR = 0.1


def _summing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile loops whose sums may run in whole vectors; no term is NaN."""
    return part(function, fastmath={"reassoc", "contract", "nsz"})


@part
def load_box(data, error, frame, low, left, ny, nx, weighting, value, base, noise):  # type: ignore[no-untyped-def]
    """Copy one box to float64, with weights before the model is known, and fit its noise.

    Parameters
    ----------
    data, error : frames (n, ny, nx); error is not read if weighting does not need it.
    low, left, ny, nx : first row and column, rows and columns of the box, all inside the frame.
    weighting : FIXED (1), ERROR (1 / error²), or MODEL_OF_ERROR or MODEL_OF_GAIN (1, to be divided by a variance).
    value, base : (rows, padded), overwritten; 0 where a pixel is bad.
    noise : (3,) variance at zero, slope, floor; overwritten for MODEL_OF_ERROR by the line through error² against data.
    """
    value[:] = 0.0
    base[:] = 0.0
    with_error = weighting in (ERROR, MODEL_OF_ERROR)
    # Variances are positive, and such numbers have the order of their bits: the smallest of integers is found in vectors.
    smallest = np.int64(0x7FF0000000000000)
    for j in range(ny):
        pixels, sigmas = data[frame, INDEX(low + j)], error[frame, INDEX(low + j)]
        values, weights = value[INDEX(j)], base[INDEX(j)]
        for m in range(nx):
            i = INDEX(m)
            pixel, sigma = np.float64(pixels[INDEX(left + m)]), np.float64(sigmas[INDEX(left + m)])
            variance = sigma * sigma if with_error else 1.0
            good = (pixel - pixel == 0.0) & (variance > 0.0) & (variance < np.inf)
            weight = 1.0 / variance if weighting == ERROR else 1.0
            values[i] = pixel if good else 0.0
            weights[i] = weight if good else 0.0
            bits = np.float64(variance).view(np.int64)
            bits = bits if good else smallest
            smallest = bits if bits < smallest else smallest
    if weighting != MODEL_OF_ERROR:
        return
    origin = 0.0
    for j in range(ny):
        for m in range(nx):
            if base[j, m] > 0.0:
                origin = value[j, m]
                break
        if origin != 0.0:
            break
    s, sd, sdd, sv, sdv = _noise_moments(error, frame, low, left, ny, nx, value, base, origin)
    determinant = s * sdd - sd * sd
    slope = 0.0
    if determinant > 1e-10 * s * sdd:
        slope = max(0.0, (s * sdv - sd * sv) / determinant)
    noise[0] = (sv - slope * sd) / s - slope * origin
    noise[1] = slope
    noise[2] = _FLOOR * np.int64(smallest).view(np.float64)


@_summing
def _noise_moments(error, frame, low, left, ny, nx, value, base, origin):  # type: ignore[no-untyped-def]
    """Moments of error² against data; the relative scatter of a variance is what is alike for all pixels."""
    s, sd, sdd, sv, sdv = 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(ny):
        sigmas, values, weights = error[frame, INDEX(low + j)], value[INDEX(j)], base[INDEX(j)]
        for m in range(nx):
            i = INDEX(m)
            sigma = np.float64(sigmas[INDEX(left + m)])
            good = weights[i] > 0.0
            variance = sigma * sigma if good else 1.0
            w = 1.0 / (variance * variance)
            w = w if good else 0.0
            d = values[i] - origin
            s += w
            sd += w * d
            sdd += w * d * d
            sv += w * variance
            sdv += w * d * variance
    return s, sd, sdd, sv, sdv


@_summing
def _variance_moments(error, frame, low, left, ny, nx, base, weight):  # type: ignore[no-untyped-def]
    """Moments of error² against 1 / weight, each with weight²."""
    s, su, suu, sv, suv = 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(ny):
        sigmas, bases, weights = error[frame, INDEX(low + j)], base[INDEX(j)], weight[INDEX(j)]
        for m in range(nx):
            i = INDEX(m)
            sigma = np.float64(sigmas[INDEX(left + m)])
            good = bases[i] > 0.0
            square = sigma * sigma if good else 0.0
            w = weights[i] if good else 0.0
            s += w * w
            su += w
            suu += 1.0 if good else 0.0
            sv += w * w * square
            suv += w * square
    return s, su, suu, sv, suv


@part
def refit_noise(error, frame, low, left, ny, nx, base, weight, noise):  # type: ignore[no-untyped-def]
    """Fit the line through error² again, against the model in place of the data, whose noise flattens the first line.

    The variance that the first line gave for a pixel, 1 / weight, is itself a straight line in the model: error² is fitted
    against it, by weights that know nothing of the pixel's own noise.
    """
    s, su, suu, sv, suv = _variance_moments(error, frame, low, left, ny, nx, base, weight)
    determinant = s * suu - su * su
    if determinant > 1e-10 * s * suu:
        ratio = max(0.0, (s * suv - su * sv) / determinant)
        noise[0] = (sv - ratio * su) / s + ratio * noise[0]
        noise[1] *= ratio


@vector
def _smooth(value, base, ny, nx, sums, counts, smooth):  # type: ignore[no-untyped-def]
    """Fill smooth with the mean of the good pixels in 3×3, −inf where there is none; return the largest."""
    # Columns beyond the box are 0 and there is at least one, so that only the first column has no neighbour.
    padded = value.shape[1]
    largest = smooth[ny]
    largest[:] = -np.inf
    for j in range(ny):
        below, above = max(j - 1, 0), min(j + 1, ny - 1)
        with_below, with_above = 1.0 if below != j else 0.0, 1.0 if above != j else 0.0
        for i in range(padded):
            sums[j, i] = value[j, i] + with_below * value[below, i] + with_above * value[above, i]
            count = 1.0 if base[j, i] > 0 else 0.0
            count += with_below if base[below, i] > 0 else 0.0
            count += with_above if base[above, i] > 0 else 0.0
            counts[j, i] = count
        for i in range(nx):
            total = sums[j, i] + sums[j, i + 1]
            count = counts[j, i] + counts[j, i + 1]
            if i > 0:
                total += sums[j, i - 1]
                count += counts[j, i - 1]
            mean = total / count if count > 0 else -np.inf
            smooth[j, i] = mean
            largest[i] = mean if mean > largest[i] else largest[i]
    peak = -np.inf
    for i in range(nx):
        peak = max(peak, largest[i])
    return peak


@vector
def _moments(smooth, ny, nx, level, threshold, sums):  # type: ignore[no-untyped-def]
    """Sums of light, and of light times x, y, x², xy, y², over the pixels above the threshold; sums is scratch."""
    light_0, light_1, light_2 = sums[0], sums[1], sums[2]
    sums[:3] = 0.0
    for j in range(ny):
        for i in range(nx):
            light = smooth[j, i] - level if smooth[j, i] > threshold else 0.0
            light_0[i] += light
            light_1[i] += light * j
            light_2[i] += light * (j * j)
    total, x, y, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(nx):
        total += light_0[i]
        x += light_0[i] * i
        y += light_1[i]
        xx += light_0[i] * (i * i)
        xy += light_1[i] * i
        yy += light_2[i]
    return total, x, y, xx, xy, yy


@part
def start_values(value, base, ny, nx, level, rotated, sums, counts, smooth, parameters):  # type: ignore[no-untyped-def]
    """Fill parameters (in the order of `gaussian_models`) with a first guess; return whether there is one.

    ``sums``, ``counts`` and ``smooth`` are scratch of the shape of ``value``.
    """
    peak = _smooth(value, base, ny, nx, sums, counts, smooth)
    if not (math.isfinite(level) and peak > level):
        return False
    threshold = level + _THRESHOLD * (peak - level)
    total, x, y, xx, xy, yy = _moments(smooth, ny, nx, level, threshold, sums)
    x /= total
    y /= total
    smooth_x = max((xx / total - x * x) / _CUT, _SMALLEST_START**2 + _SMOOTHING)
    smooth_y = max((yy / total - y * y) / _CUT, _SMALLEST_START**2 + _SMOOTHING)
    variance_x, variance_y = smooth_x - _SMOOTHING, smooth_y - _SMOOTHING
    parameters[0] = (peak - level) * math.sqrt(smooth_x * smooth_y / (variance_x * variance_y))
    parameters[1] = level
    parameters[2] = x
    parameters[3] = y
    if rotated is None:
        parameters[4] = math.sqrt(variance_x)
        parameters[5] = math.sqrt(variance_y)
        return True
    largest = 0.9 * math.sqrt(variance_x * variance_y)
    covariance = min(max((xy / total - x * y) / _CUT, -largest), largest)
    determinant = variance_x * variance_y - covariance * covariance
    parameters[4] = variance_y / determinant
    parameters[5] = -covariance / determinant
    parameters[6] = variance_x / determinant
    return True
