"""Fit of a pixel-integrated two-dimensional Gaussian to every source of every frame.

The model of a pixel is ``offset + amplitude · ∫∫ exp(−q/2)`` over that pixel, so that the flux is 2π · amplitude · σ_x
· σ_y and an undersampled star is not biased. Weights follow the model by default: weights from measured errors favour
pixels that scattered low, and bias the amplitude; weights from the model do not, and reach the Cramér–Rao bound.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.box import check_positions, odd_width, on_grid
from tsogrid.kernels.compile import kernel
from tsogrid.kernels.gaussian_boxes import ERROR, FIXED, MODEL_OF_ERROR, MODEL_OF_GAIN, load_boxes, place_boxes
from tsogrid.kernels.gaussian_shape import write_rotated, write_upright
from tsogrid.kernels.gaussian_solver import invert, room, solve, solver_size, solver_work
from tsogrid.kernels.gaussian_start import refit_noise, start_values
from tsogrid.kernels.lane_median import lane_medians
from tsogrid.kernels.vectors import LANES, any_of, read, spread, where, write

_FEW = 72  # vectors for a covariance, parameters and what else there is once for each box


class GaussianFit(NamedTuple):
    """Fitted parameters and their 1 σ errors, each (n, ns); NaN, and converged False, where a fit failed.

    Positions and widths are in pixels, theta in radians, offset in the unit of data, amplitude in that unit per square
    pixel. A parameter that was not fitted has the error 0.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    sigma_x: NDArray[np.float64]
    sigma_y: NDArray[np.float64]
    theta: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    offset: NDArray[np.float64]
    x_err: NDArray[np.float64]
    y_err: NDArray[np.float64]
    sigma_x_err: NDArray[np.float64]
    sigma_y_err: NDArray[np.float64]
    theta_err: NDArray[np.float64]
    amplitude_err: NDArray[np.float64]
    offset_err: NDArray[np.float64]
    converged: NDArray[np.bool_]


def gaussian_fit(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: ArrayLike,
    y: ArrayLike,
    box: int,
    *,
    weights: str = "model",
    angle: bool = False,
    fixed_center: bool = False,
    fit_offset: bool = True,
    level: ArrayLike | None = None,
    gain: float = math.nan,
    read_noise: float = math.nan,
    max_iterations: int = 50,
) -> GaussianFit:
    """Fit a Gaussian, integrated over pixels, to the box around each source of each frame.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        Frames, float32 or float64; a non-finite pixel is left out.
    error : ndarray, shape (n, ny, nx), or None
        1 σ errors, of the type of data. A pixel without a positive finite error is left out if the weights need errors.
    x, y : array_like, shape (n, ns)
        Guesses (or, with ``fixed_center``, the centres) in pixels, 0-based; NaN gives a failed fit.
    box : int
        Full width of the fitted box in pixels (even is rounded down), centred on the pixel nearest the guess, clipped
        to the frame.
    weights : {"model", "error", "none"}
        ``model``: 1 / variance, the variance a straight line in the model that is being fitted: (read_noise / gain)² +
        model / gain if gain is given, else the line through error² against data in the box, else as ``none``.
        ``error``: 1 / error². ``none``: all pixels alike, and errors scaled by χ² per degree of freedom.
    angle : bool
        Fit a rotated Gaussian; then sigma_x is the larger width and theta its direction, counter-clockwise from +x, in
        (−π/2, π/2].
    fixed_center : bool
        Keep the centre where it was given.
    fit_offset : bool
        Fit a constant level below the source; else it is `level`.
    level : array_like, shape (n, ns), optional
        The level below each source where none is fitted; 0 if not given.
    gain : float
        Electrons per unit of data.
    read_noise : float
        Read noise of a pixel in electrons, 0 if not given.
    max_iterations : int
        Number of evaluations of the model after which a fit fails.

    Returns
    -------
    GaussianFit

    Raises
    ------
    ValueError
        If shapes, types or the width of the box do not fit, the weights are unknown or need errors that are missing, or
        gain or read noise is negative.
    """
    columns, rows = check_positions(data, x, y)
    if error is not None and (error.shape != data.shape or error.dtype != data.dtype):
        raise ValueError(f"expected errors like the data, {data.dtype} {data.shape}, found {error.dtype} {error.shape}")
    width = odd_width(box)
    if width < 3:
        raise ValueError(f"a fit needs a box of at least 3 pixels, found {box}")
    weighting, noise = _weighting(weights, error is not None, gain), (0.0, 0.0, 0.0)
    if weighting == MODEL_OF_GAIN:
        electrons = 0.0 if math.isnan(read_noise) else read_noise
        if not gain > 0 or electrons < 0:
            raise ValueError(f"gain must be positive and read noise not negative, found {gain} and {read_noise}")
        noise = (electrons / gain) ** 2, 1 / gain, 0.25 * max(electrons**2, 1.0) / gain**2
    known = np.zeros(columns.shape) if level is None else np.ascontiguousarray(level, np.float64)
    if known.shape != columns.shape:
        raise ValueError(f"expected levels of shape {columns.shape}, found {known.shape}")
    return _fitted(
        data,
        error,
        columns,
        rows,
        (width, width),
        weighting,
        noise,
        _which(True, fit_offset, not fixed_center, not fixed_center, True, True, angle),
        True if angle else None,
        bool(fixed_center),
        None if fit_offset else known,
        weights == "none" or weighting == FIXED,
        int(max_iterations),
    )


