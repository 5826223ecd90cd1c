"""Which source, aperture and sky of a result are meant: by name, radius or number; an error lists what there is."""

from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.errors import ConfigError

# Attributes of a result that say nothing of one of its light curves.
_OF_THE_STORE = ("identity", "layout", "wcs", "inputs", "units")


def require_result(data: xr.Dataset) -> None:
    """Refuse a Dataset that is no result of tsogrid.

    Raises
    ------
    ConfigError
        Dimensions or variables of a result are missing.
    """
    missing = [name for name in ("flux", "flux_err") if name not in data]
    missing += [name for name in ("time", "source", "aperture", "sky") if name not in data.dims]
    if missing:
        raise ConfigError(
            "expected a result of tsogrid (from measure, run or open_result), found a Dataset without "
            f"{', '.join(missing)}. A light curve that was taken out of a result has none of them: ask the result itself."
        )


def source_number(result: xr.Dataset, source: Any = None) -> tuple[int, str]:
    """Find a source.

    Parameters
    ----------
    result : Dataset
        A result.
    source : str or int, optional
        Name or number (from 0); the first target if not given, the first source where none is a target.

    Returns
    -------
    number : int
    reason : str
        Why it is this one.

    Raises
    ------
    ConfigError
        There is no such source.
    """
    names = [str(name) for name in result["source"].to_numpy()]
    if source is None:
        roles = roles_of(result)
        number = roles.index("target") if "target" in roles else 0
        if len(names) == 1:
            reason = "the only source"
        else:
            reason = f"the first {'target' if 'target' in roles else 'source'} of {len(names)} sources"
        return number, f"source {names[number]} ({reason})"
    number = _number(names, source, "source")
    return number, f"source {names[number]} (given)"


def roles_of(result: xr.Dataset) -> list[str]:
    """Give the role of every source; all are targets where the result has no roles."""
    if "role" not in result.coords:
        return ["target"] * result.sizes["source"]
    return [str(role) for role in result["role"].to_numpy()]


def aperture_number(result: xr.Dataset, aperture: Any) -> int:
    """Find an aperture.

    Parameters
    ----------
    result : Dataset
        A result.
    aperture : str or float
        Its label, or the radius of a circle in pixels.

    Returns
    -------
    int

    Raises
    ------
    ConfigError
        There is no such aperture.
    """
    labels = [str(label) for label in result["aperture"].to_numpy()]
    if isinstance(aperture, Real) and not isinstance(aperture, bool):
        radii = result["radius"].to_numpy() if "radius" in result.coords else np.full(len(labels), np.nan)
        near = np.flatnonzero(np.isclose(radii, float(aperture), rtol=0, atol=1e-9))
        if len(near):
            return int(near[0])
        known = ", ".join(f"{radius:g}" for radius in radii if np.isfinite(radius)) or "none"
        raise ConfigError(f"aperture: expected one of the radii {known} or a label, found {aperture:g}.")
    if aperture in labels:
        return labels.index(str(aperture))
    raise ConfigError(f"aperture: expected a radius or one of {', '.join(labels)}; found {aperture!r}.")


def sky_number(result: xr.Dataset, sky: Any) -> int:
    """Find a sky.

    Parameters
    ----------
    result : Dataset
        A result.
    sky : str or int
        Its label or number (from 0).

    Returns
    -------
    int

    Raises
    ------
    ConfigError
        There is no such sky.
    """
    return _number([str(label) for label in result["sky"].to_numpy()], sky, "sky")


def _number(labels: list[str], wanted: Any, what: str) -> int:
    if isinstance(wanted, int | np.integer) and not isinstance(wanted, bool) and -len(labels) <= wanted < len(labels):
        return int(wanted) % len(labels)
    if str(wanted) in labels:
        return labels.index(str(wanted))
    raise ConfigError(
        f"{what}: expected one of {', '.join(labels)}, or a number from 0 to {len(labels) - 1}; found {wanted!r}."
    )


def cells(result: xr.Dataset, aperture: Any = None, sky: Any = None) -> tuple[xr.Dataset, str]:
    """Choose apertures and skies; what is not chosen keeps its dimension, unless there is only one.

    Parameters
    ----------
    result : Dataset
        A result, of all sources or of one.
    aperture : str, float or list of these, optional
        Label, or radius of a circle in pixels; a list keeps the dimension.
    sky : str, int or list of these, optional
        Label or number; a list keeps the dimension.

    Returns
    -------
    chosen : Dataset
    reason : str
        What was chosen, in words.

    Raises
    ------
    ConfigError
        There is no such aperture or sky.
    """
    words = []
    for dim, wanted, find in (("aperture", aperture, aperture_number), ("sky", sky, sky_number)):
        if dim not in result.dims:
            continue
        if isinstance(wanted, list | tuple):
            result = result.isel({dim: [find(result, each) for each in wanted]})
        elif wanted is not None:
            result = result.isel({dim: find(result, wanted)})
            words.append(f"{dim} {result[dim].item()} (given)")
            continue
        elif result.sizes[dim] == 1:
            result = result.isel({dim: 0})
            words.append(f"{dim} {result[dim].item()} (the only one)")
            continue
        many = "apertures" if dim == "aperture" else "skies"
        words.append(f"{result.sizes[dim]} {many}" if result.sizes[dim] > 1 else f"{dim} {result[dim].item(0)}")
    return with_text(result), ", ".join(words)


def with_text(data: xr.Dataset) -> xr.Dataset:
    """Give labels of one source, aperture or sky as objects: the zarr 3 specification has no text of a fixed width."""
    fixed = {name: value.astype(object) for name, value in data.coords.items() if value.dtype.kind == "U"}
    return data.assign_coords(fixed) if fixed else data


def light_curve_attributes(result: xr.Dataset) -> dict[str, Any]:
    """Give the attributes of a result that its light curves keep: configuration, camera, version, time reference."""
    return {key: value for key, value in result.attrs.items() if key not in _OF_THE_STORE}
