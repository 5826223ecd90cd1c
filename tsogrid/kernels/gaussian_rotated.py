"""Normal equations of rotated Gaussians, one in each lane, integrated over each pixel by 3×3 Gauss–Legendre points.

The parameters are, in this order: amplitude, offset, x, y and the elements a, b, c of the inverse covariance, the exponent
being −(a·u² + 2b·u·v + c·v²)/2; unlike an angle they stay well defined where the source is round.
"""

import math

from tsogrid.kernels.compile import part
from tsogrid.kernels.gaussian_models import SCRATCH, add
from tsogrid.kernels.gaussian_profile import exponential
from tsogrid.kernels.vectors import read, spread, where, write

_NODE = math.sqrt(0.15)
_MIDDLE, _SIDE = 8 / 18, 5 / 18  # weights of the points
_FAR = 200.0  # exponents beyond it belong to pixels that hold nothing


@part
def _corners(a, b, c):  # type: ignore[no-untyped-def]
    """What the exponential of the outer points has, whatever the pixel: along x, along y, on either diagonal."""
    square = _NODE * _NODE
    return exponential(-0.5 * square * a), exponential(-0.5 * square * c), exponential(-square * b), exponential(square * b)


@part
def _moments(u, v, a, b, c, corners):  # type: ignore[no-untyped-def]
    """Integral over a pixel of exp(−q/2), and of it times u, v, u², uv, v².

    ``corners`` is made by `_corners`. The exponential is worked out at the pixel's middle and on the way to each side: a
    value that counts at any point has factors far from overflow at the widths that are allowed.
    """
    side_u, side_v, same, opposite = corners
    along, across = a * u + b * v, b * u + c * v
    e = exponential(-0.5 * (along * u + across * v))
    turn_u, turn_v = _NODE * along, _NODE * across
    turn_u, turn_v = where(turn_u < _FAR, turn_u, _FAR), where(turn_v < _FAR, turn_v, _FAR)
    turn_u, turn_v = where(turn_u > -_FAR, turn_u, -_FAR), where(turn_v > -_FAR, turn_v, -_FAR)
    right, above = exponential(-turn_u), exponential(-turn_v)
    inverse = 1.0 / (right * above)
    left, below = inverse * above * side_u, inverse * right * side_v
    right, above = right * side_u, above * side_v
    # Rows of the three points: their sum, and the difference and the sum of the outer two.
    middle_right, middle_left = (_MIDDLE * _SIDE) * right, (_MIDDLE * _SIDE) * left
    corner_right, corner_left = (_SIDE * _SIDE) * right, (_SIDE * _SIDE) * left
    above, below = e * above, e * below
    m_0, m_r, m_l = (_MIDDLE * _MIDDLE) * e, middle_right * e, middle_left * e
    a_0, a_r, a_l = (_MIDDLE * _SIDE) * above, corner_right * same * above, corner_left * opposite * above
    b_0, b_r, b_l = (_MIDDLE * _SIDE) * below, corner_right * opposite * below, corner_left * same * below
    m_2, a_2, b_2 = m_r + m_l, a_r + a_l, b_r + b_l
    m_1, a_1, b_1 = m_r - m_l, a_r - a_l, b_r - b_l
    m_0, a_0, b_0 = m_0 + m_2, a_0 + a_2, b_0 + b_2
    # Moments about the pixel's middle, in units of h.
    outer = a_0 + b_0
    g, du, dv = m_0 + outer, m_1 + a_1 + b_1, a_0 - b_0
    duu, duv = m_2 + a_2 + b_2, a_1 - b_1
    du, dv, duv = _NODE * du, _NODE * dv, (_NODE * _NODE) * duv
    gu, gv = u * g + du, v * g + dv
    guu = u * (gu + du) + (_NODE * _NODE) * duu
    guv = u * gv + v * du + duv
    gvv = v * (gv + dv) + (_NODE * _NODE) * outer
    return g, gu, gv, guu, guv, gvv


@part
def _add_first(row, nx, normal, gradient):  # type: ignore[no-untyped-def]
    """Add a row of pixels to the gradient and to what amplitude, offset and centre have among themselves."""
    zero = spread(0.0)
    n_00, n_10, n_11, n_20, n_21, n_22 = zero, zero, zero, zero, zero, zero
    n_30, n_31, n_32, n_33 = zero, zero, zero, zero
    r_0, r_1, r_2, r_3, r_4, r_5, r_6 = zero, zero, zero, zero, zero, zero, zero
    for i in range(nx):
        k = SCRATCH * i
        w, wr = read(row, k), read(row, k + 1)
        d_0, d_2, d_3 = read(row, k + 2), read(row, k + 3), read(row, k + 4)
        d_4, d_5, d_6 = read(row, k + 5), read(row, k + 6), read(row, k + 7)
        w_0 = w * d_0
        n_00 += w_0 * d_0
        n_10 += w * d_0
        n_11 += w
        w_2 = w * d_2
        n_20 += w_2 * d_0
        n_21 += w_2
        n_22 += w_2 * d_2
        w_3 = w * d_3
        n_30 += w_3 * d_0
        n_31 += w_3
        n_32 += w_3 * d_2
        n_33 += w_3 * d_3
        r_0 += wr * d_0
        r_1 += wr
        r_2 += wr * d_2
        r_3 += wr * d_3
        r_4 += wr * d_4
        r_5 += wr * d_5
        r_6 += wr * d_6
    add(gradient, 0, r_0)
    add(gradient, 1, r_1)
    add(gradient, 2, r_2)
    add(gradient, 3, r_3)
    add(gradient, 4, r_4)
    add(gradient, 5, r_5)
    add(gradient, 6, r_6)
    add(normal, 0, n_00)
    add(normal, 1, n_10)
    add(normal, 2, n_11)
    add(normal, 3, n_20)
    add(normal, 4, n_21)
    add(normal, 5, n_22)
    add(normal, 6, n_30)
    add(normal, 7, n_31)
    add(normal, 8, n_32)
    add(normal, 9, n_33)


