"""Fit of a one-dimensional Gaussian to each of the two marginal sums of the box around a source.

The sums over the rows, and over the columns, of the box are lines of a frame of one row: the fit of pixel-integrated
Gaussians (`tsogrid.kernels.gaussian`) does the rest, with its weights and its rules for what counts. A sum holds the noise
of the whole box, so that the fit to all pixels is the better one for faint sources; and a bad pixel has to be filled first.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.box import box_start, check_positions, odd_width
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.correlation import fill_window
from tsogrid.kernels.gaussian import GaussianFit, line_fit
from tsogrid.kernels.sky import check_error
from tsogrid.kernels.statistics import INTEGERS, SAMPLE

REFILLS = 5  # fits after the first, where there are bad pixels


class MarginalFit(NamedTuple):
    """Fitted parameters and their 1 σ errors, each (n, ns); NaN, and converged False, where a fit failed.

    Positions and widths are in pixels, offset in the unit of data, amplitude in that unit per square pixel.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    sigma_x: NDArray[np.float64]
    sigma_y: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    offset: NDArray[np.float64]
    x_err: NDArray[np.float64]
    y_err: NDArray[np.float64]
    sigma_x_err: NDArray[np.float64]
    sigma_y_err: NDArray[np.float64]
    amplitude_err: NDArray[np.float64]
    offset_err: NDArray[np.float64]
    converged: NDArray[np.bool_]


def marginal_gaussian_fit(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: ArrayLike,
    y: ArrayLike,
    box: int,
    *,
    weights: str = "model",
) -> MarginalFit:
    """Fit a Gaussian and a constant to the sums over the rows, and over the columns, of a box around each source.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Frames, float32 or float64. A bad (non-finite) pixel counts as the mean of its good neighbours in 3 × 3 pixels, else
        in 5 × 5, else as the median of the box; then as what the fit says of it, with which the fit is repeated five times.
    error : ndarray, shape (n, ny, nx), or None
        1 σ errors, of the type of data; those of bad pixels are not used.
    x, y : array_like, shape (n, ns)
        Guesses in pixels, 0-based; NaN gives a failed fit.
    box : int
        Full width of the box in pixels (even is rounded down), centred on the pixel nearest the guess, clipped to the
        frame.
    weights : {"model", "error", "none"}
        As in `tsogrid.kernels.gaussian.gaussian_fit`, for the marginal sums and the errors that they have; without errors
        ``model`` is as ``none``.

    Returns
    -------
    MarginalFit
        The amplitude and the offset are the mean of what the two fits say, and so are their errors (the fits share the noise
        of the pixels, and the correlation of amplitude and width is left out).

    Raises
    ------
    ValueError
        If shapes, types or the width of the box do not fit, or the weights are unknown or need errors that are missing.
    """
    columns, rows = check_positions(data, x, y)
    check_error(data, error)
    width = odd_width(box)
    if width < 5:
        raise ValueError(f"a fit needs a box of at least 5 pixels, found {box}")
    count = columns.size
    sums, variances = np.full((2, count, width), np.nan), np.full((2, count, width), np.nan)
    corners = np.zeros((2, count, 4), np.int64)  # the box's first pixel, its range inside the frame, bad pixels
    values = np.full((len(MarginalFit._fields), count), np.nan)
    values[-1] = 0
    chosen, window = np.ones(count, np.bool_), np.empty(width * width)
    keys, profiles = np.empty(width * width + SAMPLE, INTEGERS[data.dtype]), np.empty((2, width))
    for _ in range(1 + REFILLS):
        _marginals(
            data,
            data if error is None else error,
            error is not None,
            columns,
            rows,
            width,
            values,
            chosen,
            window,
            keys,
            profiles,
            sums,
            variances,
            corners,
        )
        which = np.flatnonzero(chosen)
        sigma = np.sqrt(variances[:, which])
        along_x, along_y = (line_fit(sums[k, which], None if error is None else sigma[k], weights=weights) for k in (0, 1))
        values[:, which] = _joined(along_x, along_y, corners[:, which])
        # Where pixels were filled, once more, now with what the fit says of them.
        chosen &= (corners[0, :, 3] > 0) & (values[-1] > 0)
        if not chosen.any():
            break
    shaped = [parameter.reshape(columns.shape) for parameter in values]
    return MarginalFit._make([*shaped[:-1], shaped[-1] > 0])


