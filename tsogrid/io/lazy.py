"""The lazy array: frames that lie in many files, read by byte ranges when they are indexed.

One array holds the table of files (path, byte offset, pixel format) and the runs of consecutive frames in them; it
keeps no file open and no pixel, so it is small to send to a worker. Files are read, not mapped into memory: a file
that was cut short is then an exception that names it, and not a dead process. Big-endian pixels become native ones in
pieces that fit the cache.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from tsogrid.config import Storage
from tsogrid.io.fits import PixelFormat, Source, open_checked, open_source
from tsogrid.io.remote_names import is_remote
from tsogrid.io.remote_pieces import Box, batches, fetch_pieces
from tsogrid.io.tiles import TileReader

GAP = 4096  # bytes, a page: a shorter gap between two wanted ranges costs less to read than a call for each
WIDE_GAP, MOST_UNUSED = 8192, 3  # a longer one, too, where no more than three times the wanted bytes lie between them
MANY = 4  # pieces that are read by machine code
PIECE = 1 << 21  # bytes held before they are decoded: still in a cache when they are swapped


class Runs(NamedTuple):
    """Frames in series order as runs of consecutive rows of one file; each (number of runs,)."""

    start: np.ndarray  # first frame of the run in the series
    file: np.ndarray
    row: np.ndarray  # row of that frame in its file


def make_runs(file: np.ndarray, row: np.ndarray) -> Runs:
    """Compress a frame → (file, row) mapping, each (frames,), into runs."""
    if not file.size:
        empty = np.empty(0, np.int64)
        return Runs(empty, empty, empty)
    breaks = np.flatnonzero((np.diff(file) != 0) | (np.diff(row) != 1)) + 1
    start = np.concatenate(([0], breaks)).astype(np.int64)
    return Runs(start, file[start].astype(np.int64), row[start].astype(np.int64))


class FrameArray(BackendArray):
    """Frames (time, y, x) of one variable, read from files when indexed.

    Parameters
    ----------
    paths : list of str
        Absolute paths, or URLs.
    offsets : array of int64, (files,)
        Byte offset of the first pixel of each file's image.
    formats : list of PixelFormat, one a file
        How each file stores its pixels.
    runs : Runs
        Where each frame of the series lies.
    shape : (int, int, int)
        Frames, ny, nx.
    dtype : numpy dtype
        float32 or float64 (scaled values, BLANK as NaN), or uint32 (bits).
    storage : Storage, optional
        How remote files are reached.
    versions : array of int64, (files,), optional
        What remote files were when their headers were read.
    """

    def __init__(
        self,
        paths: list[str],
        offsets: np.ndarray,
        formats: list[PixelFormat],
        runs: Runs,
        shape: tuple[int, int, int],
        dtype: Any,
        storage: Storage | None = None,
        versions: np.ndarray | None = None,
    ) -> None:
        self.paths = paths
        self.storage = storage
        self.versions = versions if any(map(is_remote, paths)) else None
        self.offsets = offsets
        kinds = list(dict.fromkeys(formats))
        self.formats = kinds
        self.format_index = np.array([kinds.index(each) for each in formats], np.uint8)
        self.runs = runs
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return _index(self, key)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        files = (self.paths, self.versions, self.offsets, self.formats)
        return (type(self).__name__, *files, *self.runs, self.shape, str(self.dtype))

    def read(self, key: tuple[Any, ...]) -> np.ndarray:
        """Read the outer product of three indexers (integer, slice or 1-D array of integers each)."""
        if all(isinstance(each, slice) and each.step in (None, 1) for each in key):  # the usual case, sooner
            frames, rows, columns = (range(*each.indices(n)) for each, n in zip(key, self.shape, strict=True))
            box = np.empty((len(frames), len(rows), len(columns)), self.dtype)
            if box.size:
                self._fill(box, np.arange(frames.start, frames.stop), np.arange(rows.start, rows.stop), columns.start)
            return box
        return self._read_any(key)

    def _read_any(self, key: tuple[Any, ...]) -> np.ndarray:
        frames, rows, columns = (_picked(each, n) for each, n in zip(key, self.shape, strict=True))
        scalar = tuple(0 if np.ndim(each) == 0 else slice(None) for each in (frames, rows, columns))
        frames, rows, columns = (np.atleast_1d(each) for each in (frames, rows, columns))
        wanted_frames, frame_at = _ascending(frames)
        wanted_rows, row_at = _ascending(rows)
        if not (frames.size and rows.size and columns.size):
            return np.empty((frames.size, rows.size, columns.size), self.dtype)[scalar]
        left, right = int(columns.min()), int(columns.max()) + 1
        out = np.empty((wanted_frames.size, wanted_rows.size, right - left), self.dtype)
        self._fill(out, wanted_frames, wanted_rows, left)
        if frame_at is not None:
            out = out[frame_at]
        if row_at is not None:
            out = out[:, row_at]
        if not _is_counting(columns - left, right - left):
            out = out[:, :, columns - left]
        return np.asarray(out[scalar], order="C")

    def _fill(self, out: np.ndarray, frames: np.ndarray, rows: np.ndarray, left: int) -> None:
        """Read the ascending `frames` and `rows`, columns from `left` on, into `out`."""
        run = np.searchsorted(self.runs.start, frames, side="right") - 1
        file = self.runs.file[run]
        row = self.runs.row[run] + frames - self.runs.start[run]
        bands = list(_stretches(rows))
        scratch = np.empty(PIECE, np.uint8)
        remote: list[Box] = []
        for first, last in _blocks_of(file):
            index = int(file[first])
            if self._is_in_ranges(index):
                remote += [
                    self._box(index, out[first + a : first + b, top:bottom], int(row[first + a]), int(rows[top]), left)
                    for a, b in _stretches(row[first:last])
                    for top, bottom in bands
                ]
                continue
            with self._open(index, scratch) as reader:
                for a, b in _stretches(row[first:last]):
                    for top, bottom in bands:
                        reader.read(out[first + a : first + b, top:bottom], int(row[first + a]), int(rows[top]), left)
        for boxes in batches(remote):
            found = fetch_pieces([box.pieces() for box in boxes], self.storage or Storage())
            for box, stored in zip(boxes, found, strict=True):
                decode(stored.view(box.pixels.dtype).reshape(box.out.shape), box.pixels, box.out)

    def _is_in_ranges(self, index: int) -> bool:
        """Whether the pixels of a file are ranges of a remote one; packed files are fetched whole."""
        return is_remote(self.paths[index]) and not self.formats[self.format_index[index]].is_packed

    def _version(self, index: int) -> int:
        return 0 if self.versions is None else int(self.versions[index])

    def _box(self, index: int, out: np.ndarray, frame: int, top: int, left: int) -> Box:
        pixels = self.formats[self.format_index[index]]
        where = (self.paths[index], self._version(index), int(self.offsets[index]), pixels)
        return Box(out, *where, (self.shape[1], self.shape[2]), frame, top, left)

    @contextmanager
    def _open(self, index: int, scratch: np.ndarray) -> "Iterator[_Reader | TileReader]":
        path, offset, pixels = self.paths[index], int(self.offsets[index]), self.formats[self.format_index[index]]
        if pixels.extension is not None:
            yield TileReader(path, pixels.extension, offset, self.storage, self._version(index))
            return
        with open_source(path, self.storage, self._version(index)) if pixels.packed else open_checked(path) as source:
            yield _Reader(source, offset, pixels, self.shape[1:], scratch)


class RootSumArray(BackendArray):
    """``sqrt(first + second)`` of two lazy arrays of variances: the error without that of the flat field."""

    def __init__(self, first: FrameArray, second: FrameArray) -> None:
        self.first = first
        self.second = second
        self.shape = first.shape
        self.dtype = first.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return _index(self, key)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (type(self).__name__, self.first.__dask_tokenize__(), self.second.__dask_tokenize__())

    def read(self, key: tuple[Any, ...]) -> np.ndarray:
        """Read as `FrameArray.read`; a negative variance gives NaN."""
        total = np.asarray(self.first.read(key))
        with np.errstate(invalid="ignore", over="ignore"):
            total = total + self.second.read(key)
            return np.asarray(np.sqrt(total))


class WordArray(BackendArray):
    """One word of bits a frame, (frames,), as if it stood in every pixel."""

    def __init__(self, words: np.ndarray, shape: tuple[int, int, int]) -> None:
        self.words = words
        self.shape = shape
        self.dtype = np.dtype(np.uint32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return _index(self, key)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (type(self).__name__, self.words, self.shape)

    def read(self, key: tuple[Any, ...]) -> np.ndarray:
        """Read as `FrameArray.read`."""
        words = np.asarray(self.words[key[0]], np.uint32)
        lengths = [np.arange(n)[each].shape for each, n in zip(key[1:], self.shape[1:], strict=True)]
        shape = tuple(length for each in (words.shape, *lengths) for length in each)
        spread = np.broadcast_to(words.reshape(words.shape + (1,) * (len(shape) - words.ndim)), shape)
        return np.array(spread, order="C")


def _index(array: "FrameArray | RootSumArray | WordArray", key: indexing.ExplicitIndexer) -> Any:
    if isinstance(key, indexing.VectorizedIndexer):  # its bounding box is read, the points are picked in memory
        return indexing.explicit_indexing_adapter(key, array.shape, indexing.IndexingSupport.OUTER, array.read)
    return array.read(key.tuple)


class _Reader:
    """Reads boxes of one image: frames × rows × columns, all consecutive."""

    def __init__(
        self, source: Source, offset: int, pixels: PixelFormat, shape: tuple[int, int], scratch: np.ndarray
    ) -> None:
        self.source = source
        self.offset = offset
        self.pixels = pixels
        self.dtype = np.dtype(pixels.dtype)
        self.ny, self.nx = shape
        self.scratch = scratch
        self.stride = pixels.stride or self.ny * self.nx * self.dtype.itemsize

    def read(self, out: np.ndarray, frame: int, top: int, left: int) -> None:
        """Fill `out` (frames, rows, columns) from the box that begins at (frame, top, left)."""
        count, height, width = out.shape
        size = self.dtype.itemsize
        gap = (self.nx - width) * size
        apart = gap > GAP and gap > min(WIDE_GAP, MOST_UNUSED * width * size)
        row = (width if apart else self.nx) * size
        band = height if height * row <= PIECE else max(1, PIECE // row)
        some = max(1, PIECE // (band * row))
        for j in range(0, height, band):
            for i in range(0, count, some):
                self._fill(out[i : i + some, j : j + band], frame + i, top + j, left, apart)

    def _fill(self, out: np.ndarray, frame: int, top: int, left: int, apart: bool) -> None:
        """Read rows one by one, or if they are not far apart all of a frame or of all frames, gaps included."""
        count, height, width = out.shape
        size, line = self.dtype.itemsize, self.nx * self.dtype.itemsize
        span = ((height - 1) * self.nx + width) * size
        together = not apart and (self.stride - span <= GAP or count == 1) and (count - 1) * self.stride + span <= PIECE
        if apart:
            pieces, length, strides = (count, height), width * size, (height * width * size, width * size, size)
        elif together:
            pieces, length, strides = (1, 1), (count - 1) * self.stride + span, (self.stride, line, size)
        else:
            pieces, length, strides = (count, 1), span, (span, line, size)
        if pieces[0] * pieces[1] * length > self.scratch.size:  # one row that is longer than a piece
            self.scratch = np.empty(pieces[0] * pieces[1] * length, np.uint8)
        at = self.offset + frame * self.stride + (top * self.nx + left) * size
        self._read_pieces(at, (self.stride, line), pieces, length)
        stored: np.ndarray = np.ndarray(out.shape, self.dtype, self.scratch.data, 0, strides)
        decode(stored, self.pixels, out)

    def _read_pieces(self, offset: int, strides: tuple[int, int], counts: tuple[int, int], length: int) -> None:
        """Read pieces at equal distances, one after the other, into the scratch."""
        if counts[0] * counts[1] >= MANY and isinstance(self.source, open_checked):
            from tsogrid.kernels.file_pieces import read_pieces  # machine code: only who reads many pieces waits for it

            if read_pieces(self.source.descriptor, self.scratch, offset, strides, counts, length):
                return
        buffer, at = self.scratch.data, 0
        for i in range(counts[0]):
            for j in range(counts[1]):
                self.source.read_into(buffer[at : at + length], offset + i * strides[0] + j * strides[1])
                at += length


def decode(stored: np.ndarray, pixels: PixelFormat, out: np.ndarray) -> None:
    """Turn stored pixels into values.

    Parameters
    ----------
    stored : array
        As in the file.
    pixels : PixelFormat
        Its scale, zero and blank.
    out : array of float32, float64 or uint32, of the same shape
        Receives ``zero + scale * stored`` (BLANK as NaN), or the bits.
    """
    plain = pixels.scale == 1.0 and pixels.zero == 0.0
    if out.dtype.kind == "u":
        if plain or (stored.dtype.itemsize == 4 and pixels.zero == 2.0**31):
            np.copyto(out, stored, casting="unsafe")
            if not plain:
                np.bitwise_xor(out, np.uint32(1 << 31), out=out)  # what adding 2³¹ is in 32 bits
        else:
            np.copyto(out, stored.astype(np.int64) + int(pixels.zero), casting="unsafe")
        return
    if pixels.scale == 1.0 and (plain or (stored.dtype.itemsize <= 2 and pixels.zero == int(pixels.zero))):
        np.copyto(out, stored, casting="unsafe")
        if pixels.zero:
            out += out.dtype.type(pixels.zero)  # exact: 16-bit integers lie well inside float32
    else:
        # In float64, rounded once at the end.
        np.copyto(out, stored.astype(np.float64) * pixels.scale + pixels.zero, casting="same_kind")
    if pixels.blank is not None:
        out[stored == pixels.blank] = np.nan


def _picked(key: Any, size: int) -> np.ndarray:
    """The places along an axis that an integer, a slice or an array of integers means."""
    return np.arange(*key.indices(size)) if isinstance(key, slice) else np.asarray(np.arange(size)[key])


def _ascending(index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The places in ascending order, each once, and where each of the asked ones is among them (None: just there)."""
    if index.size < 2 or bool((index[1:] > index[:-1]).all()):
        return index, None
    return np.unique(index, return_inverse=True)


def _is_counting(index: np.ndarray, size: int) -> bool:
    return index.size == size and bool((index == np.arange(size)).all())


def _stretches(ascending: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut ascending integers into stretches of consecutive ones: positions (first, last + 1)."""
    breaks = np.flatnonzero(ascending[1:] - ascending[:-1] != 1) + 1
    yield from pairwise([0, *breaks.tolist(), ascending.size])


def _blocks_of(labels: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut into stretches of equal labels: positions (first, last + 1)."""
    breaks = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    yield from pairwise([0, *breaks.tolist(), labels.size])
