"""What the tests of catalogues share: images that are text files, and a task that reads them.

A file holds the number of its stars, or what its measurement does: ``raise``, ``die``, or ``unreadable``.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsogrid.errors import InputError
from tsogrid.survey import Catalogue


@dataclass(frozen=True)
class TextTask:
    """Makes a catalogue of so many stars as the file says."""

    factor: float = 1.0

    def __call__(self, path: str) -> Catalogue:
        text = Path(path).read_text().split()[0]
        if text == "raise":
            raise ValueError("a defect\nof two lines")
        if text == "unreadable":
            raise InputError("no image")
        if text == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        count = int(text)
        rng = np.random.default_rng(count)
        columns = {
            "x": self.factor * rng.normal(size=count),
            "id": np.arange(count),
            "name": np.array([f"s{count}-{row}" for row in range(count)], dtype="U12"),
            "good": np.arange(count) % 2 == 0,
        }
        facts = {"time": 60000.0 + count, "filter": "RVB"[count % 3], "stars": count}
        return Catalogue(columns, facts, flags=8 if not count else 0, message="" if count else "no stars")


def write_images(folder: Path, contents: list) -> list[str]:
    """Write an image a content, and give their paths."""
    paths = [folder / f"d{1000 + number}.txt" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(f"{content}\n")
    return [str(path) for path in paths]


def tree(store: Path) -> dict[str, bytes]:
    """The bytes of a store, but for ``progress/``, which holds the times of files."""
    files = (path for path in store.rglob("*") if path.is_file())
    named = {path.relative_to(store).as_posix(): path.read_bytes() for path in files}
    return {name: content for name, content in named.items() if name != "progress/inputs.json"}
