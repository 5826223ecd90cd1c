"""The configuration: what a user may say, with its defaults, checked before any pixel is read.

One model a section of the YAML file; an unknown key is refused with the nearest known one (see `tsogrid.config_file`, which
reads files and words the errors). A validated `Config` is complete: nothing downstream fills in defaults.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from tsogrid.config_file import explain, read_config
from tsogrid.errors import ConfigError
from tsogrid.presets import PRESETS

DEFAULT_RADII = [3.0, 4.0, 5.0]
DEFAULT_SKY_GAP, DEFAULT_SKY_WIDTH = 3.0, 6.0  # the default annulus: r_max + 3 … r_max + 9


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


def _odd(value: int) -> int:
    """Boxes are full widths and odd; an even width is rounded down."""
    return value if value % 2 else value - 1


Radii = Annotated[list[PositiveFloat], BeforeValidator(expand_range), Field(min_length=1)]
Box = Annotated[int, Field(ge=3), AfterValidator(_odd)]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def degrees(value: Any, hours: bool) -> float:
    """Read an angle in degrees, or as ``h:m:s`` (right ascension) or ``d:m:s`` text."""
    if isinstance(value, str) and any(mark in value for mark in ": hdm"):
        from astropy.coordinates import Angle

        return float(Angle(value, unit="hourangle" if hours else "deg").deg)
    return float(value)


class InputConfig(Section):
    """``input``: which frames, and how to read them."""

    files: Annotated[list[str], BeforeValidator(_as_list)] = []
    reader: Literal["auto", "jwst", "fits"] = "auto"
    extension: int | str | None = None
    exclude: Annotated[list[str], BeforeValidator(_as_list)] = []
    error: Literal["auto", "err", "none"] = "auto"
    gain: PositiveFloat | str | None = None  # electron per data unit; or a FITS file (image), or a header keyword
    read_noise: Annotated[float, Field(ge=0)] | str | None = None  # electron; or a header keyword
    units: Literal["native", "Jy", "electron"] = "native"
    time_stamp: Literal["auto", "start", "mid", "end"] = "auto"
    site: str | dict[str, float] | None = None
    target: str | dict[str, Any] | None = None


class Source(Section):
    """One of ``sources``: a star by its pixel (0-based) or its sky position."""

    name: str
    x: float | None = None
    y: float | None = None
    ra: float | None = None
    dec: float | None = None
    role: Literal["target", "reference"] = "target"

    @field_validator("ra", mode="before")
    @classmethod
    def _ra(cls, value: Any) -> Any:
        return None if value is None else degrees(value, hours=True)

    @field_validator("dec", mode="before")
    @classmethod
    def _dec(cls, value: Any) -> Any:
        return None if value is None else degrees(value, hours=False)

    @model_validator(mode="after")
    def _one_position(self) -> "Source":
        pixel, sky = (self.x, self.y), (self.ra, self.dec)
        if [None in pixel, None in sky].count(False) != 1 or (None in pixel) != (pixel == (None, None)):
            raise ValueError(f"source {self.name!r} needs either x and y (pixels) or ra and dec (degrees)")
        return self


class CalibrateConfig(Section):
    """``calibrate``: which pixels are bad."""

    dq: Annotated[list[str], BeforeValidator(_as_list)] = ["DO_NOT_USE"]
    outliers: None = None
    saturation: None = None
    nan: Literal["mask"] = "mask"


class Annulus(Section):
    """A sky level from a circular annulus about the source."""

    method: Literal["annulus"] = "annulus"
    inner: Annotated[float, Field(ge=0)]
    outer: PositiveFloat
    statistic: Literal["mean", "median", "clipped-mean", "clipped-median", "robust-mean"] = "clipped-median"

    @model_validator(mode="after")
    def _ordered(self) -> "Annulus":
        if self.inner >= self.outer:
            raise ValueError(f"expected inner < outer, found inner {self.inner:g} and outer {self.outer:g}")
        return self

    @property
    def label(self) -> str:
        return f"annulus{self.inner:g}-{self.outer:g}-{self.statistic}"


class RowAmplifier(Section):
    """The 1/f noise of a row within an amplifier: its median outside the sources."""

    method: Literal["rowamp"] = "rowamp"
    mask_radius: PositiveFloat = 20.0
    even_odd: bool = False
    amplifiers: list[tuple[int, int]] | None = None  # column ranges [start, stop); None: from the header

    @field_validator("amplifiers")
    @classmethod
    def _ranges(cls, value: list[tuple[int, int]] | None) -> list[tuple[int, int]] | None:
        for index, (start, stop) in enumerate(value or []):
            if start < 0 or start >= stop or (index and start < (value or [])[index - 1][1]):
                raise ValueError(f"expected ascending column ranges [start, stop), found {value}")
        return value

    @property
    def label(self) -> str:
        odd = "-evenodd" if self.even_odd else ""
        return f"rowamp{self.mask_radius:g}{odd}"


class NoSky(Section):
    """No sky is taken off."""

    method: Literal["none"] = "none"

    @property
    def label(self) -> str:
        return "none"


def _tagged(key: str, default: str) -> BeforeValidator:
    """Let the kind of an entry be left out where it is the common one."""
    return BeforeValidator(lambda value: {key: default} | value if isinstance(value, dict) else value)


SkyStep = Annotated[Annulus | RowAmplifier | NoSky, Field(discriminator="method"), _tagged("method", "annulus")]
SkyChain = Annotated[list[SkyStep], BeforeValidator(_as_list), Field(min_length=1)]


def chain_label(chain: list[Any]) -> str:
    """Name a chain of sky steps: the labels of its steps joined by ``+``."""
    return "+".join(step.label for step in chain)


class CenterConfig(Section):
    """``center``: where the source is in each frame, and where the apertures go."""

    predict: Literal["cross-correlation", "center-of-mass", "none"] = "cross-correlation"
    guess: Literal["frame", "median"] = "frame"  # the fit box follows each frame's prediction, or their median
    search_box: Box = 41
    psf: str = "gaussian"  # or a FITS image of a PSF
    psf_sigma: PositiveFloat = 1.5
    method: Literal["gaussian", "center-of-mass", "none"] = "gaussian"
    fit_box: Box = 25
    weights: Literal["model", "error", "none"] = "model"
    angle: bool = False
    sky: Literal["auto", "frame"] | SkyChain = "auto"
    dq: Annotated[list[str], BeforeValidator(_as_list)] = ["DO_NOT_USE"]
    position: Literal["frame", "median", "fixed", "smooth", "file"] = "frame"
    position_file: str | None = None
    smooth_window: Box = 25  # frames, for position: smooth
    fallback: Literal["nan", "planned"] = "nan"  # where no centre was found

    @model_validator(mode="after")
    def _consistent(self) -> "CenterConfig":
        if self.position == "file" and self.position_file is None:
            raise ValueError("position: file needs position_file: a table with frame, source, x, y")
        if self.position in ("frame", "median", "smooth") and self.method == "none":
            raise ValueError(f"position: {self.position} needs a method that measures (gaussian, center-of-mass)")
        return self


class Circle(Section):
    """Circular apertures of one or many radii, in pixels."""

    shape: Literal["circle"] = "circle"
    radius: Radii

    @property
    def labels(self) -> list[str]:
        return [f"r{radius:g}" for radius in self.radius]


class WholeFrame(Section):
    """The sum of all pixels of the frame."""

    shape: Literal["frame"] = "frame"

    @property
    def labels(self) -> list[str]:
        return ["frame"]


Aperture = Annotated[Circle | WholeFrame, Field(discriminator="shape"), _tagged("shape", "circle")]


class PhotometryConfig(Section):
    """``photometry``: how errors are summed, and what an aperture over the edge gives."""

    variance_weight: Literal["w2", "w"] = "w2"
    off_frame: Literal["partial", "frame", "nan"] = "partial"


class OutputConfig(Section):
    """``output``: where the result goes; the block's size changes no number."""

    store: str | None = None
    block: Literal["auto"] | PositiveInt = "auto"


