"""The JWST table: what the pipeline's ``tso_photometry`` step writes, made from a result of this program.

The step's options become a configuration, the frames are measured as any others are, and the result is put into the step's
columns. Nothing is computed a second way: a column is a variable of the result, in the table's unit.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy import units as u
from astropy.table import QTable

from tsogrid.config import Config
from tsogrid.errors import ConfigError, TsogridWarning
from tsogrid.field.wcs import celestial_wcs
from tsogrid.io.frames import open_frames

MJD_ZERO = 2400000.5  # the step's BJD_TDB is BJD − 2400000.5
WHOLE_FRAME = "frame"  # label of the aperture that is the whole frame
_BACKGROUND = ("annulus_sum", "annulus_sum_err", "annulus_mean", "annulus_mean_err", "aperture_bkg", "aperture_bkg_err")
_META = ("instrument", "detector", "channel", "subarray", "filter", "pupil")

ToSky = Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]


def jwst_config(
    files: Sequence[str | Path],
    radius: float = 3.0,
    radius_inner: float = 4.0,
    radius_outer: float = 5.0,
    centroid_source: bool = True,
    search_box_width: int = 41,
    fit_box_width: int = 11,
    moving_centroid: bool = False,
    gain: float | str | Path | None = None,
    attributes: dict[str, Any] | None = None,
) -> Config:
    """Say with a configuration what the step's options say.

    Parameters
    ----------
    files : sequence of path-like
        Segments of one exposure.
    radius, radius_inner, radius_outer : float
        Of the aperture and of the annulus, in pixels.
    centroid_source : bool
        Centre on the source; otherwise the apertures stay on XREF_SCI, YREF_SCI.
    search_box_width, fit_box_width : int
        Full widths of the boxes of the first and of the second centre of mass; even ones are rounded down.
    moving_centroid : bool
        The apertures follow the centroid of each integration, in place of the median of the whole series.
    gain : float, or path of a FITS image, optional
        Electron per DN: frames in DN/s are measured in electrons.
    attributes : dict, optional
        Attributes of the frames; read from the files' headers if not given.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError, InputError
        A wrong option, or files that cannot be read.

    Warns
    -----
    TsogridWarning
        A unit that the step does not know, or that needs a gain: it is kept.
    """
    if attributes is None:
        attributes = _opened(files, gain).attrs
    for name, width in (("search_box_width", search_box_width), ("fit_box_width", fit_box_width)):
        if width % 2 == 0:
            _warn(f"{name}: expected an odd width, found {width}: {width - 1} is taken")
    center: dict[str, Any] = {"search_box": search_box_width, "fit_box": fit_box_width}
    if not centroid_source:
        center = {"predict": "none", "method": "none", "position": "fixed"}
    elif moving_centroid:
        # A frame without a centroid is NaN: the median of the others would stand on another part of the star.
        center |= {"position": "frame", "fallback": "nan"}
    whole = attributes.get("pupil") == "WLP8" and attributes.get("subarray") == "SUB64P"
    annulus = {"method": "annulus", "inner": radius_inner, "outer": radius_outer, "statistic": "mean"}
    content = {
        "preset": "jwst",
        "input": {
            "files": [str(file) for file in files],
            "reader": "jwst",
            "error": "err",
            "gain": plain_gain(gain),
            "units": _units(attributes, gain),
        },
        "center": center,
        # The weak lens fills the subarray: all of it is summed. The annulus still says where the source is masked
        # for the level under the centroid.
        "sky": [{"method": "none"}, annulus] if whole else [annulus],
        "apertures": [{"shape": "frame"}] if whole else [{"shape": "circle", "radius": radius}],
    }
    return Config.from_mapping(content, where="jwst")


def _opened(files: Sequence[str | Path], gain: Any) -> xr.Dataset:
    """Open the frames once more, silently: who measures them opens them too, and is told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TsogridWarning)
        return open_frames([str(file) for file in files], reader="jwst", error="err", gain=plain_gain(gain))


def plain_gain(gain: float | str | Path | None) -> float | str | None:
    """Tell a number from the name of a file."""
    if gain is None or isinstance(gain, float | int):
        return gain
    try:
        return float(str(gain))
    except ValueError:
        return str(gain)


def _units(attributes: dict[str, Any], gain: Any) -> str:
    """Choose the unit of the result as the step does."""
    native = str(attributes.get("units", "") or "")
    if native == "MJy/sr" and "pixel_area_sr" in attributes:
        return "Jy"
    if native == "DN/s" and gain is not None:
        return "electron"
    why = {"MJy/sr": "PIXAR_SR for Jy", "DN/s": "a gain (--gain FILE|VALUE) for electrons"}.get(native, "MJy/sr or DN/s")
    _warn(f"frames in {native or 'no unit'}: expected {why}; the unit is kept")
    return "native"


def _warn(message: str) -> None:
    warnings.warn(message, TsogridWarning, stacklevel=3)


def jwst_table(
    result: xr.Dataset,
    source: str | int | None = None,
    aperture: str | int | None = None,
    sky: str | int | None = None,
    to_sky: ToSky | None = None,
) -> QTable:
    """Put a result into the columns of the pipeline's table.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    source, aperture, sky : str or int, optional
        Label or number; the first target, the first aperture and the first mean annulus (of the whole frame: no sky) if not
        given.
    to_sky : callable, optional
        (x, y) in 0-based pixels → right ascension, declination in degrees; the WCS of the result's header if not given.

    Returns
    -------
    QTable
        Columns, units and metadata of the step (one row an integration); centroids and widths only where they were measured.

    Raises
    ------
    ConfigError
        There is no such source, aperture or sky.

    Warns
    -----
    TsogridWarning
        What this result lacks and is NaN in the table.
    """
    chosen = {
        "source": _index(result, "source", _first_target(result) if source is None else source),
        "aperture": _index(result, "aperture", 0 if aperture is None else aperture),
    }
    whole = str(result["aperture"].to_numpy()[chosen["aperture"]]) == WHOLE_FRAME
    chosen["sky"] = _index(result, "sky", _usual_sky(result, whole) if sky is None else sky)
    plane = result.isel(chosen).compute()
    steps = _sky_steps(result, chosen["sky"])
    scale, unit = _scale(result)
    lacking: list[str] = []
    table = QTable(meta=_meta(plane, steps, whole))
    _add_times(table, plane, lacking)
    _add_sums(table, plane, steps, whole, scale, unit, lacking)
    _add_position(table, plane, to_sky, lacking)
    _add_centroid(table, plane, scale, unit)
    if lacking:
        _warn(f"this result lacks what the JWST table asks for, it is NaN there: {', '.join(lacking)}")
    return table


def _first_target(result: xr.Dataset) -> int:
    roles = [str(role) for role in result["role"].to_numpy()] if "role" in result.coords else []
    return roles.index("target") if "target" in roles else 0


def _index(result: xr.Dataset, dim: str, wanted: str | int) -> int:
    labels = [str(label) for label in result[dim].to_numpy()]
    if isinstance(wanted, int) and -len(labels) <= wanted < len(labels):
        return wanted % len(labels)
    if wanted not in labels:
        raise ConfigError(f"{dim}: expected one of {', '.join(labels)}, found {wanted!r}.")
    return labels.index(str(wanted))


def _sky_steps(result: xr.Dataset, index: int) -> list[dict[str, Any]]:
    chains = json.loads(result.attrs.get("config", "{}")).get("sky", [])
    return chains[index] if index < len(chains) else []


def _is_mean_annulus(steps: list[dict[str, Any]]) -> bool:
    return len(steps) == 1 and steps[0]["method"] == "annulus" and steps[0]["statistic"] == "mean"


def _usual_sky(result: xr.Dataset, whole: bool) -> int:
    every = [_sky_steps(result, index) for index in range(result.sizes["sky"])]
    for index, steps in enumerate(every):
        if (all(step["method"] == "none" for step in steps) if whole else _is_mean_annulus(steps)) and steps:
            return index
    return 0


def _scale(result: xr.Dataset) -> tuple[float, Any]:
    """Give the factor from the result's unit to the table's, and the table's unit."""
    attributes = result.attrs
    native = str(attributes.get("data_units", "") or "")
    area, gain = attributes.get("pixel_area_sr"), attributes.get("gain")
    seconds = attributes.get("integration_time_s")
    if native == "MJy/sr" and area is not None:
        return 1e6 * float(area), u.Jy
    if native == "DN/s" and gain is not None and seconds is not None:
        return float(gain) * float(seconds), u.electron
    return 1.0, u.Unit("" if native == "1" else native, parse_strict="silent")


def _meta(plane: xr.Dataset, steps: list[dict[str, Any]], whole: bool) -> dict[str, Any]:
    meta = {name: plane.attrs.get(name) for name in _META}
    meta["target_name"] = plane.attrs.get("target")
    meta["apertures"] = _sentence(plane, steps, whole)
    meta["number_of_integrations"] = plane.sizes["time"]
    return meta


def _sentence(plane: xr.Dataset, steps: list[dict[str, Any]], whole: bool) -> str:
    """Name the aperture and the background as the step does."""
    if whole:
        return "Photometry measured as the sum of all values in the subarray.  No background subtraction was performed."
    begin = f"Photometry measured in a circular aperture of r={float(plane['radius'])} pixels.  "
    if len(steps) == 1 and steps[0]["method"] == "annulus":
        inner, outer = steps[0]["inner"], steps[0]["outer"]
        return (
            f"{begin}Background calculated as the {steps[0]['statistic']} in a circular annulus with "
            f"r_inner={float(inner)} pixels and r_outer={float(outer)} pixels."
        )
    return f"{begin}Background: {plane['sky'].item()}."


