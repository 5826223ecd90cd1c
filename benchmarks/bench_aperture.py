"""Exact circles beside sep and photutils: frames of many shapes, one source and 200, moving and at rest."""

from collections.abc import Iterator

import numpy as np

from benchmarks.contest import Contest, Runner
from tsogrid.kernels.aperture import circle_sums, frame_sums
from tsogrid.kernels.line_sums import circle_line_sums

# Rows and columns, and how many frames are measured at once: one source in the blocks of a run, or a few frames where these
# are large; and many sources.
SHAPES = {(64, 64): (100, 100), (256, 256): (64, 20), (64, 2048): (64, 20), (256, 2048): (32, 4), (2048, 2048): (8, 2)}
# Radii: ratios aimed at beside sep, moving and at rest, and beside photutils.
TARGETS = {1: (None, None, None), 20: (5.0, 18.0, 30.0), 50: (6.0, None, None)}


def frames(count: int, shape: tuple[int, int], sources: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames, errors and drifting positions: of one source near the middle, of many anywhere 21 pixels from the edge."""
    rng = np.random.default_rng(1)
    data = rng.normal(100, 10, (count, *shape)).astype(np.float32)
    x, y = (rng.uniform(21, side - 22, sources) if sources > 1 else np.full(1, side / 2) for side in shape[::-1])
    x = x + rng.normal(0, 0.3, (count, sources))
    y = y + rng.normal(0, 0.3, (count, sources))
    return data, np.sqrt(np.abs(data)), x, y


def radii(count: int) -> np.ndarray:
    """From 3 to 20 pixels; one radius is 8."""
    return np.linspace(3, 20, count) if count > 1 else np.array([8.0])


def contest(shape: tuple[int, int], sources: int, count: int, moving: bool, quick: bool = False) -> Contest:
    """Sums, errors and valid areas of circles; numbers are sums (frame, source, radius)."""
    import sep
    from photutils.aperture import CircularAperture

    n = 2 if quick else SHAPES[shape][sources > 1]
    data, error, x, y = frames(n, shape, sources)
    if not moving:
        x, y = np.repeat(x[:1], n, axis=0), np.repeat(y[:1], n, axis=0)
    sizes = radii(count)
    few = min(n, 4 if sources == 1 else 1)
    at_once = (np.repeat(x, count, axis=1), np.repeat(y, count, axis=1), np.tile(sizes, sources))
    apertures = [[CircularAperture(np.stack([x[i], y[i]], axis=-1), each) for each in sizes] for i in range(few)]

    def by_sep(with_error: bool) -> np.ndarray:
        return np.array(
            [
                sep.sum_circle(
                    data[i], at_once[0][i], at_once[1][i], at_once[2], err=error[i] if with_error else None, subpix=0
                )[0].reshape(sources, count)
                for i in range(n)
            ]
        )

    def by_photutils() -> np.ndarray:
        return np.array(
            [[each.do_photometry(data[i], error=error[i])[0] for each in apertures[i]] for i in range(few)]
        ).swapaxes(1, 2)

    of_sep, of_sep_rest, of_photutils = TARGETS[count]
    if sources > 1:
        of_sep, of_sep_rest, of_photutils = (3.0, 3.0, 10.0) if count == 20 else (None, None, None)
    return Contest(
        f"circles, {shape[0]}x{shape[1]}, {sources} source{'s' * (sources > 1)}, {count} radii, "
        f"{'moving' if moving else 'at rest'}",
        Runner(lambda: circle_sums(data, error, x, y, sizes).sum, n),
        {
            "sep.sum_circle": Runner(lambda: by_sep(True), n, target=of_sep if moving else of_sep_rest),
            "sep.sum_circle, no errors": Runner(lambda: by_sep(False), n),
            "photutils do_photometry": Runner(by_photutils, few, target=of_photutils),
        },
        {"tsogrid, no errors": Runner(lambda: circle_sums(data, None, x, y, sizes).sum, n)},
    )


def contests(quick: bool = False) -> Iterator[Contest]:
    """Every shape, one source and 200, 1, 20 and 50 radii; and the field of 1000 stars."""
    shapes = [(64, 64)] if quick else list(SHAPES)
    for shape in shapes:
        for count in TARGETS:
            yield from (contest(shape, 1, count, moving, quick) for moving in (True, False))
        if min(shape) > 64:
            yield from (contest(shape, 200, count, True, quick) for count in TARGETS)
    if not quick:
        yield contest((256, 256), 200, 20, False)
        yield contest((2048, 2048), 1000, 20, True)


class Circles:
    """asv: sums over exact circles of one source, 100 frames."""

    params = ([1, 20, 50], ["moving", "resting"])
    param_names = ("radii", "centre")

    def setup(self, count: int, centre: str) -> None:
        self.data, self.error, self.x, self.y = frames(100, (64, 64))
        if centre == "resting":
            self.x[:], self.y[:] = self.x[0], self.y[0]
        self.radii = radii(count)
        self.line_variance = np.ones((100, 64, 4))
        self.lines = np.arange(64) // 16
        self.time_sums(count, centre)
        self.time_line_sums(count, centre)

    def time_sums(self, count: int, centre: str) -> None:
        circle_sums(self.data, self.error, self.x, self.y, self.radii)

    def time_line_sums(self, count: int, centre: str) -> None:
        circle_line_sums(self.data, self.x, self.y, self.radii, self.line_variance, self.lines, self.line_variance)


class Frames:
    """asv: sums over whole frames."""

    def setup(self) -> None:
        self.data, self.error, _, _ = frames(100, (64, 64))
        self.time_sums()

    def time_sums(self) -> None:
        frame_sums(self.data, self.error)
