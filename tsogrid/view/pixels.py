"""The pixels behind a result, for pictures: the median of some frames, and how often each pixel is bad.

Frames are made ready as the run made them (units, quality words, mask, the filter along time). The planned positions of the
run are not needed again: the measured ones stand in for them, so that neither drift nor position files have to be there.
"""

import json
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.config import Config, Source
from tsogrid.engine.calibration import make_ready
from tsogrid.engine.plan import Plan, make_plan
from tsogrid.engine.windows import Window
from tsogrid.errors import ConfigError, TsogridWarning

MOST_FRAMES = 25  # in a median
STILL = 1.5  # pixels by which stars may move in it: the median of a drifting field shows no star
MOST_PIXELS = 1e8  # that are read for it, those of the filter's neighbours included


def matched(result: xr.Dataset, frames: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Find the frames that a result and a series share.

    Parameters
    ----------
    result : Dataset
        A result.
    frames : Dataset
        From `tsogrid.open_frames`; it may hold fewer frames than the result, or more.

    Returns
    -------
    result, frames : Dataset
        Of the same times.

    Raises
    ------
    ConfigError
        The frames have another size, or no time is in both.
    """
    expected = result.attrs.get("frame_shape")
    found = [frames.sizes["y"], frames.sizes["x"]]
    if expected is not None and [int(size) for size in expected] != found:
        raise ConfigError(
            f"frames: expected {expected[0]} × {expected[1]} pixels (rows × columns) as in the result, found "
            f"{found[0]} × {found[1]}. Give the frames that were measured."
        )
    measured, opened = _same_clock(result, frames)
    _, ours, theirs = np.intersect1d(measured, opened, return_indices=True)
    if len(ours) == 0:
        raise ConfigError("frames: expected frames of the times of the result, found none. Give those that were measured.")
    return result.isel(time=ours), frames.isel(time=theirs)


def _same_clock(result: xr.Dataset, frames: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The times of both by the observer's clock, which does not ask what star is meant; else their indices."""
    clocks = [each["jd_utc"].to_numpy() for each in (result, frames) if "jd_utc" in each.coords]
    if len(clocks) == 2 and all(np.isfinite(clock).all() and len(np.unique(clock)) == len(clock) for clock in clocks):
        return clocks[0], clocks[1]
    return result["time"].to_numpy(), frames["time"].to_numpy()


def picture_plan(result: xr.Dataset, frames: xr.Dataset, config: Config | None = None) -> tuple[xr.Dataset, Plan]:
    """Plan how whole frames of a result are read and made ready.

    Parameters
    ----------
    result : Dataset
        A result.
    frames : Dataset
        From `tsogrid.open_frames`, with the same ``input`` settings.
    config : Config, optional
        The configuration of the run; the result's own if not given. A result keeps the names of a mask and of a gain
        image, not their folders: where there are any, give the configuration, or be in their folder.

    Returns
    -------
    result : Dataset
        Of the frames that are there.
    plan : Plan
        With one window, the whole frame.

    Raises
    ------
    ConfigError, InputError
        The frames are not those of the result, or a file of the configuration is missing.
    """
    result, frames = matched(result, frames)
    config = config or Config.from_mapping(json.loads(result.attrs["config"]), where="the result's configuration")
    x, y = (result[name].to_numpy().astype(float) for name in ("x", "y"))
    ny, nx = frames.sizes["y"], frames.sizes["x"]
    inside = np.isfinite(x) & np.isfinite(y)
    middle_x, middle_y = _middle(x, inside, (nx - 1) / 2), _middle(y, inside, (ny - 1) / 2)
    names, roles = result["source"].to_numpy(), result["role"].to_numpy()
    sources = [
        Source(name=str(name), x=min(max(at_x, 0.0), nx - 1.0), y=min(max(at_y, 0.0), ny - 1.0), role=str(role))  # type: ignore[arg-type]
        for name, role, at_x, at_y in zip(names, roles, middle_x, middle_y, strict=True)
    ]
    center = config.center.model_copy(update={"psf": "gaussian", "drift": None, "position": "fixed", "position_file": None})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TsogridWarning)  # of errors: pictures have none
        plan = make_plan(frames, config.model_copy(update={"center": center, "sources": sources}), block=1)
    planned = np.stack([np.where(inside, x, middle_x), np.where(inside, y, middle_y)], axis=-1)
    whole = Window(0, ny, 0, nx, tuple(range(len(names))))
    return result, replace(plan, sources=replace(plan.sources, planned=planned), windows=(whole,))


def _middle(values: np.ndarray, good: np.ndarray, otherwise: float) -> np.ndarray:
    """Median position of each source; the frame's centre for one that was never found."""
    return np.array([
        np.median(column[seen]) if seen.any() else otherwise for column, seen in zip(values.T, good.T, strict=True)
    ])  # fmt: skip


