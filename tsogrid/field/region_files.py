"""Stars from the files of programs in which they were clicked: apertures of AstroImageJ, regions of ds9.

Both count pixels in ways of their own. AstroImageJ has ImageJ's: x from the left edge of the image and y from its *top*
edge, so that the middle of the first FITS pixel is (0.5, height − 0.5); where the list of a coordinate begins with the word
FITS it counts as FITS does. ds9 has those of FITS, where the middle of the first pixel is (1, 1).
"""

import re
import warnings
from pathlib import Path
from typing import Any

from tsogrid.errors import ConfigError

AIJ, DS9 = ".apertures", ".reg"
SUFFIXES = (AIJ, DS9)
REFERENCE = ("ref", "comp", "check")  # how the names of comparison stars begin, in regions without a tag


def is_region_file(path: Path) -> bool:
    """Whether a path means a file of AstroImageJ or ds9, by its ending."""
    return path.suffix.lower() in SUFFIXES


def read_region_file(path: Path, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Read the stars of a file of AstroImageJ (.apertures) or ds9 (.reg).

    Parameters
    ----------
    path : Path
        The file.
    shape : (int, int)
        Rows and columns of a frame; ImageJ counts rows from the top.

    Returns
    -------
    list of dict
        Entries of ``sources``: name, role, and x and y (0-based pixels) or ra and dec (ICRS, degrees). Stars of AstroImageJ
        are called T1, T2 … and, where they are comparison stars, C3, C4 … as there. Regions are called what is written
        beside them, else star1, star2 …; reference stars are those with a tag, or without tags a name, that begins with ref,
        comp or check.

    Raises
    ------
    ConfigError
        No such file, something else in it, or no star.

    Notes
    -----
    Radii and annuli in these files are not taken: a result holds every aperture that is asked for in ``apertures``.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{path}: expected a file of apertures or regions (sources), found: {error.strerror}.") from None
    stars = _of_astroimagej(path, text, shape) if path.suffix.lower() == AIJ else _of_ds9(path, text)
    if not stars:
        raise ConfigError(f"{path}: expected at least one star (sources), found none.")
    return stars


def _of_astroimagej(path: Path, text: str, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Stars of Java properties: one list a coordinate."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith(("#", "!")))
    values = {key.strip().lower().removeprefix("."): value.strip() for key, _, value in pairs}
    x, y = (_coordinates(path, values, name) for name in ("xapertures", "yapertures"))
    if len(x) != len(y):
        raise ConfigError(
            f"{path}: expected as many x as y (multiaperture.xapertures, .yapertures), found {len(x)}, {len(y)}."
        )
    # ImageJ: edges of pixels, rows from the top; FITS: middles, from 1 and from the bottom.
    x = [value - 1.0 if fits else value - 0.5 for value, fits in x]
    y = [value - 1.0 if fits else shape[0] - 0.5 - value for value, fits in y]
    words = [word.strip().lower() == "true" for word in values.get("multiaperture.isrefstar", "").split(",")]
    reference = (words + [False] * len(x))[: len(x)]
    return [
        {
            "name": f"{'C' if is_reference else 'T'}{number}",
            "role": "reference" if is_reference else "target",
            "x": column,
            "y": row,
        }
        for number, (column, row, is_reference) in enumerate(zip(x, y, reference, strict=True), 1)
    ]


def _coordinates(path: Path, values: dict[str, str], name: str) -> Any:
    """Numbers of one coordinate, each with whether it counts as FITS does."""
    key = f"multiaperture.{name}"
    if not values.get(key):
        raise ConfigError(f"{path}: expected the apertures of AstroImageJ, with a line .{key}=…, found no such line.")
    fits = values[key].upper().startswith("FITS")
    numbers = values[key][4:] if fits else values[key]
    try:
        return [(float(word), fits) for word in numbers.strip(" ,").split(",")]
    except ValueError as error:
        raise ConfigError(f"{path}: expected numbers separated by commas in .{key}, found: {error}.") from None


def _of_ds9(path: Path, text: str) -> list[dict[str, Any]]:
    """Stars at the centres of regions."""
    try:
        from regions import PixelRegion, Regions
    except ImportError:
        raise ConfigError(
            f"{path}: regions of ds9 are read by the package regions, which is not installed. "
            "Install it: pip install 'tsogrid[regions]'."
        ) from None
    # Physical coordinates are those of the image, but for images that were cut or binned after (LTV, LTM).
    text = re.sub(r"(?im)(^|;)([ \t]*)physical\b", r"\1\2image", text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Regions.parse(text, format="ds9")
    except Exception as error:  # whatever the parser raises of something else
        raise ConfigError(f"{path}: expected regions of ds9, found: {' '.join(str(error).split())[:200]}.") from None
    stars: list[dict[str, Any]] = []
    for region in found:
        center = getattr(region, "center", None)
        if center is None or not region.meta.get("include", True):
            continue
        number = len(stars) + 1
        name = str(region.meta.get("text") or f"star{number}")
        tags = [str(tag).lower() for tag in region.meta.get("tag", [])]
        is_reference = any(tag.startswith(REFERENCE) for tag in tags or [name.lower()])
        if isinstance(region, PixelRegion):
            place = {"x": float(center.x), "y": float(center.y)}
        else:
            place = {"ra": float(center.icrs.ra.deg), "dec": float(center.icrs.dec.deg)}
        stars.append({"name": name, "role": "reference" if is_reference else "target", **place})
    names = [str(star["name"]) for star in stars]
    twice = ", ".join(sorted({name for name in names if names.count(name) > 1})[:5])
    if twice:
        raise ConfigError(f"{path}: expected different texts beside the regions, found {twice} several times.")
    return stars
