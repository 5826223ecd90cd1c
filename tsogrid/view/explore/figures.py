"""The explorer's figures, empty: axes, glyphs and the columns that fill them."""

from dataclasses import dataclass, field
from typing import Any

from tsogrid.view.style import BINNED, MODEL, SECOND

POINT = "#8c8c8c"
TOOLS = "xpan,xwheel_zoom,box_zoom,reset,save"
SHORT = "return tick.length > 24 ? tick.slice(0, 10) + '…' + tick.slice(-13) : tick"  # a label that leaves room for cells
HEIGHT, LOW = 300, 140  # pixels of the light curve and of a series below it


@dataclass
class Panel:
    """A figure and the columns of its glyphs.

    Parameters
    ----------
    figure : bokeh figure
    columns : dict
        ColumnDataSource by what it draws.
    parts : dict
        Anything else that is changed later: a line, a mapper of colours.
    """

    figure: Any
    columns: dict[str, Any]
    parts: dict[str, Any] = field(default_factory=dict)


def over_time(name: str, x_range: Any, x_label: str, y_label: str, height: int) -> Panel:
    """Points over time, means with their errors, and a line where the frame that is shown lies."""
    from bokeh.models import ColumnDataSource, Span, Whisker
    from bokeh.plotting import figure

    drawn = figure(
        name=name, height=height, sizing_mode="stretch_width", x_range=x_range, tools=TOOLS,
        active_drag="box_zoom", active_scroll=None, min_border_left=70, toolbar_location="right",
    )  # fmt: skip
    drawn.toolbar.logo = None
    drawn.yaxis.axis_label, drawn.xaxis.axis_label = y_label, x_label
    drawn.xaxis.formatter.use_scientific = drawn.yaxis.formatter.use_scientific = False
    columns = {
        "band": ColumnDataSource({"time": [], "low": [], "high": []}),
        "points": ColumnDataSource({"time": [], "value": []}),
        "bins": ColumnDataSource({"time": [], "value": [], "low": [], "high": []}),
        "here": ColumnDataSource({"time": [], "value": []}),
    }
    drawn.segment("time", "low", "time", "high", source=columns["band"], line_color=POINT, line_alpha=0.6, line_width=1)
    drawn.scatter("time", "value", source=columns["points"], size=3.5, color=POINT, line_color=None)
    drawn.add_layout(
        Whisker(base="time", lower="low", upper="high", source=columns["bins"], line_color=BINNED,
                upper_head=None, lower_head=None)
    )  # fmt: skip
    drawn.scatter("time", "value", source=columns["bins"], size=6, color=BINNED)
    drawn.scatter("time", "value", source=columns["here"], size=11, fill_color=None, line_color=MODEL, line_width=2)
    line = Span(location=None, dimension="height", line_color=MODEL, line_width=1)
    drawn.add_layout(line)
    return Panel(drawn, columns, {"line": line})


def picture(name: str, height: int) -> Panel:
    """An image with outlines upon it, a pixel as wide as it is high."""
    from bokeh.models import ColumnDataSource, LinearColorMapper
    from bokeh.plotting import figure

    drawn = figure(
        name=name, height=height, sizing_mode="stretch_width", tools="pan,wheel_zoom,reset,save", match_aspect=True,
        active_scroll="wheel_zoom", min_border_left=55,
    )  # fmt: skip
    drawn.toolbar.logo = None
    drawn.grid.visible = False
    drawn.xaxis.axis_label, drawn.yaxis.axis_label = "x (pixel)", "y (pixel)"
    mapper = LinearColorMapper(palette="Greys256", low=0, high=1, nan_color="#b3cde3")
    columns = {
        "image": ColumnDataSource({"image": [], "x": [], "y": [], "width": [], "height": []}),
        "round": ColumnDataSource({"x": [], "y": [], "width": [], "height": [], "color": [], "dash": []}),
        "square": ColumnDataSource({"x": [], "y": [], "width": [], "height": [], "color": [], "dash": []}),
        "places": ColumnDataSource({"x": [], "y": [], "color": []}),
    }
    image = drawn.image("image", "x", "y", "width", "height", source=columns["image"], color_mapper=mapper)
    for each in (drawn.x_range, drawn.y_range):
        each.renderers, each.range_padding = [image], 0
    outline = {"fill_color": None, "line_color": "color", "line_width": 1.5, "line_dash": "dash"}
    drawn.ellipse("x", "y", "width", "height", source=columns["round"], **outline)
    drawn.rect("x", "y", "width", "height", source=columns["square"], **outline)
    drawn.scatter("x", "y", source=columns["places"], marker="cross", size=14, color="color", line_width=1.5)
    return Panel(drawn, columns, {"mapper": mapper})


