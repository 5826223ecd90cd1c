"""The block function of a plan: pixels are read and measured.

Where a sky step needs whole lines of the detector, the centres are found first, on stamps, and then only the lines about the
places found are read: a search that may end far off costs no lines that nobody looks at. No number depends on it.
"""

from typing import TYPE_CHECKING

import numpy as np

from tsogrid.engine.block_size import frames_in_memory
from tsogrid.engine.pipeline import PHOTOMETRY, PLACE, Arrays, Pixels, measure_block, shared_width
from tsogrid.engine.reading import flagged_aside
from tsogrid.engine.windows import Window, lines_about
from tsogrid.flags import SourceFlag

if TYPE_CHECKING:
    from tsogrid.engine.plan import Plan


def measured(
    plan: "Plan", start: int, stop: int, index: int, given: Arrays | None, pixels: list[Pixels] | None = None
) -> Arrays:
    """Measure one block, in pieces if its pixels would take much memory.

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
    if pixels is None and not plan.halo and stop - start > (some := frames_in_memory(plan.working_bytes_per_frame)):
        parts = []
        for first in range(start, stop, some):
            its = slice(first - start, min(first + some, stop) - start)
            part = None if given is None else {name: values[its] for name, values in given.items()}
            parts.append(measured(plan, first, start + its.stop, index, part))
        return {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}
    stages, known = plan.passes[index], _given(plan, start, stop, index, given)
    if pixels is not None or not plan.centers:
        return _measured(plan, plan.windows, stages, start, stop, known, pixels)
    before = tuple(stage for stage in stages if stage != PHOTOMETRY)
    if PHOTOMETRY not in stages:
        return _measured(plan, plan.centers, before, start, stop, known)
    found: Arrays = {}
    if before:
        found = _measured(plan, plan.centers, (*before, PLACE), start, stop, known)
        known |= {name: found[name] for name in ("x", "y", "flags")}
        if plan.recipe.needs_width and "fwhm" not in known:
            width = shared_width(found["sigma_x"], found["sigma_y"])
            known["fwhm"] = np.repeat(width[:, None], found["x"].shape[1], axis=1)
    x, y = np.moveaxis(plan.planned(start, stop), -1, 0)
    if "x" in known:
        found_there = np.isfinite(known["x"]) & np.isfinite(known["y"])
        x, y = np.where(found_there, known["x"], x), np.where(found_there, known["y"], y)
    lines = lines_about(x, y, plan.recipe, plan.windows[0])
    return found | _measured(plan, (lines,), (PHOTOMETRY,), start, stop, known)


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
