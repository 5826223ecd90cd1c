"""The recipe: a configuration made ready for one exposure, small enough to travel with every task.

What the configuration leaves to the frames (amplifiers, gain, the bits of quality words, the unit) is decided here, once;
`tsogrid.engine.pipeline` then only follows the recipe.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tsogrid.config import (
    AmplifierStep,
    CenterConfig,
    ColumnRow,
    Config,
    CosmicRays,
    Local,
    Outliers,
    PhotometryConfig,
    ReadoutProcess,
    Saturation,
)
from tsogrid.engine.apertures import Circles, Frame, Group, Outline, Places, make_groups, reach_of
from tsogrid.engine.cosmic_rays import require_astroscrappy
from tsogrid.engine.line_reach import amplifiers_together, need_lines
from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.flags import JWST_DQ
from tsogrid.kernels.pattern_match import Pattern
from tsogrid.kernels.readout_process import require_celerite2

# The filter along time: half widths of a star's box, and how far off a star is that is said to stand where it is planned.
SMALLEST_STAMP, LARGEST_STAMP = 7, 16
NEAR_PLANNED = 2
SMALL = 100  # pixels; a shape of this size may stand over any frame


@dataclass(frozen=True)
class Recipe:
    """What to do with a block of frames.

    Parameters
    ----------
    center : CenterConfig
        How sources are centred.
    sky : tuple of tuple
        Chains of sky steps.
    photometry : PhotometryConfig
        Error weights and the rule for apertures over the edge.
    groups : tuple of Group
        The apertures, in the order of the result.
    saturation : Saturation or None
        Above which level a pixel is saturated, and how many an aperture may hold.
    psf : ndarray, shape (k, k)
        Template of the cross-correlation.
    amplifiers : ndarray, shape (n_amplifiers, 2)
        Ranges [start, stop) along the fast axis.
    fast_axis : int
        1 if pixels are read along x, 2 if along y.
    dq_mask, center_dq_mask : int
        Quality bits that make a pixel bad everywhere, and in centring.
    scale : float
        Factor from the file's unit to the result's.
    gain_image : ndarray, shape (ny, nx), or None
        The same, pixel by pixel, where the gain is an image.
    electrons_per_unit : float
        Electrons in one unit of the result, NaN if unknown.
    read_noise : float
        In electrons.
    unit : str
        The unit of the result.
    bad_pixels : ndarray of bool, shape (ny, nx), or None
        Pixels that are bad in all frames.
    nan : {"mask", "leave"} or float
        What becomes of pixels that are not finite; a number in the unit of the files.
    outliers : Outliers or None
        The filter along time.
    pattern : Pattern or None
        The stars of the reference frame, to which each frame is registered.
    cosmic_rays : CosmicRays or None
        How hits are found in each frame.
    """

    center: CenterConfig
    sky: tuple[tuple[Any, ...], ...]
    photometry: PhotometryConfig
    groups: tuple[Group, ...]
    saturation: Saturation | None
    psf: np.ndarray
    amplifiers: np.ndarray
    fast_axis: int
    dq_mask: int
    center_dq_mask: int
    scale: float
    gain_image: np.ndarray | None
    electrons_per_unit: float
    read_noise: float
    unit: str
    bad_pixels: np.ndarray | None = None
    nan: str | float = "mask"
    outliers: Outliers | None = None
    pattern: Pattern | None = None
    cosmic_rays: CosmicRays | None = None

    @cached_property
    def center_skies(self) -> tuple[tuple[Any, ...], ...]:
        """The chain of sky steps before centring, if there is one."""
        return (tuple(self.center.sky),) if isinstance(self.center.sky, list) else ()

    @cached_property
    def has_line_sky(self) -> bool:
        """Whether a sky step needs whole lines of the detector."""
        return need_lines((*self.sky, *self.center_skies))

    @cached_property
    def sky_said(self) -> tuple[tuple[str, ...], ...]:
        """What the steps of the chains say, see `steps_said`: found once, and not for every block."""
        return steps_said(self.sky)

    @property
    def needs_whole_frame(self) -> bool:
        """Whether every pixel of a frame takes part in its numbers."""
        together = any(amplifiers_together(step) for chain in (*self.sky, *self.center_skies) for step in chain)
        framewide_center = self.center.sky == "frame" and self.center.method != "none"
        if self.pattern is not None or self.cosmic_rays is not None:  # hits are found by iterations over neighbours
            return True
        return bool(self.whole_frames.any()) or self.photometry.off_frame == "frame" or framewide_center or together

    @cached_property
    def whole_frames(self) -> np.ndarray:
        """Which apertures are the whole frame; shape (n_apertures,)."""
        return np.concatenate([np.full(group.count, isinstance(group, Frame)) for group in self.groups])

    @cached_property
    def follows_width(self) -> np.ndarray:
        """Which apertures follow the width of the stars; shape (n_apertures,)."""
        follows = [isinstance(group, Outline) and group.width is not None for group in self.groups]
        return np.concatenate([np.full(group.count, each) for group, each in zip(self.groups, follows, strict=True)])

    @cached_property
    def needs_width(self) -> bool:
        """Whether the photometry needs the FWHM of the stars."""
        steps = [step for chain in self.sky for step in chain]
        return bool(self.follows_width.any()) or any(getattr(step, "scaled", None) is not None for step in steps)

    @property
    def largest(self) -> int:
        """The aperture that a model of the frame is averaged in: the largest circle, else the last."""
        first = self.groups[0]
        return first.count - 1 if isinstance(first, Circles) else -1

    @cached_property
    def aperture_reach(self) -> float:
        """Distance from a source to the farthest pixel of an aperture, in pixels; infinite for the whole frame."""
        if self.whole_frames.any():
            return math.inf
        return max(_largest_reach(group) for group in self.groups)

    @property
    def halo(self) -> int:
        """Frames on both sides of a frame that its numbers depend on."""
        return self.outliers.window // 2 if self.outliers is not None else 0

    @property
    def stamp(self) -> int:
        """Half width in pixels of the box about a star in which the filter along time follows it as a whole."""
        fitted = self.center.fit_box // 2 if self.center.method != "none" else 0
        around = math.ceil(min(self.aperture_reach, LARGEST_STAMP)) + 1
        return min(max(fitted, around, SMALLEST_STAMP), LARGEST_STAMP)

    @property
    def search(self) -> int:
        """How far from its planned position the filter along time looks for a star, in pixels."""
        if self.center.method == "none" or self.center.position in ("fixed", "file"):
            return NEAR_PLANNED
        return (self.center.search_box if self.center.predict != "none" else self.center.fit_box) // 2

    @cached_property
    def reach(self) -> float:
        """Distance from a source to the farthest pixel that an aperture or a sky region touches, in pixels."""
        regions = [region_reach(step) for chain in self.sky for step in chain]
        fixed = [] if self.whole_frames.any() else [self.aperture_reach]
        return max([*fixed, *regions, 0.0]) + 1.0

    @property
    def photometry_reach(self) -> float:
        """Distance from a known place within which the photometry needs pixels; infinite for the whole frame."""
        return max(self.reach, self.aperture_reach)


def steps_said(skies: Sequence[Sequence[Any]]) -> tuple[tuple[str, ...], ...]:
    """Everything that the steps of chains say, a text for each: a label leaves some out."""
    return tuple(tuple(step.model_dump_json() for step in steps) for steps in skies)


def _largest_reach(group: Group) -> float:
    """How far a group of apertures reaches from its source at the largest width allowed."""
    most = group.width.range[1] if isinstance(group, Outline) and group.width is not None else math.nan
    one = np.zeros((1, 1))
    return float(reach_of(group, Places(one, one, np.full((1, 1), most)))[0, 0])


def region_reach(step: Any) -> float:
    """How far a sky step about each source reaches from it, in pixels; 0 for any other step."""
    if not isinstance(step, Local | ColumnRow):
        return 0.0
    box: Any = step
    size = box.outer if getattr(box, "outer", None) is not None else math.hypot(box.width, box.height) / 2
    scaled = step.scaled
    growth = max(scaled.factor * scaled.range[1] - scaled.reference_radius, 0.0) if scaled is not None else 0.0
    # A cut-out is a box: its corner is farthest.
    return math.hypot(*step.offset) + (size + growth) * (math.sqrt(2) if isinstance(step, ColumnRow) else 1.0) + 2.0


def _quality_bits(names: list[str], attributes: dict[str, Any]) -> int:
    masks = attributes.get("flag_masks")
    known = dict(JWST_DQ)
    if masks is not None:
        known = dict(zip(str(attributes["flag_meanings"]).split(), (int(mask) for mask in masks), strict=True))
    known = {name.upper(): value for name, value in known.items()}
    bits = 0
    for name in names:
        if name.upper() not in known:
            raise ConfigError(f"calibrate.dq: unknown quality flag {name!r}; expected some of {', '.join(known)}.")
        bits |= known[name.upper()]
    return bits


def _amplifiers(config: Config, attributes: dict[str, Any], length: int) -> np.ndarray:
    """Find the amplifiers' ranges along the fast axis: from the configuration, else from the header."""
    chains = [*config.sky, *([config.center.sky] if isinstance(config.center.sky, list) else [])]
    steps = [step for chain in chains for step in chain if isinstance(step, AmplifierStep)]
    if any(isinstance(step, ReadoutProcess) for step in steps):
        require_celerite2()  # before a run begins, and not in its first block
    if not steps:
        return np.zeros((0, 2), np.int64)
    given = [step.amplifiers for step in steps if step.amplifiers is not None]
    if given:
        if any(each != given[0] for each in given):
            raise ConfigError("sky: steps name different amplifiers; expected one layout for the detector.")
        ranges = np.asarray(given[0], np.int64)
    elif "amplifiers" in attributes:
        ranges = np.asarray(attributes["amplifiers"], np.int64).reshape(-1, 2)
    elif "outputs" in attributes and int(attributes["outputs"]) > 1:
        raise InputError(
            f"rowamp: {attributes['outputs']} read-out amplifiers over {length} pixels is a layout that is not known. "
            "Give it as amplifiers: [[start, stop], …] in the rowamp step."
        )
    else:
        ranges = np.array([[0, length]], np.int64)
    if ranges.max() > length:
        raise ConfigError(f"rowamp: the amplifiers end at {ranges.max()}, the fast axis has {length} pixels.")
    return ranges


