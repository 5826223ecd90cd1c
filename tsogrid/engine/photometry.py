"""The apertures of a block: every aperture summed once, then every sky taken out of it.

The rule for apertures that reach over the frame's edge, and for saturated pixels, live here.
"""

import numpy as np

from tsogrid.config import AmplifierStep, Saturation
from tsogrid.engine.apertures import Group, Places
from tsogrid.engine.background import Background, ChainState
from tsogrid.engine.calibration import Ready
from tsogrid.engine.recipe import Recipe
from tsogrid.flags import ApertureFlag
from tsogrid.kernels import aperture

Arrays = dict[str, np.ndarray]


def measure_apertures(
    recipe: Recipe,
    ready: Ready,
    places: Places,
    known: tuple[np.ndarray, np.ndarray],
    origin: tuple[int, int],
    shape: tuple[int, int],
) -> Arrays:
    """Measure every aperture over every sky.

    Parameters
    ----------
    recipe : Recipe
        Apertures and skies.
    ready : Ready
        The window's pixels.
    places : Places
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
    data, error = ready.data, ready.error
    off = np.concatenate([_off_frame(group, places, origin, shape) for group in recipe.groups], axis=2)
    # An aperture that became the whole frame has no sky of its own.
    whole = off if recipe.photometry.off_frame == "frame" else np.zeros(off.shape, bool)
    result = _sums(recipe, ready, places, off, whole)
    background = Background(recipe, data, error, places, *known)
    planes: dict[str, list[np.ndarray]] = {}
    unknown = np.full(len(data), np.nan)
    correlations = []
    for steps in recipe.sky:
        state = background.chain(steps)
        correlations.append(unknown if state.correlation is None else state.correlation)
        for name, plane in _less_sky(recipe, background, state, whole, result).items():
            planes.setdefault(name, []).append(plane)
    if any(isinstance(step, AmplifierStep) for steps in recipe.sky for step in steps):
        result["amplifier_correlation"] = np.stack(correlations, axis=-1)
    return result | {name: np.stack(each, axis=-1) for name, each in planes.items()}


def _off_frame(group: Group, places: Places, origin: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Whether part of an aperture lies outside the frame; shape (n, n_sources, count)."""
    ny, nx = shape
    x, y = (places.x + origin[1])[:, :, None], (places.y + origin[0])[:, :, None]
    half_x, half_y = group.half_sizes(places)
    return (x - half_x < -0.5) | (x + half_x > nx - 0.5) | (y - half_y < -0.5) | (y + half_y > ny - 0.5)


def _sums(recipe: Recipe, ready: Ready, places: Places, off: np.ndarray, whole: np.ndarray) -> Arrays:
    """Sum every aperture, before sky."""
    data, error = ready.data, ready.error
    weight = recipe.photometry.variance_weight
    parts = [group.sums(data, error, places, weight) for group in recipe.groups]
    columns = [np.concatenate(each, axis=2) for each in zip(*parts, strict=True)]
    if whole.any():
        # A frame has some pixel of unknown error almost always: its error is that of the others.
        frames = aperture.frame_sums(data, None if error is None else np.where(np.isfinite(error), error, 0))
        columns = [
            np.where(whole, np.asarray(frame)[:, None, None], column) for frame, column in zip(frames, columns, strict=True)
        ]
    total, variance, area, bad = columns
    if ready.shared is not None:
        noise, group, axis = ready.shared
        lines = [each.line_variance(data, places, noise, group, axis) for each in recipe.groups]
        variance = variance + np.concatenate(lines, axis=2)
    empty = area == 0
    lost = empty
    flags = (
        np.where(bad > 0, int(ApertureFlag.BAD_PIXEL), 0)
        | np.where(off, int(ApertureFlag.OFF_FRAME), 0)
        | np.where(empty, int(ApertureFlag.NO_PIXELS), 0)
        | np.where(whole | recipe.whole_frames, int(ApertureFlag.WHOLE_FRAME), 0)
    )
    if recipe.saturation is not None:
        saturated = _saturated(recipe.saturation, recipe.groups, ready, places)
        lost = lost | saturated
        flags |= np.where(saturated, int(ApertureFlag.SATURATED), 0)
    follows_width = recipe.follows_width
    radius = None
    if follows_width.any():
        radius = np.concatenate([group.radii(places) for group in recipe.groups], axis=2)
        flags |= np.where(follows_width & ~np.isfinite(radius), int(ApertureFlag.RADIUS_UNKNOWN), 0)
    if recipe.photometry.off_frame == "nan":
        lost = lost | off
    if recipe.nan == "leave":
        lost = lost | (bad > 0)
    total, variance = np.where(lost, np.nan, total), np.where(lost, np.nan, variance)
    if error is not None:
        flags |= np.where(~lost & ~np.isfinite(variance), int(ApertureFlag.ERROR_UNKNOWN), 0)
    result = {
        "aperture_sum": total,
        "aperture_sum_err": np.sqrt(variance),
        "aperture_area": area.astype(float),
        "bad_pixels": bad.astype(np.int32),
        "aperture_flags": flags.astype(np.int32),
    }
    return result if radius is None else result | {"aperture_radius": radius}


def _saturated(saturation: Saturation, groups: tuple[Group, ...], ready: Ready, places: Places) -> np.ndarray:
    """Whether too many pixels, counted by their centres, are saturated; shape (n, n_sources, n_apertures)."""
    shape = (*places.x.shape, sum(group.count for group in groups))
    full = ready.data > saturation.level if ready.saturated is None else ready.saturated
    frame, row, column = np.nonzero(full)
    counts = np.zeros(shape, np.int64)
    for source in range(shape[1]):
        dx, dy = column - places.x[frame, source], row - places.y[frame, source]
        inside = np.concatenate([group.contains(places.fwhm[frame, source], dx, dy) for group in groups])
        for index, within in enumerate(inside):
            counts[:, source, index] = np.bincount(frame[within], minlength=shape[0])
    return counts >= saturation.pixels


def _less_sky(recipe: Recipe, background: Background, state: ChainState, whole: np.ndarray, sums: Arrays) -> Arrays:
    """Take one sky out of every aperture."""
    # A circle that became the whole frame keeps its sky (its area counts as 0 here).
    area = np.where(whole, 0.0, sums["aperture_area"])
    if recipe.nan == "leave":  # bad pixels keep their part of the sky; the sum has none
        empty = np.zeros_like(background.data)
        every = [group.sums(empty, None, background.places, "w2").area for group in recipe.groups]
        area = np.where(whole, 0.0, np.concatenate(every, axis=2))
    parts, first = [], 0
    for group in recipe.groups:
        parts.append(background.inside(state, group, area[..., first : first + group.count]))
        first += group.count
    total, variance = (np.concatenate(each, axis=2) for each in zip(*parts, strict=True))
    level, level_err = state.level, np.sqrt(state.level_variance)
    if state.model is not None or state.cutouts is not None:
        # Of a model of pixels: its mean in the largest aperture.
        largest = recipe.largest
        level = total[..., largest] / area[..., largest]
        level_err = np.sqrt(variance[..., largest]) / area[..., largest]
    total, variance = np.where(whole, 0.0, total), np.where(whole, 0.0, variance)
    return {
        "sky_sum": total,
        "sky_sum_err": np.sqrt(variance),
        "sky_level": level,
        "sky_level_err": level_err,
        "sky_area": state.area,
        "flux": sums["aperture_sum"] - total,
        "flux_err": np.sqrt(sums["aperture_sum_err"] ** 2 + variance),
    }
