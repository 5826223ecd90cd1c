"""How often each flag was raised, in one table: a row a flag and source, or a flag, source and aperture."""

import inspect
import re
from enum import IntFlag
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tsogrid.errors import ConfigError
from tsogrid.flags import ApertureFlag, SourceFlag

FLAGS: dict[str, type[IntFlag]] = {"flags": SourceFlag, "aperture_flags": ApertureFlag}


def flag_table(result: xr.Dataset) -> pd.DataFrame:
    """Count the flags of a result.

    Parameters
    ----------
    result : Dataset
        A result or one of its light curves.

    Returns
    -------
    DataFrame
        ``source``, ``aperture`` (empty for flags of the source), ``bit``, ``flag`` (its name), ``frames`` (how many have
        it), ``percent`` and ``meaning``; only flags that were raised, and no row where none was.

    Raises
    ------
    ConfigError
        There are no flags in it.
    """
    known = [name for name in FLAGS if name in result]
    if not known:
        raise ConfigError("flag_table: expected a result with flags, found neither flags nor aperture_flags.")
    rows: list[dict[str, Any]] = []
    for name in known:
        array, words = result[name].compute(), _words(FLAGS[name])
        masks = [int(mask) for mask in np.atleast_1d(array.attrs.get("flag_masks", []))]
        meanings = str(array.attrs.get("flag_meanings", "")).split()
        dims = [dim for dim in ("source", "aperture") if dim in array.dims]
        values = array.transpose("time", *dims).to_numpy()
        for index in np.ndindex(values.shape[1:]):
            place = {dim: str(array[dim].to_numpy()[number]) for dim, number in zip(dims, index, strict=True)}
            for dim in ("source", "aperture"):
                if dim not in place and dim in array.coords:
                    place[dim] = str(array[dim].item())
            column = values[(slice(None), *index)]
            for mask, meaning in zip(masks, meanings, strict=True):
                frames = int(np.count_nonzero(column & mask))
                if frames:
                    rows.append({
                        "source": place.get("source", ""),
                        "aperture": place.get("aperture", "") if name == "aperture_flags" else "",
                        "bit": mask,
                        "flag": meaning,
                        "frames": frames,
                        "percent": 100 * frames / max(len(column), 1),
                        "meaning": words.get(meaning, meaning.replace("_", " ")),
                    })  # fmt: skip
    return pd.DataFrame(rows, columns=["source", "aperture", "bit", "flag", "frames", "percent", "meaning"])


def _words(bits: type[IntFlag]) -> dict[str, str]:
    """Read what flags mean where they are declared: the words beside each bit; nothing if the source is not there."""
    try:
        said = re.findall(r"^    (\w+) = \d+  # (.+)$", inspect.getsource(bits), re.MULTILINE)
    except OSError:
        return {}
    return {name.lower(): meaning for name, meaning in said}
