"""``apertures``: the regions over which pixels are summed."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, model_validator

from tsogrid.config.section import Radii, Region, Section, Width, expand_range, tagged

Factors = Annotated[list[PositiveFloat], BeforeValidator(expand_range), Field(min_length=1)]


class Scaled(Width):
    """Sizes that follow the width of the stars: each factor times the median FWHM of all sources in the frame."""

    factor: Factors


class Shape(Region):
    """An aperture; with ``scaled`` one for each factor."""

    scaled: Scaled | None = None

    @property
    def sizes(self) -> list[float]:
        """Factors on the FWHM, or one NaN where the size is fixed."""
        return list(self.scaled.factor) if self.scaled else [math.nan]

    def _labels(self, name: str) -> list[str]:
        """Name the shape at every factor."""
        factors = [f"-x{factor:g}" for factor in self.scaled.factor] if self.scaled else [""]
        return [f"{name}{factor}{self.overlap_label}" for factor in factors]

    def _reference_needed(self) -> None:
        if self.scaled is not None and self.scaled.reference_radius is None:
            raise ValueError(
                "scaled: expected reference_radius, the radius (factor × FWHM, in pixels) at which the sizes given here hold"
            )


class Circle(Shape):
    """Circular apertures of one or many radii, in pixels."""

    shape: Literal["circle"] = "circle"
    radius: Radii | None = None

    @model_validator(mode="after")
    def _one_size(self) -> "Circle":
        if (self.radius is None) == (self.scaled is None):
            raise ValueError("expected either radius (pixels), or scaled: {factor: …} (times the FWHM)")
        return self

    @property
    def radii(self) -> list[float]:
        """Fixed radii in pixels; NaN for each that follows the FWHM."""
        return list(self.radius) if self.radius is not None else [math.nan] * len(self.sizes)

    @property
    def labels(self) -> list[str]:
        if self.radius is None:
            return [label.removeprefix("-") for label in self._labels("")]
        return [f"r{radius:g}{self.overlap_label}" for radius in self.radius]


class Rectangle(Shape):
    """A rectangle along the axes of the frame."""

    shape: Literal["rectangle"] = "rectangle"
    width: PositiveFloat
    height: PositiveFloat

    @model_validator(mode="after")
    def _reference(self) -> "Rectangle":
        self._reference_needed()
        return self

    @property
    def labels(self) -> list[str]:
        return self._labels(f"rect{self.width:g}x{self.height:g}")


class Ring(Shape):
    """A circular annulus as an aperture."""

    shape: Literal["annulus"] = "annulus"
    inner: PositiveFloat
    outer: PositiveFloat

    @model_validator(mode="after")
    def _ordered(self) -> "Ring":
        if self.inner >= self.outer:
            raise ValueError(f"expected inner < outer, found inner {self.inner:g} and outer {self.outer:g}")
        self._reference_needed()
        return self

    @property
    def labels(self) -> list[str]:
        return self._labels(f"annulus{self.inner:g}-{self.outer:g}")


class WholeFrame(Section):
    """The sum of all pixels of the frame."""

    shape: Literal["frame"] = "frame"

    @property
    def labels(self) -> list[str]:
        return ["frame"]


Aperture = Annotated[Circle | Rectangle | Ring | WholeFrame, Field(discriminator="shape"), tagged("shape", "circle")]
