"""The task of one image: where it lies on the sky, the flux of every star of the catalogue, and the file with both.

Its catalogue has a row for each star of the field, in the order of the field's catalogue, whatever became of the image.
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.utils.exceptions import AstropyWarning

from tsogrid.field.plate_solution import Solution, inside
from tsogrid.field.wcs import wcs_pixels
from tsogrid.flags import ForcedFlag, ImageFlag
from tsogrid.survey.catalogue import Catalogue
from tsogrid.survey.lco.forced import Forced, as_table, forced_photometry
from tsogrid.survey.lco.frame import Frame, read_frame
from tsogrid.survey.lco.placing import WORDS, found_stars, listed_stars, place
from tsogrid.survey.lco.products import write_products
from tsogrid.survey.lco.stars import FieldStars

SMALLEST = 1e-300  # chance is told as a logarithm
WORDS_OF = {
    "source_id": ("", "number of the star in the catalogue of the field"),
    "x": ("pixel", "place of the star by the refined WCS, from 0"),
    "y": ("pixel", "place of the star by the refined WCS, from 0"),
    "raw_flux": ("image unit / s", "flux in the circle less the sky, a second"),
    "raw_err_flux": ("image unit / s", "its error, with that of the sky"),
    "sky": ("image unit", "sky of a pixel"),
    "sky_err": ("image unit", "its error"),
    "star_flags": ("1", "quality of the flux"),
    "mjd": ("d", "middle of the exposure, MJD in UTC"),
    "exptime": ("s", "exposure time"),
    "filter": ("", "filter"),
    "ra": ("deg", "right ascension that the header tells"),
    "dec": ("deg", "declination that the header tells"),
    "latitude": ("deg", "of the telescope"),
    "longitude": ("deg", "of the telescope, to the east"),
    "height": ("m", "of the telescope"),
    "object": ("", "name of the field"),
    "radius": ("pixel", "radius of the circle"),
    "width": ("pixel", "Gaussian width of the stars"),
    "stars": ("1", "stars found on the image"),
    "wcs_matched": ("1", "stars by which the WCS was fitted"),
    "wcs_seen": ("1", "share of the catalogue's stars that should be seen which are"),
    "wcs_rms": ("pixel", "root mean square distance of the matched stars"),
    "wcs_precision": ("pixel", "expected error of a place by the refined WCS"),
    "wcs_chance": ("1", "logarithm (base 10) of the expected number of such solutions by chance"),
    "wcs_shift": ("pixel", "of the middle of the image, against the WCS of the header"),
    "wcs_rotation": ("deg", "against the WCS of the header"),
    "wcs_scale": ("1", "against the WCS of the header"),
    "wcs_mirrored": ("1", "1: a mirror image of what the header tells"),
    "wcs_degree": ("1", "degree of the polynomial of the pixels"),
    "wcs": ("", "the refined WCS, FITS cards"),
}


@dataclass(frozen=True)
class MeasureImage:
    """Measure an image: a task for `tsogrid.survey.images.measure_images`.

    Parameters
    ----------
    stars : FieldStars
        The catalogue of the field.
    aperture : float
        Radius of the circles, arcseconds.
    products : str or None
        Folder for a copy of the image with the refined WCS and the table of fluxes; None writes none.
    """

    stars: FieldStars
    aperture: float
    products: str | None = None

    def __call__(self, path: str) -> Catalogue:
        """Measure the image in the file at ``path``."""
        frame = read_frame(path)
        solution, catalogue, found = measured(frame, self.stars, self.aperture)
        if self.products is not None:
            target = Path(self.products) / Path(path).name
            if solution.wcs is None:
                target.unlink(missing_ok=True)  # what an earlier run has left there
            else:
                table = product_table(self.stars, catalogue, found)
                write_products(path, target, str(catalogue.image["wcs"]), table, float(catalogue.image["radius"]))
        return catalogue


def measured(frame: Frame, stars: FieldStars, aperture: float) -> tuple[Solution, Catalogue, Forced]:
    """Place an image on the sky and measure the catalogue's stars.

    Parameters
    ----------
    frame : Frame
    stars : FieldStars
    aperture : float
        Arcseconds.

    Returns
    -------
    Solution, Catalogue, Forced
        The fluxes of `Forced` are those of the whole exposure.
    """
    own, width = found_stars(frame)
    solution = place(frame, stars, own, listed_stars(frame.listed, own))
    return finished(frame, stars, aperture / frame.pixel_scale, solution, len(own.x), width)


def finished(
    frame: Frame, stars: FieldStars, radius: float, solution: Solution, number: int, width: float
) -> tuple[Solution, Catalogue, Forced]:
    """Measure the catalogue's stars on an image whose place on the sky is known, or is known not to be.

    Parameters
    ----------
    frame, stars
        As for `measured`.
    radius : float
        Pixels.
    solution : Solution
    number : int
        Stars found on the image.
    width : float
        Their Gaussian width, pixels.

    Returns
    -------
    Solution, Catalogue, Forced
    """
    pixels = np.full((len(stars), 2), np.nan)
    if solution.wcs is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            pixels = wcs_pixels(solution.wcs, stars.sky_at(float(frame.facts["mjd"])))
        pixels[~inside(pixels, (frame.data.shape[0], frame.data.shape[1]))] = np.nan
        found = forced_photometry(frame.data, frame.error, pixels[:, 0], pixels[:, 1], radius, width, frame.full)
    else:
        nothing = np.full(len(stars), np.nan)
        found = Forced(nothing, nothing, nothing, nothing, np.full(len(stars), int(ForcedFlag.NOT_PLACED)))
    columns = {
        "source_id": stars.source_id,
        "x": pixels[:, 0],
        "y": pixels[:, 1],
        "raw_flux": found.flux / frame.exposure,
        "raw_err_flux": found.flux_err / frame.exposure,
        "sky": found.sky,
        "sky_err": found.sky_err,
        "star_flags": found.flags.astype(np.int32),
    }
    flags, message = _judgement(frame, solution, number)
    image = {
        **frame.facts,
        "radius": radius,
        "width": width,
        "stars": float(number),
        "wcs_matched": float(solution.matched),
        "wcs_seen": solution.seen,
        "wcs_rms": solution.rms,
        "wcs_precision": solution.precision if math.isfinite(solution.precision) else math.nan,
        "wcs_chance": math.log10(max(solution.by_chance, SMALLEST)) if math.isfinite(solution.by_chance) else math.nan,
        "wcs_shift": solution.shift,
        "wcs_rotation": solution.rotation,
        "wcs_scale": solution.scale,
        "wcs_mirrored": float(solution.mirrored),
        "wcs_degree": float(solution.degree),
        "wcs": "" if solution.wcs is None else _cards(solution),
    }
    return solution, Catalogue(columns, image, int(flags), message), found


def _cards(solution: Solution) -> str:
    return str(solution.wcs.to_header(relax=True).tostring(sep="\n", endcard=False, padding=False))


def _judgement(frame: Frame, solution: Solution, number: int) -> tuple[ImageFlag, str]:
    flags, words = ImageFlag(0), []
    if frame.wcs is None:
        flags |= ImageFlag.NO_WCS
        words.append("no WCS: the header has none, and no pointing with a pixel scale to make one of")
    elif solution.wcs is None:
        flags |= ImageFlag.WCS_FAILED
        words.append(f"no WCS: {WORDS[solution.why]}")
    elif not math.isfinite(frame.pixel_scale):
        words.append("no pixel scale: PIXSCALE is missing")
    if not number:
        flags |= ImageFlag.NO_STARS
    if not math.isfinite(float(frame.facts["mjd"])):
        flags |= ImageFlag.NO_TIME
        words.append("no time: expected DATE-OBS or MJD-OBS in the header")
    return flags, "; ".join(words)


def product_table(stars: FieldStars, catalogue: Catalogue, found: Forced) -> object:
    """Lay out the fluxes of an image a second, with the stars that they are of.

    Parameters
    ----------
    stars : FieldStars
    catalogue : Catalogue
        Of the image.
    found : Forced

    Returns
    -------
    astropy.table.Table
    """
    a_second = found._replace(flux=catalogue.columns["raw_flux"], flux_err=catalogue.columns["raw_err_flux"])
    table = as_table(np.stack([catalogue.columns["x"], catalogue.columns["y"]], axis=-1), a_second)
    table["source_id"], table["ra"], table["dec"] = stars.source_id, stars.ra, stars.dec
    return table
