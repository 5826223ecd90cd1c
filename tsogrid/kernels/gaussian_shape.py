"""What the parameters of a Gaussian and their covariance say of a source's shape: widths and angle, and their errors.

``values`` are those of one source in the order of `tsogrid.kernels.gaussian.GaussianFit`.
"""

import math

from tsogrid.kernels.compile import part


@part
def write_upright(values, lane, parameters, covariance):  # type: ignore[no-untyped-def]
    """Widths, and their errors."""
    values[2] = parameters[4, lane]
    values[3] = parameters[5, lane]
    values[4] = 0.0
    values[9] = math.sqrt(covariance[4, 4, lane])
    values[10] = math.sqrt(covariance[5, 5, lane])
    values[11] = 0.0


@part
def write_rotated(values, lane, parameters, covariance):  # type: ignore[no-untyped-def]
    """Widths and angle from the inverse covariance, and their errors to first order."""
    a, b, c = parameters[4, lane], parameters[5, lane], parameters[6, lane]
    middle = 0.5 * (a + c)
    reach = math.sqrt((0.5 * (a - c)) ** 2 + b * b)
    theta = 0.5 * math.atan2(-2.0 * b, c - a)
    cosine, sine = math.cos(theta), math.sin(theta)
    # Change of each eigenvalue, and turn of the axes, per change of (a, b, c).
    along = (cosine * cosine, 2 * cosine * sine, sine * sine)
    across = (sine * sine, -2 * cosine * sine, cosine * cosine)
    turn = (-cosine * sine, cosine * cosine - sine * sine, cosine * sine)
    variance_along, variance_across, variance_turn = 0.0, 0.0, 0.0
    for k in range(3):
        for m in range(3):
            element = covariance[4 + k, 4 + m, lane]
            variance_along += along[k] * along[m] * element
            variance_across += across[k] * across[m] * element
            variance_turn += turn[k] * turn[m] * element
    sigma_along, sigma_across = 1 / math.sqrt(middle - reach), 1 / math.sqrt(middle + reach)
    values[2] = sigma_along
    values[3] = sigma_across
    values[4] = theta
    values[9] = 0.5 * sigma_along**3 * math.sqrt(variance_along)
    values[10] = 0.5 * sigma_across**3 * math.sqrt(variance_across)
    values[11] = math.sqrt(variance_turn) / (2 * reach)
