"""A night as far as it has come: the light curve, where the stars stood, and the airmass if it is known, in one picture."""

from pathlib import Path
from typing import Any

import xarray as xr

from tsogrid.analysis.choice import best, curve_of
from tsogrid.errors import TsogridError
from tsogrid.export.files import write_whole
from tsogrid.view.plot import light_curve, time_axis
from tsogrid.view.series import positions
from tsogrid.view.style import LINE, y_label

WIDTH, HEIGHT, DPI = 6.7, 6.3, 110  # inches, dots per inch
ENOUGH = 10  # frames from which on the scatter chooses aperture and sky


def save_night(result: xr.Dataset, path: str | Path) -> Path:
    """Draw a night and save it; the old picture stands until the new one is whole.

    Parameters
    ----------
    result : Dataset
        A result, complete or not.
    path : path-like
        The picture; its suffix says the format.

    Returns
    -------
    Path

    Raises
    ------
    TsogridError
        Nothing can be drawn of this result, or the picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = Path(path)
    has_airmass = "airmass" in result.coords
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(2 + has_airmass, height_ratios=[2.2, 1.2, 0.8][: 2 + has_airmass])
    curve = _curve(result)
    light_curve(curve, rows[0])
    rows[0].set_title(f"{result.sizes['time']} frames; {curve.attrs.get('choice', '')}", fontsize="small", wrap=True)
    positions(result, rows[1])
    if has_airmass:
        time, label = time_axis(result["time"], result.attrs.get("time_reference"))
        rows[2].plot(time, result["airmass"].to_numpy(), ".-", color=LINE, markersize=3, linewidth=0.8)
        rows[2].invert_yaxis()
        rows[2].set_xlabel(label)
        y_label(rows[2], "airmass", "")
    kind = path.suffix.lower().lstrip(".") or "png"
    return write_whole(path, lambda beside: figure.savefig(beside, format=kind, dpi=DPI))


def _curve(result: xr.Dataset) -> xr.Dataset:
    """The light curve that scatters least; of few frames the first aperture over the first sky."""
    if result.sizes["time"] >= ENOUGH:
        try:
            return best(result).compute()
        except TsogridError:
            pass
    first: Any = curve_of(result)
    return first.isel({dim: 0 for dim in ("aperture", "sky") if dim in first.dims}).compute()
