"""What a frame of a plan takes: the bytes that are read of it, and those that it fills while it is measured."""

import math
from typing import TYPE_CHECKING

import numpy as np

from tsogrid.config import ColumnRow
from tsogrid.engine.near_windows import first_windows
from tsogrid.engine.windows import Window

if TYPE_CHECKING:
    from tsogrid.engine.plan import Plan

BYTES_OF_A_BOX = 32  # a pixel: data, error, model, residual, weights and the fit's own


def readings(plan: "Plan") -> tuple[tuple[Window, ...], ...]:
    """Give the windows that each pass reads together, as long as sources are about where they are planned."""
    return tuple(_windows(plan, stages) for stages in plan.passes)


def _windows(plan: "Plan", stages: tuple[str, ...]) -> tuple[Window, ...]:
    if not plan.near:
        return plan.windows
    # Of a series that drifts, what a piece of it takes.
    places = plan.sources.planned.swapaxes(0, 1)
    known = [each[np.isfinite(each).all(axis=1)] for each in places]
    middle = np.array([np.median(each, axis=0) if len(each) else (np.nan, np.nan) for each in known])
    return first_windows(plan.recipe, stages, middle[None], plan.shape, plan.short_lines)


def bytes_read(plan: "Plan") -> int:
    """Give the bytes of one frame that are read, in all passes."""
    pixel = sum(variable.dtype.itemsize for variable in plan.frames.variables.values())
    return sum(_bytes(plan, windows, pixel) for windows in readings(plan))


def bytes_held(plan: "Plan") -> int:
    """Give the bytes that a frame takes while it is measured; see `bytes_held_of`."""
    return max(bytes_held_of(plan, windows) for windows in readings(plan))


def bytes_held_of(plan: "Plan", windows: tuple[Window, ...]) -> int:
    """Give the bytes that windows of a frame take: pixels, errors made of a gain, boxes about sources for a sky."""
    pixel = sum(variable.dtype.itemsize for variable in plan.frames.variables.values())
    if "error" not in plan.frames and math.isfinite(plan.recipe.electrons_per_unit):
        pixel += plan.frames.variables["data"].dtype.itemsize
    steps = [step for chain in plan.recipe.sky for step in chain if isinstance(step, ColumnRow)]
    sides = [step.outer or max(step.width or 0, step.height or 0) / 2 for step in steps]
    boxes = sum(min((2 * side + 5) ** 2, 4.0 * plan.shape[0] * plan.shape[1]) for side in sides)
    return _bytes(plan, windows, pixel) + int(BYTES_OF_A_BOX * boxes * len(plan.sources.names))


def _bytes(plan: "Plan", windows: tuple[Window, ...], pixel: int) -> int:
    overscan = 0 if plan.detector is None else sum(plan.detector.overscan_pixels(each.region) for each in windows)
    return pixel * sum(window.pixels for window in windows) + overscan * plan.frames.variables["data"].dtype.itemsize
