"""What all plots share: colours, labels with units, a legend that covers nothing."""

from typing import Any

import xarray as xr

# Colours that stay apart for every kind of colour vision (Okabe & Ito 2008), and greys.
POINTS, LINE = "0.72", "0.35"
BINNED, MODEL = "#0072B2", "#D55E00"


def quantity(array: xr.DataArray) -> str:
    """Label an axis: what it is, with its unit."""
    unit = array.attrs.get("units", "")
    name = array.attrs.get("long_name", array.name or "flux")
    return f"{name} ({unit})" if unit and unit != "1" else str(name)


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
