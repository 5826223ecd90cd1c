"""Exact circles against sep and photutils: the same sums first, then the time of one core, in turns.

``python benchmarks/bench_aperture.py`` prints microseconds per frame and the ratios; the classes are run by asv.
"""

import time
from collections.abc import Callable

import numpy as np

from tsogrid.kernels.aperture import circle_line_variance, circle_sums, frame_sums

SIZE = 64


def frames(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames, errors and the drifting position of one source in each."""
    rng = np.random.default_rng(1)
    data = rng.normal(100, 10, (count, SIZE, SIZE)).astype(np.float32)
    x = 32.0 + rng.normal(0, 0.3, (count, 1))
    y = 31.5 + rng.normal(0, 0.3, (count, 1))
    return data, np.sqrt(np.abs(data)), x, y


class Circles:
    """Sums over exact circles, per batch of 200 frames."""

    params = ([1, 20, 50], ["moving", "resting"])
    param_names = ("radii", "centre")

    def setup(self, count: int, centre: str) -> None:
        self.data, self.error, self.x, self.y = frames(200)
        if centre == "resting":
            self.x[:], self.y[:] = self.x[0], self.y[0]
        self.radii = np.linspace(3, 20, count)
        self.line_variance = np.ones((200, SIZE, 4))
        self.lines = np.arange(SIZE) // 16
        self.time_sums(count, centre)
        self.time_line_variance(count, centre)

    def time_sums(self, count: int, centre: str) -> None:
        circle_sums(self.data, self.error, self.x, self.y, self.radii)

    def time_line_variance(self, count: int, centre: str) -> None:
        circle_line_variance(self.data, self.x, self.y, self.radii, self.line_variance, self.lines)


class Frames:
    """Sums over whole frames."""

    def setup(self) -> None:
        self.data, self.error, _, _ = frames(200)
        self.time_sums()

    def time_sums(self) -> None:
        frame_sums(self.data, self.error)


def interleaved(runs: dict[str, tuple[Callable[[], object], int]], repeat: int = 15) -> dict[str, float]:
    """Median thread CPU time per frame in microseconds of each run, the runs taking turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, (function, count) in runs.items():
            start = time.thread_time()
            function()
            times[name].append((time.thread_time() - start) / count * 1e6)
    return {name: float(np.median(values)) for name, values in times.items()}


def compare(radii: np.ndarray | None = None) -> dict[str, float]:
    """Microseconds per frame of one source at these radii, after the results were found equal."""
    import sep
    from photutils.aperture import CircularAperture

    radii = np.linspace(3, 20, 20) if radii is None else radii
    data, error, x, y = frames(200)
    apertures = [[CircularAperture((x[i, 0], y[i, 0]), radius) for radius in radii] for i in range(2)]

    def by_photutils() -> np.ndarray:
        return np.array(
            [[aperture.do_photometry(data[i], error=error[i])[0][0] for aperture in apertures[i]] for i in range(2)]
        )

    def by_sep() -> np.ndarray:
        return np.array(
            [
                sep.sum_circle(
                    data[i],
                    np.full(radii.size, x[i, 0]),
                    np.full(radii.size, y[i, 0]),
                    radii,
                    err=error[i],
                    subpix=0,
                )[0]
                for i in range(20)
            ]
        )

    ours = circle_sums(data, error, x, y, radii).sum[:, 0]
    np.testing.assert_allclose(ours[:2], by_photutils(), rtol=1e-9)
    np.testing.assert_allclose(ours[:20], by_sep(), rtol=1e-9)
    rest_x, rest_y = np.full_like(x, x[0, 0]), np.full_like(y, y[0, 0])
    return interleaved(
        {
            "tsogrid": (lambda: circle_sums(data, error, x, y, radii), 200),
            "tsogrid, resting source": (lambda: circle_sums(data, error, rest_x, rest_y, radii), 200),
            "sep": (by_sep, 20),
            "photutils do_photometry": (by_photutils, 2),
        }
    )


if __name__ == "__main__":
    for count in (20, 50):
        result = compare(np.linspace(3, 20, count))
        print(f"{count} radii")
        for name, microseconds in result.items():
            print(f"  {name:26s}{microseconds:9.1f} µs{microseconds / result['tsogrid']:8.1f} ×")
