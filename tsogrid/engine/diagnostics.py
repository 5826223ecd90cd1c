"""What the sky steps do to a frame: its pixels before, the model that each chain of steps takes off, and what is left."""

from dataclasses import replace

import numpy as np
import xarray as xr

from tsogrid.config import chain_label
from tsogrid.engine.apertures import Places
from tsogrid.engine.background import Background, ChainState
from tsogrid.engine.calibration import Ready, make_ready
from tsogrid.engine.plan import Plan
from tsogrid.engine.windows import Window
from tsogrid.errors import ConfigError
from tsogrid.kernels.widths import median_fwhm, seen_fwhm


def require_frames(plan: Plan, frames: list[int]) -> None:
    """Refuse frames that the series does not have.

    Raises
    ------
    ConfigError
        There is one.
    """
    beyond = [frame for frame in frames if frame >= plan.n_frames]
    if beyond:
        raise ConfigError(f"output.diagnostics: expected frames 0 … {plan.n_frames - 1}, found {beyond[0]}.")


def sky_frames(plan: Plan, result: xr.Dataset, frames: list[int]) -> xr.Dataset:
    """Take the sky off a few whole frames.

    Parameters
    ----------
    plan : Plan
        What was measured.
    result : Dataset
        The measured result: where the apertures stood.
    frames : list of int
        0-based in the series.

    Returns
    -------
    Dataset
        ``before`` (frame, y, x), ``model`` and ``after`` (frame, sky, y, x), in the result's unit. Where a level belongs to
        a source, each pixel has that of the nearest source.
    """
    ny, nx = plan.shape
    sources = tuple(range(len(plan.sources.names)))
    before, model = [], []
    whole = replace(plan, windows=(Window(0, ny, 0, nx, sources),))
    for frame in frames:
        with np.errstate(invalid="ignore", divide="ignore"):
            pixels = whole.read(whole.windows[0], frame, frame + 1)
            ready = make_ready(pixels, plan.recipe, plan.planned(frame, frame + 1))
            background = _background(whole, result.isel(time=slice(frame, frame + 1)), ready, frame)
            before.append(ready.data[0])
            model.append([_model(background, background.chain(steps)) for steps in plan.recipe.sky])
    labels = np.array([chain_label(list(steps)) for steps in plan.recipe.sky], dtype=object)
    made = xr.Dataset(
        {"before": (("frame", "y", "x"), np.array(before)), "model": (("frame", "sky", "y", "x"), np.array(model))},
        {"frame": np.array(frames), "sky": labels},
    )
    made["after"] = made["before"] - made["model"]
    for variable in made.data_vars.values():
        variable.attrs["units"] = plan.recipe.unit
    return made


def _background(plan: Plan, result: xr.Dataset, ready: Ready, frame: int) -> Background:
    x, y = result["x"].to_numpy(), result["y"].to_numpy()
    planned = plan.sources.planned[frame if len(plan.sources.planned) > 1 else 0][None]
    lost = ~(np.isfinite(x) & np.isfinite(y))
    fwhm = np.full(x.shape, np.nan)
    if plan.recipe.needs_width:
        width = plan.widths(frame, frame + 1)
        if width is None:
            width = median_fwhm(seen_fwhm(result["sigma_x"].to_numpy()), seen_fwhm(result["sigma_y"].to_numpy()))
        fwhm[:] = width[:, None]
    known = np.where(lost, planned[..., 0], x), np.where(lost, planned[..., 1], y)
    return Background(plan.recipe, ready.data, ready.error, Places(x, y, fwhm), *known)


def _model(background: Background, state: ChainState) -> np.ndarray:
    """The model of one frame (ny, nx): of its pixels, of the cut-outs, and the level of the nearest source."""
    ny, nx = background.data.shape[1:]
    model = np.zeros((ny, nx))
    for lines in state.lines:
        model += lines.model[0]
    of_cutouts = np.zeros((ny, nx))  # where two overlap, the later one counts
    if state.cutouts is not None:
        fit, places = state.cutouts.fit.model, state.cutouts.places
        height, width = fit.shape[1:]
        for source, (x, y) in enumerate(zip(background.places.x[0], background.places.y[0], strict=True)):
            if not (np.isfinite(x) and np.isfinite(y)):
                continue
            row, column = round(y - places.y[source, 0]), round(x - places.x[source, 0])
            rows, columns = slice(max(row, 0), min(row + height, ny)), slice(max(column, 0), min(column + width, nx))
            part = fit[source, rows.start - row : rows.stop - row, columns.start - column : columns.stop - column]
            of_cutouts[rows, columns] = np.where(np.isfinite(part), part, of_cutouts[rows, columns])
    row, column = np.mgrid[:ny, :nx]
    distance = (column[..., None] - background.x_mask[0]) ** 2 + (row[..., None] - background.y_mask[0]) ** 2
    return model + of_cutouts + np.nan_to_num(state.level[0])[np.argmin(distance, axis=-1)]
