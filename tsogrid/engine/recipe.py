"""The recipe: a configuration made ready for one exposure, small enough to travel with every task.

What the configuration leaves to the frames (amplifiers, gain, the bits of quality words, the unit) is decided here, once;
`tsogrid.engine.pipeline` then only follows the recipe.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsogrid.config import Annulus, CenterConfig, Config, Outliers, PhotometryConfig, RowAmplifier, WholeFrame
from tsogrid.errors import ConfigError, InputError, TsogridWarning
from tsogrid.flags import JWST_DQ

# The filter along time: half widths of a star's box, and how far off a star is that is said to stand where it is planned.
SMALLEST_STAMP, LARGEST_STAMP = 7, 16
NEAR_PLANNED = 2


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
    radii : ndarray, shape (n_radii,)
        Circular apertures, ascending, in pixels.
    whole_frame : bool
        Whether the sum of the whole frame is the last aperture.
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
    """

    center: CenterConfig
    sky: tuple[tuple[Any, ...], ...]
    photometry: PhotometryConfig
    radii: np.ndarray
    whole_frame: bool
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

    @property
    def has_line_sky(self) -> bool:
        """Whether a sky step needs whole lines of the detector."""
        chains = (*self.sky, *([self.center.sky] if isinstance(self.center.sky, list) else []))
        return any(isinstance(step, RowAmplifier) for chain in chains for step in chain)

    @property
    def needs_whole_frame(self) -> bool:
        """Whether every pixel of a frame takes part in its numbers."""
        chains = (*self.sky, *([self.center.sky] if isinstance(self.center.sky, list) else []))
        even_odd = any(getattr(step, "even_odd", False) for chain in chains for step in chain)
        framewide_center = self.center.sky == "frame" and self.center.method != "none"
        return self.whole_frame or self.photometry.off_frame == "frame" or framewide_center or even_odd

    @property
    def halo(self) -> int:
        """Frames on both sides of a frame that its numbers depend on."""
        return self.outliers.window // 2 if self.outliers is not None else 0

    @property
    def stamp(self) -> int:
        """Half width in pixels of the box about a star in which the filter along time follows it as a whole."""
        fitted = self.center.fit_box // 2 if self.center.method != "none" else 0
        return min(max(fitted, math.ceil(max([*self.radii, 0.0])) + 1, SMALLEST_STAMP), LARGEST_STAMP)

    @property
    def search(self) -> int:
        """How far from its planned position the filter along time looks for a star, in pixels."""
        if self.center.method == "none" or self.center.position in ("fixed", "file"):
            return NEAR_PLANNED
        return (self.center.search_box if self.center.predict != "none" else self.center.fit_box) // 2

    @property
    def reach(self) -> float:
        """Distance from a source to the farthest pixel that a circle or an annulus touches, in pixels."""
        edges = [step.outer for chain in self.sky for step in chain if isinstance(step, Annulus)]
        return max([*self.radii, *edges, 0.0]) + 1.0


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
    steps = [step for chain in config.sky for step in chain if isinstance(step, RowAmplifier)]
    if isinstance(config.center.sky, list):
        steps += [step for step in config.center.sky if isinstance(step, RowAmplifier)]
    if not steps:
        return np.zeros((0, 2), np.int64)
    given = [step.amplifiers for step in steps if step.amplifiers is not None]
    if given:
        if any(each != given[0] for each in given):
            raise ConfigError("sky: rowamp steps name different amplifiers; expected one layout for the detector.")
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
    """Give scale, electrons per result unit and the result's unit."""
    native = str(attributes.get("units", "") or "")
    seconds = float(attributes.get("integration_time_s", math.nan)) if native.lower().endswith("/s") else 1.0
    gain = float(attributes.get("gain", math.nan)) if gain_image is None else 1.0
    if config.input.units == "native":
        counts = native.lower() in (
            "",
            "dn",
            "adu",
            "count",
            "counts",
            "dn/s",
            "adu/s",
            "electron",
            "electrons",
        )
        if native.lower().startswith("electron"):
            gain = 1.0
        return 1.0, gain * seconds if counts else math.nan, native or "1"
    if config.input.units == "Jy":
        area = attributes.get("pixel_area_sr")
        if native != "MJy/sr" or area is None:
            raise InputError(
                f"units: Jy needs frames in MJy/sr with PIXAR_SR; found unit {native or 'none'!r} and PIXAR_SR {area}."
            )
        return 1e6 * float(area), math.nan, "Jy"
    if gain_image is not None:  # it holds the integration time already
        return 1.0, 1.0, "electron"
    if not math.isfinite(gain * seconds):
        raise InputError(
            f"units: electron needs input.gain, and for {native!r} the integration time in the header (EFFINTTM)."
        )
    return gain * seconds, 1.0, "electron"


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
    scale, electrons_per_unit, unit = _units(config, attributes, gain_image)
    read_noise = float(attributes.get("read_noise", 0.0))
    if not has_error and not math.isfinite(electrons_per_unit):
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
        radii=np.array(config.radii, float),
        whole_frame=any(isinstance(aperture, WholeFrame) for aperture in config.apertures),
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
    )
