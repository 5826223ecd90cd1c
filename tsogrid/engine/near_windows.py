"""Which pixels a piece of a block reads: those about where its sources are planned, or known to be.

A search may end far from where it began, and the windows of the series (`tsogrid.engine.windows`) hold all that it may lead
to. Most searches do not: what a source needs that is about where it is planned is a half or a fourth of that. No number
depends on what is read, as long as it holds what the stages look at.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tsogrid.engine.line_reach import lines_read, need_lines
from tsogrid.engine.neighbourhood import span_about
from tsogrid.engine.pipeline import PHOTOMETRY
from tsogrid.engine.recipe import Recipe
from tsogrid.engine.windows import Window, boxes_about, few_windows, margins

NEAR = 5.0  # pixels; a source that is no farther from where it is planned needs no second reading
MANY_SOURCES = 32  # more are read by the windows of the series, that hold several of them


def reads_near(recipe: Recipe, n_sources: int) -> bool:
    """Whether fewer pixels than those of the windows of the series may serve a piece."""
    return n_sources <= MANY_SOURCES and not recipe.needs_whole_frame and recipe.outliers is None


def first_windows(
    recipe: Recipe, stages: tuple[str, ...], planned: np.ndarray, shape: tuple[int, int], short: bool = True
) -> tuple[Window, ...]:
    """Find the windows that are read first: what centring may look at, and what photometry needs of sources near by.

    Parameters
    ----------
    recipe : Recipe
        What will be measured.
    stages : tuple of str
        Which stages of it.
    planned : ndarray, shape (n, n_sources, 2)
        Planned places (x, y) of all sources in the frames of a piece.
    shape : (int, int)
        Rows and columns of a frame.
    short : bool
        Leave amplifiers out that no source needs.

    Returns
    -------
    tuple of Window
        Disjoint; together they hold each source once.
    """
    margin, wander = margins(recipe)
    skies = recipe.center_skies
    if PHOTOMETRY in stages:
        margin, skies = max(margin, recipe.photometry_reach + min(wander, NEAR)), (*skies, *recipe.sky)
    return windows_about(planned, margin, recipe, shape, skies, short)


def windows_about(
    places: np.ndarray,
    reach: float,
    recipe: Recipe,
    shape: tuple[int, int],
    skies: Sequence[Sequence[Any]],
    short: bool = True,
) -> tuple[Window, ...]:
    """Find the windows that hold all pixels within reach of some places.

    Parameters
    ----------
    places : ndarray, shape (n, n_sources, 2)
        Where the sources are in the frames of a piece; what is not finite needs no line.
    reach : float
        In pixels.
    recipe : Recipe
        Amplifiers and the fast axis.
    shape : (int, int)
        Rows and columns of a frame.
    skies : sequence of sequence
        Chains of sky steps that will be taken off: they say which lines are needed.
    short : bool
        Leave amplifiers out that no source needs.

    Returns
    -------
    tuple of Window
        Disjoint; together they hold each source once. Lines are one window.
    """
    if not need_lines(skies):
        return few_windows(boxes_about(places, shape, reach))
    known, everyone = places[np.isfinite(places).all(axis=2)], tuple(range(places.shape[1]))
    columns, rows = (span_about(known[:, axis], reach, size) for axis, size in enumerate(shape[::-1]))
    if recipe.fast_axis == 1:
        columns = _whole_amplifiers(columns, recipe.amplifiers, shape[1], short)
        wanted, rows = (*rows, *columns), lines_read(skies, rows, shape[0])
        every = rows == (0, shape[0])
    else:
        rows = _whole_amplifiers(rows, recipe.amplifiers, shape[0], short)
        wanted, columns = (*rows, *columns), lines_read(skies, columns, shape[1])
        every = columns == (0, shape[1])
    read = (*rows, *columns)
    return (Window(*read, everyone, None if every or wanted == read else wanted),)


def frames_beyond(places: np.ndarray, reach: float, windows: tuple[Window, ...], shape: tuple[int, int]) -> np.ndarray:
    """Tell the frames that need pixels beyond the windows that were read.

    Parameters
    ----------
    places : ndarray, shape (n, n_sources, 2)
        Where the sources were found; those that are not finite need no pixel.
    reach : float
        How far about them pixels are needed.
    windows : tuple of Window
        What was read.
    shape : (int, int)
        Rows and columns of a frame.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    beyond = np.zeros(len(places), bool)
    low, high = np.maximum(np.floor(places - reach), 0), np.minimum(np.ceil(places + reach) + 1, shape[::-1])
    known = np.isfinite(places).all(axis=2)
    for window in windows:
        y0, y1, x0, x1 = window.serves or window.region
        its = np.s_[:, list(window.sources)]
        beyond |= (((low[its] < (x0, y0)) | (high[its] > (x1, y1))).any(axis=2) & known[its]).any(axis=1)
    return beyond


def _whole_amplifiers(span: tuple[int, int], amplifiers: np.ndarray, size: int, short: bool) -> tuple[int, int]:
    """Widen a range of the fast axis to the whole amplifiers that it touches; all of it where it touches none."""
    touched = (amplifiers[:, 0] < span[1]) & (amplifiers[:, 1] > span[0])
    if not (short and touched.any()):
        return 0, size
    return min(span[0], int(amplifiers[touched, 0].min())), max(span[1], int(amplifiers[touched, 1].max()))
