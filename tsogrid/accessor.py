"""``ds.tso``: the methods of a result and of its light curves, each one call into the module that does it.

A result has sources, apertures and skies; a light curve (what `lightcurve`, `relative`, `best` and `bin` give) has time.
Methods that need a light curve take it out of a result themselves: the best one, or the one that is named.
"""

from typing import Any

import pandas as pd
import xarray as xr
from astropy.table import Table

from tsogrid.analysis.averaging import allan
from tsogrid.analysis.binning import bin_light_curve
from tsogrid.analysis.choice import best, curve_of, score
from tsogrid.analysis.dataframe import curve_dataframe, to_dataframe
from tsogrid.analysis.detrend import detrend
from tsogrid.analysis.failures import failures
from tsogrid.analysis.flag_table import flag_table
from tsogrid.analysis.lightcurve import light_curve
from tsogrid.analysis.noise import noise
from tsogrid.analysis.reference import relative
from tsogrid.analysis.stats import stats
from tsogrid.analysis.table import to_table
from tsogrid.export import plain_table, to_lightkurve
from tsogrid.view import one_over_f, series
from tsogrid.view.bad_pixels import bad_pixels
from tsogrid.view.noise import noise as noise_plot
from tsogrid.view.plot import light_curve as light_curve_plot
from tsogrid.view.report import report
from tsogrid.view.scores import scores as scores_plot
from tsogrid.view.stamps import stamps
from tsogrid.view.star_map import star_map
from tsogrid.view.style import new_axes, new_picture

if "tso" in vars(xr.Dataset):  # the stand-in that the package puts there, until one of these methods is asked for
    del xr.Dataset.tso  # type: ignore[attr-defined]


