"""The data set of a field: every star in every image, as arrays, with its photometric scale and its light curves.

Images stand in the order of their times, and everything of an image is found by the image, never by a place in a list of
files. The HDF5 file has the names and shapes of the old pipeline's, and more beside them; its old files load.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from tsogrid.ephemeris import MJD_ZERO, Site, heliocentric_times
from tsogrid.errors import InputError
from tsogrid.survey.lco import dataset_files
from tsogrid.survey.lco.dataset_files import Arrays
from tsogrid.survey.lco.scale import scale_by_filter
from tsogrid.survey.lco.star_choice import RADIUS, find_star
from tsogrid.survey.lco.stars import FieldStars

LOG = logging.getLogger("tsogrid")
ZERO_POINT = 25.0
MAGNITUDE_ERROR = 1.0857362047581296  # 2.5 / ln 10


class PlainTable(Table):
    """A table that is an array of its columns where one is asked for, as newer code does."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Give the columns as an array: (rows,) of one, (rows, columns) of several."""
        names = self.colnames[: self.meta.get("plain", len(self.colnames))]
        columns = [np.asarray(self[name]) for name in names]
        values = columns[0] if len(columns) == 1 else np.stack(columns, axis=-1)
        return values if dtype is None else values.astype(dtype)


class AperturePhotometryDataset:
    """The photometry of N stars in T images.

    Parameters
    ----------
    file_path : path-like, optional
        An HDF5 file to load.

    Attributes
    ----------
    source_id : Table, N rows
        ``ID``; as an array (N,).
    wcs_positions : Table, N rows
        ``ra``, ``dec`` in degrees; as an array (N, 2). Also called ``source_wcs``.
    positions : ndarray, shape (N, T, 2)
        x, y in 0-based pixels; NaN where a star is not on an image, or the image has no WCS.
    timestamps : Table, T rows
        ``HJD``, and ``MJD`` (UTC), mid-exposure; as an array (T,): HJD.
    exptimes : ndarray, shape (T,)
        Seconds; NaN in old files.
    flux, err_flux, raw_flux, raw_err_flux : ndarray, shape (N, T)
    pscale : ndarray, shape (3, T)
    epscale, scale_err : ndarray, shape (T,)
        See `tsogrid.survey.lco.scale`.
    filters, files, messages : ndarray of str, shape (T,)
    image_flags : ndarray of int, shape (T,)
        `tsogrid.flags.ImageFlag`.
    star_flags : ndarray of int, shape (N, T)
        `tsogrid.flags.ForcedFlag`.
    """

    def __init__(self, file_path: str | Path | None = None) -> None:
        self._take(dataset_files.empty())
        if file_path is not None:
            self.load_hdf5(file_path)

    def _take(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.source_id = PlainTable([arrays["source_id"]], names=["ID"])
        self.wcs_positions = PlainTable(list(arrays["source_wcs"].T), names=["ra", "dec"], units=["deg", "deg"])
        self.source_wcs = self.wcs_positions
        self.timestamps = PlainTable([arrays["HJD"], arrays["MJD"]], names=["HJD", "MJD"], units=["d", "d"])
        self.timestamps.meta["plain"] = 1
        for name in ("positions", "exptimes", "flux", "err_flux", "raw_flux", "raw_err_flux", "pscale", "epscale"):
            setattr(self, name, arrays[name])
        for name in ("scale_err", "n_scale", "filters", "files", "messages", "image_flags", "star_flags"):
            setattr(self, name, arrays[name])

    positions: np.ndarray
    exptimes: np.ndarray
    flux: np.ndarray
    err_flux: np.ndarray
    raw_flux: np.ndarray
    raw_err_flux: np.ndarray
    pscale: np.ndarray
    epscale: np.ndarray
    scale_err: np.ndarray
    n_scale: np.ndarray
    filters: np.ndarray
    files: np.ndarray
    messages: np.ndarray
    image_flags: np.ndarray
    star_flags: np.ndarray

    @classmethod
    def from_catalogues(
        cls, catalogues: Any, stars: FieldStars, target: tuple[float, float] | None = None
    ) -> "AperturePhotometryDataset":
        """Put the catalogues of images together.

        Parameters
        ----------
        catalogues : Dataset
            From `tsogrid.survey.catalogue.open_catalogues`; images that were set aside are left out.
        stars : FieldStars
            The catalogue of the field that they were measured with.
        target : (float, float), optional
            Right ascension and declination for the heliocentric times; that of the headers if not given.

        Returns
        -------
        AperturePhotometryDataset
        """
        facts = {str(name): _plain(each) for name, each in catalogues.data_vars.items() if each.dims == ("image",)}
        sizes = facts["row_size"].astype(int)
        images = np.flatnonzero(sizes == len(stars)) if len(stars) else np.zeros(0, int)
        # A stable order by time, and by name where times are equal or unknown.
        names = np.array([Path(str(path)).name for path in facts["path"]], str)
        images = images[np.lexsort((names[images], facts["mjd"][images]))] if images.size else images
        starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
        rows = starts[images][None, :] + np.arange(len(stars))[:, None]

        def column(name: str) -> np.ndarray:
            return np.asarray(catalogues[name].to_numpy()[rows]) if images.size else np.zeros((len(stars), 0))

        raw, raw_err = column("raw_flux"), column("raw_err_flux")
        filters = facts["filter"][images] if images.size else np.zeros(0, str)
        scaled = scale_by_filter(raw, raw_err, filters)
        arrays = dataset_files.empty()
        arrays |= {
            "source_id": stars.source_id,
            "source_wcs": stars.sky,
            "positions": np.stack([column("x"), column("y")], axis=-1),
            "MJD": facts["mjd"][images] if images.size else np.zeros(0),
            "HJD": _heliocentric(facts, images, target),
            "exptimes": facts["exptime"][images] if images.size else np.zeros(0),
            "raw_flux": raw,
            "raw_err_flux": raw_err,
            "star_flags": column("star_flags").astype(np.int32),
            "filters": filters,
            "files": names[images],
            "messages": facts["message"][images],
            "image_flags": facts["image_flags"][images].astype(np.int32),
            **scaled._asdict(),
        }
        result = cls()
        result._take(arrays)
        return result

    def load_hdf5(self, file_path: str | Path) -> None:
        """Load a file of this program or of the old pipeline.

        Raises
        ------
        InputError
            No such file, no HDF5, or not a data set of aperture photometry.
        """
        arrays = dataset_files.read_hdf5(file_path)
        hjd, mjd = arrays["HJD"], arrays["MJD"]
        unknown = np.isfinite(hjd) & ~np.isfinite(mjd)
        if unknown.any() and len(arrays["source_wcs"]):
            # Old files hold HJD alone: the way back takes the light time off, as seen from the middle of the Earth (21 ms).
            ra, dec = np.nanmedian(arrays["source_wcs"], axis=0)
            late = heliocentric_times(hjd[unknown] - MJD_ZERO, None, ra, dec) - hjd[unknown]
            mjd[unknown] = hjd[unknown] - MJD_ZERO - late
        self._take(arrays)

    def save_hdf5(self, file_path: str | Path) -> None:
        """Write the data set as HDF5, whole or not at all.

        Raises
        ------
        ConfigError
            h5py is not installed.
        StoreError
            The file cannot be written.
        """
        dataset_files.write_hdf5(self.arrays, file_path)

    def to_xarray(self) -> Any:
        """Give the data set as a Dataset with the dimensions ``source`` and ``time``."""
        return dataset_files.as_dataset(self.arrays)

    def find_star(self, star: Any, radius: float = RADIUS) -> int:
        """Find a star by its index, its source id, or its place on the sky: see `star_choice.find_star`."""
        return find_star(star, self.arrays["source_id"], self.arrays["source_wcs"], radius)

    def get_lightcurve(self, star_idx: Any, filter: str | None = None, log: Any = None, radius: float = RADIUS) -> Any:
        """Give the light curve of a star.

        Parameters
        ----------
        star_idx : int, (ra, dec), SkyCoord or str
            As for `find_star`.
        filter : str, optional
            Take the images of this filter only (a label that ends in ``_`` and the filter is taken too). In old files, which
            do not tell it, it selects nothing.
        log : logger, optional
            Told where nothing was measured.
        radius : float
            Arcseconds, for a place on the sky.

        Returns
        -------
        astropy.table.Table
            A row an image, in time: ``MJD`` (UTC, mid-exposure), ``flux``, ``err_flux``, ``mag`` (25 − 2.5 log₁₀ flux),
            ``err_mag``, ``hjd``, ``filter``; NaN where the star was not measured.

        Raises
        ------
        InputError
            There is no such star, or no image of this filter.
        """
        index = self.find_star(star_idx, radius)
        which = self._of_filter(filter)
        flux, error = self.flux[index, which], self.err_flux[index, which]
        with np.errstate(invalid="ignore", divide="ignore"):
            bright = np.where(flux > 0, flux, np.nan)
            magnitude, magnitude_error = ZERO_POINT - 2.5 * np.log10(bright), MAGNITUDE_ERROR * error / bright
        if not np.isfinite(flux).any():
            (log or LOG).warning(f"star {index}: it was measured in none of {len(flux)} images")
        table = Table()
        table["MJD"] = self.arrays["MJD"][which]
        table["flux"], table["err_flux"] = flux, error
        table["mag"], table["err_mag"] = magnitude, magnitude_error
        table["mjd"], table["hjd"] = self.arrays["MJD"][which], self.arrays["HJD"][which]
        table["filter"] = self.filters[which]
        table.meta |= {"star": index, "source_id": int(self.arrays["source_id"][index])}
        return table

    def _of_filter(self, name: str | None) -> np.ndarray:
        known = np.unique(self.filters[self.filters != ""]) if len(self.filters) else np.zeros(0, str)
        if name is None or not known.size:
            return np.arange(self.flux.shape[1])
        wanted = [each for each in known if name == each or name.endswith(f"_{each}")]
        if not wanted:
            raise InputError(f"filter {name!r}: expected one of {', '.join(known)}.")
        return np.flatnonzero(np.isin(self.filters, wanted))


def _plain(variable: Any) -> np.ndarray:
    """Values of a variable; text, which zarr keeps in a type of its own, as numpy's."""
    values = variable.to_numpy()
    return values if values.dtype.kind in "biuf" else values.astype(object).astype(str)


def _heliocentric(facts: dict[str, np.ndarray], images: np.ndarray, target: tuple[float, float] | None) -> np.ndarray:
    """HJD of the images, each for its own site and, where no target is given, its own pointing."""
    hjd = np.full(len(images), np.nan)
    names = ("latitude", "longitude", "height", "ra", "dec")
    told = np.array([facts[name][images] for name in names], float).T.reshape(-1, len(names))
    if target is not None:
        told[:, 3:] = target
    for each in np.unique(told, axis=0):
        which = np.array([np.array_equal(each, other, equal_nan=True) for other in told])
        site = Site(*(float(value) for value in each[:3])) if np.isfinite(each[0]) else None
        hjd[which] = heliocentric_times(facts["mjd"][images[which]], site, float(each[3]), float(each[4]))
    return hjd
