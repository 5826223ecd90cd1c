"""The header scan: where the pixels of a FITS file lie, without reading one.

Only header blocks are read, one after the other, by skipping the data between them. That gives what a lazy array needs (byte
offset, pixel format, shape of each image), the hash that identifies the file, and errors that say where a damaged file ends.
"""

import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tsogrid.config import Storage
from tsogrid.errors import InputError
from tsogrid.io.cards import Cards
from tsogrid.io.packed import Unpacked, packing
from tsogrid.io.remote_file import RemoteFile
from tsogrid.io.remote_names import base_name, is_remote, shown

BLOCK = 2880
FIRST_READ = 5 * BLOCK  # holds the primary header of most files: one system call
PIXEL_DTYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_TABLE_DTYPES = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_END = re.compile(rb"END {77}")
_KEPT_TABLES = ("INT_TIMES",)  # of remote files: fetched with the headers, side by side for many files
_COMPRESSED = {b"PK": "zip", b"\x1f\x9d": "compress"}


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of an image are stored: ``value = zero + scale * stored``."""

    dtype: str
    scale: float = 1.0
    zero: float = 0.0
    blank: int | None = None  # the stored integer that means "no value"
    stride: int = 0  # bytes from frame to frame; 0: they follow each other
    packed: bool = False  # whether the file has to be unpacked as a whole
    extension: int | None = None  # of a tile-compressed image: where it is

    @property
    def is_packed(self) -> bool:
        """Whether a byte range of the file is no range of pixels."""
        return self.packed or self.extension is not None


@dataclass(frozen=True)
class Image:
    """An image of a file: ``shape`` is (rows of the cube, ny, nx), ``offset`` that of its first pixel in bytes.

    Of a tile-compressed image ``offset`` is the first of its planes.
    """

    offset: int
    pixels: PixelFormat
    shape: tuple[int, int, int]


@dataclass
class Unit:
    """One header-data unit of a file."""

    header: Cards
    offset: int
    nbytes: int
    index: int
    content: bytes | None = None  # of a table that was fetched with its header

    @property
    def name(self) -> str:
        return str(self.header.get("EXTNAME", "")).strip().upper()

    @property
    def axes(self) -> tuple[int, ...]:
        """Lengths of the axes in numpy's order."""
        z = "Z" if self.is_compressed else ""
        return tuple(int(self.header[f"{z}NAXIS{n}"]) for n in range(int(self.header[f"{z}NAXIS"]), 0, -1))

    @property
    def is_image(self) -> bool:
        """Whether it holds an image (not a table, not an empty header)."""
        plain = str(self.header.get("XTENSION", "IMAGE")).strip() == "IMAGE"
        return self.nbytes > 0 and (plain or self.is_compressed)

    @property
    def is_compressed(self) -> bool:
        return bool(self.header.get("ZIMAGE", False))


