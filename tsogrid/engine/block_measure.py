"""The block function of a plan: pixels are read and measured.

Where a sky step needs whole lines of the detector, those about the places where sources are planned are read, of the
amplifiers there: a search that may end far off costs no lines that nobody looks at. The few frames in which a source is
found far off are measured once more, on lines about it. No number depends on what is read.
"""

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tsogrid.engine.block_size import frames_in_memory
from tsogrid.engine.pipeline import PHOTOMETRY, Arrays, Pixels, measure_block
from tsogrid.engine.plan_size import bytes_held_of
from tsogrid.engine.reading import flagged_aside
from tsogrid.engine.windows import Window, first_reach, frames_beyond, lines_about, reach_about
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
        return _measured(plan, plan.windows, stages, start, stop, known, pixels)
    if not plan.centers:
        return _in_pieces(plan, plan.windows, stages, start, stop, known)
    if PHOTOMETRY not in stages:
        return _in_pieces(plan, plan.centers, stages, start, stop, known)
    pieces = _pieces(plan, (_first_lines(plan, stages, start, stop, known),), start, stop, known)
    return _one_after_the_other([_on_lines(plan, stages, *piece) for piece in pieces])


def _in_pieces(
    plan: "Plan", windows: tuple[Window, ...], stages: tuple[str, ...], start: int, stop: int, known: Arrays
) -> Arrays:
    """Do some stages on windows, on as many frames at a time as fit in memory."""
    return _one_after_the_other(
        [_measured(plan, windows, stages, *piece) for piece in _pieces(plan, windows, start, stop, known)]
    )


def _on_lines(plan: "Plan", stages: tuple[str, ...], start: int, stop: int, known: Arrays) -> Arrays:
    """Do all stages on the lines about the sources; frames that need others are measured again."""
    lines, recipe, everything = _first_lines(plan, stages, start, stop, known), plan.recipe, plan.windows[0]
    result = _measured(plan, (lines,), stages, start, stop, known)
    beyond = frames_beyond(result["x"], result["y"], reach_about(recipe), lines, everything)
    for first, last in _stretches(beyond):
        more = lines_about(result["x"][first:last], result["y"][first:last], reach_about(recipe), recipe, everything)
        its, window = {name: values[first:last] for name, values in known.items()}, lines.with_other(more)
        pieces = _pieces(plan, (window,), start + first, start + last, its)
        again = _one_after_the_other([_measured(plan, (window,), stages, *piece) for piece in pieces])
        for name, values in again.items():
            result[name][first:last] = values
    return result


def _stretches(beyond: np.ndarray) -> list[tuple[int, int]]:
    """Cut the frames that are marked, shape (n,), into stretches: first, last + 1. Frames between near ones join them."""
    marked = np.flatnonzero(beyond)
    if not marked.size:
        return []
    breaks = np.flatnonzero(np.diff(marked) > FEW_FRAMES)
    return list(zip(marked[[0, *(breaks + 1)]].tolist(), (marked[[*breaks, -1]] + 1).tolist(), strict=True))


def _first_lines(plan: "Plan", stages: tuple[str, ...], start: int, stop: int, known: Arrays) -> Window:
    """The lines that are read first: about places that are known, or with room about planned ones."""
    x, y = np.moveaxis(plan.planned(start, stop), -1, 0)
    recipe, reach = plan.recipe, reach_about(plan.recipe)
    if stages != (PHOTOMETRY,):
        reach = first_reach(recipe)
    elif "x" in known:
        found = np.isfinite(known["x"]) & np.isfinite(known["y"])
        x, y = np.where(found, known["x"], x), np.where(found, known["y"], y)
    return lines_about(x, y, reach, recipe, plan.windows[0], plan.short_lines)


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


def _measured(
    plan: "Plan",
    windows: tuple[Window, ...],
    stages: tuple[str, ...],
    start: int,
    stop: int,
    given: Arrays,
    pixels: list[Pixels] | None = None,
) -> Arrays:
    """Read windows, if they are not at hand, and do some stages on them."""
    planned = plan.planned(start, stop)
    chosen = [list(window.sources) for window in windows]
    parts = measure_block(
        pixels or [plan.read(window, start, stop) for window in windows],
        plan.recipe,
        stages,
        [planned[:, sources] for sources in chosen],
        [{name: values[:, sources] for name, values in given.items()} for sources in chosen],
    )
    return flagged_aside(_joined(parts, windows), start, stop, plan.aside)


def _joined(parts: list[Arrays], windows: tuple[Window, ...]) -> Arrays:
    """Put the sources of all windows side by side, in their own order."""
    if len(parts) == 1:
        return parts[0]
    order = np.argsort([source for window in windows for source in window.sources])
    return {name: np.concatenate([part[name] for part in parts], axis=1)[:, order] for name in parts[0]}
