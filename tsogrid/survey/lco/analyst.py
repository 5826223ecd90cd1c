"""One image under the names of the old pipeline: star list, refined WCS, fluxes, and the file with both.

What is measured is what the pipeline itself measures; nothing is written until `save_new_products_in_image` is called.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from tsogrid.errors import InputError
from tsogrid.field.plate_solution import Solution
from tsogrid.flags import RegistrationFlag
from tsogrid.survey.lco.frame import Frame, read_frame
from tsogrid.survey.lco.measure import finished, product_table
from tsogrid.survey.lco.placing import WORDS, found_stars, listed_stars, place
from tsogrid.survey.lco.products import write_products
from tsogrid.survey.lco.settings import LcoConfig, settings_from
from tsogrid.survey.lco.stars import FieldStars, read_stars, stars_of

LOG = logging.getLogger("tsogrid")
PRODUCTS = "products"  # folder beside the images, where copies go


class AperturePhotometryAnalyst:
    """Refine the WCS of one image and measure the stars of a catalogue on it.

    Parameters
    ----------
    image_name : str
        File of the image.
    image_path : path-like
        Its folder.
    gaia_catalog : Table, path-like or FieldStars
        The catalogue of the field.
    config : mapping, optional
        As ``reduction_config.yaml`` has it; 2 arcsec where it says nothing.
    log : logger, optional
        Told what is done.

    Attributes
    ----------
    status : str
        ``OK``, or ``ERROR`` with the reason in ``message``: nothing is raised, so that a loop over images goes on.
    image_data, image_errors : ndarray, shape (ny, nx)
        Bad pixels NaN.
    image_original_wcs, image_new_wcs : astropy.wcs.WCS or None
    phot_aperture : float
        Radius, pixels.
    star_catalog : ndarray, shape (n, 3)
        x, y (0-based pixels) and flux.
    solution : Solution
        What speaks for the refined WCS.
    aperture_photometry_table : Table or None
        ``id, xcenter, ycenter, aperture_sum, aperture_sum_err`` (a second), ``sky, sky_err, flags, source_id, ra, dec``.
    """

    def __init__(
        self,
        image_name: str,
        image_path: str | Path,
        gaia_catalog: Any,
        config: Mapping[str, Any] | LcoConfig | None = None,
        log: Any = None,
    ) -> None:
        self.log = log or LOG
        self.image_path = str(Path(image_path) / image_name)
        self.gaia_catalog = gaia_catalog
        self.config = settings_from(config)
        self.status, self.message = "OK", ""
        self.image_layers: Any = None
        self.image_data: Any = None
        self.image_errors: Any = None
        self.star_catalog: Any = None
        self.image_original_wcs = self.image_new_wcs = None
        self.phot_aperture = float("nan")
        self.solution = Solution(None, RegistrationFlag.NO_MATCH)
        self.aperture_photometry_table: Any = None
        self._frame: Frame | None = None
        self._cards = ""
        self._stars = _field_stars(gaia_catalog)
        try:
            self._frame = read_frame(self.image_path)
            with fits.open(self.image_path, memmap=False) as layers:
                self.image_layers = fits.HDUList([layer.copy() for layer in layers])
        except InputError as error:
            self._fail(str(error))
            return
        self.image_data, self.image_errors = self._frame.data, self._frame.error
        self.image_original_wcs = self._frame.wcs
        self.phot_aperture = self.config.photometry.aperture_arcsec / self._frame.pixel_scale
        self.process_image()

    def _fail(self, message: str) -> None:
        self.status, self.message = "ERROR", message
        self.log.warning(f"{self.image_path}: {message}")

    def process_image(self) -> None:
        """Do all steps but the writing."""
        self.find_star_catalog()
        self.refine_wcs()
        if self.status == "OK":
            self.run_aperture_photometry()

    def find_star_catalog(self) -> None:
        """Take the star list of the file, or find the stars of the image."""
        assert self._frame is not None
        self._own, self._width = found_stars(self._frame)
        listed = self._frame.listed
        self.star_catalog = np.stack([self._own.x, self._own.y, self._own.flux], axis=-1) if listed is None else listed
        self.log.info(f"{self.image_path}: {len(self.star_catalog)} stars")

    def refine_wcs(self) -> None:
        """Find the WCS by the catalogue; a solution that is in doubt makes ``status`` ERROR."""
        assert self._frame is not None
        listed = None if self._frame.listed is None else listed_stars(np.asarray(self.star_catalog), self._own)
        self.solution = place(self._frame, self._stars, self._own, listed)
        self.image_new_wcs = self.solution.wcs
        if self.solution.wcs is None:
            self._fail(f"no WCS: {WORDS[self.solution.why]}")
            return
        self.log.info(
            f"{self.image_path}: WCS by {self.solution.matched} stars, {self.solution.rms:.3f} pixels, moved by "
            f"{self.solution.shift:.1f} pixels and {self.solution.rotation:.2f} degrees"
        )

    def run_aperture_photometry(self) -> None:
        """Measure the stars of the catalogue; fluxes are a second."""
        assert self._frame is not None
        _, catalogue, found = finished(
            self._frame, self._stars, self.phot_aperture, self.solution, len(self._own.x), self._width
        )
        self._cards = str(catalogue.image["wcs"])
        self.aperture_photometry_table = product_table(self._stars, catalogue, found)
        if not np.isfinite(self.phot_aperture):
            self._fail("no pixel scale: PIXSCALE is missing")

    def find_image_layer(self, layer_name: str) -> int:
        """Give the number of the unit with a name, −1 if there is none."""
        if self.image_layers is None:
            return -1
        names = [str(layer.header.get("EXTNAME", "")) for layer in self.image_layers]
        return names.index(layer_name) if layer_name in names else -1

    def save_new_products_in_image(self, path: str | Path | None = None, in_place: bool = False) -> Path | None:
        """Write the refined WCS and the table of fluxes, with the image, as one FITS file.

        Parameters
        ----------
        path : path-like, optional
            The copy; ``products/`` beside the image if not given.
        in_place : bool
            Into the image itself, in one step: it is the old file or the new one, never half of it.

        Returns
        -------
        Path or None
            The file; None where there is nothing to write.

        Raises
        ------
        StoreError
            It cannot be written.
        """
        if self.status != "OK" or self.aperture_photometry_table is None:
            self.log.warning(f"{self.image_path}: nothing to save ({self.message})")
            return None
        source = Path(self.image_path)
        target = source if in_place else Path(path) if path is not None else source.parent / PRODUCTS / source.name
        write_products(source, target, self._cards, self.aperture_photometry_table, self.phot_aperture)
        return target


def _field_stars(catalog: Any) -> FieldStars:
    if isinstance(catalog, FieldStars):
        return catalog
    return read_stars(catalog) if isinstance(catalog, str | Path) else stars_of(catalog)
