"""The configuration: what a user may say, with its defaults, checked before any pixel is read.

One model a section of the YAML file; an unknown key is refused with the nearest known one (see `tsogrid.config_file`, which
reads files and words the errors). A validated `Config` is complete: nothing downstream fills in defaults.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from tsogrid.config.apertures import Aperture, Circle
from tsogrid.config.calibrate import CalibrateConfig
from tsogrid.config.center import CenterConfig
from tsogrid.config.cluster import AutoCluster, Cluster
from tsogrid.config.observer import SiteConfig, SourceTarget, TargetConfig, clock_offset
from tsogrid.config.section import Names, Section, degrees
from tsogrid.config.sky import Annulus, SkyChain, chain_label
from tsogrid.config.stars import Catalogue, Detect, as_entries, kind_of_entry
from tsogrid.config.storage import Storage
from tsogrid.config_file import explain, read_config
from tsogrid.errors import ConfigError
from tsogrid.presets import PRESETS

DEFAULT_RADII = [3.0, 4.0, 5.0]
DEFAULT_SKY_GAP, DEFAULT_SKY_WIDTH = 3.0, 6.0  # the default annulus: r_max + 3 … r_max + 9


class InputConfig(Section):
    """``input``: which frames, and how to read them."""

    files: Names = []
    reader: Literal["auto", "jwst", "tpf", "fits"] = "auto"
    extension: int | str | None = None
    exclude: Names = []
    error: Literal["auto", "err", "none"] = "auto"
    gain: PositiveFloat | str | None = None  # electron per data unit; or a FITS file (image), or a header keyword
    read_noise: Annotated[float, Field(ge=0)] | str | None = None  # electron; or a header keyword
    units: Literal["native", "Jy", "electron"] = "native"
    rate: bool | None = None  # whether pixels are per second; None: if the unit says so
    integration_time: PositiveFloat | str | None = None  # seconds; or a header keyword; None: EFFINTTM
    plane: Annotated[int, Field(ge=0)] | None = None  # of files that hold cubes: the one frame that is meant
    header_extension: int | str | None = None  # where times and keywords are; None: with the image, then the first
    time_stamp: Literal["auto", "start", "mid", "end"] = "auto"
    time_keyword: str | None = None  # None: the most precise one
    time_format: Literal["auto", "date", "mjd", "jd"] = "auto"  # of time_keyword
    timing: Literal["auto", "integration", "segment", "counter"] = "auto"  # how integrations of an exposure are timed
    containing: bool = False  # leave out frames that do not hold every source, by their own WCS
    time_offset: Annotated[float | None, BeforeValidator(clock_offset)] = None  # hours of a local clock ahead of UTC
    site: str | SiteConfig | None = None  # None: of the header; none: no site
    target: str | TargetConfig | None = None  # None: the first source with ra and dec, else of the header
    storage: Storage = Storage()  # how files are reached whose names are URLs

    @model_validator(mode="after")
    def _whose_format(self) -> "InputConfig":
        if self.time_format != "auto" and self.time_keyword is None:
            raise ValueError(f"time_format: {self.time_format} says what a time_keyword holds, and none is given: name it")
        return self


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


Entry = Annotated[
    Annotated[Source, Tag("a star")] | Annotated[Catalogue, Tag("a catalogue")] | Annotated[Detect, Tag("a detection")],
    Discriminator(kind_of_entry),
]


class PhotometryConfig(Section):
    """``photometry``: how errors are summed, and what an aperture over the edge gives."""

    variance_weight: Literal["w2", "w"] = "w2"
    off_frame: Literal["partial", "frame", "nan"] = "partial"
    sky_error: Literal["propagated", "measured"] = "propagated"  # from the pixels' errors, or from their scatter
    sky_area: Literal["pixels", "analytic"] = "pixels"  # of regions that take pixels whole or by halves


class OutputConfig(Section):
    """``output``: where the result goes; the block's size changes no number."""

    store: str | None = None
    storage: Storage = Storage()  # how a store on s3:// is reached
    block: Literal["auto"] | PositiveInt = "auto"
    diagnostics: list[Annotated[int, Field(ge=0)]] = []  # frames of which the sky's model is saved, before and after
    file_names: Literal["plain", "hashed"] = "plain"  # how the store names the input files; never their folders


