"""What goes along with a light curve: positions, widths and sky against time, and the flux against the position."""

from typing import Any

import numpy as np
import xarray as xr

from tsogrid.analysis.select import require_result, source_number
from tsogrid.errors import ConfigError
from tsogrid.view.plot import time_axis
from tsogrid.view.style import SERIES, STYLES, few_ticks, legend_above, middles, within, y_label

FEWEST_FOR_LINE = 200  # points over which a line of medians is drawn
MANY = 5000  # points that are drawn as pixels


def positions(result: xr.Dataset, axes: Any, *, source: Any = None, time_reference: float | None = None) -> Any:
    """Draw how the apertures' centre moves.

    Parameters
    ----------
    result : Dataset
        A result.
    axes : matplotlib Axes
        Where to draw; the figure's layout should be constrained.
    source : str or int, optional
        Name or number; the first target if not given.
    time_reference : float, optional
        As in `tsogrid.view.plot.light_curve`.

    Returns
    -------
    matplotlib Axes
        x and y, each less its median. Points far outside are counted in the legend.

    Raises
    ------
    ConfigError
        It is no result, or there is no such source.
    """
    one = _source(result, source)
    curves = {}
    for name in ("x", "y"):
        values = one[name].to_numpy().astype(float)
        middle = _median(values)
        curves[f"{name} − {middle:.2f}"] = values - middle
    return _over_time(one, curves, axes, "offset", "pixel", time_reference)


def widths(result: xr.Dataset, axes: Any, *, source: Any = None, time_reference: float | None = None) -> Any:
    """Draw the widths of the star's Gaussian.

    Parameters
    ----------
    result, axes, source, time_reference
        As in `positions`.

    Returns
    -------
    matplotlib Axes
        The widths along x and y.

    Raises
    ------
    ConfigError
        As `positions`, or no widths were measured (``center.method: none``).
    """
    one = _source(result, source)
    if "sigma_x" not in one:
        raise ConfigError(
            "widths: expected sigma_x and sigma_y in the result, found none: center.method none measures none."
        )
    curves = {f"along {name}": one[f"sigma_{name}"].to_numpy().astype(float) for name in ("x", "y")}
    return _over_time(one, curves, axes, "1 σ width", "pixel", time_reference)


def sky(result: xr.Dataset, axes: Any, *, source: Any = None, time_reference: float | None = None) -> Any:
    """Draw the level of every sky beside a source.

    Parameters
    ----------
    result, axes, source, time_reference
        As in `positions`.

    Returns
    -------
    matplotlib Axes
        Each level less its median, which stands in the legend with the number of the sky; a sky without a level (a chain
        that ends with a model, or ``none``) is left out.

    Raises
    ------
    ConfigError
        As `positions`, or no sky has a level.
    """
    one = _source(result, source)
    levels = one["sky_level"].transpose("time", "sky").to_numpy().astype(float)
    curves: dict[str, np.ndarray] = {}
    for number, values in enumerate(levels.T):
        if np.isfinite(values).any() and np.ptp(values[np.isfinite(values)]) > 0 and len(curves) < len(SERIES):
            middle = _median(values)
            curves[f"sky {number} − {middle:.4g}"] = values - middle
    if not curves:
        raise ConfigError("sky: expected a sky with a level that changes, found none in this result.")
    unit = str(one["sky_level"].attrs.get("units", "")).replace(" ", "")
    return _over_time(one, curves, axes, "sky − median", unit, time_reference)


