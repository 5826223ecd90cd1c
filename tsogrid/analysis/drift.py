"""How the frames move, as a table that another run's ``center.drift`` (or tshirt's ``driftFile``) reads."""

import numpy as np
import xarray as xr
from astropy.table import Table

from tsogrid.errors import InputError
from tsogrid.field.drift import motion


def drift_table(result: xr.Dataset) -> Table:
    """Make a drift table of the first target's positions.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.measure`, `tsogrid.run` or `tsogrid.open_result`.

    Returns
    -------
    Table
        Index (0-based), File, dx and dy: ``x``, ``y`` less those of the first frame in which they are known, in pixels.
        Every frame has a row: one whose place is unknown takes that of the nearest earlier frame, as the metadata say.

    Raises
    ------
    InputError
        The source has no place in any frame.
    """
    roles = [str(role) for role in result["role"].to_numpy()] if "role" in result.coords else []
    index = roles.index("target") if "target" in roles else 0
    name = str(result["source"].to_numpy()[index])
    positions = np.stack([result[axis].isel(source=index).to_numpy() for axis in ("x", "y")], axis=-1)
    shifts, lost = motion(positions)
    if not np.isfinite(shifts).all():
        raise InputError(f"drift: expected a place of the source {name!r} in some frame, found it in none.")
    files = [str(file) for file in result["file"].to_numpy()] if "file" in result.coords else [""] * len(shifts)
    table = Table({"Index": np.arange(len(shifts)), "File": files, "dx": shifts[:, 0], "dy": shifts[:, 1]})
    table.meta["source"] = name
    table.meta["frames_without_place"] = (
        f"{lost} of {len(shifts)}, which take the place of the nearest earlier frame" if lost else "none"
    )
    for axis in ("dx", "dy"):
        table[axis].unit = "pixel"
    return table
