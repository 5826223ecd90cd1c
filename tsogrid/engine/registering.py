"""The places of sources in the frames of a block, by the pattern of each frame's stars."""

from typing import NamedTuple

import numpy as np

from tsogrid.engine.recipe import Recipe
from tsogrid.flags import RegistrationFlag, SourceFlag
from tsogrid.kernels.pattern_match import Pattern
from tsogrid.kernels.registration import positions_in_frames, register
from tsogrid.kernels.star_finder import Stars, star_field

MOST_STARS = 200  # of a frame, the brightest


class Placed(NamedTuple):
    """Where the sources are planned in each frame, and how that is known.

    Parameters
    ----------
    x, y : ndarray, shape (n, n_sources)
        0-based pixels; NaN in frames that could not be registered.
    flags : ndarray of int, shape (n,)
        `SourceFlag` of all sources of a frame.
    values : dict of ndarray, shape (n,)
        Variables of the result.
    data : ndarray, shape (n, ny, nx)
        The frames, pixels that stand alone NaN: beside a star they would draw its centre away.
    """

    x: np.ndarray
    y: np.ndarray
    flags: np.ndarray
    values: dict[str, np.ndarray]
    data: np.ndarray


def pattern_of(stars: Stars, frame: int) -> Pattern:
    """Give the stars of one frame as a pattern."""
    number = slice(int(stars.number[frame]))
    return Pattern(*(np.ascontiguousarray(each[frame, number]) for each in (stars.x, stars.y, stars.flux, stars.error)))


def registered_places(data: np.ndarray, recipe: Recipe, x: np.ndarray, y: np.ndarray) -> Placed:
    """Register the frames of a block, and carry the places of sources over to them.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Whole frames, bad pixels NaN.
    recipe : Recipe
        With the pattern of the reference frame.
    x, y : ndarray, shape (n, n_sources)
        Places in the reference frame, 0-based pixels.

    Returns
    -------
    Placed
    """
    assert recipe.pattern is not None
    shape = data.shape[1], data.shape[2]
    lonely = np.zeros(data.shape, bool)
    stars = star_field(data, MOST_STARS, lonely)
    mirror = getattr(recipe.center.registration, "mirror", False)
    found = register([pattern_of(stars, frame) for frame in range(len(data))], recipe.pattern, shape, mirror)
    here_x, here_y = positions_in_frames(found, x, y, shape)
    clouded = (found.flags & int(RegistrationFlag.CLOUDED)) != 0
    flags = np.where(np.isfinite(found.scale), 0, int(SourceFlag.NOT_REGISTERED))
    flags |= np.where(clouded, int(SourceFlag.CLOUDED), 0)
    values: dict[str, np.ndarray] = {
        "frame_shift_x": found.shift_x,
        "frame_shift_y": found.shift_y,
        "frame_rotation": found.rotation,
        "frame_scale": found.scale,
        "frame_stars": stars.number.astype(np.int32),
        "frame_matched": found.matched.astype(np.int32),
        "frame_rms": found.rms,
        "frame_transparency": found.transparency,
        "frame_flags": found.flags.astype(np.int32),
    }
    alone = np.where(lonely, np.asarray(np.nan, data.dtype), data)
    return Placed(here_x, here_y, flags, values, alone)
