"""Coordinates that are made when they are asked for: of a million frames, what ten files say is not kept a million times.

A process that plans a long series and hands it out has its times, and should have little else: names of files, numbers of
integrations and a second time standard follow from what is there.
"""

from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from tsogrid.io.lazy import Runs

SHORT = 100_000  # frames of a series whose coordinates are made at once, and shown when it is printed


class _Coordinate(BackendArray):
    """A lazy array, (frames,); `of` gives its values."""

    def __init__(self, frames: int, dtype: np.dtype[Any]) -> None:
        self.shape = (frames,)
        self.dtype = dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        return np.asarray(self.of(key[0]), self.dtype)

    def of(self, frames: Any) -> Any:
        """Give the values of a frame, a slice or an array of frames."""
        raise NotImplementedError

    def where_long(self) -> Any:
        """The values of a short series, or itself as xarray takes lazy arrays."""
        return self._read((slice(None),)) if self.shape[0] <= SHORT else indexing.LazilyIndexedArray(self)


class OfFiles(_Coordinate):
    """What is told once for each file.

    Parameters
    ----------
    labels : array, (files,)
        Text or numbers.
    runs : Runs
        Where the frames of the series lie.
    frames : int
        How many there are.
    """

    def __init__(self, labels: np.ndarray, runs: Runs, frames: int) -> None:
        super().__init__(frames, labels.dtype)
        self.labels, self.runs = labels, runs

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (type(self).__name__, self.labels.tolist(), *self.runs, self.shape)

    def of(self, frames: Any) -> Any:
        _, run = self._placed(frames)
        return self.labels[self.runs.file[run]]

    def _placed(self, frames: Any) -> tuple[np.ndarray, np.ndarray]:
        """Frames as numbers, and the run of each."""
        count = self.shape[0]
        numbers = np.arange(*frames.indices(count)) if isinstance(frames, slice) else np.asarray(frames) % count
        return numbers, np.searchsorted(self.runs.start, numbers, side="right") - 1


class Counted(OfFiles):
    """What counts up with the rows of each file; `labels` tell the number of its row 0."""

    def of(self, frames: Any) -> Any:
        numbers, run = self._placed(frames)
        return self.labels[self.runs.file[run]] + self.runs.row[run] + (numbers - self.runs.start[run])


class Shifted(_Coordinate):
    """Another coordinate and a constant.

    Parameters
    ----------
    values : array, (frames,)
        The other coordinate.
    offset : float
        What is added.
    """

    def __init__(self, values: np.ndarray, offset: float) -> None:
        super().__init__(values.size, values.dtype)
        self.values, self.offset = values, offset

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return (type(self).__name__, self.values, self.offset)

    def of(self, frames: Any) -> Any:
        return self.values[frames] + self.offset