def _fast_axis(attributes: dict[str, Any]) -> int:
    axis = abs(int(attributes.get("fast_axis", 1)))
    if axis not in (1, 2):
        raise InputError(f"rowamp: expected FASTAXIS ±1 or ±2, found {attributes['fast_axis']}.")
    return axis


def _units(config: Config, attributes: dict[str, Any], gain_image: np.ndarray | None) -> tuple[float, float, str]:
    """Give scale, electrons per result unit and the result's unit; a gain image is multiplied to the scale later."""
    native = str(attributes.get("units", "") or "")
    kind = native.strip().lower().removesuffix("/s")
    in_electrons = kind in ("electron", "electrons", "e-")
    rate = config.input.rate if config.input.rate is not None else native.strip().lower().endswith("/s")
    seconds = float(attributes.get("integration_time_s", math.nan)) if rate else 1.0
    gain = float(attributes.get("gain", 1.0 if in_electrons else math.nan)) if gain_image is None else 1.0
    if config.input.units == "native":
        counts = in_electrons or kind in ("", "dn", "adu", "count", "counts")
        return 1.0, (1.0 if in_electrons else gain) * seconds if counts else math.nan, native or "1"
    if config.input.units == "Jy":
        area = attributes.get("pixel_area_sr")
        if native != "MJy/sr" or area is None:
            raise InputError(
                f"units: Jy needs frames in MJy/sr with PIXAR_SR; found unit {native or 'none'!r} and PIXAR_SR {area}."
            )
        return 1e6 * float(area), math.nan, "Jy"
    if not math.isfinite(gain * seconds):
        missing = "input.gain" if not math.isfinite(gain) else "the integration time"
        raise InputError(
            f"units: electron needs input.gain, and for rates ({native or 'no unit'!r}) the integration time, from the "
            f"header (EFFINTTM) or input.integration_time; {missing} is not known."
        )
    return gain * seconds, 1.0, "electron"


