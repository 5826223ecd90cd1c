"""The parameters of tshirt's photometry: their names, spelling variants, defaults, and what their values may be.

A parameter file is a flat mapping. Where a value stands one list deeper than it should, the file is a batch: all such lists
are as long as each other, and the n-th values make the n-th run.
"""

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tsogrid.config import Config
from tsogrid.config.section import degrees
from tsogrid.errors import ConfigError


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Parameters
    ----------
    kind : callable
        Checks a value and gives it in its own type; ValueError says what was expected.
    default : object
        What tshirt takes where the file says nothing.
    depth : int
        Lists in one value: 0 for a number or a text, 1 for an offset, 2 for positions.
    """

    kind: Callable[[Any], Any]
    default: Any = None
    depth: int = 0


@dataclass
class Parameters:
    """The parameters of one run, complete, and which of them the file itself gives."""

    values: dict[str, Any]
    given: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def text(value: Any) -> str:
    """Take a text; a number counts as one, as in ``nightName: 20160612``."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise ValueError("expected a text")
    return str(value).strip()


def number(value: Any) -> float:
    """Take a finite number."""
    try:
        found = math.nan if isinstance(value, bool | list) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError("expected a number")
    return found


def positive(value: Any) -> float:
    """Take a number above 0."""
    found = number(value)
    if found <= 0:
        raise ValueError("expected a number above 0")
    return found


def not_negative(value: Any) -> float:
    """Take a number that is 0 or more."""
    found = number(value)
    if found < 0:
        raise ValueError("expected 0 or more")
    return found


def whole(least: int, most: int | None = None) -> Callable[[Any], int]:
    """Take whole numbers within bounds."""
    bounds = f"a whole number of {least} or more" if most is None else f"a whole number from {least} to {most}"

    def check(value: Any) -> int:
        found = number(value)
        if found != int(found) or found < least or (most is not None and found > most):
            raise ValueError(f"expected {bounds}")
        return int(found)

    return check


def flag(value: Any) -> bool:
    """Take true or false."""
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    raise ValueError("expected True or False")


def extension(value: Any) -> int | str:
    """Take the number or the name of an extension of a FITS file."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected the number or the name of a FITS extension")
    return int(value) if str(value).strip().isdigit() else str(value).strip()


def pair(value: Any) -> list[float]:
    """Take two numbers."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("expected two numbers")
    return [number(each) for each in value]


def pixels(value: Any) -> list[list[float]]:
    """Take a list of x, y."""
    if not isinstance(value, list) or not value or not all(isinstance(each, list) and len(each) == 2 for each in value):
        raise ValueError("expected a list of pairs, [[x, y], …]")
    return [pair(each) for each in value]


def coordinates(value: Any) -> list[list[Any]]:
    """Take a list of right ascension and declination: degrees, or ``h:m:s`` and ``d:m:s``."""
    if not isinstance(value, list) or not value or not all(isinstance(each, list) and len(each) == 2 for each in value):
        raise ValueError("expected a list of pairs, [[ra, dec], …]")
    for ra, dec in value:
        try:
            degrees(ra, hours=True), degrees(dec, hours=False)
        except (TypeError, ValueError):
            raise ValueError("expected degrees, or h:m:s and d:m:s") from None
    return [list(each) for each in value]


def names(value: Any) -> list[str]:
    """Take a list of texts, or one."""
    return [text(each) for each in (value if isinstance(value, list) else [value])]


def span(value: Any) -> list[float]:
    """Take the least and the largest FWHM."""
    low, high = pair(value)
    if not 0 <= low <= high:
        raise ValueError("expected [least, largest] FWHM in pixels")
    return [low, high]


def directions(value: Any) -> list[str]:
    """Take the directions of fits, in order."""
    found = [text(each).upper() for each in (value if isinstance(value, list) else [value])]
    if not found or any(each not in ("X", "Y") for each in found):
        raise ValueError("expected a list of X and Y")
    return found


