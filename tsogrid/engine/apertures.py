"""The apertures of a run: circles of many radii together, other outlines one by one, the whole frame.

Each says how it sums pixels about the sources, what the noise of shared lines adds, and how far it reaches. Sizes that
follow the width of the stars are found from the FWHM that comes with the places.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from tsogrid.config import Circle, Config, Rectangle, Ring, WholeFrame, Width
from tsogrid.kernels import aperture, line_sums, shapes
from tsogrid.kernels.circles import Lists, kept_lists


@dataclass(frozen=True)
class Places:
    """Where the sources are in a stack of frames, in pixels of these frames, and how wide stars are there.

    Parameters
    ----------
    x, y : ndarray, shape (n, n_sources)
    fwhm : ndarray, shape (n, n_sources)
        Median FWHM of all sources in the frame, repeated; NaN where it is unknown or not needed.
    keep : bool
        Whether lists of the pixels of circles are kept, since several sums need them.
    """

    x: np.ndarray
    y: np.ndarray
    fwhm: np.ndarray
    keep: bool = False
    _lists: dict[tuple[Any, ...], Lists | None] = field(default_factory=dict, compare=False, repr=False)

    def lists(self, radii: np.ndarray, shape: tuple[int, ...]) -> Lists | None:
        """Give the pixels of circles about all places, if they are kept; shape: of a frame."""
        if not self.keep:
            return None
        key = radii.tobytes(), shape
        if key not in self._lists:
            self._lists[key] = kept_lists(self.x, self.y, radii, *shape)
        return self._lists[key]


def scale_of(width: Width, factor: float, fwhm: np.ndarray) -> np.ndarray:
    """Give ``factor × FWHM``, the FWHM clipped to its range, in pixels."""
    return factor * np.clip(fwhm, *width.range)


class Group(Protocol):
    """Apertures that are summed together: ``count`` of them, the last axis of what they give."""

    @property
    def count(self) -> int:
        """How many."""

    def sums(self, data: np.ndarray, error: np.ndarray | None, places: Places, weight: str) -> Any:
        """Sum, variance, area of the good pixels and number of bad ones, each (n, n_sources, count)."""

    def line_variance(
        self, data: np.ndarray, places: Places, variance: np.ndarray, lines: np.ndarray, axis: int
    ) -> np.ndarray:
        """Variance that levels of lines with this variance add to the sums; (n, n_sources, count)."""

    def half_sizes(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """Half width and height, each (n, n_sources, count)."""

    def radii(self, places: Places) -> np.ndarray:
        """Radius, or that of the circle at which the size holds; (n, n_sources, count), NaN where there is none."""

    def pixel_share(self, places: Places) -> np.ndarray:
        """Analytic area over the summed weights of all pixels; (n, n_sources, count)."""

    def weights(self, data: np.ndarray, places: Places, index: int) -> np.ndarray:
        """Weights of one aperture about the one source of each frame, 0 at bad pixels; shape of ``data``."""

    def contains(self, fwhm: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Whether pixels at (dx, dy) from the source, with that frame's FWHM, have their centre inside; (count, m)."""


