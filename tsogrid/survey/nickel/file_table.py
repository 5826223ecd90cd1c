"""Which frames of a night are measured: what lies under ``reduced``, the observer's exclusions, and the table of both.

The table ``photometry_files.tbl`` lists every frame once; a row that begins with ``#`` is left out. The pipeline writes it
and comments out what was excluded; what the observer commented out stays so. One of the name ``astrometry_files.tbl``, which
older instructions speak of, is read where the other is missing.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tsogrid.errors import InputError
from tsogrid.io.cards import Cards, first_value
from tsogrid.io.files import natural_key
from tsogrid.io.fits import scan

LOG = logging.getLogger("tsogrid.nickel")
TABLE = "photometry_files.tbl"
OLD_TABLE = "astrometry_files.tbl"
COLUMNS = ("names", "objects", "filters", "paths")
FOCUS = "FOCUS"  # in the name of an object: a frame taken to focus the telescope
SUFFIXES = (".fits", ".fit", ".fts")
PACKED = (".gz", ".fz", ".bz2", ".xz")
NOT_FRAMES = ("_astro", "_corr")  # at the end of a stem: what the astrometric pipeline leaves


@dataclass(frozen=True)
class FrameFile:
    """A frame of the night.

    Parameters
    ----------
    path : Path
        Of its file.
    name : str
        Its file name without the last suffix, as the table has it.
    object, filter : str
        Of the header; the object in capitals without blanks.
    folder : str
        Name of the folder of its results: ``OBJECT_FILTER``.
    """

    path: Path
    name: str
    object: str
    filter: str
    folder: str

    @property
    def number(self) -> str:
        """The first part of the name, such as d1034."""
        return stem(self.path.name).split("_")[0]

    @property
    def key(self) -> tuple[str, str]:
        """What a row of the table is recognised by, wherever the night lies."""
        return self.path.parent.name, stem(self.path.name)


def stem(name: str) -> str:
    """A file name without the suffixes of FITS and of packing."""
    for suffixes in (PACKED, SUFFIXES):
        for suffix in suffixes:
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
                break
    return name


def plain(text: str) -> str:
    """A text as exclusions compare it: in capitals, without blanks."""
    return "".join(str(text).upper().split())


def find_frames(maindir: Path) -> list[FrameFile]:
    """Find the frames under ``reduced``, in the order of folders and names.

    Parameters
    ----------
    maindir : Path
        Of the night.

    Returns
    -------
    list of FrameFile

    Raises
    ------
    InputError
        There is no folder ``reduced``, or no frame in it.
    """
    reduced = maindir / "reduced"
    if not reduced.is_dir():
        hint = f" Did you mean {maindir.parent}?" if maindir.name == "reduced" else ""
        raise InputError(
            f"{reduced}: expected a folder with the reduced frames (OBJECT_FILTER/dNNNN_red.fits), found none.{hint}"
        )
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(_files_below(reduced), key=lambda each: natural_key(str(each))):
        key = str(path.parent), stem(path.name)
        if key in found:  # the plain file comes before the packed one
            LOG.warning("%s: left out, the same frame is there as %s", path, found[key].name)
            continue
        found[key] = path
    if not found:
        raise InputError(f"{reduced}: expected frames (OBJECT_FILTER/dNNNN_red.fits), found none.")
    return [_described(path, reduced) for path in found.values()]


def _files_below(folder: Path) -> Iterable[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            bare = stem(name)
            if bare != name and not name.startswith(".") and not bare.lower().endswith(NOT_FRAMES):
                yield Path(root) / name


def _described(path: Path, reduced: Path) -> FrameFile:
    try:
        headers: list[Cards] = [unit.header for unit in scan(str(path)).units]
    except InputError as error:  # it stays in the list, and is flagged when it is measured
        LOG.warning("%s", error)
        headers = []
    target = plain(first_value(headers, "OBJECT") or "")
    band = str(first_value(headers, "FILTNAM", "FILTER") or "").strip()
    folder = path.parent.name if path.parent != reduced else f"{target or 'unknown'}_{band or 'unknown'}"
    return FrameFile(path, path.stem, target, band, folder)


def choose(
    maindir: Path,
    use_table: bool,
    excl_files: Sequence[str],
    excl_objs: Sequence[str],
    excl_filts: Sequence[str],
) -> list[FrameFile]:
    """Choose the frames to measure, and write the table.

    Parameters
    ----------
    maindir : Path
        Of the night.
    use_table : bool
        Measure the rows of the table that are not commented out, and no other frames.
    excl_files, excl_objs, excl_filts : sequence of str
        Parts of file stems, objects and filters that are left out; capitals and blanks do not count.

    Returns
    -------
    list of FrameFile
        By folder and name.

    Raises
    ------
    InputError
        No frames, or all are left out.
    """
    frames = find_frames(maindir)
    listed, commented = read_table(maindir)
    excluded = {frame.key for frame in frames if _matches(frame, excl_files, excl_objs, excl_filts)}
    chosen = [frame for frame in frames if frame.key not in excluded]
    if use_table and listed is not None:
        unknown = [frame.path.name for frame in chosen if frame.key not in listed]
        if unknown:
            LOG.warning("not in the table, and so left out: %s. Run without -t to add them.", ", ".join(unknown))
        chosen = [frame for frame in chosen if frame.key in listed and frame.key not in commented]
        LOG.info("%d frames are commented out in the table", len(commented))
        frames = [frame for frame in frames if frame.key in listed]
    elif use_table:
        LOG.info("there is no table yet: all frames are taken, and it is written")
    elif commented:
        LOG.info("%d frames are commented out in the table; with -t they would be left out", len(commented))
    if excluded:
        LOG.info("excluded, and commented out in the table: %s", ", ".join(sorted(key[1] for key in excluded)))
    write_table(maindir, frames, excluded | commented)
    if not chosen:
        raise InputError(f"{maindir}: all {len(frames)} frames are excluded; expected at least one. Look at {TABLE}.")
    return chosen


def _matches(frame: FrameFile, files: Sequence[str], objects: Sequence[str], filters: Sequence[str]) -> bool:
    compared = ((stem(frame.path.name), files), (frame.object, [*objects, FOCUS]), (frame.filter, filters))
    return any(plain(part) in plain(text) for text, parts in compared for part in parts if plain(part))


def read_table(maindir: Path) -> tuple[set[tuple[str, str]] | None, set[tuple[str, str]]]:
    """Read the table of a night.

    Parameters
    ----------
    maindir : Path
        Of the night.

    Returns
    -------
    listed : set or None
        Folder and stem of each frame in it; None where there is no table.
    commented : set
        Those of them whose row begins with ``#``.
    """
    path = next((maindir / name for name in (TABLE, OLD_TABLE) if (maindir / name).is_file()), None)
    if path is None:
        return None, set()
    listed, commented = set(), set()
    columns: list[str] = list(COLUMNS)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = line.strip().lstrip("#").strip()
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if "paths" in cells:
            columns = cells
        elif len(cells) == len(columns):
            frame = Path(dict(zip(columns, cells, strict=True))["paths"])
            key = frame.parent.name, stem(frame.name)
            listed.add(key)
            if line.strip().startswith("#"):
                commented.add(key)
        elif row:
            raise InputError(
                f"{path}: expected rows of {len(columns)} columns between bars ({' | '.join(columns)}), found {line!r}."
            )
    return listed, commented


def write_table(maindir: Path, frames: Sequence[FrameFile], commented: set[tuple[str, str]]) -> None:
    """Write the table of a night, whole or not at all.

    Parameters
    ----------
    maindir : Path
        Of the night.
    frames : sequence of FrameFile
        Its rows.
    commented : set
        Keys of those that begin with ``#``.
    """
    cells = [(frame.name, frame.object, frame.filter, frame.path.relative_to(maindir).as_posix()) for frame in frames]
    widths = [max(len(row[column]) for row in [COLUMNS, *cells]) for column in range(len(COLUMNS))]
    lines = [_line(COLUMNS, widths)]
    lines += [("#" if frame.key in commented else "") + _line(row, widths) for frame, row in zip(frames, cells, strict=True)]
    path = maindir / TABLE
    beside = path.with_name(f".{TABLE}.partial")
    beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
    beside.replace(path)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
