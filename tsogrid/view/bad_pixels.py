"""The map of bad pixels: in what part of the frames each pixel is bad, and how many are bad always, sometimes, never."""

from typing import Any

import numpy as np
import xarray as xr

from tsogrid.config import Config
from tsogrid.view.outlines import APERTURE, draw_outlines, outlines
from tsogrid.view.pixels import sweep
from tsogrid.view.star_map import add_bar, picture_ticks, places

PALEST = -0.5  # of the greys: a pixel that is seldom bad must still be seen
MOST_POINTS = 20000  # bad pixels that are drawn as points, which stay visible however large the frame is


def bad_pixels(result: xr.Dataset, frames: xr.Dataset, axes: Any, *, config: Config | None = None) -> Any:
    """Draw in what part of the frames each pixel is bad, by quality words, mask, and the filter along time.

    Parameters
    ----------
    result, frames, axes, config
        As in `tsogrid.view.star_map.star_map`.

    Returns
    -------
    matplotlib Axes
        With the largest aperture of each source, for orientation.

    Raises
    ------
    ConfigError, InputError
        As `tsogrid.view.pixels.picture_plan`.
    """
    seen = sweep(result, frames, config)
    bad = seen["bad"].to_numpy()
    always, ever = int((bad == 1).sum()), int((bad > 0).sum())
    ny, nx = bad.shape
    few = ever <= MOST_POINTS
    shown = np.where(bad > 0, bad, np.nan)
    drawn = axes.imshow(
        np.full(bad.shape, np.nan) if few else shown,
        origin="lower",
        cmap="Greys",
        vmin=PALEST,
        vmax=1,
        interpolation="nearest",
    )
    if few:
        y, x = np.nonzero(bad)
        axes.scatter(x, y, c=bad[y, x], s=_side(axes, nx) ** 2, marker="s", linewidths=0, cmap="Greys", vmin=PALEST, vmax=1)
        axes.set_xlim(-0.5, nx - 0.5)
        axes.set_ylim(-0.5, ny - 0.5)
    axes.set_xlabel("x (pixel)")
    axes.set_ylabel("y (pixel)")
    picture_ticks(axes, bad.shape)
    bar = add_bar(drawn, axes, "part of the frames")
    bar.ax.set_ylim(0, 1)
    ticks = [0, 1] if nx > 3 * ny else [0, 0.5, 1]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    largest = [each for each in outlines(result, config) if each.kind == APERTURE]
    largest = sorted(largest, key=lambda each: each.reach)[-1:]
    for at_x, at_y in zip(*places(result), strict=True):
        if np.isfinite(at_x + at_y):
            draw_outlines(largest, at_x, at_y, axes)
    of = f"{seen.attrs['frames']} of {seen.attrs['of']} frames seen"
    axes.set_title(f"{always} pixels bad always, {ever - always} at times\nof {bad.size}; {of}", fontsize="small")
    return axes


def _side(axes: Any, nx: int) -> float:
    """Side of a bad pixel's mark in points: that of a pixel, but not too small to be seen."""
    return max(1.6, 72 * 0.75 * float(axes.figure.get_size_inches()[0]) / nx)
