"""Where the words of a figure stand: none may lie over another, or outside."""

from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.text import Text


def words(figure):
    """Every visible text of a figure with its box; those of a picture's bar included."""
    figure.canvas.draw()
    beyond = {id(label) for axes in figure.findobj(Axes) for label in unseen(axes)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in texts if id(text) not in beyond]


def unseen(axes):
    """Labels of ticks beyond the ends of an axis, which matplotlib keeps and does not draw."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (high - low)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low - slack <= tick.get_loc() <= high + slack:
                yield from (tick.label1, tick.label2)


def check(figure):
    """Assert that no words overlap, that all are inside the figure, and that no legend covers a label."""
    found = words(figure)
    assert found
    width, height = figure.canvas.get_width_height()
    for text, box in found:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{text!r} leaves the figure: {box} of {width} × {height}"
    for (one, first), (two, second) in combinations(found, 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        along = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert across <= 1 or along <= 1, f"{one!r} lies over {two!r}"
    legends = [legend.get_window_extent() for legend in figure.findobj(Legend)]
    for legend in legends:
        for text, box in found:
            whole = (
                legend.x0 - 1 <= box.x0 and box.x1 <= legend.x1 + 1 and legend.y0 - 1 <= box.y0 and box.y1 <= legend.y1 + 1
            )
            assert whole or not legend.overlaps(box), f"a legend lies over {text!r}"