class PlotConfig(Section):
    """``plot``: how results are shown; it changes no number."""

    time_reference: float | None = None  # days that are taken off the times


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
    sources: Annotated[list[Entry], BeforeValidator(as_entries)] = []
    calibrate: CalibrateConfig = CalibrateConfig()
    center: CenterConfig = CenterConfig()
    sky: list[SkyChain] = []
    apertures: list[Aperture] = [Circle(radius=DEFAULT_RADII)]
    photometry: PhotometryConfig = PhotometryConfig()
    output: OutputConfig = OutputConfig()
    plot: PlotConfig = PlotConfig()
    cluster: Cluster = AutoCluster()

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
        plain = [each for each in self.apertures if isinstance(each, Circle) and each.radius and each.overlap == "exact"]
        radii = sorted({radius for circle in plain for radius in circle.radius or []})
        shapes: list[Any] = [Circle(radius=radii)] if radii else []
        shapes += [aperture for aperture in self.apertures if aperture not in plain]
        if not shapes:
            raise ValueError("apertures: expected at least one, found none")
        object.__setattr__(self, "apertures", shapes)
        self._require_widths()
        if not self.sky:
            inner = max(radii, default=max(DEFAULT_RADII)) + DEFAULT_SKY_GAP
            object.__setattr__(self, "sky", [[Annulus(inner=inner, outer=inner + DEFAULT_SKY_WIDTH)]])
        for what, labels in (
            ("sources", [source.name for source in self.stars]),
            ("sky", [chain_label(chain) for chain in self.sky]),
            ("apertures", [label for aperture in shapes for label in aperture.labels]),
        ):
            repeated = sorted(label for label, count in Counter(labels).items() if count > 1)
            if repeated:
                raise ValueError(f"{what}: expected different names, found {', '.join(repeated)} more than once")
        return self

    def _require_widths(self) -> None:
        """Refuse sizes that follow the width of the stars where no width is measured."""
        if self.follows_width and self.center.method == "none":
            raise ValueError("scaled: sizes that follow the FWHM need a center.method that measures it, such as gaussian")

    @property
    def follows_width(self) -> bool:
        """Whether an aperture or a sky region follows the width of the stars."""
        steps = [step for chain in self.sky for step in chain]
        return any(getattr(each, "scaled", None) is not None for each in (*self.apertures, *steps))

    @property
    def stars(self) -> list[Source]:
        """The sources that are stars; all of them once catalogues and detections have become stars."""
        return [source for source in self.sources if isinstance(source, Source)]

    @property
    def radii(self) -> list[float]:
        """Radii of the circular apertures of fixed size and exact overlap, ascending, in pixels."""
        first = self.apertures[0]
        exact = isinstance(first, Circle) and first.radius is not None and first.overlap == "exact"
        return list(first.radius or []) if exact and isinstance(first, Circle) else []

    @property
    def observed(self) -> InputConfig:
        """``input``, with the first target that is given by ra and dec as that of the times if none is named."""
        ordered = sorted(self.stars, key=lambda source: source.role != "target")
        on_sky = [(source.ra, source.dec) for source in ordered if source.ra is not None and source.dec is not None]
        if self.input.target is not None or not on_sky:
            return self.input
        ra, dec = on_sky[0]
        return self.input.model_copy(update={"target": SourceTarget(ra=ra, dec=dec)})

    def scientific(self) -> dict[str, Any]:
        """Give the part of the configuration that decides the numbers (no paths, output or cluster)."""
        content = self.model_dump(mode="json", exclude={"output", "plot", "cluster", "preset"})
        for key in ("files", "exclude", "storage"):  # which files were read, the identity of the inputs tells
            content["input"].pop(key)
        files = (("center", "psf"), ("center", "position_file"), ("input", "gain"), ("calibrate", "mask"))
        for section, key in files:
            if isinstance(content[section][key], str):
                content[section][key] = Path(content[section][key]).name
        if content["center"]["drift"]:
            content["center"]["drift"]["file"] = Path(content["center"]["drift"]["file"]).name
        calibrate = content["calibrate"]
        calibrate.pop("masters")  # where they are kept
        for key in ("bias", "dark", "flat"):
            if calibrate[key] is not None:
                calibrate[key]["files"] = [Path(name).name for name in calibrate[key]["files"]]
        # What is not used is not told: a store that was made before a key was known goes on.
        for key, nothing in (("bias", None), ("dark", None), ("flat", None), ("bad_columns", []), ("errors", "frame")):
            if calibrate[key] == nothing:
                calibrate.pop(key)
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
