"""What skies take out of apertures, and how well they know it: a level times an area, and the sums of models.

A model of rows is summed over circles from its levels, without an image of it, for all models at once; any other pixel by
pixel. What several chains share is summed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np

from tsogrid.engine.amplifiers import LineModel
from tsogrid.engine.apertures import Circles, Group
from tsogrid.engine.background import Background, ChainState


@dataclass
class SkyInApertures:
    """The sky of a block inside its apertures.

    Parameters
    ----------
    background : Background
        Whose chains have been applied.
    """

    background: Background
    _sums: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    _noise: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    _zeros: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)

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
        if self.background.recipe.photometry.sky_area == "analytic":
            counted = area * group.pixel_share(self.background.places)
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
                more.append(state.cutouts.inside(group, area, self.background.recipe.nan == "leave"))
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
        near, places, recipe = state.near, self.background.places_in(state.near), self.background.recipe
        good = found.model
        if recipe.nan != "leave":
            # NaN at bad pixels, so that the model is summed over the pixels that the data are summed over.
            good = self._nothing(state) + found.model
        sums = group.sums(good, None, places, "w2")
        # Good pixels on a line whose level is unknown: the sky of this aperture is unknown.
        total = np.where(sums.area >= area * (1 - 1e-12), sums.sum, np.nan)
        variance = self._noise.get((id(found), id(group)))
        if variance is None:
            along, across = (near.rows, near.columns) if recipe.fast_axis == 1 else (near.columns, near.rows)
            its = found.line_variance[:, along]
            variance = group.line_variance(good, places, its, self._amplifier_of_pixels[across], recipe.fast_axis)
        return total, np.where(np.isfinite(total), variance, np.nan)

    def _nothing(self, state: ChainState) -> np.ndarray:
        """0, or NaN at bad pixels, of a state's neighbourhood."""
        if len(state.lines) > 1:
            return np.asarray(state.data * 0)
        if state.near.box not in self._zeros:
            self._zeros[state.near.box] = state.near.cut(self.background.data) * 0
        return self._zeros[state.near.box]

    def _sum_levels(self, models: list[LineModel], group: Circles) -> None:
        """Sum the levels of rows of several models over circles: how much of a row a circle holds is found once.

        What columns add is summed pixel by pixel: of these models the noise of the rows is kept.
        """
        known = [each for each in models if each.level is not None]
        wanted = {id(each): each for each in known if (id(each), id(group)) not in self._noise}
        if wanted:
            levels, variances = zip(*((each.level, each.line_variance) for each in wanted.values()), strict=True)
            data, places, every = self.background.data, self.background.places, self.background.recipe.nan == "leave"
            sums = group.line_sums(data, places, np.stack(variances), self._amplifier_of_pixels, np.stack(levels), every)
            for (name, each), total, variance in zip(wanted.items(), *sums, strict=True):
                self._noise[name, id(group)] = variance
                if each.columns is None:
                    self._sums[name, id(group)] = total, np.where(np.isfinite(total), variance, np.nan)

    @cached_property
    def _amplifier_of_pixels(self) -> np.ndarray:
        """The amplifier of each pixel along the fast axis, −1 for none."""
        lines = np.full(self.background.data.shape[self.background.fast], -1, np.int32)
        for index, (start, stop) in enumerate(self.background.bounds):
            lines[start:stop] = index
        return lines
