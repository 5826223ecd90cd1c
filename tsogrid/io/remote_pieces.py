"""Many small pieces of remote files in one go: the rows of stamps, and numbers that stand in the rows of tables.

A block of frames is many files times many rows. All of them are asked for at once, since what takes time is the way there
and back; pieces that lie close are fetched with what lies between them, which costs less than the headers of another answer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tsogrid.config import Storage
from tsogrid.errors import InputError
from tsogrid.io.byte_ranges import merge
from tsogrid.io.remote import Wanted, fetch
from tsogrid.io.remote_names import shown

if TYPE_CHECKING:
    from tsogrid.io.fits import PixelFormat

GAP = 1024  # bytes; an answer of a web server or an object store has headers of 300 to 700
AT_ONCE = 32 << 20  # bytes that are held beside the frames that they become


class Pieces(NamedTuple):
    """Pieces of one length of one file, their first bytes ascending."""

    path: str
    version: int
    offsets: np.ndarray
    length: int


class Box(NamedTuple):
    """Consecutive frames × rows × columns of one file, and the array (frames, rows, columns) that they fill."""

    out: np.ndarray
    path: str
    version: int
    offset: int  # of the first pixel of the file's image
    pixels: "PixelFormat"
    shape: tuple[int, int]
    frame: int
    top: int
    left: int

    def cut(self) -> "list[Box]":
        """Cut it along the frames, so that no part is much larger than what is fetched at once."""
        count = self.out.shape[0]
        step = max(1, AT_ONCE * count // max(self.stored, 1))
        return [self._replace(out=self.out[i : i + step], frame=self.frame + i) for i in range(0, count, step)]

    @property
    def stored(self) -> int:
        """Bytes in the file."""
        return self.out.size * np.dtype(self.pixels.dtype).itemsize

    def pieces(self) -> Pieces:
        """Give its rows as pieces of the file."""
        count, height, width = self.out.shape
        (ny, nx), size = self.shape, np.dtype(self.pixels.dtype).itemsize
        frames = self.offset + np.arange(self.frame, self.frame + count) * (self.pixels.stride or ny * nx * size)
        rows = (np.arange(self.top, self.top + height) * nx + self.left) * size
        return Pieces(self.path, self.version, (frames[:, None] + rows).ravel(), width * size)


def fetch_pieces(wanted: Sequence[Pieces], storage: Storage) -> list[np.ndarray]:
    """Fetch pieces of files.

    Parameters
    ----------
    wanted : sequence of Pieces
        Of each file.
    storage : Storage
        How the files are reached.

    Returns
    -------
    list of array of uint8, (pieces, length)
        One a file.

    Raises
    ------
    InputError
        A file ends before a piece; see also `tsogrid.io.remote.fetch`.
    """
    merged = [merge(each.offsets, each.length, GAP) for each in wanted]
    asked = [Wanted(each.path, some.ranges, each.version) for each, some in zip(wanted, merged, strict=True)]
    found = []
    for each, some, got in zip(wanted, merged, fetch(asked, storage), strict=True):
        out = np.empty((each.offsets.size, each.length), np.uint8)
        starts = np.array([start for start, _ in some.ranges], np.int64)
        inside = (each.offsets - starts[some.holder]).tolist()
        for row, holder, at in zip(out, some.holder.tolist(), inside, strict=True):
            content = got.content[holder]
            if at + each.length > len(content):
                raise InputError(
                    f"{shown(each.path)}: truncated file: expected {each.length} bytes at byte {starts[holder] + at}, found "
                    f"the end at byte {got.size}; it has changed since it was opened: open it again"
                )
            row[:] = np.frombuffer(content, np.uint8, each.length, at)
        found.append(out)
    return found


def batches(boxes: Sequence[Box]) -> list[list[Box]]:
    """Share boxes out, so that little more than `AT_ONCE` bytes are fetched for each share."""
    shares: list[list[Box]] = []
    size = AT_ONCE
    for box in (part for whole in boxes for part in whole.cut()):
        if size >= AT_ONCE:
            shares.append([])
            size = 0
        shares[-1].append(box)
        size += box.stored
    return shares
