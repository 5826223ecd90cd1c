"""The apertures of a block: every aperture summed once, then every sky taken out of it.

The rule for apertures that reach over the frame's edge, and the sum of the whole frame, live here.
"""

import numpy as np

from tsogrid.engine.background import Background, ChainState
from tsogrid.engine.recipe import Recipe
from tsogrid.flags import ApertureFlag
from tsogrid.kernels import aperture

Arrays = dict[str, np.ndarray]


def measure_apertures(
    recipe: Recipe,
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    known: tuple[np.ndarray, np.ndarray],
    origin: tuple[int, int],
    shape: tuple[int, int],
) -> Arrays:
    """Measure every aperture over every sky.

    Parameters
    ----------
    recipe : Recipe
        Apertures and skies.
    data, error : ndarray, shape (n, ny, nx)
        The window's pixels, made ready; ``error`` is None if unknown.
    x, y : ndarray, shape (n, n_sources)
        Centres of the apertures, in pixels of the window.
    known : (ndarray, ndarray)
        The same, with the planned position where none was found: such a source is still masked in frame-level skies.
    origin : (int, int)
        Row and column of the window's first pixel in the frame.
    shape : (int, int)
        Rows and columns of the frame.

    Returns
    -------
    dict of ndarray
        The variables of the result that have an aperture or a sky dimension.
    """
    off = _off_frame(x + origin[1], y + origin[0], recipe.radii, shape)
    whole = np.zeros((*off.shape[:2], off.shape[2] + recipe.whole_frame), bool)
    whole[..., recipe.radii.size :] = True
    if recipe.photometry.off_frame == "frame":
        whole[..., : recipe.radii.size] |= off
    result = _sums(recipe, data, error, x, y, off, whole)
    background = Background(recipe, data, error, x, y, *known)
    planes: dict[str, list[np.ndarray]] = {}
    for steps in recipe.sky:
        for name, plane in _less_sky(recipe, background, background.chain(steps), whole, result).items():
            planes.setdefault(name, []).append(plane)
    return result | {name: np.stack(each, axis=-1) for name, each in planes.items()}


def _off_frame(x: np.ndarray, y: np.ndarray, radii: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Whether part of a circle lies outside the frame; shape (n, n_sources, n_radii)."""
    ny, nx = shape
    x, y = x[:, :, None], y[:, :, None]
    return (x - radii < -0.5) | (x + radii > nx - 0.5) | (y - radii < -0.5) | (y + radii > ny - 0.5)


def _sums(
    recipe: Recipe,
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    off: np.ndarray,
    whole: np.ndarray,
) -> Arrays:
    """Sum every aperture, before sky."""
    weight = recipe.photometry.variance_weight
    columns: list[np.ndarray] = [np.empty((*x.shape, 0))] * 4
    if recipe.radii.size:
        circles = aperture.circle_sums(data, error, x, y, recipe.radii, variance_weight=weight)
        columns = [circles.sum, circles.variance, circles.area, circles.bad]
    if recipe.whole_frame:
        columns = [np.pad(column, ((0, 0), (0, 0), (0, 1))) for column in columns]
        off = np.pad(off, ((0, 0), (0, 0), (0, 1)))
    if whole.any():
        # A frame has some pixel of unknown error almost always: its error is that of the others.
        frames = aperture.frame_sums(data, None if error is None else np.where(np.isfinite(error), error, 0))
        of_frame = (frames.sum, frames.variance, frames.area, frames.bad)
        columns = [
            np.where(whole, np.asarray(frame)[:, None, None], column)
            for frame, column in zip(of_frame, columns, strict=True)
        ]
    total, variance, area, bad = columns
    empty = area == 0
    lost = empty | off if recipe.photometry.off_frame == "nan" else empty
    if recipe.nan == "leave":
        lost = lost | (bad > 0)
    total, variance = np.where(lost, np.nan, total), np.where(lost, np.nan, variance)
    flags = (
        np.where(bad > 0, int(ApertureFlag.BAD_PIXEL), 0)
        | np.where(off, int(ApertureFlag.OFF_FRAME), 0)
        | np.where(empty, int(ApertureFlag.NO_PIXELS), 0)
        | np.where(whole, int(ApertureFlag.WHOLE_FRAME), 0)
    )
    if error is not None:
        flags |= np.where(~lost & ~np.isfinite(variance), int(ApertureFlag.ERROR_UNKNOWN), 0)
    return {
        "aperture_sum": total,
        "aperture_sum_err": np.sqrt(variance),
        "aperture_area": area.astype(float),
        "bad_pixels": bad.astype(np.int32),
        "aperture_flags": flags.astype(np.int32),
    }


def _less_sky(recipe: Recipe, background: Background, state: ChainState, whole: np.ndarray, sums: Arrays) -> Arrays:
    """Take one sky out of every aperture."""
    n_radii, area = recipe.radii.size, sums["aperture_area"]
    # A circle that became the whole frame keeps its sky (its area counts as 0 here).
    circle_area = np.where(whole[..., :n_radii], 0.0, area[..., :n_radii])
    total, variance = background.inside_circles(state, circle_area)
    level, level_err = state.level, np.sqrt(state.level_variance)
    if state.model is not None and n_radii:
        # Of a model of the frame: its mean in the largest aperture.
        level = total[..., -1] / circle_area[..., -1]
        level_err = np.sqrt(variance[..., -1]) / circle_area[..., -1]
    total = np.where(whole[..., :n_radii], 0.0, total)
    variance = np.where(whole[..., :n_radii], 0.0, variance)
    if recipe.whole_frame:
        frame_total, frame_variance = background.inside_frame(state, area[..., -1])
        if not n_radii:
            level, level_err = frame_total / area[..., -1], np.sqrt(frame_variance) / area[..., -1]
        total = np.concatenate([total, frame_total[..., None]], axis=2)
        variance = np.concatenate([variance, frame_variance[..., None]], axis=2)
    return {
        "sky_sum": total,
        "sky_sum_err": np.sqrt(variance),
        "sky_level": level,
        "sky_level_err": level_err,
        "sky_area": state.area,
        "flux": sums["aperture_sum"] - total,
        "flux_err": np.sqrt(sums["aperture_sum_err"] ** 2 + variance),
    }
