"""``sky``: the steps that find the sky, and the chains that they make."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from tsogrid.config.section import Box, Region, Section, Width, as_list, tagged

Statistic = Literal["mean", "median", "clipped-mean", "clipped-median", "robust-mean"]
Offset = tuple[float, float]


class FollowingWidth(Width):
    """How a sky region follows the width of the stars: its borders move by ``factor × FWHM − reference_radius``."""

    factor: PositiveFloat
    reference_radius: PositiveFloat

    @property
    def label(self) -> str:
        return f"-x{self.factor:g}"


class Local(Region):
    """A sky level from a region about each source."""

    statistic: Statistic = "clipped-median"
    offset: Offset = (0.0, 0.0)  # of its centre from the source: dx, dy in pixels
    scaled: FollowingWidth | None = None

    @model_validator(mode="after")
    def _whole_pixels(self) -> "Local":
        if self.statistic != "mean" and self.overlap == "subpixel":
            raise ValueError(f"overlap: {self.overlap} needs statistic: mean; {self.statistic} takes whole pixels")
        return self

    @property
    def details(self) -> str:
        """What a label says beside shape and size."""
        offset = f"-at{self.offset[0]:+g}{self.offset[1]:+g}" if any(self.offset) else ""
        scaled = self.scaled.label if self.scaled else ""
        overlap = self.overlap_label if self.statistic == "mean" else ""
        return f"-{self.statistic}{offset}{overlap}{scaled}"


def _ordered(inner: float, outer: float) -> None:
    if inner >= outer:
        raise ValueError(f"expected inner < outer, found inner {inner:g} and outer {outer:g}")


class Annulus(Local):
    """A sky level from a circular annulus about the source."""

    method: Literal["annulus"] = "annulus"
    inner: Annotated[float, Field(ge=0)]
    outer: PositiveFloat

    @model_validator(mode="after")
    def _radii(self) -> "Annulus":
        _ordered(self.inner, self.outer)
        return self

    @property
    def label(self) -> str:
        return f"annulus{self.inner:g}-{self.outer:g}{self.details}"


class SkyRectangle(Local):
    """A sky level from a rectangle, mostly beside the source."""

    method: Literal["rectangle"] = "rectangle"
    width: PositiveFloat
    height: PositiveFloat

    @property
    def label(self) -> str:
        return f"rect{self.width:g}x{self.height:g}{self.details}"


class ColumnRow(Section):
    """A polynomial along each column and each row of a cut-out about the source, the source itself left out."""

    method: Literal["colrow"] = "colrow"
    order_x: Annotated[int, Field(ge=0, le=5)] = 1
    order_y: Annotated[int, Field(ge=0, le=5)] = 1
    directions: Annotated[list[Literal["X", "Y"]], BeforeValidator(as_list), Field(min_length=1)] = ["Y", "X"]
    inner: Annotated[float, Field(ge=0)] | None = None
    outer: PositiveFloat | None = None
    width: PositiveFloat | None = None
    height: PositiveFloat | None = None
    offset: Offset = (0.0, 0.0)
    scaled: FollowingWidth | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> "ColumnRow":
        ring, box = (self.inner, self.outer), (self.width, self.height)
        if None not in ring and box == (None, None):
            _ordered(float(self.inner or 0), float(self.outer or 0))
        elif not (None not in box and ring == (None, None)):
            raise ValueError("colrow: expected either inner and outer (a ring), or width and height (a rectangle)")
        return self

    @property
    def label(self) -> str:
        shape = f"{self.inner:g}-{self.outer:g}" if self.outer is not None else f"{self.width:g}x{self.height:g}"
        offset = f"-at{self.offset[0]:+g}{self.offset[1]:+g}" if any(self.offset) else ""
        scaled = self.scaled.label if self.scaled else ""
        return f"colrow{shape}-{''.join(self.directions)}-x{self.order_x}y{self.order_y}{offset}{scaled}"


class AmplifierStep(Section):
    """A step that works on the lines of the read-out amplifiers, the sources hidden."""

    method: str
    mask_radius: PositiveFloat = 20.0
    even_odd: bool = False
    amplifiers: Annotated[list[tuple[int, int]], Field(min_length=1)] | None = (
        None  # column ranges [start, stop); None: from the header
    )

    @field_validator("amplifiers")
    @classmethod
    def _ranges(cls, value: list[tuple[int, int]] | None) -> list[tuple[int, int]] | None:
        for index, (start, stop) in enumerate(value or []):
            if start < 0 or start >= stop or (index and start < (value or [])[index - 1][1]):
                raise ValueError(f"expected ascending column ranges [start, stop), found {value}")
        return value


class RowAmplifier(AmplifierStep):
    """The 1/f noise of a row within an amplifier: its median outside the sources."""

    method: Literal["rowamp"] = "rowamp"
    each_column: bool = False  # the median of every column first, in place of even and odd ones
    smooth: Box | None = None  # rows in a Savitzky-Golay filter over the levels
    smooth_order: Annotated[int, Field(ge=0, le=5)] = 2
    fill: bool = False  # lines without background take the mean of the other amplifiers
    reference_pixels: PositiveInt | None = None  # pixels at the ends of a line that see no light: only these count

    @model_validator(mode="after")
    def _consistent(self) -> "RowAmplifier":
        if self.even_odd and self.each_column:
            raise ValueError("expected one of even_odd and each_column: every column takes its own parity along")
        if self.smooth is not None and self.smooth_order >= self.smooth:
            raise ValueError(f"expected smooth_order < smooth, found {self.smooth_order} and {self.smooth}")
        return self

    @property
    def label(self) -> str:
        parts = [
            f"rowamp{self.mask_radius:g}",
            *(["evenodd"] if self.even_odd else []),
            *(["columns"] if self.each_column else []),
            *([f"smooth{self.smooth}o{self.smooth_order}"] if self.smooth else []),
            *(["fill"] if self.fill else []),
            *([f"ref{self.reference_pixels}"] if self.reference_pixels else []),
        ]
        return "-".join(parts)


class ReadoutProcess(AmplifierStep):
    """1/f noise as a Gaussian process along the time in which the pixels were read; needs celerite2."""

    method: Literal["readout-gp"] = "readout-gp"
    pixel_time: PositiveFloat = 10.0  # microseconds
    row_overhead: Annotated[float, Field(ge=0)] = 12.0  # pixels
    timescale: PositiveFloat | None = None  # microseconds; None: from the frame

    @property
    def label(self) -> str:
        odd = "-evenodd" if self.even_odd else ""
        scale = f"-t{self.timescale:g}" if self.timescale else ""
        return f"readoutgp{self.mask_radius:g}{odd}{scale}"


class NoSky(Section):
    """No sky is taken off."""

    method: Literal["none"] = "none"

    @property
    def label(self) -> str:
        return "none"


SkyStep = Annotated[
    Annulus | SkyRectangle | ColumnRow | RowAmplifier | ReadoutProcess | NoSky,
    Field(discriminator="method"),
    tagged("method", "annulus"),
]


def _in_order(chain: list[Any]) -> list[Any]:
    """A model of the frame comes first: after a cut-out about each source there is no frame left to model."""
    cut = False
    for step in chain:
        if cut and isinstance(step, AmplifierStep | ColumnRow):
            raise ValueError(f"{step.method} cannot follow colrow: put it before (colrow ends the steps that model pixels)")
        cut = cut or isinstance(step, ColumnRow)
    return chain


SkyChain = Annotated[list[SkyStep], BeforeValidator(as_list), Field(min_length=1), AfterValidator(_in_order)]


def chain_label(chain: list[Any]) -> str:
    """Name a chain of sky steps: the labels of its steps joined by ``+``."""
    return "+".join(step.label for step in chain)
