"""Row levels of four amplifiers on 256 × 2048 pixels, beside bottleneck and numpy.

``python benchmarks/bench_amplifier.py`` compares the results first, then times all in turn by thread CPU time. The peers
return medians only; tsogrid also hides sources, writes the model and propagates the errors.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tsogrid.kernels.amplifier import row_amplifier

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


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    compare()
