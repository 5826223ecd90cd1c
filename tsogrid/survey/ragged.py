"""The arrays of many catalogues: laid out beside, filled image after image, and put under the store's name in one step.

Rows stand in the order of the images, whichever was measured first. What a store holds already is taken over: whole chunks
at its beginning as they are, the rest copied; so a night more costs the rows of that night. No more than a chunk of rows is
in memory.
"""

import json
import math
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

import tsogrid
from tsogrid.engine.layout import CODECS, KEYS
from tsogrid.errors import StoreError
from tsogrid.flags import ImageFlag, cf_attributes
from tsogrid.survey.catalogue import ATTRIBUTE, OF_IMAGES, Catalogue, Fact, attributes_of
from tsogrid.survey.pieces import Input, Pieces

ROWS = 2**18  # of a chunk: 2 MB a column
Words = Mapping[str, tuple[str, str]]  # of a column or a fact: unit, meaning
_WORDS = {
    "path": ("", "file of the image, from the folder in which this store is"),
    "row_size": ("1", "number of rows of the image"),
    "image_flags": ("1", "quality of the image"),
    "message": ("", "what to know of the image"),
}


@dataclass(frozen=True)
class Held:
    """What the arrays of a store hold.

    Parameters
    ----------
    identity : dict
        What the catalogues were made with.
    inputs : list of Input
        The images, in order.
    sizes, flags : ndarray of int
        Rows and flags of each.
    facts : dict of ndarray
        Of the images.
    messages : list of str
    columns : dict
        Type of each column; text as a numpy type of kind U.
    """

    identity: dict[str, Any]
    inputs: list[Input]
    sizes: np.ndarray
    flags: np.ndarray
    facts: dict[str, np.ndarray]
    messages: list[str]
    columns: dict[str, np.dtype[Any]]


@dataclass(frozen=True)
class Entry:
    """An image of the store that is to be made.

    Parameters
    ----------
    image : Input
        Which.
    held : int or None
        Its number in the store that is there.
    failed : (int, str) or None
        Flags and message of an image without a catalogue. With neither, its catalogue is among the pieces.
    """

    image: Input
    held: int | None = None
    failed: tuple[int, str] | None = None


def held(store: Path) -> Held | None:
    """Read what a store holds but its rows; None where nothing stands.

    Raises
    ------
    StoreError
        Something else than a store of catalogues stands there.
    """
    if not store.exists() or (store.is_dir() and not any(store.iterdir())):
        return None
    try:
        identity = attributes_of(store)["identity"]
    except StoreError:
        raise StoreError(
            f"{store}: expected a store of catalogues or nothing, found something else. Nothing was changed. "
            "Choose another store."
        ) from None
    arrays = dict(zarr.open_group(store, mode="r").arrays())
    read = {name: np.asarray(array[:]) for name, array in arrays.items() if _dimension(array) == "image"}
    inputs = json.loads((store / "progress" / "inputs.json").read_text(encoding="utf-8"))
    return Held(
        identity,
        [Input(*each) for each in inputs],
        read["row_size"],
        read["image_flags"],
        {name: values for name, values in read.items() if name not in OF_IMAGES},
        [str(message) for message in read["message"]],
        {name: _type(array) for name, array in arrays.items() if _dimension(array) == "row"},
    )


def _dimension(array: Any) -> str:
    return str(array.metadata.dimension_names[0])


def _type(array: Any) -> np.dtype[Any]:
    return np.dtype(array.dtype) if array.dtype.kind in "biuf" else np.dtype("U1")