@dataclass
class FitsFile:
    """A scanned file."""

    path: str
    size: int
    hash: str
    units: list[Unit] = field(default_factory=list)
    packing: str | None = None  # gzip, bzip2 or xz if the file is packed as a whole
    storage: Storage = field(default_factory=Storage)  # how it is reached, if it is remote
    version: int = 0  # of a remote file: what its server says of it (ETag, size)

    @property
    def name(self) -> str:
        return base_name(self.path)

    def open(self) -> "Source":
        """Open it again for reading by byte ranges."""
        return open_source(self.path, self.storage, self.version)

    @property
    def primary(self) -> Cards:
        return self.units[0].header

    def find(self, name: str) -> Unit | None:
        """Give the first unit whose EXTNAME is `name`, or None."""
        return next((unit for unit in self.units if unit.name == name), None)

    def image(self, unit: Unit) -> Image:
        """Say where the pixels of a unit lie.

        Raises
        ------
        InputError
            The unit is no image, or is not 2-D or 3-D.
        """
        what = f"extension {unit.index}" + (f" ({unit.name})" if unit.name else "")
        if not unit.is_image:
            raise InputError(f"{self.path}: expected an image in {what}, found none{self.contents()}")
        if len(unit.axes) not in (2, 3):
            shape = " × ".join(str(n) for n in unit.axes)
            raise InputError(
                f"{self.path}: expected a 2-D frame or a 3-D cube (time, y, x) in {what}, "
                f"found {len(unit.axes)}-D data ({shape}){_ramp_hint(unit.axes)}"
            )
        rows, ny, nx = (1, *unit.axes)[-3:]
        header = unit.header
        if unit.is_compressed:
            return Image(0, PixelFormat(PIXEL_DTYPES[int(header["ZBITPIX"])], extension=unit.index), (rows, ny, nx))
        blank = header.get("BLANK") if int(header["BITPIX"]) > 0 else None
        pixels = PixelFormat(
            PIXEL_DTYPES[int(header["BITPIX"])],
            float(header.get("BSCALE", 1.0)),
            float(header.get("BZERO", 0.0)),
            None if blank is None else int(blank),
            packed=self.packing is not None,
        )
        return Image(unit.offset, pixels, (rows, ny, nx))

    def table(self, unit: Unit) -> Any:
        """Read a (small) binary table.

        Returns
        -------
        numpy structured array or None
            None if the table has no rows.
        """
        if not unit.nbytes:
            return None
        data = unit.content
        if data is None:
            with self.open() as source:
                data = source.read(unit.offset, unit.nbytes)
        dtype = _row_dtype(unit.header)
        if dtype is not None:
            return np.frombuffer(data, dtype, count=int(unit.header["NAXIS2"]))
        from astropy.io import fits  # 10 MB, seldom needed

        padding = b"\0" * (-len(data) % BLOCK)
        return np.asarray(fits.BinTableHDU.fromstring(unit.header.raw + data + padding).data)

    def contents(self) -> str:
        """List the extensions, for error messages."""
        names = [f"{unit.index} {unit.name or 'PRIMARY'}" for unit in self.units]
        return f" (the file holds: {', '.join(names)})"


def _row_dtype(header: Cards) -> np.dtype[Any] | None:
    """Give the layout of a table's rows; None if its columns are not all plain numbers."""
    columns = []
    for n in range(1, int(header["TFIELDS"]) + 1):
        code = str(header.get(f"TFORM{n}", "")).strip().lstrip("1")
        if code not in _TABLE_DTYPES or f"TSCAL{n}" in header or f"TZERO{n}" in header:
            return None
        columns.append((str(header.get(f"TTYPE{n}", f"col{n}")), _TABLE_DTYPES[code]))
    dtype = np.dtype(columns)
    return dtype if dtype.itemsize == header["NAXIS1"] else None


def _ramp_hint(axes: tuple[int, ...]) -> str:
    if len(axes) == 4:
        return ": ramps are not measured, take the products of the second stage (_calints, _rateints)"
    return ""


