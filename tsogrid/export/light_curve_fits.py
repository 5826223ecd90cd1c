"""One light curve as a FITS table like those of Kepler and TESS, and as a light curve of lightkurve.

``lightkurve.read`` and astropy's tables read the file. Column names are lightkurve's; times follow the FITS standard: days
since the Julian date JDREF in the scale TIMESYS (FITS Standard 4.0, section 9; BJDREFI and BJDREFF say the same in the words
of the Kepler archive manual).
"""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy import units as u
from astropy.io import fits

from tsogrid.errors import ConfigError
from tsogrid.export.chosen import Chosen, choose
from tsogrid.export.columns import centre, over_references, quality, values
from tsogrid.export.provenance import best_times, provenance

JD_REFERENCE = 2457000  # as TESS; a multiple of days keeps the fraction exact
_SCALES = {"BJD_TDB": ("TDB", "BARYCENTER"), "JD_UTC": ("UTC", "TOPOCENTER")}
_KEYWORDS = {"TELESCOP": "telescope", "INSTRUME": "instrument", "DETECTOR": "detector", "FILTER": "filter"}
LONGEST_TEXT = 60  # of a header card

Column = tuple[np.ndarray, str, str]


def light_curve_columns(result: xr.Dataset, chosen: Chosen) -> dict[str, Column]:
    """Collect the columns of one light curve.

    Parameters
    ----------
    result, chosen
        As in `tsogrid.export.columns.over_references`.

    Returns
    -------
    dict
        Name → values (n_frames,), unit, meaning; relative fluxes only where the source has reference stars that can be used.
    """
    plane = chosen.plane(result)
    unit = str(result["flux"].attrs.get("units", ""))
    x, y = centre(plane)
    number = np.arange(plane.sizes["time"])
    if "integration" in plane.coords and len(np.unique(plane["integration"])) == len(number):
        number = plane["integration"].to_numpy()  # of one exposure; files of one frame each are all number 1
    content: dict[str, Column] = {
        "FLUX": (values(plane, "flux"), unit, "aperture sum less sky"),
        "FLUX_ERR": (values(plane, "flux_err"), unit, "1 sigma"),
        "QUALITY": (quality(plane), "", "flags + 65536 aperture_flags"),
        "CADENCENO": (number.astype(np.int32), "", "integration, or frame from 0"),
        "CENTROID_COL": (values(plane, x), "pixel", f"{x}, 0-based"),
        "CENTROID_ROW": (values(plane, y), "pixel", f"{y}, 0-based"),
        "BACKGROUND": (values(plane, "sky_sum"), unit, "sky inside the aperture"),
        "BACKGROUND_ERR": (values(plane, "sky_sum_err"), unit, "1 sigma"),
        "SKY_LEVEL": (values(plane, "sky_level"), f"{unit} / pixel" if unit not in ("", "1") else unit, "sky per pixel"),
    }
    try:
        compared = over_references(result, chosen)
    except ConfigError:  # no reference star that can be used: the flux itself is still worth a file
        compared = None
    if compared is not None:
        content["REL_FLUX"] = (values(compared.curve, "flux"), "", "flux over the reference stars, median 1")
        content["REL_FLUX_ERR"] = (values(compared.curve, "flux_err"), "", "1 sigma")
    return content


