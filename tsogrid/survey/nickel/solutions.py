"""Astrometric solutions of the frames: found under the night's folder, and turned into right ascension and declination.

A solution is a FITS header with a celestial WCS in a file named for its frame, as ``astrometric/wcs/OBJECT_FILTER/
d1034_astro.fits``; also beside the frame as ``d1034_red.wcs``. It goes before the frame's own header.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tsogrid.errors import InputError
from tsogrid.field.wcs import celestial_wcs, pixels_to_sky
from tsogrid.io.fits import scan
from tsogrid.io.instruments import first_celestial_wcs
from tsogrid.survey.nickel.file_table import PACKED, SUFFIXES, FrameFile, stem

FOLDER = "astrometric"
HEADERS = (".wcs", ".hdr", *SUFFIXES)


def find_solutions(maindir: Path, frames: Sequence[FrameFile]) -> dict[str, list[str]]:
    """Find the files that may hold a solution, for each frame.

    Parameters
    ----------
    maindir : Path
        Of the night.
    frames : sequence of FrameFile
        Its frames.

    Returns
    -------
    dict
        Path of a frame → paths, the best first: those in a folder of the frame's name, then the newest.
    """
    by_number: dict[str, list[Path]] = {}
    for path in sorted((maindir / FOLDER).rglob("*")):
        if path.is_file() and _suffix(path.name) in HEADERS:
            by_number.setdefault(_bare(path.name).split("_")[0], []).append(path)
    result = {}
    for frame in frames:
        found = by_number.get(frame.number, [])
        own = [path for path in found if path.parent.name == frame.folder]
        elsewhere = [path for path in found if path.parent.name in (FOLDER, "wcs", "corr")]
        beside = [
            path
            for name in (f"{stem(frame.path.name)}.wcs", f"{frame.number}.wcs", f"{stem(frame.path.name)}_astro.fits")
            if (path := frame.path.with_name(name)).is_file()
        ]
        result[str(frame.path)] = [str(path) for path in (*own, *elsewhere, *beside)]
    return {path: found for path, found in result.items() if found}


def _suffix(name: str) -> str:
    for packed in PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix.lower()


def _bare(name: str) -> str:
    for packed in PACKED:
        name = name.removesuffix(packed)
    return Path(name).stem


def solution_of(paths: Sequence[str]) -> tuple[str, str]:
    """Read the first solution that can be used.

    Parameters
    ----------
    paths : sequence of str
        The files that may hold one, and last the frame.

    Returns
    -------
    cards, path : str
        The cards of the WCS, one a line, and the file they are from; both empty where there is none.
    """
    for path in paths:
        try:
            text = first_celestial_wcs([unit.header for unit in scan(path).units])
        except InputError:  # half written, or no FITS file: there may be another
            continue
        if text and celestial_wcs(text) is not None:
            return text, path
    return "", ""


def to_sky(cards: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give right ascension and declination (degrees, ICRS) of 0-based pixels; NaN without a solution."""
    if not cards or not len(x):
        return np.full(len(x), np.nan), np.full(len(x), np.nan)
    sky = pixels_to_sky(cards, np.stack([x, y], axis=-1))
    return sky[:, 0], sky[:, 1]