def _refuse_huge(config: Config, shape: tuple[int, int]) -> None:
    """Refuse shapes far larger than the frame: their masks would fill the memory, and hold no pixel more."""
    most = max(2 * max(shape), SMALL)
    steps = [step for chain in config.sky for step in chain]
    for where, shapes in (("apertures", config.apertures), ("sky", steps)):
        for each in shapes:
            size = max(getattr(each, "width", 0) or 0, getattr(each, "height", 0) or 0)
            if isinstance(each, ColumnRow):  # a box that holds its region and the source
                size = max(size, 2 * (each.outer or 0), 2 * max(map(abs, each.offset)))
            if size > most:
                raise ConfigError(
                    f"{where}: expected a width and height of at most {most} pixels over frames of {shape[1]} × {shape[0]} "
                    f"(x × y), found {size:g}. The sum of all pixels is shape: frame."
                )


def _cosmic_rays(config: Config, has_error: bool) -> CosmicRays | None:
    """Refuse to look for cosmic rays where nothing tells the noise, before a run begins."""
    settings = config.calibrate.cosmic_rays
    if settings is not None:
        require_astroscrappy()
        if not has_error:
            raise ConfigError(
                "calibrate.cosmic_rays: expected errors in the frames, or input.gain and input.read_noise, found none: "
                "hits are told from noise by its size."
            )
    return settings


