"""Sums over rectangles, and over pixelated circles, beside photutils."""

from typing import Any

import numpy as np

from benchmarks.contest import Contest, Runner
from tsogrid.kernels.shapes import ShapeWeights, shape_sums

CASES = {"rectangle": ("exact", (15.0, 11.0)), "circle": ("center", (8.0,))}


def frames(n: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise (n, 128, 128) and three places a frame, (n, 3)."""
    rng = np.random.default_rng(4)
    x, y = rng.uniform(30, 90, (2, n, 3))
    return rng.normal(100, 5, (n, 128, 128)), x, y


class Shapes:
    """asv: three sources on sixteen frames, another place in each."""

    params = tuple(CASES)
    param_names = ("kind",)

    def setup(self, kind: str) -> None:
        """Make the frames."""
        self.data, self.x, self.y = frames()
        self.time_sums(kind)

    def time_sums(self, kind: str) -> None:
        """Sum, variance, area and bad pixels; masks are made anew."""
        overlap, size = CASES[kind]
        sizes = np.broadcast_to(size, (*self.x.shape, len(size)))
        shape_sums(self.data, self.data, self.x, self.y, ShapeWeights(kind, overlap), sizes)


def contests(quick: bool = False) -> list[Contest]:
    """Three sources a frame; numbers are sums."""
    from photutils.aperture import CircularAperture, RectangularAperture, aperture_photometry

    peers: dict[str, Any] = {"rectangle": RectangularAperture, "circle": CircularAperture}
    n = 2 if quick else 16
    data, x, y = frames(n)
    made = []
    for kind, (overlap, size) in CASES.items():
        sizes = np.broadcast_to(size, (*x.shape, len(size)))

        def ours(kind: str = kind, overlap: str = overlap, sizes: np.ndarray = sizes) -> np.ndarray:
            return shape_sums(data, data, x, y, ShapeWeights(kind, overlap), sizes).sum

        def theirs(kind: str = kind, overlap: str = overlap, size: tuple[float, ...] = size) -> np.ndarray:
            placed = [peers[kind](np.column_stack([x[i], y[i]]), *size) for i in range(n)]
            tables = [
                aperture_photometry(each, place, error=each, method=overlap)
                for each, place in zip(data, placed, strict=True)
            ]
            return np.array([table["aperture_sum"] for table in tables])

        tolerance = 1e-4 if kind == "rectangle" else 1e-9  # photutils 3.0 takes 32 subpixels a side: 2.5e-5 here
        name = f"sums over a {kind}, {overlap}, three sources"
        made.append(Contest(name, Runner(ours, n), {"photutils aperture_photometry": Runner(theirs, n, tolerance)}))
    return made
