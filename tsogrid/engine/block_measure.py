"""The block function of a plan: pixels are read and measured.

Pixels about the places where sources are planned are read first: stamps, or lines of the amplifiers there where a sky step
needs lines. They serve centres and photometry, but for the few frames in which a source is found far off: their photometry
reads the pixels about it. No number depends on what is read.
"""

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tsogrid.engine.block_size import frames_in_memory
from tsogrid.engine.near_windows import first_windows, frames_beyond, windows_about
from tsogrid.engine.pipeline import PHOTOMETRY, PLACE, Arrays, Measurement, Pixels, shared_width
from tsogrid.engine.plan_size import bytes_held_of
from tsogrid.engine.reading import flagged_aside
from tsogrid.engine.windows import Window
from tsogrid.flags import SourceFlag

if TYPE_CHECKING:
    from tsogrid.engine.plan import Plan

FEW_FRAMES = 8  # take no longer to measure than it does to begin anew


def measured(
    plan: "Plan", start: int, stop: int, index: int, given: Arrays | None, pixels: list[Pixels] | None = None
) -> Arrays:
    """Measure one block; where its pixels would take much memory, they are read in pieces.

    Parameters
    ----------
    plan : Plan
        What to measure.
    start, stop : int
        Frames start … stop − 1 of the series.
    index : int
        Which pass.
    given : dict of ndarray, shape (stop − start, n_sources), or None
        Positions made from earlier passes.
    pixels : list of Pixels, optional
        Of the plan's windows; read here if not given.

    Returns
    -------
    dict of ndarray
        Variables of the result, time first.
    """
    stages, known = plan.passes[index], _given(plan, start, stop, index, given)
    if pixels is not None:
        return _joined(plan, _begun(plan, plan.windows, start, stop, known, pixels).do(stages), plan.windows, start, stop)
    return _in_pieces(plan, stages, start, stop, known)


def _in_pieces(plan: "Plan", stages: tuple[str, ...], start: int, stop: int, known: Arrays) -> Arrays:
    """Do some stages on as many frames at a time as fit in memory."""
    windows = _windows(plan, stages, start, stop, known)
    pieces = _pieces(plan, windows, start, stop, known)
    if len(pieces) == 1:
        return _piece(plan, windows, stages, start, stop, known)
    return _one_after_the_other([_piece(plan, _windows(plan, stages, *piece), stages, *piece) for piece in pieces])


def _piece(
    plan: "Plan", windows: tuple[Window, ...], stages: tuple[str, ...], start: int, stop: int, known: Arrays
) -> Arrays:
    """Do some stages on frames whose pixels fit in memory: those far off have their photometry from pixels of their own."""
    block = _begun(plan, windows, start, stop, known)
    if not plan.near or PHOTOMETRY not in stages or len(stages) == 1:
        return _joined(plan, block.do(stages), windows, start, stop)
    before = [stage for stage in stages if stage != PHOTOMETRY]
    found = _joined(plan, block.do([*before, PLACE]), windows, start, stop)
    known = known | {name: found[name] for name in ("x", "y", "flags")}
    if plan.recipe.needs_width and "fwhm" not in known:
        width = shared_width(found["sigma_x"], found["sigma_y"])
        known["fwhm"] = np.repeat(width[:, None], found["x"].shape[1], axis=1)
    places = np.stack([found["x"], found["y"]], axis=-1)
    beyond = frames_beyond(places, plan.recipe.photometry_reach, windows, plan.shape)
    most = 2 * np.count_nonzero(beyond) > len(beyond)
    result = found if most else _joined(plan, block.do([PHOTOMETRY]), windows, start, stop)
    del block  # its pixels go before others are read
    if most:
        return result | _in_pieces(plan, (PHOTOMETRY,), start, stop, known)
    for first, last in _stretches(beyond):
        its = {name: values[first:last] for name, values in known.items()}
        for name, values in _in_pieces(plan, (PHOTOMETRY,), start + first, start + last, its).items():
            result[name][first:last] = values
    return result


def _stretches(marked: np.ndarray) -> list[tuple[int, int]]:
    """Cut the frames that are marked, shape (n,), into stretches: first, last + 1. Frames between near ones join them."""
    index = np.flatnonzero(marked)
    if not index.size:
        return []
    breaks = np.flatnonzero(np.diff(index) > FEW_FRAMES)
    return list(zip(index[[0, *(breaks + 1)]].tolist(), (index[[*breaks, -1]] + 1).tolist(), strict=True))


def _windows(plan: "Plan", stages: tuple[str, ...], start: int, stop: int, known: Arrays) -> tuple[Window, ...]:
    """The windows that are read for a piece: about places that are known, or with room about planned ones."""
    if not plan.near:
        return plan.windows
    recipe, places = plan.recipe, plan.planned(start, stop)
    if stages != (PHOTOMETRY,):
        return first_windows(recipe, stages, places, plan.shape, plan.short_lines)
    if "x" in known:
        found = np.stack([known["x"], known["y"]], axis=-1)
        places = np.where(np.isfinite(found).all(axis=2, keepdims=True), found, places)
    return windows_about(places, recipe.photometry_reach, recipe, plan.shape, recipe.sky, plan.short_lines)


def _pieces(
    plan: "Plan", windows: tuple[Window, ...], start: int, stop: int, known: Arrays
) -> list[tuple[int, int, Arrays]]:
    """Cut frames start … stop − 1, and what is known of them, into about equal pieces that fit in memory."""
    # With frames on both sides a block is as long as fits: its pieces would read and filter their sides anew.
    count, most = stop - start, stop - start if plan.halo else frames_in_memory(bytes_held_of(plan, windows))
    if count <= most:
        return [(start, stop, known)]
    number = math.ceil(count / most)
    edges = [count * piece // number for piece in range(number + 1)]
    return [(start + a, start + b, {name: values[a:b] for name, values in known.items()}) for a, b in pairwise(edges)]


def _one_after_the_other(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if len(parts) > 1 else parts[0]


def _given(plan: "Plan", start: int, stop: int, index: int, given: Arrays | None) -> Arrays:
    """Add what the plan knows to what earlier passes give."""
    given = dict(given or {})
    if plan.sources.stand_in is not None and index == 0:
        given["flags"] = np.where(plan.sources.stand_in[start:stop], int(SourceFlag.POSITION_FALLBACK), 0)
    widths = plan.widths(start, stop)
    if widths is not None:
        given["fwhm"] = np.repeat(widths[:, None], len(plan.sources.names), axis=1)
    return given


def _begun(
    plan: "Plan",
    windows: tuple[Window, ...],
    start: int,
    stop: int,
    given: Arrays,
    pixels: list[Pixels] | None = None,
) -> Measurement:
    """Read windows, if they are not at hand, to be measured."""
    planned = plan.planned(start, stop)
    chosen = [list(window.sources) for window in windows]
    return Measurement(
        pixels or [plan.read(window, start, stop) for window in windows],
        plan.recipe,
        [planned[:, sources] for sources in chosen],
        [{name: values[:, sources] for name, values in given.items()} for sources in chosen],
    )


def _joined(plan: "Plan", block: Measurement, windows: tuple[Window, ...], start: int, stop: int) -> Arrays:
    """Put the sources of all windows side by side, in their own order."""
    parts = block.results
    together = parts[0]
    if len(parts) > 1:
        order = np.argsort([source for window in windows for source in window.sources])
        together = {name: np.concatenate([part[name] for part in parts], axis=1)[:, order] for name in together}
    return flagged_aside(together, start, stop, plan.aside)