def one_of(*words: str, **variants: str) -> Callable[[Any], str]:
    """Take one of some words; case, blanks, hyphens and underscores do not count."""
    known = {_bare(word): word for word in words} | {_bare(key): word for key, word in variants.items()}

    def check(value: Any) -> str:
        found = known.get(_bare(str(value)))
        if found is None:
            close = difflib.get_close_matches(_bare(str(value)), known, n=1, cutoff=0.6)
            hint = f"; did you mean {known[close[0]]}?" if close else ""
            raise ValueError(f"expected one of {', '.join(words)}{hint}")
        return found

    return check


def _bare(word: str) -> str:
    return "".join(character for character in word.lower() if character.isalnum())


PARAMETERS: dict[str, Parameter] = {
    "procFiles": Parameter(text),
    "excludeList": Parameter(names, depth=1),
    "readFromTshirtExamples": Parameter(flag, False),
    "FITSextension": Parameter(extension, 0),
    "HEADextension": Parameter(extension, 0),
    "isCube": Parameter(flag, False),
    "cubePlane": Parameter(whole(0), 0),
    "srcName": Parameter(text),
    "srcNameShort": Parameter(text),
    "nightName": Parameter(text),
    "refStarPos": Parameter(pixels, depth=2),
    "skyPositions": Parameter(coordinates, depth=2),
    "downselectImgWithCoord": Parameter(flag, False),
    "srcGeometry": Parameter(
        one_of("Circular", "CircularAnnulus", "Square", "Rectangular", Rectangle="Rectangular", Circle="Circular"),
        "Circular",
    ),
    "apRadius": Parameter(positive, 9.0),
    "apHeight": Parameter(positive),
    "apWidth": Parameter(positive),
    "srcStart": Parameter(positive),
    "srcEnd": Parameter(positive),
    "subpixelMethod": Parameter(one_of("exact", "center", "subpixel", centre="center"), "exact"),
    "scaleAperture": Parameter(flag, False),
    "apScale": Parameter(positive, 2.5),
    "apRange": Parameter(span, [0.01, 9999.0], depth=1),
    "scaleBackground": Parameter(flag, True),
    "bkgSub": Parameter(flag, True),
    "bkgGeometry": Parameter(
        one_of("CircularAnnulus", "Rectangular", Rectangle="Rectangular", Annulus="CircularAnnulus"), "CircularAnnulus"
    ),
    "bkgMethod": Parameter(one_of("mean", "median", "robust mean", "colrow", "rowAmp", "none"), "mean"),
    "backStart": Parameter(not_negative, 9.0),
    "backEnd": Parameter(positive, 12.0),
    "backHeight": Parameter(positive),
    "backWidth": Parameter(positive),
    "backOffset": Parameter(pair, [0.0, 0.0], depth=1),
    "bkgOrderX": Parameter(whole(0, 5), 1),
    "bkgOrderY": Parameter(whole(0, 5), 1),
    "backsub_directions": Parameter(directions, ["Y", "X"], depth=1),
    "boxFindSize": Parameter(whole(1), 18),
    "doCentering": Parameter(flag, True),
    "centroidMethod": Parameter(
        one_of("2D Gaussian", "1D Gaussian", "COM", "quadratic", **{"center of mass": "COM", "2dg": "2D Gaussian"}),
        "2D Gaussian",
    ),
    "driftFile": Parameter(text),
    "copyCentroidFile": Parameter(text),
    "refPhotCentering": Parameter(text),
    "timingMethod": Parameter(one_of("JWSTint", "JWSTseg", "intCounter")),
    "dateFormat": Parameter(one_of("Two Part", "One Part", "MJD", "JD"), "Two Part"),
    "dateKeyword": Parameter(text),
    "DATE-OBS": Parameter(text),
    "jdRef": Parameter(number),
    "isSlope": Parameter(flag, False),
    "itimeKeyword": Parameter(text, "INTTIME"),
    "detectorGain": Parameter(positive),
    "readNoise": Parameter(not_negative),
    "nanTreatment": Parameter(one_of("zero", "leave", "value"), "zero"),
    "nanReplaceValue": Parameter(number, 0.0),
    "saturationVal": Parameter(number),
    "satNPix": Parameter(whole(1), 5),
    "diagnosticMode": Parameter(flag, False),
    # Known to tshirt's own lists of defaults, without effect on a number.
    "cornerSubarray": Parameter(flag, False),
    "srcNameFITSextension": Parameter(extension, 0),
}
# As the documentation of tshirt spells them.
ALIASES = {"bkgSubDirections": "backsub_directions", "timineMethod": "timingMethod"}
TELLING = {"procFiles", "refStarPos", "skyPositions", "srcGeometry", "srcNameShort", "nightName"}


