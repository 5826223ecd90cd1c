"""``reduction_config.yaml`` of the LCO microlensing group, with its keys as they are."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PositiveFloat, ValidationError

from tsogrid.config.section import Section, degrees
from tsogrid.config_file import explain, parse
from tsogrid.errors import ConfigError

FILE = "reduction_config.yaml"


def _angle(hours: bool) -> Any:
    def read(value: Any) -> Any:
        return None if value is None else degrees(float(value) if _is_number(value) else value, hours)

    return BeforeValidator(read)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


class Target(Section):
    """The star whose light curve is written out; coordinates in degrees, or h:m:s and d:m:s."""

    name: str | None = None
    RA: Annotated[float | None, _angle(True)] = Field(default=None, ge=-360, le=360)
    Dec: Annotated[float | None, _angle(False)] = Field(default=None, ge=-90, le=90)


class Photometry(Section):
    """The aperture."""

    aperture_arcsec: PositiveFloat = 2.0
    reference_image: str | None = None  # of difference imaging, which is not done here


class Tom(Section):
    """Where the old pipeline sends light curves to; nothing is sent from here."""

    upload: bool = False
    config_file: str | None = None
    data_label: str | None = None


class LcoConfig(Section):
    """The whole file."""

    target: Target = Target()
    photometry: Photometry = Photometry()
    tom: Tom = Tom()


def read_settings(path: str | Path | None) -> LcoConfig:
    """Read a reduction's configuration.

    Parameters
    ----------
    path : path-like or None
        The file; None gives the defaults.

    Returns
    -------
    LcoConfig

    Raises
    ------
    ConfigError
        No such file, broken YAML, an unknown key, a wrong value.
    """
    if path is None:
        return LcoConfig()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a configuration, found none that can be read ({error}).") from None
    return settings_from(parse(text, str(path)), str(path))


def settings_from(content: Any, where: str = "config") -> LcoConfig:
    """Check a configuration that is a mapping.

    Parameters
    ----------
    content : dict, LcoConfig or None
        As the file has it.
    where : str
        What to call it in an error.

    Returns
    -------
    LcoConfig

    Raises
    ------
    ConfigError
        An unknown key or a wrong value.
    """
    if isinstance(content, LcoConfig):
        return content
    try:
        return LcoConfig.model_validate(content or {})
    except ValidationError as error:
        raise ConfigError(explain(error, where, LcoConfig)) from None
