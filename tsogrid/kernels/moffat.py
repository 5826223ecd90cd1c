"""A star's image as a Moffat profile: its values, their derivatives, and many stars added to a frame.

The profile of a star of flux f at (x, y) is f k (1 + Q)^−α with Q = a u² + 2b u v + c v², u and v being the distances from
the centre along x and y, and k = (α − 1) √(ac − b²) / π, so that f is the integral over the whole plane (Moffat 1969, A&A
3, 455). The shape is (a, b, c, α); a round profile of the core width γ has a = c = 1/γ² and b = 0. A pixel's value is the
profile at its centre, or its mean over the pixel by 2 × 2 Gauss–Legendre nodes.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.compile import kernel, part

TERMS = 7  # value and derivatives by x, y, a, b, c, α
_NODE = math.sqrt(1.0 / 12.0)
# Places within a pixel and their weights, (nodes, 2): along one axis.
CENTRE = np.array([[0.0, 1.0]])
MEAN = np.array([[-_NODE, 0.5], [_NODE, 0.5]])


@part
def profile_value(u, v, shape, nodes):  # type: ignore[no-untyped-def]
    """Value of a profile of flux 1 in the pixel at (u, v) from the star."""
    a, b, c, alpha = shape[0], shape[1], shape[2], shape[3]
    total = 0.0
    for k in range(nodes.shape[0]):
        q = v + nodes[k, 0]
        for m in range(nodes.shape[0]):
            p = u + nodes[m, 0]
            total += nodes[k, 1] * nodes[m, 1] * math.exp(-alpha * math.log1p(a * p * p + 2.0 * b * p * q + c * q * q))
    return total * (alpha - 1.0) * math.sqrt(a * c - b * b) / math.pi


@part
def profile_terms(u, v, shape, nodes, terms):  # type: ignore[no-untyped-def]
    """Fill the value of a profile of flux 1 in the pixel at (u, v) from the star, and its derivatives."""
    a, b, c, alpha = shape[0], shape[1], shape[2], shape[3]
    det = a * c - b * b
    scale = (alpha - 1.0) * math.sqrt(det) / math.pi
    zero = by_x = by_y = by_a = by_b = by_c = by_alpha = 0.0
    for k in range(nodes.shape[0]):
        q = v + nodes[k, 0]
        for m in range(nodes.shape[0]):
            p = u + nodes[m, 0]
            excess = a * p * p + 2.0 * b * p * q + c * q * q
            logarithm = math.log1p(excess)
            value = nodes[k, 1] * nodes[m, 1] * scale * math.exp(-alpha * logarithm)
            steep = alpha * value / (1.0 + excess)
            zero += value
            by_x += 2.0 * steep * (a * p + b * q)
            by_y += 2.0 * steep * (b * p + c * q)
            by_a -= steep * p * p
            by_b -= 2.0 * steep * p * q
            by_c -= steep * q * q
            by_alpha -= value * logarithm
    terms[0] = zero
    terms[1] = by_x
    terms[2] = by_y
    terms[3] = by_a + 0.5 * c / det * zero
    terms[4] = by_b - b / det * zero
    terms[5] = by_c + 0.5 * a / det * zero
    terms[6] = by_alpha + zero / (alpha - 1.0)


@part
def add_star(image, x, y, flux, shape, nodes, reach):  # type: ignore[no-untyped-def]
    """Add one star to an image, out to a distance from its centre."""
    ny, nx = image.shape
    for j in range(max(0, math.ceil(y - reach)), min(ny - 1, math.floor(y + reach)) + 1):
        v = j - y
        for i in range(max(0, math.ceil(x - reach)), min(nx - 1, math.floor(x + reach)) + 1):
            u = i - x
            if u * u + v * v <= reach * reach:
                image[j, i] += flux * profile_value(u, v, shape, nodes)


@kernel
def _add_all(image, x, y, flux, shape, nodes, reach):  # type: ignore[no-untyped-def]
    for star in range(x.size):
        add_star(image, x[star], y[star], flux[star], shape, nodes, reach[star])


def add_moffats(
    image: NDArray[np.float64],
    x: ArrayLike,
    y: ArrayLike,
    flux: ArrayLike,
    shape: ArrayLike,
    nodes: NDArray[np.float64] = CENTRE,
    reach: ArrayLike = np.inf,
) -> None:
    """Add stars of one shape to an image, in place.

    Parameters
    ----------
    image : (ny, nx) array of float64
        Changed; the unit of the fluxes.
    x, y, flux : (n,) array_like
        Centres in 0-based pixels, and whole fluxes; a star whose numbers are not finite is left out.
    shape : (4,) array_like
        a, b, c in pixel⁻² and α of the profile.
    nodes : (m, 2) array
        `CENTRE` or `MEAN`: what the value of a pixel is.
    reach : (n,) array_like or float
        Distance in pixels out to which a star is painted.

    Raises
    ------
    ValueError
        If the image is not (ny, nx), or a, b, c, α are no Moffat profile with a finite flux (a, c, ac − b² > 0, α > 1).
    """
    form = np.ascontiguousarray(shape, np.float64)
    if image.ndim != 2 or image.dtype != np.float64:
        raise ValueError(f"image: expected (ny, nx) float64, got {image.shape} {image.dtype}")
    if form.shape != (4,) or not (form[0] > 0 and form[0] * form[2] > form[1] ** 2 and form[3] > 1):
        raise ValueError(f"shape: expected a, b, c, alpha with a c > b² and alpha > 1, got {form}")
    stars = np.broadcast_arrays(*(np.atleast_1d(np.asarray(one, np.float64)) for one in (x, y, flux, reach)))
    finite = np.isfinite(stars[0]) & np.isfinite(stars[1]) & np.isfinite(stars[2])
    across, along, height, far = (np.ascontiguousarray(one[finite]) for one in stars)
    diagonal = float(np.hypot(*image.shape)) + np.abs(across).max(initial=0) + np.abs(along).max(initial=0)
    _add_all(image, across, along, height, form, nodes, np.minimum(far, diagonal))
