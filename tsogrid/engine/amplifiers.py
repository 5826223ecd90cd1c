"""The read-out noise of a block's lines: one model of the frame for every kind of step that works on amplifiers.

Kernels know rows and columns only; here the fast axis is turned to them and back, and the parts of a step are put together:
medians, smoothing, what amplifiers lend each other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tsogrid.config import ReadoutProcess, RowAmplifier
from tsogrid.engine.neighbourhood import Neighbourhood
from tsogrid.engine.recipe import Recipe, needs_every_line
from tsogrid.kernels import amplifier, line_levels, readout_process


@dataclass(frozen=True)
class LineModel:
    """What a step found.

    Parameters
    ----------
    model : ndarray, shape (n, height, width)
        To subtract from the pixels of the neighbourhood.
    line_variance : ndarray, shape (n, n_lines, n_amplifiers)
        What a line adds to the variance of a sum over lines, a pixel²: errors that lines share (smoothing, the offset of
        filled lines, columns) are spread over them so that a sum over many lines has the right one.
    area : ndarray, shape (n, n_sources)
        Pixels behind the levels of the line on which each source lies.
    correlation : ndarray, shape (n,)
        Mean correlation of the amplifiers' levels; NaN for a step that does not need every line.
    level : ndarray, shape (n, n_lines, n_amplifiers), or None
        The model of each line of each amplifier, if it is the same in all its pixels and lines are rows.
    """

    model: np.ndarray
    line_variance: np.ndarray
    area: np.ndarray
    correlation: np.ndarray
    level: np.ndarray | None = None

    def near(self, near: Neighbourhood) -> "LineModel":
        """The same with the model cut to a neighbourhood; it was made everywhere."""
        return replace(self, model=self.model[:, near.rows, near.columns])


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


def amplifier_model(
    recipe: Recipe,
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    step: Any,
    near: Neighbourhood,
) -> LineModel:
    """Model the read-out noise of lines.

    Parameters
    ----------
    recipe : Recipe
        Amplifiers and fast axis.
    data, error : ndarray, shape (n, ny, nx)
        Pixels and their errors (None if unknown).
    x, y : ndarray, shape (n, n_sources)
        Where sources are hidden.
    step : AmplifierStep
        Which model.
    near : Neighbourhood
        Where the model is wanted.

    Returns
    -------
    LineModel

    Raises
    ------
    ConfigError
        A package that the step needs is not installed.
    """
    lines, errors, along, across = along_fast_axis(recipe, data, error, x, y)
    wanted = near if recipe.fast_axis == 1 else Neighbourhood(near.columns, near.rows)
    model, variance, count, level, alike = _MODELS[type(step)](recipe, lines, errors, along, across, step, wanted)
    if recipe.fast_axis != 1:
        model = np.ascontiguousarray(model.swapaxes(1, 2))
    # Pixels of the lines that the source lies on: those whose levels reach its apertures.
    pixels = count.sum(axis=2)
    nearest = np.rint(np.where(np.isfinite(across), across, 0.0)).clip(0, pixels.shape[1] - 1).astype(np.int64)
    area = pixels[np.arange(len(pixels))[:, None], nearest].astype(float)
    # A step that reads a few lines alone must give the same for any stamp: it measures none.
    every = needs_every_line(step)
    correlation = line_levels.level_correlation(level) if every else np.full(len(data), np.nan)
    return LineModel(model, variance, area, correlation, alike if recipe.fast_axis == 1 else None)


# Model near by, variance of lines, count, level as measured, level of the model if lines have but one.
_Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def _row_medians(
    recipe: Recipe,
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    step: RowAmplifier,
    near: Neighbourhood,
) -> _Found:
    ranges = recipe.amplifiers
    if step.reference_pixels is not None:  # which see no source either
        data = amplifier.reference_pixels_alone(data, step.reference_pixels)
        x, y = np.full(x.shape, np.nan), np.full(y.shape, np.nan)
    found = amplifier.row_amplifier(
        data,
        error,
        x,
        y,
        ranges,
        step.mask_radius,
        even_odd=step.even_odd,
        each_column=step.each_column,
        rows=None if needs_every_line(step) else (near.rows.start, near.rows.stop),
    )
    variance = found.line_variance + found.column_variance[:, None]
    lend = step.fill or step.reference_pixels is not None
    columnwise = step.even_odd or step.each_column
    if step.smooth is None and not lend:
        model = _spread(found.level, found.column_level, ranges, data.dtype, near)
        return model, variance, found.count, found.level, None if columnwise else found.level
    level, columns = found.level.astype(float), found.column_level.astype(float)
    if step.smooth is not None:
        # The variance stays: what smoothing takes from that of a line, it adds to what neighbours share.
        level = line_levels.smoothed_levels(level, variance, step.smooth, step.smooth_order).level
    if lend:
        for index, (start, stop) in enumerate(ranges):
            # The mean of the columns is part of what an amplifier without background has to borrow.
            mean = np.mean(columns[:, 0, start:stop], axis=1)
            columns[:, 0, start:stop] -= mean[:, None]
            level[:, :, index] += mean[:, None]
        filled = line_levels.filled_levels(level, variance)
        together = filled.offset_variance[:, None] * filled.filled.sum(axis=1)[:, None]
        level, variance = filled.level, filled.variance + np.where(filled.filled, together, 0.0)
    model = _spread(level, columns, ranges, data.dtype, near)
    return model, variance, found.count, found.level, None if columnwise else level


def _spread(level: np.ndarray, columns: np.ndarray, ranges: np.ndarray, dtype: np.dtype, near: Neighbourhood) -> np.ndarray:
    """The model of lines and columns in a neighbourhood."""
    first, stop = near.columns.start, near.columns.stop
    inside = np.clip(ranges, first, stop) - first
    return line_levels.line_model(level[:, near.rows], columns[:, :, near.columns], inside, dtype)


def _process(
    recipe: Recipe,
    data: np.ndarray,
    error: np.ndarray | None,
    x: np.ndarray,
    y: np.ndarray,
    step: ReadoutProcess,
    near: Neighbourhood,
) -> _Found:
    found = readout_process.readout_process(
        data,
        x,
        y,
        recipe.amplifiers,
        step.mask_radius,
        row_overhead=step.row_overhead,
        timescale=None if step.timescale is None else step.timescale / step.pixel_time,
        even_odd=step.even_odd,
    )
    return near.cut(found.model), found.line_variance, found.count, found.level, None


_MODELS: dict[type, Callable[..., _Found]] = {RowAmplifier: _row_medians, ReadoutProcess: _process}
