"""The pictures of a report, as PNG: those of every target, and those that need the frames."""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import xarray as xr

from tsogrid.analysis.averaging import allan
from tsogrid.errors import ConfigError, TsogridError
from tsogrid.view import one_over_f, series
from tsogrid.view.bad_pixels import bad_pixels
from tsogrid.view.noise import noise
from tsogrid.view.pixels import sweep
from tsogrid.view.plot import light_curve
from tsogrid.view.report_frames import Found
from tsogrid.view.scores import scores
from tsogrid.view.stamps import MOST, stamps
from tsogrid.view.star_map import star_map
from tsogrid.view.style import picture_height

WIDTH, HEIGHT, DPI = 130.0, 80.0, 130  # millimetres, dots per inch


@dataclass(frozen=True)
class Picture:
    """A picture, or the reason why there is none.

    Parameters
    ----------
    name : str
        What it shows, in a word or two.
    caption : str
        The same in a sentence; the reason where there is no picture.
    png : bytes or None
        The picture.
    wide : bool
        Whether it needs the whole width.
    """

    name: str
    caption: str
    png: bytes | None
    wide: bool = False


def of_target(
    result: xr.Dataset, source: int, curve: xr.Dataset | None = None, scored: xr.Dataset | None = None
) -> Iterator[Picture]:
    """Draw what there is to see of a target.

    Parameters
    ----------
    result : Dataset
        A result.
    source : int
        Number of the target.
    curve : Dataset, optional
        Its best light curve; not given if it has none.
    scored : Dataset, optional
        Its apertures over its skies, from `tsogrid.analysis.choice.score_curves`.

    Yields
    ------
    Picture
    """
    if curve is not None:
        yield _axes(
            "light curve", "Every frame, and means in bins with their errors.", lambda axes: light_curve(curve, axes)
        )
    if scored is not None:
        yield _axes(
            "scatter",
            "Clipped point-to-point scatter of every aperture over every sky; the least has a frame. "
            + "; ".join(f"sky {number}: {label}" for number, label in enumerate(result["sky"].to_numpy())),
            lambda axes: scores(scored, axes),
        )
    if curve is not None:
        yield _axes(
            "noise",
            "Scatter of means of ever more frames, beside white noise and what the errors promise. A transit counts too.",
            lambda axes: noise(allan(curve), axes),
        )
    yield _axes("positions", "Where the apertures stood.", lambda axes: series.positions(result, axes, source=source))
    if "sigma_x" in result:
        yield _axes("widths", "Widths of the star's Gaussian.", lambda axes: series.widths(result, axes, source=source))
    yield _axes("sky", "Levels of the skies.", lambda axes: series.sky(result, axes, source=source))
    if curve is not None:
        yield _axes(
            "flux and position",
            "The light curve against the position; r is the correlation.",
            lambda axes: series.flux_position(result, curve, axes, source=source),
        )


def _what_is_shown(seen: Any) -> str:
    """What `sweep` has made of the frames, in words."""
    if isinstance(seen, Exception) or seen.attrs["still"] == seen.attrs["frames"]:
        return "the median frame"
    if seen.attrs["still"] == 1:
        return "one frame, since the field moves"
    return f"the median of {seen.attrs['still']} frames between which the field hardly moves"


def of_frames(result: xr.Dataset, found: Found) -> Iterator[Picture]:
    """Draw what needs the frames.

    Parameters
    ----------
    result : Dataset
        A result.
    found : Found
        Its frames; where there are none, every picture says so.

    Yields
    ------
    Picture
    """
    frames, config = found.frames, found.config
    seen: Any = ConfigError(found.said)
    shape = (1, 1)
    if frames is not None:
        shape = (frames.sizes["y"], frames.sizes["x"])
        try:
            seen = sweep(result, frames, config)
        except (TsogridError, OSError) as error:
            seen = error
    wide = shape[1] > 2 * shape[0]

    def picture(
        name: str, caption: str, draw: Callable[[Any], Any], figure: Callable[[], Any], wide: bool = wide
    ) -> Picture:
        if isinstance(seen, Exception):
            return Picture(name, f"not drawn: {seen}", None)
        return _drawn(name, caption, draw, figure, wide)

    what = _what_is_shown(seen)
    yield picture(
        "star map",
        f"{what[0].upper()}{what[1:]}, with apertures and sky regions.",
        lambda figure: star_map(result, seen, figure.subplots(), config=config),
        lambda: _fitting(shape, wide),
    )
    count = min(result.sizes["source"], MOST)
    side = WIDTH / max(min(count, 3), 2)
    first = f"The first {MOST} sources" if result.sizes["source"] > MOST else "Each source"
    yield picture(
        "stamps",
        f"{first} in {what}.",
        lambda figure: stamps(result, seen, figure, config=config),
        lambda: _figure(WIDTH, math.ceil(count / 3) * side + 18.0),
        False,
    )
    yield picture(
        "bad pixels",
        "In what part of the frames a pixel is bad; the largest aperture for orientation.",
        lambda figure: bad_pixels(result, seen, figure.subplots(), config=config),
        lambda: _fitting(shape, wide),
    )
    if config is not None and one_over_f.has_row_model(config):
        yield picture(
            "1/f noise",
            "A frame before and after the model of the rows.",
            lambda figure: one_over_f.one_over_f(result, frames, figure, config=config),  # type: ignore[arg-type]
            lambda: _fitting(shape, wide, rows=2) if shape[1] > shape[0] else _fitting((shape[0], 2 * shape[1]), wide),
        )
        yield picture(
            "row levels",
            "Levels of the rows of the target's amplifier in the same frame.",
            lambda figure: one_over_f.row_levels(result, frames, figure.subplots(), config=config),  # type: ignore[arg-type]
            lambda: _figure(WIDTH, HEIGHT),
            False,
        )


def _axes(name: str, caption: str, draw: Callable[[Any], Any]) -> Picture:
    return _drawn(name, caption, lambda figure: draw(figure.subplots()), lambda: _figure(WIDTH, HEIGHT))


def _drawn(name: str, caption: str, draw: Callable[[Any], Any], figure: Callable[[], Any], wide: bool = False) -> Picture:
    """Draw one picture; what cannot be drawn of this result says why, and the others are drawn all the same."""
    made = figure()
    try:
        draw(made)
    except (TsogridError, OSError, ValueError) as error:
        return Picture(name, f"not drawn: {error}", None)
    content = io.BytesIO()
    made.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    return Picture(name, caption, content.getvalue(), wide)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 25.4, height / 25.4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _fitting(shape: tuple[int, int], wide: bool, rows: int = 1) -> Any:
    """A figure whose height fits pictures of frames."""
    width = 1.9 * WIDTH if wide else WIDTH
    return _figure(width, picture_height(shape, width, rows))
