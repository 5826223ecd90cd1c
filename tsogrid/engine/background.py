"""Sky chains: steps applied in order to a block's pixels, and what they take out of each aperture.

A step gives one level a source (a region about it), a model of the frame (lines of an amplifier), or a model of a cut-out
about each source (columns and rows). A model is taken off the pixels before the next step; of several levels the last holds.
Steps that several chains share are computed once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tsogrid.config import Annulus, ColumnRow, NoSky, RowAmplifier, SkyRectangle
from tsogrid.engine.apertures import Group, Places
from tsogrid.engine.cutout_sky import CutoutModel, column_row_model
from tsogrid.engine.recipe import Recipe
from tsogrid.engine.regions import local_level
from tsogrid.kernels import amplifier


@dataclass(frozen=True)
class ChainState:
    """What a chain has found so far.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Pixels less the models of the frame so far.
    model : ndarray or None
        Sum of the frame models so far.
    line_variances : tuple of ndarray, shape (n, n_lines, n_amplifiers)
        Variance of each line's level, one array a model.
    level, level_variance, area : ndarray, shape (n, n_sources)
        The level per source, its variance, pixels used by the last step.
    cutouts : CutoutModel or None
        The model of a cut-out about each source, which ends the chain's models.
    """

    data: np.ndarray
    model: np.ndarray | None
    line_variances: tuple[np.ndarray, ...]
    level: np.ndarray
    level_variance: np.ndarray
    area: np.ndarray
    cutouts: CutoutModel | None = None


@dataclass
class Background:
    """The sky steps of one block of pixels.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    data, error : ndarray, shape (n, ny, nx)
        Pixels and their errors (None if unknown).
    places : Places
        Where the sources are in these pixels (masks and regions).
    x_mask, y_mask : ndarray, shape (n, n_sources)
        The same with a planned position where the measured one is NaN: such a source still has to be masked.
    """

    recipe: Recipe
    data: np.ndarray
    error: np.ndarray | None
    places: Places
    x_mask: np.ndarray
    y_mask: np.ndarray
    _states: dict[tuple[str, ...], ChainState] = field(default_factory=dict)

    def chain(self, steps: tuple[Any, ...]) -> ChainState:
        """Apply sky steps in order.

        Parameters
        ----------
        steps : tuple
            Steps of the configuration.

        Returns
        -------
        ChainState
        """
        if not steps:
            zero = np.zeros(self.places.x.shape)
            return ChainState(self.data, None, (), zero, zero, zero)
        key = tuple(step.label for step in steps)
        if key not in self._states:
            before = self.chain(steps[:-1])
            self._states[key] = _APPLY[type(steps[-1])](self, before, steps[-1])
        return self._states[key]

    def _local(self, before: ChainState, step: Annulus | SkyRectangle) -> ChainState:
        cut, shape = before.cutouts, self.places.x.shape
        if cut is None:
            found = local_level(step, before.data, self.error, self.places, self.recipe.photometry)
        else:
            found = local_level(step, cut.residual, cut.error, cut.places, self.recipe.photometry)
        level, level_err, area = (column.reshape(shape) for column in found)
        # Levels are not taken off the pixels: a region replaces the level of one before it.
        return replace(before, level=level, level_variance=level_err**2, area=area)

    def _row_amplifier(self, before: ChainState, step: RowAmplifier) -> ChainState:
        data, error, x, y = self._along_fast_axis(before.data)
        found = amplifier.row_amplifier(data, error, x, y, self.recipe.amplifiers, step.mask_radius, even_odd=step.even_odd)
        model = found.model if self.recipe.fast_axis == 1 else np.ascontiguousarray(found.model.swapaxes(1, 2))
        # Pixels of the lines that the source lies on: those whose levels reach its apertures.
        count = found.count.sum(axis=2)
        centre = np.clip(np.nan_to_num(np.rint(y)).astype(np.int64), 0, count.shape[1] - 1)
        area = np.take_along_axis(count, centre, axis=1).astype(float)
        total = model if before.model is None else before.model + model
        return replace(
            before,
            data=before.data - model,
            model=total,
            line_variances=(*before.line_variances, found.line_variance),
            area=area,
        )

    def _column_row(self, before: ChainState, step: ColumnRow) -> ChainState:
        cutouts = column_row_model(step, before.data, self.error, self.places)
        return replace(before, cutouts=cutouts, area=cutouts.area.reshape(self.places.x.shape))

    def _none(self, before: ChainState, step: NoSky) -> ChainState:
        return before

    def _along_fast_axis(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
        """Pixels, errors and masks with the fast axis last."""
        if self.recipe.fast_axis == 1:
            return data, self.error, self.x_mask, self.y_mask
        error = None if self.error is None else np.ascontiguousarray(self.error.swapaxes(1, 2))
        return np.ascontiguousarray(data.swapaxes(1, 2)), error, self.y_mask, self.x_mask

    def inside(self, state: ChainState, group: Group, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the sky inside each aperture of a group, and its variance.

        Parameters
        ----------
        state : ChainState
            A chain's result.
        group : Group
            Apertures.
        area : ndarray, shape (n, n_sources, group.count)
            Area of the good pixels.

        Returns
        -------
        sky_sum, variance : ndarray, shape (n, n_sources, group.count)
        """
        counted = area
        if self.recipe.photometry.sky_area == "analytic":
            counted = area * group.pixel_share(self.places)
        total = state.level[:, :, None] * counted
        # One level serves the whole aperture: its error grows with the area, not with its root.
        variance = state.level_variance[:, :, None] * counted**2
        if state.model is not None:
            more, more_variance = self._of_frame_model(state, state.model, group, area)
            total, variance = total + more, variance + more_variance
        if state.cutouts is not None:
            more, more_variance = state.cutouts.inside(group, area)
            total, variance = total + more, variance + more_variance
        return total, variance

    def _of_frame_model(
        self, state: ChainState, model: np.ndarray, group: Group, area: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        # NaN at bad pixels, so that the model is summed over the pixels that the data are summed over.
        good = np.where(np.isfinite(self.data), model, np.nan).astype(self.data.dtype, copy=False)
        sums = group.sums(good, None, self.places, "w2")
        # Good pixels on a line whose level is unknown: the sky of this aperture is unknown.
        total = np.where(sums.area >= area * (1 - 1e-12), sums.sum, np.nan)
        ny, nx = self.data.shape[1:]
        lines = np.full(nx if self.recipe.fast_axis == 1 else ny, -1, np.int32)
        for index, (start, stop) in enumerate(self.recipe.amplifiers):
            lines[start:stop] = index
        variance = np.zeros(area.shape)
        for line_variance in state.line_variances:
            variance += group.line_variance(self.data, self.places, line_variance, lines, self.recipe.fast_axis)
        return total, variance


_APPLY: dict[type, Callable[..., ChainState]] = {
    Annulus: Background._local,
    SkyRectangle: Background._local,
    ColumnRow: Background._column_row,
    RowAmplifier: Background._row_amplifier,
    NoSky: Background._none,
}
