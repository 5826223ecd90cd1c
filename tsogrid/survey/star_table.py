"""The stars of a field as a table: what each is, whether it is good for comparison, and why not.

One frame says where stars are, how bright, and how alone; a trial measurement of some frames says which are constant.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import ValidationError

from tsogrid.analysis.reference import relative
from tsogrid.config import Config, Detect, Detection
from tsogrid.config_file import explain
from tsogrid.engine.graph import measure
from tsogrid.errors import ConfigError
from tsogrid.field.proposal import Found, as_sources, find_on_frame
from tsogrid.field.wcs import pixels_to_sky
from tsogrid.io.frames import open_frames

FEWEST_TRIAL = 20  # frames from which a star is called variable
MOST_TRIAL_STARS = 60  # the brightest good ones are measured
RADIUS, INNER, OUTER = 1.5, 4.0, 7.0  # FWHM: aperture and annulus of the trial


def detect(frames: Any, *, trial: int = 0, config: Config | None = None, **settings: Any) -> pd.DataFrame:
    """Find the stars of a series on one of its frames, and say which are good for comparison.

    Parameters
    ----------
    frames : Dataset, path, list of paths, or arrays
        Whatever `tsogrid.open_frames` takes; or a `Config`, whose files and first ``detect`` entry are taken.
    trial : int
        Measure the good stars in so many frames, spread over the series, and refuse those that vary; 20 or more are needed
        to tell. 0: look at one frame only.
    config : Config, optional
        How a trial finds the stars from frame to frame, and the frames' calibration.
    **settings
        Of ``sources: detect:``, such as ``reference_frame``, ``threshold``, ``fwhm``, ``saturation``.

    Returns
    -------
    DataFrame
        One row a star, the brightest first: ``name``, ``x``, ``y`` (0-based pixels of the reference frame), ``ra``, ``dec``
        (NaN without a WCS of the frame), ``flux``, ``snr``, ``peak``, ``fwhm``, ``elongation``, ``neighbour`` (distance to
        the nearest star that disturbs it, or inf), ``scatter`` (over the other stars, of the trial; NaN without),
        ``accepted`` and ``reason`` (why not). ``attrs`` holds ``frame`` (its number), ``file`` and ``fwhm`` of the stars.

    Raises
    ------
    ConfigError, InputError
        A wrong setting, or frames that cannot be read.
    """
    if isinstance(frames, Config):
        config, frames = frames, frames.input
    if config is not None:
        entries = [entry.detect for entry in config.sources if isinstance(entry, Detect)]
        settings = (entries[0].model_dump(exclude_unset=True) if entries else {}) | settings
    try:
        chosen = Detect.model_validate({"detect": settings}).detect
    except ValidationError as error:
        raise ConfigError(explain(error, "detect", Detect)) from None
    if trial and trial < FEWEST_TRIAL:
        raise ConfigError(
            f"trial: expected {FEWEST_TRIAL} frames or more (fewer cannot tell a variable star), found {trial}."
        )
    opened = open_frames(frames)
    found = find_on_frame(opened, chosen)
    table = _table(found, chosen)
    table.attrs = {"frame": found.frame, "fwhm": found.stars.width}
    if "file" in opened.coords:
        table.attrs["file"] = str(opened["file"].to_numpy()[found.frame])
    if trial:
        _try(table, opened, found, chosen, config, trial)
    return table


def _table(found: Found, settings: Detection) -> pd.DataFrame:
    stars = found.stars
    count = len(stars.x)
    sky = np.full((count, 2), np.nan)
    if found.wcs and count:
        sky = pixels_to_sky(found.wcs, np.stack([stars.x, stars.y], axis=-1))
    sources = as_sources(found, np.arange(count), settings.model_copy(update={"name": settings.name or "star"}), set())
    content: dict[str, Sequence[Any] | np.ndarray] = {
        "name": [source.name for source in sources],
        "x": stars.x,
        "y": stars.y,
        "ra": sky[:, 0],
        "dec": sky[:, 1],
        "flux": stars.flux,
        "snr": stars.snr,
        "peak": stars.peak,
        "fwhm": stars.fwhm,
        "elongation": stars.elongation,
        "neighbour": found.neighbour,
        "scatter": np.full(count, np.nan),
        "accepted": [not reason for reason in found.reasons],
        "reason": list(found.reasons),
    }
    return pd.DataFrame(content)


def _try(
    table: pd.DataFrame, frames: xr.Dataset, found: Found, settings: Detection, config: Config | None, trial: int
) -> None:
    """Measure the good stars in some frames, and refuse those that vary against the others."""
    which = np.flatnonzero(table["accepted"].to_numpy())[:MOST_TRIAL_STARS]
    if which.size < 3:
        return  # of two nothing tells which one varies
    n = frames.sizes["time"]
    some = np.unique(np.linspace(0, n - 1, min(trial, n)).round().astype(int))
    sources = as_sources(found, which, settings.model_copy(update={"role": "reference", "name": "star"}), set())
    width = found.stars.width
    content: dict[str, Any] = (
        {} if config is None else config.model_dump(mode="json", include={"center", "calibrate", "input"})
    )
    content["sources"] = [source.model_dump(mode="json") for source in sources]
    content["apertures"] = [{"shape": "circle", "radius": [RADIUS * width]}]
    content["sky"] = [{"method": "annulus", "inner": INNER * width, "outer": OUTER * width}]
    result = measure(frames.isel(time=some), Config.from_mapping(content, where="detect")).compute()
    names = [source.name for source in sources]
    verdicts: dict[str, tuple[str, float]] = {}
    for own in (0, 1):  # the star that the others are compared with is judged by another
        others = [name for name in names if name != names[own]]
        try:
            checked = relative(result, source=names[own], references=others)
        except ConfigError:  # none of them can be used
            continue
        for name, used, reason, scatter in zip(
            checked["reference"].to_numpy(),
            checked["used"].to_numpy(),
            checked["reason"].to_numpy(),
            checked["check_scatter"].to_numpy().reshape(len(others), -1)[:, 0],
            strict=True,
        ):
            verdicts.setdefault(str(name), ("" if used else str(reason), float(scatter)))
    for row, name in zip(which, names, strict=True):
        reason, scatter = verdicts.get(name, ("no frame of the trial could measure it", float("nan")))
        table.loc[row, "scatter"] = scatter
        if reason:
            table.loc[row, "accepted"], table.loc[row, "reason"] = False, f"in the trial: {reason}"
