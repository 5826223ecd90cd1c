"""Which pixels a run needs: windows of the frame, fixed for the whole series.

A window holds everything that any number of its sources can depend on, so that a stamp gives the same bits as the whole
frame. Windows are made from all positions of the series, never from those of one block: a block's size changes no window.
"""

from dataclasses import dataclass

import numpy as np

from tsogrid.engine.line_reach import Lines, lines_read
from tsogrid.engine.recipe import Recipe, region_reach
from tsogrid.kernels import time_filter

FEW_WINDOWS = 8
WINDOW_COST = 50_000  # pixels that are read in the time that a window of its own costs for each frame
Box = tuple[int, int, int, int, tuple[int, ...]]  # y0, y1, x0, x1, sources


@dataclass(frozen=True)
class Window:
    """A rectangle of the frame.

    Parameters
    ----------
    y0, y1, x0, x1 : int
        Rows [y0, y1) and columns [x0, x1) that are read.
    sources : tuple of int
        Indices of the sources in it.
    serves : (y0, y1, x0, x1), optional
        The part of it for whose pixels it holds all that their numbers depend on; all of it if not given.
    """

    y0: int
    y1: int
    x0: int
    x1: int
    sources: tuple[int, ...]
    serves: tuple[int, int, int, int] | None = None

    @property
    def pixels(self) -> int:
        return (self.y1 - self.y0) * (self.x1 - self.x0)

    @property
    def region(self) -> tuple[int, int, int, int]:
        return self.y0, self.y1, self.x0, self.x1


def margins(recipe: Recipe) -> tuple[float, float]:
    """Give how far from a planned position centring may need pixels, and how far off apertures may stand, in pixels."""
    center = recipe.center
    margin = 1.0
    wander = 0.0
    if center.method != "none":
        if center.predict != "none":
            margin = center.search_box // 2 + recipe.psf.shape[0] // 2 + 2.0
            wander = center.search_box // 2 + 1.0
        margin = max(margin, wander + center.fit_box // 2 + 2.0)
        if isinstance(center.sky, list):  # its regions lie about the prediction
            margin = max([margin, *(wander + region_reach(step) for step in center.sky)])
        wander += center.fit_box // 2 + 1.0
    return margin, 0.0 if center.position in ("fixed", "file") else wander


def _margin(recipe: Recipe) -> float:
    """Distance from a planned position to the farthest pixel that may be needed, in pixels."""
    margin, wander = margins(recipe)
    margin = max(margin, wander + recipe.reach)
    if recipe.outliers is not None:  # the filter along time looks at neighbours, and at stars as a whole
        margin = max(margin + time_filter.REACH, recipe.search + recipe.stamp + 2.0)
    return margin


def _merge(boxes: list[Box]) -> list[Box]:
    """Join overlapping boxes until none overlap."""
    merged: list[Box] = []
    for box in boxes:
        current = box
        changed = True
        while changed:
            changed = False
            for other in merged:
                if current[0] < other[1] and other[0] < current[1] and current[2] < other[3] and other[2] < current[3]:
                    merged.remove(other)
                    current = (
                        min(current[0], other[0]),
                        max(current[1], other[1]),
                        min(current[2], other[2]),
                        max(current[3], other[3]),
                        tuple(sorted(current[4] + other[4])),
                    )
                    changed = True
                    break
        merged.append(current)
    return sorted(merged, key=lambda each: each[4])


def _near(x: np.ndarray, y: np.ndarray, shape: tuple[int, int], margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Leave out positions so far off the frame that no pixel is needed for them, if others remain."""
    known = np.isfinite(x) & np.isfinite(y)
    near = known & (x > -margin) & (x < shape[1] + margin) & (y > -margin) & (y < shape[0] + margin)
    chosen = near if near.any() else known
    return x[chosen], y[chosen]


def plan_windows(recipe: Recipe, planned: np.ndarray, shape: tuple[int, int], single: bool = False) -> tuple[Window, ...]:
    """Find the windows that a run must read.

    Parameters
    ----------
    recipe : Recipe
        What will be measured.
    planned : ndarray, shape (n_frames or 1, n_sources, 2)
        Planned positions (x, y) in pixels.
    shape : (int, int)
        Rows and columns of a frame.
    single : bool
        Ask for one window for all sources.

    Returns
    -------
    tuple of Window
        Disjoint; together they hold each source once.
    """
    ny, nx = shape
    everyone = tuple(range(planned.shape[1]))
    if recipe.needs_whole_frame:
        return (Window(0, ny, 0, nx, everyone),)
    margin = _margin(recipe)
    boxes = boxes_about(planned, shape, margin)
    if recipe.has_line_sky or single:
        y0, y1, x0, x1, _ = _around(boxes)
        if recipe.has_line_sky and recipe.fast_axis == 1:
            (y0, y1), (x0, x1) = _all_lines(recipe, (y0, y1), ny), (0, nx)
        elif recipe.has_line_sky:
            (y0, y1), (x0, x1) = (0, ny), _all_lines(recipe, (x0, x1), nx)
        return (Window(y0, y1, x0, x1, everyone),)
    return few_windows(boxes)


def _all_lines(recipe: Recipe, wanted: Lines, lines: int) -> Lines:
    """Lines that the skies look at, with those beside them that the filter along time needs."""
    first, stop = lines_read((*recipe.sky, *recipe.center_skies), wanted, lines)
    if recipe.outliers is None or (first, stop) == wanted:  # which has them already
        return first, stop
    return max(first - time_filter.REACH, 0), min(stop + time_filter.REACH, lines)


def boxes_about(planned: np.ndarray, shape: tuple[int, int], margin: float) -> list[Box]:
    """Give the box about all places of each source, (n, n_sources, 2)."""
    ny, nx = shape
    boxes: list[Box] = []
    for source in range(planned.shape[1]):
        x, y = planned[:, source, 0], planned[:, source, 1]
        x, y = _near(x, y, shape, margin)
        if not x.size or not y.size:
            x = y = np.zeros(1)
        y0, y1 = int(np.floor(y.min() - margin)), int(np.ceil(y.max() + margin)) + 1
        x0, x1 = int(np.floor(x.min() - margin)), int(np.ceil(x.max() + margin)) + 1
        # A source outside the frame keeps a window of at least one pixel at the nearest edge.
        y0, x0 = min(max(y0, 0), ny - 1), min(max(x0, 0), nx - 1)
        boxes.append((y0, min(max(y1, y0 + 1), ny), x0, min(max(x1, x0 + 1), nx), (source,)))
    return boxes


def few_windows(boxes: list[Box]) -> tuple[Window, ...]:
    """Give windows that hold the boxes: each of its own, or one for all where they are many."""
    windows = [Window(*box) for box in _merge(boxes)]
    together = Window(*_around(boxes))
    # Of many small windows each costs more than its pixels: one large window is read sooner.
    if len(windows) > FEW_WINDOWS and sum(each.pixels + WINDOW_COST for each in windows) > together.pixels:
        return (together,)
    return tuple(windows)


def _around(boxes: list[Box]) -> Box:
    """The box about all boxes."""
    y0, y1, x0, x1, sources = zip(*boxes, strict=True)
    return min(y0), max(y1), min(x0), max(x1), tuple(sorted(index for each in sources for index in each))
