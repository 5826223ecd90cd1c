"""The profile of an image's stars: which stars tell it, and the fit to all of them at once.

Chosen are bright stars without bad or saturated pixels, the loneliest first; what other stars give to their pixels is taken
off, so that a field without lonely stars has a profile too. Stars that the common profile does not fit (unresolved pairs,
galaxies, what cosmic rays left) are left out.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.moffat import CENTRE, MEAN, add_moffats
from tsogrid.kernels.psf_shape import fit_shape

ROUGH, WHOLE = 2.5, 4.0  # FWHM: radius of the pixels that tell the core, and all of the profile
CLEAN, CORE = 1.5, 0.5  # FWHM: few bad pixels are nearer, and none
BAD = (0.1, 0.4)  # share of bad pixels within the first; the second where no star is cleaner, then also in the core
MOST, FIRST = 30, 12  # stars, and those that tell the first profile
ENOUGH = 8  # stars from which the next stricter choice does
# Light of the neighbours at a star's centre, over the star's own, and nearest distance of a neighbour in FWHM.
LONELY = ((0.002, 4.0), (0.01, 2.5), (0.05, 1.5), (math.inf, 0.0))
FAINTEST = 25.0  # signal-to-noise ratio of a star that tells the profile
_CANDIDATES = 300
_DOUBT = 4.0  # gain in χ² from which pixels are taken to hold the mean of the profile
_OFF = 6.0  # scatters of χ² per pixel above the median
_PER_GAUSS = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True)
class Psf:
    """A Moffat profile of the stars of an image.

    Parameters
    ----------
    shape : (4,) array
        a, b, c in pixel⁻² and α (`tsogrid.kernels.moffat`).
    covariance : (4, 4) array
        Of these.
    integrated : bool
        Whether a pixel's value is the mean of the profile over the pixel; else it is that at its centre.
    stars : dict of (n,) array
        The stars that told it: ``x``, ``y``, ``flux``, ``background`` (above the sky of the image), ``chi2`` (per pixel),
        ``used`` (False: chosen, but the common profile does not fit).
    crowded, assumed : bool
        No star was isolated; no star told it.
    """

    shape: NDArray[np.float64]
    covariance: NDArray[np.float64]
    integrated: bool = False
    stars: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    crowded: bool = False
    assumed: bool = False

    @property
    def nodes(self) -> NDArray[np.float64]:
        """Where in a pixel the profile is taken."""
        return MEAN if self.integrated else CENTRE

    @property
    def alpha(self) -> float:
        """Exponent."""
        return float(self.shape[3])

    @property
    def axes(self) -> tuple[float, float, float]:
        """Core widths γ1 ≥ γ2 in pixels, and the angle of the first from x to y in radian, from −π/2 to π/2."""
        a, b, c = self.shape[:3]
        middle, reach = 0.5 * (a + c), math.hypot(0.5 * (a - c), b)
        angle = 0.5 * math.atan2(-2.0 * b, c - a) if reach > 1e-12 * middle else 0.0
        return 1.0 / math.sqrt(middle - reach), 1.0 / math.sqrt(middle + reach), angle

    @property
    def fwhm(self) -> float:
        """Full width at half maximum, 2 γ √(2^(1/α) − 1), of the round profile of the same area, pixels."""
        gamma = float(np.linalg.det(self.shape[[0, 1, 1, 2]].reshape(2, 2))) ** -0.25
        return 2.0 * gamma * math.sqrt(2.0 ** (1.0 / self.alpha) - 1.0)

    @property
    def peak(self) -> float:
        """Value at the centre of a star of flux 1."""
        a, b, c, alpha = self.shape
        return (alpha - 1.0) * math.sqrt(a * c - b * b) / math.pi

    def reach(self, flux: NDArray[np.float64], faint: float) -> NDArray[np.float64]:
        """Distance in pixels at which stars of these fluxes (n,) have faded to a value, at least 3 FWHM."""
        ratio = np.maximum(flux * self.peak / faint, 1.0)
        return np.maximum(self.axes[0] * np.sqrt(ratio ** (1.0 / self.alpha) - 1.0), 3.0 * self.fwhm)


def assumed_psf(fwhm: float, alpha: float = 3.0) -> Psf:
    """Give a round profile of this width in pixels, without a star that tells it."""
    gamma = 0.5 * fwhm / math.sqrt(2.0 ** (1.0 / alpha) - 1.0)
    return Psf(np.array([gamma**-2, 0.0, gamma**-2, alpha]), np.zeros((4, 4)), assumed=True)


def choose(
    x: NDArray[np.float64], y: NDArray[np.float64], flux: NDArray[np.float64], good: NDArray[np.bool_],
    usable: NDArray[np.bool_], fwhm: float, most: int = MOST,
) -> tuple[NDArray[np.int64], bool]:  # fmt: skip
    """Choose the stars that tell the profile.

    Parameters
    ----------
    x, y, flux : (n,) array
        All stars.
    good : (n,) array of bool
        Those bright enough, and not known to be bad.
    usable : (ny, nx) array of bool
        Good pixels.
    fwhm : float
        Width of the stars, pixels.
    most : int
        How many are chosen, at most.

    Returns
    -------
    chosen : array of int
        Numbers of the stars, the brightest first.
    crowded : bool
        Whether none of them is isolated.
    """
    order = np.argsort(-flux, kind="stable")
    bright = order[good[order]][:_CANDIDATES]
    bad = np.array([[_bad_share(usable, x[k], y[k], radius * fwhm) for radius in (CLEAN, CORE)] for k in bright]).reshape(
        -1, 2
    )
    candidates = bright[(bad[:, 0] <= BAD[0]) & (bad[:, 1] == 0)]
    if not candidates.size:
        candidates = bright[bad[:, 0] <= BAD[1]]
    if not candidates.size:
        return candidates, True
    distance = np.hypot(x[candidates, None] - x[None], y[candidates, None] - y[None])
    distance[np.arange(candidates.size), candidates] = np.inf
    light = np.sum(flux[None] * (1.0 + (1.02 * distance / fwhm) ** 2) ** -2.5, axis=1) / flux[candidates]
    disturbing = flux[None] > 0.02 * flux[candidates, None]
    nearest = np.where(disturbing, distance, np.inf).min(axis=1) / fwhm
    chosen = candidates[:0]
    for level, (share, far) in enumerate(LONELY):
        chosen = candidates[(light <= share) & (nearest >= far)][:most]
        if chosen.size >= ENOUGH or (chosen.size and level == len(LONELY) - 2):
            return chosen, level == len(LONELY) - 2
    return chosen, True


def _bad_share(usable: NDArray[np.bool_], x: float, y: float, reach: float) -> float:
    """Share of the pixels of the disc about a position that are bad; all, where it goes over the edge of the image."""
    ny, nx = usable.shape
    low_y, high_y, low_x, high_x = math.ceil(y - reach), math.floor(y + reach), math.ceil(x - reach), math.floor(x + reach)
    if low_y < 0 or low_x < 0 or high_y >= ny or high_x >= nx:
        return 1.0
    v, u = np.ogrid[low_y - y : high_y - y + 0.5, low_x - x : high_x - x + 0.5]
    inside = usable[low_y : high_y + 1, low_x : high_x + 1][v * v + u * u <= reach * reach]
    return 1.0 - float(inside.mean()) if inside.size else 0.0


def fit_psf(
    rest: NDArray[np.float64], floor: NDArray[np.float64], slope: float, usable: NDArray[np.bool_],
    chosen: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], flux: NDArray[np.float64],
    model: NDArray[np.float64], start: Psf, is_round: bool, crowded: bool, radius: float,
) -> Psf:  # fmt: skip
    """Fit one profile to the chosen stars.

    Parameters
    ----------
    rest : (ny, nx) array
        Frame without its sky; the stars are in it.
    floor, slope : (ny, nx) array and float
        Variance without stars, and variance per unit of the stars.
    usable : (ny, nx) array of bool
        Good pixels.
    chosen : array of int
        Numbers of the stars that tell it.
    x, y, flux : (n,) array
        All stars, as far as known.
    model : (ny, nx) array
        Sum of all of them in the profile `start`.
    start : Psf
        Where the fit begins.
    is_round : bool
        One width only.
    crowded : bool
        What the result says of itself.
    radius : float
        Of each star's pixels, in FWHM.

    Returns
    -------
    Psf
        `start`, where no fit is possible.
    """
    reach = radius * start.fwhm
    others = _others(chosen, x, y, flux, model, floor, start, math.ceil(reach))
    own = np.stack([x[chosen], y[chosen], flux[chosen], np.zeros(chosen.size)], axis=1)
    kept = np.ones(chosen.size, bool)

    def fitted(psf: Psf, integrated: bool, rounds: int) -> tuple[float, Psf] | None:
        shape, stars, covariance = psf.shape.copy(), own[kept].copy(), np.zeros((4, 4))
        if is_round:
            shape[:3] = math.sqrt(shape[0] * shape[2] - shape[1] ** 2) * np.array([1.0, 0.0, 1.0])
        squares, number = np.zeros(len(stars)), np.zeros(len(stars))
        if not fit_shape(
            rest, others[kept], floor, float(slope), usable, reach, is_round, MEAN if integrated else CENTRE, psf.nodes,
            rounds, stars, shape, covariance, squares, number,
        ):  # fmt: skip
            return None
        own[kept] = stars
        chi2 = np.full(chosen.size, np.nan)
        chi2[kept] = squares / number
        names = ("x", "y", "flux", "background")
        columns = dict(zip(names, own.T.copy(), strict=True)) | {"chi2": chi2, "used": kept.copy()}
        return float(squares.sum()), Psf(shape, covariance, integrated, columns, crowded)

    best: Psf = start
    for _ in range(3):
        result = fitted(best, start.integrated, 2 if best.assumed else 1)
        if result is None:
            return best
        best = result[1]
        chi2 = best.stars["chi2"]
        middle = float(np.nanmedian(chi2))
        scatter = 1.4826 * float(np.nanmedian(np.abs(chi2 - middle))) + math.sqrt(2.0 / math.pi) / reach
        off = kept & (chi2 > middle + _OFF * scatter)
        if not off.any() or (kept & ~off).sum() < max(1, kept.sum() // 2):
            break
        kept &= ~off
    if start.assumed or radius > ROUGH:
        return best
    # With the weights of one and the same model χ² tells which value of a pixel the stars have.
    begin, both = own.copy(), []  # in doubt it is the simpler one
    for integrated in (False, True):
        own[:] = begin
        result = fitted(best, integrated, 1)
        if result is not None:
            both.append((result[0] + _DOUBT * integrated, result[1]))
    return min(both, key=lambda one: one[0])[1] if both else best


def _others(
    chosen: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], flux: NDArray[np.float64],
    model: NDArray[np.float64], floor: NDArray[np.float64], psf: Psf, half: int,
) -> NDArray[np.float64]:  # fmt: skip
    """What the other stars give to the pixels of each chosen one's stamp; NaN where they give more than the star itself."""
    ny, nx = model.shape
    others = np.full((chosen.size, 2 * half + 1, 2 * half + 1), np.nan)
    noise = math.sqrt(float(np.median(floor)))
    for number, k in enumerate(chosen):
        row, column = math.floor(y[k] + 0.5) - half, math.floor(x[k] + 0.5) - half
        own = np.zeros((2 * half + 1, 2 * half + 1))
        add_moffats(own, x[k] - column, y[k] - row, flux[k], psf.shape, psf.nodes)
        low_y, low_x, high_y, high_x = (
            max(0, row),
            max(0, column),
            min(ny, row + 2 * half + 1),
            min(nx, column + 2 * half + 1),
        )
        here = np.s_[low_y - row : high_y - row, low_x - column : high_x - column]
        left = model[low_y:high_y, low_x:high_x] - own[here]
        share = 0.1 if psf.assumed else 1.0
        others[number][here] = np.where((left > share * own[here]) & (left > share * noise), np.nan, left)
    return others