@part
def _add_second(row, nx, normal):  # type: ignore[no-untyped-def]
    """Add a row of pixels to what the inverse covariance has with all parameters."""
    zero = spread(0.0)
    n_40, n_41, n_42, n_43, n_44, n_50 = zero, zero, zero, zero, zero, zero
    n_51, n_52, n_53, n_54, n_55, n_60 = zero, zero, zero, zero, zero, zero
    n_61, n_62, n_63, n_64, n_65, n_66 = zero, zero, zero, zero, zero, zero
    for i in range(nx):
        k = SCRATCH * i
        w = read(row, k)
        d_0, d_2, d_3 = read(row, k + 2), read(row, k + 3), read(row, k + 4)
        d_4, d_5, d_6 = read(row, k + 5), read(row, k + 6), read(row, k + 7)
        w_4 = w * d_4
        n_40 += w_4 * d_0
        n_41 += w_4
        n_42 += w_4 * d_2
        n_43 += w_4 * d_3
        n_44 += w_4 * d_4
        w_5 = w * d_5
        n_50 += w_5 * d_0
        n_51 += w_5
        n_52 += w_5 * d_2
        n_53 += w_5 * d_3
        n_54 += w_5 * d_4
        n_55 += w_5 * d_5
        w_6 = w * d_6
        n_60 += w_6 * d_0
        n_61 += w_6
        n_62 += w_6 * d_2
        n_63 += w_6 * d_3
        n_64 += w_6 * d_4
        n_65 += w_6 * d_5
        n_66 += w_6 * d_6
    add(normal, 10, n_40)
    add(normal, 11, n_41)
    add(normal, 12, n_42)
    add(normal, 13, n_43)
    add(normal, 14, n_44)
    add(normal, 15, n_50)
    add(normal, 16, n_51)
    add(normal, 17, n_52)
    add(normal, 18, n_53)
    add(normal, 19, n_54)
    add(normal, 20, n_55)
    add(normal, 21, n_60)
    add(normal, 22, n_61)
    add(normal, 23, n_62)
    add(normal, 24, n_63)
    add(normal, 25, n_64)
    add(normal, 26, n_65)
    add(normal, 27, n_66)


@part
def rotated_equations(  # type: ignore[no-untyped-def]
    parameters, ny, nx, value, base, old_weight, weight, noise, reweight, row, line, normal, gradient
):
    """Fill normal (lower triangle) and gradient of 7 parameters, as `gaussian_models.upright_equations` those of 6."""
    amplitude, level = read(parameters, 0), read(parameters, 1)
    a, b, c = read(parameters, 4), read(parameters, 5), read(parameters, 6)
    constant, slope, floor = read(noise, 0), read(noise, 1), read(noise, 2)
    corners = _corners(a, b, c)
    normal[:] = 0.0
    gradient[:] = 0.0
    total, old_total = spread(0.0), spread(0.0)
    for j in range(ny):
        v = j - read(parameters, 3)
        for i in range(nx):
            g, gu, gv, guu, guv, gvv = _moments(i - read(parameters, 2), v, a, b, c, corners)
            model = level + amplitude * g
            w = read(base, j * nx + i)
            if reweight:
                variance = constant + slope * model
                w = w / where(variance > floor, variance, floor)
                write(weight, j * nx + i, w)
            residual = read(value, j * nx + i) - model
            wr = w * residual
            total += wr * residual
            old_total += read(old_weight, j * nx + i) * (residual * residual)
            k = SCRATCH * i
            write(row, k, w)
            write(row, k + 1, wr)
            write(row, k + 2, g)
            write(row, k + 3, a * gu + b * gv)
            write(row, k + 4, b * gu + c * gv)
            write(row, k + 5, guu)
            write(row, k + 6, guv)
            write(row, k + 7, gvv)
        _add_first(row, nx, normal, gradient)
        _add_second(row, nx, normal)
    # What all derivatives but the first two have in common: the amplitude, and by the exponent −1/2, −1 and −1/2.
    for k in range(7):
        factor = _factor(k, amplitude)
        write(gradient, k, read(gradient, k) * factor)
        for m in range(k + 1):
            place = k * (k + 1) // 2 + m
            write(normal, place, read(normal, place) * (factor * _factor(m, amplitude)))
    return old_total, total


@part
def _factor(k, amplitude):  # type: ignore[no-untyped-def]
    if k < 2:
        return spread(1.0)
    if k < 4:
        return amplitude
    return -amplitude if k == 5 else -0.5 * amplitude


@part
def rotated_profile(parameters, j, nx, row):  # type: ignore[no-untyped-def]
    """Put the integrals of row j at every third vector, as `gaussian_profile.fill_profiles` does."""
    a, b, c = read(parameters, 4), read(parameters, 5), read(parameters, 6)
    corners = _corners(a, b, c)
    for i in range(nx):
        g, _, _, _, _, _ = _moments(i - read(parameters, 2), j - read(parameters, 3), a, b, c, corners)
        write(row, 3 * i, g)
