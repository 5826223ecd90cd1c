"""Which aperture and sky: every one of them scored by what its light curve scatters, and the best one with the reason.

The verdict is the point-to-point scatter by default, because a transit or a slow drift hardly changes it; without the few
differences that lie beyond 5 σ, or one cosmic ray would decide.
"""

from typing import Any

import numpy as np
import xarray as xr

from tsogrid.analysis.averaging import means
from tsogrid.analysis.binning import duration
from tsogrid.analysis.lightcurve import light_curve
from tsogrid.analysis.reference import relative as relative_curve
from tsogrid.analysis.scatter import clipped_point_to_point, deviation, mad, median, over_time, point_to_point
from tsogrid.analysis.select import require_result, roles_of, source_number, with_text
from tsogrid.errors import ConfigError

CRITERIA = ("clipped", "point_to_point", "mad", "std", "binned")
FEWEST_POINTS = 0.9  # of the most that any aperture has; one with fewer cannot be the best


def has_references(result: xr.Dataset, source: Any = None) -> bool:
    """Say whether a source has reference stars beside it."""
    target = source_number(result, source)[0]
    return any(role == "reference" for number, role in enumerate(roles_of(result)) if number != target)


def curve_of(
    result: xr.Dataset,
    source: Any = None,
    aperture: Any = None,
    sky: Any = None,
    relative: bool | None = None,
    **options: Any,
) -> xr.Dataset:
    """Take a light curve over the reference stars, or alone and over its median.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    source, aperture, sky : optional
        As in `tsogrid.analysis.lightcurve.light_curve`.
    relative : bool, optional
        Over the reference stars; if not given, where there are any.
    **options
        Of `tsogrid.analysis.reference.relative`.

    Returns
    -------
    Dataset
        ``flux`` with median 1 and ``flux_err``, over time and whatever is not chosen.

    Raises
    ------
    ConfigError
        There is no such source, aperture or sky, or no reference star where one is asked for.
    """
    if relative is None:
        relative = bool(options) or has_references(result, source)
    if relative:
        return relative_curve(result, source, aperture, sky, **options)
    if options:
        raise ConfigError(f"expected {', '.join(options)} only for a relative light curve, found relative=False.")
    return light_curve(result, source, aperture, sky, normalise="median")


def score(
    result: xr.Dataset, source: Any = None, relative: bool | None = None, timescale: Any = None, **options: Any
) -> xr.Dataset:
    """Score the light curve of a source in every aperture over every sky.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.
    source : str or int, optional
        Name or number; the first target if not given.
    relative : bool, optional
        Over the reference stars; if not given, where there are any.
    timescale : float or str, optional
        For the red noise: days, or a text as ``"30 min"``; a tenth of the series if not given.
    **options
        Of `tsogrid.analysis.reference.relative`.

    Returns
    -------
    Dataset
        Over (aperture, sky), relative to the flux, the scatter of single frames: ``point_to_point``, ``clipped`` (the same
        without differences beyond 5 σ), ``mad``, ``std``;
        ``binned`` (rms of the means over the timescale) and ``red`` (what of it is not white:
        √(binned² − point_to_point²/frames)); ``expected`` (median error), ``ratio`` = point_to_point/expected, ``points``.

    Raises
    ------
    ConfigError
        There is no such source, or the timescale is none.
    """
    return score_curves(every_cell(result, source, relative, **options), timescale)


def every_cell(result: xr.Dataset, source: Any = None, relative: bool | None = None, **options: Any) -> xr.Dataset:
    """Take the light curves of a source in every aperture over every sky, as `curve_of`; both dimensions stay."""
    require_result(result)
    apertures, skies = ([str(label) for label in result[dim].to_numpy()] for dim in ("aperture", "sky"))
    return curve_of(result, source, apertures, skies, relative, **options)


def score_curves(curves: xr.Dataset, timescale: Any = None) -> xr.Dataset:
    """Score light curves, over time and (aperture, sky); see `score`."""
    curve = curves[["flux", "flux_err"]].transpose("time", "aperture", "sky").compute()
    curve.attrs = curves.attrs
    frames = _frames(curve, timescale)
    time = np.asarray(curve["time"], float)
    flux = curve["flux"]
    white = over_time(point_to_point, flux)
    binned = over_time(lambda values: deviation(means(values, time, frames)), flux)
    expected = over_time(median, curve["flux_err"])
    content: dict[str, tuple[xr.DataArray, str]] = {
        "clipped": (over_time(clipped_point_to_point, flux), "clipped point-to-point scatter"),
        "point_to_point": (white, "point-to-point scatter"),
        "mad": (over_time(mad, flux), "scatter: 1.4826 MAD"),
        "std": (over_time(deviation, flux), "standard deviation"),
        "binned": (binned, f"rms of means of {frames} frames"),
        "red": (((binned**2 - white**2 / frames).clip(min=0)) ** 0.5, f"red noise in means of {frames} frames"),
        "expected": (expected, "median error"),
        "ratio": (white / expected, "point-to-point scatter over the median error"),
        "points": (flux.notnull().sum("time"), "number of points"),
    }
    scores = xr.Dataset({name: array.assign_attrs(units="1", long_name=said) for name, (array, said) in content.items()})
    for name in scores.coords:
        scores[name].attrs = curve[name].attrs
    scores.attrs = {key: curve.attrs[key] for key in ("choice", "rejection") if key in curve.attrs}
    scores.attrs["frames"] = frames
    return scores