class ClusterConfig(Section):
    """``cluster``: where the blocks are measured."""

    kind: Literal["auto", "none", "local", "address"] = "auto"
    workers: PositiveInt | None = None
    address: str | None = None

    @model_validator(mode="after")
    def _address(self) -> "ClusterConfig":
        if (self.kind == "address") != (self.address is not None):
            raise ValueError("kind: address and address: tcp://host:port belong together")
        return self


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


class Config(Section):
    """The whole configuration of a run.

    Raises
    ------
    ConfigError
        From `from_yaml` and `from_mapping`: each wrong key or value, with what was expected.
    """

    preset: Literal["jwst"] | None = None
    input: InputConfig = InputConfig()
    sources: list[Source] = []
    calibrate: CalibrateConfig = CalibrateConfig()
    center: CenterConfig = CenterConfig()
    sky: list[SkyChain] = []
    apertures: list[Aperture] = [Circle(radius=DEFAULT_RADII)]
    photometry: PhotometryConfig = PhotometryConfig()
    output: OutputConfig = OutputConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if isinstance(data.get("preset"), str) and data["preset"] in PRESETS:
            data = _merge(PRESETS[data["preset"]], data)
        return {key: value for key, value in data.items() if value is not None}

    @model_validator(mode="after")
    def _complete(self) -> "Config":
        circles = [aperture.radius for aperture in self.apertures if isinstance(aperture, Circle)]
        radii = sorted({radius for group in circles for radius in group})
        shapes: list[Any] = [Circle(radius=radii)] if radii else []
        shapes += [aperture for aperture in self.apertures if not isinstance(aperture, Circle)][:1]
        if not shapes:
            raise ValueError("apertures: expected at least one, found none")
        object.__setattr__(self, "apertures", shapes)
        if not self.sky:
            inner = max(radii, default=max(DEFAULT_RADII)) + DEFAULT_SKY_GAP
            object.__setattr__(self, "sky", [[Annulus(inner=inner, outer=inner + DEFAULT_SKY_WIDTH)]])
        for what, labels in (
            ("sources", [source.name for source in self.sources]),
            ("sky", [chain_label(chain) for chain in self.sky]),
        ):
            repeated = sorted({label for label in labels if labels.count(label) > 1})
            if repeated:
                raise ValueError(f"{what}: expected different names, found {', '.join(repeated)} more than once")
        return self

    @property
    def radii(self) -> list[float]:
        """Radii of the circular apertures, ascending, in pixels."""
        return [radius for shape in self.apertures if isinstance(shape, Circle) for radius in shape.radius]

    def scientific(self) -> dict[str, Any]:
        """Give the part of the configuration that decides the numbers (no paths, output or cluster)."""
        content = self.model_dump(mode="json", exclude={"output", "cluster", "preset"})
        content["input"].pop("files")
        for section, key in (("center", "psf"), ("center", "position_file"), ("input", "gain")):
            if isinstance(content[section][key], str):
                content[section][key] = Path(content[section][key]).name
        return content

    @classmethod
    def from_mapping(cls, content: Any, where: str = "configuration") -> "Config":
        """Check a nested dict; like ``model_validate`` with errors in the user's words."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ConfigError(explain(error, where, cls)) from None

    @classmethod
    def from_yaml(cls, path: str | Path, overrides: dict[str, Any] | None = None) -> "Config":
        """Read a YAML file; relative paths in it are relative to the file.

        Parameters
        ----------
        path : path-like
            The file.
        overrides : dict, optional
            Dotted key → value, for example ``{"sky.0.inner": 10}``.

        Returns
        -------
        Config

        Raises
        ------
        ConfigError
            The file is missing, is not YAML, or holds a wrong key or value.
        """
        return cls.from_mapping(read_config(Path(path), overrides or {}, cls), where=str(path))
