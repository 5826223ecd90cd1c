"""``center``: where the source is in each frame, and where the apertures go."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from tsogrid.config.section import Box, Names, Section
from tsogrid.config.sky import ColumnRow, SkyChain


class Drift(Section):
    """Planned positions that move from frame to frame, by shifts that are known from elsewhere."""

    file: str  # CSV or ECSV with Index, dx, dy; or a result: a store, or a FITS file with CENTROIDS
    scale: float = 1.0  # pixels here for one pixel there
    source: int | str = 0  # of a result: whose motion, counted from its first frame


class Registration(Section):
    """Planned positions that follow the pattern of the stars, which is that of a reference frame."""

    frame: Annotated[int, Field(ge=0)] | str = 0  # on which the sources' pixels are meant: number in the series, or file
    mirror: bool = False  # whether frames may be mirror images of it


class CenterConfig(Section):
    """``center``: where the source is in each frame, and where the apertures go."""

    predict: Literal["cross-correlation", "center-of-mass", "none"] = "cross-correlation"
    guess: Literal["frame", "median"] = "frame"  # the fit box follows each frame's prediction, or their median
    search_box: Box = 41
    psf: str = "gaussian"  # or a FITS image of a PSF
    psf_sigma: PositiveFloat = 1.5
    method: Literal["gaussian", "gaussian-1d", "center-of-mass", "quadratic", "none"] = "gaussian"
    fit_box: Box = 25
    weights: Literal["model", "error", "none"] = "model"
    angle: bool = False
    sky: Literal["auto", "frame"] | SkyChain = "auto"
    dq: Names = ["DO_NOT_USE"]
    position: Literal["frame", "common", "median", "fixed", "smooth", "file"] = "frame"
    position_file: str | None = None
    drift: Drift | None = None
    registration: Literal["auto", "off"] | Registration = "auto"
    smooth_window: Box = 25  # frames, for position: smooth
    repair: Annotated[float, Field(gt=0)] | None = None  # MAD beyond which a centre is an outlier of the series
    fallback: Literal["nan", "planned"] = "nan"  # where no centre was found

    @field_validator("registration", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        if value is True or value == "on":
            return {}
        return "auto" if value is None else "off" if value is False else value

    @property
    def own_ways(self) -> list[str]:
        """What asks for another way to the places of sources than registering frames, in words."""
        ways = {
            "method: none": self.method == "none",
            "predict: none": self.predict == "none",
            "drift": self.drift is not None,
            "guess: median": self.guess == "median",
            "repair": self.repair is not None,
            f"position: {self.position}": self.position not in ("frame", "common"),
        }
        return [what for what, there in ways.items() if there]

    @model_validator(mode="after")
    def _consistent(self) -> "CenterConfig":
        if self.position == "file" and self.position_file is None:
            raise ValueError("position: file needs position_file: a table with frame, source, x, y, or another result")
        if self.position != "file" and self.position_file is not None:
            raise ValueError(f"position_file is read with position: file, found position: {self.position}: give that too")
        if self.repair is not None and self.method == "none":
            raise ValueError("repair mends measured centres, and method: none measures none: leave repair out")
        if isinstance(self.sky, list) and any(getattr(step, "scaled", None) for step in self.sky):
            raise ValueError(
                "center.sky: scaled needs the FWHM, which is measured after the sky is taken off: give fixed sizes"
            )
        if isinstance(self.sky, list) and any(isinstance(step, ColumnRow) for step in self.sky):
            raise ValueError("center.sky: colrow models a cut-out about a centre that is not found yet: give other steps")
        if self.position == "file" and self.drift is not None:
            raise ValueError("expected one of position: file and drift: both say where the sources are in each frame")
        self._registrable()
        if self.position in ("frame", "common", "median", "smooth") and self.method == "none":
            raise ValueError(
                f"position: {self.position} needs a method that measures (gaussian, gaussian-1d, center-of-mass, quadratic)"
            )
        return self

    def _registrable(self) -> None:
        """Refuse a registration beside what also says where the sources are, or needs it of the whole series before."""
        if not isinstance(self.registration, Registration):
            return
        others = {
            "position: file": self.position == "file",
            "drift": self.drift is not None,
            f"position: {self.position}, a place for many frames of a field that may jump": self.position
            in ("median", "smooth"),
            "guess: median": self.guess == "median",
            "repair": self.repair is not None,
        }
        found = [what for what, there in others.items() if there]
        if found:
            raise ValueError(
                "expected registration alone to tell where the sources are in each frame, found it beside "
                f"{'; '.join(found)}. Leave that out, or say registration: off"
            )
