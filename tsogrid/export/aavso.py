"""A light curve over reference stars as magnitudes, in the Extended File Format of the AAVSO.

The format (aavso.org, "AAVSO Extended File Format", version 1.2): parameters after ``#``, then one observation a line. These
magnitudes are differences to the comparison, −2.5 log₁₀(F/C), error 2.5/ln 10 · σ/F: MTYPE is DIF, TRANS is NO.
"""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.errors import ConfigError, TsogridWarning
from tsogrid.export.chosen import Chosen, choose
from tsogrid.export.columns import Comparison, over_references
from tsogrid.export.provenance import known_times, provenance

FIELDS = (
    "NAME", "DATE", "MAG", "MERR", "FILT", "TRANS", "MTYPE", "CNAME", "CMAG", "KNAME", "KMAG", "AMASS", "GROUP", "CHART",
    "NOTES",
)  # fmt: skip
UNKNOWN = "na"
OTHER_BAND = "O"  # a filter that the AAVSO does not list; it is named in the notes
BANDS = {
    "U", "B", "V", "R", "I", "J", "H", "K", "TB", "TG", "TR", "CV", "CR", "SU", "SG", "SR", "SI", "SZ", "ZS", "Y", "HA",
    "HAC", "STU", "STV", "STB", "STY", "STHBW", "STHBN",
}  # fmt: skip
# What headers call filters that the AAVSO calls otherwise.
_CALLED = {name: f"S{name[0].upper()}" for name in ("u", "g", "r", "i", "u'", "g'", "r'", "i'", "up", "gp", "rp", "ip")}
_CALLED |= {"z": "SZ", "z'": "SZ", "zp": "SZ", "zs": "ZS", "Halpha": "HA", "Rc": "R", "Ic": "I"}
_LONGEST = {"NAME": 30, "MAG": 8, "MERR": 6, "CNAME": 20, "CMAG": 8, "AMASS": 7}
LEAST_ERROR = 1e-4  # what six characters can hold


def write_aavso(
    result: xr.Dataset,
    path: Path,
    source: Any = None,
    aperture: Any = None,
    sky: Any = None,
    observer: str | None = None,
    band: str | None = None,
) -> None:
    """Write differential magnitudes; frames without a flux or a time are left out.

    Parameters
    ----------
    result : Dataset
        A result with reference stars.
    path : Path
        Written, or written over.
    source, aperture, sky : optional
        As in `tsogrid.export.chosen.choose`.
    observer : str, optional
        The observer's code at the AAVSO.
    band : str, optional
        The AAVSO's letters for the filter; from the header's filter if not given, ``O`` where it is none of them.

    Raises
    ------
    ConfigError
        No reference star, no times, or no such source, aperture or sky.

    Warns
    -----
    TsogridWarning
        What has to be filled in before the file can be submitted.
    """
    chosen = choose(result, source, aperture, sky)
    compared = over_references(result, chosen)
    if compared is None:
        raise ConfigError(
            f"export to aavso: expected a reference star beside {chosen.labels['source']}, found none. Magnitudes are "
            "differences here: give `role: reference` to a star of the configuration."
        )
    times = known_times(result)
    if not times:
        raise ConfigError("export to aavso: expected frames whose times are known, found frame numbers only.")
    standard = "JD_UTC" if "JD_UTC" in times else "BJD_TDB"
    if standard == "BJD_TDB":
        _warn("times are BJD_TDB; the AAVSO's form knows JD and HJD: convert them before you submit")
    if not observer:
        _warn("no observer's code was given (--observer): fill in #OBSCODE before you submit")
    band, note = _band(str(result.attrs.get("filter", "")), band)
    head = [
        "#TYPE=EXTENDED",
        f"#OBSCODE={_plain(observer or '')}",
        f"#SOFTWARE={provenance(result)['creator']}",
        "#DELIM=,",
        f"#DATE={'JD' if standard == 'JD_UTC' else 'BJD'}",
        "#OBSTYPE=CCD",
        *(f"#{name}: {text}" for name, text in provenance(result).items()),
        f"#choice: {' '.join(chosen.reason.split())}; aperture {chosen.labels['aperture']}, sky {chosen.labels['sky']}",
        f"#times: {standard} of mid-exposure; MAG: -2.5 log10 of the flux over that of {', '.join(compared.names)}",
        f"#{','.join(FIELDS)}",
    ]
    lines = _observations(result, chosen, compared, times[standard], band, note)
    path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def _observations(
    result: xr.Dataset, chosen: Chosen, compared: Comparison, days: np.ndarray, band: str, note: str
) -> list[str]:
    """Write each frame that has a magnitude and a time as a line."""
    with np.errstate(invalid="ignore", divide="ignore"):
        magnitude = -2.5 * np.log10(compared.ratio)
        error = 2.5 / math.log(10) * np.abs(compared.ratio_err / compared.ratio)
        comparison = -2.5 * np.log10(compared.counts)
    single = len(compared.names) == 1
    airmass = np.asarray(result["airmass"], float) if "airmass" in result.coords else np.full(days.shape, np.nan)
    constant = {
        "NAME": _plain(chosen.name(result))[: _LONGEST["NAME"]],
        "FILT": band,
        "TRANS": "NO",
        "MTYPE": "DIF",
        "CNAME": _plain(compared.names[0])[: _LONGEST["CNAME"]] if single else "ENSEMBLE",
        "NOTES": note,
    }
    lines = []
    for frame in np.flatnonzero(np.isfinite(magnitude) & np.isfinite(days)):
        merr = error[frame]
        line = constant | {
            "DATE": f"{days[frame]:.8f}",
            "MAG": _number(magnitude[frame], _LONGEST["MAG"], 5),
            "MERR": _number(max(merr, LEAST_ERROR) if merr > 0 else merr, _LONGEST["MERR"], 4),
            "CMAG": _number(comparison[frame], _LONGEST["CMAG"], 5) if single else UNKNOWN,
            "AMASS": _number(airmass[frame], _LONGEST["AMASS"], 4),
        }
        lines.append(",".join(line.get(field, UNKNOWN) for field in FIELDS))
    return lines


def _number(value: float, longest: int, digits: int) -> str:
    """Write a number with as many decimals as there is room for."""
    if not np.isfinite(value):
        return UNKNOWN
    for decimals in range(digits, 0, -1):
        text = f"{value:.{decimals}f}"
        if len(text) <= longest:
            break
    return text


def _band(named: str, given: str | None) -> tuple[str, str]:
    """Give the AAVSO's letters for a filter, and a note where there are none."""
    if given:
        return _plain(given), UNKNOWN
    letters = _CALLED.get(named, named)
    if letters in BANDS:
        return letters, UNKNOWN
    _warn(f"the filter {named!r} is none of the AAVSO's: FILT is {OTHER_BAND} (--band gives its letters)")
    return OTHER_BAND, f"filter {_plain(named) or 'unknown'}"


def _plain(text: str) -> str:
    """Take what separates fields out of a text."""
    return " ".join(text.replace(",", " ").replace("#", " ").split())


def _warn(message: str) -> None:
    warnings.warn(f"export to aavso: {message}", TsogridWarning, stacklevel=3)
