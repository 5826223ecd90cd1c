"""A measurements table of AstroImageJ: every star of one aperture and sky, tab-separated, a row a frame.

Targets are T and reference stars C, numbered together from 1, the chosen source first. As there (Collins et al. 2017,
AJ 153, 77): rel_flux is the source's counts over those of all used reference stars together (tot_C_cnts), positions are
1-based FITS pixels, sizes are pixels. Other programs read the columns by these names.
"""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tsogrid.analysis.select import roles_of
from tsogrid.errors import ConfigError, TsogridWarning
from tsogrid.export.chosen import Chosen
from tsogrid.export.columns import Comparison, centre, over_references, values
from tsogrid.export.provenance import known_times, provenance
from tsogrid.flags import SourceFlag
from tsogrid.kernels.widths import seen_fwhm

FITS_FIRST = 1.0  # FITS counts pixels from 1
SHORT_JD = 2400000.0  # what the column J.D.-2400000 takes off


def aij_table(result: xr.Dataset, chosen: Chosen) -> pd.DataFrame:
    """Make a measurements table.

    Parameters
    ----------
    result : Dataset
        A result.
    chosen : Chosen
        Its first target, aperture and sky.

    Returns
    -------
    DataFrame
        ``Label`` (file), ``slice`` (from 1), ``JD_UTC``, ``J.D.-2400000``, ``BJD_TDB`` as far as they are known; of targets
        ``rel_flux_T1``, ``rel_flux_err_T1``, ``rel_flux_SNR_T1`` where there are reference stars, and their sum
        ``tot_C_cnts``, ``tot_C_err``; of each star ``Source-Sky_T1``, ``Source_Error_T1``, ``Source_SNR_T1``,
        ``Sky/Pixel_T1``, ``N_Src_Pixels_T1``, ``N_Sky_Pixels_T1``, ``X(FITS)_T1``, ``Y(FITS)_T1``, ``Width_T1`` (FWHM in
        the pixels: mean of ``X-Width_T1`` and ``Y-Width_T1``); ``Source_Radius``, ``Sky_Rad(min)``, ``Sky_Rad(max)``,
        ``Saturated``; ``Origin`` tells version, identities, aperture, sky, unit and what each star is called.

    Warns
    -----
    TsogridWarning
        There are no times, or no reference star that can be used.
    """
    frames = result.sizes["time"]
    files = [str(file) for file in result["file"].to_numpy()] if "file" in result.coords else [""] * frames
    content: dict[str, Any] = {"Label": files, "slice": np.arange(1, frames + 1)}
    times = known_times(result)
    if not times:
        _warn("the times of the frames are not known: the table has no date")
    if "JD_UTC" in times:
        content |= {"JD_UTC": times["JD_UTC"], "J.D.-2400000": times["JD_UTC"] - SHORT_JD}
    if "BJD_TDB" in times:
        content["BJD_TDB"] = times["BJD_TDB"]
    named = _named(result, chosen)
    for name, star in named.items():
        compared = _compared(result, replace(chosen, numbers=chosen.numbers | {"source": star})) if name[0] == "T" else None
        if compared is None:
            continue
        content |= {f"rel_flux_{name}": compared.ratio, f"rel_flux_err_{name}": compared.ratio_err}
        content[f"rel_flux_SNR_{name}"] = _over(compared.ratio, compared.ratio_err)
        if star == chosen.numbers["source"]:
            content |= {"tot_C_cnts": compared.counts, "tot_C_err": compared.counts_err}
    saturated = np.zeros(frames, int)
    for name, star in named.items():
        plane = replace(chosen, numbers=chosen.numbers | {"source": star}).plane(result)
        content |= {f"{column}_{name}": array for column, array in _of_star(plane).items()}
        if "flags" in plane:
            saturated |= (plane["flags"].to_numpy() & int(SourceFlag.SATURATED) != 0).astype(int)
    content |= _sizes(result, chosen)
    content["Saturated"] = saturated
    content["Origin"] = _origin(result, chosen, named)
    return pd.DataFrame(content)


def _named(result: xr.Dataset, chosen: Chosen) -> dict[str, int]:
    """Number the stars: the chosen one, the reference stars, then other targets."""
    first, roles = chosen.numbers["source"], roles_of(result)
    others = [star for star in range(len(roles)) if star != first]
    order = [first, *sorted(others, key=lambda star: roles[star] != "reference")]
    return {
        f"{'C' if roles[star] == 'reference' and star != first else 'T'}{number}": star
        for number, star in enumerate(order, 1)
    }


def _compared(result: xr.Dataset, chosen: Chosen) -> Comparison | None:
    try:
        compared = over_references(result, chosen)
    except ConfigError as error:  # reference stars, but none that can be used
        _warn(str(error))
        return None
    if compared is None:
        _warn("no reference stars: the table has no rel_flux (give `role: reference` to stars of the configuration)")
    return compared


def _of_star(plane: xr.Dataset) -> dict[str, np.ndarray]:
    flux, error = values(plane, "flux"), values(plane, "flux_err")
    x, y = centre(plane)
    widths = [seen_fwhm(values(plane, name)) for name in ("sigma_x", "sigma_y")]
    return {
        "Source-Sky": flux,
        "Source_Error": error,
        "Source_SNR": _over(flux, error),
        "Sky/Pixel": values(plane, "sky_level"),
        "N_Src_Pixels": values(plane, "aperture_area"),
        "N_Sky_Pixels": values(plane, "sky_area"),
        "X(FITS)": values(plane, x) + FITS_FIRST,
        "Y(FITS)": values(plane, y) + FITS_FIRST,
        "Width": (widths[0] + widths[1]) / 2,
        "X-Width": widths[0],
        "Y-Width": widths[1],
    }


def _over(values: np.ndarray, error: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(values / error)


def _sizes(result: xr.Dataset, chosen: Chosen) -> dict[str, float]:
    """Radii of the aperture and of the annulus, as far as they are circles."""
    content: dict[str, float] = {}
    if "radius" in result.coords:
        content["Source_Radius"] = float(result["radius"].to_numpy()[chosen.numbers["aperture"]])
    chains = json.loads(str(result.attrs.get("config", "{}"))).get("sky", [])
    last = chains[chosen.numbers["sky"]][-1] if chosen.numbers["sky"] < len(chains) else {}
    for column, key in (("Sky_Rad(min)", "inner"), ("Sky_Rad(max)", "outer")):
        if last.get(key) is not None:
            content[column] = float(last[key])
    return content


def _origin(result: xr.Dataset, chosen: Chosen, named: dict[str, int]) -> str:
    sources = [str(name) for name in result["source"].to_numpy()]
    words = {
        **provenance(result),
        "aperture": chosen.labels["aperture"],
        "sky": chosen.labels["sky"],
        "unit": str(result["flux"].attrs.get("units", "")),
        **{name: sources[star] for name, star in named.items()},
    }
    return " | ".join(f"{key}={' '.join(str(value).split())}" for key, value in words.items())


def write_aij(result: xr.Dataset, chosen: Chosen, path: Path) -> None:
    """Write a measurements table of AstroImageJ (`aij_table`), the chosen source as T1; what is there is written over."""
    aij_table(result, chosen).to_csv(path, sep="\t", index=False, na_rep="NaN", lineterminator="\n")


def _warn(message: str) -> None:
    warnings.warn(f"export to aij: {message}", TsogridWarning, stacklevel=3)
