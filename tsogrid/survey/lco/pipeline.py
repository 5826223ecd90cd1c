"""A folder of images becomes a data set: catalogue, images as tasks, scale, files, light curves.

What is measured is kept image by image; a run that was stopped goes on, and later runs measure what is new. The data set is
made anew of all images each time: its scales depend on all of them.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.config import ClusterConfig, NoCluster
from tsogrid.engine.run import Progress, Silent
from tsogrid.errors import IdentityError, InputError, RunError
from tsogrid.flags import ImageFlag
from tsogrid.io.files import natural_key
from tsogrid.survey.catalogue import Catalogue, catalogue_of, open_catalogues
from tsogrid.survey.images import measure_images
from tsogrid.survey.lco.analyst import PRODUCTS
from tsogrid.survey.lco.dataset import AperturePhotometryDataset
from tsogrid.survey.lco.dataset_files import write_zarr
from tsogrid.survey.lco.forced import Forced
from tsogrid.survey.lco.frame import read_frame
from tsogrid.survey.lco.measure import WORDS_OF, MeasureImage, product_table
from tsogrid.survey.lco.products import write_products
from tsogrid.survey.lco.settings import FILE as SETTINGS
from tsogrid.survey.lco.settings import LcoConfig, read_settings, settings_from
from tsogrid.survey.lco.stars import FILE as CATALOGUE
from tsogrid.survey.lco.stars import FieldStars, ask_vizier, find_catalogue, read_stars

ENDINGS = tuple(f".{kind}{packed}" for kind in ("fits", "fit", "fts") for packed in ("", ".gz", ".fz"))
STORE, DATA_SET, ARRAYS = "lco_catalogues.zarr", "aperture_photometry.hdf5", "aperture_photometry.zarr"
VERSION = 1  # of what is measured: another one makes a store of another identity


@dataclass(frozen=True)
class Reduction:
    """What a reduction gave.

    Parameters
    ----------
    dataset : AperturePhotometryDataset
    folder : Path
        Where its files are.
    config : LcoConfig
    measured : list of str
        The images that this run has measured.
    written : list of Path
        The files of the data set.
    failure : RunError or None
        Names the images that could not be measured.
    """

    dataset: AperturePhotometryDataset
    folder: Path
    config: LcoConfig
    measured: list[str]
    written: list[Path]
    failure: RunError | None = None

    @property
    def solved(self) -> np.ndarray:
        """Which images of the data set have a place on the sky, shape (T,)."""
        no_place = int(ImageFlag.NO_WCS | ImageFlag.WCS_FAILED)
        return np.asarray((self.dataset.image_flags & no_place) == 0)


def reduce(
    folder: str | Path,
    *,
    config: Any = None,
    catalog: str | Path | FieldStars | None = None,
    output: str | Path | None = None,
    in_place: bool = False,
    products: bool = True,
    everything: bool = False,
    cluster: ClusterConfig | None = None,
    progress: Progress | None = None,
) -> Reduction:
    """Measure a folder of images of one field.

    Parameters
    ----------
    folder : path-like
        With the images; folders in it are not looked into.
    config : path-like or mapping, optional
        ``reduction_config.yaml``; that of the folder if not given, else defaults.
    catalog : path-like or FieldStars, optional
        The catalogue of the field; if not given, ``Gaia_catalog.dat`` of the folder or of the two above it, else Vizier is
        asked.
    output : path-like, optional
        Where all goes that is written; the folder itself if not given.
    in_place : bool
        Write the products into the images themselves, not into copies.
    products : bool
        Write the products at all.
    everything : bool
        Measure all images once more.
    cluster : ClusterConfig, optional
        Where images are measured; auto if not given.
    progress : Progress, optional
        Told how far the run is.

    Returns
    -------
    Reduction
        Images that could not be measured are in its ``failure``; all others are in the data set.

    Raises
    ------
    InputError, ConfigError, StoreError, IdentityError
        No images, no catalogue, a wrong configuration, a folder that cannot be written, or one with the results of other
        settings.
    """
    place = Path(folder)
    images = list_images(place)
    settings = _settings(config, place)
    where = Path(output) if output is not None else place
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{where}: expected a folder to write into, found none that can be made ({error.strerror})."
        ) from None
    stars = _stars(catalog, place, where, settings, images)
    copies = str((where / PRODUCTS).resolve()) if products and not in_place else None
    task = MeasureImage(stars, settings.photometry.aperture_arcsec, copies)
    identity = {"pipeline": "lco", "version": VERSION, "aperture_arcsec": task.aperture, "catalogue": stars.fingerprint}
    store = where / STORE
    measured: list[str] = []
    done = _writer(stars, measured) if in_place and products else lambda path, _: measured.append(path)
    failure = None
    options: dict[str, Any] = {"identity": identity, "words": WORDS_OF}
    try:
        measure_images(
            images,
            task,
            store,
            cluster=cluster,
            mode="overwrite" if everything else "run",
            progress=progress or Silent(),
            done=done,
            **options,
        )
    except IdentityError as error:
        raise IdentityError(str(error).replace("--overwrite", "--all")) from None
    except RunError as error:
        if not store.exists():
            raise
        failure = error
    if in_place and measured:
        # The files are others now; what was measured of them is the same.
        measure_images(measured, _Again(store), store, cluster=NoCluster(), **options)
    target = None if settings.target.RA is None or settings.target.Dec is None else (settings.target.RA, settings.target.Dec)
    dataset = AperturePhotometryDataset.from_catalogues(open_catalogues(store), stars, target)
    written = _save(dataset, where, progress or Silent())
    return Reduction(dataset, where, settings, measured, written, failure)


def list_images(folder: Path) -> list[str]:
    """List the FITS files of a folder, in the order of their names.

    Raises
    ------
    InputError
        No such folder, or no FITS file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of images, found {'a file' if folder.exists() else 'nothing'}.")
    found = [each for each in os.listdir(folder) if each.lower().endswith(ENDINGS) and not each.startswith(".")]
    if found:
        return [str(folder / each) for each in sorted(found, key=natural_key)]
    inner = sorted(
        {path.parent for ending in ENDINGS for path in folder.rglob(f"*{ending}") if path.parent.name != PRODUCTS}
    )
    hint = f" Images are in {', '.join(map(str, inner[:5]))}: give one of these." if inner else ""
    raise InputError(f"{folder}: expected FITS files (.fits, .fits.gz, .fits.fz), found none.{hint}")


