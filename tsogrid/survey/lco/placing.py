"""Where an image lies on the sky: its star list, or the stars found on it, against the catalogue of the field.

Of both lists the one goes first that is the likelier to hold stars: a list with many more entries than the image has stars
is mostly noise. A frame that one of them solves is fitted to the other too, and the better plate is kept.
"""

import math
from typing import Any

import numpy as np

from tsogrid.field.plate_solution import Solution, refit, solve, tangent_plane
from tsogrid.flags import RegistrationFlag
from tsogrid.kernels.pattern_match import Pattern
from tsogrid.kernels.star_finder import star_field
from tsogrid.survey.lco.frame import Frame
from tsogrid.survey.lco.stars import FieldStars

MOST = 4000  # stars that are found on an image
NOISY = 3.0, 100  # a list with so many times as many entries, and so many more, than the image has stars is mostly noise
LISTED_ERROR = 0.05  # pixels: of a listed place, where nothing tells more
ELSEWHERE = 0.1, 0.15  # of the frame's side, and of the scale: so different is a second guess worth trying
WORDS = {
    RegistrationFlag.TOO_FEW_STARS: "too few stars in the image, or of the catalogue about it",
    RegistrationFlag.NO_MATCH: "the pattern of its stars is not that of the catalogue",
    RegistrationFlag.POOR_FIT: "the stars that match lie too far from the catalogue's places",
    RegistrationFlag.STARS_MISSING: "too many of the catalogue's stars that should be seen are not",
    RegistrationFlag.BY_CHANCE: "so few stars match that it may be chance",
}


def found_stars(frame: Frame) -> tuple[Pattern, float]:
    """Find the stars of an image, and their Gaussian width in pixels (NaN without stars).

    Parameters
    ----------
    frame : Frame

    Returns
    -------
    Pattern, float
    """
    data = np.ascontiguousarray(frame.data, np.float32)[None]
    stars = star_field(data, MOST)
    number = slice(int(stars.number[0]))
    own = Pattern(*(np.ascontiguousarray(each[0, number]) for each in (stars.x, stars.y, stars.flux, stars.error)))
    return own, float(stars.width[0])


def listed_stars(listed: np.ndarray | None, own: Pattern) -> Pattern | None:
    """Give a star list as a pattern; what its places are worth is judged by the stars found on the image.

    Parameters
    ----------
    listed : ndarray, shape (n, 3), or None
        x, y (0-based pixels) and flux, the brightest first.
    own : Pattern
        Found on the image.

    Returns
    -------
    Pattern or None
    """
    if listed is None or not len(listed):
        return None
    x, y, flux = (np.ascontiguousarray(column) for column in listed.T)
    if not len(own.x):
        return Pattern(x, y, flux, np.full(len(x), LISTED_ERROR))
    # Under noise of the sky the error of a place goes with one over the flux.
    return Pattern(x, y, flux, np.hypot(LISTED_ERROR, np.minimum(float(np.median(own.error * own.flux)) / flux, 1.0)))


def place(frame: Frame, stars: FieldStars, own: Pattern, listed: Pattern | None) -> Solution:
    """Find the WCS of an image.

    Parameters
    ----------
    frame : Frame
        With its approximate WCS.
    stars : FieldStars
        The catalogue.
    own, listed : Pattern
        The stars found on the image, and its star list.

    Returns
    -------
    Solution
    """
    shape: tuple[int, int] = (frame.data.shape[0], frame.data.shape[1])
    if frame.wcs is None:
        return Solution(None, RegistrationFlag.NO_MATCH)
    sky, flux = stars.sky_at(float(frame.facts["mjd"])), stars.brightness(str(frame.facts["filter"]))
    lists = [own] if listed is None else [listed, own]
    if listed is not None and len(listed.x) > max(NOISY[0] * len(own.x), len(own.x) + NOISY[1]):
        lists = [own, listed]
    failed: list[Solution] = []
    for approximate, tried in ((frame.wcs, lists), (_second_guess(frame), [own])):
        for number, each in enumerate(tried if approximate is not None else []):
            solution = solve(each, shape, approximate, sky, flux)
            if solution.wcs is None:
                failed.append(solution)
                continue
            for other in [*lists[:number], *lists[number + 1 :]]:
                solution = refit(solution, other, shape, sky, flux)
            return solution
    return failed[-1]


def _second_guess(frame: Frame) -> Any:
    """A WCS from pointing and pixel scale, where the header's own one says something else; else None."""
    ny, nx = frame.data.shape
    ra, dec = float(frame.facts["ra"]), float(frame.facts["dec"])
    if not (math.isfinite(ra) and math.isfinite(frame.pixel_scale)):
        return None
    wcs = tangent_plane(np.array([ra, dec]), frame.pixel_scale / 3600.0)
    wcs.wcs.crpix = [(nx + 1) / 2, (ny + 1) / 2]
    middle = (nx - 1) / 2, (ny - 1) / 2
    with np.errstate(all="ignore"):
        there = np.array(frame.wcs.world_to_pixel_values(ra, dec), float) - middle
        matrix = frame.wcs.pixel_scale_matrix
        scale = math.sqrt(abs(float(np.linalg.det(matrix)))) * 3600.0
    near = np.isfinite(there).all() and np.hypot(*there) < ELSEWHERE[0] * max(nx, ny)
    return None if near and abs(scale / frame.pixel_scale - 1.0) < ELSEWHERE[1] else wcs
