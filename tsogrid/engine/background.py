"""Sky chains: steps applied in order to a block's pixels.

A step gives one level a source (a region about it), a model of the frame (lines of an amplifier), or a model of a cut-out
about each source (columns and rows). A model is taken off the pixels before the next step; of several levels the last holds.
Steps that several chains share are computed once, and the first steps of all chains are taken before the second ones: those
that look at the same pixels are taken together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tsogrid.config import AmplifierStep, Annulus, ColumnRow, NoSky, SkyRectangle
from tsogrid.engine.amplifiers import LineModel, amplifier_models, go_together, levels_of
from tsogrid.engine.apertures import Places
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
    _lost: dict[str, np.ndarray] = field(default_factory=dict)
    _errors: dict[tuple[int, ...], np.ndarray | None] = field(default_factory=dict)
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

    def places_in(self, near: Neighbourhood) -> Places:
        """The places in a neighbourhood: always the same, since they may keep lists of pixels."""
        if near.box not in self._places_in:
            whole = near == self._everything
            self._places_in[near.box] = self.places if whole else near.places(self.places)
        return self._places_in[near.box]

    def _local(self, before: ChainState, step: Annulus | SkyRectangle) -> ChainState:
        cut, shape = before.cutouts, self.places.x.shape
        if cut is None:
            places = self.places_in(before.near)
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
            rows = levels_of(levels, row_pieces(self.bounds, data[0].shape[2]))
        else:
            data = [state.data for state in models.values()]
            error, places = self._error(before.near), self.places_in(before.near)
        found = annulus_levels(steps, images, data, error, places, rows, self.recipe.photometry)
        shape = len(steps), *self.places.x.shape
        level, level_err, area = (column.reshape(shape) for column in found)
        for (key, state, step), *column in zip(wanted, level, level_err**2, area, strict=True):
            self._states[key] = self._leveled(state, step, *column)

    def _amplifiers(self, wanted: list[_Wanted]) -> None:
        """Find the models of lines of steps that go together."""
        (whole, *_), before, _ = wanted[0]
        near, steps = self._everything if whole else self._wanted, [step for _, _, step in wanted]
        ranges = self.recipe.amplifiers - self.origin[self.fast - 1]
        ends = int(ranges.min()), int(ranges.max())
        sources = self.x_mask, self.y_mask
        models = amplifier_models(self.recipe, before.data, self.error, *sources, steps, near, self.bounds, ends)
        for (key, _, _), found in zip(wanted, models, strict=True):
            self._states[key] = replace(
                before,
                remainder=Remainder(near, before.data, found),
                lines=(*(each.near(near) for each in before.lines), found),
                area=found.area,
                correlation=found.correlation if before.correlation is None else before.correlation,
            )

    def _column_row(self, before: ChainState, step: ColumnRow) -> ChainState:
        cutouts = column_row_model(step, before.data, self._error(before.near), self.places_in(before.near))
        return replace(before, cutouts=cutouts, area=cutouts.area.reshape(self.places.x.shape))

    def _none(self, before: ChainState, step: NoSky) -> ChainState:
        return before

    @property
    def fast(self) -> int:
        """Which axis of the pixels is the fast one."""
        return 2 if self.recipe.fast_axis == 1 else 1

    @cached_property
    def bounds(self) -> np.ndarray:
        """Ranges of the amplifiers that these pixels hold, which they hold whole."""
        bounds = self.recipe.amplifiers - self.origin[self.fast - 1]
        return bounds[(bounds[:, 0] >= 0) & (bounds[:, 1] <= self.data.shape[self.fast])]


_APPLY: dict[type, Callable[..., ChainState]] = {
    Annulus: Background._local,
    SkyRectangle: Background._local,
    ColumnRow: Background._column_row,
    NoSky: Background._none,
}