class open_checked:  # noqa: N801 (used as a function, like open)
    """Open a file for reading by byte ranges; every failure is an `InputError` that names the file."""

    more = 20 * BLOCK  # bytes by which the read of a long header goes on

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except PermissionError:
            raise InputError(f"{path}: expected a readable file, found no permission to read it") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be opened ({error.strerror})") from None

    def __enter__(self) -> "open_checked":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def read(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes; fewer at the end of the file."""
        try:
            return os.pread(self.descriptor, count, offset)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from None

    def read_many(self, offsets: np.ndarray, length: int) -> bytes:
        """Read pieces of one length, one after the other."""
        return b"".join(self.read(offset, length) for offset in offsets.tolist())

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from `offset` on; a file that ends before is an error."""
        done = 0
        while done < len(buffer):
            try:
                got = os.preadv(self.descriptor, [buffer[done:]], offset + done)
            except OSError as error:
                raise InputError(f"{self.path}: cannot be read ({error.strerror})") from None
            if not got:
                raise InputError(
                    f"{self.path}: truncated file: expected {len(buffer)} bytes of pixels at byte {offset}, "
                    f"found {done}; it has changed since it was opened: copy or download it again"
                )
            done += got


Source = open_checked | Unpacked | RemoteFile


def open_source(path: str, storage: Storage | None = None, version: int = 0) -> Source:
    """Open a file for reading by byte ranges, one that is packed by unpacking it.

    Parameters
    ----------
    path : str
        A local path, or a URL.
    storage : Storage, optional
        How a remote file is reached.
    version : int
        What a remote file was when it was opened first; 0: not known.
    """
    file = RemoteFile(path, storage or Storage(), version) if is_remote(path) else open_checked(path)
    try:
        if packing(file.read(0, 8)) is None:
            return file
        content = file.read(0, file.size)
    except BaseException:
        file.__exit__()
        raise
    file.__exit__()
    return Unpacked(shown(path), content, getattr(file, "version", 0))


def _read_header(file: Source, offset: int, chunk: int, what: str) -> bytes:
    raw = b""
    while True:
        piece = file.read(offset + len(raw), chunk)
        scanned = len(raw)
        raw += piece
        for match in _END.finditer(raw, max(0, scanned - 80)):
            if match.start() % 80 == 0:
                return raw[: -(-match.end() // BLOCK) * BLOCK]
        if len(piece) < chunk:
            raise InputError(
                f"{file.path}: truncated FITS file: {what} has no END card before the file ends at byte "
                f"{offset + len(raw)}; copy or download it again"
            )
        chunk = max(chunk, file.more)


def _data_size(header: Cards) -> int:
    count = 0
    if int(header["NAXIS"]):
        count = 1
        for n in range(1, int(header["NAXIS"]) + 1):
            count *= int(header[f"NAXIS{n}"])
    extra = int(header.get("PCOUNT", 0)) if "XTENSION" in header else 0
    groups = int(header.get("GCOUNT", 1)) if "XTENSION" in header else 1
    return abs(int(header["BITPIX"])) // 8 * groups * (count + extra)


def scan(path: str, storage: Storage | None = None) -> FitsFile:
    """Read the headers of a FITS file.

    Parameters
    ----------
    path : str
        The file, or its URL.
    storage : Storage, optional
        How a remote file is reached.

    Returns
    -------
    FitsFile
        Its units with their byte offsets, and the first 16 hexadecimal digits of the SHA-256 of all header bytes.

    Raises
    ------
    InputError
        The file is missing, unreadable, damaged, not FITS, or shorter than its headers say.
    """
    name = shown(path)
    with open_source(path, storage) as file:
        try:
            size = file.size
            start = file.read(0, FIRST_READ)
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror})") from None
        if not start.startswith(b"SIMPLE  ="):
            raise InputError(f"{name}: expected a FITS file, found {_what_it_is(start)}")
        result = FitsFile(path, size, "", storage=storage or Storage(), version=getattr(file, "version", 0))
        if isinstance(file, Unpacked):
            result.packing, result.size = file.kind, file.packed_size
        digest = hashlib.sha256()
        offset = 0
        while offset < size:
            if offset and not file.read(offset, 9).startswith(b"XTENSION="):
                break  # padding or special records after the last unit
            index = len(result.units)
            raw = _read_header(file, offset, FIRST_READ if index == 0 else 2 * BLOCK, f"header {index}")
            try:
                header = Cards(raw)
                nbytes = _data_size(header)
                known = int(header["BITPIX"]) in PIXEL_DTYPES
            except (KeyError, ValueError, TypeError) as error:
                raise InputError(f"{name}: header {index} is not valid FITS ({error})") from None
            if not known:
                raise InputError(f"{name}: header {index} is not valid FITS (BITPIX = {header['BITPIX']})")
            digest.update(raw)
            offset += len(raw)
            if offset + nbytes > size:
                raise InputError(
                    f"{name}: truncated FITS file: expected {offset + nbytes} bytes up to the data of extension "
                    f"{index}, found {size}; copy or download it again"
                )
            unit = Unit(header, offset, nbytes, index)
            if isinstance(file, RemoteFile) and unit.name in _KEPT_TABLES:
                unit.content = file.read(offset, nbytes)
            result.units.append(unit)
            offset += -(-nbytes // BLOCK) * BLOCK
    result.hash = digest.hexdigest()[:16]
    return result


def _what_it_is(start: bytes) -> str:
    if not start:
        return "an empty file"
    for magic, kind in _COMPRESSED.items():
        if start.startswith(magic):
            return f"a {kind}-compressed file, which is not read: unpack it first"
    return "something else (it does not begin with SIMPLE =)"
