"""Sky levels of annuli and of frames, beside photutils, astropy and bottleneck.

``python benchmarks/bench_sky.py`` compares the results first, then times all in turn by thread CPU time.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tsogrid.kernels.frame_level import background_level
from tsogrid.kernels.sky import annulus_sky

POSITION = (64.3, 63.8)
RADII = (12.0, 50.0)  # 7400 pixels


def frames(n: int = 8, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Noise with outliers, and its error, (n, 128, 128)."""
    rng = np.random.default_rng(4)
    data = rng.normal(100, 5, (n, 128, 128))
    data[rng.random(data.shape) < 0.01] += 300.0
    return data.astype(dtype), np.full(data.shape, 5.0, dtype)


class AnnulusSky:
    """asv: one annulus of 7400 pixels on eight frames."""

    params = ("mean", "median", "clipped-mean", "clipped-median", "robust-mean")
    param_names = ("statistic",)

    def setup(self, statistic: str) -> None:
        """Make the frames and compile."""
        self.data, self.error = frames()
        self.x, self.y = np.full((8, 1), POSITION[0]), np.full((8, 1), POSITION[1])
        self.time_annulus(statistic)
        self.time_background(statistic)

    def time_annulus(self, statistic: str) -> None:
        """Level, error and area."""
        annulus_sky(self.data, self.error, self.x, self.y, *RADII, statistic)

    def time_background(self, statistic: str) -> None:
        """Median of each frame away from the source."""
        background_level(self.data, self.x, self.y, 20.0)


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
    """Check the levels against the peers', then print µs a frame and ratios."""
    import bottleneck
    from astropy.stats import SigmaClip, sigma_clipped_stats
    from photutils.aperture import ApertureStats, CircularAnnulus

    data, error = frames()
    count = len(data)
    x, y = np.full((count, 1), POSITION[0]), np.full((count, 1), POSITION[1])
    annulus = CircularAnnulus(POSITION, *RADII)
    clip = SigmaClip(3, maxiters=10)
    rows, columns = np.indices(data.shape[1:])
    distance = np.hypot(columns - POSITION[0], rows - POSITION[1])
    ring = (distance >= RADII[0]) & (distance < RADII[1])
    far = np.where(distance > 20.0, data, np.nan)

    def ours(statistic: str) -> Any:
        return annulus_sky(data, error, x, y, *RADII, statistic).level[:, 0]

    def stats(statistic: str) -> float:
        peer = ApertureStats(
            data[0],
            annulus,
            error=error[0],
            sum_method="exact" if statistic == "mean" else "center",
            sigma_clip=clip if "clipped" in statistic else None,
        )
        if statistic == "mean":
            return float(peer.sum / peer.sum_aper_area.value)
        level, _ = (peer.median if "median" in statistic else peer.mean), peer.sum_err
        return float(level)

    names = ["mean", "median", "clipped-mean", "clipped-median"]
    for name in names:
        np.testing.assert_allclose(ours(name)[0], stats(name), rtol=1e-9)
    clipped_mean, clipped_median, _ = sigma_clipped_stats(data[0][ring], sigma=3, maxiters=10)
    np.testing.assert_allclose(ours("clipped-mean")[0], clipped_mean, rtol=1e-6)
    np.testing.assert_allclose(ours("clipped-median")[0], clipped_median, rtol=1e-6)
    np.testing.assert_allclose(background_level(data, x, y, 20.0)[0], bottleneck.nanmedian(far[0]), rtol=1e-6)

    functions: dict[str, Callable[[], Any]] = {}
    for name in names:
        functions[f"tsogrid {name}"] = lambda name=name: ours(name)  # type: ignore[misc]
        functions[f"ApertureStats {name}"] = lambda name=name: stats(name)  # type: ignore[misc]
    functions["tsogrid robust-mean"] = lambda: ours("robust-mean")
    functions["sigma_clipped_stats"] = lambda: sigma_clipped_stats(data[0][ring], sigma=3, maxiters=10)
    functions["nanmedian of the ring"] = lambda: np.nanmedian(data[0][ring])
    functions["tsogrid background"] = lambda: background_level(data, x, y, 20.0)
    functions["bottleneck background"] = lambda: bottleneck.nanmedian(far[0])
    times = {name: value / (count if "tsogrid" in name else 1) for name, value in interleaved(functions).items()}
    for name, value in times.items():
        print(f"{name:32s} {value:9.1f} µs a frame")
    for name in names:
        print(f"ApertureStats / tsogrid, {name}: {times[f'ApertureStats {name}'] / times[f'tsogrid {name}']:.1f}")
    for name in ("clipped-mean", "clipped-median"):
        print(f"sigma_clipped_stats / tsogrid, {name}: {times['sigma_clipped_stats'] / times[f'tsogrid {name}']:.1f}")
    print(f"numpy.nanmedian / tsogrid: {times['nanmedian of the ring'] / times['tsogrid median']:.1f}")
    print(f"bottleneck / tsogrid, background: {times['bottleneck background'] / times['tsogrid background']:.1f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    compare()
