"""Where the frames of a series lie in its files, and what stands beside them, put in one row.

A long series lies in few files, most of whose rows count up: then nothing here keeps a number for each frame.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from tsogrid.io.freed import give_back
from tsogrid.io.lazy import Runs, make_runs
from tsogrid.io.lazy_coordinates import Counted

if TYPE_CHECKING:
    from tsogrid.io.series import FileFrames

LONG = 1_000_000  # bytes of an array whose pieces leave holes worth a thought


def joined(parts: list["FileFrames"], name: str) -> np.ndarray:
    """Put arrays of all files one behind the other; the files then keep views of it and not their own.

    Parameters
    ----------
    parts : list of FileFrames
        The files in order.
    name : str
        Which of their arrays, (rows,) each.

    Returns
    -------
    ndarray, shape (frames,)
    """
    whole = np.concatenate([getattr(part, name) for part in parts])
    edges = np.cumsum([part.rows for part in parts])
    for part, own in zip(parts, np.split(whole, edges[:-1]), strict=True):
        setattr(part, name, own)
    if whole.nbytes > LONG:
        give_back()
    return whole


def runs_of(parts: list["FileFrames"], order: np.ndarray | slice) -> Runs:
    """Say in which file and row the frames of the series lie.

    Parameters
    ----------
    parts : list of FileFrames
        The files.
    order : ndarray or slice
        Of their frames in the series.

    Returns
    -------
    Runs
    """
    rows = [part.rows for part in parts]
    if isinstance(order, slice) and all(rows) and all(part.chosen is None for part in parts):
        return Runs(np.cumsum([0, *rows[:-1]]), np.arange(len(parts)), np.zeros(len(parts), np.int64))
    file = np.repeat(np.arange(len(parts), dtype=np.int32), rows)
    row = np.concatenate([part.row_numbers.astype(np.int32, copy=False) for part in parts])
    return make_runs(file[order], row[order])


def integrations(parts: list["FileFrames"], order: np.ndarray | slice, runs: Runs) -> Any:
    """Give the numbers of the integrations, lazily where they count up with the rows of each file.

    Parameters
    ----------
    parts, order
        As for `runs_of`.
    runs : Runs
        What it gives.

    Returns
    -------
    lazy array or ndarray, shape (frames,) of int64
    """
    first = [int(part.integration[0]) - int(part.row_numbers[0]) for part in parts]
    if all(np.array_equal(part.integration, one + part.row_numbers) for one, part in zip(first, parts, strict=True)):
        return Counted(np.array(first, np.int64), runs, sum(part.rows for part in parts)).where_long()
    return np.concatenate([part.integration for part in parts])[order].astype(np.int64)