def make_recipe(
    config: Config,
    attributes: dict[str, Any],
    dq_attributes: dict[str, Any],
    shape: tuple[int, int],
    has_error: bool,
    psf: np.ndarray,
    gain_image: np.ndarray | None = None,
    bad_pixels: np.ndarray | None = None,
) -> Recipe:
    """Make a configuration ready for one exposure.

    Parameters
    ----------
    config : Config
        A complete configuration.
    attributes : dict
        The attributes of the frames (see `tsogrid.open_frames`).
    dq_attributes : dict
        Attributes of the quality words: CF flag masks and meanings.
    shape : (int, int)
        Rows and columns of a frame.
    has_error : bool
        Whether the frames carry errors.
    psf : ndarray, shape (k, k)
        Template of the cross-correlation.
    gain_image : ndarray, shape (ny, nx), optional
        Electrons per data unit for every pixel, NaN where unknown.
    bad_pixels : ndarray of bool, shape (ny, nx), optional
        Pixels that are bad in all frames.

    Returns
    -------
    Recipe

    Raises
    ------
    ConfigError, InputError
        The configuration asks for what the frames do not have.
    """
    _refuse_huge(config, shape)
    scale, electrons_per_unit, unit = _units(config, attributes, gain_image)
    read_noise = float(attributes.get("read_noise", 0.0))
    if not has_error and not math.isfinite(electrons_per_unit):
        if config.center.weights == "error" and config.center.method != "none":
            raise ConfigError("center.weights: error needs errors; found none and no input.gain: give it, or weights: model")
        warnings.warn(
            "The frames carry no errors and no gain is given: all errors are NaN. "
            "Give input.gain (electron per data unit) and input.read_noise to have them.",
            TsogridWarning,
            stacklevel=2,
        )
    fast_axis = _fast_axis(attributes)
    return Recipe(
        center=config.center,
        sky=tuple(tuple(chain) for chain in config.sky),
        photometry=config.photometry,
        groups=make_groups(config),
        saturation=config.calibrate.saturation,
        psf=np.asarray(psf, float),
        amplifiers=_amplifiers(config, attributes, shape[1] if fast_axis == 1 else shape[0]),
        fast_axis=fast_axis,
        dq_mask=_quality_bits(config.calibrate.dq, dq_attributes),
        center_dq_mask=_quality_bits(config.center.dq, dq_attributes),
        scale=scale,
        gain_image=gain_image,
        electrons_per_unit=electrons_per_unit,
        read_noise=read_noise,
        unit=unit,
        bad_pixels=bad_pixels,
        nan=config.calibrate.nan,
        outliers=config.calibrate.outliers,
        cosmic_rays=_cosmic_rays(config, has_error or math.isfinite(electrons_per_unit)),
    )
