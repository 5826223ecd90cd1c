"""The star map: the median frame with the apertures and sky regions of every source on it."""

from typing import Any

import numpy as np
import xarray as xr

from tsogrid.config import Config
from tsogrid.view.outlines import draw_outlines, fewer, legend_handles, outlines
from tsogrid.view.pixels import stretch, sweep
from tsogrid.view.style import few_ticks, legend_above


def star_map(result: xr.Dataset, frames: xr.Dataset, axes: Any, *, config: Config | None = None) -> Any:
    """Draw the median frame, and what was measured on it.

    Parameters
    ----------
    result : Dataset
        A result.
    frames : Dataset
        From `tsogrid.open_frames`, or from `tsogrid.view.pixels.sweep` where several pictures are drawn.
    axes : matplotlib Axes
        Where to draw; the figure's layout should be constrained.
    config : Config, optional
        See `tsogrid.view.pixels.picture_plan`.

    Returns
    -------
    matplotlib Axes
        Of more than five circles, the smallest, the largest and three between are drawn; sizes that follow the stars have
        that of the median width.

    Raises
    ------
    ConfigError, InputError
        As `tsogrid.view.pixels.picture_plan`.
    """
    seen = sweep(result, frames, config)
    show(seen["median"], axes)
    found = fewer(outlines(result, config))
    reach = max((each.reach for each in found), default=3.0)
    x, y = places(seen)
    names = [str(name) for name in result["source"].to_numpy()]
    for at_x, at_y in zip(x, y, strict=True):
        if np.isfinite(at_x + at_y):
            draw_outlines(found, at_x, at_y, axes)
    legend_above(axes, legend_handles(found))
    _names(names, x, y, reach, axes)
    return axes


def places(result: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Give the median position of every source.

    Parameters
    ----------
    result : Dataset
        A result, or what `tsogrid.view.pixels.sweep` has seen.

    Returns
    -------
    x, y : ndarray, shape (n_sources,)
        In pixels, NaN for a source that was never found.
    """
    if "time" not in result["x"].dims:
        return result["x"].to_numpy(), result["y"].to_numpy()
    columns = [result[name].transpose("time", "source").to_numpy().astype(float) for name in ("x", "y")]
    found = [[np.median(one[np.isfinite(one)]) if np.isfinite(one).any() else np.nan for one in each.T] for each in columns]
    return np.array(found[0]), np.array(found[1])


def show(image: xr.DataArray, axes: Any, bar: bool = True) -> Any:
    """Draw a frame in grey, dark where it is bright, with a bar for its unit; gives what matplotlib drew."""
    pixels = image.to_numpy()
    ny, nx = pixels.shape
    drawn = axes.imshow(pixels, origin="lower", cmap=grey(), norm=stretch(pixels), interpolation="nearest")
    axes.set_xlim(-0.5, nx - 0.5)
    axes.set_ylim(-0.5, ny - 0.5)
    axes.set_xlabel("x (pixel)")
    axes.set_ylabel("y (pixel)")
    picture_ticks(axes, pixels.shape)
    if bar:
        unit = str(image.attrs.get("units", ""))
        add_bar(drawn, axes, f"{unit} per pixel" if unit not in ("", "1") else "pixel")
    return drawn


def picture_ticks(axes: Any, shape: tuple[int, int]) -> None:
    """Let the labels of a picture's axes have room; a stripe has few on its short side."""
    few_ticks(axes)
    axes.locator_params(axis="y", nbins=2 if shape[1] > 3 * shape[0] else 6)


def grey() -> Any:
    """Give the colours of frames: from white to a grey on which lines can be seen."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("frames", ["white", "0.3"])


def _short(value: float) -> str:
    return f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.3g}"


def add_bar(drawn: Any, axes: Any, label: str) -> Any:
    """Put the bar of a picture's colours beside it, as high as the picture is, with few ticks."""
    ny, nx = drawn.get_array().shape
    wide = nx > 3 * ny
    bar = axes.figure.colorbar(drawn, cax=axes.inset_axes([1.02, 0.0, 0.02 if wide else 0.04, 1.0]))
    low, high = drawn.norm.vmin, drawn.norm.vmax
    if wide:  # a stripe: room for two numbers
        bar.set_ticks([low, high], labels=[_short(value) for value in (low, high)])
        bar.ax.minorticks_off()
        bar.ax.get_yticklabels()[0].set_verticalalignment("bottom")
        bar.ax.get_yticklabels()[1].set_verticalalignment("top")
    else:
        ticks = drawn.norm.inverse(np.linspace(0, 1, 6)[1:-1])
        bar.set_ticks(ticks, labels=[_short(value) for value in ticks])
        bar.ax.minorticks_off()
        bar.set_label(label, fontsize="small")
    bar.ax.tick_params(labelsize="x-small")
    return bar


def _names(names: list[str], x: np.ndarray, y: np.ndarray, reach: float, axes: Any) -> None:
    """Write each name beside its star, on the side where it covers no other name and stays in the picture."""
    from matplotlib.patheffects import withStroke

    figure = axes.figure
    figure.draw_without_rendering()  # the layout, so that boxes are known
    frame = axes.get_window_extent()
    taken: list[Any] = []
    sides = ((0, 1, "center", "bottom"), (0, -1, "center", "top"), (1, 0, "left", "center"), (-1, 0, "right", "center"))
    for name, at_x, at_y in zip(names, x, y, strict=True):
        if not np.isfinite(at_x + at_y):
            continue
        for distance in (reach, 0.5 * reach, 0.25 * reach):
            for dx, dy, horizontal, vertical in sides:
                text = axes.text(
                    at_x + distance * dx, at_y + distance * dy, name, ha=horizontal, va=vertical, fontsize="small",
                    path_effects=[withStroke(linewidth=2, foreground="white")],
                )  # fmt: skip
                box = text.get_window_extent()
                inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
                if inside and not any(box.overlaps(other) for other in taken):
                    taken.append(box)
                    break
                text.remove()
            else:
                continue
            break
