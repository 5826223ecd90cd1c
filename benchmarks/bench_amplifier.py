"""Row levels of four amplifiers on 256 × 2048 pixels, beside bottleneck, numpy and scipy.

The peers return medians only; tsogrid also hides sources, writes the model and propagates the errors. The Gaussian process
has no peer that finds its own amplitudes: it is timed on 64 rows, its distance from the truth beside that of medians.
"""

import numpy as np

from benchmarks.contest import Contest, Runner
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


def contests(quick: bool = False) -> list[Contest]:
    """Medians to the bit; smoothing of levels; the Gaussian process, which has no peer, beside medians."""
    import bottleneck
    from scipy.signal import savgol_filter

    data, error = frames(1 if quick else 4)
    n = len(data)
    nowhere = np.full((n, 1), np.nan)
    blocks = data.reshape(n, 256, 4, 512)

    def rows(**options: bool) -> np.ndarray:
        return row_amplifier(data, error, nowhere, nowhere, BOUNDS, 20.0, **options).level

    level = np.random.default_rng(0).normal(0, 1, (4, 256, 4))
    variance = np.ones(level.shape)
    gappy = level.copy()
    gappy[:, 100:150, 0] = np.nan
    made = [
        Contest(
            "row levels of four amplifiers, 256x2048, with errors",
            Runner(rows, n),
            {
                "bottleneck.nanmedian": Runner(lambda: bottleneck.nanmedian(blocks, axis=3), n, 0.0, target=10.0),
                "numpy.nanmedian": Runner(lambda: np.nanmedian(blocks, axis=3), n, 0.0),
            },
            {
                "tsogrid, with an image of the model": Runner(
                    lambda: row_amplifier(data, error, nowhere, nowhere, BOUNDS, 20.0).model, n
                ),
                "tsogrid, errors from scatter": Runner(lambda: row_amplifier(data, None, nowhere, nowhere, BOUNDS, 20.0), n),
                "tsogrid, even and odd columns first": Runner(lambda: rows(even_odd=True), n),
                "tsogrid, every column first": Runner(lambda: rows(each_column=True), n),
            },
        ),
        Contest(
            "levels of 256 rows smoothed, with variances",
            Runner(lambda: smoothed_levels(level, variance, 11, 2).level, 4),
            {
                "scipy savgol_filter, no variances": Runner(
                    lambda: savgol_filter(level, 11, 2, axis=1, mode="interp"), 4, 0.0, 1e-10
                )
            },
            {
                "tsogrid, with gaps": Runner(lambda: smoothed_levels(gappy, variance, 11, 2), 4),
                "tsogrid, filled": Runner(lambda: filled_levels(gappy, variance), 4),
                "tsogrid, correlation": Runner(lambda: level_correlation(gappy), 4),
            },
        ),
    ]
    if not quick:
        truth, noisy = wandering()

        def distance(model: np.ndarray) -> list[float]:
            return [float(np.std(model - truth))]

        made.append(
            Contest(
                "Gaussian process along the read-out, 64x2048: rms from the truth",
                Runner(lambda: distance(readout_process(noisy, *NOWHERE, BOUNDS, 20.0, 12.0).model), 1),
                {
                    "tsogrid, medians of rows": Runner(
                        lambda: distance(row_amplifier(noisy, None, *NOWHERE, BOUNDS, 20.0).model), 1, 0.5
                    )
                },
            )
        )
    return made
