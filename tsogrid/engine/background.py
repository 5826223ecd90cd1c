"""Sky chains: steps applied in order to a block's pixels, and what they take out of each aperture.

A step gives one level a source (a region about it), a model of the frame (lines of an amplifier), or a model of a cut-out
about each source (columns and rows). A model is taken off the pixels before the next step; of several levels the last holds.
Steps that several chains share are computed once, and the first steps of all chains are taken before the second ones: those
that look at the same pixels are taken together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from tsogrid.config import AmplifierStep, Annulus, ColumnRow, NoSky, SkyRectangle
from tsogrid.engine.amplifiers import LineModel, amplifier_models, go_together, levels_of
from tsogrid.engine.apertures import Circles, Group, Places
from tsogrid.engine.cutout_sky import CutoutModel, column_row_model
from tsogrid.engine.neighbourhood import Neighbourhood, everything
from tsogrid.engine.recipe import Recipe, steps_said
from tsogrid.engine.regions import annulus_levels, holds_bad, local_level, shares_pixels
from tsogrid.kernels.whole_pixels import row_pieces


@dataclass(frozen=True)
class Remainder:
    """Pixels less the models of the frame.

    Parameters
    ----------
    near : Neighbourhood
        Which of the block's pixels they are.
    pixels : ndarray, shape (n, ny, nx)
        The block's pixels less all models but the last.
    model : LineModel or None
        The last model.
    """

    near: Neighbourhood
    pixels: np.ndarray
    model: LineModel | None = None

    @cached_property
    def data(self) -> np.ndarray:
        """These pixels, shape (n, height, width), made when somebody wants them."""
        if self.model is None:
            return self.pixels
        return np.asarray(self.pixels[:, self.near.rows, self.near.columns] - self.model.model)

    @property
    def has_levels(self) -> bool:
        """Whether levels of rows, and of columns, are all that the last model takes off: no image of it need be made."""
        return self.model is not None and self.model.level is not None


@dataclass(frozen=True)
class ChainState:
    """What a chain has found so far.

    Parameters
    ----------
    remainder : Remainder
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

    remainder: Remainder
    lines: tuple[LineModel, ...]
    level: np.ndarray
    level_variance: np.ndarray
    area: np.ndarray
    cutouts: CutoutModel | None = None
    correlation: np.ndarray | None = None

    @property
    def near(self) -> Neighbourhood:
        """Which of the block's pixels the remainder and the models hold."""
        return self.remainder.near

    @property
    def data(self) -> np.ndarray:
        """Pixels less the models of the frame so far, shape (n, height, width)."""
        return self.remainder.data


def _pixels_of(state: ChainState) -> tuple[Any, ...]:
    """Name the pixels that a ring looks at: those before the last model where its levels are taken off as they are read."""
    if state.cutouts is not None:
        return id(state.cutouts), False, state.near.box
    rest = state.remainder
    return (id(rest.pixels), True, state.near.box) if rest.has_levels else (id(rest.data), False, state.near.box)