def assemble(store: Path, identity: dict[str, Any], entries: Sequence[Entry], before: Held | None, words: Words) -> None:
    """Make the arrays of a store, and put them under its name.

    Parameters
    ----------
    store : Path
        Where; its folder must exist.
    identity : dict
        What the catalogues were made with.
    entries : sequence of Entry
        All images, in order.
    before : Held or None
        What the store holds now.
    words : dict
        Unit and meaning of columns and facts.

    Raises
    ------
    StoreError
        The disk is full, or what is there cannot be read.
    """
    making, old = (store.parent / f".{store.name}.{what}" for what in ("making", "old"))
    pieces = Pieces(store)
    try:
        for leftover in (making, old):
            shutil.rmtree(leftover, ignore_errors=True)
        sizes, flags, messages, facts, columns = _gathered(entries, before, pieces)
        attributes = {"Conventions": "CF-1.11", "tsogrid_version": tsogrid.__version__}
        survey = json.dumps({"identity": identity, "rows": ROWS}, sort_keys=True)
        group = zarr.open_group(making, mode="w", zarr_format=3, attributes={**attributes, ATTRIBUTE: survey})
        with zarr.config.set({"array.write_empty_chunks": True}):
            along_image: dict[str, Any] = {
                "path": np.array([entry.image.path for entry in entries], dtype=np.dtypes.StringDType()),
                "row_size": sizes,
                "image_flags": flags,
                "message": np.array(messages, dtype=np.dtypes.StringDType()),
            }
            for name, values in (along_image | facts).items():
                array = _create(group, name, values.dtype, len(values), max(1, len(values)), "image", words)
                array[:] = values
            arrays = {
                name: _create(group, name, kind, int(sizes.sum()), ROWS, "row", words) for name, kind in columns.items()
            }
            _fill(arrays, store, making, entries, sizes, before, pieces)
        inputs = [(entry.image.path, entry.image.size, entry.image.changed) for entry in entries]
        with warnings.catch_warnings():
            # Consolidated metadata is read by every zarr library that is in use; only its place in the standard is open.
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            zarr.consolidate_metadata(making)
        group.create_group("progress")  # after: readers of the result never look there
        (making / "progress" / "inputs.json").write_text(json.dumps(inputs), encoding="utf-8")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(_flush, [making, *making.rglob("*")]))
        if store.exists():
            store.rename(old)
        making.rename(store)
        _flush(store.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{store}: the catalogues could not be put together: {error}. What is measured is safe; mend this and run again."
        ) from None
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _create(group: Any, name: str, kind: Any, length: int, chunk: int, dimension: str, words: Words) -> Any:
    unit, meaning = words.get(name) or _WORDS.get(name) or ("", name.replace("_", " "))
    attributes: dict[str, Any] = {"units": unit, "long_name": meaning}
    if name == "row_size":
        attributes["sample_dimension"] = "row"
    elif name == "image_flags":
        attributes |= cf_attributes(ImageFlag)
    kind = np.dtype(kind)
    return group.create_array(
        name,
        shape=(length,),
        chunks=(chunk,),
        dtype=kind if kind.kind in "biuf" else str,
        fill_value=math.nan if kind.kind == "f" else None,
        compressors=CODECS,
        chunk_key_encoding=KEYS,
        dimension_names=(dimension,),
        attributes=attributes,
    )


def _gathered(
    entries: Sequence[Entry], before: Held | None, pieces: Pieces
) -> tuple[np.ndarray, np.ndarray, list[str], dict[str, np.ndarray], dict[str, np.dtype[Any]]]:
    """All that is known but the rows: sizes, flags, messages, facts, and the types of the columns."""
    sizes, flags = np.zeros(len(entries), np.int64), np.zeros(len(entries), np.int64)
    messages: list[str] = []
    of_images: list[Mapping[str, Fact]] = []
    columns: dict[str, np.dtype[Any]] = dict(before.columns) if before and any(e.held is not None for e in entries) else {}
    for number, entry in enumerate(entries):
        if entry.failed is not None:
            flags[number], message = entry.failed
            messages.append(message)
            of_images.append({})
        elif entry.held is not None and before is not None:
            sizes[number], flags[number] = before.sizes[entry.held], before.flags[entry.held]
            messages.append(before.messages[entry.held])
            of_images.append({name: values[entry.held] for name, values in before.facts.items()})
        else:
            catalogue = _piece(pieces, entry)
            sizes[number], flags[number] = len(catalogue), catalogue.flags
            messages.append(catalogue.message)
            of_images.append(catalogue.image)
            for name, values in catalogue.columns.items():
                columns[name] = np.promote_types(columns.get(name, values.dtype), values.dtype)
    return sizes, flags, messages, _facts(of_images), columns


