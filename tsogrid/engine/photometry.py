"""The apertures of a block: every aperture summed once, then every sky taken out of it.

The rule for apertures that reach over the frame's edge, and for saturated pixels, live here.
"""

import numpy as np

from tsogrid.config import AmplifierStep, Saturation
from tsogrid.engine.apertures import Frame, Group, Places, is_cornered, reach_of
from tsogrid.engine.background import Background, ChainState
from tsogrid.engine.calibration import Ready
from tsogrid.engine.neighbourhood import neighbourhood
from tsogrid.engine.recipe import Recipe
from tsogrid.engine.sky_in_apertures import SkyInApertures
from tsogrid.flags import ApertureFlag
from tsogrid.kernels import aperture
from tsogrid.kernels.neighbours import marked_about, nearest_neighbour

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
    near = neighbourhood(*known, recipe.photometry_reach, data.shape[1:]) if recipe.has_line_sky else None
    background = Background(recipe, data, error, places, *known, near, origin)
    states = background.chains(recipe.sky)
    if any(isinstance(step, AmplifierStep) for steps in recipe.sky for step in steps):
        unknown = np.full(len(data), np.nan)
        correlations = [unknown if state.correlation is None else state.correlation for state in states]
        result["amplifier_correlation"] = np.stack(correlations, axis=-1)
    return result | _less_skies(recipe, background, states, whole, result)


def _off_frame(group: Group, places: Places, origin: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Whether part of an aperture lies outside the frame; shape (n, n_sources, count)."""
    if isinstance(group, Frame):  # wherever the source is
        return np.zeros((*places.x.shape, group.count), bool)
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
        np.multiply(bad > 0, int(ApertureFlag.BAD_PIXEL))
        | np.multiply(off, int(ApertureFlag.OFF_FRAME))
        | np.multiply(empty, int(ApertureFlag.NO_PIXELS))
        | np.multiply(whole | recipe.whole_frames, int(ApertureFlag.WHOLE_FRAME))
    )
    if places.x.shape[1] > 1:
        flags |= _shared(recipe.groups, places)
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
        flags |= np.multiply(~lost & ~np.isfinite(variance), int(ApertureFlag.ERROR_UNKNOWN))
    result = {
        "aperture_sum": total,
        "aperture_sum_err": np.sqrt(variance),
        "aperture_area": area.astype(float),
        "bad_pixels": bad.astype(np.int32),
        "aperture_flags": flags.astype(np.int32),
    }
    return result if radius is None else result | {"aperture_radius": radius}


def _shared(groups: tuple[Group, ...], places: Places) -> np.ndarray:
    """Flags of apertures that other sources reach into or stand in; shape (n, n_sources, n_apertures).

    Equal apertures about two sources overlap if these are nearer than twice the radius, or of rectangles nearer than the
    width along x and the height along y.
    """
    found: list[np.ndarray] = []
    round_sizes = [
        group.half_sizes(places)[0] for group in groups if not isinstance(group, Frame) and not is_cornered(group)
    ]
    widest = max((2 * np.fmax.reduce(each, axis=None, initial=0.0) for each in round_sizes), default=0.0)
    distance = nearest_neighbour(places.x, places.y, widest) if widest > 0 else np.full(places.x.shape, np.inf)
    for group in groups:
        half_x, half_y = group.half_sizes(places)
        if isinstance(group, Frame):
            found.append(np.zeros(half_x.shape, np.int64))
            continue
        if is_cornered(group):
            scaled = nearest_neighbour(places.x / (2 * half_x[..., 0]), places.y / (2 * half_y[..., 0]), 1.0, square=True)
            near, overlap = scaled[:, :, None] < 0.5, scaled[:, :, None] < 1.0
        else:
            near, overlap = distance[:, :, None] < half_x, distance[:, :, None] < 2 * half_x
        found.append(np.where(overlap, int(ApertureFlag.OVERLAP), 0) | np.where(near, int(ApertureFlag.NEIGHBOUR), 0))
    return np.concatenate(found, axis=2)


def _saturated(saturation: Saturation, groups: tuple[Group, ...], ready: Ready, places: Places) -> np.ndarray:
    """Whether too many pixels, counted by their centres, are saturated; shape (n, n_sources, n_apertures)."""
    if any(isinstance(group, Frame) for group in groups):
        reach = np.full(places.x.shape, float(max(ready.data.shape)))
    else:
        reach = np.fmax.reduce([reach_of(group, places) for group in groups])
    full = ready.data > saturation.level if ready.saturated is None else ready.saturated
    frame, source, row, column = marked_about(full, places.x, places.y, reach)
    dx, dy = column - places.x[frame, source], row - places.y[frame, source]
    inside = np.concatenate([group.contains(places.fwhm[frame, source], dx, dy) for group in groups])
    n, sources = places.x.shape
    counts = [np.bincount((frame * sources + source)[within], minlength=n * sources) for within in inside]
    return np.asarray(np.stack(counts, axis=-1).reshape(n, sources, len(inside)) >= saturation.pixels)


def _less_skies(recipe: Recipe, background: Background, states: list[ChainState], whole: np.ndarray, sums: Arrays) -> Arrays:
    """Take every sky out of every aperture; the sky is the last axis."""
    area = sums["aperture_area"]
    if recipe.nan == "leave" or whole.any():
        # Bad pixels keep their part of the sky, which the sum has not; an aperture that became the whole frame has its own.
        counted = np.zeros_like(background.data) if recipe.nan == "leave" else background.data
        own = np.concatenate([group.sums(counted, None, background.places, "w2").area for group in recipe.groups], axis=2)
        area = own if recipe.nan == "leave" else np.where(whole, own, area)
    sky, parts, first = SkyInApertures(background), [], 0
    for group in recipe.groups:
        parts.append(sky.inside(states, group, area[..., first : first + group.count]))
        first += group.count
    total, variance = parts[0] if len(parts) == 1 else (np.concatenate(each, axis=2) for each in zip(*parts, strict=True))
    level = np.stack([state.level for state in states], axis=-1)
    level_err = np.sqrt(np.stack([state.level_variance for state in states], axis=-1))
    modelled = np.array([bool(state.lines) or state.cutouts is not None for state in states])
    if modelled.any():
        # Of a model of pixels: its mean in the largest aperture.
        largest = recipe.largest
        level = np.where(modelled, total[:, :, largest] / area[:, :, largest, None], level)
        level_err = np.where(modelled, np.sqrt(variance[:, :, largest]) / area[:, :, largest, None], level_err)
    if whole.any():
        total, variance = (np.where(whole[..., None], 0.0, each) for each in (total, variance))
    flux_variance = (sums["aperture_sum_err"] ** 2)[..., None] + variance
    return {
        "sky_sum": total,
        "sky_sum_err": np.sqrt(variance, out=variance),
        "sky_level": level,
        "sky_level_err": level_err,
        "sky_area": np.stack([state.area for state in states], axis=-1),
        "flux": sums["aperture_sum"][..., None] - total,
        "flux_err": np.sqrt(flux_variance, out=flux_variance),
    }
