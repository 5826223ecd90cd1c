"""What is chosen on the explorer's page: a few words that can be kept as YAML and given again."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from tsogrid.analysis.choice import has_references
from tsogrid.analysis.select import roles_of, source_number
from tsogrid.errors import ConfigError

MOST_CLIP = 100.0


@dataclass(frozen=True)
class Settings:
    """A light curve and how it is shown.

    Parameters
    ----------
    source, aperture, sky : str
        Labels.
    references : tuple of str
        Reference stars that the source is divided by; none: it stands alone, over its median.
    clip : float
        Points farther than so many σ from the running median are left out; 0: none.
    bin : int
        Frames in a bin; 0 or 1: none.
    frame : int
        Number of the frame that is shown.
    """

    source: str
    aperture: str
    sky: str
    references: tuple[str, ...] = ()
    clip: float = 0.0
    bin: int = 0
    frame: int = 0

    def to_yaml(self) -> str:
        """Write as YAML."""
        content = asdict(self) | {"references": list(self.references)}
        head = "# Settings of `tsogrid explore`; give them again with --settings.\n"
        return head + str(yaml.safe_dump(content, sort_keys=False))


def labels_of(result: xr.Dataset, dim: str) -> list[str]:
    """Give the labels of the sources, apertures or skies of a result."""
    return [str(label) for label in result[dim].to_numpy()]


def possible_references(result: xr.Dataset, source: str) -> list[str]:
    """Give the names of all sources that another one may be divided by."""
    return [name for name in labels_of(result, "source") if name != source]


def first_settings(result: xr.Dataset) -> Settings:
    """Choose what the page begins with: the first target, over its reference stars, in the middle one of the apertures."""
    source = labels_of(result, "source")[source_number(result)[0]]
    apertures = labels_of(result, "aperture")
    stars: list[str] = []
    if has_references(result):
        roles = roles_of(result)
        stars = [
            name
            for name, role in zip(labels_of(result, "source"), roles, strict=True)
            if role == "reference" and name != source
        ]
    return Settings(source, apertures[len(apertures) // 2], labels_of(result, "sky")[0], tuple(stars))


def read_settings(path: str | Path, result: xr.Dataset) -> Settings:
    """Read settings, and hold them against a result.

    Parameters
    ----------
    path : path-like
        YAML, as the page exports it; what is not in it is as at the beginning.
    result : Dataset
        The result that is shown.

    Returns
    -------
    Settings

    Raises
    ------
    ConfigError
        The file cannot be read, or names what the result does not have.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: expected settings of the explorer (YAML), found none that can be read: {error}."
        ) from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected settings of the explorer (key: value), found {type(content).__name__}.")
    known = [each.name for each in fields(Settings)]
    if strange := [str(key) for key in content if key not in known]:
        raise ConfigError(f"{path}: expected the keys {', '.join(known)}; found {', '.join(strange)}.")
    return checked(replace(first_settings(result), **content), result, str(path))


def checked(settings: Settings, result: xr.Dataset, where: str = "settings") -> Settings:
    """Hold settings against a result.

    Raises
    ------
    ConfigError
        They name what the result does not have.
    """
    for dim in ("source", "aperture", "sky"):
        _require(getattr(settings, dim), labels_of(result, dim), f"{where}: {dim}")
    references = settings.references
    if not isinstance(references, list | tuple):
        raise ConfigError(f"{where}: references: expected a list of names, found {references!r}.")
    for name in references:
        _require(name, possible_references(result, settings.source), f"{where}: references")
    clip = _number(settings.clip, 0.0, MOST_CLIP, f"{where}: clip")
    size = _number(settings.bin, 0, max(result.sizes["time"] // 2, 1), f"{where}: bin")
    frame = _number(settings.frame, 0, result.sizes["time"] - 1, f"{where}: frame")
    return replace(settings, references=tuple(references), clip=float(clip), bin=int(size), frame=int(frame))


def _require(value: Any, labels: list[str], what: str) -> None:
    if value not in labels:
        raise ConfigError(f"{what}: expected one of {', '.join(labels)}; found {value!r}.")


def _number(value: Any, least: float, most: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigError(f"{what}: expected a number from {least:g} to {most:g}, found {value!r}.")
    return value
