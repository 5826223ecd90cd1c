"""What a light curve may depend on: named series of a result, of time, and of tables, as columns over the frames.

Names are variables of the result, or short: ``x``, ``y`` (the measured centre), ``sky``, ``airmass``; with ``^2`` and ``*``
for squares and products of differences from the mean. What holds the star's own light is refused: it would take the
transit off.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from tsogrid.errors import ConfigError

# Short name → variables that may stand for it, the best first.
SHORT = {
    "x": ("x_fit", "x_quadratic", "x_com", "x_cc", "x_predicted", "x"),
    "y": ("y_fit", "y_quadratic", "y_com", "y_cc", "y_predicted", "y"),
    "sky": ("sky_level",),
    "airmass": ("airmass",),
}
# They follow the star's brightness, as all errors do.
OWN_LIGHT = ("flux", "aperture_sum", "amplitude", "comparison", "raw", "flags", "aperture_flags", "outliers")
_TERM = re.compile(r"(\w+)(?:\^([1-3]))?")


class Regressor(NamedTuple):
    """A column: one number a frame, NaN where it is unknown."""

    name: str
    values: np.ndarray
    unit: str
    long_name: str


def named(names: Sequence[str], result: xr.Dataset, curve: xr.Dataset) -> list[Regressor]:
    """Look regressors up by their names.

    Parameters
    ----------
    names : sequence of str
        As ``["x", "y", "x^2", "x*y", "sigma_x", "sky"]``.
    result : Dataset
        In which they are: a result (the source, aperture and sky of the light curve are taken), or a light curve.
    curve : Dataset
        The light curve.

    Returns
    -------
    list of Regressor

    Raises
    ------
    ConfigError
        There is no such series, or it holds the star's own light.
    """
    if isinstance(names, str):
        raise ConfigError(f'regressors: expected a list of names, as ["x", "y"], found the text {names!r}.')
    return [_expression(str(name).replace(" ", ""), result, curve) for name in dict.fromkeys(names)]


def _expression(name: str, result: xr.Dataset, curve: xr.Dataset) -> Regressor:
    factors = []
    for term in name.split("*"):
        match = _TERM.fullmatch(term)
        if match is None:
            raise ConfigError(f"regressors: expected a name, a power as x^2 (to 3) or a product as x*y, found {name!r}.")
        factors += [_series(match[1], result, curve)] * int(match[2] or 1)
    if len(factors) == 1:
        return factors[0]._replace(name=name)
    product = np.ones(len(factors[0].values))
    for factor in factors:
        known = factor.values[np.isfinite(factor.values)]
        product = product * (factor.values - (known.mean() if len(known) else np.nan))
    units = " ".join(f"({factor.unit})" for factor in factors if factor.unit != "1") or "1"
    return Regressor(name, product, units, " × ".join(factor.long_name for factor in factors))


def _series(name: str, result: xr.Dataset, curve: xr.Dataset) -> Regressor:
    """One variable or coordinate over time."""
    if name.startswith(OWN_LIGHT) or name.endswith("_err"):
        raise ConfigError(
            f"regressors: expected series that do not know of the star's brightness, found {name!r}: it would take "
            "the transit off with the rest."
        )
    for variable in SHORT.get(name, (name,)):
        if variable in result.variables and "time" in result[variable].dims and variable != "time":
            break
    else:
        raise ConfigError(f"regressors: expected one of {', '.join(_known(result))}; found {name!r}.{_elsewhere(result)}")
    array = result[variable]
    for dim in ("source", "aperture", "sky"):
        if dim in array.dims:
            if dim not in curve.coords or curve[dim].ndim:
                raise ConfigError(f"regressors: {name!r} is of one {dim}, and the light curve does not say of which it is.")
            array = array.isel({dim: int(np.flatnonzero(result[dim].to_numpy() == curve[dim].item())[0])})
    if "time" in array.dims:
        array = _at(array, curve, name)
    if array.dims != ("time",) or array.dtype.kind not in "fiub":
        raise ConfigError(f"regressors: expected numbers over time, found {name!r} over {', '.join(map(str, array.dims))}.")
    unit, words = str(array.attrs.get("units", "1")), str(array.attrs.get("long_name", variable))
    return Regressor(name, array.to_numpy().astype(float), unit, words)


def _at(array: xr.DataArray, curve: xr.Dataset, name: str) -> xr.DataArray:
    """Take the frames of the light curve, which may be some of the result's."""
    own, wanted = array["time"].to_numpy(), curve["time"].to_numpy()
    if np.array_equal(own, wanted):
        return array
    place = np.searchsorted(own, wanted)
    if not np.array_equal(own[np.minimum(place, len(own) - 1)], wanted):
        raise ConfigError(
            f"regressors: {name!r} is known at the frames of the result, and the light curve has other times. Detrend "
            "first, then bin."
        )
    return array.isel(time=place)


