"""Sky chains: steps applied in order to a block's pixels, and what they take out of each aperture.

A step either gives one level a source (an annulus) or a model of the frame (rows of an amplifier). A model is taken off the
pixels before the next step; of several levels the last holds. Steps that several chains share are computed once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tsogrid.config import AmplifierStep, Annulus, NoSky, ReadoutProcess, RowAmplifier
from tsogrid.engine.amplifiers import along_fast_axis, amplifier_model
from tsogrid.engine.recipe import Recipe
from tsogrid.kernels import aperture, sky


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
    correlation : ndarray, shape (n,), or None
        Of the amplifiers' levels, if the last step is one on amplifiers.
    """

    data: np.ndarray
    model: np.ndarray | None
    line_variances: list[np.ndarray]
    level: np.ndarray
    level_variance: np.ndarray
    area: np.ndarray
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

    def _amplifiers(self, before: ChainState, step: AmplifierStep) -> ChainState:
        found = amplifier_model(self.recipe, before.data, self.error, self.x_mask, self.y_mask, step)
        return ChainState(
            before.data - found.model,
            found.model if before.model is None else before.model + found.model,
            [*before.line_variances, found.line_variance],
            before.level,
            before.level_variance,
            found.area,
            found.correlation,
        )

    def _none(self, before: ChainState, step: NoSky) -> ChainState:
        return before

    def _along_fast_axis(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
        """Pixels, errors and masks with the fast axis last."""
        return along_fast_axis(self.recipe, data, self.error, self.x_mask, self.y_mask)

    def correlation(self, steps: tuple[Any, ...]) -> np.ndarray:
        """Correlation between amplifiers in the first step of a chain that works on them, NaN if none does; (n,)."""
        for index, step in enumerate(steps):
            if isinstance(step, AmplifierStep):
                found = self.chain(steps[: index + 1]).correlation
                if found is not None:
                    return found
        return np.full(len(self.data), np.nan)

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
    RowAmplifier: Background._amplifiers,
    ReadoutProcess: Background._amplifiers,
    NoSky: Background._none,
}
