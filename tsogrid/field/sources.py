"""The sources of a run and where they are planned to be, in each frame."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.config import Config
from tsogrid.errors import ConfigError, InputError
from tsogrid.field.wcs import sky_to_pixel


@dataclass(frozen=True)
class Sources:
    """Names, roles and planned positions.

    Parameters
    ----------
    names, roles : tuple of str
        One a source; a role is target or reference.
    planned : ndarray, shape (1 or n_frames, n_sources, 2)
        Planned x, y in 0-based pixels; one frame where they are the same in all. NaN where a position file has no row.
    """

    names: tuple[str, ...]
    roles: tuple[str, ...]
    planned: np.ndarray


def find_sources(config: Config, attributes: dict[str, Any], n_frames: int, shape: tuple[int, int], reach: float) -> Sources:
    """Find the sources of a run.

    Parameters
    ----------
    config : Config
        The configuration; without sources the header's reference pixel is taken, else the frame's centre.
    attributes : dict
        Attributes of the frames: ``x_ref``, ``y_ref``, ``wcs``.
    n_frames : int
        Length of the series.
    shape : (int, int)
        Rows and columns of a frame.
    reach : float
        Radius of the largest aperture, in pixels.

    Returns
    -------
    Sources

    Raises
    ------
    InputError
        A source lies outside every frame, or has no position.
    ConfigError
        A position file cannot be read or names unknown sources.
    """
    ny, nx = shape
    names, roles, positions = [], [], []
    for source in config.sources:
        if source.x is None or source.y is None:
            position = sky_to_pixel(attributes.get("wcs"), float(source.ra or 0), float(source.dec or 0), source.name)
        else:
            position = (source.x, source.y)
        names.append(source.name)
        roles.append(source.role)
        positions.append(position)
    if not positions:
        default = (attributes.get("x_ref", (nx - 1) / 2), attributes.get("y_ref", (ny - 1) / 2))
        names, roles, positions = ["target"], ["target"], [(float(default[0]), float(default[1]))]
    planned = np.array(positions, float)[None]
    if config.center.position == "file":
        planned = read_positions(Path(str(config.center.position_file)), names, n_frames)
    for index, name in enumerate(names):
        x, y = planned[:, index, 0], planned[:, index, 1]
        touches = (x > -0.5 - reach) & (x < nx - 0.5 + reach) & (y > -0.5 - reach) & (y < ny - 0.5 + reach)
        if not touches.any():
            raise InputError(
                f"Source {name!r} at x = {np.nanmedian(x):g}, y = {np.nanmedian(y):g} lies outside every frame: "
                f"expected 0 ≤ x ≤ {nx - 1} and 0 ≤ y ≤ {ny - 1} (0-based pixels). Mend its position in sources:."
            )
    return Sources(tuple(names), tuple(roles), planned)


def read_positions(path: Path, names: list[str], n_frames: int) -> np.ndarray:
    """Read positions of sources from a table.

    Parameters
    ----------
    path : Path
        ECSV or CSV with columns ``frame`` (0-based in the series), ``source`` (name or 0-based index; may be left out for
        one source), ``x``, ``y`` (0-based pixels).
    names : list of str
        The run's sources.
    n_frames : int
        Length of the series.

    Returns
    -------
    ndarray, shape (n_frames, n_sources, 2)
        NaN where the table has no row.

    Raises
    ------
    ConfigError
        No such file, missing columns, an unknown source or a frame out of range.
    """
    from astropy.table import Table

    try:
        table = Table.read(path, format="ascii.ecsv" if path.suffix == ".ecsv" else "ascii.csv")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file (center.position_file).") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected an ECSV or CSV table, found: {error}.") from None
    missing = [column for column in ("frame", "x", "y") if column not in table.colnames]
    if "source" not in table.colnames and len(names) > 1:
        missing.append("source")
    if missing:
        raise ConfigError(f"{path}: expected columns frame, source, x, y; missing: {', '.join(missing)}.")
    positions = np.full((n_frames, len(names), 2), np.nan)
    try:
        columns = {name: _numbers(table[name]) for name in ("frame", "x", "y")}
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


def _numbers(column: Any) -> np.ndarray:
    """A table column as floats, empty cells NaN."""
    masked = np.ma.getmaskarray(column)
    values = np.full(len(column), np.nan)
    values[~masked] = np.asarray(column[~masked], dtype=float)
    return values
