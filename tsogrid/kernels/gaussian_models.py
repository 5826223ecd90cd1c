"""Normal equations of pixel-integrated Gaussians, one in each lane: one pass over the boxes, without a Jacobian array.

An upright Gaussian is a column profile times a row profile, so that its pixel integrals need only nx + ny error
functions, and the sums over a row that the normal equations consist of are moments of the weights with the profile and
its derivatives. The parameters are, in this order: amplitude, offset, x, y, σ_x, σ_y.

Weights are base / variance with the variance a straight line in the model (photon and read noise) or 1. A pass sums the
squares of the residuals twice, with the weights of the pass before and with its own: steps are judged with the former.
"""

from tsogrid.kernels.compile import part
from tsogrid.kernels.gaussian_profile import fill_profiles
from tsogrid.kernels.vectors import read, spread, where, write

PARAMETERS = 7  # at most
TRIANGLE = PARAMETERS * (PARAMETERS + 1) // 2  # element (k, m ≤ k) of a symmetric matrix is vector k(k + 1)/2 + m
SCRATCH = 8  # vectors for each pixel of a line


@part
def add(array, index, value):  # type: ignore[no-untyped-def]
    write(array, index, read(array, index) + value)


@part
def _add_row(  # type: ignore[no-untyped-def]
    first, nx, level, height, q, e, t, column, value, base, old_weight, weight, noise, reweight, normal, gradient, totals
):
    """Add one row of pixels, from vector ``first`` on, whose profile is q, with the derivatives e and t."""
    constant, slope, floor = read(noise, 0), read(noise, 1), read(noise, 2)
    old_total, total = totals
    zero = spread(0.0)
    w_1, w_p, w_d, w_s, w_pp, w_pd, w_ps, w_dd, w_ds, w_ss = zero, zero, zero, zero, zero, zero, zero, zero, zero, zero
    r_1, r_p, r_d, r_s = zero, zero, zero, zero
    for i in range(nx):
        p, d, s = read(column, 3 * i), read(column, 3 * i + 1), read(column, 3 * i + 2)
        model = level + height * p
        residual = read(value, first + i) - model
        w = read(base, first + i)
        if reweight:
            variance = constant + slope * model
            w = w / where(variance > floor, variance, floor)
            write(weight, first + i, w)
        wp, wd, ws, wr = w * p, w * d, w * s, w * residual
        w_1 += w
        w_p += wp
        w_d += wd
        w_s += ws
        w_pp += wp * p
        w_pd += wp * d
        w_ps += wp * s
        w_dd += wd * d
        w_ds += wd * s
        w_ss += ws * s
        r_1 += wr
        r_p += wr * p
        r_d += wr * d
        r_s += wr * s
        total += wr * residual
        old_total += read(old_weight, first + i) * (residual * residual)
    qq, qe, qt = q * q, q * e, q * t
    add(gradient, 0, r_p * q)
    add(gradient, 1, r_1)
    add(gradient, 2, r_d * q)
    add(gradient, 3, r_p * e)
    add(gradient, 4, r_s * q)
    add(gradient, 5, r_p * t)
    add(normal, 0, w_pp * qq)
    add(normal, 1, w_p * q)
    add(normal, 2, w_1)
    add(normal, 3, w_pd * qq)
    add(normal, 4, w_d * q)
    add(normal, 5, w_dd * qq)
    add(normal, 6, w_pp * qe)
    add(normal, 7, w_p * e)
    add(normal, 8, w_pd * qe)
    add(normal, 9, w_pp * (e * e))
    add(normal, 10, w_ps * qq)
    add(normal, 11, w_s * q)
    add(normal, 12, w_ds * qq)
    add(normal, 13, w_ps * qe)
    add(normal, 14, w_ss * qq)
    add(normal, 15, w_pp * qt)
    add(normal, 16, w_p * t)
    add(normal, 17, w_pd * qt)
    add(normal, 18, w_pp * (e * t))
    add(normal, 19, w_ps * qt)
    add(normal, 20, w_pp * (t * t))
    return old_total, total


@part
def upright_equations(  # type: ignore[no-untyped-def]
    parameters, moved, ny, nx, value, base, old_weight, weight, noise, reweight, column, line, normal, gradient
):
    """Fill normal (lower triangle) and gradient; return χ² with the old and with the new weights.

    Parameters
    ----------
    parameters : (7, LANES) values.
    moved : whether column and line have not the profiles of these parameters already.
    ny, nx : size of the box.
    value, base : (ny · nx, LANES) pixels (0 where bad) and their weights before the model is known (0 where bad).
    old_weight, weight : (ny · nx, LANES) weights of the pass before (read) and of this one (written if reweight).
    noise : (3, LANES) variance at zero, its slope with the model, and the smallest variance.
    reweight : whether weights follow the model; else they are ``base``.
    column, line : (SCRATCH · nx, LANES), (SCRATCH · ny, LANES) scratch.
    normal, gradient : (TRIANGLE, LANES) and (7, LANES), overwritten.
    """
    amplitude, level = read(parameters, 0), read(parameters, 1)
    if moved:
        fill_profiles(column, nx, read(parameters, 2), read(parameters, 4))
        fill_profiles(line, ny, read(parameters, 3), read(parameters, 5))
    normal[:] = 0.0
    gradient[:] = 0.0
    totals = (spread(0.0), spread(0.0))
    for j in range(ny):
        q, e, t = read(line, 3 * j), read(line, 3 * j + 1), read(line, 3 * j + 2)
        totals = _add_row(
            j * nx, nx, level, amplitude * q, q, e, t, column, value, base, old_weight, weight, noise, reweight,
            normal, gradient, totals,
        )  # fmt: skip
    # The derivatives by centre and width carry the amplitude.
    for k in range(2, 6):
        first = k * (k + 1) // 2
        write(gradient, k, read(gradient, k) * amplitude)
        for m in range(k + 1):
            factor = amplitude * amplitude if m > 1 else amplitude
            write(normal, first + m, read(normal, first + m) * factor)
    return totals