def line_fit(values: NDArray[np.float64], error: NDArray[np.float64] | None, *, weights: str = "model") -> GaussianFit:
    """Fit a pixel-integrated Gaussian and a constant to lines, each as the only row of a frame.

    Parameters
    ----------
    values : ndarray, shape (m, width)
        Non-finite ones are left out.
    error : ndarray, shape (m, width), or None
        1 σ errors.
    weights : {"model", "error", "none"}
        As in `gaussian_fit`.

    Returns
    -------
    GaussianFit
        Each (m,); the amplitude is that of the line, and what belongs to the other axis is 0. The first guess begins at the
        mean of the line's first and last good values.

    Raises
    ------
    ValueError
        If the weights are unknown or need errors that are missing.
    """
    from scipy.special import erf  # 15 MB, seldom needed

    m, width = values.shape
    weighting = _weighting(weights, error is not None, math.nan)
    good = np.isfinite(values)
    first, last = good.argmax(axis=1), width - 1 - good[:, ::-1].argmax(axis=1)
    lines = np.arange(m)
    # The level of a sum may be many times the star's height: without it, steps as small as rounding are small enough.
    level = 0.5 * (values[lines, first] + values[lines, last])
    fit = _fitted(
        (values - level[:, None])[:, None, :],
        None if error is None else np.ascontiguousarray(error)[:, None, :],
        np.full((m, 1), float(width // 2)),
        np.zeros((m, 1)),
        (1, width),
        weighting,
        (0.0, 0.0, 0.0),
        _which(True, True, True, False, True, False, False),
        None,
        False,
        np.where(np.isfinite(level), 0.0, np.nan)[:, None],
        weights == "none" or weighting == FIXED,
        50,
    )
    fit = GaussianFit._make(each[:, 0] for each in fit)
    # The one row holds this much of the profile across it, whose width is any.
    across = fit.sigma_y * math.sqrt(2 * math.pi) * erf(0.5 / (math.sqrt(2) * fit.sigma_y))
    zero = np.where(fit.converged, 0.0, np.nan)
    return fit._replace(
        amplitude=fit.amplitude * across,
        offset=fit.offset + level,
        amplitude_err=fit.amplitude_err * across,
        y=zero,
        sigma_y=zero,
        y_err=zero,
        sigma_y_err=zero,
    )


def _weighting(weights: str, with_error: bool, gain: float) -> int:
    """Code of the weights."""
    if weights == "none":
        return FIXED
    if weights == "error":
        if not with_error:
            raise ValueError('weights="error" needs errors, found none')
        return ERROR
    if weights == "model":
        if not math.isnan(gain):
            return MODEL_OF_GAIN
        return MODEL_OF_ERROR if with_error else FIXED
    raise ValueError(f'weights must be "model", "error" or "none", found {weights!r}')


@lru_cache(maxsize=16)
def _which(*fitted: bool) -> NDArray[np.bool_]:
    """Whether each parameter is fitted, as the kernel takes it."""
    return np.array(fitted)


def _fitted(
    data: NDArray[np.floating],
    error: NDArray[np.floating] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    shape: tuple[int, int],
    weighting: int,
    noise: tuple[float, float, float],
    free: NDArray[np.bool_],
    rotated: bool | None,
    fixed_center: bool,
    level: NDArray[np.float64] | None,
    scale_errors: bool,
    limit: int,
) -> GaussianFit:
    """Fit boxes of this shape; without a level it is the median of the box's edge."""
    values = np.empty((len(GaussianFit._fields) - 1, *x.shape))
    converged = np.zeros(x.shape, dtype=np.bool_)
    _fit(
        data,
        data if error is None else np.ascontiguousarray(error),
        x,
        y,
        *shape,
        weighting,
        *noise,
        free,
        rotated,
        fixed_center,
        x if level is None else level,
        level is None,
        scale_errors,
        limit,
        values,
        converged,
    )
    return GaussianFit._make([*values, converged])


@kernel
def _fit(  # type: ignore[no-untyped-def]
    data,
    error,
    x,
    y,
    ny,
    nx,
    weighting,
    constant,
    slope,
    floor,
    free,
    rotated,
    fixed_center,
    level,
    level_of_edge,
    scale_errors,
    limit,
    values,
    converged,
):
    pixels = ny * nx
    scratch = np.empty((5 * pixels + _FEW + solver_size(ny, nx), LANES))
    value, base, variance = room(scratch, 0, pixels), room(scratch, pixels, pixels), room(scratch, 2 * pixels, pixels)
    weights = room(scratch, 3 * pixels, pixels), room(scratch, 4 * pixels, pixels)
    few = room(scratch, 5 * pixels, _FEW)
    work = solver_work(scratch, 5 * pixels + _FEW, ny, nx)
    covariance = room(few, 0, 49).reshape((7, 7, LANES))
    parameters, noise, all_limits = room(few, 49, 7), room(few, 56, 3), room(few, 59, 10).reshape((2, 5, LANES))
    levels, flags, scales = room(few, 69, 1), room(few, 70, 1), room(few, 71, 1)
    reweight = weighting >= MODEL_OF_ERROR
    width = max(ny, nx)
    n = 6 if rotated is None else 7
    column, line = work[7], work[8]
    all_corners = np.zeros((2, 4, LANES), np.int64)
    values[:] = np.nan
    there = place_boxes(x, y, np.int64(0), ny, nx, data, all_corners[0], all_limits[0])
    for first in range(0, x.size, LANES):
        this = first // LANES % 2
        corners, limits, following = all_corners[this], all_limits[this], all_corners[1 - this]
        some, there = there, place_boxes(x, y, first + LANES, ny, nx, data, following, all_limits[1 - this])
        if not some:
            continue
        for lane in range(LANES):
            index = min(first + lane, x.size - 1)
            levels[0, lane] = level[index // x.shape[1], index % x.shape[1]]
        write(noise, 0, constant)
        write(noise, 1, slope)
        write(noise, 2, floor)
        count, on_edge = load_boxes(
            data, error, corners, following, ny, nx, weighting, value, base, variance, weights[0], noise
        )
        write(limits, 4, count)
        if level_of_edge:
            write(levels, 0, lane_medians(weights[0], on_edge))
        good = start_values(value, base, ny, nx, read(levels, 0), rotated, weights[0], parameters)
        if fixed_center:
            for lane in range(min(LANES, x.size - first)):
                frame, source = (first + lane) // x.shape[1], (first + lane) % x.shape[1]
                parameters[2, lane] = x[frame, source] - corners[2, lane]
                parameters[3, lane] = y[frame, source] - corners[1, lane]
        # Twice where the noise is a line through the errors: the second time against the model that was found.
        last = np.int64(weighting == MODEL_OF_ERROR)
        for attempt in range(1 + last):
            if attempt == 1:
                refit_noise(parameters, rotated, ny, nx, base, variance, column, line, noise)
            good = solve(
                good, parameters, free, rotated, ny, nx, width, limits, value, base, weights, noise, reweight, scale_errors,
                limit, attempt < last, attempt == 1, work, scales,
            )  # fmt: skip
            if not any_of(good):
                break
            good = good & invert(work[0], free, n, work[6], work[5], covariance)
        write(flags, 0, where(good, 1.0, spread(0.0)))
        scale = read(scales, 0)
        for k in range(7 * n):
            write(covariance, k, read(covariance, k) * scale)
        for lane in range(min(LANES, x.size - first)):
            if flags[0, lane] == 0.0:
                continue
            frame, source = (first + lane) // x.shape[1], (first + lane) % x.shape[1]
            converged[frame, source] = True
            found = values[:, frame, source]
            if fixed_center:
                found[0], found[1] = x[frame, source], y[frame, source]
            else:
                found[0] = corners[2, lane] + on_grid(parameters[2, lane])
                found[1] = corners[1, lane] + on_grid(parameters[3, lane])
            found[5] = parameters[0, lane]
            found[6] = parameters[1, lane]
            found[7] = math.sqrt(covariance[2, 2, lane])
            found[8] = math.sqrt(covariance[3, 3, lane])
            found[12] = math.sqrt(covariance[0, 0, lane])
            found[13] = math.sqrt(covariance[1, 1, lane])
            if rotated is not None:
                write_rotated(found, lane, parameters, covariance)
            else:
                write_upright(found, lane, parameters, covariance)