def is_tshirt(content: Any) -> bool:
    """Whether a mapping is one of tshirt's parameter files, told by its keys.

    Parameters
    ----------
    content : object
        What YAML gave.

    Returns
    -------
    bool
        True if it holds parameters of tshirt and no section of a configuration of tsogrid.
    """
    if not isinstance(content, dict) or any(key in Config.model_fields for key in content):
        return False
    known = {ALIASES.get(str(key), str(key)) for key in content} & PARAMETERS.keys()
    return bool(known & TELLING) or len(known) >= 2


def read_parameters(content: dict[str, Any], where: str) -> list[Parameters]:
    """Check the parameters of a file, complete them, and take a batch apart.

    Parameters
    ----------
    content : dict
        The file.
    where : str
        Its name, for errors.

    Returns
    -------
    list of Parameters
        One a run.

    Raises
    ------
    ConfigError
        An unknown parameter, a wrong value, or lists of a batch that are not as long as each other.
    """
    problems: list[str] = []
    given: dict[str, Any] = {}
    spelt: dict[str, str] = {}  # as the file has it
    for key, value in content.items():
        name = ALIASES.get(str(key), str(key))
        if name not in PARAMETERS:
            problems.append(_unknown(str(key)))
        elif name in given and given[name] != value:
            problems.append(f"{key}: {spelt[name]} says the same and has another value; keep one of them")
        elif not _is_null(name, value):
            given[name], spelt[name] = value, str(key)
    _refuse(problems, where)
    lengths = {name: len(value) for name, value in given.items() if _depth(value) > PARAMETERS[name].depth}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ConfigError(
            f"{where}: a list in place of one value makes a batch, and its lists must be equally long; found {found}. "
            "Give each of them as many entries as there are runs, or one value for all."
        )
    runs = []
    for index in range(max(lengths.values(), default=1)):
        here = f"{where}, run {index + 1} of the batch" if lengths else where
        runs.append(_checked({name: value[index] if name in lengths else value for name, value in given.items()}, here))
    return runs


def _checked(given: dict[str, Any], where: str) -> Parameters:
    values, problems = {name: parameter.default for name, parameter in PARAMETERS.items()}, []
    given = {name: value for name, value in given.items() if not _is_null(name, value)}
    for name, value in given.items():
        try:
            values[name] = PARAMETERS[name].kind(value)
        except ValueError as error:
            problems.append(f"{name}: {error}, found {value!r}")
    _refuse(problems, where)
    return Parameters(values, set(given))


def _is_null(name: str, value: Any) -> bool:
    """Whether a parameter is left to its default; ``None`` is Python's word for null, and a method of its own."""
    return value is None or (isinstance(value, str) and value.strip() == "None" and name != "bkgMethod")


def _depth(value: Any) -> int:
    """Lists in lists: 0 for a number, 2 for positions; the deepest entry counts, so that null may stand in a batch."""
    return 1 + max((_depth(each) for each in value), default=0) if isinstance(value, list) else 0


def _unknown(key: str) -> str:
    known = [*PARAMETERS, *ALIASES]
    close = difflib.get_close_matches(key.lower(), [name.lower() for name in known], n=1, cutoff=0.5)
    nearest = next((name for name in known if close and name.lower() == close[0]), None)
    hint = f"did you mean {nearest}?" if nearest else "take it out."
    return f"{key}: not a parameter of tshirt's photometry (tshirt itself would pass over it in silence); {hint}"


def _refuse(problems: list[str], where: str) -> None:
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigError(f"{where} is not a valid tshirt parameter file:\n{lines}")
