"""How the frames move: shifts of all planned positions, from a table or from the motion of a source in another result."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tsogrid.config import Drift
from tsogrid.errors import ConfigError, TsogridWarning
from tsogrid.field.positions import is_result, numbers, read_result, read_table, rows_of

KEY = "center.drift"


def read_drift(drift: Drift, n_frames: int, files: Sequence[str] = ()) -> np.ndarray:
    """Read by how much the planned positions are shifted in each frame.

    Parameters
    ----------
    drift : Drift
        ``file``: CSV or ECSV with columns Index (0-based in the series), dx, dy, others being ignored; or another result,
        whose ``source`` moves since its first known place. ``scale``: pixels here for one pixel there.
    n_frames : int
        Length of the series.
    files : sequence of str, optional
        File of each frame: a table (in a column File) or a result that names the same files gives each frame its own shift,
        in whatever order.

    Returns
    -------
    ndarray, shape (n_frames, 2)
        dx, dy in pixels, all finite.

    Raises
    ------
    ConfigError
        No such file or source, frames without a shift, or a result of another length.

    Warns
    -----
    TsogridWarning
        The source of another result has no place in some frames: they take the nearest earlier one.
    """
    path = Path(drift.file)
    shifts, found = _of_result(path, drift.source, n_frames) if is_result(path) else _of_table(path, n_frames)
    rows = rows_of(files, found)
    return drift.scale * (shifts if rows is None else shifts[rows])


def _of_table(path: Path, n_frames: int) -> tuple[np.ndarray, Sequence[str]]:
    table = read_table(path, KEY)
    columns = {str(name).strip().lower(): name for name in table.colnames}
    missing = [name for name in ("Index", "dx", "dy") if name.lower() not in columns]
    if missing:
        found = ", ".join(str(name) for name in table.colnames)
        raise ConfigError(f"{path}: expected columns Index, dx, dy ({KEY}), found {found}; missing: {', '.join(missing)}.")
    try:
        index, dx, dy = (numbers(table[columns[name]]) for name in ("index", "dx", "dy"))
    except ValueError as error:
        raise ConfigError(f"{path}: expected numbers in Index, dx and dy ({KEY}), found: {error}.") from None
    if not np.array_equal(index, np.rint(index)):
        raise ConfigError(f"{path}: expected whole numbers in Index ({KEY}), found others or an empty cell.")
    frame = index.astype(np.int64)
    if len(frame) and (frame.min() < 0 or frame.max() >= n_frames):
        raise ConfigError(
            f"{path}: expected Index 0 … {n_frames - 1}, one row for each of {n_frames} frames ({KEY}), "
            f"found {frame.min()} … {frame.max()}."
        )
    if len(np.unique(frame)) != len(frame):
        twice = np.flatnonzero(np.bincount(frame) > 1)
        raise ConfigError(f"{path}: expected one row a frame ({KEY}), found several for Index {_few(twice)}.")
    shifts = np.full((n_frames, 2), np.nan)
    shifts[frame] = np.stack([dx, dy], axis=-1)
    lost = np.flatnonzero(~np.isfinite(shifts).all(axis=1))
    if lost.size:
        raise ConfigError(
            f"{path}: expected dx and dy for each of {n_frames} frames ({KEY}), found none for Index {_few(lost)}. "
            "Add the rows, or leave these frames out with input.exclude."
        )
    if "file" not in columns:
        return shifts, ()
    return shifts, [str(table[columns["file"]][row]) for row in np.argsort(frame)]


def _of_result(path: Path, source: int | str, n_frames: int) -> tuple[np.ndarray, Sequence[str]]:
    found = read_result(path, f"{KEY}.file", n_frames)
    count = found.positions.shape[1]
    if isinstance(source, str) and source in found.names:
        index = found.names.index(source)
    elif str(source).isdigit() and int(source) < count:
        index = int(source)
    else:
        names = f"{', '.join(found.names)}, or " if found.names else ""
        raise ConfigError(f"{path}: expected a source of {names}0 … {count - 1} ({KEY}.source), found {source!r}.")
    shifts, lost = motion(found.positions[:, index])
    if not np.isfinite(shifts).all():
        raise ConfigError(f"{path}: expected a source with a place in some frame ({KEY}.source), {source!r} has none.")
    if lost:
        warnings.warn(
            f"{path.name}: the source {source!r} has no place in {lost} of {n_frames} frames (center.drift): they take the "
            "nearest earlier one",
            TsogridWarning,
            stacklevel=2,
        )
    return shifts, found.files


def motion(positions: np.ndarray) -> tuple[np.ndarray, int]:
    """Give the motion of a source since its first known place.

    Parameters
    ----------
    positions : ndarray, shape (n_frames, 2)
        x, y in pixels, NaN where unknown.

    Returns
    -------
    shifts : ndarray, shape (n_frames, 2)
        dx, dy; where the place is unknown that of the nearest earlier frame, before the first known one 0. All NaN if no
        place is known.
    lost : int
        Frames whose place is unknown.
    """
    known = np.isfinite(positions).all(axis=1)
    if not known.any():
        return np.full(positions.shape, np.nan), len(positions)
    first = int(np.argmax(known))
    nearest = np.maximum.accumulate(np.where(known, np.arange(len(known)), first))
    return positions[nearest] - positions[first], int((~known).sum())


def _few(frames: np.ndarray) -> str:
    return ", ".join(str(frame) for frame in frames[:5]) + (" …" if len(frames) > 5 else "")
