"""Light curves with a known transit and known systematics, at the level of results: no pixel is made."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from tsogrid.simulate import transit_shape

SPAN = 0.3  # days


class Made(NamedTuple):
    """A light curve, its regressors, and the truth."""

    curve: xr.Dataset
    depth: float
    transit: tuple[float, float]


def made(
    seed,
    frames=400,
    *,
    white=1e-3,
    systematics=True,
    ramp=0.0,
    red=0.0,
    timescale=0.02,
    depth=None,
):
    """Depth 0.1 to 2 %, any duration; pointing with jitter and drift, widths and sky, each with its own coefficient."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, SPAN, frames)
    depth = 10 ** rng.uniform(-3, np.log10(0.02)) if depth is None else depth
    mid, duration = rng.uniform(0.12, 0.18), rng.uniform(0.05, 0.14)
    waves = [np.sin(2 * np.pi * (rng.uniform(0.5, 3) * time / SPAN + rng.random())) for _ in range(4)]
    series = {
        "x": 20 + rng.normal(0, 0.04, frames) + 0.08 * waves[0],
        "y": 30 + rng.normal(0, 0.04, frames) + 0.08 * waves[1],
        "sigma_x": 1.2 + rng.normal(0, 0.006, frames) + 0.02 * waves[2],
        "sky_level": 100 + rng.normal(0, 0.6, frames) + 2 * waves[3],
    }
    baseline = np.ones(frames)
    if systematics:
        for values, size in zip(series.values(), (0.02, 0.02, 0.1, 1e-3), strict=True):
            baseline += rng.normal(0, size) * (values - values.mean())
        baseline += rng.normal(0, 0.002) * (time / SPAN - 0.5)
    baseline += ramp * np.exp(-time / 0.03)
    noise = rng.normal(0, white, frames) + red * walk(time, timescale, rng)
    flux = 7e4 * baseline * (1 - depth * transit_shape(time, mid, duration)) * (1 + noise)
    units = {"x": "pixel", "y": "pixel", "sigma_x": "pixel", "sky_level": "adu / pixel"}
    curve = xr.Dataset(
        {name: ("time", values, {"units": units[name], "long_name": name}) for name, values in series.items()},
        coords={"time": ("time", 2460000 + time, {"units": "d", "scale": "tdb", "format": "jd"})},
    )
    curve["flux"] = ("time", flux, {"units": "adu", "long_name": "flux"})
    curve["flux_err"] = ("time", np.full(frames, 7e4 * white), {"units": "adu", "long_name": "1 sigma error"})
    return Made(curve, depth, (2460000 + mid, duration))


def walk(time, timescale, rng):
    """Noise of standard deviation 1 that forgets itself exponentially."""
    kept = np.exp(-(time[1] - time[0]) / timescale)
    values = rng.standard_normal(len(time))
    for index in range(1, len(time)):
        values[index] = kept * values[index - 1] + np.sqrt(1 - kept**2) * values[index]
    return values
