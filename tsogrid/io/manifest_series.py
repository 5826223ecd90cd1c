"""The frames of a series in its manifest: what the readers have made of the headers, with the reading that it belongs to.

To find the times of ten thousand frames takes seconds even if all headers are at hand. So a manifest also holds the frames
that were made of its files last time: where they lie, their times, what the headers say. They count only if every file is
unchanged, the section ``input`` asks for the same, and the code that reads is the same; otherwise they are made again.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import astropy
import numpy as np

from tsogrid.config import InputConfig
from tsogrid.io.fits import FitsFile, Image, PixelFormat
from tsogrid.io.manifest import (
    Arrays,
    Manifest,
    Recorder,
    State,
    files_of,
    is_settled,
    joined_text,
    read_manifest,
    split_text,
    state_of,
    write_manifest,
)
from tsogrid.io.series import FileFrames

OUTSIDE = {"files", "exclude", "manifest", "storage"}  # keys of ``input`` that do not say how a file is read
_SOURCES = ("io", "config", "ephemeris.py", "flags.py")
_ARRAY, _TEXT = "series_", "series"


class Series(NamedTuple):
    """What a reader has made of files."""

    parts: list[FileFrames]
    notes: list[str]  # what the user should know
    describe: Callable[[str], dict[str, Any]]  # the attributes that a file tells
    reader: str


class Described:
    """Remembers the attributes that files told."""

    def __init__(self, describe: Callable[[str], dict[str, Any]]) -> None:
        self.describe = describe
        self.told: dict[str, dict[str, Any]] = {}

    def __call__(self, path: str) -> dict[str, Any]:
        if path not in self.told:
            self.told[path] = dict(self.describe(path))
        return dict(self.told[path])


Scan = Callable[[Sequence[str]], Iterable[FitsFile]]
Read = Callable[[Iterable[FitsFile]], Series]


class Kept:
    """A manifest in use: what it knows is taken from it, and what is new goes into it.

    Parameters
    ----------
    path : Path
        Where it is, or will be.
    config : InputConfig
        How files are read.
    paths : sequence of str
        The files that are opened.

    Raises
    ------
    InputError
        Something else than a manifest stands there.
    """

    def __init__(self, path: Path, config: InputConfig, paths: Sequence[str]) -> None:
        self.path, self.config, self.paths = path, config, paths
        self.manifest, note = read_manifest(path)
        self.notes = [note] if note else []
        self.states = {each: state_of(each) for each in paths}
        self.key = _key(config, paths, self.states)
        self.new: dict[str, tuple[FitsFile, State]] = {}
        self.recorder = Recorder()
        self.recorded: set[str] = set()
        self.unsettled = False

    def series(self, scan_many: Scan, read: Read) -> Series:
        """Give the series, from the manifest as far as it knows it."""
        whole = all(self.manifest.is_unchanged(path, self.states[path]) for path in self.paths)
        if whole and self.key is not None and _kept_key(self.manifest) == self.key:
            found = _unpacked(self.manifest.arrays)
            if found is not None:
                return found
        files = files_of(self.paths, self.manifest, self.states, lambda missing: self._recorded(scan_many, missing))
        made = read(files)
        return made._replace(describe=Described(made.describe))

    def _recorded(self, scan_many: Scan, missing: Sequence[str]) -> Iterator[FitsFile]:
        for file in scan_many(missing):
            state = self.states[file.path]
            if state is None or not is_settled(state, time.time_ns()):
                self.unsettled = True
            else:
                self.recorder.add(file, state)
            self.recorded.add(file.path)
            yield file

    def update(self, series: Series) -> list[str]:
        """Bring the manifest up to date.

        Parameters
        ----------
        series : Series
            What was made of the files, after its first file was described.

        Returns
        -------
        list of str
            What the user should know.
        """
        named = set(self.paths)
        others = any(path not in named for path in self.manifest.paths)
        is_new = self.key not in (None, _kept_key(self.manifest)) and not others and not self.unsettled
        packed = _packed(series, str(self.key)) if is_new else None
        if not self.recorded and packed is None:
            return self.notes
        if packed is None:
            packed = {name: array for name, array in self.manifest.arrays.items() if name.startswith(_TEXT)}
        self.recorder.take(self.manifest.arrays, lambda path: path not in self.recorded)
        problem = write_manifest(self.path, self.recorder.arrays() | packed)
        return [*self.notes, *([problem] if problem else [])]


def _key(config: InputConfig, paths: Sequence[str], states: dict[str, State | None]) -> str | None:
    """Name a reading of files in a certain state; None if it cannot be kept."""
    if isinstance(config.gain, str) or any(
        states[path] is None for path in paths
    ):  # a gain of another file, or a remote one
        return None
    asked = config.model_dump(mode="json", exclude=OUTSIDE)
    content = json.dumps([asked, _code(), [[path, states[path]] for path in paths]])
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


@cache
def _code() -> str:
    """Name the code that reads: another version may read otherwise."""
    here = Path(__file__).parents[1]
    digest = hashlib.sha256(astropy.__version__.encode())
    for name in _SOURCES:
        for path in sorted((here / name).glob("*.py")) or [here / name]:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept_key(manifest: Manifest) -> str | None:
    found = split_text(manifest.arrays.get(f"{_ARRAY}key", np.empty(0, np.uint8)))
    return found[0] if found else None


def _packed(series: Series, key: str) -> Arrays | None:
    """Give a series as arrays; None where it holds what they cannot."""
    formats: dict[PixelFormat, int] = {}
    rows: list[dict[str, Any]] = []
    columns: dict[str, list[np.ndarray]] = {}
    for part in series.parts:
        row: dict[str, Any] = {}
        for each in fields(FileFrames):
            value = getattr(part, each.name)
            if isinstance(value, np.ndarray):
                row[each.name] = {"length": value.size}
                columns.setdefault(each.name, []).append(value)
            elif each.name == "images":
                row["images"] = {
                    name: [image.offset, formats.setdefault(image.pixels, len(formats)), *image.shape]
                    for name, image in value.items()
                }
            else:
                row[each.name] = value
        rows.append(row)
    if any(len({array.dtype for array in arrays}) > 1 for arrays in columns.values()):
        return None
    told = series.describe.told if isinstance(series.describe, Described) else {}
    content = {
        "reader": series.reader,
        "notes": series.notes,
        "told": told,
        "formats": [asdict(each) for each in formats],
        "parts": rows,
    }
    try:
        text = json.dumps(content, default=_plain)
    except (TypeError, ValueError):
        return None
    arrays = {f"{_ARRAY}of_{name}": np.concatenate(each) for name, each in columns.items()}
    return {f"{_ARRAY}key": joined_text([key]), _TEXT: np.frombuffer(text.encode(), np.uint8), **arrays}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)


def _unpacked(arrays: Arrays) -> Series | None:
    """Make a series of arrays; None where they do not hold one."""
    try:
        content = json.loads(arrays[_TEXT].tobytes())
        formats = [PixelFormat(**each) for each in content["formats"]]
        at: dict[str, int] = {}
        same: dict[str, str] = {}
        parts = []
        for row in content["parts"]:
            for name, value in row.items():
                if isinstance(value, dict) and value.keys() == {"length"}:
                    start = at.get(name, 0)
                    at[name] = start + value["length"]
                    row[name] = arrays[f"{_ARRAY}of_{name}"][start : at[name]]
                elif isinstance(value, str):
                    row[name] = same.setdefault(value, value)
            row["images"] = {
                name: Image(offset, formats[index], (rows, ny, nx))
                for name, (offset, index, rows, ny, nx) in row["images"].items()
            }
            parts.append(FileFrames(**row))
        told = content["told"]
        return Series(parts, content["notes"], Described(told.__getitem__), content["reader"])
    except (KeyError, ValueError, TypeError, IndexError):
        return None
