"""The statistics of a result in one table: a row a source, aperture and sky."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tsogrid.analysis.averaging import FEWEST_BINS, means
from tsogrid.analysis.choice import every_cell, score_curves
from tsogrid.analysis.scatter import deviation
from tsogrid.analysis.select import aperture_number, require_result, roles_of, sky_number, source_number

TIMESCALES = (10, 30, 100)  # frames, as far as the series is long enough for them


def stats(
    result: xr.Dataset,
    source: Any = None,
    aperture: Any = None,
    sky: Any = None,
    relative: bool | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Make a table of how light curves scatter.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    source : str, int or list, optional
        Names or numbers; ``"all"`` for all sources, all targets if not given.
    aperture : str, float or list, optional
        Labels or radii; ``"all"`` for all apertures. If not given, the one with the least clipped point-to-point scatter
        over each sky.
    sky : str, int or list, optional
        Labels or numbers; all if not given.
    relative : bool, optional
        Over the reference stars; if not given, where there are any.
    **options
        Of `tsogrid.analysis.reference.relative`.

    Returns
    -------
    DataFrame
        ``source, aperture, sky``; ``relative``; ``frames``, ``points`` (finite), ``flagged`` (frames with any flag);
        relative to the flux ``std``, ``mad``, ``point_to_point``, ``expected`` (median error); ``ratio`` =
        point_to_point/expected; ``binned_10`` …, the rms of means of 10, 30, 100 frames.

    Raises
    ------
    ConfigError
        There is no such source, aperture or sky, or no reference star where one is asked for.
    """
    require_result(result)
    rows = []
    for number in _sources(result, source):
        rows += rows_of(result, every_cell(result, number, relative, **options), aperture, sky)
    return pd.DataFrame(rows)


def _sources(result: xr.Dataset, source: Any) -> list[int]:
    if source is None:
        targets = [number for number, role in enumerate(roles_of(result)) if role == "target"]
        return targets or [0]
    if isinstance(source, str) and source == "all" and "all" not in result["source"].to_numpy():
        return list(range(result.sizes["source"]))
    return [source_number(result, each)[0] for each in _listed(source)]


def _listed(wanted: Any) -> list[Any]:
    return list(wanted) if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]


def rows_of(
    result: xr.Dataset, curves: xr.Dataset, aperture: Any = None, sky: Any = None, scores: xr.Dataset | None = None
) -> list[dict[str, Any]]:
    """Make the rows of one source, as `stats`, from light curves that are at hand.

    Parameters
    ----------
    result : Dataset
        A result.
    curves : Dataset
        From `tsogrid.analysis.choice.every_cell`.
    aperture, sky : optional
        As in `stats`.
    scores : Dataset, optional
        From `tsogrid.analysis.choice.score_curves`; made if not given.

    Returns
    -------
    list of dict

    Raises
    ------
    ConfigError
        There is no such aperture or sky.
    """
    scores = score_curves(curves) if scores is None else scores
    skies = range(scores.sizes["sky"]) if sky is None else [sky_number(result, each) for each in _listed(sky)]
    chosen: list[int] = []
    if isinstance(aperture, str) and aperture == "all":
        chosen = list(range(scores.sizes["aperture"]))
    elif aperture is not None:
        chosen = [aperture_number(result, each) for each in _listed(aperture)]
    scatter = np.nan_to_num(scores["clipped"].transpose("aperture", "sky").to_numpy(), nan=np.inf)
    return [
        _row(curves.isel(aperture=one, sky=each), scores.isel(aperture=one, sky=each))
        for each in skies
        for one in chosen or [int(scatter[:, each].argmin())]
    ]


def _row(curve: xr.Dataset, cell: xr.Dataset) -> dict[str, Any]:
    curve = curve.compute()
    flagged = np.zeros(curve.sizes["time"], bool)
    for name in ("flags", "aperture_flags"):
        if name in curve:
            flagged |= curve[name].to_numpy() != 0
    time, flux = np.asarray(curve["time"], float), curve["flux"].to_numpy()
    lengths = [length for length in TIMESCALES if len(time) >= FEWEST_BINS * length]
    return {
        **{name: str(curve[name].item()) for name in ("source", "aperture", "sky")},
        "relative": "comparison" in curve,
        "frames": len(time),
        "points": int(cell["points"]),
        "flagged": int(flagged.sum()),
        **{name: float(cell[name]) for name in ("std", "mad", "point_to_point", "expected", "ratio")},
        **{f"binned_{length}": float(deviation(means(flux, time, length))) for length in lengths},
    }
