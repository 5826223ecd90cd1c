"""The demo: an exposure is simulated, measured by the real pipeline, and the transit put in is found again."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import xarray as xr

from tsogrid.analysis.transit import TransitFit, fit_transit
from tsogrid.config import Config
from tsogrid.engine.run import Progress, Silent, run
from tsogrid.simulate import Truth, simulate_exposure
from tsogrid.view.plot import light_curve
from tsogrid.view.report import report

SHAPE = (64, 512)
AMPLIFIERS = 4
RADIUS = 5.0


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Parameters
    ----------
    depth, depth_err, depth_injected : float
        Relative depth of the transit: recovered, its 1 sigma error, and put in.
    scatter, photon_limit : float
        Relative standard deviation of the light curve's residuals, and what photons, sky and read noise alone would give.
    frames_per_second : float
        Of the measurement, without compiling and starting the cluster.
    frames : int
        Integrations.
    directory, store, plot, report : Path
        Where everything lies.
    """

    depth: float
    depth_err: float
    depth_injected: float
    scatter: float
    photon_limit: float
    frames_per_second: float
    frames: int
    directory: Path
    store: Path
    plot: Path
    report: Path


def demo_config(files: list[str], store: Path) -> Config:
    """Give the demo's configuration: what a user of NIRCam's stripes would write."""
    columns = SHAPE[1] // AMPLIFIERS
    rows = {
        "method": "rowamp",
        "mask_radius": 16,
        "amplifiers": [[index * columns, (index + 1) * columns] for index in range(AMPLIFIERS)],
    }
    annulus = {"method": "annulus", "inner": 12, "outer": 20, "statistic": "clipped-median"}
    content: dict[str, Any] = {
        "input": {"files": files},
        "center": {"search_box": 21, "fit_box": 13},
        "sky": [[rows, annulus], annulus],
        "apertures": [{"shape": "circle", "radius": "3:8:1"}],
        "output": {"store": str(store)},
    }
    return Config.from_mapping(content, where="the demo's configuration")


def demo(directory: Path, *, seed: int = 0, frames: int = 300, progress: Progress | None = None) -> DemoResult:
    """Simulate an exposure, measure it, and find its transit.

    Parameters
    ----------
    directory : Path
        Made if missing; leaves the two segments, ``result.zarr``, ``lightcurve.png`` and ``report.html`` there.
    seed : int
        Of the simulation.
    frames : int
        Integrations, at least 20.
    progress : Progress, optional
        Who is told how far the measurement is.

    Returns
    -------
    DemoResult
    """
    directory.mkdir(parents=True, exist_ok=True)
    truth = simulate_exposure(
        directory, name="demo", integrations=frames, segments=2, shape=SHAPE, amplifiers=AMPLIFIERS, seed=seed
    )
    store = directory / "result.zarr"
    clock = _Clock(progress or Silent())
    result = run(demo_config(truth.files, store), mode="overwrite", progress=clock)
    cell = result.isel(source=0, sky=0).sel(radius=RADIUS).compute()
    fit = fit_transit(truth.time, cell["flux"].to_numpy(), truth.shape)
    plot = directory / "lightcurve.png"
    _draw(cell["flux"], fit, truth, plot)
    page = report(result, directory / "report.html", truth.files).path
    return DemoResult(
        depth=fit.depth,
        depth_err=fit.depth_err,
        depth_injected=truth.depth,
        scatter=fit.scatter,
        photon_limit=_photon_limit(cell, truth),
        frames_per_second=frames / clock.seconds,
        frames=frames,
        directory=directory,
        store=store,
        plot=plot,
        report=page,
    )


class _Clock:
    """Takes the time from the beginning of the measurement to its last frame, and passes all on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._begin = self._last = perf_counter()

    def begin(self, total: int, done: int) -> None:
        self._begin = self._last = perf_counter()
        self._progress.begin(total, done)

    def advance(self, frames: int) -> None:
        self._last = perf_counter()
        self._progress.advance(frames)

    def say(self, message: str) -> None:
        self._progress.say(message)

    @property
    def seconds(self) -> float:
        return max(self._last - self._begin, 1e-9)


def _photon_limit(cell: xr.Dataset, truth: Truth) -> float:
    """Relative error that photons, sky and read noise alone give in the aperture."""
    inside = float((cell["flux"] / truth.flux).median())
    area = float(cell["aperture_area"].median())
    variance = inside * np.median(truth.photon_variance) + area * truth.pixel_variance
    return float(np.sqrt(variance) / (inside * np.median(truth.flux)))


def _draw(flux: xr.DataArray, fit: TransitFit, truth: Truth, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.3, 3.9), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    relative = (flux / fit.baseline).assign_attrs(long_name="relative flux", units="1")
    light_curve(relative, axes, model=1 - fit.depth * truth.shape)
    injected, found, error = (f"{1e6 * value:.0f}" for value in (truth.depth, fit.depth, fit.depth_err))
    axes.set_title(f"transit depth {found} ± {error} ppm (put in: {injected} ppm)", fontsize="medium")
    figure.savefig(path)
