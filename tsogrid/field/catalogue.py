"""Catalogues: tables of stars whose columns are found by their usual names and read in their units."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.config import Catalogue
from tsogrid.errors import ConfigError, TsogridWarning

# Usual names of columns, without case and without what is no letter or digit; earlier ones are better.
RA = ("ra", "raicrs", "raj2000", "radeg", "radeg2000", "alpha", "alphaj2000", "rightascension", "ramean", "raobj")
DEC = ("dec", "deicrs", "decicrs", "dej2000", "decj2000", "dedeg", "decdeg", "delta", "deltaj2000", "declination", "decmean")
X = ("x", "xcentroid", "xcenter", "xcentre", "xpix", "xpixel", "xpos", "ximage")
Y = ("y", "ycentroid", "ycenter", "ycentre", "ypix", "ypixel", "ypos", "yimage")
NAME = ("name", "id", "sourceid", "source", "star", "mainid", "designation", "identifier", "objid", "objectid", "label")
FROM_ONE = ("ximage", "yimage")  # SExtractor counts pixels from 1
FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".txt": "ascii", ".dat": "ascii", ".cat": "ascii", ".vot": "votable"}
FITS = (".fits", ".fit", ".fts", ".fits.gz")
KEY = "sources: catalogue"


def read_catalogue(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Read the stars of a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
        The file, its columns as far as they are named, and the role of its stars.

    Returns
    -------
    list of dict
        One entry of ``sources`` a row: name, role, and ra and dec (ICRS, degrees) or x and y (0-based pixels).

    Raises
    ------
    ConfigError
        No such file, no table, no rows, no columns of positions, positions that are none, or names that come twice.

    Warns
    -----
    TsogridWarning
        Rows without a position are left out.
    """
    path = Path(catalogue.catalogue)
    table = read_table(path)
    first, second, on_sky = _columns(path, table, catalogue)
    if on_sky:
        positions = np.stack([angles_of(path, table, first, True), angles_of(path, table, second, False)], axis=-1)
    else:
        positions = np.stack([_pixels(path, table, first), _pixels(path, table, second)], axis=-1)
    names = _names(path, table, catalogue.name)
    rows = _rows(path, positions, names, catalogue.only)
    _require_sky(path, positions[rows], names, rows, on_sky)
    keys = ("ra", "dec") if on_sky else ("x", "y")
    return [
        {"name": names[row], "role": catalogue.role, **dict(zip(keys, map(float, positions[row]), strict=True))}
        for row in rows
    ]


