"""Which pixels a run needs: windows of the frame, fixed for the whole series.

A window holds everything that any number of its sources can depend on, so that a stamp gives the same bits as the whole
frame. Windows are made from all positions of the series, never from those of one block: a block's size changes no window.
"""

from dataclasses import dataclass

import numpy as np

from tsogrid.config import AmplifierStep
from tsogrid.engine.recipe import Recipe, region_reach
from tsogrid.kernels import time_filter

FEW_WINDOWS = 8
WINDOW_COST = 50_000  # pixels that are read in the time that a window of its own costs for each frame
NEAR = 5.0  # pixels; a source that is no farther from where it is planned needs no second reading
Box = tuple[int, int, int, int, tuple[int, ...]]  # y0, y1, x0, x1, sources


@dataclass(frozen=True)
class Window:
    """A rectangle of the frame, rows [y0, y1) and columns [x0, x1), and the indices of the sources in it."""

    y0: int
    y1: int
    x0: int
    x1: int
    sources: tuple[int, ...]

    @property
    def pixels(self) -> int:
        return (self.y1 - self.y0) * (self.x1 - self.x0)

    @property
    def region(self) -> tuple[int, int, int, int]:
        return self.y0, self.y1, self.x0, self.x1

    def with_other(self, other: "Window") -> "Window":
        """Give the smallest window of these sources that holds both."""
        (y0, y1, x0, x1), its = self.region, other.region
        return Window(min(y0, its[0]), max(y1, its[1]), min(x0, its[2]), max(x1, its[3]), self.sources)


def _margins(recipe: Recipe) -> tuple[float, float]:
    """Distances from a planned position to the farthest pixel that centring may need, and to where it may end, in pixels."""
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
    return margin, wander


def _margin(recipe: Recipe) -> float:
    """Distance from a planned position to the farthest pixel that may be needed, in pixels."""
    center = recipe.center
    margin, wander = _margins(recipe)
    if center.position in ("fixed", "file"):
        wander = 0.0
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
    boxes = _boxes(planned, shape, margin)
    if recipe.has_line_sky or single:
        y0, y1, x0, x1, _ = _around(boxes)
        if recipe.has_line_sky and recipe.fast_axis == 1:
            x0, x1 = 0, nx
        elif recipe.has_line_sky:
            y0, y1 = 0, ny
        return (Window(y0, y1, x0, x1, everyone),)
    return _few(boxes)


def center_windows(recipe: Recipe, planned: np.ndarray, shape: tuple[int, int]) -> tuple[Window, ...]:
    """Find the windows that a pass needs that finds centres alone, where the photometry reads lines about its sources.

    Parameters
    ----------
    recipe, planned, shape
        As for `plan_windows`.

    Returns
    -------
    tuple of Window
        Disjoint; together they hold each source once. None where every pass needs all pixels of `plan_windows`.
    """
    if not recipe.has_line_sky or recipe.needs_whole_frame or recipe.outliers is not None:
        return ()
    asked = recipe.center.sky
    if isinstance(asked, list) and any(isinstance(step, AmplifierStep) for step in asked):
        return plan_windows(recipe, planned, shape)
    return _few(_boxes(planned, shape, _margins(recipe)[0]))


def first_reach(recipe: Recipe) -> float:
    """Give the distance from a planned place within which lines are read first, in pixels; see `lines_about`.

    It holds what centring may look at, and all that the photometry needs of a source that is about where it is planned.
    """
    margin, wander = _margins(recipe)
    return max(margin, reach_about(recipe) + min(wander, NEAR))


def lines_as_planned(recipe: Recipe, planned: np.ndarray, within: Window, short: bool) -> Window:
    """Give the lines that are read of most frames, if sources are where they are planned; see `lines_about`."""
    known = [places[np.isfinite(places).all(axis=1)] for places in planned.swapaxes(0, 1)]
    x, y = np.reshape([np.median(places, axis=0) for places in known if len(places)], (-1, 2)).T
    return lines_about(x, y, first_reach(recipe), recipe, within, short)


def reach_about(recipe: Recipe) -> float:
    """Give the distance from a known place within which the photometry needs pixels."""
    return max(recipe.reach, recipe.aperture_reach)


def lines_about(x: np.ndarray, y: np.ndarray, reach: float, recipe: Recipe, within: Window, short: bool = True) -> Window:
    """Find the lines that are needed about places.

    Parameters
    ----------
    x, y : ndarray of float
        Places of all sources in all frames of a block; those that are not finite need no line.
    reach : float
        How far about them pixels are needed.
    recipe : Recipe
        What will be measured.
    within : Window
        Lines that may be read.
    short : bool
        Leave out the amplifiers that are not needed.

    Returns
    -------
    Window
        At least one line; all where no place is known.
    """
    rows, columns = (_span(along, reach, *ends) for along, ends in ((y, within.region[:2]), (x, within.region[2:])))
    if recipe.fast_axis == 1:
        columns = _whole_amplifiers(columns, recipe.amplifiers, within.region[2:], short)
    else:
        rows = _whole_amplifiers(rows, recipe.amplifiers, within.region[:2], short)
    return Window(*rows, *columns, within.sources)


def frames_beyond(x: np.ndarray, y: np.ndarray, reach: float, lines: Window, within: Window) -> np.ndarray:
    """Tell the frames that need pixels beyond the lines that were read.

    Parameters
    ----------
    x, y : ndarray, shape (n, n_sources)
        Places; those that are not finite need no pixel.
    reach : float
        How far about them pixels are needed.
    lines, within : Window
        What was read, and what may be read.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    y0, y1, x0, x1 = lines.region
    beyond = np.zeros(x.shape, bool)
    for along, first, stop, ends in ((y, y0, y1, within.region[:2]), (x, x0, x1, within.region[2:])):
        low, high = np.floor(along - reach), np.ceil(along + reach) + 1
        beyond |= (np.maximum(low, ends[0]) < first) | (np.minimum(high, ends[1]) > stop)
    return (beyond & np.isfinite(x) & np.isfinite(y)).any(axis=1)


def _whole_amplifiers(span: tuple[int, int], amplifiers: np.ndarray, ends: tuple[int, int], short: bool) -> tuple[int, int]:
    """Widen a range of the fast axis to the whole amplifiers that it touches; all of it where it touches none."""
    touched = (amplifiers[:, 0] < span[1]) & (amplifiers[:, 1] > span[0])
    if not (short and touched.any()):
        return ends
    return min(span[0], int(amplifiers[touched, 0].min())), max(span[1], int(amplifiers[touched, 1].max()))


def _span(along: np.ndarray, reach: float, first: int, stop: int) -> tuple[int, int]:
    known = along[np.isfinite(along)]
    if not known.size:
        return first, stop
    start = min(max(int(np.floor(known.min() - reach)), first), stop - 1)
    return start, min(max(int(np.ceil(known.max() + reach)) + 1, start + 1), stop)


def _boxes(planned: np.ndarray, shape: tuple[int, int], margin: float) -> list[Box]:
    """The box about all places of each source."""
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


def _few(boxes: list[Box]) -> tuple[Window, ...]:
    """Windows that hold the boxes: each of its own, or one for all where they are many."""
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
