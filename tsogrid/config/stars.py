"""Sources that are not written out one by one: the rows of a catalogue, or the stars that are found on a frame.

An entry of ``sources`` is one star, a catalogue, or a detection; a list may hold all three. When the frames are known, each
entry becomes the stars that it stands for (`tsogrid.field.listing`), and these are what a result remembers.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from tsogrid.config.section import Section

Role = Literal["target", "reference"]


class Catalogue(Section):
    """A table of stars, one a row; columns that are not named are guessed by their usual names."""

    catalogue: str  # CSV, ECSV, FITS or VOTable
    name: str | None = None  # columns
    ra: str | None = None
    dec: str | None = None
    x: str | None = None
    y: str | None = None
    role: Role = "target"  # of all of its stars
    only: list[str] | None = None  # names of the rows that are taken

    @model_validator(mode="after")
    def _one_pair(self) -> "Catalogue":
        sky, pixel = (self.ra, self.dec), (self.x, self.y)
        halves = any((None in pair) != (pair == (None, None)) for pair in (sky, pixel))
        if halves or (None not in sky and None not in pixel):
            raise ValueError("catalogue: expected the columns ra and dec, or x and y, or neither (they are guessed)")
        return self


class Detection(Section):
    """How stars are found on a frame, and which of them are kept."""

    reference_frame: Literal["auto"] | Annotated[int, Field(ge=0)] | str = "auto"  # number in the series, or name of a file
    threshold: PositiveFloat = 5.0  # standard deviations of the noise under the matched filter
    fwhm: Literal["auto"] | PositiveFloat = "auto"  # of the stars, pixels
    saturation: float | None = None  # data units of the file; None: seen by flat tops, or from the header
    border: Annotated[float, Field(ge=0)] | None = None  # pixels; None: twice the FWHM
    separation: PositiveFloat | None = None  # pixels within which a star is not alone; None: four times the FWHM
    neighbour: PositiveFloat = 0.1  # part of a star's flux that a neighbour may have
    faintest: Annotated[float, Field(ge=0)] = 0.0  # part of the flux of the first listed star
    brightest: PositiveInt | None = None  # keep at most so many, the brightest first
    keep: Literal["good", "all"] | None = None  # None: all as targets, good ones as reference stars
    role: Role = "target"
    name: str | None = None  # what stars are called, before their number; None: star or ref

    @property
    def only_good(self) -> bool:
        """Whether stars that are saturated, blended or at the border are left out."""
        return (self.keep or ("good" if self.role == "reference" else "all")) == "good"


class Detect(Section):
    """Stars that are found on a frame."""

    detect: Detection


def kind_of_entry(entry: Any) -> str:
    """Say which kind of entry of ``sources`` something is, by its keys."""
    keys = entry.keys() if isinstance(entry, dict) else type(entry).model_fields if isinstance(entry, Section) else ()
    if "detect" in keys:
        return "a detection"
    return "a catalogue" if "catalogue" in keys else "a star"


def as_entries(value: Any) -> Any:
    """Let a single catalogue or detection stand without a list, and a catalogue as its path alone."""
    if value is None:
        return []
    entries = value if isinstance(value, list | tuple) else [value]
    return [{"catalogue": entry} if isinstance(entry, str) else entry for entry in entries]
