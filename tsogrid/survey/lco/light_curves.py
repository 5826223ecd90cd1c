"""Light curves as files: a table to look at, and one in the form that the group's TOM takes."""

from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.survey.lco.dataset import AperturePhotometryDataset
from tsogrid.survey.lco.settings import LcoConfig
from tsogrid.survey.lco.whole import write_file


def write_light_curves(
    dataset: AperturePhotometryDataset, star: Any, name: str, folder: Path, config: LcoConfig
) -> list[Path]:
    """Write the light curve of a star as ``NAME_lc.dat`` and ``NAME_lc.csv``.

    Parameters
    ----------
    dataset : AperturePhotometryDataset
    star : int, (ra, dec) or str
        See `AperturePhotometryDataset.find_star`.
    name : str
        Of the files; what is no letter, digit, ``.``, ``+``, ``-`` or ``_`` becomes ``_``.
    folder : Path
    config : LcoConfig
        Whose ``tom: data_label`` stands before the filter in the second file.

    Returns
    -------
    list of Path
        ``.dat``: the columns of `get_lightcurve`. ``.csv``: ``time`` (HJD where it is known, else MJD), ``filter``,
        ``magnitude``, ``error``, of the images in which the star was measured.

    Raises
    ------
    InputError
        There is no such star.
    StoreError
        They cannot be written.
    """
    curve = dataset.get_lightcurve(star)
    plain = "".join(each if each.isalnum() or each in ".+-_" else "_" for each in name)
    label = "" if config.tom.data_label is None else f"{config.tom.data_label}_"
    measured = curve[np.isfinite(np.asarray(curve["mag"])) & np.isfinite(np.asarray(curve["err_mag"]))]
    known = bool(np.isfinite(np.asarray(measured["hjd"])).all())
    tom = measured["hjd", "filter", "mag", "err_mag"]
    if not known:
        tom["hjd"] = measured["MJD"]
    tom.rename_columns(("hjd", "mag", "err_mag"), ("time", "magnitude", "error"))
    tom["filter"] = [f"{label}{each}" for each in tom["filter"]]
    paths = [folder / f"{plain}_lc.dat", folder / f"{plain}_lc.csv"]
    write_file(paths[0], lambda place: curve.write(place, format="ascii.basic", overwrite=True))
    write_file(paths[1], lambda place: tom.write(place, format="ascii.csv", overwrite=True))
    return paths