def _settings(config: Any, folder: Path) -> LcoConfig:
    if config is None:
        return read_settings(folder / SETTINGS if (folder / SETTINGS).is_file() else None)
    return read_settings(config) if isinstance(config, str | Path) else settings_from(config)


def _stars(catalog: Any, folder: Path, where: Path, settings: LcoConfig, images: Sequence[str]) -> FieldStars:
    if isinstance(catalog, FieldStars):
        return catalog
    path = Path(catalog) if catalog is not None else find_catalogue(folder) or find_catalogue(where)
    if path is not None:
        return read_stars(path)
    ra, dec = settings.target.RA, settings.target.Dec
    for image in images if ra is None or dec is None else ():
        try:
            facts = read_frame(image).facts
        except InputError:  # told with its name when it is measured
            continue
        ra, dec = float(facts["ra"]), float(facts["dec"])
        if np.isfinite(ra):
            break
    if ra is None or dec is None or not np.isfinite(ra):
        raise InputError(
            f"{folder}: expected a catalogue of the field, found no {CATALOGUE} here, and no position to ask Vizier about. "
            f"Give one: --catalog FILE, or target: RA and Dec in {SETTINGS}."
        )
    return ask_vizier(ra, dec, (folder if os.access(folder, os.W_OK) else where) / CATALOGUE)


def _writer(stars: FieldStars, measured: list[str]) -> Callable[[str, Catalogue], None]:
    """What writes the products into an image when it has been measured."""

    def write(path: str, catalogue: Catalogue) -> None:
        measured.append(path)
        cards = str(catalogue.image["wcs"])
        if not cards:
            return
        columns = catalogue.columns
        names = ("raw_flux", "raw_err_flux", "sky", "sky_err", "star_flags")
        found = Forced._make(columns[name] for name in names)
        write_products(path, path, cards, product_table(stars, catalogue, found), float(catalogue.image["radius"]))

    return write


class _Again:
    """The catalogue that a store holds of an image: the task of files that changed only by their products."""

    def __init__(self, store: Path) -> None:
        self._catalogues = open_catalogues(store).load()

    def __call__(self, path: str) -> Catalogue:
        return catalogue_of(self._catalogues, Path(path).name)


def _save(dataset: AperturePhotometryDataset, where: Path, progress: Progress) -> list[Path]:
    written = [where / ARRAYS]
    write_zarr(dataset.arrays, where / ARRAYS)
    if find_spec("h5py") is None:
        progress.say(f'{DATA_SET} is not written: it needs h5py, python -m pip install "tsogrid[hdf5]"')
    else:
        dataset.save_hdf5(where / DATA_SET)
        written.insert(0, where / DATA_SET)
    return written
