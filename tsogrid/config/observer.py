"""``input.site``, ``input.target``, ``input.time_offset``: who looks at what, and what clock the camera shows."""

import re
from typing import Annotated, Any

from pydantic import Field, field_validator

from tsogrid.config.section import Section, degrees

_OFFSET = re.compile(r"^([-+]?)(\d{1,2}):?(\d{2})?$")
MOST_HOURS = 15.0  # of any clock on the Earth against UTC


class SiteConfig(Section):
    """``input.site``: where the telescope stands."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=360)]  # to the east
    height: Annotated[float, Field(ge=-500, le=10000)] | None = None  # metres

    @field_validator("lat", "lon", mode="before")
    @classmethod
    def _angle(cls, value: Any) -> Any:
        return angle(value, hours=False)


class TargetConfig(Section):
    """``input.target``: where the star stands, ICRS."""

    ra: Annotated[float, Field(ge=0, le=360)]
    dec: Annotated[float, Field(ge=-90, le=90)]

    @field_validator("ra", mode="before")
    @classmethod
    def _ra(cls, value: Any) -> Any:
        return angle(value, hours=True)

    @field_validator("dec", mode="before")
    @classmethod
    def _dec(cls, value: Any) -> Any:
        return angle(value, hours=False)


class SourceTarget(TargetConfig):
    """The position of one of ``sources``, where nobody has said which star the times are meant for."""


def angle(value: Any, hours: bool) -> float:
    """Read an angle in degrees, or as text ``h:m:s``, ``d:m:s``, also with blanks in place of the colons.

    Raises
    ------
    ValueError
        It is no angle.
    """
    try:
        return degrees(":".join(value.split()) if isinstance(value, str) else value, hours)
    except (TypeError, ValueError):
        raise ValueError(f"expected degrees or {'h:m:s' if hours else 'd:m:s'}, found {value!r}") from None


def clock_offset(value: Any) -> Any:
    """Read what a clock is ahead of UTC, in hours: a number, or text as ``-07:00``.

    Raises
    ------
    ValueError
        It is no such offset.
    """
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_HOURS):
        return value
    match = _OFFSET.match(value.strip()) if isinstance(value, str) else None
    if match is not None:
        sign, hours, minutes = match.groups()
        offset = (int(hours) + int(minutes or 0) / 60) * (-1 if sign == "-" else 1)
        if abs(offset) <= MOST_HOURS:
            return offset
    raise ValueError(f"expected hours that the camera's clock is ahead of UTC (-7, '+05:30'), found {value!r}")
