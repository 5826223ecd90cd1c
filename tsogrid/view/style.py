"""What all plots share: colours, labels with units, a legend that covers nothing."""

from textwrap import wrap
from typing import Any

import numpy as np
import xarray as xr

# Colours that stay apart for every kind of colour vision (Okabe & Ito 2008), and greys.
POINTS, LINE = "0.72", "0.35"
BINNED, MODEL, SECOND = "#0072B2", "#D55E00", "#009E73"
SERIES = (BINNED, MODEL, SECOND, "#CC79A7", "#56B4E9", "#E69F00", "0.0")  # of curves side by side
STYLES = ("-", "--", "-.", ":")  # beside the colour, for who sees none

WIDTH_OF_HANDLE, WIDTH_OF_CHARACTER = 0.35, 0.065  # inches in a legend
NARROW = 4.5  # inches of a figure
LETTER = 0.085  # inches of a label
FARTHEST = 12.0  # standard deviations that an axis reaches


def quantity(array: xr.DataArray) -> tuple[str, str]:
    """Say what an axis shows, and its unit (empty for a number without one)."""
    unit = str(array.attrs.get("units", ""))
    name = str(array.attrs.get("long_name", array.name or "flux"))
    return name, "" if unit == "1" else unit


def legend_on_top(axes: Any, room: float = 0.16) -> Any:
    """Put the legend in one line above the data, and make room for it.

    Parameters
    ----------
    axes : matplotlib Axes
        With labelled artists.
    room : float
        Part of the height that is added.

    Returns
    -------
    matplotlib Axes
    """
    _, labels = axes.get_legend_handles_labels()
    if labels:
        to_axes = axes.yaxis.get_transform()
        low, high = to_axes.transform(axes.get_ylim())
        axes.set_ylim(to_axes.inverted().transform((low, high + room * (high - low))))
        style = {"frameon": False, "handlelength": 1.2, "handletextpad": 0.4, "columnspacing": 1.0, "borderaxespad": 0.2}
        axes.legend(loc="upper center", ncols=len(labels), fontsize="small", **style)
    return axes


def new_axes(width: float = 160.0, height: float = 100.0) -> Any:
    """Make a figure of pyplot's with one pair of axes.

    Parameters
    ----------
    width, height : float
        Millimetres.

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width / 25.4, height / 25.4), layout="constrained")[1]


def legend_above(axes: Any, handles: Any = None) -> Any:
    """Put the legend over the axes, in as many columns as their width has room for.

    Parameters
    ----------
    axes : matplotlib Axes
        With labelled artists; the figure's layout should be constrained.
    handles : list of artists, optional
        What the legend names; all labelled artists if not given.

    Returns
    -------
    matplotlib Axes
    """
    handles = axes.get_legend_handles_labels()[0] if handles is None else handles
    if handles:
        longest = max(len(str(handle.get_label())) for handle in handles)
        width = 0.78 * axes.figure.get_size_inches()[0]
        columns = int(width / (WIDTH_OF_HANDLE + WIDTH_OF_CHARACTER * longest))
        axes.legend(
            handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(max(columns, 1), len(handles)),
            fontsize="small", frameon=False, handlelength=1.2, handletextpad=0.4, columnspacing=1.0, borderaxespad=0.2,
        )  # fmt: skip
    return axes


def within(axes: Any, *values: np.ndarray) -> int:
    """Set the y axis to where nearly all points are, so that a few wild ones do not flatten the rest.

    Parameters
    ----------
    axes : matplotlib Axes
        Whose y axis.
    *values : ndarray
        What is drawn on it.

    Returns
    -------
    int
        How many points lie outside: more than 12 σ (of 1.4826 MAD) from their median.
    """
    low, high, outside = [], [], 0
    for each in values:
        good = each[np.isfinite(each)]
        if good.size == 0:
            continue
        middle = np.median(good)
        reach = FARTHEST * 1.4826 * np.median(np.abs(good - middle))
        inside = good if reach == 0 else good[np.abs(good - middle) <= reach]
        outside += good.size - inside.size
        low.append(inside.min())
        high.append(inside.max())
    if low:
        margin = 0.05 * (max(high) - min(low)) or max(1e-6, 1e-3 * abs(max(high)))
        axes.set_ylim(min(low) - margin, max(high) + margin)
    return outside


def middles(place: np.ndarray, values: np.ndarray, bins: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Give medians in bins of equal length, for the eye.

    Parameters
    ----------
    place, values : ndarray, shape (n,)
        Where, and what.
    bins : int
        How many.

    Returns
    -------
    place, middle : ndarray
        Of the bins that hold a finite point.
    """
    good = np.isfinite(place) & np.isfinite(values)
    place, values = place[good], values[good]
    if place.size == 0:
        return place, values
    edges = np.linspace(place.min(), place.max(), bins + 1)
    number = np.clip(np.digitize(place, edges) - 1, 0, bins - 1)
    filled = np.unique(number)
    return (edges[filled] + edges[filled + 1]) / 2, np.array([np.median(values[number == each]) for each in filled])


def new_picture(shape: tuple[int, int], width: float = 160.0, rows: int = 1) -> Any:
    """Make a figure whose height fits pictures of frames, one over the other.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the frame.
    width : float
        Millimetres.
    rows : int
        Pictures.

    Returns
    -------
    matplotlib Figure
    """
    from matplotlib import pyplot

    return pyplot.figure(figsize=(width / 25.4, picture_height(shape, width, rows) / 25.4), layout="constrained")


def picture_height(shape: tuple[int, int], width: float, rows: int = 1) -> float:
    """Give the height of a figure that holds pictures of frames with their labels, in millimetres as its width."""
    inner = width - 33.0  # labels and the bar of colours
    return rows * (min(inner * shape[0] / shape[1], 1.2 * width) + 5.0) + 26.0


def few_ticks(axes: Any) -> None:
    """Let the labels of the x axis have room; a stripe has few on its y axis."""
    width = axes.figure.get_size_inches()[0]
    axes.locator_params(axis="x", nbins=6 if width > NARROW else 4)


def y_label(axes: Any, name: str, unit: str = "") -> None:
    """Label the y axis; where the axis is too short, in small letters and in several lines, the unit in its own."""
    unit = f"({unit})" if unit and unit != "1" else ""
    room = 0.6 * axes.figure.get_size_inches()[1]
    if len(f"{name} {unit}".strip()) * LETTER <= room:
        axes.set_ylabel(f"{name} {unit}".strip())
        return
    small = max(len(name), len(unit)) * LETTER > room
    lines = wrap(name, max(int(room / (0.75 * LETTER)), 8)) if small else [name]
    axes.set_ylabel("\n".join([*lines, *([unit] if unit else [])]), fontsize="small" if small else None)
