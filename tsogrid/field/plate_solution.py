"""The world coordinates of a frame, from its stars and a catalogue with places on the sky, by an approximate WCS.

The approximate WCS brings the catalogue to pixels, where the patterns of both are matched: any shift within a margin, any
rotation, scales up to a fifth off, and mirror images. What is found is believed only beyond doubt (`kernels.registration`);
the plate constants of all pairs then make a new WCS, which owes nothing to the old one.
"""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS, Sip
from scipy.spatial import cKDTree

from tsogrid.field.wcs import wcs_pixels
from tsogrid.flags import RegistrationFlag
from tsogrid.kernels.pattern_match import Pattern
from tsogrid.kernels.plate import Plate, fit_plate, powers
from tsogrid.kernels.registration import TIERS, Transform, find_transform

# How far beyond the frame the catalogue is looked at, in parts of its side, and what may be turned and scaled there: a
# pointing that is far off has its angle and scale right.
MARGINS = ((0.12, TIERS), (0.6, TIERS[:2]))
LEAST_MARGIN = 60.0  # pixels
BRIGHTEST, ENTRIES = 200, 300  # stars of the frame, and entries of the catalogue a frame's area, whose pattern is matched
FARTHEST = 5.0  # degrees: entries so far from the frame's middle have no pixel
EDGE = 0.5  # pixels that a frame reaches beyond the centres of its outer pixels
PASSES = 3
CLOSE = 1.0  # pixels: the largest root mean square of what is left


class Solution(NamedTuple):
    """A WCS and what speaks for it, or why there is none.

    Parameters
    ----------
    wcs : astropy.wcs.WCS or None
        None where no solution is beyond doubt.
    why : RegistrationFlag
        The reason if there is none; 0 if there is one.
    matched : int
        Stars of the frame that are in the catalogue.
    seen : float
        Share of the catalogue's stars that should be seen which are.
    rms : float
        Root mean square distance of the matched stars, in pixels.
    by_chance : float
        Expected number of solutions as good that chance would bring.
    shift : float
        Of the frame's middle, against the approximate WCS, in pixels.
    rotation, scale : float
        Against the approximate WCS: degrees, and pixels for one of its pixels.
    mirrored : bool
        Against the approximate WCS.
    degree : int
        Of the polynomial of the pixels.
    precision : float
        Expected error of a place on the frame, in pixels.
    """

    wcs: Any
    why: RegistrationFlag
    matched: int = 0
    seen: float = math.nan
    rms: float = math.nan
    by_chance: float = math.nan
    shift: float = math.nan
    rotation: float = math.nan
    scale: float = math.nan
    mirrored: bool = False
    degree: int = 0
    precision: float = math.inf


def solve(stars: Pattern, shape: tuple[int, int], approximate: Any, sky: np.ndarray, flux: np.ndarray) -> Solution:
    """Find the WCS of a frame.

    Parameters
    ----------
    stars : Pattern
        Of the frame, the brightest first; 0-based pixels.
    shape : (int, int)
        Rows and columns.
    approximate : astropy.wcs.WCS
        Where the frame is about.
    sky : ndarray, shape (n_entries, 2)
        Right ascension and declination of the catalogue's stars, degrees; rows that are not finite do not count.
    flux : ndarray, shape (n_entries,)
        Their brightness, in any linear unit; not finite or not above 0: does not count.

    Returns
    -------
    Solution
    """
    ny, nx = shape
    middle = (nx - 1) / 2, (ny - 1) / 2
    centre = np.array(approximate.pixel_to_world_values(*middle), float)
    usable = np.flatnonzero(np.isfinite(sky).all(axis=1) & (flux > 0) & np.isfinite(flux) & _near(sky, centre))
    if not np.isfinite(centre).all() or not usable.size:
        return Solution(None, RegistrationFlag.TOO_FEW_STARS)
    usable = usable[np.argsort(-flux[usable], kind="stable")]
    sky, flux = sky[usable], flux[usable]
    pixels = wcs_pixels(approximate, sky)
    why = RegistrationFlag.TOO_FEW_STARS
    for share, tiers in MARGINS:
        margin = max(share * max(nx, ny), LEAST_MARGIN)
        inside = _inside(pixels, shape, margin)
        area = (nx + 2 * margin) * (ny + 2 * margin) / (nx * ny)
        pattern = np.flatnonzero(inside)[: round(ENTRIES * area)]
        x, y = pixels[pattern].T + margin
        reference = Pattern(x, y, flux[pattern], np.zeros(len(pattern)))
        there = math.ceil(ny + 2 * margin), math.ceil(nx + 2 * margin)
        bright = Pattern(*(each[:BRIGHTEST] for each in stars))
        found = find_transform(bright, reference, shape, there, mirror=True, tiers=tiers)
        if isinstance(found, RegistrationFlag):
            why = found if why in (RegistrationFlag.TOO_FEW_STARS, RegistrationFlag.NO_MATCH) else why
            continue
        plate, wcs = _plated(stars, sky, flux, (found.frame, pattern[found.reference]), middle, centre)
        if not plate.rms <= CLOSE:
            why = RegistrationFlag.POOR_FIT
            continue
        return _described(plate, wcs, found, approximate, middle)
    return Solution(None, why)


