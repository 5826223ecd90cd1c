"""Small nights of a Nickel-like camera: rectangular frames of Moffat stars with a header as the reduction leaves it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from astropy.io import fits

SHAPE = (110, 150)
STARS = np.array([(25.3, 20.7, 60000), (70.8, 30.2, 45000), (118.4, 24.6, 30000), (40.2, 80.5, 52000), (100.6, 85.1, 38000)])
COLUMNS = (
    "group_id,group_size,flags,x_fit,y_fit,flux_psf,flux_aper,ratio_flux,local_bkg,x_err,y_err,flux_err,airmass,id,"
    "iter_detected,npixfit,qfit,cfit"
)  # of pipnick's tables
OURS = "ra,dec,time,filter,exptime,mag,mag_err"


def image_of(seed: int = 1, shift: float = 0.0, stars: np.ndarray = STARS) -> np.ndarray:
    """Moffat stars (FWHM 5, α = 3) of whole fluxes on a sky of 200 electrons, with their noise."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    alpha = 3.0
    gamma = 5.0 / 2 / np.sqrt(2 ** (1 / alpha) - 1)
    image = np.full(SHAPE, 200.0)
    for x0, y0, flux in stars:
        r2 = (x - x0 - shift) ** 2 + (y - y0) ** 2
        image += flux * (alpha - 1) / (np.pi * gamma**2) * (1 + r2 / gamma**2) ** -alpha
    return np.random.default_rng(seed).poisson(image).astype(np.float32)


def header_of(number: int, name: str, band: str, **cards) -> fits.Header:
    """The header of a frame."""
    header = fits.Header({"OBJECT": name, "FILTNAM": band, "EXPTIME": 60.0, "AIRMASS": 1.1, "BUNIT": "electron"})
    header["DATE-BEG"] = f"2024-06-26T04:{number % 60:02d}:00.000"
    header.update(cards)
    return header


def wcs_cards() -> dict:
    """A tangential projection about the middle of the frame, 0.37 arcsec a pixel, north up."""
    middle = {"CRPIX1": 75.5, "CRPIX2": 55.5, "CRVAL1": 280.6, "CRVAL2": 0.13}
    kinds = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"}
    return kinds | middle | {"CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4}


def write_frame(folder: Path, number: int, name: str = "SA 110", band: str = "R", cards: dict | None = None) -> Path:
    """Write a frame where the reduction would put it."""
    path = folder / "reduced" / f"{name.replace(' ', '').upper()}_{band}" / f"d{number}_red.fits"
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(SHAPE, np.uint8)
    mask[50, 60] = 1
    primary = fits.PrimaryHDU(image_of(number), header_of(number, name, band, **(cards or {})))
    fits.HDUList([primary, fits.ImageHDU(mask, name="MASK")]).writeto(path)
    return path


def write_night(folder: Path) -> Path:
    """A night of four frames of two objects in two bands."""
    for number, name, band in ((1031, "SA 110", "R"), (1032, "SA 110", "R"), (1033, "SA 110", "B"), (1034, "PG1633", "B")):
        write_frame(folder, number, name, band)
    return folder


@contextmanager
def logger_restored() -> Iterator[None]:
    """Leave the program's logger as it was."""
    logger = logging.getLogger("tsogrid")
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    try:
        yield
    finally:
        for handler in [each for each in logger.handlers if each not in handlers]:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate
