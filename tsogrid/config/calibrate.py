"""``calibrate``: what is taken off the pixels before anything is measured, and which of them are bad.

A calibration frame is named by a file (a master, ready to use) or by the raw frames that a master is made of.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from tsogrid.config.section import Box, Names, Section, as_list, expand_range

NonNegative = Annotated[float, Field(ge=0)]


def _named(value: Any) -> Any:
    """Let the files stand alone where nothing else is said of them."""
    return {"files": value} if isinstance(value, str | list | tuple) else value


class Master(Section):
    """A calibration frame: one file that is ready, or raw frames to combine."""

    files: Annotated[Names, Field(min_length=1)]
    raw: bool | None = None  # whether they are frames as read out; None: if there are several, or a pattern
    combine: Literal["clipped-mean", "median"] = "clipped-mean"
    clip: PositiveFloat = 5.0  # standard deviations, for clipped-mean


class Dark(Master):
    """``dark``: the signal that collects without light."""

    scale: Literal["auto", "exposure", "none"] = "auto"  # auto: by the exposure times, where they differ
    exposure: PositiveFloat | None = None  # seconds; None: as its header says


class Flat(Master):
    """``flat``: how much light each pixel takes."""

    filter: str | None = None  # None: that of the frames; where several are named the one that fits is taken
    minimum: NonNegative = 0.05  # of the median; less is a bad pixel


class Amplifier(Section):
    """One read-out amplifier: its overscan, the pixels that it reads, its gain. Sections are written as in FITS headers."""

    section: str  # "[x1:x2,y1:y2]", counted from 1, ends included; or a header keyword
    data: str | None = None  # likewise; None: all pixels outside the overscan
    gain: PositiveFloat | None = None
    read_noise: NonNegative | None = None


class Overscan(Section):
    """``overscan``: the level that pixels without light show, in each frame."""

    amplifiers: Annotated[list[Amplifier], BeforeValidator(as_list)] = []  # none: BIASSEC of the header
    trim: str | Literal[True, False] = True  # whether pixels outside the data section are bad; or that section
    statistic: Literal["clipped-mean", "mean", "median"] = "clipped-mean"  # over the overscan pixels of a line
    order: Annotated[int, Field(ge=0, le=20)] | None = None  # of a polynomial along the lines; None: each its own level
    skip: Annotated[int, Field(ge=0)] = 0  # pixels next to the image that are left out, for charge that trails

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        """Let a section or a list of amplifiers stand alone."""
        if data is True or data == "auto":
            return {}
        if isinstance(data, list):
            return {"amplifiers": [{"section": each} if isinstance(each, str) else each for each in data]}
        return {"amplifiers": [{"section": data}]} if isinstance(data, str) else data


class CosmicRays(Section):
    """``cosmic_rays``: L.A.Cosmic (van Dokkum 2001), frame by frame; needs astroscrappy."""

    threshold: PositiveFloat = 4.5  # of the Laplacian, in standard deviations
    neighbours: Annotated[float, Field(gt=0, le=1)] = 0.3  # factor on the threshold for pixels beside a hit
    contrast: PositiveFloat = 5.0  # between the Laplacian and the fine structure; raise it where cores of stars are hit
    iterations: PositiveInt = 4
    repair: Literal["mask", "neighbours"] = "mask"  # a hit pixel is bad, or takes the mean of its good neighbours

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {} if data is True else data


class Outliers(Section):
    """Pixels that stand out of their own time series, once the star's own changes are taken out."""

    window: Box = 11  # frames in the running median
    threshold: PositiveFloat = 5.0  # standard deviations
    repair: Literal["median", "mask"] = "median"  # the pixel takes the median's value, or is left out


class Saturation(Section):
    """Apertures that hold too many saturated pixels have no flux."""

    level: float  # a pixel above it is saturated; in the unit of the result, with calibration frames in that of the file
    pixels: PositiveInt = 1  # as many in an aperture make it NaN


class CalibrateConfig(Section):
    """``calibrate``: calibration frames, and which pixels are bad."""

    overscan: Overscan | None = None
    bias: Annotated[Master, BeforeValidator(_named)] | None = None
    dark: Annotated[Dark, BeforeValidator(_named)] | None = None
    flat: Annotated[Flat, BeforeValidator(_named)] | None = None
    masters: str | None = None  # folder of the masters that were made; None: `masters` beside the store
    errors: Literal["frame", "all"] = "frame"  # what changes from frame to frame, or also the noise of the masters
    bad_columns: Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(expand_range)] = []
    cosmic_rays: CosmicRays | None = None
    dq: Names = ["DO_NOT_USE"]
    mask: str | None = None  # a FITS image: pixels that are not 0 are bad
    outliers: Outliers | None = None
    saturation: Saturation | None = None
    nan: Literal["mask", "leave"] | float = "mask"

    @model_validator(mode="before")
    @classmethod
    def _elsewhere(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in ("gain", "read_noise"):
                if key in data:
                    raise ValueError(f"{key} stands under input: write input.{key}, or that of each amplifier in overscan")
        return data

    @field_validator("overscan", "cosmic_rays", mode="before")
    @classmethod
    def _switched_off(cls, value: Any) -> Any:
        return None if value is False else value

    @property
    def has_frames(self) -> bool:
        """Whether pixels are changed by calibration frames or an overscan."""
        return any(each is not None for each in (self.overscan, self.bias, self.dark, self.flat))
