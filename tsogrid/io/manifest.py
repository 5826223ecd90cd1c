"""The manifest: what a scan has found in files, kept in one file, so that unchanged files need not be opened again.

It holds the headers as they stand (each different card once: those of a night hardly differ), where the pixels lie, the
tables of times, and the frames that they made last time (`tsogrid.io.manifest_series`). A file is unchanged if its size, its
time of change and that of its inode are what they were. The form is numpy's ``.npz``: plain arrays in one zip, compressed,
each with a checksum; nothing in it is ever run. A manifest that is damaged, or missing, is made anew: that costs time, and
changes no number.
"""

import os
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from tsogrid.errors import InputError
from tsogrid.io.cards import CARD, Cards
from tsogrid.io.fits import FitsFile, Unit, open_source

Arrays = dict[str, np.ndarray]
State = tuple[int, int, int]  # size in bytes, time of change, time of change of the inode, both in nanoseconds

FORM = "tsogrid_manifest_1"  # the first array of the file, by which it is known
KEPT_TABLES = ("INT_TIMES",)
HASH = 16  # characters of the hash of the headers
_PACKINGS = ("", "gzip", "bzip2", "xz")
_SECOND = 1_000_000_000
_DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, IndexError, EOFError, OSError, TypeError)


def state_of(path: str) -> State | None:
    """Say what a file system tells of a file; None where it tells nothing, as of a URL."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_settled(state: State, now: int) -> bool:
    """Whether a further change would show: a file that has just changed may change again within one tick of its clock."""
    tick = 2 * _SECOND if state[1] % _SECOND == 0 else _SECOND // 20
    return now - max(state[1], state[2]) > tick


def joined_text(texts: Iterable[str]) -> np.ndarray:
    """Put texts into one array of bytes."""
    return np.frombuffer("\0".join(texts).encode("utf-8", "surrogateescape"), np.uint8)


def split_text(content: np.ndarray) -> list[str]:
    """Give the texts back; an empty array is none."""
    return content.tobytes().decode("utf-8", "surrogateescape").split("\0") if content.size else []


class Recorder:
    """Takes in scanned files one by one, and keeps of them what a manifest holds."""

    def __init__(self) -> None:
        self._cards: dict[bytes, int] = {}
        self._files: list[tuple[str, State, str, int, int]] = []  # path, state, hash, packing, number of units
        self._units: list[
            tuple[int, int, int, int]
        ] = []  # number of cards, offset, bytes, bytes of its table (-1: not kept)
        self._numbers: list[np.ndarray] = []  # of the cards of each unit
        self._tables: list[bytes] = []

    def add(self, file: FitsFile, state: State) -> None:
        """Take in a scanned file; `state` is what it was before it was scanned."""
        for unit in file.units:
            raw = unit.header.raw
            numbers = [self._number(raw[at : at + CARD]) for at in range(0, len(raw), CARD)]
            self._add_unit(np.array(numbers, np.int32), unit.offset, unit.nbytes, _table(file, unit))
        self._files.append((file.path, state, file.hash, _PACKINGS.index(file.packing or ""), len(file.units)))

    def take(self, arrays: Arrays, keep: Callable[[str], bool]) -> None:
        """Take over the files of another recorder whose paths are to be kept."""
        known = np.array([self._number(card.tobytes()) for card in arrays["cards"]], np.int32)
        for row, path in enumerate(split_text(arrays["paths"])):
            if not keep(path):
                continue
            first, last = _bounds(arrays["units_of_file"], row)
            for unit in range(first, last):
                begin, end = _bounds(arrays["cards_of_unit"], unit)
                offset, nbytes, length = (int(arrays[name][unit]) for name in ("offset", "nbytes", "table_bytes"))
                table = None if length < 0 else _table_bytes(arrays, unit)
                self._add_unit(known[arrays["card"][begin:end]], offset, nbytes, table)
            state = tuple(int(each) for each in arrays["state"][row])
            digest = arrays["hash"][row].tobytes().decode("ascii")
            self._files.append((path, state, digest, int(arrays["packing"][row]), last - first))  # type: ignore[arg-type]

    def arrays(self) -> Arrays:
        """Give all of it as plain arrays."""
        paths, states, hashes, packings, counts = zip(*self._files, strict=True) if self._files else ([], [], [], [], [])
        units = np.array(self._units, np.int64).reshape(-1, 4)
        lengths = np.maximum(units[:, 3], 0)
        return {
            "paths": joined_text(paths),
            "state": np.array(states, np.int64).reshape(-1, 3),
            "hash": np.frombuffer("".join(hashes).encode("ascii"), np.uint8).reshape(len(hashes), HASH),
            "packing": np.array(packings, np.uint8),
            "units_of_file": np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
            "cards_of_unit": np.concatenate([[0], np.cumsum(units[:, 0])]),
            "offset": units[:, 1].copy(),
            "nbytes": units[:, 2].copy(),
            "table_bytes": units[:, 3].copy(),
            "table_at": np.concatenate([[0], np.cumsum(lengths)]),
            "table": np.frombuffer(b"".join(self._tables), np.uint8),
            "cards": np.frombuffer(b"".join(self._cards), np.uint8).reshape(-1, CARD),
            "card": np.concatenate(self._numbers) if self._numbers else np.empty(0, np.int32),
        }

    def _number(self, card: bytes) -> int:
        return self._cards.setdefault(card, len(self._cards))

    def _add_unit(self, numbers: np.ndarray, offset: int, nbytes: int, table: bytes | None) -> None:
        self._units.append((numbers.size, offset, nbytes, -1 if table is None else len(table)))
        self._numbers.append(numbers)
        if table:
            self._tables.append(table)


def _table(file: FitsFile, unit: Unit) -> bytes | None:
    if unit.name not in KEPT_TABLES or not unit.nbytes:
        return None
    if unit.content is not None:
        return unit.content
    with open_source(file.path) as source:
        return source.read(unit.offset, unit.nbytes)


def _bounds(edges: np.ndarray, index: int) -> tuple[int, int]:
    return int(edges[index]), int(edges[index + 1])


def _table_bytes(arrays: Arrays, unit: int) -> bytes:
    begin, end = _bounds(arrays["table_at"], unit)
    return arrays["table"][begin:end].tobytes()


class Manifest:
    """What a manifest holds; files come out of it as if they had been scanned.

    Parameters
    ----------
    arrays : dict of ndarray
        From `Recorder.arrays`, and of the series if there is one; nothing for a manifest that is yet to be made.
    """

    def __init__(self, arrays: Arrays | None = None) -> None:
        empty = Recorder().arrays()
        self.arrays = arrays or empty
        if missing := empty.keys() - self.arrays.keys():
            raise KeyError(f"without {', '.join(sorted(missing))}")
        self.paths = split_text(self.arrays["paths"])
        self._row = {path: row for row, path in enumerate(self.paths)}
        self._state = [tuple(state) for state in self.arrays["state"].tolist()]
        if len(self._state) != len(self.paths):
            raise ValueError("the arrays of the manifest do not belong together")

    def is_unchanged(self, path: str, state: State | None) -> bool:
        """Whether a file is held, and is what it was."""
        row = self._row.get(path)
        return row is not None and state is not None and self._state[row] == state

    def file(self, path: str) -> FitsFile:
        """Give a file that is held, as `tsogrid.io.fits.scan` would."""
        arrays, row = self.arrays, self._row[path]
        first, last = _bounds(arrays["units_of_file"], row)
        units = []
        for index, unit in enumerate(range(first, last)):
            begin, end = _bounds(arrays["cards_of_unit"], unit)
            header = Cards(arrays["cards"][arrays["card"][begin:end]].tobytes())
            content = None if arrays["table_bytes"][unit] < 0 else _table_bytes(arrays, unit)
            units.append(Unit(header, int(arrays["offset"][unit]), int(arrays["nbytes"][unit]), index, content))
        packing = _PACKINGS[int(arrays["packing"][row])] or None
        return FitsFile(path, self._state[row][0], arrays["hash"][row].tobytes().decode("ascii"), units, packing)


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """Read a manifest.

    Parameters
    ----------
    path : Path
        Where it is, or will be.

    Returns
    -------
    manifest : Manifest
        Without files where there is none yet, or where it is damaged.
    note : str
        What the user should know; empty if all is well.

    Raises
    ------
    InputError
        Something else stands there, or it may not be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(30 + len(FORM))
            if start and FORM.rstrip("1").encode() not in start:
                raise InputError(
                    f"{path}: expected a manifest (input.manifest), found something else; nothing was changed. Name a file "
                    "that `tsogrid inspect --save` made, or one that is not there yet."
                )
            file.seek(0)
            with np.load(file, allow_pickle=False) as content:
                if FORM not in content:
                    return Manifest(), f"{path}: the manifest is of another version of tsogrid: the files are scanned again"
                return Manifest({name: content[name] for name in content.files if name != FORM}), ""
    except InputError:
        raise
    except FileNotFoundError:
        return Manifest(), ""
    except (PermissionError, IsADirectoryError) as error:
        raise InputError(f"{path}: the manifest (input.manifest) cannot be read ({error.strerror})") from None
    except _DAMAGED as error:
        return Manifest(), f"{path}: the manifest is damaged ({error}): the files are scanned again"