def read_table(path: Path, key: str = KEY) -> Any:
    """Read a file as an astropy table of one row or more.

    Parameters
    ----------
    path : Path
        The file; its ending says what it is.
    key : str
        What the user calls it, for errors.

    Raises
    ------
    ConfigError
        No such file, no table, no rows.
    """
    from astropy.table import Table

    if not path.exists():
        raise ConfigError(f"{path}: no such file ({key}).")
    suffix = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    kind = "fits" if suffix in FITS else FORMATS.get(suffix)
    if kind is None:
        known = ", ".join([*FORMATS, *FITS])
        raise ConfigError(f"{path}: expected a table named {known} ({key}), found the ending {suffix or 'none'!r}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # units that astropy does not know, comments on the standard
            comments = {"comment": "#"} if kind == "ascii.csv" else {}
            table = Table.read(path, format=kind, **comments)
    except Exception as error:  # whatever the readers raise of something else
        what = " ".join(str(error).split())
        raise ConfigError(f"{path}: expected a table of stars ({key}), found: {what[:200]}.") from None
    if not len(table):
        raise ConfigError(f"{path}: expected a star a row ({key}), found no rows.")
    return table


def plain(name: str) -> str:
    """Give a column's name in small letters, without what is no letter or digit."""
    return "".join(character for character in name.lower() if character.isalnum())


def guessed_column(table: Any, usual: Sequence[str]) -> str | None:
    """Find the column with the best of some usual names, as `plain` gives them; None where there is none."""
    there = {plain(str(name)): str(name) for name in reversed(table.colnames)}
    return next((there[name] for name in usual if name in there), None)


def _named(path: Path, table: Any, name: str) -> str:
    """Find a column that the user names, in whatever case."""
    there = {str(each).lower(): str(each) for each in table.colnames}
    if name in table.colnames:
        return name
    if name.lower() not in there:
        raise ConfigError(f"{path}: expected a column {name!r} ({KEY}), found {', '.join(map(str, table.colnames))}.")
    return there[name.lower()]


def _columns(path: Path, table: Any, catalogue: Catalogue) -> tuple[str, str, bool]:
    """Find the two columns of positions, and whether they are on the sky."""
    if catalogue.ra is not None and catalogue.dec is not None:
        return _named(path, table, catalogue.ra), _named(path, table, catalogue.dec), True
    if catalogue.x is not None and catalogue.y is not None:
        return _named(path, table, catalogue.x), _named(path, table, catalogue.y), False
    for usual, on_sky in (((RA, DEC), True), ((X, Y), False)):
        first, second = (guessed_column(table, names) for names in usual)
        if first is not None and second is not None:
            return first, second, on_sky
    found = ", ".join(map(str, table.colnames))
    raise ConfigError(
        f"{path}: expected columns of positions such as ra and dec, or x and y ({KEY}), found {found}. "
        "Name them: {catalogue: PATH, ra: COLUMN, dec: COLUMN}."
    )


def _is_text(column: Any) -> bool:
    return column.dtype.kind in "USO"


def numbers_of(path: Path, table: Any, name: str, key: str = KEY) -> np.ndarray:
    """Give a column as numbers; NaN where a cell is empty.

    Parameters
    ----------
    path : Path
        What to call the table in an error.
    table : astropy.table.Table
    name : str
        The column.
    key : str
        What the user calls the file, for errors.

    Returns
    -------
    ndarray, shape (rows,)

    Raises
    ------
    ConfigError
        They are no numbers.
    """
    column = table[name]
    try:
        if _is_text(column):
            cells = [str(cell).strip() for cell in np.ma.filled(column, "")]
            return np.array([float(cell) if cell not in ("", "--", "None") else np.nan for cell in cells])
        return np.ma.filled(np.ma.asarray(column, float), np.nan).astype(float)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: expected numbers in the column {name!r} ({key}), found: {error}.") from None


def _pixels(path: Path, table: Any, name: str) -> np.ndarray:
    values = numbers_of(path, table, name)
    return values - 1.0 if plain(name) in FROM_ONE else values


def angles_of(path: Path, table: Any, name: str, hours: bool, key: str = KEY) -> np.ndarray:
    """Give angles in degrees: by the column's unit, else degrees; text with colons, blanks or letters as h:m:s or d:m:s.

    Parameters
    ----------
    path, table, name, key
        As for `numbers_of`.
    hours : bool
        Whether text is hours (right ascension).

    Returns
    -------
    ndarray, shape (rows,)

    Raises
    ------
    ConfigError
        They are no angles.
    """
    from astropy import units
    from astropy.coordinates import Angle

    column = table[name]
    if _is_text(column):
        cells = [str(cell).strip() for cell in np.ma.filled(column, "")]
        marked = [any(mark in cell for mark in ": hdm") for cell in cells]
        if any(marked):
            values = np.full(len(cells), np.nan)
            known = np.array([cell not in ("", "--") for cell in cells])
            try:
                unit = units.hourangle if hours else units.deg
                values[known] = Angle([cell for cell, there in zip(cells, known, strict=True) if there], unit=unit).deg
            except ValueError as error:
                raise ConfigError(f"{path}: expected angles in the column {name!r} ({key}), found: {error}.") from None
            return values
    values, unit = numbers_of(path, table, name, key), column.unit
    if unit is None:
        return values
    try:
        return np.asarray((values * units.Unit(unit)).to_value(units.deg))
    except (units.UnitConversionError, ValueError, TypeError):
        raise ConfigError(
            f"{path}: expected degrees, hours or radians in the column {name!r} ({key}), found the unit {unit}."
        ) from None


def _names(path: Path, table: Any, asked: str | None) -> list[str]:
    """Names of the stars; numbers, where no column tells them."""
    column = _named(path, table, asked) if asked is not None else guessed_column(table, NAME)
    if column is None:
        digits = len(str(len(table)))
        return [f"star{row + 1:0{digits}d}" for row in range(len(table))]
    cells = np.ma.filled(table[column].astype(str) if table[column].dtype.kind != "S" else table[column], "")
    names = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell) for cell in cells]
    names = [name.strip() for name in names]
    values, counts = np.unique(names, return_counts=True)
    twice = [str(name) for name in values[counts > 1]]
    if twice:
        some = ", ".join(repr(name) for name in twice[:5]) + (" …" if len(twice) > 5 else "")
        raise ConfigError(
            f"{path}: expected each name once in the column {column!r} ({KEY}), found {some} several times. "
            "Name another column: {catalogue: PATH, name: COLUMN}."
        )
    return names


def _rows(path: Path, positions: np.ndarray, names: list[str], only: list[str] | None) -> list[int]:
    """Choose the rows that are wanted and have a position."""
    known = np.isfinite(positions).all(axis=1)
    wanted = np.ones(len(names), bool)
    if only is not None:
        strangers = sorted(set(only) - set(names))
        if strangers:
            raise ConfigError(f"{path}: expected stars of this catalogue in only ({KEY}), found {', '.join(strangers[:5])}.")
        wanted = np.isin(names, only)
    lost = wanted & ~known
    if not (wanted & known).any():
        raise ConfigError(f"{path}: expected positions ({KEY}), found none that is a number in {wanted.sum()} rows.")
    if lost.any():
        some = ", ".join(names[row] for row in np.flatnonzero(lost)[:5])
        warnings.warn(
            f"{path.name}: {lost.sum()} of {wanted.sum()} stars have no position and are left out: {some}",
            TsogridWarning,
            stacklevel=2,
        )
    return [int(row) for row in np.flatnonzero(wanted & known)]


def _require_sky(path: Path, positions: np.ndarray, names: list[str], rows: list[int], on_sky: bool) -> None:
    if not on_sky:
        return
    outside = (np.abs(positions[:, 1]) > 90) | (positions[:, 0] < -360) | (positions[:, 0] > 360)
    if outside.any():
        worst = int(np.flatnonzero(outside)[0])
        ra, dec = positions[worst]
        raise ConfigError(
            f"{path}: expected ra −360 … 360° and dec −90 … 90° ({KEY}), found {ra:g}, {dec:g} of {names[rows[worst]]}"
            f"{f' and {outside.sum() - 1} more' if outside.sum() > 1 else ''}. Are these the right columns, in degrees?"
        )