def _facts(of_images: Sequence[Mapping[str, Fact]]) -> dict[str, np.ndarray]:
    names = list(dict.fromkeys(name for facts in of_images for name in facts))
    result = {}
    for name in names:
        if any(isinstance(facts.get(name), str) for facts in of_images):
            values = [str(facts.get(name, "")) for facts in of_images]
            result[name] = np.array(values, dtype=np.dtypes.StringDType())
        else:
            result[name] = np.array([float(facts.get(name, math.nan)) for facts in of_images])
    return result


def _piece(pieces: Pieces, entry: Entry) -> Catalogue:
    catalogue = pieces.read(entry.image)
    if catalogue is None:
        raise StoreError(f"{pieces.path(entry.image)}: the catalogue of {entry.image.path} cannot be read. Run again.")
    return catalogue


def _fill(
    arrays: dict[str, Any],
    store: Path,
    making: Path,
    entries: Sequence[Entry],
    sizes: np.ndarray,
    before: Held | None,
    pieces: Pieces,
) -> None:
    """Write all rows, chunk after chunk."""
    same = 0
    if before is not None and before.columns == {name: _type(array) for name, array in arrays.items()}:
        while same < len(entries) and entries[same].held == same:
            same += 1
    taken = int(sizes[:same].sum()) // ROWS
    for name in arrays:
        for chunk in range(taken):
            _link(store / name / f"c.{chunk}", making / name / f"c.{chunk}")
    position = taken * ROWS
    waiting: list[dict[str, np.ndarray]] = []
    count = 0
    runs = _runs(entries, before)
    if taken:
        runs[0] = (position, runs[0][1])  # type: ignore[index]  # rows that were there come first
    for rows in _rows(arrays, store, runs, pieces):
        waiting.append(rows)
        count += len(next(iter(rows.values())))
        while count >= ROWS:
            joined = {name: np.concatenate([part[name] for part in waiting]) for name in arrays}
            for name, array in arrays.items():
                array[position : position + ROWS] = joined[name][:ROWS]
            position, count = position + ROWS, count - ROWS
            waiting = [{name: values[ROWS:] for name, values in joined.items()}]
    if count:
        for name, array in arrays.items():
            array[position : position + count] = np.concatenate([part[name] for part in waiting])


def _runs(entries: Sequence[Entry], before: Held | None) -> list[tuple[int, int] | Entry]:
    """Where the rows come from, in order: rows of the store that is there (those side by side as one), or a piece."""
    ends = np.cumsum(before.sizes) if before is not None else np.zeros(0, np.int64)
    runs: list[tuple[int, int] | Entry] = []
    for entry in entries:
        if entry.failed is not None:
            continue
        if entry.held is None or before is None:
            runs.append(entry)
            continue
        last = int(ends[entry.held])
        first = last - int(before.sizes[entry.held])
        previous = runs[-1] if runs else None
        if isinstance(previous, tuple) and previous[1] == first:
            runs[-1] = (previous[0], last)
        elif last > first:
            runs.append((first, last))
    return runs


def _rows(
    arrays: dict[str, Any], store: Path, runs: list[tuple[int, int] | Entry], pieces: Pieces
) -> Iterator[dict[str, np.ndarray]]:
    """The rows, in parts of a chunk at most."""
    for run in runs:
        if isinstance(run, Entry):
            catalogue = _piece(pieces, run)
            if len(catalogue):
                yield catalogue.columns
            continue
        stored = dict(zarr.open_group(store, mode="r").arrays())
        for first in range(*run, ROWS):
            part = slice(first, min(first + ROWS, run[1]))
            try:
                yield {name: np.asarray(stored[name][part]) for name in arrays}
            except Exception as error:  # the codecs raise errors of many types
                raise StoreError(
                    f"{store}: rows {part.start} … {part.stop - 1} are damaged ({error}): overwrite it."
                ) from None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _flush(path: Path) -> None:
    """Force a file, or the names in a folder, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
