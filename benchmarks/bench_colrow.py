"""Polynomials along columns and rows, beside a loop of numpy's polyfit and the same fits as whole-array numpy."""

import numpy as np

from benchmarks.contest import Contest, Runner
from tsogrid.kernels.colrow import column_row
from tsogrid.kernels.colrow_variance import column_row_variance

# Side of the cut-out, radii of the ring.
SCENES = {"ring 12-18": (37, 12.0, 18.0), "ring 24-30": (61, 24.0, 30.0), "256x256, all pixels": (256, 0.0, 1e9)}
DIRECTIONS = ("Y", "X")


def cutouts(n: int, size: int, inner: float, outer: float) -> tuple[np.ndarray, np.ndarray]:
    """Noise on a slope, and the pixels of a ring, (n, size, size)."""
    rng = np.random.default_rng(6)
    rows, columns = np.indices((size, size)) - (size - 1) / 2
    data = rng.normal(100, 5, (n, size, size)) + 0.1 * columns
    distance = np.hypot(columns, rows)
    return data, np.broadcast_to((distance >= inner) & (distance < outer), data.shape).copy()


class Lines:
    """asv: cut-outs of a ring, degree 1 and 3."""

    params = (tuple(SCENES), (1, 3))
    param_names = ("scene", "degree")

    def setup(self, scene: str, degree: int) -> None:
        """Make the cut-outs and compile."""
        self.data, self.region = cutouts(8, *SCENES[scene])
        self.fit = column_row(self.data, self.region, degree, degree, DIRECTIONS)
        self.time_model(scene, degree)
        self.time_variance(scene, degree)

    def time_model(self, scene: str, degree: int) -> None:
        """Fit both directions."""
        column_row(self.data, self.region, degree, degree, DIRECTIONS)

    def time_variance(self, scene: str, degree: int) -> None:
        """Variance of the sum over the cut-out."""
        column_row_variance(self.fit, None, np.ones(self.data.shape), degree, degree, DIRECTIONS)


def by_loop(values: np.ndarray, degree: int) -> np.ndarray:
    """Model of a cut-out (NaN: not fitted): polyfit, line by line."""
    rest = np.where(np.isnan(values), 0.0, values)
    for direction in DIRECTIONS:
        lines, good_lines = (rest, ~np.isnan(values)) if direction == "X" else (rest.T, ~np.isnan(values).T)
        x = np.arange(lines.shape[1], dtype=float)
        for line, good in zip(lines, good_lines, strict=True):
            if good.sum() >= 3:
                keep = good
                for _ in range(3):
                    model = np.polyval(np.polyfit(x[keep], line[keep], degree), x)
                    distance = np.abs(line - model)
                    keep = good & (distance < 3 * np.median(distance[good]))
                line -= model
    return np.where(np.isnan(values), 0.0, values) - rest


def by_arrays(values: np.ndarray, degree: int) -> np.ndarray:
    """The same for a batch (n, h, w), all lines at once by normal equations."""
    rest, good_pixels = np.where(np.isnan(values), 0.0, values), ~np.isnan(values)
    for direction in DIRECTIONS:
        lines, good = (rest, good_pixels) if direction == "X" else (rest.swapaxes(1, 2), good_pixels.swapaxes(1, 2))
        basis = np.linspace(-1, 1, lines.shape[2])[:, None] ** np.arange(degree + 1)
        fitted = good.sum(axis=2) >= 3
        keep = good
        for _ in range(3):
            weight = keep.astype(float)
            normal = np.einsum("nlx,xa,xb->nlab", weight, basis, basis, optimize=True)
            normal[~fitted] = np.eye(degree + 1)
            moments = np.einsum("nlx,nlx,xa->nla", weight, lines, basis, optimize=True)
            model = np.linalg.solve(normal, moments[..., None])[..., 0] @ basis.T * fitted[..., None]
            distance = np.where(good, np.abs(lines - model), np.inf)
            ranked = np.sort(distance, axis=2)
            count = np.maximum(good.sum(axis=2), 1)[..., None]
            middle = (np.take_along_axis(ranked, (count - 1) // 2, 2) + np.take_along_axis(ranked, count // 2, 2)) / 2
            keep = good & (distance < 3 * middle)
        lines -= model
    return np.where(good_pixels, values, 0.0) - rest


def contests(quick: bool = False) -> list[Contest]:
    """Both directions, degree 1; numbers are models of cut-outs."""
    made = []
    for scene, geometry in SCENES.items():
        n = 1 if quick else 16
        if quick and geometry[0] > 100:
            continue
        data, region = cutouts(n, *geometry)
        values = np.where(region, data, np.nan)
        fit = column_row(data, region, 1, 1, DIRECTIONS)
        made.append(
            Contest(
                f"column and row polynomials, {scene}",
                Runner(lambda data=data, region=region: column_row(data, region, 1, 1, DIRECTIONS).model, n),  # type: ignore[misc]
                {
                    "numpy, loop of polyfit": Runner(
                        lambda values=values: [by_loop(values[0], 1)],
                        1,
                        0.0,
                        1e-8,
                        target=400.0,  # type: ignore[misc]
                    ),
                    "numpy, whole arrays": Runner(
                        lambda values=values: by_arrays(values, 1),
                        n,
                        0.0,
                        1e-8,
                        target=10.0,  # type: ignore[misc]
                    ),
                },
                {
                    "tsogrid, degree 3": Runner(
                        lambda data=data, region=region: column_row(data, region, 3, 3, DIRECTIONS),
                        n,  # type: ignore[misc]
                    ),
                    "tsogrid, variance": Runner(
                        lambda data=data, fit=fit: column_row_variance(fit, None, data, 1, 1, DIRECTIONS),
                        n,  # type: ignore[misc]
                    ),
                },
            )
        )
    return made
