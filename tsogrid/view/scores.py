"""Every aperture over every sky as a map: darker is quieter, and the best one has a frame."""

import re
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.analysis.choice import CRITERIA, best_cell
from tsogrid.errors import ConfigError
from tsogrid.view.style import MODEL

LINE_LENGTH = 15  # characters of a sky's label in one line
WIDTH_OF_NUMBER = 0.32  # inches that a number in a cell needs
WIDTH_OF_TICK = 0.3
HEIGHT_OF_LINE = 0.115


def scores(scored: xr.Dataset, axes: Any, *, name: str = "clipped") -> Any:
    """Draw a heat map of the scatter in every aperture (across) over every sky (down).

    Parameters
    ----------
    scored : Dataset
        From `tsogrid.analysis.choice.score`.
    axes : matplotlib Axes
        Where to draw; the figure's layout should be constrained.
    name : str
        Which variable: ``clipped``, ``point_to_point``, ``mad``, ``std``, ``binned``, ``red``, ``expected``, ``ratio``.

    Returns
    -------
    matplotlib Axes
        The least has a frame: what `tsogrid.analysis.choice.best` would take by this scatter.

    Raises
    ------
    ConfigError
        No light curve has such a scatter.
    """
    array = scored[name].transpose("sky", "aperture")
    if not np.isfinite(array).any():
        raise ConfigError(f"scores: expected a light curve that has a {array.attrs.get('long_name', name)}, found none.")
    scale, unit = (1.0, "") if name in ("ratio", "points") else (100.0, " (%)")
    values = scale * array.to_numpy().astype(float)
    image = axes.imshow(values, aspect="auto", cmap="cividis", interpolation="nearest")
    colours = axes.figure.colorbar(image, ax=axes, location="top", pad=0.02, aspect=30)
    colours.set_label(f"{array.attrs.get('long_name', name)}{unit}", fontsize="small")
    colours.locator = _few_ticks()
    colours.ax.tick_params(labelsize="small")
    colours.update_ticks()
    width, height = _inches(axes)
    _apertures(scored, axes, width)
    _skies([str(label) for label in scored["sky"].to_numpy()], axes, height)
    if width / max(values.shape[1], 1) > WIDTH_OF_NUMBER:
        _numbers(values, axes)
    if name != "points":
        from matplotlib.patches import Rectangle

        row, column = (int(place) for place in np.unravel_index(np.nanargmin(values), values.shape))
        if name in CRITERIA:  # of those that have enough points, as `best` chooses
            column, row, _ = best_cell(scored, name)
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=MODEL, linewidth=2, clip_on=False))
    return axes


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def _inches(axes: Any) -> tuple[float, float]:
    """Size of the axes once labels have taken their part, roughly."""
    box = axes.get_position()
    width, height = axes.figure.get_size_inches()
    return width * box.width * 0.85, height * box.height * 0.8


def _apertures(scored: xr.Dataset, axes: Any, width: float) -> None:
    labels = [str(label) for label in scored["aperture"].to_numpy()]
    radius = scored["radius"].to_numpy() if "radius" in scored.coords else np.full(len(labels), np.nan)
    circles = bool(np.isfinite(radius).all())
    words = [f"{value:g}" for value in radius] if circles else labels
    needed = len(words) * WIDTH_OF_TICK
    every = max(1, int(np.ceil(needed * max(1, max(map(len, words)) / 4) / max(width, 0.1))))
    if every > 1 and not circles and 0.6 * needed < width:  # names that fit when they are turned
        axes.set_xticks(range(len(words)), words, fontsize="x-small", rotation=35, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(0, len(words), every), words[::every], fontsize="small")
    axes.set_xlabel("radius of the aperture (pixel)" if circles else "aperture")


def _skies(labels: list[str], axes: Any, height: float) -> None:
    """Label the rows; numbers, where their names would not fit."""
    lines = [_wrapped(label) for label in labels]
    most = max(text.count("\n") + 1 for text in lines)
    if len(labels) * most * HEIGHT_OF_LINE < height:
        axes.set_yticks(range(len(labels)), lines, fontsize="x-small")
    else:
        every = max(1, int(np.ceil(len(labels) * HEIGHT_OF_LINE / max(height, 0.1))))
        axes.set_yticks(
            range(0, len(labels), every), [str(number) for number in range(0, len(labels), every)], fontsize="small"
        )
        axes.set_ylabel("number of the sky")


def _wrapped(label: str) -> str:
    """Break a sky's label after + and - so that no line is long."""
    lines = [""]
    for part in re.findall(r"[^+-]+[+-]?", label):
        if lines[-1] and len(lines[-1]) + len(part) > LINE_LENGTH:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _numbers(values: np.ndarray, axes: Any) -> None:
    low, high = np.nanmin(values), np.nanmax(values)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = high == low or (value - low) / (high - low) < 0.5
            axes.text(
                column,
                row,
                f"{value:.3g}",
                ha="center",
                va="center",
                fontsize="xx-small",
                color="white" if dark else "black",
            )