def _joined(along_x: GaussianFit, along_y: GaussianFit, corners: NDArray[np.int64]) -> list[NDArray[np.generic]]:
    """One set of parameters from the fits along x and y."""
    from scipy.special import erf  # 15 MB, seldom needed

    good = along_x.converged & along_y.converged
    level, level_err, height, height_err = [], [], [], []
    for fit, other, (_, first, last, _), (_, other_first, other_last, _) in (
        (along_x, along_y, corners[0].T, corners[1].T),
        (along_y, along_x, corners[1].T, corners[0].T),
    ):
        good &= (fit.x >= first - 0.5) & (fit.x <= last - 0.5)
        # How much of the profile across lies in the box: what a sum has of it.
        scale = 1 / (math.sqrt(2) * other.sigma_x)
        share = erf((other_last - 0.5 - other.x) * scale) - erf((other_first - 0.5 - other.x) * scale)
        across = other.sigma_x * math.sqrt(math.pi / 2) * share
        lines = other_last - other_first
        level.append(fit.offset / lines)
        level_err.append(fit.offset_err / lines)
        height.append(fit.amplitude / across)
        relative, width = fit.amplitude_err / fit.amplitude, fit.sigma_x_err / fit.sigma_x
        height_err.append(np.hypot(relative, width))
    amplitude = (height[0] + height[1]) / 2
    values = [
        corners[0][:, 0] + along_x.x,
        corners[1][:, 0] + along_y.x,
        along_x.sigma_x,
        along_y.sigma_x,
        amplitude,
        (level[0] + level[1]) / 2,
        along_x.x_err,
        along_y.x_err,
        along_x.sigma_x_err,
        along_y.sigma_x_err,
        amplitude * (height_err[0] + height_err[1]) / 2,
        (level_err[0] + level_err[1]) / 2,
    ]
    return [*(np.where(good, value, np.nan) for value in values), good]


@part
def _fill_from_model(data, frame, left, low, ranges, width, model, profiles, window):  # type: ignore[no-untyped-def]
    """Give bad pixels of the window what the fitted profiles say; return how many are bad.

    ``model`` holds the parameters in the order of `MarginalFit`, NaN before the first fit: then the window stays as it is.
    """
    first_i, last_i, first_j, last_j = ranges
    known = math.isfinite(model[4])
    bad = 0
    for axis in range(2 if known else 0):
        corner = left if axis == 0 else low
        sigma = model[2 + axis]
        for i in range(width):
            edge = (i - 0.5 + corner - model[axis]) / (math.sqrt(2.0) * sigma)
            step = 1.0 / (math.sqrt(2.0) * sigma)
            profiles[axis, i] = sigma * math.sqrt(0.5 * math.pi) * (math.erf(edge + step) - math.erf(edge))
    for j in range(first_j, last_j):
        for i in range(first_i, last_i):
            if not math.isfinite(data[frame, low + j, left + i]):
                bad += 1
                if known:
                    window[j * width + i] = model[5] + model[4] * profiles[0, i] * profiles[1, j]
    return bad


@kernel
def _marginals(  # type: ignore[no-untyped-def]
    data, error, with_error, x, y, width, model, chosen, window, keys, profiles, sums, variances, corners
):
    """Sums of each column (0) and row (1) of the chosen boxes, and their variances; lines outside the frame stay NaN."""
    ny, nx = data.shape[1], data.shape[2]
    for frame in range(x.shape[0]):
        for source in range(x.shape[1]):
            index = frame * x.shape[1] + source
            if not chosen[index] or math.isnan(x[frame, source]) or math.isnan(y[frame, source]):
                continue
            left, low = box_start(x[frame, source], width), box_start(y[frame, source], width)
            first_i, last_i = max(0, -left), min(width, nx - left)
            first_j, last_j = max(0, -low), min(width, ny - low)
            corners[0, index, 0], corners[0, index, 1], corners[0, index, 2] = left, first_i, last_i
            corners[1, index, 0], corners[1, index, 1], corners[1, index, 2] = low, first_j, last_j
            if first_i >= last_i or first_j >= last_j:
                continue
            if not fill_window(data, frame, left, low, width, np.int64(0), width, window, keys):
                continue
            corners[0, index, 3] = _fill_from_model(
                data, frame, left, low, (first_i, last_i, first_j, last_j), width, model[:, index], profiles, window
            )
            for i in range(first_i, last_i):
                sums[0, index, i], variances[0, index, i] = 0.0, 0.0
            for j in range(first_j, last_j):
                sums[1, index, j], variances[1, index, j] = 0.0, 0.0
                for i in range(first_i, last_i):
                    sums[0, index, i] += window[j * width + i]
                    sums[1, index, j] += window[j * width + i]
                    if with_error and math.isfinite(data[frame, low + j, left + i]):
                        sigma = np.float64(error[frame, low + j, left + i])
                        variances[0, index, i] += sigma * sigma
                        variances[1, index, j] += sigma * sigma
