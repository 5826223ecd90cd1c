"""What `tsogrid init` guesses from files: the target and its reference stars, and the keywords of gain and read noise.

The target is where the header says (XREF_SCI, or its sky position through the WCS), else the brightest good star that is
found; reference stars are found. Each guess carries its reason. What computes is imported when it is needed.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from tsogrid.io.hints import Hints

FRAMES = 3  # the first ones, whose median is searched: cosmic rays are gone
BORDER, NEAREST_BORDER = 20, 8  # pixels to the edges of the frame, for the field may drift; less in small frames
ISOLATION = 20.0  # pixels about a star in which no bright one may be, or in a crowded field what `tsogrid detect` takes
FEW = 3  # reference stars; a field where fewer stand so far from others is crowded
POINTING = 25.0  # pixels by which a sky position may miss its star


@dataclass(frozen=True)
class GuessedStar:
    """A source of the configuration, 0-based pixels, and why it is one."""

    name: str
    role: str
    x: float
    y: float
    reason: str


@dataclass(frozen=True)
class Guess:
    """What was guessed.

    Parameters
    ----------
    stars : list of GuessedStar
        The target first.
    gain, read_noise : (str, float) or None
        Keyword of the header and its value in the first file.
    frame : int
        The frame on which the stars were found.
    lines : list of str
        For the terminal.
    """

    stars: list[GuessedStar]
    gain: tuple[str, float] | None = None
    read_noise: tuple[str, float] | None = None
    frame: int = 0
    lines: list[str] = field(default_factory=list)


def guess(frames: "xr.Dataset", files: Sequence[str]) -> Guess:
    """Guess sources, gain and read noise of opened files.

    Parameters
    ----------
    frames : Dataset
        From `tsogrid.open_frames`; the pixels of its first frames are read unless the header tells the target's.
    files : sequence of str
        What was opened: files, folders or patterns.

    Returns
    -------
    Guess
    """
    from tsogrid.io.hints import MOST_GAIN

    attributes = frames.attrs
    ny, nx = frames.sizes["y"], frames.sizes["x"]
    hints = _hints(frames, files)
    lines: list[str] = []
    frame = 0
    if {"x_ref", "y_ref"} <= attributes.keys() and _inside(attributes["x_ref"], attributes["y_ref"], ny, nx):
        x, y = float(attributes["x_ref"]), float(attributes["y_ref"])
        stars = [GuessedStar("target", "target", x, y, "from the header (XREF_SCI, YREF_SCI)")]
    else:
        stars, frame = _found(frames, hints)
        if frame:
            lines.append(f"positions are those on frame {frame}, where the first frames show the stars best")
    lines += [f"{star.name} at x = {star.x:g}, y = {star.y:g}: {star.reason}" for star in stars]
    gain = read_noise = None
    if "error" not in frames:
        gain, read_noise = hints.gain, hints.read_noise
        if gain and gain[1] > MOST_GAIN:
            lines.append(f"no gain: {gain[0]} is {gain[1]:g}, which is more likely a setting than electron per data unit")
            gain = None
        for name, found in (("gain", gain), ("read noise", read_noise)):
            if found:
                lines.append(f"{name} is the header's {found[0]}, {found[1]:g} in the first file")
    return Guess(stars, gain, read_noise, frame, lines)


def _inside(x: float, y: float, ny: int, nx: int) -> bool:
    return -0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5


def _hints(frames: "xr.Dataset", files: Sequence[str]) -> "Hints":
    """Read the header of the first frame's file."""
    from tsogrid.io.files import resolve
    from tsogrid.io.hints import header_hints
    from tsogrid.io.remote_names import base_name

    first = str(frames["file"].to_numpy()[0])
    paths = resolve(files)
    return header_hints(next((path for path in paths if base_name(path) == first), paths[0]))


def _found(frames: "xr.Dataset", hints: "Hints") -> "tuple[list[GuessedStar], int]":
    """Search the first frames for stars; the header's sky position says which is the target. The frame comes second."""
    from tsogrid.config import Detection
    from tsogrid.field.detection import find_stars
    from tsogrid.field.listing import are_single_images
    from tsogrid.field.proposal import find_on_frame, judged, like_target, nearest

    ny, nx = frames.sizes["y"], frames.sizes["x"]
    border = max(NEAREST_BORDER, min(BORDER, min(ny, nx) // 6))
    frame = 0
    if are_single_images(frames) and "wcs" not in frames.attrs:  # a field may drift from image to image by many pixels
        found = find_on_frame(frames, Detection(saturation=hints.saturation))
        stars, frame = found.stars, found.frame
    else:
        stars = find_stars(_median(frames), saturation=hints.saturation)
    reasons, _ = judged(stars, (ny, nx), Detection(border=border, separation=ISOLATION))
    planned = _from_sky(frames.attrs, hints, ny, nx)
    if planned is not None:
        target = nearest(stars, *planned, within=POINTING)
        told = f"from the header ({hints.target_keys}) by its WCS"
        if target is None:
            return [GuessedStar("target", "target", *_rounded(*planned), f"{told}; no star was found there")], frame
        reason = f"the star nearest to the position {told}"
    else:
        target = next((number for number, why in enumerate(reasons) if not why), None)
        reason = "guessed: the brightest star that is isolated and not saturated"
    if target is None:
        middle = ((nx - 1) / 2, (ny - 1) / 2)
        words = "no star was found: the centre of the frame; put your star here"
        return [GuessedStar("target", "target", *middle, words)], frame
    guessed = [GuessedStar("target", "target", *_rounded(stars.x[target], stars.y[target]), reason)]
    references = like_target(stars, reasons, target)
    if len(references) < FEW:
        reasons, _ = judged(stars, (ny, nx), Detection(border=border))
        references = like_target(stars, reasons, target)
    for number, star in enumerate(references, 1):
        said = f"guessed: isolated, {stars.flux[star] / stars.flux[target]:.2g} times the target's flux"
        guessed.append(GuessedStar(f"ref{number}", "reference", *_rounded(stars.x[star], stars.y[star]), said))
    return guessed, frame


def _rounded(x: float, y: float) -> tuple[float, float]:
    return round(float(x), 1), round(float(y), 1)


def _median(frames: "xr.Dataset") -> "np.ndarray":
    import numpy as np

    middle = frames.sizes["time"] // 2
    for start in (0, middle):  # the first ones may be all bad
        data = frames["data"].isel(time=slice(start, start + FRAMES)).to_numpy()
        if np.isfinite(data).any():
            break
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of pixels that are bad in all of them
        return np.nanmedian(data, axis=0)


def _from_sky(attributes: dict[str, Any], hints: "Hints", ny: int, nx: int) -> tuple[float, float] | None:
    """Put the target's sky position through the frames' world coordinates; None outside the frame."""
    from tsogrid.errors import InputError
    from tsogrid.field.wcs import sky_to_pixel

    if hints.target is None or "wcs" not in attributes:
        return None
    try:
        x, y = sky_to_pixel(attributes["wcs"], *hints.target, "target")
    except InputError:
        return None
    return (x, y) if _inside(x, y, ny, nx) else None
