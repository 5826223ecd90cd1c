"""Row levels of four amplifiers on 256 × 2048 pixels, beside bottleneck, numpy and scipy.

``python benchmarks/bench_amplifier.py`` compares the results first, then times all in turn by thread CPU time. The peers
return medians only; tsogrid also hides sources, writes the model and propagates the errors. The Gaussian process has no
peer that finds its own amplitudes: it is timed on 64 rows, and compared with the medians in its distance from the truth.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tsogrid.kernels.amplifier import row_amplifier
from tsogrid.kernels.line_levels import filled_levels, level_correlation, smoothed_levels
from tsogrid.kernels.readout_process import readout_process

BOUNDS = np.array([[0, 512], [512, 1024], [1024, 1536], [1536, 2048]])


def frames(n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """White and row noise with one pixel in a hundred bad, and its error, (n, 256, 2048) float32."""
    rng = np.random.default_rng(6)
    data = rng.normal(10, 5, (n, 256, 2048)) + rng.normal(0, 2, (n, 256, 1))
    data[rng.random(data.shape) < 0.01] = np.nan
    return data.astype(np.float32), np.full(data.shape, 5.0, np.float32)


class RowAmplifierModel:
    """asv: four frames of 256 × 2048."""

    def setup(self) -> None:
        """Make the frames and compile."""
        self.data, self.error = frames()
        self.x, self.y = np.full((4, 1), 900.3), np.full((4, 1), 34.2)
        self.time_with_error()
        self.time_without_error()

    def time_with_error(self) -> None:
        """Errors propagated from those of the pixels."""
        row_amplifier(self.data, self.error, self.x, self.y, BOUNDS, 20.0)

    def time_without_error(self) -> None:
        """Errors from the scatter of the row."""
        row_amplifier(self.data, None, self.x, self.y, BOUNDS, 20.0)


class LineLevels:
    """asv: what is done with the levels of four frames of 256 rows."""

    def setup(self) -> None:
        """Find them; one amplifier is hidden in part."""
        data, error = frames()
        data[:, 100:150, :512] = np.nan
        nowhere = np.full((4, 1), np.nan)
        found = row_amplifier(data, error, nowhere, nowhere, BOUNDS, 20.0)
        self.level, self.variance = found.level, found.line_variance

    def time_smoothed(self) -> None:
        """Savitzky-Golay, eleven rows."""
        smoothed_levels(self.level, self.variance, 11, 2)

    def time_filled(self) -> None:
        """Gaps from the other amplifiers."""
        filled_levels(self.level, self.variance)

    def time_correlation(self) -> None:
        """Of six pairs of amplifiers."""
        level_correlation(self.level)


class ReadoutProcess:
    """asv: a frame of 64 × 2048 with noise that changes inside the rows."""

    def setup(self) -> None:
        """Make the frame and compile."""
        self.truth, self.data = wandering()
        self.time_process()

    def time_process(self) -> None:
        """Four amplifiers."""
        readout_process(self.data, *NOWHERE, BOUNDS, 20.0, 12.0)


NOWHERE = np.full((1, 1), np.nan), np.full((1, 1), np.nan)


def wandering() -> tuple[np.ndarray, np.ndarray]:
    """Noise that steps at random from pixel to pixel, and a frame of it with white noise of 10; (1, 64, 2048)."""
    rng = np.random.default_rng(2)
    parts = []
    for index in range(4):
        steps = np.cumsum(rng.normal(0, 0.1, 64 * 524)).reshape(64, 524)[:, :512]
        parts.append(steps[:, ::-1] if index % 2 else steps)
    truth = np.concatenate(parts, axis=1)[None]
    return truth, truth + rng.normal(0, 10, truth.shape)


def interleaved(functions: dict[str, Callable[[], Any]], rounds: int = 15) -> dict[str, float]:
    """Median thread CPU time in µs of each function, called in turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.thread_time()
            function()
            times[name].append((time.thread_time() - start) * 1e6)
    return {name: float(np.median(values)) for name, values in times.items()}


def compare() -> None:
    """Check the levels to the bit, then print µs a frame and ratios."""
    import bottleneck

    data, error = frames()
    nowhere = np.full((len(data), 1), np.nan)
    blocks = data.reshape(len(data), 256, 4, 512)
    model = row_amplifier(data, error, nowhere, nowhere, BOUNDS, 20.0).model
    np.testing.assert_array_equal(model[:, :, ::512], np.nanmedian(blocks, axis=3))
    np.testing.assert_array_equal(model[:, :, ::512], bottleneck.nanmedian(blocks, axis=3))
    times = interleaved(
        {
            "tsogrid, errors given": lambda: row_amplifier(data, error, nowhere, nowhere, BOUNDS, 20.0),
            "tsogrid, errors from scatter": lambda: row_amplifier(data, None, nowhere, nowhere, BOUNDS, 20.0),
            "bottleneck.nanmedian": lambda: bottleneck.nanmedian(blocks, axis=3),
            "numpy.nanmedian": lambda: np.nanmedian(blocks, axis=3),
        }
    )
    for name, value in times.items():
        print(f"{name:32s} {value / len(data):9.0f} µs a frame")
    print(f"bottleneck / tsogrid: {times['bottleneck.nanmedian'] / times['tsogrid, errors given']:.1f}")
    more = interleaved(
        {
            "even and odd columns first": lambda: row_amplifier(data, error, nowhere, nowhere, BOUNDS, 20.0, even_odd=True),
            "every column first": lambda: row_amplifier(data, error, nowhere, nowhere, BOUNDS, 20.0, each_column=True),
        },
        rounds=5,
    )
    for name, value in more.items():
        print(f"{name:32s} {value / len(data):9.0f} µs a frame")
    compare_levels()
    compare_process()


def compare_levels() -> None:
    """Check smoothing against scipy, then print µs a frame."""
    from scipy.signal import savgol_filter

    level = np.random.default_rng(0).normal(0, 1, (4, 256, 4))
    variance = np.ones(level.shape)
    expected = savgol_filter(level, 11, 2, axis=1, mode="interp")
    np.testing.assert_allclose(smoothed_levels(level, variance, 11, 2).level, expected, atol=1e-10)
    gappy = level.copy()
    gappy[:, 100:150, 0] = np.nan
    times = interleaved(
        {
            "smoothed, with variances": lambda: smoothed_levels(level, variance, 11, 2),
            "the same with gaps": lambda: smoothed_levels(gappy, variance, 11, 2),
            "scipy savgol_filter": lambda: savgol_filter(level, 11, 2, axis=1, mode="interp"),
            "filled": lambda: filled_levels(gappy, variance),
            "correlation": lambda: level_correlation(gappy),
        }
    )
    for name, value in times.items():
        print(f"{name:32s} {value / len(level):9.0f} µs a frame")


def compare_process() -> None:
    """Print how near the truth process and medians come, and ms a frame of 64 × 2048."""
    truth, data = wandering()
    found = {
        "process": readout_process(data, *NOWHERE, BOUNDS, 20.0, 12.0).model,
        "medians of rows": row_amplifier(data, None, *NOWHERE, BOUNDS, 20.0).model,
    }
    for name, model in found.items():
        print(f"{name:32s} {np.std(model - truth):9.3f} rms from the truth")
    times = interleaved({"process": lambda: readout_process(data, *NOWHERE, BOUNDS, 20.0, 12.0)}, rounds=5)
    print(f"{'process':32s} {times['process'] / 1000:9.1f} ms a frame of 64 × 2048")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    compare()
