"""Plots of a frame: its sources with their fluxes, and the sources first found with the groups that they fell into.

They are always saved; where there is a display they are shown too.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tsogrid.survey.catalogue import Catalogue
from tsogrid.survey.source_table import SourceTable

LABELLED = 60  # sources whose flux is written beside them, the brightest
STAMPS = 12  # groups that are shown enlarged, the brightest
_HALF = 12  # pixels from the middle of a stamp to its edge, at least
_DPI = 120


def plot_sources(path: Path, name: str, data: np.ndarray, catalogue: Catalogue) -> None:
    """Save the frame with its sources and their fluxes.

    Parameters
    ----------
    path : Path
        Of the PNG file.
    name : str
        Of the frame, for the title.
    data : (ny, nx) array
        Its pixels.
    catalogue : Catalogue
        With ``x_fit``, ``y_fit``, ``flux_psf``.
    """
    columns, facts = catalogue.columns, catalogue.image
    figure, axes = _frame(data)
    x, y, flux = (columns[key] for key in ("x_fit", "y_fit", "flux_psf"))
    fwhm = float(facts.get("fwhm", np.nan))
    size = 12 if not np.isfinite(fwhm) else max(8.0, 2.5 * fwhm)
    axes.scatter(x, y, s=size**2 * 0.6, facecolors="none", edgecolors="tab:red", linewidths=0.8)
    order = np.argsort(-np.nan_to_num(flux), kind="stable")
    for place, row in enumerate(order[:LABELLED]):
        brighter = order[:place]
        near = brighter[np.hypot(x[brighter] - x[row], y[brighter] - y[row]) < 2.5 * size]
        if len(near) < 2:  # of those side by side, the brightest above, the next below: more could not be read
            offset, side = ((0, 7), "bottom") if not len(near) else ((0, -7), "top")
            style = {"fontsize": 6, "color": "yellow", "ha": "center", "va": side}
            axes.annotate(f"{flux[row]:.4g}", (x[row], y[row]), xytext=offset, textcoords="offset points", **style)
    band = f", {facts['filter']}" if facts.get("filter") else ""
    axes.set_title(
        f"{Path(name).name}: {facts.get('object') or 'no object'}{band}, {len(x)} sources, FWHM {fwhm:.2f} px", fontsize=9
    )
    _save(figure, path)


def plot_groups(path: Path, name: str, data: np.ndarray, table: SourceTable) -> None:
    """Save the frame with the sources first found and the groups, and the largest groups enlarged.

    Parameters
    ----------
    path : Path
        Of the PNG file.
    name : str
        Of the frame, for the title.
    data : (ny, nx) array
        Its pixels.
    table : SourceTable
        Of the frame.
    """
    rows = table.rows
    numbers = rows["group_id"].to_numpy()
    shared = rows["group_size"].to_numpy() > 1
    figure, axes = _frame(data, width=11.0)
    axes.scatter(
        table.initial["x"], table.initial["y"], s=30, marker="+", color="tab:cyan", linewidths=0.7, label="first found"
    )
    x, y = rows["x_fit"].to_numpy(), rows["y_fit"].to_numpy()
    axes.scatter(x[~shared], y[~shared], s=40, facecolors="none", edgecolors="white", linewidths=0.6, label="alone")
    axes.scatter(x[shared], y[shared], s=40, facecolors="none", edgecolors="tab:red", linewidths=0.8, label="in a group")
    axes.legend(fontsize=7, loc="upper left", framealpha=0.6)
    groups = list(dict.fromkeys(numbers[shared].tolist()))
    axes.set_title(
        f"{Path(name).name}: {len(table.initial)} first found, {len(rows)} sources, {len(groups)} groups", fontsize=9
    )
    for place, group in enumerate(groups[:STAMPS]):
        inside = numbers == group
        _stamp(figure, place, data, x[inside], y[inside], rows["flux_psf"].to_numpy()[inside], group)
    axes.set_position((0.05, 0.06, 0.5, 0.86))
    _save(figure, path)


def _stamp(figure: Figure, place: int, data: np.ndarray, x: np.ndarray, y: np.ndarray, flux: np.ndarray, group: int) -> None:
    """One group, enlarged, to see whether its sources are one star."""
    half = int(max(_HALF, np.ceil(max(np.ptp(x), np.ptp(y)) / 2 + _HALF / 2)))
    low_x, low_y = max(0, int(x.mean()) - half), max(0, int(y.mean()) - half)
    part = data[low_y : low_y + 2 * half + 1, low_x : low_x + 2 * half + 1]
    if not part.size:
        return
    across, down = place % 3, place // 3
    axes = figure.add_axes((0.6 + 0.13 * across, 0.71 - 0.225 * down, 0.12, 0.19))
    height, width = part.shape
    extent = (low_x - 0.5, low_x + width - 0.5, low_y - 0.5, low_y + height - 0.5)
    axes.imshow(part, origin="lower", cmap="gray", extent=extent, **_limits(part, 99.5))
    axes.scatter(x, y, s=20, marker="x", color="tab:red", linewidths=0.8)
    axes.set_title(
        f"{group}: " + ", ".join(f"{value:.2g}" for value in flux[:3]) + (" …" if len(flux) > 3 else ""), fontsize=5
    )
    axes.set_xticks([])
    axes.set_yticks([])


def _frame(data: np.ndarray, width: float = 8.0) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, 7.0))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.06, 0.88, 0.86))
    axes.imshow(data, origin="lower", cmap="gray", **_limits(data, 99.0))
    axes.set_xlim(-0.5, data.shape[1] - 0.5)
    axes.set_ylim(-0.5, data.shape[0] - 0.5)
    axes.set_xlabel("x (pixels, from 0)", fontsize=8)
    axes.set_ylabel("y", fontsize=8)
    axes.tick_params(labelsize=7)
    return figure, axes


def _limits(data: np.ndarray, percentile: float) -> dict[str, Any]:
    finite = data[np.isfinite(data)]
    if not finite.size:
        return {}
    low, high = np.percentile(finite, [5.0, percentile])
    return {"vmin": float(low), "vmax": float(max(high, low + 1e-9))}


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    figure.savefig(beside, dpi=_DPI, format="png")
    beside.replace(path)


def show(paths: Sequence[Path]) -> None:
    """Show saved plots one after another, where there is a display; each until its window is closed.

    Parameters
    ----------
    paths : sequence of Path
        PNG files.
    """
    import matplotlib
    from matplotlib.backends import BackendFilter, backend_registry

    if matplotlib.get_backend().lower() in backend_registry.list_builtin(BackendFilter.NON_INTERACTIVE):
        return
    import matplotlib.pyplot as plt

    for path in paths:
        picture = plt.imread(path)
        figure = plt.figure(path.name, figsize=(picture.shape[1] / _DPI, picture.shape[0] / _DPI))
        figure.figimage(picture, resize=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a backend that turns out to have no window
            plt.show()
        plt.close(figure)
