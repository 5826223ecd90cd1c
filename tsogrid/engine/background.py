"""Sky chains: steps applied in order to a block's pixels, and what they take out of each aperture.

A step either gives one level a source (an annulus) or a model of the frame (rows of an amplifier). A model is taken off the
pixels before the next step; of several levels the last holds. Steps that several chains share are computed once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tsogrid.config import Annulus, NoSky, RowAmplifier
from tsogrid.engine.recipe import Recipe
from tsogrid.kernels import amplifier, aperture, sky


@dataclass
class ChainState:
    """What a chain has found so far.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Pixels less the models so far.
    model : ndarray or None
        Sum of the frame models so far.
    line_variances : list of ndarray, shape (n, n_lines, n_amplifiers)
        Variance of each line's level, one array a model.
    level, level_variance, area : ndarray, shape (n, n_sources)
        Sum of the per-source levels, its variance, pixels used by the last step.
    """

    data: np.ndarray
    model: np.ndarray | None
    line_variances: list[np.ndarray]
    level: np.ndarray
    level_variance: np.ndarray
    area: np.ndarray


@dataclass
class Background:
    """The sky steps of one block of pixels.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    data, error : ndarray, shape (n, ny, nx)
        Pixels and their errors (None if unknown).
    x, y : ndarray, shape (n, n_sources)
        Where the sources are in these pixels (masks and annuli).
    x_mask, y_mask : ndarray, shape (n, n_sources)
        The same with a planned position where the measured one is NaN: such a source still has to be masked.
    """

    recipe: Recipe
    data: np.ndarray
    error: np.ndarray | None
    x: np.ndarray
    y: np.ndarray
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
            zero = np.zeros(self.x.shape)
            return ChainState(self.data, None, [], zero, zero, zero)
        key = tuple(step.label for step in steps)
        if key not in self._states:
            before = self.chain(steps[:-1])
            self._states[key] = _APPLY[type(steps[-1])](self, before, steps[-1])
        return self._states[key]

    def _annulus(self, before: ChainState, step: Annulus) -> ChainState:
        found = sky.annulus_sky(
            before.data,
            self.error,
            self.x,
            self.y,
            step.inner,
            step.outer,
            step.statistic,
            variance_weight=self.recipe.photometry.variance_weight,
        )
        # Levels are not taken off the pixels: an annulus replaces the level of one before it.
        return ChainState(before.data, before.model, before.line_variances, found.level, found.level_err**2, found.area)

    def _row_amplifier(self, before: ChainState, step: RowAmplifier) -> ChainState:
        data, error, x, y = self._along_fast_axis(before.data)
        found = amplifier.row_amplifier(data, error, x, y, self.recipe.amplifiers, step.mask_radius, even_odd=step.even_odd)
        model = found.model if self.recipe.fast_axis == 1 else np.ascontiguousarray(found.model.swapaxes(1, 2))
        # Pixels of the lines that the source lies on: those whose levels reach its apertures.
        count = found.count.sum(axis=2)
        centre = np.clip(np.nan_to_num(np.rint(y)).astype(np.int64), 0, count.shape[1] - 1)
        area = np.take_along_axis(count, centre, axis=1).astype(float)
        total = model if before.model is None else before.model + model
        return ChainState(
            before.data - model,
            total,
            [*before.line_variances, found.line_variance],
            before.level,
            before.level_variance,
            area,
        )

    def _none(self, before: ChainState, step: NoSky) -> ChainState:
        return before

    def _along_fast_axis(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
        """Pixels, errors and masks with the fast axis last."""
        if self.recipe.fast_axis == 1:
            return data, self.error, self.x_mask, self.y_mask
        error = None if self.error is None else np.ascontiguousarray(self.error.swapaxes(1, 2))
        return np.ascontiguousarray(data.swapaxes(1, 2)), error, self.y_mask, self.x_mask

    def inside_circles(self, state: ChainState, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the sky inside each circular aperture and its variance.

        Parameters
        ----------
        state : ChainState
            A chain's result.
        area : ndarray, shape (n, n_sources, n_radii)
            Area of the good pixels.

        Returns
        -------
        sky_sum, variance : ndarray, shape (n, n_sources, n_radii)
        """
        total = state.level[:, :, None] * area
        # One level serves the whole aperture: its error grows with the area, not with its root.
        variance = state.level_variance[:, :, None] * area**2
        if state.model is None or not self.recipe.radii.size:
            return total, variance
        model = self._good_model(state.model)
        sums = aperture.circle_sums(model, None, self.x, self.y, self.recipe.radii)
        # Good pixels on a line whose level is unknown: the sky of this aperture is unknown.
        whole = sums.area >= area * (1 - 1e-12)
        total = total + np.where(whole, sums.sum, np.nan)
        data, _, _, _ = self._along_fast_axis(self.data)
        x, y = (self.x, self.y) if self.recipe.fast_axis == 1 else (self.y, self.x)
        lines = np.full(data.shape[2], -1, np.int32)
        for index, (start, stop) in enumerate(self.recipe.amplifiers):
            lines[start:stop] = index
        for line_variance in state.line_variances:
            variance = variance + aperture.circle_line_variance(data, x, y, self.recipe.radii, line_variance, lines)
        return total, variance

    def _good_model(self, model: np.ndarray) -> np.ndarray:
        """A frame model with NaN at bad pixels, so that it is summed over the pixels that the data are summed over."""
        return np.where(np.isfinite(self.data), model, np.nan).astype(self.data.dtype, copy=False)

    def inside_frame(self, state: ChainState, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the sky inside the whole frame and its variance.

        Parameters
        ----------
        state : ChainState
            A chain's result.
        area : ndarray, shape (n, n_sources)
            Number of good pixels of the frame.

        Returns
        -------
        sky_sum, variance : ndarray, shape (n, n_sources)
        """
        total, variance = state.level * area, state.level_variance * area**2
        if state.model is None:
            return total, variance
        total = total + aperture.frame_sums(self._good_model(state.model), None).sum[:, None]
        good, _, _, _ = self._along_fast_axis(np.isfinite(self.data).astype(self.data.dtype))
        for line_variance in state.line_variances:
            for index, (start, stop) in enumerate(self.recipe.amplifiers):
                pixels = good[:, :, start:stop].sum(axis=2, dtype=float)
                variance = variance + np.nansum(pixels**2 * line_variance[:, :, index], axis=1)[:, None]
        return total, variance


_APPLY: dict[type, Callable[..., ChainState]] = {
    Annulus: Background._annulus,
    RowAmplifier: Background._row_amplifier,
    NoSky: Background._none,
}