def sweep(result: xr.Dataset, frames: xr.Dataset, config: Config | None = None, most: int = MOST_FRAMES) -> xr.Dataset:
    """Read some frames, evenly spread over the series, and look at every pixel.

    Parameters
    ----------
    result, frames, config
        As in `picture_plan`. A Dataset that `sweep` made is given back as it is.
    most : int
        Frames at most; of large frames fewer.

    Returns
    -------
    Dataset
        ``median`` (y, x), in the result's unit, of the pixels that are good; ``bad`` (y, x), in how many of the frames a
        pixel is bad, from 0 to 1; ``x``, ``y`` (source), where the sources are in the median, NaN for one that was never
        found. The attribute ``frames`` is the number of frames, ``of`` that of the series, ``still`` how many are in the
        median: where the field moves, those in which it stands as in the one nearest to its median place.

    Raises
    ------
    ConfigError, InputError
        As `picture_plan`.
    """
    if {"median", "bad"} <= set(frames.data_vars):
        return frames
    result, plan = picture_plan(result, frames, config)
    ny, nx = plan.shape
    count = max(1, min(most, plan.n_frames, int(MOST_PIXELS / (ny * nx * (2 * plan.halo + 1)))))
    chosen = np.unique(np.linspace(0, plan.n_frames - 1, count).round().astype(int))
    stack, bad = np.empty((len(chosen), ny, nx), np.float32), np.zeros((ny, nx))
    for number, frame in enumerate(chosen):
        pixels = plan.read(plan.windows[0], int(frame), int(frame) + 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            ready = make_ready(pixels, plan.recipe, plan.planned(int(frame), int(frame) + 1))
        stack[number] = ready.data[0]
        bad += ~np.isfinite(ready.data[0])
        if ready.outliers is not None:  # repaired, perhaps, and yet bad
            bad += ready.outliers[0] & np.isfinite(ready.data[0])
    x, y = (result[name].transpose("time", "source").to_numpy().astype(float)[chosen] for name in ("x", "y"))
    still = _standing_still(x, y)
    return xr.Dataset(
        {
            "x": ("source", _middle(x[still], np.isfinite(x[still]), np.nan)),
            "y": ("source", _middle(y[still], np.isfinite(y[still]), np.nan)),
            "median": (("y", "x"), _median(stack[still]), {"units": plan.recipe.unit, "long_name": "median of the frames"}),
            "bad": (
                ("y", "x"),
                bad / len(chosen),
                {"units": "1", "long_name": "part of the frames in which a pixel is bad"},
            ),
        },
        attrs={"frames": len(chosen), "of": plan.n_frames, "still": int(still.sum())},
    )


def _standing_still(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """In which frames the sources are where they are in the frame nearest to their median place; (n,)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of sources that were never found
        middle = np.nanmedian(x, axis=0), np.nanmedian(y, axis=0)
        off = np.nanmedian(np.hypot(x - middle[0], y - middle[1]), axis=1)
        if not np.isfinite(off).any():
            return np.ones(len(x), bool)
        anchor = int(np.nanargmin(off))
        moved = np.nanmedian(np.hypot(x - x[anchor], y - y[anchor]), axis=1)
    if not (moved >= STILL).any():  # where nothing moves, frames in which nothing was found are as the others
        return np.ones(len(x), bool)
    return np.asarray(moved < STILL)


def _median(stack: np.ndarray) -> np.ndarray:
    """Median over the frames of what is finite; numpy's own is slow and warns of pixels that are always bad."""
    ordered = np.sort(stack, axis=0)  # NaN last
    number = np.isfinite(stack).sum(axis=0)[None]
    low, high = (np.take_along_axis(ordered, np.maximum(index, 0), axis=0)[0] for index in ((number - 1) // 2, number // 2))
    high = np.where(number[0] % 2 == 1, low, high)
    return np.asarray(np.where(number[0] > 0, (low + high) / 2, np.nan))


def stretch(image: np.ndarray) -> Any:
    """Make a scale that shows faint sky and bright stars together.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Pixels.

    Returns
    -------
    matplotlib Normalize
        Linear near the sky, logarithmic far above it.
    """
    from matplotlib.colors import AsinhNorm

    good = image[np.isfinite(image)]
    if good.size == 0:
        return AsinhNorm(vmin=0, vmax=1)
    middle = float(np.median(good))
    spread = 1.4826 * float(np.median(np.abs(good - middle))) or float(good.std()) or 1.0
    brightest = min(float(good.max()), middle + 100 * spread)
    low, high = middle - 3 * spread, max(float(np.percentile(good, 99.95)), brightest, middle + 10 * spread)
    return AsinhNorm(linear_width=5 * spread, vmin=low, vmax=high)
