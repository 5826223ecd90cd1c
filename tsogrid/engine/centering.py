"""The centres of a block: each way of centring, and what it tells of the source beside its place.

All ways look at the same box, on the same pixels less the same sky. Those that know no width take it from a Gaussian that
stays at their centre. A centre that is not found, or not inside its box, is NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tsogrid.engine.recipe import Recipe
from tsogrid.kernels import centroid, gaussian, marginal_gaussian, quadratic

Arrays = dict[str, np.ndarray]
Guess = tuple[np.ndarray, np.ndarray]
CENTER_NAMES = {"gaussian": "fit", "gaussian-1d": "fit", "center-of-mass": "com", "quadratic": "quadratic"}
_WIDTHS = ("sigma_x", "sigma_y", "sigma_x_err", "sigma_y_err", "amplitude", "amplitude_err")


class Centers(NamedTuple):
    """Centres of every source of every frame, (n, n_sources), in pixels of the window.

    Parameters
    ----------
    name : str
        Under which name they are stored: ``x_name`` and ``y_name``.
    x, y : ndarray, shape (n, n_sources)
        NaN where there is none.
    values : dict of ndarray
        Further variables of the result.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    values: Arrays


def find_centers(
    recipe: Recipe, data: np.ndarray, error: np.ndarray | None, level: np.ndarray, guess: Guess, moment: centroid.Center
) -> Centers:
    """Find the centres of all sources as ``center.method`` asks.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    data, error : ndarray, shape (n, ny, nx)
        The window's pixels less the models of ``center.sky``, and their errors (None if unknown).
    level : ndarray, shape (n, n_sources)
        The sky that is left under each source.
    guess : (ndarray, ndarray)
        x and y about which the boxes lie, (n, n_sources).
    moment : Center
        The centres of mass in these boxes.

    Returns
    -------
    Centers
    """
    method = recipe.center.method
    x, y, values = _METHODS[method](recipe, data, error, level, guess, moment)
    return Centers(CENTER_NAMES[method], x, y, values)


def _gaussian(
    recipe: Recipe, data: np.ndarray, error: np.ndarray | None, level: np.ndarray, guess: Guess, moment: centroid.Center
) -> tuple[np.ndarray, np.ndarray, Arrays]:
    center = recipe.center
    fit = gaussian.gaussian_fit(
        data,
        error,
        *guess,
        center.fit_box,
        weights=center.weights,
        angle=center.angle,
        gain=recipe.electrons_per_unit if error is None else np.nan,
        read_noise=recipe.read_noise,
    )
    return fit.x, fit.y, _fitted(fit, "theta", "theta_err")


def _gaussian_1d(
    recipe: Recipe, data: np.ndarray, error: np.ndarray | None, level: np.ndarray, guess: Guess, moment: centroid.Center
) -> tuple[np.ndarray, np.ndarray, Arrays]:
    center = recipe.center
    fit = marginal_gaussian.marginal_gaussian_fit(data, error, *guess, center.fit_box, weights=center.weights)
    return fit.x, fit.y, _fitted(fit)


def _center_of_mass(
    recipe: Recipe, data: np.ndarray, error: np.ndarray | None, level: np.ndarray, guess: Guess, moment: centroid.Center
) -> tuple[np.ndarray, np.ndarray, Arrays]:
    return moment.x, moment.y, _widths_at(recipe, data, error, level, moment)


def _quadratic(
    recipe: Recipe, data: np.ndarray, error: np.ndarray | None, level: np.ndarray, guess: Guess, moment: centroid.Center
) -> tuple[np.ndarray, np.ndarray, Arrays]:
    peak = quadratic.quadratic_peak(data, *guess, recipe.center.fit_box)
    return peak.x, peak.y, _widths_at(recipe, data, error, level, peak)


_METHODS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray, Arrays]]] = {
    "gaussian": _gaussian,
    "gaussian-1d": _gaussian_1d,
    "center-of-mass": _center_of_mass,
    "quadratic": _quadratic,
}


def _fitted(fit: gaussian.GaussianFit | marginal_gaussian.MarginalFit, *more: str) -> Arrays:
    """What a fit with a free centre tells, under the names of the result."""
    values = {name: getattr(fit, name) for name in (*_WIDTHS, "offset", "offset_err", *more)}
    return values | {"x_fit_err": fit.x_err, "y_fit_err": fit.y_err}


def _widths_at(
    recipe: Recipe, data: np.ndarray, error: np.ndarray | None, level: np.ndarray, found: centroid.Center
) -> Arrays:
    """Widths and height of the sources, by a Gaussian without offset that stays where each was found."""
    center = recipe.center
    fit = gaussian.gaussian_fit(
        data,
        error,
        found.x,
        found.y,
        center.fit_box,
        weights=center.weights,
        fixed_center=True,
        fit_offset=False,
        level=level,
    )
    return {name: getattr(fit, name) for name in _WIDTHS}
