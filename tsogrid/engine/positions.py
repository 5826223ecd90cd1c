"""Positions of the whole series: what a median or smoothed position makes of the centres of all frames.

Between two passes the centres of every frame are gathered, outliers of the series are repaired if asked, one position a
frame is made of them, and the next pass is given its part. A source that was found in no frame falls back to its planned
position, or stays NaN, as configured.
"""

import numpy as np
import pandas as pd

from tsogrid.engine.centering import CENTER_NAMES
from tsogrid.engine.pipeline import CENTER, Arrays
from tsogrid.engine.recipe import Recipe
from tsogrid.engine.repair import repaired_centers, running_median
from tsogrid.flags import SourceFlag
from tsogrid.kernels.widths import median_fwhm, seen_fwhm


def gathered(recipe: Recipe, stage: str) -> tuple[str, ...]:
    """Name the measured variables from which the positions for a stage are made.

    Parameters
    ----------
    recipe : Recipe
        What is measured.
    stage : str
        The first stage of the next pass.

    Returns
    -------
    tuple of str
        The variables x and y, and the flags; before photometry that follows the width of the stars also their widths.
    """
    if stage == CENTER:
        name = "cc" if recipe.center.predict == "cross-correlation" else "predicted"
    else:
        name = CENTER_NAMES[recipe.center.method]
    widths = ("sigma_x", "sigma_y") if stage != CENTER and recipe.needs_width else ()
    return f"x_{name}", f"y_{name}", "flags", *widths


def series_positions(recipe: Recipe, stage: str, measured: Arrays, planned: np.ndarray) -> Arrays:
    """Make the positions for the next pass from the centres of all frames.

    Parameters
    ----------
    recipe : Recipe
        What is measured.
    stage : str
        The first stage of the next pass.
    measured : dict of ndarray, shape (n_frames, n_sources)
        The variables named by `gathered`, for the whole series.
    planned : ndarray, shape (1 or n_frames, n_sources, 2)
        Planned positions.

    Returns
    -------
    dict of ndarray, shape (n_frames, n_sources)
        ``x_guess`` and ``y_guess``, or ``x`` and ``y``; ``flags``; and ``fwhm`` where the photometry follows it.
    """
    x_name, y_name, *_ = gathered(recipe, stage)
    x, y = measured[x_name], measured[y_name]
    known = np.isfinite(x) & np.isfinite(y)
    flags = measured["flags"]
    center = recipe.center
    if stage != CENTER and center.repair is not None:
        x, y, repaired = repaired_centers(x, y, center.repair, center.smooth_window)
        known = np.isfinite(x)
        flags = flags | np.where(repaired, int(SourceFlag.CENTER_REPAIRED), 0)
    if stage != CENTER and center.position == "smooth":
        x, y = running_median(x, center.smooth_window), running_median(y, center.smooth_window)
    elif stage == CENTER or center.position == "median":
        x, y = _median(np.where(known, x, np.nan)), _median(np.where(known, y, np.nan))
    if stage == CENTER or recipe.center.fallback == "planned":
        lost = ~(np.isfinite(x) & np.isfinite(y))
        planned_x, planned_y = np.broadcast_to(planned, (*x.shape, 2)).transpose(2, 0, 1)
        x, y = np.where(lost, planned_x, x), np.where(lost, planned_y, y)
        if stage != CENTER:
            flags = flags | np.where(lost, int(SourceFlag.POSITION_FALLBACK), 0)
    if stage == CENTER:
        return {"x_guess": x, "y_guess": y, "flags": flags}
    widths = {}
    if recipe.needs_width:
        fwhm = median_fwhm(seen_fwhm(measured["sigma_x"]), seen_fwhm(measured["sigma_y"]))
        widths["fwhm"] = np.repeat(fwhm[:, None], x.shape[1], axis=1)
    return {"x": x, "y": y, "flags": flags} | widths


def _median(values: np.ndarray) -> np.ndarray:
    """Median over the series, repeated for every frame; shape (n_frames, n_sources)."""
    middle = pd.DataFrame(values).median(axis=0, skipna=True).to_numpy()
    return np.repeat(middle[None], values.shape[0], axis=0)