def write_manifest(path: Path, arrays: Arrays) -> str:
    """Write a manifest in one step: whoever reads it meanwhile finds the old one, or the new one.

    Parameters
    ----------
    path : Path
        Where.
    arrays : dict of ndarray
        What it holds.

    Returns
    -------
    str
        Why it could not be written; empty if it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in {FORM: np.empty(0), **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
        beside.replace(path)
    except OSError as error:
        return f"{path}: the manifest could not be written ({error.strerror}); nothing else depends on it"
    finally:
        with suppress(OSError):
            beside.unlink()
    return ""


def scanned(paths: Sequence[str], scan_many: Callable[[Sequence[str]], Iterable[FitsFile]]) -> Arrays:
    """Scan files for a manifest: what one worker does of it; files that cannot be scanned are left out.

    Parameters
    ----------
    paths : sequence of str
        The files.
    scan_many : callable
        Scans files one after the other.

    Returns
    -------
    dict of ndarray
        From `Recorder.arrays`.
    """
    recorder = Recorder()
    for path in paths:
        state = state_of(path)
        with suppress(InputError):  # whoever opens the frames says what is wrong with it
            for file in scan_many([path]):
                if state is not None and is_settled(state, time.time_ns()):
                    recorder.add(file, state)
    return recorder.arrays()


def files_of(
    paths: Sequence[str], manifest: Manifest, states: dict[str, State | None], scan_many: Callable[..., Iterable[FitsFile]]
) -> Iterator[FitsFile]:
    """Give files in the order of `paths`: unchanged ones from the manifest, the others scanned."""
    missing = iter(scan_many([path for path in paths if not manifest.is_unchanged(path, states[path])]))
    for path in paths:
        yield manifest.file(path) if manifest.is_unchanged(path, states[path]) else next(missing)
