"""The catalogue of the field: Gaia's stars, from a file or from Vizier, as arrays that are the same for every image.

Columns are known by Gaia's names and by those of Vizier. What decides a number of the photometry (where the stars are, and
which) makes a fingerprint, by which a store knows its catalogue again.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.errors import ConfigError, InputError
from tsogrid.field.catalogue import DEC, RA, angles_of, guessed_column, numbers_of, plain, read_table

FILE = "Gaia_catalog.dat"  # where the old pipeline keeps it
WHAT = "the catalogue"
GAIA_EPOCH = 2016.0  # of Gaia EDR3 and DR3, where the catalogue does not tell it
IDENTIFIER = ("sourceid", "source", "id", "gaiaid", "objid")
# Of each band: columns of fluxes, and of magnitudes.
BANDS = {
    "G": (("photgmeanflux", "fg"), ("photgmeanmag", "gmag", "gaiag", "mag")),
    "BP": (("photbpmeanflux", "fbp"), ("photbpmeanmag", "bpmag")),
    "RP": (("photrpmeanflux", "frp"), ("photrpmeanmag", "rpmag")),
}
MOTION_RA, MOTION_DEC = ("pmra", "pmraicrs"), ("pmdec", "pmde", "pmdecicrs")
EPOCH = ("refepoch", "epoch")
BLUE, RED = "ubg", "izy"  # first letters of filters that Gaia's BP and RP are nearest to
MJD_2000, YEAR = 51544.5, 365.25
MILLIARCSECOND = 1.0 / 3.6e6  # degrees
RADIUS, ROWS = 20.0, 10000  # arcminutes and stars of a query, as the old pipeline asks
VIZIER = "I/355/gaiadr3"
_ASKED = ("RA_ICRS", "DE_ICRS", "Source", "pmRA", "pmDE", "Gmag", "BPmag", "RPmag")
_KEPT = ("ra", "dec", "source_id", "pmra", "pmdec", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")


@dataclass(frozen=True)
class FieldStars:
    """The stars of a field; each array (n,), in the order of the catalogue.

    Parameters
    ----------
    source_id : ndarray of int64
    ra, dec : ndarray
        ICRS, degrees, at ``epoch``.
    flux : dict of ndarray
        ``G``, ``BP``, ``RP`` as far as known: any linear unit, NaN where unknown.
    motion : ndarray, shape (n, 2)
        Proper motion µα cos δ and µδ, milliarcseconds a year; 0 where unknown.
    epoch : ndarray
        Julian year of the positions.
    """

    source_id: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    flux: dict[str, np.ndarray]
    motion: np.ndarray
    epoch: np.ndarray

    def __len__(self) -> int:
        """Count the stars."""
        return len(self.ra)

    @property
    def sky(self) -> np.ndarray:
        """Places at the catalogue's epoch, shape (n, 2)."""
        return np.stack([self.ra, self.dec], axis=-1)

    def sky_at(self, mjd: float) -> np.ndarray:
        """Give the places at a time, moved by the proper motions.

        Parameters
        ----------
        mjd : float
            NaN: at the catalogue's epoch.

        Returns
        -------
        ndarray, shape (n, 2)
            Right ascension and declination, degrees.
        """
        if not math.isfinite(mjd) or not self.motion.any():
            return self.sky
        years = 2000.0 + (mjd - MJD_2000) / YEAR - self.epoch
        moved = self.motion * MILLIARCSECOND * years[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            along = moved[:, 0] / np.cos(np.deg2rad(self.dec))
        return np.stack([(self.ra + along) % 360.0, self.dec + moved[:, 1]], axis=-1)

    def brightness(self, filter_name: str) -> np.ndarray:
        """Give the fluxes in the band that is nearest to a filter; where it is unknown that of G takes its place.

        Parameters
        ----------
        filter_name : str
            Such as ``ip``, ``rp``, ``V``.

        Returns
        -------
        ndarray, shape (n,)
        """
        letter = filter_name.strip().removeprefix("SDSS").lower()[:1]
        band = "RP" if letter and letter in RED else "BP" if letter and letter in BLUE else "G"
        known = self.flux.get(band)
        base = self.flux.get("G", known)
        if known is None or base is None:
            return next(iter(self.flux.values())) if base is None else base
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = known / base
        usual = float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else 1.0
        return np.where(np.isfinite(known), known, base * usual)

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digits that any change of the catalogue changes."""
        digest = hashlib.sha256()
        for values in (self.source_id, self.ra, self.dec, self.motion, self.epoch, *self.flux.values()):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:16]


def read_stars(path: str | Path) -> FieldStars:
    """Read a catalogue of the field.

    Parameters
    ----------
    path : path-like
        A table: ``.dat``, ``.txt``, ``.csv``, ``.ecsv``, ``.vot`` or FITS.

    Returns
    -------
    FieldStars

    Raises
    ------
    ConfigError
        It cannot be read, or has no columns of positions or of brightness.
    """
    return stars_of(read_table(Path(path), WHAT), Path(path))


def stars_of(table: Any, path: Path = Path("gaia_catalog")) -> FieldStars:
    """Take the stars of a table.

    Parameters
    ----------
    table : astropy.table.Table
        A row a star.
    path : Path
        What to call it in an error.

    Returns
    -------
    FieldStars

    Raises
    ------
    ConfigError
        It has no columns of positions or of brightness.
    """
    right, up = guessed_column(table, RA), guessed_column(table, DEC)
    if right is None or up is None:
        raise ConfigError(f"{path}: expected columns ra and dec ({WHAT}), found {', '.join(map(str, table.colnames))}.")
    count = len(table)
    flux = {band: found for band, names in BANDS.items() if (found := _flux(path, table, *names)) is not None}
    if not flux:
        raise ConfigError(
            f"{path}: expected a column of brightness such as phot_g_mean_mag or Gmag ({WHAT}), found "
            f"{', '.join(map(str, table.colnames))}. Without it the patterns of stars cannot be told apart."
        )
    motion = np.zeros((count, 2))
    for axis, names in enumerate((MOTION_RA, MOTION_DEC)):
        column = guessed_column(table, names)
        if column is not None:
            motion[:, axis] = np.nan_to_num(numbers_of(path, table, column, WHAT))
    epoch = guessed_column(table, EPOCH)
    years = np.full(count, GAIA_EPOCH) if epoch is None else numbers_of(path, table, epoch, WHAT)
    return FieldStars(
        _identifiers(path, table),
        angles_of(path, table, right, True, WHAT),
        angles_of(path, table, up, False, WHAT),
        flux,
        motion,
        np.where(np.isfinite(years), years, GAIA_EPOCH),
    )


def _flux(path: Path, table: Any, fluxes: tuple[str, ...], magnitudes: tuple[str, ...]) -> np.ndarray | None:
    column = guessed_column(table, fluxes)
    if column is not None:
        values = numbers_of(path, table, column, WHAT)
        return np.where(values > 0, values, np.nan)
    column = guessed_column(table, magnitudes)
    return None if column is None else 10.0 ** (-0.4 * (numbers_of(path, table, column, WHAT) - 25.0))


def _identifiers(path: Path, table: Any) -> np.ndarray:
    """Source numbers as whole numbers: Gaia's have 19 digits, more than a float holds."""
    column = guessed_column(table, IDENTIFIER)
    if column is None:
        return np.arange(len(table), dtype=np.int64)
    values = np.ma.filled(table[column], 0)
    if values.dtype.kind == "f":
        raise ConfigError(
            f"{path}: expected whole numbers in the column {column} ({WHAT}), found {values[0]!r}: digits are lost."
        )
    try:
        return np.array([int(str(value).split()[-1]) for value in values], np.int64)
    except (ValueError, IndexError, OverflowError):
        return np.arange(len(table), dtype=np.int64)


def find_catalogue(folder: Path) -> Path | None:
    """Look for the file of the catalogue in a folder of images, and in the two folders above it.

    Returns
    -------
    Path or None
    """
    places = [folder, *folder.resolve().parents[:2]]
    return next((place / FILE for place in places if (place / FILE).is_file()), None)


def ask_vizier(ra: float, dec: float, keep: Path) -> FieldStars:
    """Ask Vizier for Gaia DR3 about a place, and keep the answer as a file.

    Parameters
    ----------
    ra, dec : float
        ICRS, degrees.
    keep : Path
        The file; the next run reads it.

    Returns
    -------
    FieldStars

    Raises
    ------
    ConfigError
        astroquery is not installed.
    InputError
        Vizier does not answer, or knows no star there.
    """
    instead = f"Or give a file: --catalog FILE, or {keep.name} beside the images."
    try:
        from astroquery.vizier import Vizier
    except ImportError:
        raise ConfigError(
            f"expected a catalogue of the field, found no {keep.name} here and no astroquery to ask Vizier. Install it: "
            f'python -m pip install "tsogrid[vizier]". {instead}'
        ) from None
    from astropy import units
    from astropy.coordinates import SkyCoord

    query = Vizier(columns=list(_ASKED), row_limit=-1)
    query.TIMEOUT = 60
    try:
        tables = query.query_region(SkyCoord(ra, dec, unit="deg"), radius=RADIUS * units.arcmin, catalog=VIZIER)
    except Exception as error:  # whatever the network and astroquery raise
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"Vizier could not be asked for Gaia's stars at {ra:.5f} {dec:+.5f} ({what}). Try later. {instead}"
        ) from None
    if not tables or not len(tables[0]):
        raise InputError(f"Vizier knows no star of Gaia at {ra:.5f} {dec:+.5f}. Are these the right coordinates? {instead}")
    table = tables[0]
    for old, new in zip(_ASKED, _KEPT, strict=True):
        if plain(old) in {plain(str(name)) for name in table.colnames}:
            table.rename_column(old, new)
    table.sort("phot_g_mean_mag")
    table = table[:ROWS]
    beside = keep.with_name(f".{keep.name}.part")
    table.write(beside, format="ascii", overwrite=True)
    beside.replace(keep)
    return read_stars(keep)
