"""1/f noise as a Gaussian process along the time in which the pixels of an amplifier were read.

The median of a row holds noise that changes from row to row; noise that changes within a row needs its clock. Pixel k of
row r of an amplifier of width W is read at t = (r (W + overhead) + k) · pixel time; amplifiers with an odd index run right
to left. The covariance is a sum of exponentials, which makes the fit linear in the number of pixels (Foreman-Mackey et al.
2017, AJ 154, 220; celerite2). Time scales a factor of 4 apart, from 4 pixels to the frame, sum to 1/f where their variances
are alike; each frame says by itself how large they are: its differences between neighbouring runs of pixels and between
rows, taken robustly, are linear in the variances, and non-negative least squares gives them. Nothing is searched for, so
nothing wanders. Noise that jumps from row to row and is quiet between is no such process: each row has a level of its own
besides, with a variance found alike.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsogrid.errors import ConfigError
from tsogrid.kernels.amplifier import LEAST_PIXELS, row_amplifier
from tsogrid.kernels.statistics import MAD_TO_SIGMA, MEDIAN_ERROR

CLIP = 5.0  # standard deviations from its row: a pixel that is no noise
STEP = 4  # from one time scale to the next, and from one length of run to the next
LEAST_DIFFERENCES = 3  # behind a variance that is believed
LEAST_WHITE = 1e-6  # white variance over that of the processes
LEAST_VARIANCE = 1e-300  # in place of none, where it divides
SOLVED = 1e-5  # of the right side is left when the levels of rows are found
MOST_STEPS = 40

Floats = NDArray[np.float64]


class ReadoutProcess(NamedTuple):
    """Model of the frame and its rows.

    Parameters
    ----------
    model : (n, ny, nx) array
        To subtract.
    line_variance : (n, ny, na) array
        Predicted variance of the model's mean over a row of an amplifier.
    count : (n, ny, na) array
        Pixels of the row that were fitted.
    level : (n, ny, na) array
        Medians of the rows, by which amplifiers are compared.
    """

    model: NDArray[np.floating]
    line_variance: Floats
    count: NDArray[np.int64]  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    level: NDArray[np.floating]


class Noise(NamedTuple):
    """Variances: white; of the rows' own levels; of processes with these time scales (in pixels)."""

    white: float
    rows: float
    variance: Floats
    timescale: Floats


def readout_process(
    data: NDArray[np.floating],
    x: Floats,
    y: Floats,
    bounds: ArrayLike,
    mask_radius: float,
    row_overhead: float,
    timescale: float | None = None,
    even_odd: bool = False,
    first_column: int = 0,
) -> ReadoutProcess:
    """Interpolate the 1/f noise of every amplifier along the time of reading.

    Parameters
    ----------
    data : (n, ny, nx) array of float32 or float64
        Frames, C-contiguous, rows along the fast read-out direction; pixels that are not finite are bad.
    x, y : (n, ns) array of float
        Positions of the sources in pixels; NaN hides nothing.
    bounds : (na, 2) array of int
        First column, and one past the last, of each amplifier, in the order in which they are read.
    mask_radius : float
        Pixels at d ≤ mask_radius from a source are hidden, in pixels.
    row_overhead : float
        Time between the last pixel of a row and the first of the next, in pixels.
    timescale : float, optional
        Of the noise, in pixels; a range of them if not given.
    even_odd : bool
        Take off first the median over all rows of each amplifier's even and odd columns.
    first_column : int
        Column of the detector that the first column of ``data`` is.

    Returns
    -------
    ReadoutProcess
        model is 0 in columns of no amplifier and NaN in an amplifier with fewer than four good pixels. line_variance is
        1 / (N/σ² + 1/P) for N pixels of white variance σ² and the prior variance P of a row's mean (and that of the
        amplifier's median, if P is so small that rows do not mend it). In rows that a source crosses the variance of a mean
        over the h hidden pixels comes to it: of each process with variance a and time scale T the smaller of that of a mean
        of h pixels, and of a h / 6T (a Brownian bridge) + √(a σ² / 2T) (its ends are smoothed data).

    Raises
    ------
    ConfigError
        The package celerite2 is not installed.
    ValueError
        As `row_amplifier`.
    """
    rows = row_amplifier(data, None, x, y, bounds, mask_radius, even_odd, first_column)
    ranges = np.asarray(bounds, np.int64)
    n, ny, nx = data.shape
    result = ReadoutProcess(
        np.zeros(data.shape, data.dtype), np.full(rows.level.shape, np.nan), np.zeros(rows.level.shape, np.int64), rows.level
    )
    row, column = np.arange(ny)[:, None], np.arange(nx)
    for frame in range(n):
        hidden = np.zeros((ny, nx), bool)
        for source in np.flatnonzero(np.isfinite(x[frame]) & np.isfinite(y[frame])):
            hidden |= (column - x[frame, source]) ** 2 + (row - y[frame, source]) ** 2 <= mask_radius**2
        for amplifier, (start, stop) in enumerate(ranges):
            along = slice(None, None, -1 if amplifier % 2 else 1)
            columns = rows.column_level[frame, :, start:stop]
            pixels = (data[frame, :, start:stop] - columns)[:, along].astype(float)
            behind = hidden[:, start:stop][:, along]
            if (np.isfinite(pixels) & ~behind).sum() < LEAST_PIXELS:
                result.model[frame, :, start:stop] = np.nan
                continue
            found, variance, count = _amplifier(pixels, behind, rows.level[frame, :, amplifier], row_overhead, timescale)
            result.model[frame, :, start:stop] = found[:, along] + columns
            result.line_variance[frame, :, amplifier] = variance
            result.count[frame, :, amplifier] = count
    return result


