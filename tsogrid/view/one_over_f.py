"""1/f noise before and after a row model: the frame, and the level of each line of one amplifier."""

from typing import Any

import numpy as np
import xarray as xr

from tsogrid.config import AmplifierStep, Config, chain_label
from tsogrid.engine.diagnostics import sky_frames
from tsogrid.engine.plan import Plan
from tsogrid.errors import ConfigError
from tsogrid.view.pixels import picture_plan
from tsogrid.view.style import BINNED, LINE, few_ticks, legend_above, new_picture, y_label


def one_over_f(
    result: xr.Dataset,
    frames: xr.Dataset,
    figure: Any = None,
    *,
    frame: int | None = None,
    sky: Any = None,
    config: Config | None = None,
) -> np.ndarray:
    """Draw a frame before and after its 1/f noise is taken off.

    Parameters
    ----------
    result : Dataset
        A result.
    frames : Dataset
        From `tsogrid.open_frames`.
    figure : matplotlib Figure, optional
        An empty one; one of 160 mm if not given.
    frame : int, optional
        Which frame of those that the result and the series share, from 0; one in the middle if not given.
    sky : str or int, optional
        Which sky; the first that has a model of the rows if not given.
    config : Config, optional
        See `tsogrid.view.pixels.picture_plan`.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2,)
        Before and after, each less its median, on one scale.

    Raises
    ------
    ConfigError, InputError
        As `tsogrid.view.pixels.picture_plan`; no such frame; no sky with a model of the rows.
    """
    seen, _, _ = _before_after(result, frames, frame, sky, config)
    ny, nx = seen["before"].shape
    wide = nx > ny
    if figure is None:
        figure = new_picture((ny, nx), rows=2) if wide else new_picture((ny, 2 * nx))
    panels = figure.subplots(*((2, 1) if wide else (1, 2)), sharex=True, sharey=True)
    pictures = [seen[name].to_numpy() - np.nanmedian(seen[name].to_numpy()) for name in ("before", "after")]
    reach = 4 * 1.4826 * np.nanmedian(np.abs(pictures[0])) or 1.0
    for axes, picture, name in zip(panels, pictures, ("before", "after"), strict=True):
        drawn = axes.imshow(picture, origin="lower", cmap="cividis", vmin=-reach, vmax=reach, interpolation="nearest")
        axes.set_title(f"{name}, less its median" if name == "before" else name, fontsize="small")
        axes.set_ylabel("y (pixel)" if wide or name == "before" else "", fontsize="small")
        axes.set_xlabel("x (pixel)" if not wide or name == "after" else "", fontsize="small")
        axes.tick_params(labelsize="small")
        axes.locator_params(axis="x", nbins=6 if wide else 3)
        axes.locator_params(axis="y", nbins=2 if wide else 6)
    bar = figure.colorbar(drawn, ax=list(panels), pad=0.02, aspect=20)
    bar.set_label(str(seen["before"].attrs.get("units", "")), fontsize="small")
    bar.ax.tick_params(labelsize="x-small")
    bar.ax.locator_params(nbins=4)
    return np.asarray(panels, object)


def row_levels(
    result: xr.Dataset,
    frames: xr.Dataset,
    axes: Any,
    *,
    frame: int | None = None,
    sky: Any = None,
    config: Config | None = None,
) -> Any:
    """Draw the level of each line of the target's amplifier before and after its 1/f noise is taken off.

    Parameters
    ----------
    result, frames, frame, sky, config
        As in `one_over_f`.
    axes : matplotlib Axes
        Where to draw; the figure's layout should be constrained.

    Returns
    -------
    matplotlib Axes
        Clipped means of the pixels outside the stars, less their median; their standard deviation is in the legend. (The
        medians are what a row model takes off: they would be zero afterwards whatever is left.)

    Raises
    ------
    ConfigError, InputError
        As `one_over_f`.
    """
    seen, plan, steps = _before_after(result, frames, frame, sky, config)
    radius = next((step.mask_radius for step in steps if isinstance(step, AmplifierStep)), 20.0)
    fast_x = plan.recipe.fast_axis == 1
    places = seen.attrs["places"]
    row, column = np.mgrid[: plan.shape[0], : plan.shape[1]]
    hidden = np.zeros(plan.shape, bool)
    for x, y in places:
        hidden |= (column - x) ** 2 + (row - y) ** 2 < radius**2
    along = places[0][0 if fast_x else 1]
    start, stop = next(((a, b) for a, b in plan.recipe.amplifiers if a <= along < b), (0, plan.shape[1 if fast_x else 0]))
    for name, colour, style in (("before", LINE, "-"), ("after", BINNED, "-")):
        pixels = np.where(hidden, np.nan, seen[name].to_numpy())
        part = pixels[:, start:stop] if fast_x else pixels[start:stop].T
        levels = np.array([_level(line) for line in part])
        levels -= np.nanmedian(levels)
        width = 0.8 if name == "before" else 1.4
        axes.plot(levels, style, color=colour, linewidth=width, label=f"{name}, σ = {np.nanstd(levels):.2g}")
    lines, across = ("row", "columns") if fast_x else ("column", "rows")
    axes.set_xlabel(f"{lines} ({across} {start}–{stop - 1})")
    y_label(axes, "level", str(seen["before"].attrs.get("units", "")))
    few_ticks(axes)
    return legend_above(axes)


def _level(line: np.ndarray) -> float:
    """Mean of the pixels of a line without those farther than 4 σ (of 1.4826 MAD) from its median."""
    good = line[np.isfinite(line)]
    if good.size == 0:
        return float("nan")
    middle = np.median(good)
    near = np.abs(good - middle) <= 4 * 1.4826 * np.median(np.abs(good - middle))
    return float(good[near].mean())


def has_row_model(config: Config) -> bool:
    """Say whether some sky of a configuration takes 1/f noise off."""
    return any(_models_rows(chain) for chain in config.sky)


def _models_rows(chain: Any) -> bool:
    return any(isinstance(step, AmplifierStep) for step in chain)


def _before_after(
    result: xr.Dataset, frames: xr.Dataset, frame: int | None, sky: Any, config: Config | None
) -> tuple[xr.Dataset, Plan, Any]:
    """One frame before and after one sky, (y, x), with the positions of its sources; the plan, and the sky's steps."""
    result, plan = picture_plan(result, frames, config)
    labels = [chain_label(list(steps)) for steps in plan.recipe.sky]
    chains = [number for number, steps in enumerate(plan.recipe.sky) if _models_rows(steps)]
    if not chains:
        raise ConfigError(
            f"one_over_f: expected a sky with rowamp or readout-gp, found {', '.join(labels)}: nothing to show."
        )
    number = chains[0] if sky is None else labels.index(sky) if sky in labels else sky
    if not isinstance(number, int) or not 0 <= number < len(labels):
        raise ConfigError(f"one_over_f: expected one of the skies {', '.join(labels)} or its number, found {sky!r}.")
    if frame is None:
        known = np.flatnonzero(np.isfinite(result["x"].isel(source=0).to_numpy()))
        frame = int(known[len(known) // 2]) if known.size else plan.n_frames // 2
    if not 0 <= frame < plan.n_frames:
        raise ConfigError(f"one_over_f: expected a frame from 0 to {plan.n_frames - 1}, found {frame}.")
    seen = sky_frames(plan, result, [frame]).isel(frame=0, sky=number)
    seen.attrs["places"] = [tuple(place) for place in plan.sources.planned[frame]]
    return seen, plan, plan.recipe.sky[number]
