"""Stamps: each source cut out of the median frame, with its apertures and sky regions."""

import math
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.config import Config
from tsogrid.view.outlines import APERTURE, SKY, draw_outlines, fewer, legend_handles, outlines
from tsogrid.view.pixels import stretch, sweep
from tsogrid.view.star_map import grey, places

MOST = 12  # sources
SIDE = 36.0  # millimetres of a stamp
LABELS = (0.35, 0.45)  # inches beside a stamp, and above and below it
SMALL = 0.75  # inches: a smaller stamp has no room for numbers


def stamps(result: xr.Dataset, frames: xr.Dataset, figure: Any = None, *, config: Config | None = None) -> np.ndarray:
    """Draw a stamp of every source, up to twelve.

    Parameters
    ----------
    result, frames, config
        As in `tsogrid.view.star_map.star_map`.
    figure : matplotlib Figure, optional
        An empty one, whose shape decides how many stamps stand side by side; one of 160 mm if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (n,)
        One a source. Each has its own scale, from the sky to its peak.

    Raises
    ------
    ConfigError, InputError
        As `tsogrid.view.pixels.picture_plan`.
    """
    swept = sweep(result, frames, config)
    seen = swept["median"]
    found = fewer(outlines(result, config))
    count = min(result.sizes["source"], MOST)
    figure = _figure(count) if figure is None else figure
    columns, side = _columns(count, *figure.get_size_inches())
    panels = figure.subplots(math.ceil(count / columns), columns, squeeze=False)
    drawn = [each for each in found if each.kind in (APERTURE, SKY)]
    half = 1.1 * max((each.reach for each in drawn), default=10.0)
    ny, nx = seen.shape
    half = min(half, max(ny, nx) / 2)
    image = seen.to_numpy()
    x, y = places(swept)
    for number, axes in enumerate(panels.flat):
        if number >= count:
            axes.remove()
            continue
        axes.set_title(str(result["source"].to_numpy()[number]), fontsize="small")
        axes.tick_params(labelsize="x-small")
        axes.locator_params(nbins=4 if side > 1.5 * SMALL else 3)
        at_x, at_y = x[number], y[number]
        if not np.isfinite(at_x + at_y):
            axes.text(0.5, 0.5, "never found", ha="center", va="center", fontsize="small", transform=axes.transAxes)
            continue
        x0, y0 = max(0, int(at_x - half)), max(0, int(at_y - half))
        part = image[y0 : int(at_y + half) + 2, x0 : int(at_x + half) + 2]
        if part.size:
            extent = (x0 - 0.5, x0 - 0.5 + part.shape[1], y0 - 0.5, y0 - 0.5 + part.shape[0])
            axes.imshow(part, origin="lower", extent=extent, cmap=grey(), norm=stretch(part), interpolation="nearest")
        draw_outlines(drawn, at_x, at_y, axes, width=0.8)
        axes.set_xlim(at_x - half, at_x + half)
        axes.set_ylim(at_y - half, at_y + half)
        if side < SMALL:
            axes.set_xticks([])
            axes.set_yticks([])
    if side < SMALL:
        figure.supxlabel(f"{2 * half:.0f} pixels across", fontsize="small")
    elif count == 1:
        panels[0, 0].set_xlabel("x (pixel)", fontsize="small")
        panels[0, 0].set_ylabel("y (pixel)", fontsize="small")
    else:
        figure.supxlabel("x (pixel)", fontsize="small")
        figure.supylabel("y (pixel)", fontsize="small")
    handles = legend_handles(drawn)
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize="small", frameon=False)
    return np.array(figure.axes, object)[:count]


def _columns(count: int, width: float, height: float) -> tuple[int, float]:
    """Columns with which the stamps of a figure become largest, each with room for its labels, and their side; inches."""
    sides = {}
    for columns in range(1, count + 1):
        rows = math.ceil(count / columns)
        sides[columns] = min((width - 0.3) / columns - LABELS[0], (height - 0.6) / rows - LABELS[1])
    return max(sides.items(), key=lambda each: (round(each[1], 3), -each[0]))


def _figure(count: int, width: float = 160.0) -> Any:
    from matplotlib import pyplot

    columns = max(1, min(count, int(width / SIDE)))  # the figure is made for them
    width = width if count >= columns > 1 else 80.0
    height = math.ceil(count / columns) * (width - 10.0) / columns + 22.0
    return pyplot.figure(figsize=(width / 25.4, height / 25.4), layout="constrained")
