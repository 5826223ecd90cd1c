"""Files that are packed as a whole (gzip, bzip2, xz): unpacked into memory when they are opened.

A packed file has no byte ranges: whoever wants one pixel unpacks everything before it. So a window of a packed frame costs
what the frame costs, and a run reads all its windows at once (see `tsogrid.engine.plan`).
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable

import numpy as np

from tsogrid.errors import InputError

Unpack = Callable[[bytes], bytes]
_KINDS: dict[bytes, tuple[str, Unpack]] = {
    b"\x1f\x8b": ("gzip", gzip.decompress),
    b"BZh": ("bzip2", bz2.decompress),
    b"\xfd7zXZ": ("xz", lzma.decompress),
}


def packing(start: bytes) -> str | None:
    """Name the way in which a file is packed that begins with these bytes; None if it is not, or in a way not known."""
    return next((name for magic, (name, _) in _KINDS.items() if start.startswith(magic)), None)


class Unpacked:
    """The bytes of a packed file; reads as `tsogrid.io.fits.open_checked` does.

    Raises
    ------
    InputError
        The file is damaged or cut short.
    """

    more = 20 * 2880  # bytes by which the read of a long header goes on

    def __init__(self, path: str, packed: bytes, version: int = 0) -> None:
        self.path = path
        self.version = version
        self.packed_size = len(packed)
        name, unpack = next(kind for magic, kind in _KINDS.items() if packed.startswith(magic))
        self.kind = name
        try:
            self.content = unpack(packed)
        except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise InputError(f"{path}: truncated or damaged {name} file ({error}); copy or download it again") from None

    def __enter__(self) -> "Unpacked":
        return self

    def __exit__(self, *_: object) -> None:
        self.content = b""

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes; fewer at the end of the file."""
        return self.content[offset : offset + count]

    def read_many(self, offsets: np.ndarray, length: int) -> bytes:
        """Read pieces of one length, one after the other."""
        return b"".join(self.read(offset, length) for offset in offsets.tolist())

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from `offset` on; a file that ends before is an error."""
        if offset + len(buffer) > len(self.content):
            raise InputError(
                f"{self.path}: truncated file: expected {len(buffer)} bytes of pixels at byte {offset} of its "
                "content, found "
                f"{max(0, len(self.content) - offset)}; it has changed since it was opened: copy or download it again"
            )
        buffer[:] = self.content[offset : offset + len(buffer)]
