"""Where stars of a known width stand out of the noise, and pixels that no star of this width can explain.

In every pixel a Gaussian and a constant are fitted to the pixels around (Stetson 1987, PASP 99, 191), with the weights of
their noise; the height over its error is the signal. So bad pixels leave no hole, the noise of bright stars is no star, and
a slope of the sky is none either.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tsogrid.kernels.compile import kernel
from tsogrid.kernels.star_peaks import smooth_frame

_OF_MODEL = 0.25  # of a star's light: less may be left where two stars are still taken for one
_REACH = 2.0  # standard deviations of the Gaussian on each side


@kernel
def _signal(rest, variance, gauss, box, signal, height):  # type: ignore[no-untyped-def]
    ny, nx = rest.shape
    square = gauss * gauss
    work = np.zeros((8, ny, nx), np.float32)
    weight, value, half, w1, wg, wgg, r1, rg = work[0], work[1], work[2], work[3], work[4], work[5], work[6], work[7]
    for j in range(ny):
        for i in range(nx):
            if rest[j, i] < np.inf and rest[j, i] > -np.inf and variance[j, i] < np.inf:
                weight[j, i] = 1.0 / variance[j, i]
                value[j, i] = rest[j, i] / variance[j, i]
    smooth_frame(weight, box, half, w1)
    smooth_frame(weight, gauss, half, wg)
    smooth_frame(weight, square, half, wgg)
    smooth_frame(value, box, half, r1)
    smooth_frame(value, gauss, half, rg)
    for j in range(ny):
        for i in range(nx):
            weights = np.float64(w1[j, i])
            determinant = weights * wgg[j, i] - np.float64(wg[j, i]) * wg[j, i]
            if weights > 0.0 and determinant > 1e-3 * weights * wgg[j, i]:
                height[j, i] = (weights * rg[j, i] - np.float64(wg[j, i]) * r1[j, i]) / determinant
                signal[j, i] = height[j, i] / math.sqrt(weights / determinant)


@kernel
def _peaks(signal, threshold, peaks):  # type: ignore[no-untyped-def]
    ny, nx = signal.shape
    count = 0
    for j in range(1, ny - 1):
        for i in range(1, nx - 1):
            value = signal[j, i]
            if not value > threshold:
                continue
            highest = True
            for n in range(j - 1, j + 2):
                for m in range(i - 1, i + 2):
                    earlier = n < j or (n == j and m < i)
                    if signal[n, m] > value or (earlier and signal[n, m] == value):
                        highest = False
            if highest and count < peaks.shape[0]:
                dx = dy = 0.0
                bend = signal[j, i - 1] - 2.0 * value + signal[j, i + 1]
                if bend < 0.0:
                    dx = 0.5 * (signal[j, i - 1] - signal[j, i + 1]) / bend
                bend = signal[j - 1, i] - 2.0 * value + signal[j + 1, i]
                if bend < 0.0:
                    dy = 0.5 * (signal[j - 1, i] - signal[j + 1, i]) / bend
                peaks[count, 0] = i + min(max(dx, -0.5), 0.5)
                peaks[count, 1] = j + min(max(dy, -0.5), 0.5)
                peaks[count, 2], peaks[count, 3] = j, i
                count += 1
    return count


def matched_peaks(
    rest: NDArray[np.float64], variance: NDArray[np.float64], sigma: float, threshold: float, most: int = 100000
) -> NDArray[np.float64]:
    """Peaks of the signal of stars, the highest signal first.

    Parameters
    ----------
    rest : (ny, nx) array of float64
        Frame without its sky; not finite where bad.
    variance : (ny, nx) array of float64
        Of each pixel.
    sigma : float
        Width (1 standard deviation) of the stars, pixels.
    threshold : float
        Height over its error that a peak has.
    most : int
        Number of peaks looked at.

    Returns
    -------
    (peaks, 4) array
        x, y (0-based pixels), signal, and height of the Gaussian in the unit of the frame.
    """
    reach = max(1, round(_REACH * sigma))
    gauss = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    signal, height = np.zeros(rest.shape), np.zeros(rest.shape)
    _signal(rest, variance, gauss.astype(np.float32), np.ones(gauss.size, np.float32), signal, height)
    peaks = np.empty((most, 4))
    peaks = peaks[: _peaks(signal, float(threshold), peaks)]
    row, column = peaks[:, 2].astype(np.int64), peaks[:, 3].astype(np.int64)
    peaks[:, 2], peaks[:, 3] = signal[row, column], height[row, column]
    return peaks[np.argsort(-peaks[:, 2], kind="stable")]


@kernel
def mark_sharp(rest, floor, slope, model, straight, oblique, times, sharp):  # type: ignore[no-untyped-def]
    """Mark pixels that stand out of a line of three more than any star can; return how many are new.

    A star is as wide in every direction; what a cosmic ray leaves is narrow at least across its track.

    Parameters
    ----------
    rest : (ny, nx) frame without its sky.
    floor, slope, model : variance without stars, its slope with the model, and the model.
    straight, oblique : the mean of the two neighbours on a line over the middle, of the narrowest thing that may be a star.
    times : standard deviations that a marked pixel stands out.
    sharp : (ny, nx) bool, added to; marked pixels are no neighbours.
    """
    ny, nx = rest.shape
    new = 0
    marked = sharp.copy()
    for j in range(ny):
        for i in range(nx):
            value = rest[j, i]
            noise = floor[j, i]
            if marked[j, i] or not (value < np.inf and value > times * math.sqrt(noise) and value > _OF_MODEL * model[j, i]):
                continue
            for line in range(4):
                dj = 0 if line == 0 else 1
                di = 1 - line if line < 3 else 1
                di = -1 if line == 2 else di
                if not (dj <= j < ny - dj and abs(di) <= i < nx - abs(di)):
                    continue
                total, number = 0.0, 0
                for way in (-1, 1):
                    other = rest[j + way * dj, i + way * di]
                    if abs(other) < np.inf and not marked[j + way * dj, i + way * di]:
                        total += other
                        number += 1
                if number == 0:
                    continue
                ratio = straight if line < 2 else oblique
                mean = total / number
                expected = max(model[j, i], max(mean, 0.0) / ratio)
                error = math.sqrt(noise + slope * expected + (noise + slope * max(mean, 0.0)) / number / ratio**2)
                if value - mean / ratio > times * error:
                    sharp[j, i] = True
                    new += 1
                    break
    return new