def _elsewhere(data: xr.Dataset) -> str:
    """Say where positions are, if they are asked of a light curve."""
    if "source" in data.dims:
        return ""
    return (
        " A light curve does not hold what was measured beside it: result.tso.detrend(...), or give result=...; "
        "regressors=[] takes none."
    )


def _known(result: xr.Dataset) -> list[str]:
    found = [name for name, stands in SHORT.items() if any(one in result.variables for one in stands)]
    for key, array in result.variables.items():
        name = str(key)
        dims = set(map(str, array.dims))
        fits = "time" in dims <= {"time", "source", "aperture", "sky"} and array.dtype.kind in "fiub"
        if fits and name != "time" and name not in found and not name.startswith(OWN_LIGHT) and not name.endswith("_err"):
            found.append(name)
    return found or ["none: give the result from which the light curve was taken"]


def of_time(time: np.ndarray, unit: str, order: int, steps: Sequence[float] = ()) -> list[Regressor]:
    """Make powers of time, and steps at given times.

    Parameters
    ----------
    time : ndarray, shape (n,)
    unit : str
        Of the times.
    order : int
        Highest power.
    steps : sequence of float
        Times from which on there is another level, as after a tilt of a mirror.

    Returns
    -------
    list of Regressor
        ``time``, ``time^2`` … of differences from the middle of the series, and ``step1`` …

    Raises
    ------
    ConfigError
        The order is not from 0 to 5, or a step does not part the frames.
    """
    if not (isinstance(order, int | np.integer) and not isinstance(order, bool) and 0 <= order <= 5):
        raise ConfigError(f"order: expected a power of time from 0 to 5, found {order!r}.")
    middle = 0.5 * (time[0] + time[-1])
    found = []
    for power in range(1, order + 1):
        name = "time" if power == 1 else f"time^{power}"
        found.append(
            Regressor(name, (time - middle) ** power, unit if power == 1 else f"({unit})^{power}", "time since mid-series")
        )
    for number, at in enumerate(steps, start=1):
        after = (time >= float(at)).astype(float)
        if not 0 < after.sum() < len(time):
            raise ConfigError(f"steps: expected times between {time[0]:.12g} and {time[-1]:.12g}, found {float(at):.12g}.")
        found.append(Regressor(f"step{number}", after, "1", f"step at {float(at):.12g}"))
    return found


def given(extra: Any, curve: xr.Dataset) -> list[Regressor]:
    """Take series that are there already.

    Parameters
    ----------
    extra : mapping of name to array, or Dataset over time
        One number a frame each; for example from `tsogrid.analysis.eigenimages.eigenimages`.
    curve : Dataset
        The light curve.

    Returns
    -------
    list of Regressor

    Raises
    ------
    ConfigError
        They are of another length, or of other times.
    """
    frames = curve.sizes["time"]
    if isinstance(extra, xr.Dataset):
        if "time" in extra.coords and not np.array_equal(extra["time"].to_numpy(), curve["time"].to_numpy()):
            raise ConfigError(
                "extra: expected the times of the light curve, found others; a table is interpolated: table=..."
            )
        extra = {str(name): array for name, array in extra.data_vars.items() if array.dims == ("time",)}
    if not isinstance(extra, Mapping):
        raise ConfigError(f"extra: expected names and arrays, or a Dataset over time, found {type(extra).__name__}.")
    found = []
    for name, array in extra.items():
        values = np.asarray(array, float)
        if values.shape != (frames,):
            raise ConfigError(f"extra: expected one number for each of {frames} frames in {name!r}, found {values.shape}.")
        attrs = getattr(array, "attrs", {})
        found.append(Regressor(str(name), values, str(attrs.get("units", "1")), str(attrs.get("long_name", name))))
    return found