@xr.register_dataset_accessor("tso")
class TsoAccessor:
    """Methods of a tsogrid result, reached as ``result.tso``."""

    def __init__(self, result: xr.Dataset) -> None:
        self._result = result

    def __repr__(self) -> str:
        data = self._result
        sizes = ", ".join(f"{size} {dim}" for dim, size in data.sizes.items())
        if self._is_result:
            methods = "lightcurve relative best score bin detrend allan noise stats flag_table failures"
            methods += " to_dataframe to_table to_lightkurve plot report"
            kind = "result of tsogrid"
        else:
            methods, kind = "bin detrend allan to_dataframe to_table plot", "light curve of tsogrid"
        lines = [f"<{kind}: {sizes}>"]
        for dim in ("source", "aperture", "sky", "reference"):
            if dim in data.coords:
                labels = [str(label) for label in data[dim].to_numpy().reshape(-1)]
                lines.append(f"{dim + ':':<10} {', '.join(labels[:6])}{' …' if len(labels) > 6 else ''}")
        lines += [f"{'choice:':<10} {data.attrs['choice']}"] if "choice" in data.attrs else []
        return "\n".join([*lines, f"{'methods:':<10} {methods}"])

    @property
    def _is_result(self) -> bool:
        return {"source", "aperture", "sky"} <= set(self._result.dims)

    def _curve(self, source: Any, aperture: Any, sky: Any, options: dict[str, Any]) -> xr.Dataset:
        if not self._is_result:
            return self._result
        if aperture is None and sky is None:
            return best(self._result, source, **options)
        return curve_of(self._result, source, aperture, sky, **options)

    def lightcurve(
        self, source: Any = None, aperture: Any = None, sky: Any = None, normalise: bool | str = False
    ) -> xr.Dataset:
        """Take a light curve; see `tsogrid.analysis.lightcurve.light_curve`."""
        return light_curve(self._result, source, aperture, sky, normalise)

    def relative(self, source: Any = None, aperture: Any = None, sky: Any = None, **options: Any) -> xr.Dataset:
        """Divide a source by its reference stars; see `tsogrid.analysis.reference.relative`."""
        return relative(self._result, source, aperture, sky, **options)

    def best(self, source: Any = None, relative: bool | None = None, **options: Any) -> xr.Dataset:
        """Take the light curve that scatters least; see `tsogrid.analysis.choice.best`."""
        return best(self._result, source, relative, **options)

    def score(self, source: Any = None, relative: bool | None = None, **options: Any) -> xr.Dataset:
        """Score every aperture over every sky; see `tsogrid.analysis.choice.score`."""
        return score(self._result, source, relative, **options)

    def bin(
        self,
        count: int | None = None,
        width: Any = None,
        method: str = "mean",
        *,
        source: Any = None,
        aperture: Any = None,
        sky: Any = None,
        **options: Any,
    ) -> xr.Dataset:
        """Average a light curve in bins; see `tsogrid.analysis.binning.bin_light_curve`."""
        return bin_light_curve(self._curve(source, aperture, sky, options), count, width, method)

    def allan(
        self, number: int = 20, *, source: Any = None, aperture: Any = None, sky: Any = None, **options: Any
    ) -> xr.Dataset:
        """Average a light curve over longer and longer bins; see `tsogrid.analysis.averaging.allan`."""
        return allan(self._curve(source, aperture, sky, options), number)

    def detrend(
        self,
        regressors: Any = None,
        order: int | None = None,
        transit: Any = None,
        *,
        source: Any = None,
        aperture: Any = None,
        sky: Any = None,
        relative: bool | None = None,
        result: xr.Dataset | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Take off what pointing, sky, time explain; see `tsogrid.analysis.detrend.detrend`.

        A light curve takes positions, widths and sky from the `result` that it was taken out of.
        """
        curve = self._curve(source, aperture, sky, {"relative": relative})
        return detrend(curve, regressors, order, transit, result=self._result if result is None else result, **options)

    def noise(self, source: Any = None, aperture: Any = None, sky: Any = None, **known: Any) -> xr.Dataset:
        """Say where the noise comes from; see `tsogrid.analysis.noise.noise`."""
        return noise(self._result, source, aperture, sky, **known)

    def stats(
        self, source: Any = None, aperture: Any = None, sky: Any = None, relative: bool | None = None, **options: Any
    ) -> pd.DataFrame:
        """Make a table of how light curves scatter; see `tsogrid.analysis.stats.stats`."""
        return stats(self._result, source, aperture, sky, relative, **options)

    def flag_table(self) -> pd.DataFrame:
        """Count the flags; see `tsogrid.analysis.flag_table.flag_table`."""
        return flag_table(self._result)

    def failures(self) -> pd.DataFrame:
        """List the frames without a flux, and why; see `tsogrid.analysis.failures.failures`."""
        return failures(self._result)

    def report(self, path: Any, frames: Any = None, time_reference: float | None = None) -> Any:
        """Write all there is to say as one HTML file; see `tsogrid.view.report.report`."""
        return report(self._result, path, frames, time_reference)

    def to_dataframe(self, sky: Any = None) -> pd.DataFrame:
        """Make a flat table; see `tsogrid.analysis.dataframe.to_dataframe` and, of light curves, `curve_dataframe`."""
        return to_dataframe(self._result, sky) if self._is_result else curve_dataframe(self._result)

    def to_table(self) -> Table:
        """Make an astropy table; see `tsogrid.export.plain_table` and, of light curves, `analysis.table.to_table`."""
        return plain_table(self._result) if self._is_result else to_table(self._result)

    def to_lightkurve(self, source: Any = None, aperture: Any = None, sky: Any = None) -> Any:
        """Make a light curve of lightkurve; see `tsogrid.export.light_curve_fits.to_lightkurve`."""
        return to_lightkurve(self._result, source, aperture, sky)

    @property
    def plot(self) -> "Plots":
        """Draw; see `tsogrid.view`."""
        return Plots(self)


class Plots:
    """Drawings of a result or light curve, reached as ``result.tso.plot``; each gives its axes back."""

    def __init__(self, accessor: TsoAccessor) -> None:
        self._accessor = accessor

    def light_curve(
        self, axes: Any = None, *, source: Any = None, aperture: Any = None, sky: Any = None, bins: int = 40,
        model: Any = None, time_reference: float | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """Draw a light curve; see `tsogrid.view.plot.light_curve`."""
        curve = self._accessor._curve(source, aperture, sky, options)
        return light_curve_plot(curve, axes or new_axes(), bins=bins, model=model, time_reference=time_reference)

    def noise(self, axes: Any = None, *, source: Any = None, aperture: Any = None, sky: Any = None, **options: Any) -> Any:
        """Draw noise against the size of bins; see `tsogrid.view.noise.noise`."""
        averaged = allan(self._accessor._curve(source, aperture, sky, options))
        return noise_plot(averaged, axes or new_axes())

    def scores(self, axes: Any = None, *, name: str = "clipped", source: Any = None, **options: Any) -> Any:
        """Draw the scatter in every aperture over every sky; see `tsogrid.view.scores.scores`."""
        return scores_plot(self._accessor.score(source, **options), axes or new_axes(), name=name)

    def positions(self, axes: Any = None, *, source: Any = None, time_reference: float | None = None) -> Any:
        """Draw how the apertures' centre moves; see `tsogrid.view.series.positions`."""
        return series.positions(self._accessor._result, axes or new_axes(), source=source, time_reference=time_reference)

    def widths(self, axes: Any = None, *, source: Any = None, time_reference: float | None = None) -> Any:
        """Draw the widths of the star; see `tsogrid.view.series.widths`."""
        return series.widths(self._accessor._result, axes or new_axes(), source=source, time_reference=time_reference)

    def sky(self, axes: Any = None, *, source: Any = None, time_reference: float | None = None) -> Any:
        """Draw the level of every sky; see `tsogrid.view.series.sky`."""
        return series.sky(self._accessor._result, axes or new_axes(), source=source, time_reference=time_reference)

    def flux_position(
        self, axes: Any = None, *, source: Any = None, aperture: Any = None, sky: Any = None, **options: Any
    ) -> Any:
        """Draw the flux against the position; see `tsogrid.view.series.flux_position`."""
        curve = self._accessor._curve(source, aperture, sky, options)
        return series.flux_position(self._accessor._result, curve, axes or new_axes(), source=source)

    def star_map(self, frames: xr.Dataset, axes: Any = None, **options: Any) -> Any:
        """Draw apertures and sky regions on the median frame; see `tsogrid.view.star_map.star_map`."""
        return star_map(self._accessor._result, frames, axes or _picture(frames), **options)

    def stamps(self, frames: xr.Dataset, figure: Any = None, **options: Any) -> Any:
        """Draw each source with its apertures; see `tsogrid.view.stamps.stamps`."""
        return stamps(self._accessor._result, frames, figure, **options)

    def bad_pixels(self, frames: xr.Dataset, axes: Any = None, **options: Any) -> Any:
        """Draw how often each pixel is bad; see `tsogrid.view.bad_pixels.bad_pixels`."""
        return bad_pixels(self._accessor._result, frames, axes or _picture(frames), **options)

    def one_over_f(self, frames: xr.Dataset, figure: Any = None, **options: Any) -> Any:
        """Draw a frame before and after the row model; see `tsogrid.view.one_over_f.one_over_f`."""
        return one_over_f.one_over_f(self._accessor._result, frames, figure, **options)

    def row_levels(self, frames: xr.Dataset, axes: Any = None, **options: Any) -> Any:
        """Draw the levels of the rows before and after the row model; see `tsogrid.view.one_over_f.row_levels`."""
        return one_over_f.row_levels(self._accessor._result, frames, axes or new_axes(), **options)


def _picture(frames: xr.Dataset) -> Any:
    return new_picture((frames.sizes["y"], frames.sizes["x"])).subplots()