def light_curve_units(result: xr.Dataset, chosen: Chosen) -> fits.HDUList:
    """Put one light curve into a FITS table.

    Parameters
    ----------
    result, chosen
        As in `tsogrid.export.columns.over_references`.

    Returns
    -------
    HDUList
        An empty primary unit, and LIGHTCURVE: TIME (days since JDREF; NaN where unknown), then `light_curve_columns`.
        Headers hold source, aperture, sky and why they were chosen, camera, version, identities and the configuration.
    """
    standard, days = best_times(result)
    days = days - JD_REFERENCE if standard else days
    columns = {"TIME": (days, "d" if standard else "", standard or "frame number")} | light_curve_columns(result, chosen)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name, "J" if array.dtype.kind == "i" else "D", unit=fits_unit(unit) or None, array=array)
            for name, (array, unit, _) in columns.items()
        ],
        name="LIGHTCURVE",
    )
    for number, (_, _, meaning) in enumerate(columns.values(), 1):
        table.header.comments[f"TTYPE{number}"] = meaning
    if standard:
        scale, place = _SCALES[standard]
        table.header["TIMESYS"] = (scale, "time scale")
        table.header["TREFPOS"] = (place, "where the light arrives at these times")
        table.header["TIMEUNIT"] = ("d", "unit of TIME")
        table.header["JDREF"] = (float(JD_REFERENCE), f"TIME is {standard} less this")
        stem = "BJD" if standard == "BJD_TDB" else "JD"
        table.header[f"{stem}REFI"] = (JD_REFERENCE, "the same, whole days")
        table.header[f"{stem}REFF"] = (0.0, "and the fraction")
    primary = fits.PrimaryHDU()
    for header in (primary.header, table.header):
        header["OBJECT"] = (_card(chosen.name(result)), "target")
        header["SOURCE"] = (_card(chosen.labels["source"]), "source of the result")
        header["APERTURE"] = (_card(chosen.labels["aperture"]), "aperture of the result")
        header["SKY"] = (_card(chosen.labels["sky"]), "sky of the result")
    for keyword, name in _KEYWORDS.items():
        if name in result.attrs:
            primary.header[keyword] = _card(result.attrs[name])
    for keyword, text in _provenance_cards(result, chosen):
        primary.header[keyword] = text
    return fits.HDUList([primary, table])


def _provenance_cards(result: xr.Dataset, chosen: Chosen) -> list[tuple[str, str]]:
    known = provenance(result)
    names = {"CREATOR": "creator", "CONFIGID": "config_identity", "INPUTID": "input_identity"}
    cards = [(keyword, known[name]) for keyword, name in names.items() if name in known]
    cards.append(("CHOICE", _ascii(chosen.reason)))
    if "config" in result.attrs:
        cards.append(("CONFIG", _ascii(str(result.attrs["config"]))))
    return cards


def _ascii(text: str) -> str:
    """Give text as a FITS header can hold it."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text.replace("σ", "sigma"))


def _card(value: Any) -> str:
    return _ascii(str(value))[:LONGEST_TEXT]


def fits_unit(unit: str) -> str:
    """Write a unit as the FITS standard does where it knows it, else as it is."""
    if unit in ("", "1"):
        return ""
    try:
        return str(u.Unit(unit).to_string("fits"))
    except ValueError:
        return unit


def write_light_curve(result: xr.Dataset, chosen: Chosen, path: Path) -> None:
    """Write one light curve as a FITS table (`light_curve_units`); a file that is there is written over."""
    light_curve_units(result, chosen).writeto(path, overwrite=True)


def to_lightkurve(result: xr.Dataset, source: Any = None, aperture: Any = None, sky: Any = None) -> Any:
    """Make a light curve of lightkurve.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    source, aperture, sky : optional
        As in `tsogrid.export.chosen.choose`: the quietest aperture and sky if not given.

    Returns
    -------
    lightkurve.LightCurve
        ``time``, and the columns of `light_curve_columns` in lower case, in the result's unit.

    Raises
    ------
    ConfigError
        lightkurve is not installed, the times of the frames are not known, or there is no such source, aperture or sky.
    """
    try:
        import lightkurve
    except ImportError:
        raise ConfigError(
            "to_lightkurve: expected the package lightkurve, found none. Install it: "
            'python -m pip install "tsogrid[lightkurve]"'
        ) from None
    from astropy.time import Time

    chosen = choose(result, source, aperture, sky)
    standard, days = best_times(result)
    if standard is None:
        raise ConfigError("to_lightkurve: expected frames whose times are known, found frame numbers only.")
    good = np.isfinite(days)
    columns = {
        name.lower(): array[good] * u.Unit(unit, parse_strict="silent") if unit not in ("", "1") else array[good]
        for name, (array, unit, _) in light_curve_columns(result, chosen).items()
    }
    return lightkurve.LightCurve(
        time=Time(days[good], format="jd", scale=_SCALES[standard][0].lower()),
        data=columns,
        meta=provenance(result) | chosen.labels | {"choice": chosen.reason, "LABEL": chosen.labels["source"]},
    )
