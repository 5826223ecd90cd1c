"""Sums over rectangles, and over pixelated circles, beside photutils.

``python benchmarks/bench_shapes.py`` compares the results first, then times both in turn by thread CPU time.
"""

import time
from typing import Any

import numpy as np

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


def compare(rounds: int = 7) -> None:
    """Check the sums against photutils', then print µs a sum and the ratio."""
    from photutils.aperture import CircularAperture, RectangularAperture, aperture_photometry

    peers: dict[str, Any] = {"rectangle": RectangularAperture, "circle": CircularAperture}
    data, x, y = frames()
    for kind, (overlap, size) in CASES.items():
        sizes = np.broadcast_to(size, (*x.shape, len(size)))

        def ours(kind: str = kind, overlap: str = overlap, sizes: np.ndarray = sizes) -> np.ndarray:
            return shape_sums(data, data, x, y, ShapeWeights(kind, overlap), sizes).sum

        def theirs(kind: str = kind, overlap: str = overlap, size: tuple[float, ...] = size) -> np.ndarray:
            made = [peers[kind](np.column_stack([x[i], y[i]]), *size) for i in range(len(data))]
            tables = [
                aperture_photometry(each, place, error=each, method=overlap) for each, place in zip(data, made, strict=True)
            ]
            return np.array([table["aperture_sum"] for table in tables])

        np.testing.assert_allclose(ours(), theirs(), rtol=1e-10)
        times: dict[str, list[float]] = {"tsogrid": [], "photutils": []}
        for _ in range(rounds):
            for name, function in (("tsogrid", ours), ("photutils", theirs)):
                start = time.thread_time()
                function()
                times[name].append((time.thread_time() - start) * 1e6 / x.size)
        mine, peer = (float(np.median(times[name])) for name in ("tsogrid", "photutils"))
        print(f"{kind:10} {overlap:8} tsogrid {mine:7.1f} µs   photutils {peer:7.1f} µs   ratio {peer / mine:5.1f}")


if __name__ == "__main__":
    compare()
