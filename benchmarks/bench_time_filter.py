"""The filter along time beside plain running medians of numpy and bottleneck.

The peers give the running median of every pixel and its MAD, which is less than the filter does: they know no stars.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contest import Contest, Runner
from tsogrid.kernels import time_filter

WINDOW = 11
STAR = (31.3, 32.2)


def frames(n: int = 60, size: int = 64, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """A star with S/N 300 and a jitter of 0.1 pixel, and its error, (n, size, size)."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:size, :size]
    dx, dy = rng.normal(0, 0.1, (2, n, 1, 1))
    truth = 9e4 * np.exp(-((x - STAR[0] - dx) ** 2 + (y - STAR[1] - dy) ** 2) / 2 / 0.85**2) + 100
    error = np.sqrt(truth + 25)
    return (truth + rng.normal(0, 1, truth.shape) * error).astype(dtype), error.astype(dtype)


def filtered(data: np.ndarray, error: np.ndarray | None, x: float = STAR[0]) -> Any:
    """All frames judged."""
    n = len(data)
    return time_filter.time_outliers(data, error, np.full((n, 1), x), np.full((n, 1), STAR[1]), 0, n, WINDOW, 5.0, 12, 20)


class TimeFilter:
    """asv: sixty frames of 64 × 64 pixels."""

    params = (True, False)
    param_names = ("known",)

    def setup(self, known: bool) -> None:
        """Make the frames and compile."""
        self.data, error = frames()
        self.error = error if known else None
        self.time_filter(known)

    def time_filter(self, known: bool) -> None:
        """One star."""
        filtered(self.data, self.error)


def running(data: np.ndarray, median: Callable[..., Any]) -> np.ndarray:
    """Whether a pixel lies five scaled MAD from its running median, frame by frame."""
    found = np.zeros(data.shape, bool)
    half = WINDOW // 2
    for t in range(len(data)):
        window = data[max(0, t - half) : t + half + 1]
        middle = median(window, axis=0)
        scatter = 1.4826 * median(np.abs(window - middle), axis=0)
        found[t] = np.abs(data[t] - middle) > 5 * scatter
    return found


def contests(quick: bool = False) -> list[Contest]:
    """Where there is no star and noise is measured the filter marks about what plain medians mark: few pixels."""
    import bottleneck

    data, error = frames(12 if quick else 60)
    n = len(data)
    core = data[0] > 1e4

    def marked(found: np.ndarray) -> np.ndarray:
        """Part of the pixels away from the star that is marked, for every frame."""
        return np.asarray(found[:, ~core].mean(axis=1))

    return [
        Contest(
            "filter along time, 11 frames, 64x64",
            Runner(lambda: marked(filtered(data, error).outlier), n),
            {
                "bottleneck running median and MAD": Runner(
                    lambda: marked(running(data, bottleneck.nanmedian)), n, 0.0, 0.1
                ),
                "numpy running median and MAD": Runner(lambda: marked(running(data, np.nanmedian)), n, 0.0, 0.1),
            },
            {
                "tsogrid, noise measured": Runner(lambda: filtered(data, None).outlier, n),
                "tsogrid, no star": Runner(lambda: filtered(data, error, np.nan).outlier, n),
            },
        )
    ]