def _add_times(table: QTable, plane: xr.Dataset, lacking: list[str]) -> None:
    for column, name, zero in (("MJD", "mjd_utc", 0.0), ("BJD_TDB", "bjd_tdb", MJD_ZERO)):
        if name in plane.coords:
            table[column] = plane[name].to_numpy() - zero
        else:
            table[column] = np.full(plane.sizes["time"], np.nan)
            lacking.append(column)


def _add_sums(
    table: QTable, plane: xr.Dataset, steps: list[dict[str, Any]], whole: bool, scale: float, unit: Any, lacking: list[str]
) -> None:
    def values(name: str) -> np.ndarray:
        return plane[name].to_numpy() * scale

    unknown = np.full(plane.sizes["time"], np.nan)
    total, total_err = values("aperture_sum"), values("aperture_sum_err")
    table["aperture_sum"], table["aperture_sum_err"] = total << unit, total_err << unit
    if whole:
        for name in _BACKGROUND:
            table[name] = unknown  # without a unit, as the step writes them
        table["net_aperture_sum"], table["net_aperture_sum_err"] = total << unit, total_err << unit
        return
    level, level_err, area = values("sky_level"), values("sky_level_err"), plane["sky_area"].to_numpy()
    if not _is_mean_annulus(steps):
        level, level_err = unknown, unknown
        lacking.append("annulus_sum and annulus_mean, as the sky is not the mean of an annulus")
    # The step knows no area of an aperture or annulus in which no pixel's centre lies, thin as a sliver at the frame's edge.
    outer = steps[0]["outer"] if _is_mean_annulus(steps) else np.inf
    empty, no_sky = _void(plane, float(plane["radius"])), _void(plane, outer)
    columns = {
        "annulus_sum": level * area,
        "annulus_sum_err": level_err * area,
        "annulus_mean": level + no_sky,
        "annulus_mean_err": level_err + no_sky,
        "aperture_bkg": values("sky_sum") + empty + no_sky,
        "aperture_bkg_err": values("sky_sum_err") + empty + no_sky,
        "net_aperture_sum": values("flux") + empty + no_sky,
        "net_aperture_sum_err": values("flux_err") + empty + no_sky,
    }
    for name, column in columns.items():
        table[name] = column << unit


def _void(plane: xr.Dataset, radius: float) -> np.ndarray:
    """NaN where a circle holds no centre of a pixel of the frame, else 0; shape (n_frames,)."""
    x, y = plane["x"].to_numpy(), plane["y"].to_numpy()
    nearest_x, nearest_y = np.rint(x), np.rint(y)
    if "frame_shape" in plane.attrs:
        ny, nx = plane.attrs["frame_shape"]
        nearest_x, nearest_y = np.clip(nearest_x, 0, nx - 1), np.clip(nearest_y, 0, ny - 1)
    return np.where(np.hypot(x - nearest_x, y - nearest_y) >= radius, np.nan, 0.0)


def _add_position(table: QTable, plane: xr.Dataset, to_sky: ToSky | None, lacking: list[str]) -> None:
    x, y = plane["x"].to_numpy(), plane["y"].to_numpy()
    table["aperture_x"], table["aperture_y"] = x << u.pix, y << u.pix
    ra, dec = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    if to_sky is None:
        wcs = celestial_wcs(plane.attrs.get("wcs"))
        to_sky = None if wcs is None else wcs.pixel_to_world_values
    known = np.isfinite(x) & np.isfinite(y)
    if to_sky is None:
        lacking.append("aperture_ra_icrs and aperture_dec_icrs")
    elif known.any():
        ra[known], dec[known] = to_sky(x[known], y[known])
    table["aperture_ra_icrs"], table["aperture_dec_icrs"] = ra << u.deg, dec << u.deg


def _add_centroid(table: QTable, plane: xr.Dataset, scale: float, unit: Any) -> None:
    if "x_com" not in plane:
        return
    for axis in ("x", "y"):
        table[f"centroid_{axis}"] = plane[f"{axis}_com"].to_numpy() << u.pix
    width_x, width_y = plane["sigma_x"].to_numpy(), plane["sigma_y"].to_numpy()
    table["psf_width_x"], table["psf_width_y"] = width_x << u.pix, width_y << u.pix
    # The volume under a Gaussian of this height and these widths.
    volume = 2 * np.pi * plane["amplitude"].to_numpy() * width_x * width_y
    table["psf_flux"] = volume * scale << unit