# A step that is wanted: its key among the states, the state before it, the step.
_Wanted = tuple[tuple[Any, ...], ChainState, Any]


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
    origin : (int, int)
        Row and column of the first pixel in the frame.
    """

    recipe: Recipe
    data: np.ndarray
    error: np.ndarray | None
    places: Places
    x_mask: np.ndarray
    y_mask: np.ndarray
    near: Neighbourhood | None = None
    origin: tuple[int, int] = (0, 0)
    _states: dict[tuple[Any, ...], ChainState] = field(default_factory=dict)
    _sums: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    _noise: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    _lost: dict[str, np.ndarray] = field(default_factory=dict)
    _errors: dict[tuple[int, ...], np.ndarray | None] = field(default_factory=dict)
    _zeros: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)
    _places_in: dict[tuple[int, ...], Places] = field(default_factory=dict)

    def chain(self, steps: tuple[Any, ...]) -> ChainState:
        """Apply sky steps in order; see `chains`."""
        return self.chains([steps])[0]

    def chains(self, skies: Sequence[tuple[Any, ...]]) -> list[ChainState]:
        """Apply chains of sky steps.

        Parameters
        ----------
        skies : sequence of tuple
            Steps of the configuration, each chain in order.

        Returns
        -------
        list of ChainState
            What each chain has found.
        """
        said = self.recipe.sky_said if skies is self.recipe.sky else steps_said(skies)
        zero = np.zeros(self.places.x.shape)
        found = [ChainState(Remainder(self._everything, self.data), (), zero, zero, zero)] * len(skies)
        for place in range(max((len(steps) for steps in skies), default=0)):
            keys: dict[int, tuple[Any, ...]] = {}
            wanted: dict[tuple[Any, ...], _Wanted] = {}
            for index, steps in enumerate(skies):
                if place < len(steps):
                    # The pixels of the whole block are kept where another model of lines follows.
                    whole = any(isinstance(step, AmplifierStep) for step in steps[place + 1 :])
                    keys[index] = key = (whole, *said[index][: place + 1])
                    if key not in self._states:
                        wanted[key] = key, found[index], steps[place]
            self._apply(list(wanted.values()))
            for index, key in keys.items():
                found[index] = self._states[key]
        return found

    def _apply(self, wanted: list[_Wanted]) -> None:
        """Find the states after steps, together where they look at the same pixels."""
        models: list[list[_Wanted]] = []
        rings: dict[tuple[Any, ...], list[_Wanted]] = {}
        for key, before, step in wanted:
            if isinstance(step, AmplifierStep):
                for others in models:
                    if others[0][0][0] == key[0] and others[0][1] is before and go_together(step, others[0][2]):
                        others.append((key, before, step))
                        break
                else:
                    models.append([(key, before, step)])
            elif isinstance(step, Annulus) and shares_pixels(step):
                rings.setdefault((*_pixels_of(before), step.offset, step.statistic), []).append((key, before, step))
            else:
                self._states[key] = _APPLY[type(step)](self, before, step)
        for together in models:
            self._amplifiers(together)
        for together in rings.values():
            self._annuli(together)

    @property
    def _everything(self) -> Neighbourhood:
        return everything(self.data.shape[1:])

    @property
    def _wanted(self) -> Neighbourhood:
        return self._everything if self.near is None else self.near

    def _error(self, near: Neighbourhood) -> np.ndarray | None:
        if near.box not in self._errors:
            self._errors[near.box] = None if self.error is None else near.cut(self.error)
        return self._errors[near.box]

    def _places(self, near: Neighbourhood) -> Places:
        """The places in a neighbourhood: always the same, since they may keep lists of pixels."""
        if near.box not in self._places_in:
            whole = near == self._everything
            self._places_in[near.box] = self.places if whole else near.places(self.places)
        return self._places_in[near.box]

    def _local(self, before: ChainState, step: Annulus | SkyRectangle) -> ChainState:
        cut, shape = before.cutouts, self.places.x.shape
        if cut is None:
            places = self._places(before.near)
            found = local_level(step, before.data, self._error(before.near), places, self.recipe.photometry)
        else:
            found = local_level(step, cut.residual, cut.error, cut.places, self.recipe.photometry)
        level, level_err, area = (column.reshape(shape) for column in found)
        return self._leveled(before, step, level, level_err**2, area)

    def _leveled(
        self, before: ChainState, step: Annulus | SkyRectangle, level: np.ndarray, variance: np.ndarray, area: np.ndarray
    ) -> ChainState:
        if self.recipe.nan == "leave":  # as in apertures: a bad pixel leaves nothing of what it is summed into
            said = step.model_dump_json()
            if said not in self._lost:
                self._lost[said] = holds_bad(step, self.data, self.places)
            lost = self._lost[said]
            level, variance = np.where(lost, np.nan, level), np.where(lost, np.nan, variance)
        # Levels are not taken off the pixels: a region replaces the level of one before it.
        return ChainState(before.remainder, before.lines, level, variance, area, before.cutouts, before.correlation)

    def _annuli(self, wanted: list[_Wanted]) -> None:
        """Find the levels of rings in the same pixels, less what several models take off their rows and columns."""
        before, steps, rows = wanted[0][1], [step for _, _, step in wanted], None
        models = {id(state.remainder.model): state for _, state, _ in wanted}
        images = [list(models).index(id(state.remainder.model)) for _, state, _ in wanted]
        if before.cutouts is not None:
            cut = before.cutouts
            data, error, places, images = [cut.residual], cut.error, cut.places, [0] * len(wanted)
        elif before.remainder.has_levels and steps[0].statistic != "mean":
            data, error, places = [before.remainder.pixels], self.error, self.places
            levels = [state.lines[-1] for state in models.values()]
            rows = levels_of(levels, row_pieces(self._bounds, data[0].shape[2]))
        else:
            data = [state.data for state in models.values()]
            error, places = self._error(before.near), self._places(before.near)
        found = annulus_levels(steps, images, data, error, places, rows, self.recipe.photometry)
        shape = len(steps), *self.places.x.shape
        level, level_err, area = (column.reshape(shape) for column in found)
        for (key, state, step), *column in zip(wanted, level, level_err**2, area, strict=True):
            self._states[key] = self._leveled(state, step, *column)

    def _amplifiers(self, wanted: list[_Wanted]) -> None:
        """Find the models of lines of steps that go together."""
        (whole, *_), before, _ = wanted[0]
        near, steps = self._everything if whole else self._wanted, [step for _, _, step in wanted]
        ranges = self.recipe.amplifiers - self.origin[self._fast - 1]
        ends = int(ranges.min()), int(ranges.max())
        sources = self.x_mask, self.y_mask
        models = amplifier_models(self.recipe, before.data, self.error, *sources, steps, near, self._bounds, ends)
        for (key, _, _), found in zip(wanted, models, strict=True):
            self._states[key] = replace(
                before,
                remainder=Remainder(near, before.data, found),
                lines=(*(each.near(near) for each in before.lines), found),
                area=found.area,
                correlation=found.correlation if before.correlation is None else before.correlation,
            )

    def _column_row(self, before: ChainState, step: ColumnRow) -> ChainState:
        cutouts = column_row_model(step, before.data, self._error(before.near), self._places(before.near))
        return replace(before, cutouts=cutouts, area=cutouts.area.reshape(self.places.x.shape))

    def _none(self, before: ChainState, step: NoSky) -> ChainState:
        return before

    def inside(self, states: Sequence[ChainState], group: Group, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the sky inside each aperture of a group, and its variance.

        Parameters
        ----------
        states : sequence of ChainState
            What chains have found.
        group : Group
            Apertures.
        area : ndarray, shape (n, n_sources, group.count)
            Area of the good pixels.

        Returns
        -------
        sky_sum, variance : ndarray, shape (n, n_sources, group.count, n_chains)
        """
        counted = area
        if self.recipe.photometry.sky_area == "analytic":
            counted = area * group.pixel_share(self.places)
        counted = counted[..., None]
        total = np.stack([state.level for state in states], axis=-1)[:, :, None] * counted
        # One level serves the whole aperture: its error grows with the area, not with its root.
        variance = np.stack([state.level_variance for state in states], axis=-1)[:, :, None] * counted**2
        if isinstance(group, Circles):
            self._sum_levels([model for state in states for model in state.lines], group)
        # Neighbours that go on from one model share what it adds.
        shared = groupby(enumerate(states), key=lambda each: (*(id(model) for model in each[1].lines), id(each[1].cutouts)))
        for _, members in shared:
            index, state = next(members)
            alike = slice(index, index + 1 + sum(1 for _ in members))
            more = [self._of_lines(state, model, group, area) for model in state.lines]
            if state.cutouts is not None:
                more.append(state.cutouts.inside(group, area, self.recipe.nan == "leave"))
            for its, its_variance in more:
                total[..., alike] += its[..., None]
                variance[..., alike] += its_variance[..., None]
        return total, variance

    def _of_lines(
        self, state: ChainState, found: LineModel, group: Group, area: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        key = id(found), id(group)  # several chains go on from one model
        if key not in self._sums:
            self._sums[key] = self._sums_of_lines(state, found, group, area)
        return self._sums[key]

    def _sums_of_lines(
        self, state: ChainState, found: LineModel, group: Group, area: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        near, places = state.near, self._places(state.near)
        good = found.model
        if self.recipe.nan != "leave":
            # NaN at bad pixels, so that the model is summed over the pixels that the data are summed over.
            good = self._nothing(state) + found.model
        sums = group.sums(good, None, places, "w2")
        # Good pixels on a line whose level is unknown: the sky of this aperture is unknown.
        total = np.where(sums.area >= area * (1 - 1e-12), sums.sum, np.nan)
        variance = self._noise.get((id(found), id(group)))
        if variance is None:
            along, across = (near.rows, near.columns) if self.recipe.fast_axis == 1 else (near.columns, near.rows)
            its = found.line_variance[:, along]
            variance = group.line_variance(good, places, its, self._line_of_pixels[across], self.recipe.fast_axis)
        return total, np.where(np.isfinite(total), variance, np.nan)

    def _nothing(self, state: ChainState) -> np.ndarray:
        """0, or NaN at bad pixels, of a state's neighbourhood."""
        if len(state.lines) > 1:
            return np.asarray(state.data * 0)
        if state.near.box not in self._zeros:
            self._zeros[state.near.box] = state.near.cut(self.data) * 0
        return self._zeros[state.near.box]

    def _sum_levels(self, models: list[LineModel], group: Circles) -> None:
        """Sum the levels of rows of several models over circles: how much of a row a circle holds is found once.

        What columns add is summed pixel by pixel: of these models the noise of the rows is kept.
        """
        known = [each for each in models if each.level is not None]
        wanted = {id(each): each for each in known if (id(each), id(group)) not in self._noise}
        if wanted:
            levels, variances = zip(*((each.level, each.line_variance) for each in wanted.values()), strict=True)
            lines, every = self._line_of_pixels, self.recipe.nan == "leave"
            sums = group.line_sums(self.data, self.places, np.stack(variances), lines, np.stack(levels), every)
            for (name, each), total, variance in zip(wanted.items(), *sums, strict=True):
                self._noise[name, id(group)] = variance
                if each.columns is None:
                    self._sums[name, id(group)] = total, np.where(np.isfinite(total), variance, np.nan)

    @property
    def _fast(self) -> int:
        """Which axis of the pixels is the fast one."""
        return 2 if self.recipe.fast_axis == 1 else 1

    @cached_property
    def _bounds(self) -> np.ndarray:
        """Ranges of the amplifiers that these pixels hold, which they hold whole."""
        bounds = self.recipe.amplifiers - self.origin[self._fast - 1]
        return bounds[(bounds[:, 0] >= 0) & (bounds[:, 1] <= self.data.shape[self._fast])]

    @property
    def _line_of_pixels(self) -> np.ndarray:
        """The amplifier of each pixel along the fast axis, −1 for none."""
        lines = np.full(self.data.shape[self._fast], -1, np.int32)
        for index, (start, stop) in enumerate(self._bounds):
            lines[start:stop] = index
        return lines


_APPLY: dict[type, Callable[..., ChainState]] = {
    Annulus: Background._local,
    SkyRectangle: Background._local,
    ColumnRow: Background._column_row,
    NoSky: Background._none,
}
