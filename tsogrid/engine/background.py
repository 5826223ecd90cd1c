"""Sky chains: steps applied in order to a block's pixels, and what they take out of each aperture.

A step gives one level a source (a region about it), a model of the frame (lines of an amplifier), or a model of a cut-out
about each source (columns and rows). A model is taken off the pixels before the next step; of several levels the last holds.
Steps that several chains share are computed once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tsogrid.config import AmplifierStep, Annulus, ColumnRow, NoSky, SkyRectangle
from tsogrid.engine.amplifiers import LineModel, amplifier_model
from tsogrid.engine.apertures import Circles, Group, Places
from tsogrid.engine.cutout_sky import CutoutModel, column_row_model
from tsogrid.engine.neighbourhood import Neighbourhood, everything
from tsogrid.engine.recipe import Recipe
from tsogrid.engine.regions import holds_bad, local_level


@dataclass(frozen=True)
class ChainState:
    """What a chain has found so far.

    Parameters
    ----------
    near : Neighbourhood
        Which of the block's pixels the next and the models hold.
    data : ndarray, shape (n, height, width)
        Pixels less the models of the frame so far.
    lines : tuple of LineModel
        These models.
    level, level_variance, area : ndarray, shape (n, n_sources)
        The level per source, its variance, pixels used by the last step.
    cutouts : CutoutModel or None
        The model of a cut-out about each source, which ends the chain's models.
    correlation : ndarray, shape (n,), or None
        Of the amplifiers' levels, in the first step that works on them.
    """

    near: Neighbourhood
    data: np.ndarray
    lines: tuple[LineModel, ...]
    level: np.ndarray
    level_variance: np.ndarray
    area: np.ndarray
    cutouts: CutoutModel | None = None
    correlation: np.ndarray | None = None


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
    near : Neighbourhood, optional
        Where models of the frame are wanted; everywhere if not given.
    """

    recipe: Recipe
    data: np.ndarray
    error: np.ndarray | None
    places: Places
    x_mask: np.ndarray
    y_mask: np.ndarray
    near: Neighbourhood | None = None
    _states: dict[tuple[Any, ...], ChainState] = field(default_factory=dict)
    _sums: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    _errors: dict[tuple[int, ...], np.ndarray | None] = field(default_factory=dict)

    def chain(self, steps: tuple[Any, ...], whole: bool = False) -> ChainState:
        """Apply sky steps in order.

        Parameters
        ----------
        steps : tuple
            Steps of the configuration.
        whole : bool
            Keep the pixels of the whole block: another model of lines follows.

        Returns
        -------
        ChainState
        """
        if not steps:
            zero = np.zeros(self.places.x.shape)
            return ChainState(self._everything, self.data, (), zero, zero, zero)
        # Everything that a step says: a label leaves some out.
        key = whole, *(step.model_dump_json() for step in steps)
        if key not in self._states:
            lines = isinstance(steps[-1], AmplifierStep)
            before = self.chain(steps[:-1], whole or lines)
            if lines:
                self._states[key] = self._amplifiers(before, steps[-1], self._everything if whole else self._wanted)
            else:
                self._states[key] = _APPLY[type(steps[-1])](self, before, steps[-1])
        return self._states[key]

    @property
    def _everything(self) -> Neighbourhood:
        return everything(self.data.shape[1:])

    @property
    def _wanted(self) -> Neighbourhood:
        return self._everything if self.near is None else self.near

    def _error(self, near: Neighbourhood) -> np.ndarray | None:
        key = near.rows.start, near.rows.stop, near.columns.start, near.columns.stop
        if key not in self._errors:
            self._errors[key] = None if self.error is None else near.cut(self.error)
        return self._errors[key]

    def _local(self, before: ChainState, step: Annulus | SkyRectangle) -> ChainState:
        cut, shape = before.cutouts, self.places.x.shape
        if cut is None:
            places = before.near.places(self.places)
            found = local_level(step, before.data, self._error(before.near), places, self.recipe.photometry)
        else:
            found = local_level(step, cut.residual, cut.error, cut.places, self.recipe.photometry)
        level, level_err, area = (column.reshape(shape) for column in found)
        if self.recipe.nan == "leave":  # as in apertures: a bad pixel leaves nothing of what it is summed into
            lost = holds_bad(step, self.data, self.places)
            level, level_err = np.where(lost, np.nan, level), np.where(lost, np.nan, level_err)
        # Levels are not taken off the pixels: a region replaces the level of one before it.
        return replace(before, level=level, level_variance=level_err**2, area=area)

    def _amplifiers(self, before: ChainState, step: AmplifierStep, near: Neighbourhood) -> ChainState:
        found = amplifier_model(self.recipe, before.data, self.error, self.x_mask, self.y_mask, step, near)
        return replace(
            before,
            near=near,
            data=before.data[:, near.rows, near.columns] - found.model,
            lines=(*(each.near(near) for each in before.lines), found),
            area=found.area,
            correlation=found.correlation if before.correlation is None else before.correlation,
        )

    def _column_row(self, before: ChainState, step: ColumnRow) -> ChainState:
        cutouts = column_row_model(step, before.data, self._error(before.near), before.near.places(self.places))
        return replace(before, cutouts=cutouts, area=cutouts.area.reshape(self.places.x.shape))

    def _none(self, before: ChainState, step: NoSky) -> ChainState:
        return before

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
        for model in state.lines:
            key = id(model), id(group)  # several chains go on from one model
            if key not in self._sums:
                self._sums[key] = self._of_lines(state, model, group, area)
            more, more_variance = self._sums[key]
            total, variance = total + more, variance + more_variance
        if state.cutouts is not None:
            more, more_variance = state.cutouts.inside(group, area, self.recipe.nan == "leave")
            total, variance = total + more, variance + more_variance
        return total, variance

    def _of_lines(
        self, state: ChainState, found: LineModel, group: Group, area: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        ny, nx = self.data.shape[1:]
        lines = np.full(nx if self.recipe.fast_axis == 1 else ny, -1, np.int32)
        for index, (start, stop) in enumerate(self.recipe.amplifiers):
            lines[start:stop] = index
        every = self.recipe.nan == "leave"
        if found.level is not None and isinstance(group, Circles):
            total, variance = group.line_sums(self.data, self.places, found.line_variance, lines, found.level, every)
            return total, np.where(np.isfinite(total), variance, np.nan)
        near, places = state.near, state.near.places(self.places)
        good = found.model
        if not every:
            # NaN at bad pixels, so that the model is summed over the pixels that the data are summed over.
            good = state.data * 0
            good += found.model
        sums = group.sums(good, None, places, "w2")
        # Good pixels on a line whose level is unknown: the sky of this aperture is unknown.
        total = np.where(sums.area >= area * (1 - 1e-12), sums.sum, np.nan)
        along, across = (near.rows, near.columns) if self.recipe.fast_axis == 1 else (near.columns, near.rows)
        its = found.line_variance[:, along]
        variance = group.line_variance(good, places, its, lines[across], self.recipe.fast_axis)
        return total, np.where(np.isfinite(total), variance, np.nan)


_APPLY: dict[type, Callable[..., ChainState]] = {
    Annulus: Background._local,
    SkyRectangle: Background._local,
    ColumnRow: Background._column_row,
    NoSky: Background._none,
}
