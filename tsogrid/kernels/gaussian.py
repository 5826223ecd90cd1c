"""Fit of a pixel-integrated two-dimensional Gaussian to every source of every frame.

The model of a pixel is ``offset + amplitude · ∫∫ exp(−q/2)`` over that pixel, so that the flux is 2π · amplitude · σ_x
· σ_y and an undersampled star is not biased. Weights follow the model by default: weights from measured errors favour
pixels that scattered low, and bias the amplitude; weights from the model do not, and reach the Cramér–Rao bound.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.kernels.box import box_start, check_positions, odd_width, on_grid
from tsogrid.kernels.centroid import box_edge_level
from tsogrid.kernels.compile import kernel, part
from tsogrid.kernels.gaussian_models import LANES
from tsogrid.kernels.gaussian_solver import solve, solver_work
from tsogrid.kernels.gaussian_start import (
    ERROR,
    FIXED,
    MODEL_OF_ERROR,
    MODEL_OF_GAIN,
    load_box,
    refit_noise,
    start_values,
)


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
    noise = np.zeros(3)
    weighting = _weighting(weights, error is not None, gain)
    if weighting == MODEL_OF_GAIN:
        electrons = 0.0 if math.isnan(read_noise) else read_noise
        if not gain > 0 or electrons < 0:
            raise ValueError(f"gain must be positive and read noise not negative, found {gain} and {read_noise}")
        noise[:] = (electrons / gain) ** 2, 1 / gain, 0.25 * max(electrons**2, 1.0) / gain**2
    known = np.zeros(columns.shape) if level is None else np.ascontiguousarray(level, np.float64)
    if known.shape != columns.shape:
        raise ValueError(f"expected levels of shape {columns.shape}, found {known.shape}")
    free = [0] + [1] * fit_offset + [2, 3] * (not fixed_center) + [4, 5] + [6] * angle
    values = np.full((len(GaussianFit._fields) - 1, *columns.shape), np.nan)
    converged = np.zeros(columns.shape, dtype=np.bool_)
    padded = (width + LANES - 1) // LANES * LANES
    _fit(
        data,
        data if error is None else np.ascontiguousarray(error),
        columns,
        rows,
        width,
        weighting,
        noise,
        np.array(free, dtype=np.int64),
        True if angle else None,
        bool(fixed_center),
        box_edge_level(data, columns, rows, width) if fit_offset else known,
        weights == "none" or weighting == FIXED,
        int(max_iterations),
        np.empty((3, width + 1, padded)),  # rows are added up two at a time
        np.empty((2, width + 1, padded)),
        np.empty(7),
        np.empty((7, 7)),
        solver_work(padded),
        values,
        converged,
    )
    return GaussianFit._make([*values, converged])


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
    found = np.full((len(GaussianFit._fields) - 1, m, 1), np.nan)
    converged = np.zeros((m, 1), dtype=np.bool_)
    padded = (width + LANES - 1) // LANES * LANES
    good = np.isfinite(values)
    first, last = good.argmax(axis=1), width - 1 - good[:, ::-1].argmax(axis=1)
    lines = np.arange(m)
    # The level of a sum may be many times the star's height: without it, steps as small as rounding are small enough.
    level = 0.5 * (values[lines, first] + values[lines, last])
    _fit(
        (values - level[:, None])[:, None, :],
        np.ascontiguousarray(values if error is None else error)[:, None, :],
        np.full((m, 1), float(width // 2)),
        np.zeros((m, 1)),
        width,
        weighting,
        np.zeros(3),
        np.array([0, 1, 2, 4], dtype=np.int64),
        None,
        False,
        np.where(np.isfinite(level), 0.0, np.nan)[:, None],
        weights == "none" or weighting == FIXED,
        50,
        np.empty((3, width + 1, padded)),
        np.empty((2, width + 1, padded)),
        np.empty(7),
        np.empty((7, 7)),
        solver_work(padded),
        found,
        converged,
    )
    fit = GaussianFit._make([*found[:, :, 0], converged[:, 0]])
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


@part
def _write_upright(values, frame, source, parameters, covariance):  # type: ignore[no-untyped-def]
    values[2, frame, source] = parameters[4]
    values[3, frame, source] = parameters[5]
    values[4, frame, source] = 0.0
    values[9, frame, source] = math.sqrt(covariance[4, 4])
    values[10, frame, source] = math.sqrt(covariance[5, 5])
    values[11, frame, source] = 0.0


@part
def _write_rotated(values, frame, source, parameters, covariance):  # type: ignore[no-untyped-def]
    """Widths and angle from the inverse covariance, and their errors to first order."""
    a, b, c = parameters[4], parameters[5], parameters[6]
    middle = 0.5 * (a + c)
    reach = math.sqrt((0.5 * (a - c)) ** 2 + b * b)
    theta = 0.5 * math.atan2(-2.0 * b, c - a)
    cosine, sine = math.cos(theta), math.sin(theta)
    # Change of each eigenvalue, and turn of the axes, per change of (a, b, c).
    along = (cosine * cosine, 2 * cosine * sine, sine * sine)
    across = (sine * sine, -2 * cosine * sine, cosine * cosine)
    turn = (-cosine * sine, cosine * cosine - sine * sine, cosine * sine)
    variance_along, variance_across, variance_turn = 0.0, 0.0, 0.0
    for k in range(3):
        for m in range(3):
            element = covariance[4 + k, 4 + m]
            variance_along += along[k] * along[m] * element
            variance_across += across[k] * across[m] * element
            variance_turn += turn[k] * turn[m] * element
    sigma_along, sigma_across = 1 / math.sqrt(middle - reach), 1 / math.sqrt(middle + reach)
    values[2, frame, source] = sigma_along
    values[3, frame, source] = sigma_across
    values[4, frame, source] = theta
    values[9, frame, source] = 0.5 * sigma_along**3 * math.sqrt(variance_along)
    values[10, frame, source] = 0.5 * sigma_across**3 * math.sqrt(variance_across)
    values[11, frame, source] = math.sqrt(variance_turn) / (2 * reach)


@kernel
def _fit(  # type: ignore[no-untyped-def]
    data,
    error,
    x,
    y,
    width,
    weighting,
    noise,
    free,
    rotated,
    fixed_center,
    level,
    scale_errors,
    limit,
    boxes,
    weights,
    parameters,
    covariance,
    work,
    values,
    converged,
):
    value, base, smooth = boxes[0], boxes[1], boxes[2]
    reweight = weighting >= MODEL_OF_ERROR
    for frame in range(x.shape[0]):
        for source in range(x.shape[1]):
            if math.isnan(x[frame, source]) or math.isnan(y[frame, source]):
                continue
            left = box_start(x[frame, source], width)
            low = box_start(y[frame, source], width)
            first_i, first_j = max(0, left), max(0, low)
            nx = min(left + width, data.shape[2]) - first_i
            ny = min(low + width, data.shape[1]) - first_j
            if nx <= 0 or ny <= 0:
                continue
            load_box(data, error, frame, first_j, first_i, ny, nx, weighting, value, base, noise)
            for k in range(7):
                parameters[k] = 0.0
            if not start_values(
                value, base, ny, nx, level[frame, source], rotated, weights[0], weights[1], smooth, parameters
            ):
                continue
            if fixed_center:
                parameters[2] = x[frame, source] - first_i
                parameters[3] = y[frame, source] - first_j
            # Twice where the noise is a line through the errors: the second time against the model that was found.
            used = -1
            for attempt in range(1 + (weighting == MODEL_OF_ERROR)):
                if attempt == 1:
                    refit_noise(error, frame, first_j, first_i, ny, nx, base, weights[used], noise)
                used = solve(
                    parameters,
                    free,
                    rotated,
                    ny,
                    nx,
                    width,
                    value,
                    base,
                    weights,
                    noise,
                    reweight,
                    scale_errors,
                    limit,
                    work,
                    covariance,
                )
                if used < 0:
                    break
            if used < 0:
                continue
            converged[frame, source] = True
            if fixed_center:
                values[0, frame, source] = x[frame, source]
                values[1, frame, source] = y[frame, source]
            else:
                values[0, frame, source] = first_i + on_grid(parameters[2])
                values[1, frame, source] = first_j + on_grid(parameters[3])
            values[5, frame, source] = parameters[0]
            values[6, frame, source] = parameters[1]
            values[7, frame, source] = math.sqrt(covariance[2, 2])
            values[8, frame, source] = math.sqrt(covariance[3, 3])
            values[12, frame, source] = math.sqrt(covariance[0, 0])
            values[13, frame, source] = math.sqrt(covariance[1, 1])
            if rotated is not None:
                _write_rotated(values, frame, source, parameters, covariance)
            else:
                _write_upright(values, frame, source, parameters, covariance)
