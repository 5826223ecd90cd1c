"""Sky levels of annuli and of frames, beside photutils, astropy and bottleneck."""

import warnings
from typing import Any

import numpy as np

from benchmarks.contest import Contest, Runner
from tsogrid.kernels.frame_level import background_level
from tsogrid.kernels.sky import annuli_sky, annulus_sky
from tsogrid.kernels.whole_pixels import RowLevels

POSITION = (64.3, 63.8)
RADII = (12.0, 50.0)  # 7400 pixels
# Statistics, and the ratios aimed at beside ApertureStats.
STATISTICS = {"mean": None, "median": 30.0, "clipped-mean": None, "clipped-median": 30.0}


def frames(n: int = 8, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Noise with outliers, and its error, (n, 128, 128)."""
    rng = np.random.default_rng(4)
    data = rng.normal(100, 5, (n, 128, 128))
    data[rng.random(data.shape) < 0.01] += 300.0
    return data.astype(dtype), np.full(data.shape, 5.0, dtype)


def contests(quick: bool = False) -> list[Contest]:
    """One annulus with each statistic; the median of a frame away from the source."""
    import bottleneck
    from astropy.stats import SigmaClip, sigma_clipped_stats
    from photutils.aperture import ApertureStats, CircularAnnulus

    data, error = frames(2 if quick else 8)
    n = len(data)
    x, y = np.full((n, 1), POSITION[0]), np.full((n, 1), POSITION[1])
    annulus = CircularAnnulus(POSITION, *RADII)
    clip = SigmaClip(3, maxiters=10)
    rows, columns = np.indices(data.shape[1:])
    distance = np.hypot(columns - POSITION[0], rows - POSITION[1])
    ring = (distance >= RADII[0]) & (distance < RADII[1])
    far = np.where(distance > 20.0, data, np.nan)

    def ours(statistic: str) -> np.ndarray:
        return annulus_sky(data, error, x, y, *RADII, statistic).level[:, 0]

    def stats(statistic: str) -> list[float]:
        peer = ApertureStats(
            data[0],
            annulus,
            error=error[0],
            sum_method="exact" if statistic == "mean" else "center",
            sigma_clip=clip if "clipped" in statistic else None,
        )
        if statistic == "mean":
            return [float(peer.sum / peer.sum_aper_area.value)]
        level, _ = (peer.median if "median" in statistic else peer.mean), peer.sum_err
        return [float(level)]

    def clipped(statistic: str) -> list[float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [float(sigma_clipped_stats(data[0][ring], sigma=3, maxiters=10)["median" in statistic])]

    made = []
    for name, target in STATISTICS.items():
        peers = {"photutils ApertureStats": Runner(lambda name=name: stats(name), 1, target=target)}  # type: ignore[misc]
        if "clipped" in name:
            # the pixels are handed over ready; in single precision
            peers["astropy sigma_clipped_stats"] = Runner(lambda name=name: clipped(name), 1, rtol=1e-6, target=12.0)  # type: ignore[misc]
        if name == "median":
            peers["numpy.nanmedian of the pixels"] = Runner(lambda: [np.nanmedian(data[0][ring])], 1, rtol=1e-6)
        made.append(Contest(f"annulus of 7400 pixels, {name}", Runner(lambda name=name: ours(name), n), peers))  # type: ignore[misc]
    made.append(_many_annuli(data, error, x, y))
    made.append(
        Contest(
            "median of a 128x128 frame away from the star",
            Runner(lambda: background_level(data, x, y, 20.0), n),
            {"bottleneck.nanmedian": Runner(lambda: [bottleneck.nanmedian(far[0])], 1, rtol=1e-6)},
        )
    )
    return made


def _many_annuli(data: np.ndarray, error: np.ndarray, x: np.ndarray, y: np.ndarray) -> Contest:
    """Ten annuli of 1200 pixels and more on three images that differ by the levels of their rows."""
    from astropy.stats import SigmaClip
    from photutils.aperture import ApertureStats, CircularAnnulus

    n = len(data)
    level = np.random.default_rng(5).normal(0, 2, (3, *data.shape[:2], 1)).astype(data.dtype)
    radii = [(23 + 0.5 * k, 30 + 0.5 * k) for k in range(10)]
    pairs = np.array([(ring, image) for ring in range(10) for image in range(3)])
    rows = RowLevels(level, np.array([[0, data.shape[2], 0]]))
    annuli = [CircularAnnulus(POSITION, *each) for each in radii]
    clip = SigmaClip(3, maxiters=10)

    def together() -> np.ndarray:
        return annuli_sky(data, error, x, y, radii, "clipped-median", rows, pairs).level[:, :, 0].T

    def one_by_one() -> np.ndarray:
        images = [data - each for each in level]
        return np.array(
            [annulus_sky(images[image], error, x, y, *radii[ring], "clipped-median").level[:, 0] for ring, image in pairs]
        ).T

    def photutils() -> list[list[float]]:
        images = [data[0] - each[0] for each in level]
        return [[float(ApertureStats(images[image], annuli[ring], sigma_clip=clip).median) for ring, image in pairs]]

    return Contest(
        "ten annuli on three models of the rows, clipped median",
        Runner(together, n),
        {"photutils ApertureStats": Runner(photutils, 1)},
        {"tsogrid, one by one": Runner(one_by_one, n)},
    )


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
