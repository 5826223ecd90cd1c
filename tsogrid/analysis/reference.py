"""A relative light curve: the target over the weighted comparison of reference stars, with errors that hold both.

n = F / median F of each star, C = Σ W n / Σ W over the stars that are kept in a frame, y = F₀ / C over its median, and
σ² = (σ₀/C)² + (F₀ σ_C/C²)². Bad points are rejected (`tsogrid.analysis.ensemble`), variable stars are vetoed
(`tsogrid.analysis.veto`), and every star's check against the others is in the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.analysis import ensemble
from tsogrid.analysis.scatter import median, point_to_point
from tsogrid.analysis.select import cells, light_curve_attributes, require_result, roles_of, source_number, with_text
from tsogrid.analysis.veto import against_others, check, vetoed
from tsogrid.errors import ConfigError

WEIGHTS = ("flux", "equal")
FEWEST_GOOD = 0.5  # of the frames; a star that has fewer is left out


def relative(
    result: xr.Dataset,
    source: Any = None,
    aperture: Any = None,
    sky: Any = None,
    references: Sequence[Any] | None = None,
    exclude: Sequence[Any] = (),
    reject: float | None = 5.0,
    weights: str = "flux",
    veto: bool = True,
) -> xr.Dataset:
    """Divide a source by its reference stars.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`; what is needed of it is loaded.
    source : str or int, optional
        Name or number; the first target if not given.
    aperture, sky : optional
        As in `tsogrid.analysis.lightcurve.light_curve`; all if not given.
    references : sequence of str or int, optional
        Names or numbers; the sources whose role is reference if not given.
    exclude : sequence of str or int
        Reference stars to leave out.
    reject : float or None
        A point of a reference star farther than so many σ from the others is left out, with four stars or more; None
        leaves out nothing.
    weights : {"flux", "equal"}
        Weight of a star in the comparison: its median flux, or 1.
    veto : bool
        Leave out stars that vary, or that were measured in fewer than half of the frames.

    Returns
    -------
    Dataset
        Over time (and apertures and skies where several are left): ``flux``, ``flux_err`` (relative, median 1),
        ``comparison``, ``comparison_err``, and the source's flags. ``kept`` (time, reference, …) says which points made the
        comparison. Over ``reference``: ``used``, ``reason`` (why not), ``weight``, ``rejected`` (number of points), and the
        star against the others: ``check_scatter``, ``check_expected``, ``check_point_to_point``, ``check_trend`` (change
        from first to last frame), ``check_trend_err``.

    Raises
    ------
    ConfigError
        No such source, aperture or sky; no reference star; an unknown weighting.
    """
    require_result(result)
    if weights not in WEIGHTS:
        raise ConfigError(f"weights: expected {' or '.join(WEIGHTS)}, found {weights!r}.")
    target, said = source_number(result, source)
    stars, reasons = _references(result, target, references, exclude)
    chosen, where = cells(result[["flux", "flux_err"]], aperture, sky)
    dims = tuple(dim for dim in ("aperture", "sky") if dim in chosen["flux"].dims)
    ordered = chosen.isel(source=[target, *stars]).transpose("time", "source", *dims).compute()
    shape = ordered["flux"].shape
    flux, error = (ordered[name].to_numpy().astype(float).reshape(*shape[:2], -1) for name in ("flux", "flux_err"))
    flux = np.where(np.isfinite(flux), flux, np.nan)
    names = [str(result["source"].to_numpy()[star]) for star in stars]
    made = _compared(flux[:, 1:], error[:, 1:], names, reasons, reject, weights, veto)

    scale = median(flux[:, 0] / made.mean)
    value = flux[:, 0] / made.mean / scale
    value_err = np.hypot(error[:, 0] / made.mean, flux[:, 0] * made.mean_err / made.mean**2) / np.abs(scale)
    tested = check(np.asarray(result["time"], float), *made.against_others)
    rejected = (np.isfinite(made.normal) & ~made.kept & made.used[:, None]).sum(axis=0)

    curve = with_text(ordered.isel(source=0).drop_vars(["flux", "flux_err"]))
    curve = curve.assign_coords(reference=("reference", np.array(names, dtype=object), {"long_name": "reference star"}))
    for name, own, values, long_name in (
        ("flux", ("time",), value, "relative flux"),
        ("flux_err", ("time",), value_err, "1 sigma error of the relative flux"),
        ("comparison", ("time",), made.mean, "comparison: weighted mean of the normalised reference stars"),
        ("comparison_err", ("time",), made.mean_err, "1 sigma error of the comparison"),
        ("kept", ("time", "reference"), made.kept, "whether a reference star's point is part of the comparison"),
        ("weight", ("reference",), made.shares, "part of a reference star in the comparison"),
        ("rejected", ("reference",), rejected, "rejected points of a reference star"),
        ("check_scatter", ("reference",), tested.scatter, "standard deviation of a reference star over the others"),
        ("check_expected", ("reference",), tested.expected, "median error of a reference star over the others"),
        ("check_point_to_point", ("reference",), tested.point_to_point, "the same, point to point"),
        ("check_trend", ("reference",), tested.trend, "change of a reference star over the others, first to last frame"),
        ("check_trend_err", ("reference",), tested.trend_err, "1 sigma error of check_trend"),
    ):
        shaped = values.reshape(*values.shape[: len(own)], *shape[2:])
        curve[name] = ((*own, *dims), shaped, {"units": "1", "long_name": long_name})
    curve["used"] = ("reference", made.used, {"units": "1", "long_name": "whether a reference star is in the comparison"})
    curve["reason"] = ("reference", np.array(reasons, dtype=object), {"long_name": "why a reference star is not used"})
    for name in ("flags", "aperture_flags"):
        if name in result:
            curve[name] = cells(result[[name]].isel(source=target), aperture, sky)[0][name]
    words = [said, where, f"over {int(made.used.sum())} of {len(names)} reference stars, weights: {weights}"]
    curve.attrs = light_curve_attributes(result) | {
        "choice": "; ".join(word for word in words if word),
        "rejection": _said_of_rejection(reject, int(made.used.sum())),
    }
    return curve


@dataclass(frozen=True)
class _Compared:
    """Reference stars made into a comparison; n frames, stars, cells."""

    normal: np.ndarray
    normal_err: np.ndarray
    weight: np.ndarray
    used: np.ndarray
    kept: np.ndarray
    mean: np.ndarray
    mean_err: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Weights of the used stars, of sum 1."""
        weight = np.where(self.used[:, None] & np.isfinite(self.normal).any(axis=0), self.weight, 0.0)
        total = weight.sum(axis=0)
        return np.asarray(weight / np.where(total > 0, total, np.nan))

    @property
    def against_others(self) -> tuple[np.ndarray, np.ndarray]:
        """Each star over the used others, and the error; of stars that are not used all measured points."""
        counted = np.where(self.used[:, None], self.kept, np.isfinite(self.normal))
        return against_others(self.normal, self.normal_err, self.weight, counted, self.used)


def _compared(
    flux: np.ndarray,
    error: np.ndarray,
    names: list[str],
    reasons: list[str],
    reject: float | None,
    weights: str,
    veto: bool,
) -> _Compared:
    """Make the comparison of reference stars; says in `reasons` why a star is not part of it."""
    used = np.array([not reason for reason in reasons])

    def leave_out(star: int, reason: str) -> None:
        used[star], reasons[star] = False, reason
        if not used.any():
            why = "; ".join(f"{name}: {said}" for name, said in zip(names, reasons, strict=True))
            raise ConfigError(f"relative: expected at least one reference star that can be used, found none ({why}).")

    frames = np.isfinite(flux).sum(axis=0).max(axis=1)
    bright = np.any(median(flux) > 0, axis=1)
    for star in range(len(used)):
        if not used[star]:
            continue
        if not bright[star]:
            leave_out(star, "its median flux is not positive in any aperture and sky")
        elif veto and frames[star] < FEWEST_GOOD * frames.max():
            leave_out(star, f"measured in {frames[star]} of {len(flux)} frames only")

    def ready() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        middle = ensemble.normal_flux(flux, used)
        return flux / middle, error / middle, middle if weights == "flux" else np.ones_like(middle)

    if veto:
        cell = _quietest(flux, used)
        normal, normal_err, weight = (each[..., cell] for each in ready())
        kept = np.isfinite(normal)
        kept[:, used] = ensemble.accepted(normal[:, used], normal_err[:, used], weight[used], reject)
        for variable, reason in vetoed(normal, normal_err, weight, kept, used).items():
            leave_out(variable, reason)
    normal, normal_err, weight = ready()
    kept = np.zeros(normal.shape, bool)
    for cell in range(kept.shape[2]):
        one = (slice(None), used, cell)
        kept[one] = ensemble.accepted(normal[one], normal_err[one], weight[used, cell], reject)
    mean, mean_err = ensemble.comparison(normal, normal_err, weight, kept)
    mean = np.where(mean > 0, mean, np.nan)
    return _Compared(normal, normal_err, weight, used, kept, mean, mean_err)


def _quietest(flux: np.ndarray, used: np.ndarray) -> int:
    """Find the cell in which a verdict on the stars is safest: where they scatter least about their mean."""
    if flux.shape[2] == 1:
        return 0
    normal = flux[:, used] / ensemble.normal_flux(flux, used)[used]
    mean = ensemble.comparison(normal, normal, np.ones(normal.shape[1:]), np.isfinite(normal))[0]
    noise = median(point_to_point(normal / np.where(mean > 0, mean, np.nan)[:, None]))
    return int(np.argmin(np.nan_to_num(noise, nan=np.inf)))


def _references(
    result: xr.Dataset, target: int, references: Sequence[Any] | None, exclude: Sequence[Any]
) -> tuple[list[int], list[str]]:
    """Find the reference stars, and why some of them are not wanted."""
    names, roles = [str(name) for name in result["source"].to_numpy()], roles_of(result)
    if isinstance(references, str) or isinstance(exclude, str):
        raise ConfigError("relative: expected lists of names or numbers in references and exclude, found a single text.")
    if references is None:
        stars = [number for number, role in enumerate(roles) if role == "reference" and number != target]
    else:
        stars = list(dict.fromkeys(source_number(result, each)[0] for each in references))
        if target in stars:
            raise ConfigError(f"relative: expected references other than the source itself, found {names[target]} in both.")
    if not stars:
        known = ", ".join(f"{name} ({role})" for name, role in zip(names, roles, strict=True))
        raise ConfigError(
            f"relative: expected at least one reference star, found none for {names[target]}; the sources are {known}. "
            "Give `role: reference` to stars of the configuration, or name them: references=[...]."
        )
    unwanted = {source_number(result, each)[0] for each in exclude}
    strangers = unwanted - set(stars)
    if strangers:
        known = ", ".join(names[star] for star in stars)
        raise ConfigError(f"relative: expected to exclude of {known}; found {', '.join(names[one] for one in strangers)}.")
    if unwanted == set(stars):
        raise ConfigError("relative: expected at least one reference star, found that all are excluded.")
    return stars, ["excluded by hand" if star in unwanted else "" for star in stars]


def _said_of_rejection(reject: float | None, stars: int) -> str:
    if reject is None:
        return "none asked for"
    fewest = ensemble.FEWEST_FOR_REJECTION
    if stars < fewest:
        return f"none: it needs {fewest} reference stars, {stars} are used"
    return f"points farther than {reject:g} sigma from the other stars"
