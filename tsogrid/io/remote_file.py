"""One remote file, opened for reading by byte ranges: what headers, tables and packed files are read from."""

from collections.abc import Sequence

import numpy as np

from tsogrid.config import Storage
from tsogrid.errors import InputError
from tsogrid.io.byte_ranges import Range
from tsogrid.io.remote import Wanted, fetch
from tsogrid.io.remote_names import shown
from tsogrid.io.remote_pieces import Pieces, fetch_pieces

FIRST_READ = 5 * 2880  # holds the first header of most frames
HOP = 2 * 2880  # the header of an extension, as a rule


class RemoteFile:
    """A remote file, read by ranges as `tsogrid.io.fits.open_checked` reads local ones.

    What was fetched last is kept: headers are read in small pieces that lie side by side.
    """

    more = 5 * 2880  # bytes by which the read of a long header goes on

    def __init__(self, path: str, storage: Storage, version: int = 0) -> None:
        self.path = shown(path)
        self._path, self._storage = path, storage
        self._start, self._content = 0, b""
        got = fetch([Wanted(path, [Range(0, FIRST_READ)], version)], storage)[0]
        self._content, self.size, self.version = got.content[0], got.size, got.version

    def __enter__(self) -> "RemoteFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._content = b""

    def read(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes; fewer at the end of the file."""
        stop = min(offset + count, self.size)
        if offset >= stop:
            return b""
        if offset < self._start or stop > self._start + len(self._content):
            end = min(max(stop, offset + HOP), self.size)
            self._start, self._content = offset, self._fetch([Range(offset, end)])[0]
        return self._content[offset - self._start : stop - self._start]

    def read_many(self, offsets: np.ndarray, length: int) -> bytes:
        """Read pieces of one length, ascending, one after the other."""
        return fetch_pieces([Pieces(self._path, self.version, offsets, length)], self._storage)[0].tobytes()

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from `offset` on; a file that ends before is an error."""
        content = self.read(offset, len(buffer))
        if len(content) < len(buffer):
            raise InputError(
                f"{self.path}: truncated file: expected {len(buffer)} bytes of pixels at byte {offset}, found {len(content)}"
            )
        buffer[:] = content

    def _fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        return fetch([Wanted(self._path, ranges, self.version)], self._storage)[0].content
