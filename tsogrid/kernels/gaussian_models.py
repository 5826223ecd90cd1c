"""Normal equations of a pixel-integrated Gaussian: one pass over the box of one source, without a Jacobian array.

An upright Gaussian is a column profile times a row profile, so that its pixel integrals need only nx + ny error
functions, and the sums over a row that the normal equations consist of are moments of the weights with the profile and
its derivatives. A rotated one is integrated over each pixel by 3×3 Gauss–Legendre points. The parameters are, in this order,

- upright: amplitude, offset, x, y, σ_x, σ_y;
- rotated: amplitude, offset, x, y and the elements a, b, c of the inverse covariance, the exponent being
  −(a·u² + 2b·u·v + c·v²)/2; unlike an angle they stay well defined where the source is round.

Weights are base / variance with the variance a straight line in the model (photon and read noise) or 1. A pass sums the
squares of the residuals twice, with the weights of the pass before and with its own: steps are judged with the former.
"""

import math

import numpy as np

from tsogrid.kernels.compile import part
from tsogrid.kernels.gaussian_profile import fill_profile, vector

# Pixels per row are padded (with weight zero) to whole vectors.
LANES = 8
# Columns whose sums are kept together; a constant, so that the compiler sees that they do not overlap.
CHUNK = 64
# A little more than CHUNK, so that the sums of one column do not share the low bits of their addresses.
STRIDE = 68

_NODE = math.sqrt(0.15)


@vector
def _fill_weights(row, padded, level, height, column, base, weight, noise):  # type: ignore[no-untyped-def]
    constant, slope, floor = noise[0], noise[1], noise[2]
    for i in range(padded):
        variance = constant + slope * (level + height * column[0, i])
        weight[row, i] = base[row, i] / (variance if variance > floor else floor)


@vector
def _add_two_rows(row, start, count, level, amplitude, line, column, value, old_weight, weight, sums):  # type: ignore[no-untyped-def]
    """Add two rows to the sums over rows that each column keeps, ``sums[k * STRIDE + i]`` for quantity k."""
    p, d, s = line[0, row], line[1, row], line[2, row]
    pp, pd, ps, dd, ds, ss = p * p, p * d, p * s, d * d, d * s, s * s
    q, e, t = line[0, row + 1], line[1, row + 1], line[2, row + 1]
    qq, qe, qt, ee, et, tt = q * q, q * e, q * t, e * e, e * t, t * t
    height, other_height = amplitude * p, amplitude * q
    # Unsigned indices cannot be negative: without the check for that, the loop becomes whole vectors.
    lower, upper, first = np.uint64(row), np.uint64(row + 1), np.uint64(start)
    for k in range(count):
        i = np.uint64(k)
        j = first + i
        w, v = weight[lower, j], weight[upper, j]
        r = value[lower, j] - (level + height * column[0, j])
        z = value[upper, j] - (level + other_height * column[0, j])
        wr, vz = w * r, v * z
        sums[i] = sums[i] + w + v
        sums[np.uint64(1 * STRIDE) + i] = sums[np.uint64(1 * STRIDE) + i] + w * p + v * q
        sums[np.uint64(2 * STRIDE) + i] = sums[np.uint64(2 * STRIDE) + i] + w * d + v * e
        sums[np.uint64(3 * STRIDE) + i] = sums[np.uint64(3 * STRIDE) + i] + w * s + v * t
        sums[np.uint64(4 * STRIDE) + i] = sums[np.uint64(4 * STRIDE) + i] + w * pp + v * qq
        sums[np.uint64(5 * STRIDE) + i] = sums[np.uint64(5 * STRIDE) + i] + w * pd + v * qe
        sums[np.uint64(6 * STRIDE) + i] = sums[np.uint64(6 * STRIDE) + i] + w * ps + v * qt
        sums[np.uint64(7 * STRIDE) + i] = sums[np.uint64(7 * STRIDE) + i] + w * dd + v * ee
        sums[np.uint64(8 * STRIDE) + i] = sums[np.uint64(8 * STRIDE) + i] + w * ds + v * et
        sums[np.uint64(9 * STRIDE) + i] = sums[np.uint64(9 * STRIDE) + i] + w * ss + v * tt
        sums[np.uint64(10 * STRIDE) + i] = sums[np.uint64(10 * STRIDE) + i] + wr + vz
        sums[np.uint64(11 * STRIDE) + i] = sums[np.uint64(11 * STRIDE) + i] + wr * p + vz * q
        sums[np.uint64(12 * STRIDE) + i] = sums[np.uint64(12 * STRIDE) + i] + wr * d + vz * e
        sums[np.uint64(13 * STRIDE) + i] = sums[np.uint64(13 * STRIDE) + i] + wr * s + vz * t
        sums[np.uint64(14 * STRIDE) + i] = sums[np.uint64(14 * STRIDE) + i] + wr * r + vz * z
        sums[np.uint64(15 * STRIDE) + i] = (
            sums[np.uint64(15 * STRIDE) + i] + old_weight[lower, j] * r * r + old_weight[upper, j] * z * z
        )


