"""What all sections of the configuration are made of: the strict model, and the types of values that a user writes."""

import math
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    model_validator,
)


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values do not change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


def expand_range(value: Any) -> Any:
    """Turn ``"3:20:0.5"`` (ends included), a number or a list of these into a list of numbers."""
    if isinstance(value, list | tuple):
        numbers: list[Any] = []
        for item in value:
            expanded = expand_range(item)
            numbers.extend(expanded if isinstance(expanded, list) else [expanded])
        return numbers
    if not isinstance(value, str) or ":" not in value:
        return [value]
    try:
        start, stop, step = (float(part) for part in [*value.split(":"), "1"][:3])
    except ValueError:
        raise ValueError(f"expected start:stop:step, found {value!r}") from None
    if value.count(":") > 2 or step <= 0 or stop < start:
        raise ValueError(f"expected start:stop:step with start ≤ stop and step > 0, found {value!r}")
    count = math.floor((stop - start) / step + 1e-9) + 1
    return [round(start + i * step, 9) for i in range(count)]


def odd(value: int) -> int:
    """Boxes are full widths and odd; an even width is rounded down."""
    return value if value % 2 else value - 1


def as_list(value: Any) -> Any:
    """Let a list of one be written without its brackets."""
    return value if isinstance(value, list | tuple) else [value]


def tagged(key: str, default: str) -> BeforeValidator:
    """Let the kind of an entry be left out where it is the common one."""
    return BeforeValidator(lambda value: {key: default} | value if isinstance(value, dict) else value)


def degrees(value: Any, hours: bool) -> float:
    """Read an angle in degrees, or as ``h:m:s`` (right ascension) or ``d:m:s`` text."""
    if isinstance(value, str) and any(mark in value for mark in ": hdm"):
        from astropy.coordinates import Angle

        return float(Angle(value, unit="hourangle" if hours else "deg").deg)
    return float(value)


Radii = Annotated[list[PositiveFloat], BeforeValidator(expand_range), Field(min_length=1)]
Names = Annotated[list[str], BeforeValidator(as_list)]
Box = Annotated[int, Field(ge=3), AfterValidator(odd)]
Overlap = Literal["exact", "center", "subpixel"]


class Region(Section):
    """How pixels on the border of a region count."""

    overlap: Overlap = "exact"
    subpixels: Annotated[int, Field(ge=1, le=100)] = 5  # a side, for overlap: subpixel

    @property
    def overlap_label(self) -> str:
        """What a label says of the overlap: nothing where it is exact."""
        return {"exact": "", "center": "-center", "subpixel": f"-subpixel{self.subpixels}"}[self.overlap]


class Width(Section):
    """What follows the width of the stars: the range of FWHM allowed, and the size that is meant at scale 1."""

    range: tuple[float, float] = (0.01, 9999.0)  # the median FWHM is clipped to it, in pixels
    reference_radius: PositiveFloat | None = None  # the radius for which sizes are given, in pixels

    @model_validator(mode="after")
    def _ordered(self) -> "Width":
        if not 0 <= self.range[0] <= self.range[1]:
            raise ValueError(f"expected range: [least, largest] FWHM in pixels, found {list(self.range)}")
        return self
