"""Fields like LCO's with known truth: stars painted here, a header whose WCS is off, a star list with noise, a catalogue."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

PIXEL = 0.389  # arcseconds
CENTRE = (268.42, -29.31)
WIDTH = 2.1  # pixels
FIRST_ID = 4056000000000000001


@dataclass
class Field:
    """One frame: what is in its file, and the truth; the catalogue's stars in its order, also those off the frame."""

    image: np.ndarray
    error: np.ndarray
    listed: np.ndarray | None  # x, y from 1, flux
    header: fits.Header
    wcs: WCS  # the header's
    sky: np.ndarray
    magnitude: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray

    @property
    def shape(self):
        return self.image.shape

    @property
    def on(self):
        """Which stars are on the frame."""
        ny, nx = self.shape
        return (self.x > -0.5) & (self.y > -0.5) & (self.x < nx - 0.5) & (self.y < ny - 0.5)


def field(
    seed=1,
    size=300,
    stars=130,
    off=(9.6, -7.2),
    rotation=0.1,
    scale=1.0,
    flip=False,
    noise=0,
    brightest_noise=1.0,
    transparency=1.0,
    bent=0.0,
    dither=(0.0, 0.0),
    mjd=61201.2,
    exposure=60.0,
    photon_seed=None,
    list_error=0.05,
):
    """Paint a frame; the same seed gives the same stars, wherever the frame and its header point."""
    rng = np.random.default_rng(seed)
    true = WCS(naxis=2)
    true.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    true.wcs.crval = CENTRE
    true.wcs.crpix = [size / 2 + 3.2 + dither[0], size / 2 - 2.1 + dither[1]]
    angle = np.deg2rad(0.3)
    turn = np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    true.wcs.cd = PIXEL / 3600 * turn
    count = round(stars * 1.69)
    x, y = rng.uniform(-0.15 * size, 1.15 * size, (2, count)) + np.array(dither)[:, None]
    u, v = (x / size - 0.5) * 2, (y / size - 0.5) * 2
    sky = np.stack(true.pixel_to_world_values(x + bent * u * u, y + bent * u * v), axis=-1)
    magnitude = np.sort(13 + 5 * rng.power(2.0, count))
    flux = transparency * 10 ** (-0.4 * (magnitude - 13)) * 1e6 * exposure / 60
    photons = np.random.default_rng((seed, photon_seed or 0))
    image = np.full((size, size), 900.0 * exposure / 60)
    for column, row, light in zip(x, y, flux, strict=True):
        columns = np.arange(max(0, round(column) - 12), min(size, round(column) + 13))
        rows = np.arange(max(0, round(row) - 12), min(size, round(row) + 13))
        if columns.size and rows.size:
            square = (columns[None] - column) ** 2 + (rows[:, None] - row) ** 2
            image[np.ix_(rows, columns)] += light / (2 * np.pi * WIDTH**2) * np.exp(-0.5 * square / WIDTH**2)
    image = photons.poisson(image) + photons.normal(0, 8.2, image.shape)
    error = np.sqrt(np.maximum(image, 1) + 8.2**2)
    on = (x > 3) & (x < size - 4) & (y > 3) & (y < size - 4) & (flux > 12 * np.sqrt(flux + 80 * 900))
    places = np.stack([x[on], y[on]], axis=-1) + photons.normal(0, list_error, (on.sum(), 2)) + 1
    listed = np.column_stack([places, flux[on] * photons.normal(1, 0.02, on.sum())])
    if noise:
        faintest = 0.3 * listed[:, 2].min()
        lights = np.exp(
            photons.uniform(np.log(faintest), np.log(max(brightest_noise * listed[:, 2].max(), 2 * faintest)), noise)
        )
        listed = np.concatenate([listed, np.column_stack([photons.uniform(1, size, (noise, 2)), lights])])
        listed = listed[photons.permutation(len(listed))]
    told = WCS(naxis=2)
    told.wcs.ctype, told.wcs.crval, told.wcs.crpix = true.wcs.ctype, CENTRE, true.wcs.crpix + np.array(off)
    angle = np.deg2rad(rotation)
    told.wcs.cd = scale * true.wcs.cd @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if flip:
        image, error = image[:, ::-1], error[:, ::-1]
        x, listed[:, 0] = size - 1 - x, size + 1 - listed[:, 0]
    image, error = (np.ascontiguousarray(each, np.float32) for each in (image, error))
    return Field(image, error, listed, _header(told, mjd, exposure), told, sky, magnitude, x, y, flux)


def _header(told, mjd, exposure):
    header = fits.Header()
    header["EXTNAME"] = "SCI"
    for key, value in (("SITEID", "lsc"), ("OBJECT", "TESTEV"), ("FILTER", "ip"), ("PIXSCALE", PIXEL), ("GAIN", 1.0)):
        header[key] = value
    header["RA"], header["DEC"], header["RDNOISE"] = "17:53:40.8000", "-29:18:36.000", 8.2
    header["EXPTIME"], header["MJD-OBS"], header["SATURATE"] = exposure, mjd, 120000.0
    for axis in (1, 2):
        header[f"CTYPE{axis}"], header[f"CUNIT{axis}"] = told.wcs.ctype[axis - 1], "deg"
        header[f"CRPIX{axis}"], header[f"CRVAL{axis}"] = told.wcs.crpix[axis - 1], told.wcs.crval[axis - 1]
        for other in (1, 2):
            header[f"CD{axis}_{other}"] = told.wcs.cd[axis - 1, other - 1]
    return header


def write(path, frame, drop=(), mask=None):
    """Write a frame as BANZAI does."""
    header = frame.header.copy()
    for key in drop:
        header.remove(key, ignore_missing=True)
    units = [fits.PrimaryHDU(frame.image, header)]
    if frame.listed is not None:
        columns = dict(zip(("x", "y", "flux"), frame.listed.T, strict=True))
        units.append(fits.BinTableHDU(Table(columns), name="CAT"))
    mask = np.zeros(frame.shape, np.uint8) if mask is None else mask
    units += [fits.ImageHDU(mask, name="BPM"), fits.ImageHDU(frame.error, name="ERR")]
    fits.HDUList(units).writeto(path, overwrite=True)
    return str(path)


def write_catalogue(path, frame, **more):
    """Write the catalogue as the old pipeline keeps it, the brightest first."""
    flux = 10 ** (-0.4 * (frame.magnitude - 25.7))
    table = Table({"ra": frame.sky[:, 0], "dec": frame.sky[:, 1], "source_id": FIRST_ID + np.arange(len(frame.sky))})
    table["phot_g_mean_mag"], table["phot_g_mean_flux"] = frame.magnitude, flux
    for name, values in more.items():
        table[name] = values
    table.write(path, format="ascii", overwrite=True)


WCS_KEYS = tuple(f"{key}{axis}" for key in ("CTYPE", "CUNIT", "CRPIX", "CRVAL", "CD1_", "CD2_") for axis in (1, 2))


def folder_of(place: Path, frames):
    """Write frames and the catalogue of the first into a folder: names in the order given."""
    place.mkdir(parents=True, exist_ok=True)
    paths = [write(place / f"{number:02d}.fits", frame) for number, frame in enumerate(frames)]
    write_catalogue(place / "Gaia_catalog.dat", frames[0])
    return paths
