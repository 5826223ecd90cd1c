"""A light curve freed of what it owes to pointing, widths, sky, time and ramps, and never of its transit.

What the regressors explain is fitted together with the transit (its depth free), or to the frames out of it. Where nothing
is known of a transit, only a straight line in time is taken off: anything more could take the transit with it.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from tsogrid.analysis.averaging import FEWEST_BINS, means
from tsogrid.analysis.baseline import Problem
from tsogrid.analysis.binning import require_light_curve
from tsogrid.analysis.model_choice import choose as choose_regressors
from tsogrid.analysis.model_choice import only, with_choice
from tsogrid.analysis.regression import Baseline, fit_baseline
from tsogrid.analysis.regressors import Regressor, given, named, of_time
from tsogrid.analysis.scatter import deviation, median, point_to_point
from tsogrid.analysis.time_table import read_time_table
from tsogrid.analysis.transit_shape import shape_of
from tsogrid.errors import ConfigError, TsogridWarning

SIGNALS = ("fit", "mask")
DEFAULT = ("x", "y")
FEWEST_KNOWN = 0.5  # of the frames; a regressor known in fewer is left out


def detrend(
    curve: xr.Dataset,
    regressors: Sequence[str] | None = None,
    order: int | None = None,
    transit: Any = None,
    *,
    result: xr.Dataset | None = None,
    signal: str = "fit",
    ramp: bool = False,
    steps: Sequence[float] = (),
    table: Any = None,
    extra: Any = None,
    clip: float | None = 5.0,
    choose: str | None = None,
    red_noise: bool = False,
) -> xr.Dataset:
    """Detrend a light curve.

    Parameters
    ----------
    curve : Dataset
        ``flux`` (and ``flux_err``) of one source over time alone.
    regressors : sequence of str, optional
        Names as in `tsogrid.analysis.regressors`; x and y if not given. An empty list takes none, and with nothing else
        asked for the light curve is only normalised.
    order : int, optional
        Highest power of time; 1 if not given, 0 for an empty list of regressors.
    transit : Transit, (mid, duration[, ratio, impact]), array, False or None
        When it is, in the times of the light curve; or its shape; False if there is none. None: nothing is known, and
        only a straight line in time is fitted.
    result : Dataset, optional
        Where the regressors are; the light curve itself if not given.
    signal : {"fit", "mask"}
        Fit the depth together with the regressors, or fit these to the frames out of the transit alone.
    ramp : bool
        Fit r exp(−(t − t₀)/τ) too, t₀ the first frame, τ free.
    steps : sequence of float
        Times at which the level changes.
    table : str or Path, optional
        CSV or ECSV of further regressors by time.
    extra : Dataset or mapping, optional
        Further regressors, one number a frame each.
    clip : float or None
        Points whose residuals lie beyond so many 1.4826 MAD take no part in the fit (they stay in the light curve); of
        the transit only single ones. None: all take part.
    choose : {None, "bic"}
        Keep the combination of regressors with the least Bayesian information criterion; the error of the depth holds
        what others that are nearly as good find.
    red_noise : bool
        Errors that hold noise which is correlated in time.

    Returns
    -------
    Dataset
        Over time: ``flux``, detrended, 1 out of transit; ``flux_err``; ``raw``, the flux over the constant; ``baseline``
        (``baseline_err``) and ``transit``, whose product is ``model``; ``used``, and flags. Over ``regressor``:
        ``contribution`` (time, regressor), ``coefficient`` (relative flux per ``unit`` of the regressor) and its error.
        ``constant``, ``depth``, ``timescale`` of the ramp, each with its error; ``chi2``, ``degrees``, ``bic``, ``beta``;
        scatter before and after. NaN flux stays NaN, and so does what has no regressor.

    Raises
    ------
    ConfigError
        What is asked for is not there, or not enough frames are.

    Warns
    -----
    TsogridWarning
        Nothing is known of a transit, or a regressor is left out.
    """
    require_light_curve(curve)
    if curve["flux"].dims != ("time",):
        raise ConfigError(
            f"detrend: expected one light curve, found one over {', '.join(map(str, curve['flux'].dims))}: choose an "
            "aperture and a sky."
        )
    if signal not in SIGNALS or choose not in (None, "bic"):
        raise ConfigError(
            f'detrend: expected signal "fit" or "mask" and choose None or "bic", found {signal!r} and {choose!r}.'
        )
    if clip is not None and not clip > 0:
        raise ConfigError(f"clip: expected a positive number or None, found {clip!r}.")
    curve = curve.compute()
    time = np.asarray(curve["time"], float)
    names = DEFAULT if regressors is None else regressors
    order = (0 if regressors is not None and not len(regressors) else 1) if order is None else order
    wanted = of_time(time, str(curve["time"].attrs.get("units", "1")), order, steps)
    wanted += named(names, curve if result is None else result, curve)
    wanted += [] if table is None else read_time_table(table, curve)
    wanted += [] if extra is None else given(extra, curve)
    shape, length, words = shape_of(transit, curve)
    notes: list[str] = []
    if transit is None:
        wanted, ramp = _safe(wanted, 1 if order else 0, ramp, notes)
    problem, kept = _problem(curve, time, wanted, shape, notes)
    problem = replace(problem, mask=signal == "mask", ramp=ramp, clip=clip, red_noise=red_noise)
    try:
        # The matrices are small: threads of BLAS would only wait for each other, for seconds where processors are busy.
        with threadpool_limits(limits=1, user_api="blas"):
            fit = fit_baseline(problem)
            selection = "all that were asked for"
            if choose is not None:
                labels = [each.name for each in kept] + ["ramp"] * ramp
                best, selection, likely = choose_regressors(problem, fit, labels)
                kept = [each for index, each in enumerate(kept) if index in best]
                whole, problem = problem, only(problem, best)
                fit = with_choice(whole, fit_baseline(problem), likely)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"detrend: {error}; ask for fewer regressors, or look why frames are NaN.") from None
    if shape is None and not kept and not problem.ramp:
        fit = replace(fit, constant=float(median(problem.flux)))  # a transit that nobody told of moves a mean
    kept = [*kept, *([Regressor("ramp", np.zeros(0), "1", "exp(-(t - t0)/tau)")] if problem.ramp else [])]
    lost = [each.name for each, value in zip(kept, fit.coefficients, strict=True) if not np.isfinite(value)]
    notes += [f"left out, for the others say the same: {', '.join(lost)}"] if lost else []
    unknown = int((np.isfinite(problem.flux) & ~problem.known).sum())
    notes += [f"{unknown} frames are NaN, for a regressor is unknown there"] if unknown else []
    if shape is not None and not np.isfinite(fit.depth):
        raise ConfigError("transit: expected finite frames in it, found none; say transit=False, and they stay NaN.")
    for note in notes:
        warnings.warn(f"detrend: {note}", TsogridWarning, stacklevel=2)
    found = _dataset(curve, problem, fit, kept, length)
    found.attrs |= {
        "regressors": ", ".join(each.name for each in kept if each.name not in lost) or "none",
        "selection": selection,
        "transit": words if shape is None else f"{words}; {_SAID[signal]}",
        "notes": "; ".join(notes) or "none",
    }
    return found


_SAID = {"fit": "its depth fitted with the regressors", "mask": "left out of the regression"}


def _safe(wanted: list[Regressor], safe: int, ramp: bool, notes: list[str]) -> tuple[list[Regressor], bool]:
    """Leave out what could take a transit off: all but the first, if that is the line in time."""
    kept = wanted[:safe]
    lost = [each.name for each in wanted[safe:]] + ["ramp"] * ramp
    left_out = f" ({', '.join(lost)} left out)" if lost else ""
    if wanted or ramp:
        notes.append(
            "nothing is known of a transit, which regressors could take off with the rest: only a straight line in time "
            f"is fitted{left_out}. Give transit=(mid, duration), or False if there is none"
        )
    return kept, False


def _problem(
    curve: xr.Dataset, time: np.ndarray, wanted: list[Regressor], shape: np.ndarray | None, notes: list[str]
) -> tuple[Problem, list[Regressor]]:
    """Put columns together, in units in which they are alike; and errors where there are none."""
    flux = curve["flux"].to_numpy().astype(float)
    flux = np.where(np.isfinite(flux), flux, np.nan)
    finite = np.isfinite(flux)
    error = curve["flux_err"].to_numpy().astype(float) if "flux_err" in curve else np.full_like(flux, np.nan)
    good = finite & np.isfinite(error) & (error > 0)
    if good.sum() < 0.5 * finite.sum():
        size = float(point_to_point(flux))
        error, good = np.full_like(flux, size if size > 0 else 1.0), np.ones_like(finite)
    elif not good[finite].all():
        notes.append(f"{int((finite & ~good).sum())} frames without an error take the median error")
    error = np.where(good, error, median(error[good]))
    kept = []
    for each in wanted:
        if np.isfinite(each.values[finite]).sum() < FEWEST_KNOWN * finite.sum():
            notes.append(f"{each.name} is left out: it is known in fewer than half of the frames")
        else:
            kept.append(each)
    columns = np.stack([each.values for each in kept], axis=1) if kept else np.zeros((len(time), 0))
    return Problem(time, flux, error, columns, shape), kept


def _dataset(curve: xr.Dataset, problem: Problem, fit: Baseline, kept: list[Regressor], length: float) -> xr.Dataset:
    """Name what was found, with units."""
    unit, times = str(curve["flux"].attrs.get("units", "1")), str(curve["time"].attrs.get("units", "1"))
    raw = problem.flux / fit.constant
    baseline = np.where(np.isfinite(fit.baseline), fit.baseline, np.nan)
    transit = fit.linear.transit if np.isfinite(fit.depth) else np.ones_like(raw)
    flux = raw / baseline
    grown = fit.factor if fit.red is not None else 1.0
    own = problem.error / fit.constant / baseline * grown
    error = np.where(np.isfinite(flux), np.hypot(own, flux * fit.baseline_err / baseline), np.nan)
    found = xr.Dataset(coords={name: value for name, value in curve.coords.items() if set(value.dims) <= {"time"}})
    found = found.assign_coords(
        regressor=("regressor", np.array([each.name for each in kept], dtype=object), {"long_name": "regressor"}),
        unit=("regressor", np.array([each.unit for each in kept], dtype=object), {"long_name": "unit of the regressor"}),
    )
    series = (
        ("flux", flux, "relative flux, detrended"),
        ("flux_err", error, "1 sigma error of the flux, that of the baseline included"),
        ("raw", raw, "relative flux before detrending"),
        ("baseline", baseline, "what the regressors explain, relative"),
        ("baseline_err", np.where(np.isfinite(baseline), fit.baseline_err, np.nan), "1 sigma error of the baseline"),
        ("transit", transit, "transit of the fitted depth"),
        ("model", baseline * transit, "baseline times transit"),
    )  # fmt: skip
    for name, values, words in series:
        found[name] = ("time", values, {"units": "1", "long_name": words})
    found["used"] = ("time", fit.used, {"units": "1", "long_name": "whether a frame took part in the fit"})
    words = "part of the baseline that a regressor explains"
    found["contribution"] = (("time", "regressor"), fit.contributions, {"units": "1", "long_name": words})
    words = "relative flux per unit of the regressor"
    found["coefficient"] = ("regressor", fit.coefficients, {"units": "1 / unit", "long_name": words})
    found["coefficient_err"] = ("regressor", fit.coefficients_err, {"units": "1 / unit", "long_name": "1 sigma error"})
    step = float(np.median(np.diff(problem.time)))
    frames = length / step if np.isfinite(length) else len(raw) / 10
    frames = int(np.clip(np.rint(frames), 1, max(len(raw) // FEWEST_BINS, 1)))
    plain, clean = raw / transit, flux / transit
    numbers = (
        ("constant", fit.constant, unit, "mean baseline, to which all is relative"),
        ("constant_err", fit.constant_err, unit, "1 sigma error of the constant"),
        ("depth", fit.depth, "1", "relative depth of the transit"),
        ("depth_err", fit.depth_err, "1", "1 sigma error of the depth"),
        ("timescale", fit.timescale, times, "tau of the ramp"),
        ("timescale_err", fit.timescale_err, times, "1 sigma error of tau"),
        ("chi2", fit.chi2, "1", "chi squared of the frames that are used"),
        ("degrees", fit.degrees, "1", "degrees of freedom"),
        ("bic", fit.bic, "1", "Bayesian information criterion: n ln(chi2/n) + k ln n"),
        ("beta", fit.factor, "1", "error over that of white noise"),
        ("point_to_point_before", float(point_to_point(plain)), "1", "point-to-point scatter before, transit divided out"),
        ("point_to_point_after", float(point_to_point(clean)), "1", "point-to-point scatter after, transit divided out"),
        ("rms_before", float(deviation(means(plain, problem.time, frames))), "1", f"rms of means of {frames} frames before"),
        ("rms_after", float(deviation(means(clean, problem.time, frames))), "1", f"rms of means of {frames} frames after"),
    )
    for name, value, units, words in numbers:
        found[name] = ((), value, {"units": units, "long_name": words})
    for name in ("flags", "aperture_flags"):
        if name in curve:
            found[name] = curve[name]
    clipped = int(fit.clipped.sum())
    found.attrs = dict(curve.attrs) | {
        "clipping": "none"
        if problem.clip is None
        else f"{clipped} frames beyond {problem.clip:g} x 1.4826 MAD took no part",
        "errors": _of_errors(problem, fit, times),
        "frames": frames,
    }
    return found


def _of_errors(problem: Problem, fit: Baseline, unit: str) -> str:
    size = f"scaled by the scatter of the residuals ({np.sqrt(fit.chi2 / fit.degrees):.3g} times the errors of the frames)"
    if not problem.red_noise:
        return f"{size}; white noise"
    if fit.red is None:
        return f"{size}; white noise, for there are too few frames to tell of another"
    red = f"correlated noise {fit.red.red / max(fit.red.white, 1e-30):.2g} times the white one of a frame"
    return f"{size}; {red}, over {fit.red.timescale:.2g} {unit}"
