"""Where a target and reference stars may be, for a first configuration: bright, isolated, unsaturated stars of a frame.

Stars are peaks of the smoothed image that stand far above its noise and are wider than one pixel; positions are centres of
mass. These are guesses to begin with; measurements find their own centres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from tsogrid.kernels.statistics import MAD_TO_SIGMA

SMOOTHING = 1.5  # pixels (1 sigma) of the filter under which peaks are looked for
THRESHOLD = 12.0  # standard deviations of the smoothed background
REACH = 8  # pixels: half the box in which a star's flux and centre are taken
MARGIN = 20  # pixels to the edges of the frame: the field may drift; less in small frames
ISOLATION = 20.0  # pixels about a star in which no other may have more than this part of its flux:
NEIGHBOUR = 0.1
SHARPEST = 0.7  # share of the 3 × 3 pixels about the peak that the peak may hold; hot pixels and cosmic rays hold more
FULL = 0.9  # of the level of saturation: a star whose peak is brighter may be saturated
FLAT = 0.97  # of the peak: a star with more than FLAT_PIXELS pixels above it is cut off
FLAT_PIXELS = 6
MOST_REFERENCES = 5
FAINTEST = 0.15  # of the target's flux: fainter stars add more noise than they take away
BRIGHTEST = 10.0


@dataclass(frozen=True)
class Star:
    """A star of a frame.

    Parameters
    ----------
    x, y : float
        0-based pixels.
    flux : float
        Above the local background, in data units.
    good : bool
        Isolated, not saturated, and away from the edges.
    """

    x: float
    y: float
    flux: float
    good: bool


def find_stars(image: ArrayLike, saturation: float | None = None) -> list[Star]:
    """Find the stars of an image.

    Parameters
    ----------
    image : array_like, shape (ny, nx)
        A frame, or the median of some; bad pixels are not finite.
    saturation : float, optional
        Data units at which pixels are full.

    Returns
    -------
    list of Star
        The brightest first.
    """
    data = np.asarray(image, float)
    finite = np.isfinite(data)
    if finite.sum() < 9:
        return []
    level = float(np.median(data[finite]))
    smooth = ndimage.gaussian_filter(np.where(finite, data, level) - level, SMOOTHING)
    noise = MAD_TO_SIGMA * float(np.median(np.abs(smooth - np.median(smooth))))
    highest = ndimage.maximum_filter(smooth, size=2 * (REACH // 2) + 1)
    rows, columns = np.nonzero((smooth == highest) & (smooth > THRESHOLD * noise) & (smooth > 0))
    found = [_measured(data, int(row), int(column), saturation) for row, column in zip(rows, columns, strict=True)]
    stars = sorted((star for star in found if star is not None), key=lambda star: -star.flux)
    return [_isolated(star, stars) for star in stars]


def _measured(data: np.ndarray, row: int, column: int, saturation: float | None) -> Star | None:
    """Take flux and centre of mass in a box; None where the peak is no star."""
    ny, nx = data.shape
    top, left = max(row - REACH, 0), max(column - REACH, 0)
    box = data[top : row + REACH + 1, left : column + REACH + 1]
    finite = np.isfinite(box)
    border = np.ones(box.shape, bool)
    border[2:-2, 2:-2] = False
    if not (finite & border).any():
        return None
    above = np.where(finite, box - np.median(box[finite & border]), 0.0)
    y, x = row - top, column - left
    middle = above[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    if middle.max() <= 0 or middle.max() > SHARPEST * np.clip(middle, 0, None).sum():
        return None
    # Pixels below a tenth of the peak are background and neighbours: they would draw the centre away.
    star = np.where(above > 0.1 * middle.max(), above, 0.0)
    labels, _ = ndimage.label(star > 0)
    star = np.where(labels == labels[y, x], star, 0.0) if labels[y, x] else star
    total = float(star.sum())
    if not total > 0:
        return None
    centre_y, centre_x = (float(each) for each in ndimage.center_of_mass(star))
    full = saturation is not None and np.nanmax(box) > FULL * saturation
    flat = int((above > FLAT * above.max()).sum()) > FLAT_PIXELS
    margin = max(REACH, min(MARGIN, min(ny, nx) // 6))
    inside = margin <= row < ny - margin and margin <= column < nx - margin
    return Star(left + centre_x, top + centre_y, total, inside and not full and not flat)


def _isolated(star: Star, stars: list[Star]) -> Star:
    """Mark a star that has a bright neighbour."""
    near = (
        other is not star and np.hypot(other.x - star.x, other.y - star.y) < ISOLATION and other.flux > NEIGHBOUR * star.flux
        for other in stars
    )
    return Star(star.x, star.y, star.flux, star.good and not any(near))


def nearest(stars: list[Star], x: float, y: float, within: float) -> Star | None:
    """Find the star nearest to a position, at most so many pixels away."""
    close = [(float(np.hypot(star.x - x, star.y - y)), number) for number, star in enumerate(stars)]
    distance, number = min(close, default=(np.inf, -1))
    return stars[number] if distance <= within else None


def reference_stars(stars: list[Star], target: Star) -> list[Star]:
    """Choose good stars whose flux is like the target's, the nearest in flux first."""
    like = [star for star in stars if star.good and star is not target and _is_like(star.flux / target.flux)]
    like.sort(key=lambda star: abs(np.log(star.flux / target.flux)))
    return like[:MOST_REFERENCES]


def _is_like(ratio: float) -> bool:
    return FAINTEST < ratio < BRIGHTEST
