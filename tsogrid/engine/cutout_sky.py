"""A sky model of a cut-out about each source: polynomials along its columns and rows, and what they leave in an aperture."""

from dataclasses import dataclass

import numpy as np

from tsogrid.config import ColumnRow
from tsogrid.engine.apertures import Circles, Group, Places, scale_of
from tsogrid.engine.cutouts import cut_out, region_of
from tsogrid.kernels.colrow import ColumnRow as Fit
from tsogrid.kernels.colrow import column_row
from tsogrid.kernels.colrow_variance import column_row_circle_variance, column_row_variance


@dataclass(frozen=True)
class CutoutModel:
    """The model of each source's cut-out; m = n frames × n_sources, source fastest.

    Parameters
    ----------
    step : ColumnRow
        What was fitted.
    residual : ndarray, shape (m, h, w)
        Pixels less the model.
    error : ndarray, shape (m, h, w), or None
        Errors of the pixels.
    fit : Fit
        The model, and what its variance needs.
    places : Places
        Where each source is in its cut-out; arrays of shape (m, 1).
    area : ndarray, shape (m,)
        Pixels that could be fitted.
    """

    step: ColumnRow
    residual: np.ndarray
    error: np.ndarray | None
    fit: Fit
    places: Places
    area: np.ndarray

    def inside(self, group: Group, area: np.ndarray, everywhere: bool) -> tuple[np.ndarray, np.ndarray]:
        """Give the model inside each aperture of a group, and its variance.

        Parameters
        ----------
        group : Group
            Apertures.
        area : ndarray, shape (n, n_sources, group.count)
            Area of the good pixels of the frame.
        everywhere : bool
            Whether bad pixels count, too.

        Returns
        -------
        total, variance : ndarray, shape (n, n_sources, group.count)
            NaN for an aperture that reaches out of the cut-out.
        """
        model = self.fit.model
        if not everywhere:
            model = np.where(np.isfinite(self.residual), model, model.dtype.type(np.nan))
        sums = group.sums(model, None, self.places, "w2")
        total = np.where(sums.area.reshape(area.shape) >= area * (1 - 1e-12), sums.sum.reshape(area.shape), np.nan)
        fitted, x, y = (self.fit, self.error), self.places.x, self.places.y
        orders = (self.step.order_x, self.step.order_y)
        if isinstance(group, Circles):
            good = np.isfinite(model)
            variance = column_row_circle_variance(*fitted, good, x, y, group.radius, *orders, self.step.directions)
        else:
            each = (group.weights(model, self.places, index) for index in range(group.count))
            variances = [column_row_variance(*fitted, weights, *orders, self.step.directions) for weights in each]
            variance = np.stack(variances, axis=1)
        return total, np.where(np.isfinite(total), variance.reshape(area.shape), np.nan)


def column_row_model(step: ColumnRow, data: np.ndarray, error: np.ndarray | None, places: Places) -> CutoutModel:
    """Fit polynomials along the columns and rows of a cut-out about each source.

    Parameters
    ----------
    step : ColumnRow
        Region, orders, directions.
    data, error : ndarray, shape (n, ny, nx)
        Pixels and their errors (None if unknown).
    places : Places
        Where the sources are.

    Returns
    -------
    CutoutModel
    """
    growth = np.zeros(places.x.shape)
    if step.scaled is not None:
        growth = scale_of(step.scaled, step.scaled.factor, places.fwhm) - step.scaled.reference_radius
    wanted = _reach(step, float(np.nanmax(growth, initial=0.0)))
    # A width that failed may be as large as its range allows; beyond the frame's far corner there is nothing to cut out.
    reach_y, reach_x = (
        min(reach, size + int(np.nanmax(np.abs(at), initial=0.0)) + 1)
        for reach, size, at in zip(reversed(wanted), data.shape[1:], (places.y, places.x), strict=True)
    )
    cut = cut_out(data, places.x, places.y, reach_y, reach_x)
    cut_error = None if error is None else cut_out(error, places.x, places.y, reach_y, reach_x).data
    region: np.ndarray = region_of(step, cut.x, cut.y, cut.data.shape[1:], growth.reshape(-1))
    fit = column_row(cut.data, region, step.order_x, step.order_y, step.directions)
    # Beyond the region's own box nothing is known of the sky.
    box = np.logical_or.reduce(region, axis=2)[:, :, None] & np.logical_or.reduce(region, axis=1)[:, None, :]
    np.copyto(fit.model, np.nan, where=~box)
    return CutoutModel(
        step=step,
        residual=cut.data - fit.model,
        error=cut_error,
        fit=fit,
        places=Places(cut.x, cut.y, places.fwhm.reshape(-1, 1)),
        area=(region & np.isfinite(cut.data)).sum(axis=(1, 2)).astype(float),
    )


def _reach(step: ColumnRow, growth: float) -> tuple[int, int]:
    """How far a cut-out must reach from its source along x and y to hold the region, in pixels."""
    half = (step.outer, step.outer) if step.outer is not None else (float(step.width or 0) / 2, float(step.height or 0) / 2)
    return tuple(int(np.ceil(size + growth + abs(shift))) + 2 for size, shift in zip(half, step.offset, strict=True))  # type: ignore[return-value]
