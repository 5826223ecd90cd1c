"""Results as a run would give them, with known truth and white noise, without any pixel."""

import numpy as np
import xarray as xr

from tsogrid.flags import ApertureFlag, SourceFlag, cf_attributes

GAIN = 1.5


def night(
    frames=300,
    fluxes=(1e5, 1.4e5, 0.7e5, 0.5e5, 0.3e5),
    *,
    apertures=1,
    skies=1,
    transparency=None,
    signals=None,
    noise=True,
    errors=True,
    seed=0,
):
    """A target and its reference stars: flux × transparency × (1 + signal), photon noise; cells differ by scale."""
    rng = np.random.default_rng(seed)
    phase = np.arange(frames) / frames
    common = 1 - 0.05 * np.sin(9 * phase) ** 2 if transparency is None else transparency
    flux = np.asarray(fluxes, float) * np.broadcast_to(common, frames)[:, None]
    for star, signal in (signals or {}).items():
        flux[:, star] *= 1 + signal
    flux = flux[:, :, None, None] * np.linspace(0.8, 1, apertures)[:, None] * np.ones(skies)
    error = np.sqrt(flux / GAIN)
    if noise:
        flux = flux + error * rng.standard_normal(flux.shape)
    dims = ("time", "source", "aperture", "sky")
    names = ["target", *(f"ref{star}" for star in range(1, len(fluxes)))]
    roles = ["target"] + ["reference"] * (len(fluxes) - 1)
    unit = {"units": "adu"}
    radius = 3.0 + np.arange(apertures)
    area = np.broadcast_to(np.pi * radius**2, flux.shape[:3])
    return xr.Dataset(
        {
            "flux": (dims, flux, unit | {"long_name": "flux: aperture sum less sky"}),
            "flux_err": (dims, error if errors else np.full_like(error, np.nan), unit | {"long_name": "1 sigma error"}),
            "aperture_sum_err": (dims[:3], error[..., 0], unit),
            "aperture_area": (dims[:3], area, {"units": "pixel"}),
            "sky_sum": (dims, np.full_like(flux, 600.0), unit),
            "sky_sum_err": (dims, np.full_like(flux, 20.0), unit),
            "flags": (dims[:2], np.zeros(flux.shape[:2], np.int32), cf_attributes(SourceFlag)),
            "aperture_flags": (dims[:3], np.zeros(flux.shape[:3], np.int32), cf_attributes(ApertureFlag)),
        },
        coords={
            "time": ("time", 2460000.3 + phase * frames * 75 / 86400, {"units": "d", "scale": "tdb", "format": "jd"}),
            "source": np.array(names, object),
            "role": ("source", np.array(roles, object)),
            "aperture": np.array([f"r{value:g}" for value in radius], object),
            "radius": ("aperture", radius, {"units": "pixel"}),
            "sky": np.array(["annulus12-20-mean", "rowamp16+annulus12-20-mean", "none"][:skies], object),
        },
        attrs={"data_units": "adu", "gain": GAIN, "read_noise": 8.0, "integration_time_s": 60.0, "identity": "{}"},
    )


def wave(frames, amplitude, periods=4.0):
    """A slow sine."""
    return amplitude * np.sin(2 * np.pi * periods * np.arange(frames) / frames)