def flux_position(result: xr.Dataset, curve: xr.Dataset, axes: Any, *, source: Any = None) -> Any:
    """Draw the flux against the position of the star, along x and along y.

    Parameters
    ----------
    result : Dataset
        A result.
    curve : Dataset
        One light curve of it, over time alone; shown relative to its median.
    axes : matplotlib Axes
        Where to draw; the figure's layout should be constrained.
    source : str or int, optional
        Whose position; the first target if not given.

    Returns
    -------
    matplotlib Axes
        With the correlation of both (Pearson's r) in the legend; over many points, medians in twelve bins.

    Raises
    ------
    ConfigError
        It is no result, there is no such source, or the light curve has other dimensions than time.
    """
    one = _source(result, source)
    if curve["flux"].dims != ("time",):
        raise ConfigError(
            f"flux_position: expected a flux over time alone, found {', '.join(map(str, curve['flux'].dims))}."
        )
    flux = curve["flux"].to_numpy().astype(float)
    flux = flux / _median(flux)
    number = len(flux)
    for index, name in enumerate(("x", "y")):
        offset = one[name].to_numpy().astype(float)
        offset = offset - _median(offset)
        good = np.isfinite(offset) & np.isfinite(flux)
        varies = good.sum() > 2 and np.ptp(offset[good]) > 0
        correlation = f", r = {_signed(np.corrcoef(offset[good], flux[good])[0, 1])}" if varies else ""
        many = number >= FEWEST_FOR_LINE
        _points(axes, offset, flux, index, None if many else f"{name}{correlation}", number, line=False)
        if many:
            axes.plot(
                *middles(offset, flux, 12), "os"[index], color=SERIES[index], markersize=5, markeredgecolor="white",
                label=f"{name}{correlation}", zorder=3,
            )  # fmt: skip
    _count(axes, within(axes, flux))
    axes.set_xlabel("offset of the star (pixel)")
    y_label(axes, "relative flux")
    axes.ticklabel_format(useOffset=False)
    few_ticks(axes)
    return legend_above(axes)


def _source(result: xr.Dataset, source: Any) -> xr.Dataset:
    require_result(result)
    number, _ = source_number(result, source)
    names = [name for name in ("x", "y", "sigma_x", "sigma_y", "sky_level") if name in result]
    missing = {"x", "y", "sky_level"} - set(names)
    if missing:
        raise ConfigError(f"expected a result of tsogrid with {', '.join(sorted(missing))}, found a Dataset without.")
    one = result[names].isel(source=number).compute()
    one.attrs = dict(result.attrs)
    return one


def _signed(value: float) -> str:
    """Write a correlation with its sign, and nothing as nothing."""
    return f"{value + 0.0 if abs(value) >= 0.005 else 0.0:+.2f}".replace("-", "−").replace("+0.00", "0.00")


def _median(values: np.ndarray) -> float:
    good = values[np.isfinite(values)]
    return float(np.median(good)) if good.size else float("nan")


def _over_time(
    one: xr.Dataset, curves: dict[str, np.ndarray], axes: Any, label: str, unit: str, time_reference: float | None
) -> Any:
    reference = one.attrs.get("time_reference") if time_reference is None else time_reference
    time, time_label = time_axis(one["time"], reference)
    for index, (name, values) in enumerate(curves.items()):
        _points(axes, time, values, index, name, len(time))
    _count(axes, within(axes, *curves.values()))
    axes.set_xlabel(time_label)
    y_label(axes, label, unit)
    axes.ticklabel_format(useOffset=False)
    few_ticks(axes)
    return legend_above(axes)


def _points(
    axes: Any, place: np.ndarray, values: np.ndarray, index: int, label: str | None, number: int, line: bool = True
) -> None:
    """Draw points, and where there are many, pale ones under a line of medians."""
    colour, style = SERIES[index], STYLES[index % len(STYLES)]
    many = number >= FEWEST_FOR_LINE
    points = {"markersize": 2.0 if many else 3.5, "alpha": 0.3 if many else 1.0, "markeredgewidth": 0}
    axes.plot(
        place,
        values,
        "os"[index % 2],
        color=colour,
        label=None if many and line else label,
        rasterized=number > MANY,
        **points,
    )
    if many and line:
        axes.plot(*middles(place, values), style, color=colour, linewidth=1.4, label=label, zorder=3)


def _count(axes: Any, outside: int) -> None:
    if outside:
        axes.plot([], [], " ", label=f"{outside} outside")
