"""A result as tshirt's photometry file: its extensions, shapes and keywords, with the errors of the background added.

One aperture over one sky, for every star. Everything is (images, stars), and centroids and widths (images, stars, 2), as
numpy sees them. The errors of a median or robust mean background are tshirt's own, MAD/√N, where the result's come from the
same MAD: this file is the one place where that number is kept.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from tsogrid.config import (
    Annulus,
    Circle,
    ColumnRow,
    Config,
    NoSky,
    Rectangle,
    Ring,
    RowAmplifier,
    Shape,
    SkyRectangle,
    chain_label,
)
from tsogrid.errors import ConfigError
from tsogrid.kernels.statistics import MAD_TO_SIGMA, MEDIAN_ERROR
from tsogrid.kernels.widths import seen_fwhm

# What the error of a level is over tshirt's MAD/√N.
OVER_TSHIRT = {"median": MEDIAN_ERROR * MAD_TO_SIGMA, "robust-mean": MAD_TO_SIGMA}
METHODS = {"robust-mean": "robust mean"}  # tshirt's words where they are others
LONGEST_TEXT = 60  # of a header card


def tshirt_units(result: xr.Dataset, aperture: str | None = None, sky: str | None = None) -> fits.HDUList:
    """Put one aperture over one sky into the extensions of tshirt's photometry file.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    aperture, sky : str, optional
        Labels; the first of each if not given.

    Returns
    -------
    HDUList
        PHOTOMETRY, PHOT ERR, BACKG PHOT, BACKG ERR (images, stars; in the result's unit), TIME (JD), CENTROIDS (images,
        stars, 2; 0-based pixels), FILENAMES (a table), ORIG HEADER (keywords alone), and FWHM (images, stars, 2; pixels)
        where widths were measured. What is unknown is NaN; without a sky the background is NaN, as in tshirt.

    Raises
    ------
    ConfigError
        The result has no such aperture or sky.
    """
    a, k = _chosen(result, "aperture", aperture), _chosen(result, "sky", sky)
    config = _config(result)
    label = str(result["aperture"].to_numpy()[a])
    shape = next(each for each in config.apertures if label in each.labels)
    chain = next(each for each in config.sky if chain_label(each) == str(result["sky"].to_numpy()[k]))
    one = result.isel(aperture=a, sky=k).compute()
    values = {
        name: one[name].transpose("time", "source").to_numpy().astype(float)
        for name in ("flux", "aperture_sum_err", "flux_err", "sky_sum", "sky_sum_err", "x", "y")
    }
    background, background_error, error = values["sky_sum"], values["sky_sum_err"], values["flux_err"]
    factor = OVER_TSHIRT.get(getattr(chain[-1], "statistic", ""), 1.0)
    if factor != 1.0 and config.photometry.sky_error == "measured":
        background_error = background_error / factor
        error = np.hypot(values["aperture_sum_err"], background_error)
    if isinstance(chain[-1], NoSky):
        background, background_error = np.full_like(background, np.nan), np.zeros_like(background)

    units = fits.HDUList([fits.PrimaryHDU(values["flux"])])
    units[0].name = "PHOTOMETRY"
    for name, array in (("PHOT ERR", error), ("BACKG PHOT", background), ("BACKG ERR", background_error)):
        units.append(fits.ImageHDU(array, name=name))
    for unit in units:
        _axes(unit.header, values["flux"].shape, "src", "image")
        unit.header["UNITS"] = (str(result["flux"].attrs.get("units", ""))[:LONGEST_TEXT], "of the values")
    units[0].header.extend(_parameters(result, config, shape, label, chain), end=True)
    units.append(fits.ImageHDU(_julian(one), name="TIME"))
    units["TIME"].header["UNITS"] = ("days", "Julian date, UTC")
    units.append(fits.ImageHDU(np.stack([values["x"], values["y"]], axis=-1), name="CENTROIDS"))
    names = [str(name) for name in one["file"].to_numpy()] if "file" in one.coords else [""] * one.sizes["time"]
    units.append(fits.BinTableHDU(Table({"File Path": names}), name="FILENAMES"))
    units.append(fits.ImageHDU(header=_frame_header(result), name="ORIG HEADER"))
    if "sigma_x" in one:
        widths = [one[name].transpose("time", "source").to_numpy().astype(float) for name in ("sigma_x", "sigma_y")]
        # tshirt fits a Gaussian that is sampled at the pixels' centres: its width is the one that the pixels show.
        units.append(fits.ImageHDU(seen_fwhm(np.stack(widths, axis=-1)), name="FWHM"))
    for name in ("CENTROIDS", "FWHM"):
        if name in units:
            _axes(units[name].header, values["flux"].shape, "dimension", "src", "image")
            units[name].header["BOXSZ"] = (config.center.fit_box // 2, "half the width of the box of the fit")
    return units


def write_tshirt(result: xr.Dataset, path: Path, aperture: str | None = None, sky: str | None = None) -> None:
    """Write a result as tshirt's photometry file.

    Parameters
    ----------
    result : Dataset
        See `tshirt_units`.
    path : Path
        Written, or written over.
    aperture, sky : str, optional
        Labels; the first of each if not given.
    """
    tshirt_units(result, aperture, sky).writeto(path, overwrite=True)


def _chosen(result: xr.Dataset, dimension: str, label: str | None) -> int:
    labels = [str(each) for each in result[dimension].to_numpy()]
    if label is None:
        return 0
    if label not in labels:
        raise ConfigError(f"export: expected one of the result's {dimension} labels, {', '.join(labels)}; found {label!r}.")
    return labels.index(label)


def _config(result: xr.Dataset) -> Config:
    return Config.from_mapping(json.loads(str(result.attrs["config"])), where="the result's configuration")


def _julian(one: xr.Dataset) -> np.ndarray:
    """Julian date in UTC, (images,); NaN where the frames tell none."""
    name = "jd_utc" if "jd_utc" in one.coords else "time_raw"
    return one[name].to_numpy().astype(float) if name in one.coords else np.full(one.sizes["time"], np.nan)


def _axes(header: fits.Header, shape: tuple[int, ...], *names: str) -> None:
    """Say how many images and stars there are, and what each FITS axis is."""
    header["NSOURCE"] = (shape[1], "number of stars")
    header["NIMG"] = (shape[0], "number of images")
    for number, name in enumerate(names, 1):
        header[f"AXIS{number}"] = (name, "X = 0, Y = 1" if name == "dimension" else f"{name} axis")


def _parameters(result: xr.Dataset, config: Config, shape: Any, label: str, chain: list[Any]) -> fits.Header:
    """The parameters of the photometry, under tshirt's keywords."""
    step = chain[-1]
    scaled = isinstance(shape, Shape) and shape.scaled is not None
    cards: list[tuple[str, Any, str]] = [
        ("SRCNAME", str(result.attrs.get("target", result["source"].to_numpy()[0]))[:LONGEST_TEXT], "name of the target"),
        ("NIGHT", _night(result), "date of the first image (UTC)"),
        ("SRCGEOM", GEOMETRIES.get(type(shape), "Frame"), "geometry of the aperture"),
        ("BKGGEOM", BACKGROUNDS.get(type(step), "none"), "geometry of the background"),
        *_sizes(shape, shape.labels.index(label)),
        ("SCALEDAP", scaled, "does the aperture follow the FWHM?"),
        *([("APSCALE", shape.scaled.factor[shape.labels.index(label)], "times the FWHM")] if scaled else []),
        ("BKGSUB", not isinstance(step, NoSky), "is a background taken off?"),
        *((key, float(getattr(step, name)), word) for key, name, word in SKY_SIZES if getattr(step, name, None) is not None),
        *((key, getattr(step, "offset", (0.0, 0.0))[n], "pixels") for n, key in enumerate(("BKOFFSTX", "BKOFFSTY"))),
        ("BKGMETH", _method(chain)[:LONGEST_TEXT], "how the background was found"),
        ("BOXSZ", config.center.fit_box // 2, "half the width of the box of the fit"),
        ("DOCEN", config.center.position == "frame", "is every image centred on its own?"),
        ("NANTREAT", str(config.calibrate.nan), "what is done with NaN"),
        ("SUBPIXEL", getattr(shape, "overlap", "exact"), "how border pixels count"),
        ("CREATOR", f"tsogrid {result.attrs.get('tsogrid_version', '')}".strip(), ""),
    ]
    if "time_reference" in result.attrs:
        cards.append(("JDREF", float(result.attrs["time_reference"]), "days that plots take off"))
    return fits.Header(cards)


GEOMETRIES: dict[type, str] = {Circle: "Circular", Ring: "CircularAnnulus", Rectangle: "Rectangular"}
BACKGROUNDS: dict[type, str] = {
    Annulus: "CircularAnnulus",
    ColumnRow: "CircularAnnulus",
    SkyRectangle: "Rectangular",
    RowAmplifier: "CircularAnnulus",
}
SKY_SIZES = (
    ("BKGSTART", "inner", "pixels"),
    ("BKGSTART", "mask_radius", "pixels about a star that are hidden"),
    ("BKGEND", "outer", "pixels"),
    ("BKHEIGHT", "height", "pixels"),
    ("BKWIDTH", "width", "pixels"),
)


def _sizes(shape: Any, index: int) -> list[tuple[str, Any, str]]:
    if isinstance(shape, Circle) and shape.radius is not None:
        return [("APRADIUS", shape.radius[index], "pixels")]
    if isinstance(shape, Rectangle):
        return [("APHEIGHT", shape.height, "pixels"), ("APWIDTH", shape.width, "pixels")]
    if isinstance(shape, Ring):
        return [("SRCSTART", shape.inner, "pixels"), ("SRCEND", shape.outer, "pixels")]
    return []


def _method(chain: list[Any]) -> str:
    """Name a background as tshirt does; a chain that tshirt does not know by its own label."""
    if len(chain) > 1:
        return chain_label(chain)
    step = chain[0]
    if isinstance(step, Annulus | SkyRectangle):
        return METHODS.get(step.statistic, step.statistic)
    return {"rowamp": "rowAmp"}.get(step.method, step.method)


def _night(result: xr.Dataset) -> str:
    times = _julian(result)
    first = times[np.isfinite(times)][:1]
    return f"UT{Time(first[0], format='jd').strftime('%Y-%m-%d')}" if first.size else "unknown"


def _frame_header(result: xr.Dataset) -> fits.Header:
    """What the result still knows of the frames' headers."""
    header = fits.Header()
    for key, name in KEYWORDS.items():
        if name in result.attrs:
            header[key] = result.attrs[name]
    for line in str(result.attrs.get("wcs", "")).splitlines():
        header.append(fits.Card.fromstring(line), end=True)
    return header


KEYWORDS = {
    "TELESCOP": "telescope",
    "INSTRUME": "instrument",
    "DETECTOR": "detector",
    "CHANNEL": "channel",
    "FILTER": "filter",
    "PUPIL": "pupil",
    "SUBARRAY": "subarray",
    "OBJECT": "target",
    "EXP_TYPE": "exposure_type",
    "READPATT": "readout",
    "EFFINTTM": "integration_time_s",
    "NOUTPUTS": "outputs",
}