def refit(solution: Solution, stars: Pattern, shape: tuple[int, int], sky: np.ndarray, flux: np.ndarray) -> Solution:
    """Fit the plate constants of a solved frame to another list of its stars, and keep the better of both.

    Parameters
    ----------
    solution : Solution
        With a WCS.
    stars, shape, sky, flux
        As for `solve`.

    Returns
    -------
    Solution
        The one that promises the smaller error of places.
    """
    ny, nx = shape
    middle, centre = ((nx - 1) / 2, (ny - 1) / 2), np.array(solution.wcs.wcs.crval)
    usable = np.flatnonzero(np.isfinite(sky).all(axis=1) & (flux > 0) & np.isfinite(flux) & _near(sky, centre))
    pixels = wcs_pixels(solution.wcs, sky[usable])
    if len(stars.x) < 2 or not usable.size:
        return solution
    distance, star = cKDTree(np.stack([stars.x, stars.y], axis=-1)).query(np.where(np.isfinite(pixels), pixels, 1e9))
    first = np.flatnonzero(distance < CLOSE)
    if first.size < 3:
        return solution
    plate, wcs = _plated(stars, sky[usable], flux[usable], (star[first], first), middle, centre, CLOSE)
    if not plate.rms <= CLOSE or not plate.precision < solution.precision:
        return solution
    return solution._replace(wcs=wcs, matched=len(plate.star), rms=plate.rms, degree=plate.degree, precision=plate.precision)


def inside(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Tell which pixels, shape (n, 2), lie on a frame; those that are NaN do not."""
    return _inside(pixels, shape, EDGE)


def tangent_plane(centre: np.ndarray, size: float) -> Any:
    """Make the WCS of a plane tangent to the sky: north up, east to the left.

    Parameters
    ----------
    centre : (float, float)
        Right ascension and declination of the 0-based pixel (0, 0), degrees.
    size : float
        Of a pixel, degrees.

    Returns
    -------
    astropy.wcs.WCS
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [float(value) for value in centre]
    wcs.wcs.crpix = [1.0, 1.0]
    wcs.wcs.cd = [[-size, 0.0], [0.0, size]]
    wcs.wcs.set()
    return wcs


def _near(sky: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Which places are near enough to the frame to be projected with it."""
    lon, lat = np.deg2rad(sky).T
    lon0, lat0 = np.deg2rad(centre)
    with np.errstate(invalid="ignore"):
        cosine = np.sin(lat) * np.sin(lat0) + np.cos(lat) * np.cos(lat0) * np.cos(lon - lon0)
        return np.asarray(cosine > math.cos(math.radians(FARTHEST)))


def _inside(pixels: np.ndarray, shape: tuple[int, int], margin: float) -> np.ndarray:
    x, y = pixels.T
    with np.errstate(invalid="ignore"):
        return np.asarray((x >= -margin) & (x <= shape[1] - 1 + margin) & (y >= -margin) & (y <= shape[0] - 1 + margin))


def _plated(
    stars: Pattern,
    sky: np.ndarray,
    flux: np.ndarray,
    first: tuple[np.ndarray, np.ndarray],
    middle: tuple[float, float],
    centre: np.ndarray,
    near: float = 3.0,
) -> tuple[Plate, Any]:
    """Fit the plate constants about the frame's own middle: where that lies on the sky comes out of the fit."""
    for _ in range(PASSES):
        plane = wcs_pixels(tangent_plane(centre, 1.0), sky)
        plane[:, 0] *= -1.0  # to the east
        plate = fit_plate((stars.x, stars.y, stars.flux, stars.error), plane, flux, first, middle, near)
        if not math.isfinite(plate.rms):
            return plate, None
        first = plate.star[plate.used], plate.entry[plate.used]
        off = plate.coefficients[0]
        centre = np.array(tangent_plane(centre, 1.0).pixel_to_world_values(-off[0], off[1]), float)
        if np.abs(off).max() < 1e-9:
            break
    return plate, _as_wcs(plate, centre)


def _as_wcs(plate: Plate, centre: np.ndarray) -> Any:
    """Write plate constants as a gnomonic WCS, with SIP terms where they are of a higher degree (Shupe et al. 2005)."""
    wcs = WCS(naxis=2)
    wcs.wcs.crval = [float(value) for value in centre]
    wcs.wcs.crpix = [plate.middle[0] + 1.0, plate.middle[1] + 1.0]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    matrix = plate.coefficients[1:3].T
    wcs.wcs.cd = matrix
    if plate.degree > 1:
        terms = np.linalg.solve(matrix, plate.coefficients[3:].T)
        along, across = np.zeros((2, plate.degree + 1, plate.degree + 1))
        for (i, j), (a, b) in zip(powers(plate.degree)[3:], terms.T, strict=True):
            along[i, j], across[i, j] = a, b
        wcs.sip = Sip(along, across, None, None, wcs.wcs.crpix)
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    else:
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        wcs.wcs.set()
    return wcs


def _described(plate: Plate, wcs: Any, found: Transform, approximate: Any, middle: tuple[float, float]) -> Solution:
    there = wcs_pixels(approximate, np.array([wcs.wcs.crval]))[0]
    turned = found.a.conjugate() if found.mirrored else found.a
    return Solution(
        wcs,
        RegistrationFlag(0),
        len(plate.star),
        found.seen,
        plate.rms,
        found.by_chance,
        float(np.hypot(*(there - middle))),
        math.degrees(math.atan2(turned.imag, turned.real)),
        1.0 / abs(found.a),
        found.mirrored,
        plate.degree,
        plate.precision,
    )