@part
def _add_columns(start, count, column, sums, normal, gradient):  # type: ignore[no-untyped-def]
    """Add what the columns hold to the normal equations; return χ² with the old and with the new weights."""
    total, old_total = 0.0, 0.0
    for i in range(count):
        x, dx, sx = column[0, start + i], column[1, start + i], column[2, start + i]
        w1, wp, wd, ws = sums[i], sums[STRIDE + i], sums[2 * STRIDE + i], sums[3 * STRIDE + i]
        wpp, wpd, wps = sums[4 * STRIDE + i], sums[5 * STRIDE + i], sums[6 * STRIDE + i]
        rp = sums[11 * STRIDE + i]
        xx, xdx, xsx = x * x, x * dx, x * sx
        gradient[0] += x * rp
        gradient[1] += sums[10 * STRIDE + i]
        gradient[2] += dx * rp
        gradient[3] += x * sums[12 * STRIDE + i]
        gradient[4] += sx * rp
        gradient[5] += x * sums[13 * STRIDE + i]
        normal[0, 0] += xx * wpp
        normal[1, 0] += x * wp
        normal[1, 1] += w1
        normal[2, 0] += xdx * wpp
        normal[2, 1] += dx * wp
        normal[2, 2] += dx * dx * wpp
        normal[3, 0] += xx * wpd
        normal[3, 1] += x * wd
        normal[3, 2] += xdx * wpd
        normal[3, 3] += xx * sums[7 * STRIDE + i]
        normal[4, 0] += xsx * wpp
        normal[4, 1] += sx * wp
        normal[4, 2] += dx * sx * wpp
        normal[4, 3] += xsx * wpd
        normal[4, 4] += sx * sx * wpp
        normal[5, 0] += xx * wps
        normal[5, 1] += x * ws
        normal[5, 2] += xdx * wps
        normal[5, 3] += xx * sums[8 * STRIDE + i]
        normal[5, 4] += xsx * wps
        normal[5, 5] += xx * sums[9 * STRIDE + i]
        total += sums[14 * STRIDE + i]
        old_total += sums[15 * STRIDE + i]
    return old_total, total


@part
def upright_equations(  # type: ignore[no-untyped-def]
    parameters, ny, nx, value, base, old_weight, weight, noise, reweight, column, line, sums, normal, gradient
):
    """Fill normal (lower triangle) and gradient; return χ² with the old and with the new weights.

    Parameters
    ----------
    parameters : (6,) values.
    ny, nx : size of the box.
    value, base : (rows, padded), rows even, pixels (0 where bad) and their weights before the model is known (0 where
    bad). old_weight, weight : (ny, padded) weights of the pass before (read) and of this one (written if reweight, else
    read). noise : (3,) variance at zero, its slope with the model, and the smallest variance.
    reweight : whether weights follow the model.
    column, line : (5, padded + 1) scratch.
    sums : (16 · STRIDE,) scratch.
    normal, gradient : (7, 7) and (7,), overwritten.
    """
    amplitude, level = parameters[0], parameters[1]
    padded = value.shape[1]
    fill_profile(column, nx, parameters[2], parameters[4])
    fill_profile(line, ny, parameters[3], parameters[5])
    normal[:] = 0.0
    gradient[:] = 0.0
    total, old_total = 0.0, 0.0
    if reweight:
        for row in range(ny + ny % 2):
            _fill_weights(row, padded, level, amplitude * line[0, row], column, base, weight, noise)
    for start in range(0, nx, CHUNK):
        sums[:] = 0.0
        count = min(CHUNK, padded - start)
        for row in range(0, ny, 2):
            _add_two_rows(row, start, count, level, amplitude, line, column, value, old_weight, weight, sums)
        old_part, part = _add_columns(start, min(CHUNK, nx - start), column, sums, normal, gradient)
        total += part
        old_total += old_part
    # The derivatives by centre and width carry the amplitude.
    for k in range(2, 6):
        gradient[k] *= amplitude
        normal[k, 0] *= amplitude
        normal[k, 1] *= amplitude
        for m in range(2, k + 1):
            normal[k, m] *= amplitude * amplitude
    return old_total, total


@part
def rotated_equations(  # type: ignore[no-untyped-def]
    parameters, ny, nx, value, base, old_weight, weight, noise, reweight, column, line, sums, normal, gradient
):
    """Fill normal (lower triangle) and gradient of a rotated Gaussian, as `upright_equations`, with 7 parameters."""
    amplitude, level = parameters[0], parameters[1]
    a, b, c = parameters[4], parameters[5], parameters[6]
    normal[:] = 0.0
    gradient[:] = 0.0
    total, old_total = 0.0, 0.0
    for row in range(ny):
        for i in range(nx):
            if base[row, i] == 0.0:
                continue
            u0, v0 = i - parameters[2], row - parameters[3]
            g, gu, gv, guu, guv, gvv = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for n in range(-1, 2):
                v = v0 + n * _NODE
                weight_v = 8 / 18 if n == 0 else 5 / 18
                for k in range(-1, 2):
                    u = u0 + k * _NODE
                    exponent = 0.5 * (a * u * u + c * v * v) + b * u * v
                    if exponent > 700.0:
                        continue
                    e = math.exp(-exponent) * weight_v * (8 / 18 if k == 0 else 5 / 18)
                    eu, ev = e * u, e * v
                    g += e
                    gu += eu
                    gv += ev
                    guu += eu * u
                    guv += eu * v
                    gvv += ev * v
            model = level + amplitude * g
            if reweight:
                weight[row, i] = base[row, i] / max(noise[0] + noise[1] * model, noise[2])
            w = weight[row, i]
            residual = value[row, i] - model
            total += w * residual * residual
            old_total += old_weight[row, i] * residual * residual
            derivatives = (
                g,
                1.0,
                amplitude * (a * gu + b * gv),
                amplitude * (b * gu + c * gv),
                -0.5 * amplitude * guu,
                -amplitude * guv,
                -0.5 * amplitude * gvv,
            )
            for k in range(7):
                wd = w * derivatives[k]
                gradient[k] += wd * residual
                for m in range(k + 1):
                    normal[k, m] += wd * derivatives[m]
    return old_total, total