def noise() -> Panel:
    """Scatter of means against their size, beside what white noise and the errors let expect."""
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure

    drawn = figure(
        name="noise", height=260, sizing_mode="stretch_width", x_axis_type="log", y_axis_type="log",
        tools="pan,box_zoom,reset,save", min_border_left=70,
    )  # fmt: skip
    drawn.toolbar.logo = None
    drawn.xaxis.axis_label, drawn.yaxis.axis_label = "frames in a bin", "scatter of the means (ppm)"
    names = ("measured", "white", "expected")
    columns = {name: ColumnDataSource({"size": [], "value": []}) for name in names}
    words = ("measured", "white noise", "from the errors")
    for name, said, color, dash in zip(names, words, (BINNED, SECOND, MODEL), ("solid", "dashed", "dotted"), strict=True):
        drawn.line("size", "value", source=columns[name], color=color, line_dash=dash, line_width=2, legend_label=said)
    drawn.scatter("size", "value", source=columns["measured"], size=5, color=BINNED)
    drawn.legend.location, drawn.legend.label_text_font_size = "bottom_left", "9pt"
    drawn.legend.background_fill_alpha = 0.6
    return Panel(drawn, columns)


def scores(apertures: list[str], skies: list[str]) -> Panel:
    """A field of colours: the scatter of every aperture over every sky."""
    from bokeh.models import ColorBar, ColumnDataSource, CustomJSTickFormatter, HoverTool, LinearColorMapper, NoOverlap
    from bokeh.plotting import figure

    drawn = figure(
        name="scores", height=260, sizing_mode="stretch_width", x_range=apertures, y_range=skies, tools="save",
        min_border_left=55,
    )  # fmt: skip
    drawn.toolbar.logo = None
    drawn.grid.visible = False
    drawn.xaxis.axis_label = "aperture"
    drawn.xaxis.major_label_orientation = 1.2 if len(apertures) > 6 else 0.0
    drawn.yaxis.major_label_orientation = 0.0
    drawn.yaxis.major_label_text_font_size = "8pt"
    drawn.yaxis.major_label_policy = NoOverlap()
    drawn.yaxis.formatter = CustomJSTickFormatter(code=SHORT)
    mapper = LinearColorMapper(palette="Cividis256", low=0, high=1, nan_color="white")
    columns = {
        "cells": ColumnDataSource({"aperture": [], "sky": [], "value": []}),
        "here": ColumnDataSource({"aperture": [], "sky": []}),
    }
    cells = drawn.rect(
        "aperture", "sky", 1, 1, source=columns["cells"], line_color=None, fill_color={"field": "value", "transform": mapper}
    )
    drawn.rect("aperture", "sky", 1, 1, source=columns["here"], fill_color=None, line_color=MODEL, line_width=3)
    drawn.add_tools(
        HoverTool(renderers=[cells], tooltips=[("", "@aperture, @sky"), ("scatter", "@value{0.0} ppm")], visible=False)
    )
    drawn.add_layout(ColorBar(color_mapper=mapper, width=10, title="ppm", title_text_font_size="9pt"), "right")
    return Panel(drawn, columns, {"mapper": mapper})
