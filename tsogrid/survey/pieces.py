"""Catalogues that are measured and not yet in the arrays: each a small file of its own, there whole or not at all.

A catalogue's file is its mark: it is written beside, flushed and renamed, so a run that is killed at any moment loses only
the images that it was measuring. The name of the file says which image it is of, and in which state: a file that was
replaced by another is another image.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.errors import StoreError
from tsogrid.survey.catalogue import Catalogue

UNKNOWN = -1  # size and time of a file that is not there


@dataclass(frozen=True)
class Input:
    """An image, in one state.

    Parameters
    ----------
    path : str
        Of its file, from the folder in which the store is: both can be moved together.
    size, changed : int
        Bytes, and the time of the last change in nanoseconds, of the file and of those beside it that count; −1 for a file
        that cannot be found.
    """

    path: str
    size: int
    changed: int

    @property
    def key(self) -> str:
        return hashlib.blake2b(f"{self.path}|{self.size}|{self.changed}".encode(), digest_size=12).hexdigest()


def state_of(path: str, beside: Sequence[str] = ()) -> tuple[int, int]:
    """Give the size and the time of change of a file; of several that belong together, the sum and the latest."""
    try:
        found = [os.stat(each) for each in (path, *beside)]
    except OSError:
        return UNKNOWN, UNKNOWN
    return sum(each.st_size for each in found), max(each.st_mtime_ns for each in found)


def input_of(path: str, store: Path, beside: Sequence[str] = ()) -> Input:
    """Describe an image as it is now.

    Parameters
    ----------
    path : str
        Of its file.
    store : Path
        Where its catalogue will be.
    beside : sequence of str
        Other files that its catalogue is made from.

    Returns
    -------
    Input
    """
    name = path if "://" in path else Path(os.path.relpath(path, store.parent)).as_posix()
    return Input(name, *state_of(path, beside))


class Pieces:
    """The catalogues beside the arrays of a store.

    Parameters
    ----------
    store : Path
        Whose ``progress/`` holds them.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._folder = store / "progress" / "images"

    def path(self, image: Input) -> Path:
        """Name the file of an image's catalogue."""
        return self._folder / image.key[:2] / f"{image.key}.npz"

    def keep(self, image: Input, catalogue: Catalogue) -> None:
        """Write a catalogue and flush it: from then on the image is done.

        Raises
        ------
        StoreError
            The disk is full or cannot be written.
        """
        path = self.path(image)
        beside = path.with_name(f"{path.name}.partial")
        facts = {"image": catalogue.image, "flags": catalogue.flags, "message": catalogue.message}
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True)
                for folder in (path.parent, self._folder, self._folder.parent):
                    _flush(folder)
            with open(beside, "wb") as file:
                arrays: dict[str, Any] = {f"c.{name}": values for name, values in catalogue.columns.items()}
                np.savez(file, **arrays, facts=np.array(json.dumps(facts)))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            _flush(path.parent)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise StoreError(
                f"{self._store}: the catalogue of {image.path} could not be written: {error}. What is measured is safe; "
                "mend this and run again."
            ) from None

    def read(self, image: Input) -> Catalogue | None:
        """Give the catalogue of an image; None where it is not kept or cannot be read."""
        try:
            with np.load(io.BytesIO(self.path(image).read_bytes()), allow_pickle=False) as file:
                facts = json.loads(file["facts"].item())
                columns = {name[2:]: file[name] for name in file.files if name.startswith("c.")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return Catalogue(columns, facts["image"], facts["flags"], facts["message"])

    def kept(self, images: Iterable[Input]) -> set[Input]:
        """Say which images have a catalogue here that can be read; damaged ones and half-written ones are removed."""
        for half in self._folder.rglob("*.partial"):
            half.unlink(missing_ok=True)
        there = {path.stem for path in self._folder.rglob("*.npz")}
        found = set()
        for image in images:
            if image.key in there:
                if self.read(image) is not None:
                    found.add(image)
                else:
                    self.path(image).unlink(missing_ok=True)
        return found

    def forget(self) -> None:
        """Remove all."""
        for path in self._folder.rglob("*.npz"):
            path.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
