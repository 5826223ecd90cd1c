"""Pixel integrals of a one-dimensional Gaussian and their derivatives: of one line, or of one line in each lane.

The error function and the exponential are written out as polynomials, without branches or calls, so that they serve
numbers in a loop, which becomes whole vectors, as well as lanes: with one library call an edge this was a third of the time
of a fit.

- exp(x) = 2^n · exp(r) with |r| ≤ ln 2 / 2, the Taylor series of exp(r) to the 12th power (2e-16);
- erfc(t) = exp(−t²) · P(z) / (t + 3) with z = (t − 3) / (t + 3) for t ≥ 0 (the change of variable of Shepherd & Laframboise
  1981, Math. Comp. 36, 249), P the Chebyshev interpolant of degree 18; the error of erf is below 1e-13.
"""

import math
from collections.abc import Callable
from typing import Any

from tsogrid.kernels.compile import part
from tsogrid.kernels.vectors import power_of_two, where, write

_LOG2_E = 1.4426950408889634
_LN_2_HIGH = 6.93147180369123816490e-01  # 33 bits, so that n times it is exact
_LN_2_LOW = 1.90821492927058770002e-10
_ROUNDER = 1.5 * 2.0**52  # adding it leaves a whole number in the lowest bits
_SQRT_HALF = math.sqrt(0.5)
_SQRT_HALF_PI = math.sqrt(math.pi / 2)
_LOWEST_EXPONENT = -700.0


def vector(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of element-wise loops, in which a product and a sum may be one instruction."""
    return part(function, fastmath={"contract", "nsz"})  # NaN keeps its meaning


@vector
def exponential(x):  # type: ignore[no-untyped-def]
    """exp(x) of a number or of lanes, x ≤ 700; below −700 as there, which is 1e-304."""
    x = where(x > _LOWEST_EXPONENT, x, _LOWEST_EXPONENT)
    rounded = x * _LOG2_E + _ROUNDER
    n = rounded - _ROUNDER
    r = (x - n * _LN_2_HIGH) - n * _LN_2_LOW
    e = 2.08767569878681e-09
    e = e * r + 2.505210838544172e-08
    e = e * r + 2.755731922398589e-07
    e = e * r + 2.7557319223985893e-06
    e = e * r + 2.48015873015873e-05
    e = e * r + 0.0001984126984126984
    e = e * r + 0.001388888888888889
    e = e * r + 0.008333333333333333
    e = e * r + 0.041666666666666664
    e = e * r + 0.16666666666666666
    e = e * r + 0.5
    e = e * r + 1.0
    e = e * r + 1.0
    return e * power_of_two(rounded)


@vector
def _at_edge(u):  # type: ignore[no-untyped-def]
    """exp(−u²) and erf(u) of a number or of lanes."""
    t = abs(u)
    e = exponential(-t * t)
    inverse = 1.0 / (t + 3.0)
    z = (t - 3.0) * inverse
    p = 3.317798377553883e-08
    p = p * z - 8.217160173348691e-08
    p = p * z - 3.783474982667123e-07
    p = p * z + 7.485559763154017e-07
    p = p * z + 2.731503747399025e-06
    p = p * z - 4.501514105844476e-06
    p = p * z - 1.7448153848339355e-05
    p = p * z + 3.024650553503474e-05
    p = p * z + 0.00010755262989080522
    p = p * z - 0.0002767205027588952
    p = p * z - 0.0005483076493510751
    p = p * z + 0.003034049096401054
    p = p * z - 0.001212416880633221
    p = p * z - 0.026827233037334933
    p = p * z + 0.1195277613013786
    p = p * z - 0.3104672619898986
    p = p * z + 0.5902283571038868
    p = p * z - 0.8833944531683997
    p = p * z + 1.0740069070883396
    value = 1.0 - e * p * inverse
    return e, where(u >= 0.0, value, -value)


@vector
def fill_profile(profile, size, center, sigma):  # type: ignore[no-untyped-def]
    """Fill rows 0…2 with the integral of exp(−u²/2σ²) over each pixel and its derivatives by centre and by σ.

    ``profile`` is (5, at least size + 1); its last two rows are scratch: exp(−t²) and erf(t) at the pixel edges.
    """
    scale = _SQRT_HALF / sigma
    for i in range(size + 1):
        profile[3, i], profile[4, i] = _at_edge((i - 0.5 - center) * scale)
    for i in range(size):
        u = i - 0.5 - center
        value = sigma * _SQRT_HALF_PI * (profile[4, i + 1] - profile[4, i])
        profile[0, i] = value
        profile[1, i] = profile[3, i] - profile[3, i + 1]
        profile[2, i] = (value + u * profile[3, i] - (u + 1.0) * profile[3, i + 1]) / sigma


@part
def fill_profiles(profile, size, center, sigma):  # type: ignore[no-untyped-def]
    """The same for a line in each lane; ``profile`` holds the three of pixel i at 3i, 3i + 1 and 3i + 2."""
    inverse = 1.0 / sigma
    scale, height = _SQRT_HALF * inverse, sigma * _SQRT_HALF_PI
    gauss, error = _at_edge((-0.5 - center) * scale)
    for i in range(size):
        u = (i - 0.5) - center
        next_gauss, next_error = _at_edge((u + 1.0) * scale)
        value = height * (next_error - error)
        write(profile, 3 * i, value)
        write(profile, 3 * i + 1, gauss - next_gauss)
        write(profile, 3 * i + 2, (value + u * gauss - (u + 1.0) * next_gauss) * inverse)
        gauss, error = next_gauss, next_error
