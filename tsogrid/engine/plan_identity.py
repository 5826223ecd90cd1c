"""What decides the numbers of a plan: the scientific configuration, what the files that it names hold, and the inputs."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tsogrid.config import Config

if TYPE_CHECKING:
    from tsogrid.engine.plan import Plan

FRAMES_A_HASH = 100  # positions that move are hashed so many frames at a time: the whole ones stay when frames are added


def identity_of(plan: "Plan") -> dict[str, Any]:
    """Say what decides the numbers of a plan.

    Parameters
    ----------
    plan : Plan
        What will be done.

    Returns
    -------
    dict
        ``config``, ``inputs``, ``frames`` (their number), ``positions`` (hashes) and ``reading``; the same for two plans
        whose results are the same.
    """
    config = plan.config.scientific()
    recipe, sources, detector = plan.recipe, plan.sources, plan.detector
    # What named files hold, beside their names. (Positions of frames yet to come may be added to a file.)
    config["center"]["psf_hash"] = _hash(recipe.psf)
    if not _moves(plan):
        config["center"]["sources_hash"] = _hash(sources.planned)
    if sources.fwhm is not None:
        config["center"]["fwhm_hash"] = _hash(sources.fwhm)
    if recipe.pattern is not None:
        config["center"]["pattern_hash"] = _hash(np.stack(recipe.pattern))
    if recipe.gain_image is not None:
        config["input"]["gain_hash"] = _hash(recipe.gain_image)
    if recipe.bad_pixels is not None:
        config["calibrate"]["mask_hash"] = _hash(recipe.bad_pixels)
    if detector is not None:
        config["calibrate"]["hashes"] = dict(detector.hashes)
    inputs = json.loads(plan.coordinates.attrs.get("inputs", "[]"))
    inputs = [item | {"name": input_name(plan.config, item["name"])} for item in inputs]
    hashes, reading = position_hashes(plan), _reading(plan)
    return {"config": config, "inputs": inputs, "frames": plan.n_frames, "positions": hashes, "reading": reading}


def input_name(config: Config, name: str) -> str:
    """What the store calls an input file, whose folder it never tells."""
    return name if config.output.file_names == "plain" else hashlib.sha256(name.encode()).hexdigest()[:16]


def input_names(config: Config, names: np.ndarray) -> np.ndarray:
    """What the store calls the file of each frame, (frames,) of text; a file has one name, however many frames."""
    if config.output.file_names == "plain":
        return names
    known = {name: input_name(config, str(name)) for name in dict.fromkeys(names.tolist())}
    return np.array([known[name] for name in names.tolist()], dtype=object)


def _moves(plan: "Plan") -> bool:
    """Whether each frame has planned positions of its own: by a file, a drift or its world coordinates."""
    return plan.config.center.position == "file" or len(plan.sources.planned) > 1


def position_hashes(plan: "Plan", frames: int | None = None) -> list[str]:
    """Hash planned positions that move, of the first `frames`; whole hashes stay when more come."""
    if not _moves(plan):
        return []
    planned = plan.sources.planned[:frames]
    return [_hash(planned[start : start + FRAMES_A_HASH]) for start in range(0, len(planned), FRAMES_A_HASH)]


def _reading(plan: "Plan") -> dict[str, str]:
    """What the headers make of the configuration: how pixels are read, and what their numbers mean."""
    recipe = plan.recipe
    said = {str(name): str(variable.dtype) for name, variable in plan.frames.variables.items()}
    names = ("scale", "electrons_per_unit", "read_noise", "unit", "fast_axis", "dq_mask", "center_dq_mask")
    return said | {name: str(getattr(recipe, name)) for name in names} | {"amplifiers": _hash(recipe.amplifiers)}


def _hash(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, np.float64).tobytes()).hexdigest()[:16]
