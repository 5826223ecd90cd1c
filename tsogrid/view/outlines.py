"""Outlines of apertures and sky regions about a source, at the size that the stars' median width gives them."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.config import (
    AmplifierStep,
    Annulus,
    Circle,
    ColumnRow,
    Config,
    Rectangle,
    Ring,
    SkyRectangle,
)
from tsogrid.engine.apertures import scale_of
from tsogrid.kernels.widths import median_fwhm, seen_fwhm

APERTURE, SKY, HIDDEN = "aperture", "sky", "hidden"


@dataclass(frozen=True)
class Outline:
    """A line about a source.

    Parameters
    ----------
    kind : str
        Of what: an aperture, a sky region, or what is masked before the rows are modelled.
    label : str
        Of the aperture or the step.
    dx, dy : float
        Its centre, from the source, in pixels.
    width, height : float
        In pixels; those of a circle are its diameter.
    round : bool
        Whether it is a circle.
    """

    kind: str
    label: str
    dx: float
    dy: float
    width: float
    height: float
    round: bool

    @property
    def reach(self) -> float:
        """How far it goes from the source along x or y, in pixels."""
        return max(abs(self.dx) + self.width / 2, abs(self.dy) + self.height / 2)


def outlines(result: xr.Dataset, config: Config | None = None) -> list[Outline]:
    """List the outlines of every aperture and sky region, each once.

    Parameters
    ----------
    result : Dataset
        A result; sizes that follow the width of the stars have that of the median FWHM over time and sources.
    config : Config, optional
        The configuration of the run; the result's own if not given.

    Returns
    -------
    list of Outline
        Nothing for the whole frame, and for sizes that are unknown.
    """
    config = config or Config.from_mapping(json.loads(result.attrs["config"]), where="the result's configuration")
    fwhm = _middle_fwhm(result)
    found: dict[tuple[Any, ...], Outline] = {}
    for each in [
        *_of_apertures(config, fwhm),
        *(one for chain in config.sky for step in chain for one in _of_step(step, fwhm)),
    ]:
        if math.isfinite(each.width + each.height) and min(each.width, each.height) > 0:
            found.setdefault((each.kind, each.dx, each.dy, each.width, each.height, each.round), each)
    return list(found.values())


def _middle_fwhm(result: xr.Dataset) -> float:
    if "sigma_x" not in result:
        return math.nan
    sigma = result[["sigma_x", "sigma_y"]].transpose("time", "source").compute()
    fwhm = median_fwhm(seen_fwhm(sigma["sigma_x"].to_numpy()), seen_fwhm(sigma["sigma_y"].to_numpy()))
    fwhm = fwhm[np.isfinite(fwhm)]
    return float(np.median(fwhm)) if fwhm.size else math.nan


def _of_apertures(config: Config, fwhm: float) -> list[Outline]:
    found = []
    for each in config.apertures:
        if isinstance(each, Circle):
            radii = each.radii
            if each.scaled:
                radii = [float(scale_of(each.scaled, factor, np.array(fwhm))) for factor in each.sizes]
            found += [_circle(APERTURE, label, radius) for label, radius in zip(each.labels, radii, strict=True)]
        elif isinstance(each, Rectangle | Ring):
            for label, factor in zip(each.labels, each.sizes, strict=True):
                scale = 1.0
                if each.scaled:
                    scale = float(scale_of(each.scaled, factor, np.array(fwhm)) / (each.scaled.reference_radius or 1.0))
                if isinstance(each, Rectangle):
                    found.append(Outline(APERTURE, label, 0, 0, scale * each.width, scale * each.height, False))
                else:
                    found += [_circle(APERTURE, label, scale * radius) for radius in (each.inner, each.outer)]
    return found


def _of_step(step: Any, fwhm: float) -> list[Outline]:
    if isinstance(step, AmplifierStep):
        return [_circle(HIDDEN, step.method, step.mask_radius)]
    if not isinstance(step, Annulus | SkyRectangle | ColumnRow):
        return []
    growth = 0.0
    if step.scaled is not None:
        growth = float(scale_of(step.scaled, step.scaled.factor, np.array(fwhm)) - step.scaled.reference_radius)
    dx, dy = step.offset
    if isinstance(step, SkyRectangle) or (isinstance(step, ColumnRow) and step.width is not None):
        width, height = (float(size or 0) + 2 * growth for size in (step.width, step.height))
        return [Outline(SKY, step.label, dx, dy, width, height, False)]
    return [_circle(SKY, step.label, float(radius or 0) + growth, dx, dy) for radius in (step.inner, step.outer)]


def _circle(kind: str, label: str, radius: float, dx: float = 0.0, dy: float = 0.0) -> Outline:
    return Outline(kind, label, dx, dy, 2 * radius, 2 * radius, True)


def fewer(found: list[Outline], most: int = 5) -> list[Outline]:
    """Keep some of many nested circles: the smallest, the largest, and what is evenly spread between.

    Parameters
    ----------
    found : list of Outline
        Of one source.
    most : int
        Circular apertures that stay.

    Returns
    -------
    list of Outline
    """
    circles = sorted((each for each in found if each.kind == APERTURE and each.round), key=lambda each: each.width)
    if len(circles) <= most:
        return found
    kept = [circles[int(index)] for index in np.linspace(0, len(circles) - 1, most).round()]
    return [*kept, *(each for each in found if each not in circles)]


def draw_outlines(found: list[Outline], x: float, y: float, axes: Any, width: float = 0.9) -> None:
    """Draw outlines about a position.

    Parameters
    ----------
    found : list of Outline
        From `outlines`.
    x, y : float
        The source, in pixels.
    axes : matplotlib Axes
        Where to draw.
    width : float
        Of the lines, points.
    """
    from matplotlib.patches import Ellipse, Rectangle

    for each in found:
        middle = (x + each.dx, y + each.dy)
        style = {"fill": False, "linewidth": width, **STYLE[each.kind]}
        if each.round:
            axes.add_patch(Ellipse(middle, each.width, each.height, **style))
        else:
            corner = (middle[0] - each.width / 2, middle[1] - each.height / 2)
            axes.add_patch(Rectangle(corner, each.width, each.height, **style))


def legend_handles(found: list[Outline]) -> list[Any]:
    """Give a line for each kind of outline, for a legend."""
    from matplotlib.lines import Line2D

    kinds = dict.fromkeys(each.kind for each in found)
    names = {APERTURE: "aperture", SKY: "sky region", HIDDEN: "row mask"}
    return [
        Line2D([], [], color=STYLE[kind]["edgecolor"], linestyle=STYLE[kind]["linestyle"], linewidth=1.2, label=names[kind])
        for kind in kinds
    ]


STYLE: dict[str, dict[str, Any]] = {
    APERTURE: {"edgecolor": "#0072B2", "linestyle": "-"},
    SKY: {"edgecolor": "#D55E00", "linestyle": "--"},
    HIDDEN: {"edgecolor": "#009E73", "linestyle": ":"},
}
