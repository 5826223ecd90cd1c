"""The forms in which a result can be written, and the function that writes one: each file is whole or not there.

A form is a format with or without a profile. Some hold the whole result, others one light curve, which is chosen by source,
aperture and sky, or is the quietest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from astropy.table import Table

from tsogrid.analysis.drift import drift_table
from tsogrid.analysis.select import aperture_number, sky_number, source_number
from tsogrid.compat.jwst import jwst_table
from tsogrid.errors import ConfigError
from tsogrid.export.aavso import write_aavso
from tsogrid.export.aij import write_aij
from tsogrid.export.chosen import Chosen, choose
from tsogrid.export.files import check_folder, write_whole
from tsogrid.export.hdf5 import write_dataset, write_eureka
from tsogrid.export.light_curve_fits import write_light_curve
from tsogrid.export.provenance import provenance
from tsogrid.export.tables import plain_table, to_csv, to_ecsv
from tsogrid.export.tshirt import write_tshirt

FORMATS: dict[str, Callable[[Table, Path], None]] = {"ecsv": to_ecsv, "csv": to_csv}
SUFFIXES = {
    "ecsv": ".ecsv", "csv": ".csv", "fits": ".fits", "hdf5": ".h5", "netcdf": ".nc", "aavso": ".txt", "aij": ".tbl",
}  # fmt: skip
SELECTED = ("source", "aperture", "sky")


@dataclass(frozen=True)
class Form:
    """How a form is written.

    Parameters
    ----------
    write : callable
        (result, path, **options) → None.
    options : tuple of str
        What it takes of `export`'s keywords.
    """

    write: Callable[..., None]
    options: tuple[str, ...] = SELECTED


def _narrowed(result: xr.Dataset, source: Any, aperture: Any, sky: Any) -> xr.Dataset:
    """Leave of each dimension what is named; all of it where nothing is."""
    for dim, wanted, find in (
        ("source", source, lambda data, value: source_number(data, value)[0]),
        ("aperture", aperture, aperture_number),
        ("sky", sky, sky_number),
    ):
        if wanted is not None:
            result = result.isel({dim: [find(result, wanted)]})
    return result


def _write_dataset(result: xr.Dataset, path: Path, source: Any = None, aperture: Any = None, sky: Any = None) -> None:
    write_dataset(_narrowed(result, source, aperture, sky), path)


def _plain_table(result: xr.Dataset, source: Any = None, aperture: Any = None, sky: Any = None) -> Table:
    return plain_table(_narrowed(result, source, aperture, sky))


def _jwst_table(result: xr.Dataset, source: Any = None, aperture: Any = None, sky: Any = None) -> Table:
    return jwst_table(
        result,
        None if source is None else source_number(result, source)[0],
        None if aperture is None else aperture_number(result, aperture),
        None if sky is None else sky_number(result, sky),
    )


def _of_one(write: Callable[[xr.Dataset, Chosen, Path], None]) -> Callable[..., None]:
    """Choose the one light curve that a form holds."""

    def chosen(result: xr.Dataset, path: Path, source: Any = None, aperture: Any = None, sky: Any = None) -> None:
        write(result, choose(result, source, aperture, sky), path)

    return chosen


def _as(to: str, make: Callable[..., Table]) -> Callable[..., None]:
    def write(result: xr.Dataset, path: Path, **options: Any) -> None:
        table = make(result, **options)
        table.meta |= {key: text for key, text in provenance(result).items() if key not in table.meta}
        FORMATS[to](table, path)

    return write


def _write_tshirt(result: xr.Dataset, path: Path, aperture: Any = None, sky: Any = None) -> None:
    labels = [str(value) if value is not None else None for value in (aperture, sky)]
    write_tshirt(result, path, *labels)


FORMS: dict[tuple[str, str | None], Form] = {
    **{(to, None): Form(_as(to, _plain_table)) for to in FORMATS},
    **{(to, "jwst"): Form(_as(to, _jwst_table)) for to in FORMATS},
    **{(to, "drift"): Form(_as(to, drift_table), ()) for to in FORMATS},
    ("fits", None): Form(_of_one(write_light_curve)),
    ("fits", "tshirt"): Form(_write_tshirt, ("aperture", "sky")),
    ("hdf5", None): Form(_write_dataset),
    ("hdf5", "eureka"): Form(_of_one(write_eureka)),
    ("netcdf", None): Form(_write_dataset),
    ("aavso", None): Form(write_aavso, (*SELECTED, "observer", "band")),
    ("aij", None): Form(_of_one(write_aij)),
}


def form_of(to: str, profile: str | None) -> Form:
    """Find a form.

    Raises
    ------
    ConfigError
        There is none of this format, profile or both; the message names those that there are.
    """
    if (to, profile) in FORMS:
        return FORMS[to, profile]
    formats, profiles = (list(dict.fromkeys(each[place] for each in FORMS)) for place in (0, 1))
    if to not in formats:
        raise ConfigError(f"export: expected a format of {', '.join(str(each) for each in formats)}, found {to!r}.")
    if profile not in profiles:
        known = ", ".join(str(each) for each in profiles if each)
        raise ConfigError(f"export: expected a profile of {known}, or none; found {profile!r}.")
    fitting = ", ".join(each for each, its in FORMS if its == profile)
    raise ConfigError(f"export: expected a format of {fitting} with the profile {profile}, found {to!r}.")


def export(
    result: xr.Dataset,
    path: str | Path,
    to: str = "ecsv",
    profile: str | None = None,
    *,
    source: Any = None,
    aperture: Any = None,
    sky: Any = None,
    observer: str | None = None,
    band: str | None = None,
) -> Path:
    """Write a result as a file for other programs.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    path : path-like
        The file; it is whole or not there, also when the program is stopped.
    to : {"ecsv", "csv", "hdf5", "netcdf", "fits", "aavso", "aij"}
        The format. Tables, hdf5 and netcdf hold the whole result; fits, aavso and aij one light curve.
    profile : {"jwst", "drift", "tshirt", "eureka"}, optional
        In the form of another program: the table of the JWST pipeline, tshirt's photometry file (fits), the names of Eureka
        (hdf5); or the motion of the frames for ``center.drift``.
    source : str or int, optional
        Name or number; where one light curve is written, the first target if not given.
    aperture : str or float, optional
        Label, or radius of a circle.
    sky : str or int, optional
        Label or number. Where one light curve is written, the quietest one of what is not given (of the profiles jwst and
        tshirt: the first); else all.
    observer, band : str, optional
        For aavso: the observer's code, and the AAVSO's letters for the filter.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigError
        No such format, profile, source, aperture or sky; an option that this form does not take; a package is missing.
    StoreError
        The file cannot be written.

    Warns
    -----
    TsogridWarning
        What the result lacks of what a form asks for.
    """
    form = form_of(to, profile)
    given = {"source": source, "aperture": aperture, "sky": sky, "observer": observer, "band": band}
    given = {name: value for name, value in given.items() if value is not None}
    strange = [name for name in given if name not in form.options]
    if strange:
        what = f"the profile {profile}" if profile else to
        takes = f"takes {', '.join(form.options)}" if form.options else "takes none of these"
        raise ConfigError(f"export: {what} {takes}; found {', '.join(strange)}. Leave that out.")
    check_folder(path)
    if "layout" not in result.attrs:  # not of a store: what `measure` gave would be measured anew each time it is looked at
        result = result.compute()
    return write_whole(path, lambda temporary: form.write(result, temporary, **given))


def write_table(table: Table, path: str | Path, to: str = "ecsv") -> Path:
    """Write a table as ``ecsv`` or ``csv``, whole or not at all, as `tsogrid.export.files.write_whole`."""
    return write_whole(path, lambda temporary: FORMATS[to](table, temporary))