def _frames(curve: xr.Dataset, timescale: Any) -> int:
    """Frames in a timescale."""
    count = curve.sizes["time"]
    if count < 2:
        raise ConfigError(f"score: expected at least two frames, found {count}.")
    if timescale is None:
        return max(count // 10, 1)
    step = float(np.median(np.diff(np.asarray(curve["time"], float))))
    return int(np.clip(np.rint(duration(timescale, curve) / step), 1, max(count // 2, 1)))


def best_cell(scores: xr.Dataset, by: str = "clipped") -> tuple[int, int, str]:
    """Choose the aperture and sky with the least scatter.

    Parameters
    ----------
    scores : Dataset
        From `score`.
    by : {"clipped", "point_to_point", "mad", "std", "binned"}
        Which scatter.

    Returns
    -------
    aperture, sky : int
        Numbers.
    reason : str

    Raises
    ------
    ConfigError
        No light curve that has a scatter.
    """
    values = scores[by].transpose("aperture", "sky").to_numpy()
    points = scores["points"].transpose("aperture", "sky").to_numpy()
    usable = np.isfinite(values) & (points >= FEWEST_POINTS * points.max())
    if not usable.any():
        raise ConfigError(
            "best: expected a light curve with at least three finite points, found none; name an aperture and a sky."
        )
    ranked = np.where(usable, values, np.inf)
    aperture, sky = (int(index) for index in np.unravel_index(ranked.argmin(), ranked.shape))
    cell = scores.isel(aperture=aperture, sky=sky)
    least = 100 * float(values[aperture, sky])
    words = [f"aperture {cell['aperture'].item()} over sky {cell['sky'].item()}"]
    if values.size > 1:
        least_of = f"the least {scores[by].attrs['long_name']} of {values.size}"
        words.append(f"{least_of}, {least:.3g} % (median {100 * np.median(values[usable]):.3g} %)")
    else:
        words.append(f"the only one, scatter {least:.3g} %")
    if np.isfinite(cell["ratio"]):
        words.append(f"{float(cell['ratio']):.2f} times its error")
    red, white = float(cell["red"]), float(cell["point_to_point"])
    if np.isfinite(red):
        frames = int(scores.attrs["frames"])
        white /= np.sqrt(frames)
        words.append(f"red noise {100 * red:.2g} % in means of {frames} frames, beside {100 * white:.2g} % of white")
    return aperture, sky, f"{words[0]}: {', '.join(words[1:])}"


def best(
    result: xr.Dataset,
    source: Any = None,
    relative: bool | None = None,
    by: str = "clipped",
    timescale: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Take the light curve that scatters least.

    Parameters
    ----------
    result, source, relative, timescale, **options
        As in `score`.
    by : {"clipped", "point_to_point", "mad", "std", "binned"}
        Which scatter decides.

    Returns
    -------
    Dataset
        As from `tsogrid.analysis.reference.relative`, or from `light_curve` normalised by its median. The attribute
        ``choice`` tells what was chosen and why. Where there is one aperture and one sky, these are taken whatever it is.

    Raises
    ------
    ConfigError
        As `score`, or none of several light curves has a scatter.
    """
    if by not in CRITERIA:
        raise ConfigError(f"best: expected one of {', '.join(CRITERIA)}, found {by!r}.")
    curves = every_cell(result, source, relative, **options)
    try:
        aperture, sky, reason = best_cell(score_curves(curves, timescale), by)
    except ConfigError:
        if curves.sizes["aperture"] * curves.sizes["sky"] > 1:
            raise
        aperture, sky, reason = 0, 0, f"aperture {curves['aperture'].item(0)} over sky {curves['sky'].item(0)}: the only one"
    curve = with_text(curves.isel(aperture=aperture, sky=sky))
    curve.attrs = curves.attrs | {"choice": f"{curves.attrs['choice']}; {reason}"}
    return curve
