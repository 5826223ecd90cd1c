"""The filter along time beside plain running medians of numpy and bottleneck.

``python benchmarks/bench_time_filter.py`` compares the medians on which it rests first, then times all in turn by thread CPU
time. The peers give the running median of every pixel and its MAD, which is less than the filter does: they know no stars.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tsogrid.kernels.time_filter import time_outliers

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
    return time_outliers(data, error, np.full((n, 1), x), np.full((n, 1), STAR[1]), 0, n, WINDOW, 5.0, 12, 20)


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


def compare() -> None:
    """Check against plain medians, then print ms a frame and what each clips of a jittering star."""
    import bottleneck

    data, error = frames()
    np.testing.assert_array_equal(running(data, np.nanmedian), running(data, bottleneck.nanmedian))
    functions: dict[str, Callable[[], Any]] = {
        "tsogrid, errors known": lambda: filtered(data, error).outlier,
        "tsogrid, noise measured": lambda: filtered(data, None).outlier,
        "tsogrid, no star": lambda: filtered(data, error, np.nan).outlier,
        "numpy running median and MAD": lambda: running(data, np.nanmedian),
        "bottleneck running median and MAD": lambda: running(data, bottleneck.nanmedian),
    }
    core = data[0] > 1e4
    for name, function in functions.items():
        found = function()
        print(f"{name:36s} clips {found[:, core].mean():.2%} of the core, {found[:, ~core].mean():.3%} elsewhere")
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(5):
        for name, function in functions.items():
            start = time.thread_time()
            function()
            times[name].append((time.thread_time() - start) * 1e3 / len(data))
    for name, values in times.items():
        print(f"{name:36s} {np.median(values):7.2f} ms a frame")


if __name__ == "__main__":
    compare()
