"""The reference frame of a night: whether frames are registered at all, and the pattern of stars to which they are.

The decision and the pattern belong to the plan: one frame is read before the work begins, and every block gets the same.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tsogrid.config import Registration
from tsogrid.engine.calibration import make_ready
from tsogrid.engine.centering import CENTER_NAMES
from tsogrid.engine.pipeline import CENTER, Measurement, Pixels, stages_of
from tsogrid.engine.plan_identity import input_name
from tsogrid.engine.registering import MOST_STARS, pattern_of
from tsogrid.engine.windows import Window, plan_windows
from tsogrid.errors import ConfigError
from tsogrid.field.listing import ENOUGH, are_single_images
from tsogrid.kernels.pattern_match import Pattern
from tsogrid.kernels.registration import LEAST
from tsogrid.kernels.star_finder import star_field

if TYPE_CHECKING:
    from tsogrid.engine.plan import Plan

MANY_STARS = 2000
A_FEW = 6.0  # pixels by which a position may be off that was given by hand
SAME_STAR = 1.5  # pixels between a source's centre and the star that was found
KEY = "center.registration"


def with_registration(plan: "Plan") -> "Plan":
    """Decide whether the frames of a plan are registered, and if so find the stars of the reference frame.

    Parameters
    ----------
    plan : Plan
        With ``center.registration`` as the user wrote it.

    Returns
    -------
    Plan
        With ``center.registration`` as it will be; if frames are registered with the pattern, whole frames as windows, and
        without a prediction, whose place the registration takes.

    Raises
    ------
    ConfigError
        Frames shall be registered but cannot be: no such frame, too few stars on it, or something beside it needs to know
        where the stars are before.
    """
    asked = plan.config.center.registration
    against = _against(plan) if asked == "auto" else _impossible(plan) if isinstance(asked, Registration) else "off"
    if isinstance(asked, Registration) and against:
        raise ConfigError(f"{KEY}: frames cannot be registered: {against}.")
    if against:
        return _decided(plan, "off", f"off: {against}" if against != "off" else "off")
    settings = asked if isinstance(asked, Registration) else Registration()
    frame = _frame(plan, settings.frame)
    settings = settings.model_copy(update={"frame": frame})  # its number stays when frames are added, and tells no name
    pattern = _pattern(plan, frame)
    name = input_name(plan.config, _file(plan, frame)) if _file(plan, frame) else ""
    where = f"frame {frame}{f' ({name})' if name else ''}"
    number = len(pattern.x)
    if number < (ENOUGH if asked == "auto" else LEAST):
        if asked == "auto":
            return _decided(plan, "off", f"off: {number} stars on {where}, fewer than {ENOUGH}")
        raise ConfigError(
            f"{KEY}: expected at least {LEAST} stars on {where}, found {number}. Name a better frame with {KEY}.frame "
            "(the sources' pixels are meant on it), or say registration: off."
        )
    stars = f"the {MOST_STARS} brightest stars" if number == MOST_STARS else f"{number} stars"
    decided = _decided(plan, settings, f"{'auto' if asked == 'auto' else 'on'}: by {stars} of {where}")
    recipe = replace(decided.recipe, pattern=pattern)
    sources = decided.sources
    if len(sources.planned) > 1:
        sources = replace(sources, planned=sources.planned[frame : frame + 1])
    windows = plan_windows(recipe, sources.planned, plan.shape)
    return replace(decided, recipe=recipe, sources=sources, windows=windows, passes=stages_of(recipe))


def with_own_places(plan: "Plan") -> "Plan":
    """Put sources that follow the field where they are found on the reference frame.

    A position given by hand is some tenths of a pixel off, for each source by others; what is known of the field alone would
    leave the apertures there in every frame. Sources that do not stand out on that frame stay where they were given.

    Parameters
    ----------
    plan : Plan
        After `with_registration`.

    Returns
    -------
    Plan
        The same, unless frames are registered or ``center.position`` is common, and planned positions are the same in all.
    """
    center = plan.config.center
    follows = center.position == "common" or (plan.recipe.pattern is not None and center.position == "frame")
    if not follows or len(plan.sources.planned) > 1:
        return plan
    frame = _frame(plan, center.registration.frame if isinstance(center.registration, Registration) else 0)
    recipe, planned = replace(plan.recipe, outliers=None, pattern=None), plan.sources.planned
    pixels = _whole_frame(plan, frame)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        stars = star_field(np.ascontiguousarray(make_ready(pixels, recipe, planned).center_data), MANY_STARS)
    places = _nearest(planned, pattern_of(stars, 0), min(A_FEW, center.fit_box / 2))
    found = Measurement([pixels], recipe, [places], [{}]).do((CENTER,)).results[0]
    name = CENTER_NAMES[center.method]
    measured = np.stack([found[f"x_{name}"], found[f"y_{name}"]], axis=-1)
    near = np.hypot(*(measured - places)[0].T) < SAME_STAR
    seen = (places != planned).any(axis=2)[0]
    places = np.where((near & seen)[None, :, None], measured, places)
    return replace(plan, sources=replace(plan.sources, planned=places))


def _nearest(planned: np.ndarray, stars: Pattern, reach: float) -> np.ndarray:
    """The star nearest to each planned position, if one is within reach and belongs to no other; (1, n_sources, 2)."""
    if not len(stars.x):
        return planned
    distance = np.hypot(planned[0, :, :1] - stars.x, planned[0, :, 1:] - stars.y)
    nearest = np.where(np.isfinite(distance).all(axis=1), distance.argmin(axis=1), 0)
    owner = distance.argmin(axis=0)[nearest] == np.arange(len(nearest))
    near = owner & (distance[np.arange(len(nearest)), nearest] <= reach)
    return np.where(near[None, :, None], np.stack([stars.x, stars.y], axis=-1)[nearest][None], planned)


def _decided(plan: "Plan", registration: "Registration | str", words: str) -> "Plan":
    """The plan with the decision in its configuration."""
    update: dict[str, object] = {"registration": registration}
    if isinstance(registration, Registration):
        update["predict"] = "none"
    center = plan.config.center.model_copy(update=update)
    config = plan.config.model_copy(update={"center": center})
    return replace(plan, config=config, recipe=replace(plan.recipe, center=center), registration=words)


def _impossible(plan: "Plan") -> str:
    """Why frames cannot be registered, whoever asks; empty if they can."""
    if plan.recipe.outliers is not None:
        return "calibrate.outliers looks at each pixel along time, and over these frames the stars move"
    if not np.isfinite(plan.sources.planned).all(axis=2).any():
        return "no source has a place"
    return ""


def _against(plan: "Plan") -> str:
    """Why frames are not registered unless asked for; empty if they are."""
    config, center = plan.config, plan.config.center
    if not are_single_images(plan.coordinates):
        return "not single frames of a night"
    if not config.sources or any(getattr(source, "x", None) is None for source in config.sources):
        return "sources are not given by pixels"
    told = [f"center.{what}" for what in center.own_ways]
    return ", ".join(told) or ("calibrate.outliers" if plan.recipe.outliers is not None else "")


def _frame(plan: "Plan", frame: int | str) -> int:
    """The number of the reference frame in the series."""
    if isinstance(frame, str) and not frame.isdigit():
        files = [Path(name).name for name in _files(plan)]
        if files.count(Path(frame).name) == 1:
            return files.index(Path(frame).name)
        found = f"{files[0]} … {files[-1]}" if files else "frames without names"
        raise ConfigError(f"{KEY}.frame: expected a number or one of the files, found {frame!r} among {found}.")
    if int(frame) >= plan.n_frames:
        raise ConfigError(f"{KEY}.frame: expected 0 … {plan.n_frames - 1} (frames in order of time), found {frame}.")
    return int(frame)


def _files(plan: "Plan") -> list[str]:
    return [str(name) for name in plan.coordinates["file"].to_numpy()] if "file" in plan.coordinates.coords else []


def _file(plan: "Plan", frame: int) -> str:
    files = _files(plan)
    return Path(files[frame]).name if files else ""


def _pattern(plan: "Plan", frame: int) -> Pattern:
    """The stars of a frame, as the blocks will see it."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ready = make_ready(_whole_frame(plan, frame), plan.recipe, np.zeros((1, 0, 2)))
    return pattern_of(star_field(np.ascontiguousarray(ready.center_data), MOST_STARS), 0)


def _whole_frame(plan: "Plan", frame: int) -> Pixels:
    """The pixels of one frame, without those before and after it."""
    alone = replace(plan, recipe=replace(plan.recipe, outliers=None))
    return alone.read(Window(0, plan.shape[0], 0, plan.shape[1], ()), frame, frame + 1)
