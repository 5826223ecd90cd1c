"""Frames that have no flux, and why: gathered by their flags, in one table."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tsogrid.analysis.select import require_result
from tsogrid.flags import ApertureFlag, SourceFlag

COLUMNS = ["source", "frames", "which", "cells", "reasons"]


def failures(result: xr.Dataset) -> pd.DataFrame:
    """List the frames whose flux is NaN, with the flags that say why.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`; fluxes and flags are read.

    Returns
    -------
    DataFrame
        A row for each source and set of reasons: ``source``, ``frames`` (how many), ``which`` (numbers from 0, as
        ``"3, 10-12"``), ``cells`` (``"all"`` where no aperture over any sky has a flux, else in how many at most), and
        ``reasons``: the names of the flags of the source and of the apertures without flux, or ``"no flag"``. No row where
        every flux is finite.

    Raises
    ------
    ConfigError
        It is no result.
    """
    require_result(result)
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(result["source"].to_numpy()):
        names = [each for each in ("flux", "flags", "aperture_flags") if each in result]
        one = result[names].isel(source=number).compute()
        lost = ~np.isfinite(one["flux"].transpose("time", "aperture", "sky").to_numpy())
        count = lost.sum(axis=(1, 2))
        frames = np.flatnonzero(count)
        of_source = one["flags"].to_numpy() if "flags" in one else np.zeros(len(lost), int)
        of_aperture = np.zeros(len(lost), int)
        if "aperture_flags" in one:
            raised = np.where(lost.any(axis=2), one["aperture_flags"].transpose("time", "aperture").to_numpy(), 0)
            of_aperture = np.bitwise_or.reduce(raised, axis=1)
        groups: dict[tuple[int, int, bool], list[int]] = {}
        for frame in frames:
            whole = bool(count[frame] == lost[0].size)
            groups.setdefault((int(of_source[frame]), int(of_aperture[frame]), whole), []).append(int(frame))
        for (source_bits, aperture_bits, whole), members in groups.items():
            some = f"{int(count[members].max())} of {lost[0].size}"
            rows.append({
                "source": str(name),
                "frames": len(members),
                "which": ranges(members),
                "cells": "all" if whole else some,
                "reasons": _named(source_bits, aperture_bits),
            })  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _named(source_bits: int, aperture_bits: int) -> str:
    found = [str(bit.name).lower() for bit in SourceFlag if source_bits & bit]
    found += [str(bit.name).lower() for bit in ApertureFlag if aperture_bits & bit]
    return ", ".join(dict.fromkeys(found)) or "no flag"


def ranges(numbers: list[int], most: int = 12) -> str:
    """Write ascending numbers shortly.

    Parameters
    ----------
    numbers : list of int
        Ascending, each once.
    most : int
        Ranges that are written; the rest is counted.

    Returns
    -------
    str
        For example ``"3, 10-12"``.
    """
    if not numbers:
        return ""
    cuts = [0, *(1 + np.flatnonzero(np.diff(numbers) > 1)), len(numbers)]
    runs = [numbers[start:stop] for start, stop in pairwise(cuts)]
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:most]]
    left = sum(len(run) for run in runs[most:])
    return ", ".join(words) + (f" and {left} more" if left else "")
