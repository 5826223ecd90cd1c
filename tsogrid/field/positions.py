"""Positions of sources in every frame that were found elsewhere: in a table, in another result, in a file of tshirt."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.errors import ConfigError
from tsogrid.kernels.widths import median_fwhm, seen_fwhm

FITS_SUFFIXES = (".fits", ".fit", ".fts")
EXTENSION, WIDTHS = "CENTROIDS", "FWHM"  # where tshirt's photometry and centroid files keep theirs
FILES, FILE_COLUMN = "FILENAMES", "File Path"  # and the names of the frames


@dataclass(frozen=True)
class Found:
    """Positions of another result.

    Parameters
    ----------
    names : tuple of str
        Its sources; empty where it does not name them.
    positions : ndarray, shape (n_frames, n_sources, 2)
        x, y in 0-based pixels; NaN where it has none.
    files : tuple of str
        The file of each frame; empty where it does not tell.
    fwhm : ndarray, shape (n_frames, n_sources, 2), or None
        Widths of the stars along two axes, in pixels, if it has measured them.
    """

    names: tuple[str, ...]
    positions: np.ndarray
    files: tuple[str, ...] = ()
    fwhm: np.ndarray | None = None


def is_result(path: Path) -> bool:
    """Whether a path means another result (a store, or a FITS file with CENTROIDS) and not a table."""
    return path.suffix.lower() in FITS_SUFFIXES or path.suffix.lower() == ".zarr" or path.is_dir()


def rows_of(files: Sequence[str], found: Sequence[str]) -> np.ndarray | None:
    """Find the row of each frame by the name of its file.

    Parameters
    ----------
    files : sequence of str
        Files of the frames, in their order.
    found : sequence of str
        Files of the rows. tshirt puts them in the order of their names, and frames here are in the order of their times.

    Returns
    -------
    ndarray of int, shape (n_frames,), or None
        None unless both name the same files (their folders do not count), each once.
    """
    here, there = ([Path(str(name).strip()).name for name in names] for names in (files, found))
    if not here or sorted(here) != sorted(there) or len(set(there)) != len(there):
        return None
    row = {name: index for index, name in enumerate(there)}
    return np.array([row[name] for name in here], np.int64)


def read_positions(path: Path, names: list[str], n_frames: int, files: Sequence[str] = ()) -> np.ndarray:
    """Read positions of sources in every frame.

    Parameters
    ----------
    path : Path
        A store of tsogrid (its ``x``, ``y`` by the names of the sources), a FITS file with an extension CENTROIDS (its
        sources in order), or ECSV or CSV with columns ``frame`` (0-based in the series), ``source`` (name or 0-based index;
        may be left out for one source), ``x``, ``y`` (0-based pixels).
    names : list of str
        The run's sources.
    n_frames : int
        Length of the series.
    files : sequence of str, optional
        File of each frame: a result that names the same files gives each frame its own positions, in whatever order.

    Returns
    -------
    ndarray, shape (n_frames, n_sources, 2)
        NaN where there is no position.

    Raises
    ------
    ConfigError
        No such file, missing columns, an unknown source, a frame out of range, or a result of another length.
    """
    if not is_result(path):
        return _from_table(path, names, n_frames)
    found = read_result(path, "center.position_file", n_frames)
    rows = rows_of(files, found.files)
    positions = found.positions if rows is None else found.positions[rows]
    if found.names:
        missing = [name for name in names if name not in found.names]
        if missing:
            raise ConfigError(
                f"{path}: expected the sources {', '.join(names)}, found {', '.join(found.names)} (center.position_file); "
                f"missing: {', '.join(missing)}. Name the sources alike."
            )
        return positions[:, [found.names.index(name) for name in names]]
    if positions.shape[1] != len(names):
        raise ConfigError(
            f"{path}: expected positions of {len(names)} sources ({', '.join(names)}), found {positions.shape[1]} "
            "(center.position_file). They are taken in order: give as many sources."
        )
    return positions


def read_widths(path: Path, n_frames: int, files: Sequence[str] = ()) -> np.ndarray | None:
    """Read the median FWHM of the stars in every frame.

    Parameters
    ----------
    path : Path
        See `read_positions`.
    n_frames : int
        Length of the series.
    files : sequence of str, optional
        File of each frame, as for `read_positions`.

    Returns
    -------
    ndarray, shape (n_frames,), or None
        In pixels; None if the file knows no widths.

    Raises
    ------
    ConfigError
        As `read_result`.
    """
    found = read_result(path, "center.position_file", n_frames) if is_result(path) else None
    if found is None or found.fwhm is None:
        return None
    rows = rows_of(files, found.files)
    fwhm = found.fwhm if rows is None else found.fwhm[rows]
    return median_fwhm(fwhm[..., 0], fwhm[..., 1])


def read_result(path: Path, key: str, n_frames: int) -> Found:
    """Read the positions of another result.

    Parameters
    ----------
    path : Path
        A store, or a FITS file with an extension CENTROIDS, (n_frames, n_sources, 2).
    key : str
        The key of the configuration that names it, for errors.
    n_frames : int
        Frames that it must have.

    Returns
    -------
    Found

    Raises
    ------
    ConfigError
        It is missing, is something else, or has another number of frames.
    """
    if not path.exists():
        raise ConfigError(f"{path}: no such file ({key}).")
    found = _from_fits(path, key) if path.suffix.lower() in FITS_SUFFIXES else _from_store(path, key)
    if len(found.positions) != n_frames:
        raise ConfigError(
            f"{path}: expected positions for the {n_frames} frames that are measured, found {len(found.positions)} ({key})."
        )
    return found


def _from_store(path: Path, key: str) -> Found:
    import xarray as xr

    try:
        with xr.open_zarr(path) as result:
            arrays = [result[name].transpose("time", "source").to_numpy() for name in ("x", "y")]
            names = tuple(str(name) for name in result["source"].to_numpy())
            files = tuple(str(name) for name in result["file"].to_numpy()) if "file" in result.coords else ()
            sigma = [result[name].to_numpy() for name in ("sigma_x", "sigma_y") if name in result]
    except Exception as error:  # whatever zarr and its codecs raise of something else or of a damaged store
        what = " ".join(str(error).split())
        raise ConfigError(f"{path}: expected a store of tsogrid with x and y ({key}), found: {what}.") from None
    fwhm = seen_fwhm(np.stack(sigma, axis=-1)) if len(sigma) == 2 else None
    return Found(names, np.stack(arrays, axis=-1).astype(float), files, fwhm)


def _from_fits(path: Path, key: str) -> Found:
    from astropy.io import fits

    try:
        with fits.open(path) as units:
            data, fwhm = _array(units, EXTENSION), _array(units, WIDTHS)
            table = next((unit.data for unit in units if str(unit.name).upper() == FILES), None)
            columns = getattr(table, "names", None) or ()
            files = tuple(str(name) for name in table[FILE_COLUMN]) if table is not None and FILE_COLUMN in columns else ()
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: expected a FITS file ({key}), found: {' '.join(str(error).split())}.") from None
    if data is None or data.ndim != 3 or data.shape[2] != 2:
        what = "none" if data is None else f"an array of the shape {data.shape}"
        raise ConfigError(f"{path}: expected an extension {EXTENSION} (frames, sources, 2) in it ({key}), found {what}.")
    # tshirt writes zeros where it measured no widths
    return Found((), data, files, fwhm if fwhm is not None and fwhm.shape == data.shape and fwhm.any() else None)


def _array(units: Any, name: str) -> np.ndarray | None:
    """The image of the extension of a name, if there is one."""
    unit = next((unit for unit in units if str(unit.name).upper() == name), None)
    return None if unit is None or not unit.is_image or unit.data is None else np.array(unit.data, float)


def read_table(path: Path, key: str) -> Any:
    """Read an ECSV or CSV table; lines of a CSV that begin with ``#`` are comments.

    Raises
    ------
    ConfigError
        No such file, or no table.
    """
    from astropy.table import Table

    try:
        if path.suffix.lower() == ".ecsv":
            return Table.read(path, format="ascii.ecsv")
        return Table.read(path, format="ascii.csv", comment="#")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file ({key}).") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected an ECSV or CSV table ({key}), found: {error}.") from None


def numbers(column: Any) -> np.ndarray:
    """Give a table column as floats, empty cells NaN."""
    masked = np.ma.getmaskarray(column)
    values = np.full(len(column), np.nan)
    values[~masked] = np.asarray(column[~masked], dtype=float)
    return values


def _from_table(path: Path, names: list[str], n_frames: int) -> np.ndarray:
    table = read_table(path, "center.position_file")
    missing = [column for column in ("frame", "x", "y") if column not in table.colnames]
    if "source" not in table.colnames and len(names) > 1:
        missing.append("source")
    if missing:
        raise ConfigError(f"{path}: expected columns frame, source, x, y; missing: {', '.join(missing)}.")
    positions = np.full((n_frames, len(names), 2), np.nan)
    try:
        columns = {name: numbers(table[name]) for name in ("frame", "x", "y")}
    except ValueError as error:
        raise ConfigError(f"{path}: expected numbers in frame, x and y, found: {error}.") from None
    if not np.array_equal(columns["frame"], np.rint(columns["frame"])):
        raise ConfigError(f"{path}: expected whole numbers in frame, found others or an empty cell.")
    frame = columns["frame"].astype(np.int64)
    if len(frame) and (frame.min() < 0 or frame.max() >= n_frames):
        raise ConfigError(f"{path}: expected frames 0 … {n_frames - 1}, found {frame.min()} … {frame.max()}.")
    index = np.zeros(len(table), int)
    if "source" in table.colnames:
        known = {name: position for position, name in enumerate(names)}
        for row, label in enumerate(table["source"]):
            text = str(label)
            if text in known:
                index[row] = known[text]
            elif text.isdigit() and int(text) < len(names):
                index[row] = int(text)
            else:
                raise ConfigError(f"{path}: unknown source {text!r}; expected one of {', '.join(names)} or an index.")
    for axis, column in enumerate(("x", "y")):
        positions[frame, index, axis] = columns[column]
    return positions