@dataclass(frozen=True)
class Circles:
    """Circles of fixed radii and exact overlap."""

    radius: np.ndarray

    @property
    def count(self) -> int:
        return self.radius.size

    def _repeated(self, places: Places) -> np.ndarray:
        sizes = np.empty((*places.x.shape, self.count))
        sizes[:] = self.radius
        return sizes

    def sums(self, data: np.ndarray, error: np.ndarray | None, places: Places, weight: str) -> Any:
        lists = places.lists(self.radius, data.shape[1:])
        return aperture.circle_sums(data, error, places.x, places.y, self.radius, variance_weight=weight, lists=lists)

    def line_sums(
        self, data: np.ndarray, places: Places, variance: np.ndarray, lines: np.ndarray, level: np.ndarray, every: bool
    ) -> line_sums.LineSums:
        """Sums of the levels of rows of each of some models, and their variance; (n_models, n, n_sources, count) each."""
        lists = places.lists(self.radius, data.shape[1:])
        return line_sums.circle_line_sums(data, places.x, places.y, self.radius, variance, lines, level, every, lists)

    def line_variance(
        self, data: np.ndarray, places: Places, variance: np.ndarray, lines: np.ndarray, axis: int
    ) -> np.ndarray:
        if axis == 1:
            lists = places.lists(self.radius, data.shape[1:])
            return line_sums.circle_line_sums(data, places.x, places.y, self.radius, variance, lines, lists=lists).variance
        turned = np.ascontiguousarray(data.swapaxes(1, 2))
        return line_sums.circle_line_sums(turned, places.y, places.x, self.radius, variance, lines).variance

    def half_sizes(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        sizes = self._repeated(places)
        return sizes, sizes

    def radii(self, places: Places) -> np.ndarray:
        return self._repeated(places)

    def pixel_share(self, places: Places) -> np.ndarray:
        return np.ones((*places.x.shape, self.count))

    def weights(self, data: np.ndarray, places: Places, index: int) -> np.ndarray:
        sizes = np.full((len(data), 1), self.radius[index])
        return shapes.dense_weights(data, places.x[:, 0], places.y[:, 0], shapes.ShapeWeights("circle"), sizes)

    def contains(self, fwhm: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return np.hypot(dx, dy) < self.radius[:, None]


@dataclass(frozen=True)
class Outline:
    """One aperture of any other shape, overlap or scale.

    Parameters
    ----------
    shape : ShapeWeights
        Its kind and overlap.
    size : tuple of float
        Its sizes in pixels; of a scaled circle (1,).
    width : Width or None
        How the size follows the width of the stars.
    factor : float
        On the FWHM.
    """

    shape: shapes.ShapeWeights
    size: tuple[float, ...]
    width: Width | None = None
    factor: float = math.nan
    count: int = 1

    def _scale(self, fwhm: np.ndarray) -> np.ndarray:
        if self.width is None:
            return np.ones(fwhm.shape)
        reference = 1.0 if self.shape.kind == "circle" else float(self.width.reference_radius or 1.0)
        return scale_of(self.width, self.factor, fwhm) / reference

    def _sizes(self, fwhm: np.ndarray) -> np.ndarray:
        return self._scale(fwhm)[..., None] * np.array(self.size)

    def sums(self, data: np.ndarray, error: np.ndarray | None, places: Places, weight: str) -> Any:
        found = shapes.shape_sums(data, error, places.x, places.y, self.shape, self._sizes(places.fwhm), weight)
        return shapes.ShapeSums(found.sum[..., None], found.variance[..., None], found.area[..., None], found.bad[..., None])

    def line_variance(
        self, data: np.ndarray, places: Places, variance: np.ndarray, lines: np.ndarray, axis: int
    ) -> np.ndarray:
        sizes = self._sizes(places.fwhm)
        found = shapes.shape_line_variance(data, places.x, places.y, self.shape, sizes, variance, lines, axis)
        return found[..., None]

    def half_sizes(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        sizes = self._sizes(places.fwhm)
        if self.shape.kind == "rectangle":
            return sizes[..., :1] / 2, sizes[..., 1:] / 2
        return sizes[..., -1:], sizes[..., -1:]

    def radii(self, places: Places) -> np.ndarray:
        if self.width is None:
            size = self.size[0] if self.shape.kind == "circle" else math.nan
            return np.full((*places.x.shape, 1), size)
        return scale_of(self.width, self.factor, places.fwhm)[..., None]

    def pixel_share(self, places: Places) -> np.ndarray:
        if self.shape.overlap == "exact":
            return np.ones((*places.x.shape, 1))
        sizes = self._sizes(places.fwhm)
        summed = shapes.mask_area(places.x, places.y, self.shape, sizes)
        return (shapes.analytic_area(self.shape.kind, sizes) / summed)[..., None]

    def weights(self, data: np.ndarray, places: Places, index: int) -> np.ndarray:
        return shapes.dense_weights(data, places.x[:, 0], places.y[:, 0], self.shape, self._sizes(places.fwhm)[:, 0])

    def contains(self, fwhm: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return shapes.contains(self.shape.kind, self._sizes(fwhm).T, dx, dy)[None]


@dataclass(frozen=True)
class Frame:
    """All pixels of the frame, for every source."""

    count: int = 1

    def sums(self, data: np.ndarray, error: np.ndarray | None, places: Places, weight: str) -> Any:
        # A frame has some pixel of unknown error almost always: its error is that of the others.
        found = aperture.frame_sums(data, None if error is None else np.where(np.isfinite(error), error, 0))
        columns: list[Any] = [np.broadcast_to(each[:, None, None], (*places.x.shape, 1)) for each in found]
        return aperture.CircleSums(*columns)

    def line_variance(
        self, data: np.ndarray, places: Places, variance: np.ndarray, lines: np.ndarray, axis: int
    ) -> np.ndarray:
        good = np.isfinite(data) if axis == 1 else np.isfinite(data).swapaxes(1, 2)
        total = np.zeros(len(data))
        for amplifier in range(variance.shape[2]):
            pixels = good[:, :, lines == amplifier].sum(axis=2, dtype=float)
            total = total + np.nansum(pixels**2 * variance[:, :, amplifier], axis=1)
        return np.broadcast_to(total[:, None, None], (*places.x.shape, 1))

    def half_sizes(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        nothing = np.zeros((*places.x.shape, 1))  # never outside itself
        return nothing, nothing

    def radii(self, places: Places) -> np.ndarray:
        return np.full((*places.x.shape, 1), math.nan)

    def pixel_share(self, places: Places) -> np.ndarray:
        return np.ones((*places.x.shape, 1))

    def weights(self, data: np.ndarray, places: Places, index: int) -> np.ndarray:
        return np.isfinite(data).astype(float)

    def contains(self, fwhm: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        return np.ones((1, dx.size), bool)


def reach_of(group: Group, places: Places) -> np.ndarray:
    """Radius of the circle about each source that holds the apertures of a group; (n, n_sources), in pixels."""
    half_x, half_y = group.half_sizes(places)
    return np.asarray((np.hypot(half_x, half_y) if is_cornered(group) else half_x).max(axis=2))


def is_cornered(group: Group) -> bool:
    """Whether apertures are rectangles; all others are round, or the whole frame."""
    return isinstance(group, Outline) and group.shape.kind == "rectangle"


def make_groups(config: Config) -> tuple[Group, ...]:
    """Make the apertures of a configuration, in the order of its labels.

    Parameters
    ----------
    config : Config
        A complete configuration: exact circles of fixed radii come first.

    Returns
    -------
    tuple of Group
    """
    groups: list[Group] = []
    if config.radii:
        groups.append(Circles(np.array(config.radii)))
    for each in config.apertures[bool(config.radii) :]:
        if isinstance(each, WholeFrame):
            groups.append(Frame())
        elif isinstance(each, Circle):
            circle = shapes.ShapeWeights("circle", each.overlap, each.subpixels)
            groups += [Outline(circle, (radius,)) for radius in each.radius or []]
            if each.scaled:
                groups += [Outline(circle, (1.0,), each.scaled, factor) for factor in each.scaled.factor]
        elif isinstance(each, Rectangle | Ring):
            size = (each.width, each.height) if isinstance(each, Rectangle) else (each.inner, each.outer)
            shape = shapes.ShapeWeights(each.shape, each.overlap, each.subpixels)
            groups += [Outline(shape, size, each.scaled, factor) for factor in each.sizes]
    return tuple(groups)
