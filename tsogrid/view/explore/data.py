"""What the explorer asks of a result: the chosen light curve, the series beside it, its noise, the scatter of every choice.

Everything is answered by the analysis that also serves notebooks; here it is only kept between two questions.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tsogrid.analysis.averaging import allan
from tsogrid.analysis.binning import bin_light_curve
from tsogrid.analysis.choice import curve_of, score
from tsogrid.analysis.select import source_number
from tsogrid.kernels.widths import seen_fwhm
from tsogrid.view.explore.settings import Settings

IN_MEMORY = 2e9  # bytes of fluxes that are read once and kept
NEIGHBOURS = 25  # frames of the running median
SERIES = (("x", "Δx"), ("y", "Δy"), ("fwhm", "FWHM"), ("sky_level", "sky"))  # names, and what they are called


class Explored:
    """A result and the answers that were made of it.

    Parameters
    ----------
    result : Dataset
        From `tsogrid.open_result`.
    """

    def __init__(self, result: xr.Dataset) -> None:
        fluxes = [name for name in ("flux", "flux_err") if name in result]
        if sum(result[name].nbytes for name in fluxes) <= IN_MEMORY:
            result = result.assign({name: result[name].load() for name in fluxes})
        self.result = result
        self.time = np.asarray(result["time"], float)
        self._curve = lru_cache(8)(self._make_curve)
        self._scores = lru_cache(8)(self._make_scores)
        self._series = lru_cache(16)(self._make_series)

    def curve(self, settings: Settings) -> xr.Dataset:
        """Give the chosen light curve, ``flux`` (median 1) and ``flux_err`` over time; a clipped point is NaN."""
        return self._curve(settings.source, settings.aperture, settings.sky, settings.references, settings.clip)

    def _make_curve(self, source: str, aperture: str, sky: str, references: tuple[str, ...], clip: float) -> xr.Dataset:
        curve = curve_of(self.result, source, aperture, sky, bool(references), **_stars(references)).compute()
        return clipped(curve, clip) if clip else curve

    def binned(self, settings: Settings) -> xr.Dataset | None:
        """Give the means of the chosen light curve; None where no bins are asked for."""
        return bin_light_curve(self.curve(settings), settings.bin) if settings.bin > 1 else None

    def noise(self, settings: Settings) -> xr.Dataset:
        """Give how the chosen light curve averages down; see `tsogrid.analysis.averaging.allan`."""
        return allan(self.curve(settings))

    def scores(self, settings: Settings) -> xr.Dataset:
        """Give the scatter of the source in every aperture over every sky; see `tsogrid.analysis.choice.score`."""
        return self._scores(settings.source, settings.references)

    def _make_scores(self, source: str, references: tuple[str, ...]) -> xr.Dataset:
        return score(self.result, source, bool(references), **_stars(references))

    def series(self, settings: Settings, name: str) -> np.ndarray | None:
        """Give positions, widths or sky of the chosen source, shape (n,); None where the result has none.

        Positions are less their median.
        """
        return self._series(settings.source, settings.sky, name)

    def _make_series(self, source: str, sky: str, name: str) -> np.ndarray | None:
        number, _ = source_number(self.result, source)
        if name == "fwhm":
            sigmas = [self._series(source, sky, each) for each in ("sigma_x", "sigma_y")]
            if sigmas[0] is None or sigmas[1] is None:
                return None
            return np.asarray((seen_fwhm(sigmas[0]) + seen_fwhm(sigmas[1])) / 2)
        if name not in self.result:
            return None
        array = self.result[name].isel(source=number)
        if "sky" in array.dims:
            array = array.isel(sky=[str(label) for label in self.result["sky"].to_numpy()].index(sky))
        values = np.asarray(array.to_numpy(), float)
        return values - np.nanmedian(values) if name in ("x", "y") and np.isfinite(values).any() else values

    def place(self, settings: Settings) -> tuple[float, float]:
        """Give where the apertures stood in the frame that is shown, in pixels."""
        number, _ = source_number(self.result, settings.source)
        at = self.result[["x", "y"]].isel(source=number, time=settings.frame).compute()
        return float(at["x"]), float(at["y"])

    def words(self, settings: Settings) -> str:
        """Say what is known of the frame that is shown."""
        frame, curve = settings.frame, self.curve(settings)
        flux, error = float(curve["flux"][frame]), float(curve["flux_err"][frame])
        said = [f"frame {frame} of {self.time.size}", f"time {self.time[frame]:.6f}"]
        for name in ("file", "integration"):
            if name in self.result.coords and self.result[name].dims == ("time",):
                said.append(f"{name} {self.result[name].to_numpy()[frame]}")
        said.append(f"flux {flux:.6f} ± {error:.6f}" if np.isfinite(flux) else "no flux (left out, or not measured)")
        raised = self._raised(settings)
        return ", ".join([*said, f"flags: {', '.join(raised)}" if raised else "no flag"])

    def _raised(self, settings: Settings) -> list[str]:
        number, _ = source_number(self.result, settings.source)
        if "flags" not in self.result:
            return []
        flags = self.result["flags"]
        value = int(flags.isel(source=number, time=settings.frame).to_numpy())
        masks, meanings = np.atleast_1d(flags.attrs.get("flag_masks", [])), str(flags.attrs.get("flag_meanings", "")).split()
        return [meaning for mask, meaning in zip(masks, meanings, strict=True) if value & int(mask)]


def _stars(references: tuple[str, ...]) -> dict[str, Any]:
    return {"references": list(references)} if references else {}


def clipped(curve: xr.Dataset, sigma: float) -> xr.Dataset:
    """Leave out points that stand apart from their neighbours.

    Parameters
    ----------
    curve : Dataset
        ``flux`` over time.
    sigma : float
        How far from the running median of 25 frames a point may be, in σ = 1.4826 MAD of these distances.

    Returns
    -------
    Dataset
        ``flux`` is NaN where it was left out; the attribute ``clipped`` counts these points.
    """
    flux = curve["flux"].to_numpy()
    middle = pd.Series(flux).rolling(NEIGHBOURS, center=True, min_periods=1).median().to_numpy()
    rest = np.abs(flux - middle)
    reach = sigma * 1.4826 * np.nanmedian(rest) if np.isfinite(rest).any() else np.inf
    far = rest > reach if reach > 0 else np.zeros(flux.shape, bool)
    return curve.assign(flux=curve["flux"].where(~far)).assign_attrs(curve.attrs | {"clipped": int(far.sum())})
