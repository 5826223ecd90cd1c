"""The read-out noise of a block's lines: one model of the frame for every kind of step that works on amplifiers.

Kernels know rows and columns only; here the fast axis is turned to them and back, and the parts of a step are put together:
medians, smoothing, what amplifiers lend each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from tsogrid.config import ReadoutProcess, RowAmplifier
from tsogrid.engine.line_reach import amplifiers_together, lend_levels, lines_leveled
from tsogrid.engine.neighbourhood import Neighbourhood
from tsogrid.engine.recipe import Recipe
from tsogrid.kernels import amplifier, line_levels, readout_process
from tsogrid.kernels.whole_pixels import RowLevels


@dataclass(frozen=True)
class LineModel:
    """What a step found.

    Parameters
    ----------
    make : callable
        Makes ``model``, which is made when somebody wants it.
    line_variance : ndarray, shape (n, n_lines, n_amplifiers)
        What a line adds to the variance of a sum over lines, a pixel²: errors that lines share (smoothing, the offset of
        filled lines, columns) are spread over them so that a sum over many lines has the right one.
    area : ndarray, shape (n, n_sources)
        Pixels behind the level of the line, in the amplifier, in which each source lies.
    correlation : ndarray, shape (n,), or None
        Mean correlation of the amplifiers' levels; None for a step that does not look at them together.
    level : ndarray, shape (n, n_lines, n_amplifiers), or None
        The model of each line of each amplifier, if lines are rows.
    columns : ndarray, shape (n, 1, nx), or None
        What each column adds to it; None if all pixels of a line are alike.
    """

    make: Callable[[], np.ndarray]
    line_variance: np.ndarray
    area: np.ndarray
    correlation: np.ndarray | None
    level: np.ndarray | None = None
    columns: np.ndarray | None = None

    @cached_property
    def model(self) -> np.ndarray:
        """To subtract from the pixels of the neighbourhood; shape (n, height, width)."""
        return self.make()

    def near(self, near: Neighbourhood) -> "LineModel":
        """The same with the model cut to a neighbourhood; it was made everywhere."""
        return replace(self, make=lambda: near.cut(self.model))


def levels_of(models: Sequence[LineModel], pieces: np.ndarray) -> RowLevels:
    """What models of rows, and of columns, take off the pixels, an image for each; ``pieces``: of `row_pieces`."""
    level = np.array([each.level for each in models], np.float64)
    if all(each.columns is None for each in models):
        return RowLevels(level, pieces)
    columns = np.zeros((len(models), len(level[0]), pieces[-1, 1]))
    for its, each in zip(columns, models, strict=True):
        its[:] = 0.0 if each.columns is None else each.columns[:, 0]
    return RowLevels(level, pieces, columns)


def along_fast_axis(
    recipe: Recipe, data: np.ndarray, error: np.ndarray | None, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
    """Give pixels, errors and positions with the fast axis last.

    Parameters
    ----------
    recipe : Recipe
        Its fast axis.
    data, error : ndarray, shape (n, ny, nx)
        Pixels and their errors (None if unknown).
    x, y : ndarray, shape (n, n_sources)
        Positions.

    Returns
    -------
    data, error, x, y
        As they are, or with x and y exchanged.
    """
    if recipe.fast_axis == 1:
        return data, error, x, y
    error = None if error is None else np.ascontiguousarray(error.swapaxes(1, 2))
    return np.ascontiguousarray(data.swapaxes(1, 2)), error, y, x


def go_together(one: Any, other: Any) -> bool:
    """Whether steps differ in nothing but how far sources are hidden, and how lines are smoothed.

    Then `amplifier_models` shares work.
    """
    if not (isinstance(one, RowAmplifier) and isinstance(other, RowAmplifier)):
        return False
    own = {name: getattr(one, name) for name in ("mask_radius", "smooth", "smooth_order")}
    return one == other.model_copy(update=own)


def amplifier_models(
    recipe: Recipe,
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    steps: Sequence[Any],
    near: Neighbourhood,
    bounds: np.ndarray,
    ends: tuple[int, int],
) -> list[LineModel]:
    """Model the read-out noise of lines.

    Parameters
    ----------
    recipe : Recipe
        The fast axis.
    data, error : ndarray, shape (n, ny, nx)
        Pixels and their errors (None if unknown).
    x, y : ndarray, shape (n, n_sources)
        Where sources are hidden.
    steps : sequence of AmplifierStep
        Which model; several that `go_together`.
    near : Neighbourhood
        Where the models are wanted.
    bounds : ndarray, shape (n_amplifiers, 2)
        Ranges of the amplifiers along the fast axis of these pixels, which hold them whole.
    ends : (int, int)
        Where the first amplifier of the detector begins, and the last one ends, in these pixels or beyond.

    Returns
    -------
    list of LineModel
        One for each step.

    Raises
    ------
    ConfigError
        A package that the step needs is not installed.
    """
    lines, errors, along, across = along_fast_axis(recipe, data, error, x, y)
    wanted = near if recipe.fast_axis == 1 else Neighbourhood(near.columns, near.rows)
    models = []
    found = _MODELS[type(steps[0])](bounds, lines, errors, along, across, steps, wanted)
    for step, (make, variance, count, level, *known) in zip(steps, found, strict=True):
        turned = make if recipe.fast_axis == 1 else partial(_turned, make)
        area = _behind(count, along, across, bounds, ends, lent=lend_levels(step))
        # Other steps give the same where but some lines of some amplifiers are there: they measure none.
        correlation = line_levels.level_correlation(level) if amplifiers_together(step) else None
        models.append(LineModel(turned, variance, area, correlation, *(known if recipe.fast_axis == 1 else ())))
    return models


def _behind(
    count: np.ndarray, along: np.ndarray, across: np.ndarray, bounds: np.ndarray, ends: tuple[int, int], lent: bool
) -> np.ndarray:
    """Pixels of each source's line, (n, n_sources): those of its amplifier, or of all where these lend each other levels.

    A source beyond the amplifiers has the line of the nearest one; one without a place has none.
    """
    n, lines, _ = count.shape
    # As everywhere, a position exactly between two pixels belongs to the lower one, in every window.
    line = np.ceil(np.where(np.isfinite(across), across, 0.0) - 0.5).clip(0, lines - 1).astype(np.int64)
    pixels = count[np.arange(n)[:, None], line]
    if not lent:
        column = np.ceil(along - 0.5)[..., None].clip(ends[0], ends[1] - 1)
        pixels = np.where((column >= bounds[:, 0]) & (column < bounds[:, 1]), pixels, 0)
    return np.where(np.isfinite(along) & np.isfinite(across), pixels.sum(axis=2), 0.0)


def _turned(make: Callable[[], np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(make().swapaxes(1, 2))


# What makes the model near by, variance of lines, count, level as measured, and if it has them: levels of lines and columns.
_Found = tuple[Callable[[], np.ndarray], np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]


def _row_medians(
    bounds: np.ndarray,
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    steps: Sequence[RowAmplifier],
    near: Neighbourhood,
) -> list[_Found]:
    step = steps[0]
    if step.reference_pixels is not None:  # which see no source either
        data = amplifier.reference_pixels_alone(data, step.reference_pixels)
        x, y = np.full(x.shape, np.nan), np.full(y.shape, np.nan)
    lines = data.shape[1]
    wanted = (0, lines) if lend_levels(step) else (near.rows.start, near.rows.stop)
    first, stop = zip(*(lines_leveled(each, wanted, lines) for each in steps), strict=True)
    found = amplifier.row_amplifiers(
        data,
        error,
        x,
        y,
        bounds,
        [each.mask_radius for each in steps],
        even_odd=step.even_odd,
        each_column=step.each_column,
        rows=(min(first), max(stop)),
        variance_rows=wanted,
    )
    return [_of_medians(each, step, data.dtype, near) for each, step in zip(found, steps, strict=True)]


def _of_medians(found: amplifier.RowAmplifier, step: RowAmplifier, dtype: np.dtype, near: Neighbourhood) -> _Found:
    ranges = found.bounds
    variance = found.line_variance + found.column_variance[:, None]
    lend = lend_levels(step)
    columnwise = step.even_odd or step.each_column
    if step.smooth is None and not lend:
        make = partial(_spread, found.level, found.column_level, ranges, dtype, near)
        return make, variance, found.count, found.level, found.level, found.column_level if columnwise else None
    level, columns = found.level.astype(float), found.column_level.astype(float)
    if step.smooth is not None:
        # The variance stays: what smoothing takes from that of a line, it adds to what neighbours share.
        wanted = None if lend else (near.rows.start, near.rows.stop)
        level = line_levels.smoothed_levels(level, None, step.smooth, step.smooth_order, wanted).level
    if lend:
        for index, (start, stop) in enumerate(ranges):
            # The mean of the columns is part of what an amplifier without background has to borrow.
            mean = np.mean(columns[:, 0, start:stop], axis=1)
            columns[:, 0, start:stop] -= mean[:, None]
            level[:, :, index] += mean[:, None]
        filled = line_levels.filled_levels(level, variance)
        together = filled.offset_variance[:, None] * filled.filled.sum(axis=1)[:, None]
        level, variance = filled.level, filled.variance + np.where(filled.filled, together, 0.0)
    make = partial(_spread, level, columns, ranges, dtype, near)
    return make, variance, found.count, found.level, level, columns if columnwise else None


def _spread(level: np.ndarray, columns: np.ndarray, ranges: np.ndarray, dtype: np.dtype, near: Neighbourhood) -> np.ndarray:
    """The model of lines and columns in a neighbourhood."""
    first, stop = near.columns.start, near.columns.stop
    inside = np.clip(ranges, first, stop) - first
    return line_levels.line_model(level[:, near.rows], columns[:, :, near.columns], inside, dtype)


def _process(
    bounds: np.ndarray,
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    steps: Sequence[ReadoutProcess],
    near: Neighbourhood,
) -> list[_Found]:
    step = steps[0]
    found = readout_process.readout_process(
        data,
        x,
        y,
        bounds,
        step.mask_radius,
        row_overhead=step.row_overhead,
        timescale=None if step.timescale is None else step.timescale / step.pixel_time,
        even_odd=step.even_odd,
    )
    return [(partial(near.cut, found.model), found.line_variance, found.count, found.level, None, None)]


_MODELS: dict[type, Callable[..., list[_Found]]] = {RowAmplifier: _row_medians, ReadoutProcess: _process}
