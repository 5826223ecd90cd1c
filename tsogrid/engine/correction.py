"""The detector's signature taken off a block of pixels, with errors.

The order is that of the light backwards: overscan, bias, dark, flat. Photon noise is counted in electrons after the level of
the electronics is off and before dark and flat: there the pixels are counts of photons and of dark current. Each frame is
treated alone.
"""

from typing import NamedTuple

import numpy as np

from tsogrid.engine.detector import Correction, Levels

_AT_ONCE = 1 << 20  # pixels that are held in double precision


class LineNoise(NamedTuple):
    """The noise that pixels of a line share, because one level was taken off all of them.

    ``variance`` is (n, n_lines, n_groups) in the square of the unit; ``group`` (n_across,) says which group a pixel belongs
    to, by its place along the line; ``axis`` is 1 where lines are rows.
    """

    variance: np.ndarray
    group: np.ndarray
    axis: int


class Corrected(NamedTuple):
    """Pixels after the correction.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        In the unit of the files, each pixel as if it took as much light as the others.
    error : ndarray or None
        1 sigma; None if neither the files nor a gain tell it.
    shared : LineNoise or None
        Noise that the pixels of a line share; None without overscan or gain.
    """

    data: np.ndarray
    error: np.ndarray | None
    shared: LineNoise | None


def photon_variance(electrons: np.ndarray, read_noise: np.ndarray | float, out: np.ndarray | None = None) -> np.ndarray:
    """Variance of pixels that hold so many electrons, in electrons².

    Parameters
    ----------
    electrons : ndarray
        Photons and dark current.
    read_noise : ndarray or float
        In electrons.
    out : ndarray, optional
        Where to put it; may be ``electrons``.

    Returns
    -------
    ndarray
        ``electrons + read_noise²``, at least a tenth of the second and 0.001.
    """
    noise = read_noise**2
    # Plain numbers leave pixels of single precision in it, which takes half the time.
    least = np.maximum(0.1 * noise, 1e-3) if isinstance(noise, np.ndarray) else max(0.1 * float(noise), 1e-3)
    # Negative pixels count as such, or the variance of an empty sky would come out too large on the average.
    return np.maximum(np.add(electrons, noise, out=out), least, out=out)


def corrected(
    data: np.ndarray,
    error: np.ndarray | None,
    correction: Correction,
    electrons: np.ndarray | float,
    read_noise: float,
) -> Corrected:
    """Take off what the detector put on, and divide by the flat.

    Parameters
    ----------
    data, error : ndarray, shape (n, ny, nx)
        As read; ``error`` is None if the files have none.
    correction : Correction
        What to take off.
    electrons : ndarray, shape (ny, nx), or float
        Electrons in one unit of the files, NaN if unknown.
    read_noise : float
        In electrons.

    Returns
    -------
    Corrected
    """
    gain = np.where(np.isnan(correction.gain), electrons, correction.gain)
    noise = np.where(np.isnan(correction.read_noise), read_noise, correction.read_noise)
    masters, known = correction.masters, bool(np.isfinite(gain).any())
    made = np.empty(data.shape, data.dtype)
    sigma = np.empty(data.shape, data.dtype) if known or error is not None else None
    step = max(1, _AT_ONCE // max(1, data[0].size if len(data) else 1))
    for start in range(0, len(data), step):
        part = slice(start, start + step)
        pixels = data[part].astype(np.float64)
        for each in correction.levels:
            level = each.level[part]
            pixels[:, each.rows, each.columns] -= level[:, :, None] if each.axis == 1 else level[:, None, :]
        if masters.bias is not None:
            pixels -= masters.bias
        variance = None if error is None else error[part].astype(np.float64) ** 2
        if variance is None and known:
            variance = photon_variance(pixels * gain, noise) / gain**2
        factor = correction.factor[part, None, None]
        if masters.dark is not None:
            pixels -= masters.dark * factor
        if variance is not None and correction.all_errors:
            if masters.bias_error is not None:
                variance += masters.bias_error.astype(np.float64) ** 2
            if masters.dark_error is not None:
                variance += (masters.dark_error * factor) ** 2
        if correction.flat is not None:
            flat = correction.flat[correction.which[part]].astype(np.float64)
            pixels /= flat
            if variance is not None:
                variance /= flat**2
                if correction.flat_error is not None:
                    variance += (pixels * correction.flat_error[correction.which[part]] / flat) ** 2
        made[part] = pixels
        if sigma is not None and variance is not None:
            sigma[part] = np.sqrt(variance)
    return Corrected(made, sigma, _shared(correction, gain, noise, data.shape) if known else None)


def _shared(correction: Correction, gain: np.ndarray, noise: np.ndarray, shape: tuple[int, ...]) -> LineNoise | None:
    """The noise of the overscan's levels; amplifiers that read the same columns (or rows) share a group."""
    if not correction.levels:
        return None
    axis = correction.levels[0].axis
    n, ny, nx = shape
    group = np.full(nx if axis == 1 else ny, -1, np.int32)
    spans = sorted({_span(each) for each in correction.levels})
    variance = np.zeros((n, ny if axis == 1 else nx, len(spans)))
    for index, (first, last) in enumerate(spans):
        group[first:last] = index
    gains, noises = np.broadcast_to(gain, (ny, nx)), np.broadcast_to(noise, (ny, nx))
    for each in correction.levels:
        pixel = (noises[each.rows, each.columns].ravel()[0] / gains[each.rows, each.columns].ravel()[0]) ** 2
        lines = each.rows if axis == 1 else each.columns
        variance[:, lines, spans.index(_span(each))] = np.nan_to_num(each.variance * pixel)
    return LineNoise(variance, group, axis)


def _span(levels: Levels) -> tuple[int, int]:
    across = levels.columns if levels.axis == 1 else levels.rows
    return across.start, across.stop