def _amplifier(
    pixels: Floats, hidden: NDArray[np.bool_], level: NDArray[np.floating], overhead: float, timescale: float | None
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Model (ny, W), variance and count of the rows (ny,) of one amplifier, its pixels in the order of reading."""
    good = np.isfinite(pixels) & ~hidden
    center = float(np.median(pixels[good]))
    pixels = np.where(good, pixels - center, 0.0)
    about = np.where(np.isfinite(level), level - center, 0.0)[:, None]
    distance = np.abs(pixels - about)
    good &= distance <= CLIP * MAD_TO_SIGMA * float(np.median(distance[good]))
    pixels = np.where(good, pixels, 0.0)
    count = good.sum(axis=1)
    noise = measured_noise(pixels, good, overhead, timescale)
    model = _model(pixels, good, noise, overhead) + center
    return model, _line_variance(noise, count, hidden.sum(axis=1), pixels.shape[1]), count


def _model(pixels: Floats, good: NDArray[np.bool_], noise: Noise, overhead: float) -> Floats:
    """Process and levels of rows, the most probable together; (ny, W)."""
    ny, width = pixels.shape
    flat, row = good.reshape(-1), np.nonzero(good)[0]
    time = (np.arange(ny)[:, None] * (width + overhead) + np.arange(width)).reshape(-1)
    values = pixels.reshape(-1)[flat]
    process = _process(noise, time[flat])
    solve = process.apply_inverse if process else (lambda each: each / max(noise.white, LEAST_VARIANCE))

    def by_row(each: Floats) -> Floats:
        return np.asarray(np.bincount(row, solve(each), ny), np.float64)

    level = np.zeros(ny)
    if noise.rows > 0:
        level = _conjugate_gradients(lambda each: by_row(each[row]) + each / noise.rows, by_row(values))
    model = np.repeat(level[:, None], width, axis=1)
    if process:
        model += np.asarray(process.predict(values - level[row], t=time)).reshape(pixels.shape)
    return model


def _process(noise: Noise, time: Floats) -> Any:
    """The process of celerite2 at these times, None if nothing but white noise was found."""
    celerite2 = require_celerite2()
    present = noise.variance > 0
    if not present.any():
        return None
    terms = [
        celerite2.terms.RealTerm(a=a, c=1 / T)
        for a, T in zip(noise.variance[present], noise.timescale[present], strict=True)
    ]
    process = celerite2.GaussianProcess(terms[0] if len(terms) == 1 else celerite2.terms.TermSum(*terms))
    white = max(noise.white, LEAST_WHITE * float(noise.variance.sum()))  # without any, the matrix has no inverse
    process.compute(time, diag=np.full(time.size, white), check_sorted=False)
    return process


def _conjugate_gradients(multiply: Callable[[Floats], Floats], wanted: Floats) -> Floats:
    """Solve multiply(x) = wanted, symmetric and positive definite (Hestenes & Stiefel 1952)."""
    found, left = np.zeros(wanted.size), wanted
    direction, square = left, float(np.sum(left * left))
    enough = SOLVED**2 * square
    for _ in range(MOST_STEPS):
        if square <= enough:
            break
        product = multiply(direction)
        step = square / float(np.sum(direction * product))
        found, left = found + step * direction, left - step * product
        before, square = square, float(np.sum(left * left))
        direction = left + square / before * direction
    return found


def _row_variance(noise: Noise, width: int) -> float:
    """Variance of the mean of the process over a row."""
    return float(sum(a * _mean_variance(width, T) for a, T in zip(noise.variance, noise.timescale, strict=True)))


def _line_variance(noise: Noise, count: NDArray[np.int64], hidden: NDArray[np.int64], width: int) -> Floats:
    """Predicted variance of the model's level in each row; see `readout_process`."""
    white = max(noise.white, LEAST_VARIANCE)
    prior = max(_row_variance(noise, width) + noise.rows, LEAST_VARIANCE)
    variance = np.asarray(1 / (count / white + 1 / prior), np.float64)
    # The level about which all vary is a median, whose error the rows of a source share as far as they do not mend it.
    center = MEDIAN_ERROR**2 * white / max(int(count.sum()), 1)
    variance += max(int(np.count_nonzero(hidden)), 1) * center * (variance / prior) ** 2
    for row in np.flatnonzero(hidden):
        length = int(hidden[row])
        for a, scale in zip(noise.variance, noise.timescale, strict=True):
            ends = np.sqrt(a * noise.white / (2 * scale))
            variance[row] += min(a * length / (6 * scale) + ends, a * _mean_variance(length, scale))
    return variance


def measured_noise(pixels: Floats, good: NDArray[np.bool_], overhead: float, timescale: float | None = None) -> Noise:
    """Estimate the noise of an amplifier from its own pixels.

    Parameters
    ----------
    pixels : (ny, W) array
        Pixels in the order of reading.
    good : (ny, W) array of bool
        Which of them count.
    overhead : float
        Time between two rows, in pixels.
    timescale : float, optional
        Of the only process, in pixels; scales a factor of 4 apart if not given.

    Returns
    -------
    Noise
        From the median sizes of differences between the means of neighbouring runs of 1, 4, 16 … pixels in a row, and
        between those of rows 1, 2, 4 … apart: their squares are sums of the variances with known factors.
    """
    from scipy.optimize import nnls  # 30 MB, seldom needed

    ny, width = pixels.shape
    scales = np.array([timescale]) if timescale else _ladder(STEP, ny * (width + overhead))
    memories = [1e-3, *_ladder(STEP, ny)]  # of the rows' own levels, in rows: jumps, and what remembers rows before
    measured, factors, numbers = [], [], []
    runs = [(int(length), 1, 0.0) for length in _ladder(1, width / 2)]
    rows = [(width, int(2**power), overhead) for power in range(int(np.log2(max(ny / 2, 1))) + 1)]
    for length, apart, pause in [*runs, *rows]:
        lag = apart * (length + pause)
        difference, white = _differences(pixels, good, length, apart if pause or length == width else 0)
        if difference.size < LEAST_DIFFERENCES:
            continue
        value = (MAD_TO_SIGMA * float(np.median(np.abs(difference)))) ** 2
        measured.append(value)
        numbers.append(difference.size)
        factors.append(
            [
                white,
                *(2.0 * (length == width) * -np.expm1(-apart / each) for each in memories),
                *(2 * (_mean_variance(length, T) - _mean_covariance(length, lag, T)) for T in scales),
            ]
        )
    if not measured or max(measured) == 0:
        return Noise(0.0, 0.0, np.zeros(len(scales)), scales)
    weight = np.sqrt(numbers) / np.maximum(measured, 1e-9 * max(measured))
    try:
        found, _ = nnls(np.array(factors) * weight[:, None], np.array(measured) * weight)
    except (RuntimeError, ValueError):  # not to be solved: white noise, and rows that take their own means
        return Noise(measured[0], 1e6 * measured[0], np.zeros(len(scales)), scales)
    own = 1 + len(memories)
    return Noise(float(found[0]), float(found[1:own].sum()), np.array([float(each) for each in found[own:]]), scales)


def _ladder(first: float, last: float) -> Floats:
    """Scales from the first to at most the last, a constant factor apart."""
    number = max(1, int(np.log(max(last / first, 1.0)) / np.log(STEP)) + 1)
    return np.asarray(first * float(STEP) ** np.arange(number), np.float64)


def _differences(pixels: Floats, good: NDArray[np.bool_], length: int, apart: int) -> tuple[Floats, float]:
    """Differences between the means of runs, of neighbours in a row or of rows apart, and what white noise adds to them.

    A run counts if half of its pixels are good.
    """
    ny, width = pixels.shape
    runs = width // length
    shape = (ny, runs, length)
    total = pixels[:, : runs * length].reshape(shape).sum(axis=2)
    count = good[:, : runs * length].reshape(shape).sum(axis=2)
    mean: Floats = np.asarray(total / np.maximum(count, 1), np.float64)
    enough = count >= (length + 1) // 2
    first, second = (np.s_[:-apart], np.s_[apart:]) if apart else (np.s_[:, :-1], np.s_[:, 1:])
    both = enough[first] & enough[second]
    share = 1 / count[first][both] + 1 / count[second][both]
    difference: Floats = (mean[second] - mean[first])[both]
    return difference, float(share.mean()) if share.size else 0.0


def _mean_variance(length: int, timescale: float) -> float:
    """Variance of the mean of a run of pixels, of a process with variance 1."""
    ratio = np.exp(-1.0 / timescale)
    whole = -np.expm1(-length / timescale)
    step = -np.expm1(-1.0 / timescale)
    return float((length * (1 + ratio) / step - 2 * ratio * whole / step**2) / length**2)


def _mean_covariance(length: int, lag: float, timescale: float) -> float:
    """Covariance of the means of two runs whose first pixels lie ``lag`` pixels apart, of a process with variance 1."""
    whole, step = -np.expm1(-length / timescale), -np.expm1(-1.0 / timescale)
    return float(np.exp(-(lag - length + 1) / timescale) * (whole / step / length) ** 2)


def require_celerite2() -> Any:
    """Import the package that solves the process.

    Returns
    -------
    module

    Raises
    ------
    ConfigError
        It is not installed.
    """
    try:
        import celerite2
    except ImportError:
        raise ConfigError(
            'readout-gp: expected the package celerite2, found none. Install it: python -m pip install "tsogrid[gp]"'
        ) from None
    return celerite2
