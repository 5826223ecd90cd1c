"""The measurement of a block: arrays in, a dict of arrays out.

The way of the data is one way: pixels are made ready, centres predicted, then found, the apertures placed and summed over
every sky. The steps are grouped in stages, so that a position that depends on the whole series (a median) can be put between
two of them; each number depends on its own frame and on what is given from outside, never on its neighbours in the block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsogrid.config import Local, NoSky
from tsogrid.engine.apertures import Places, reach_of
from tsogrid.engine.background import Background
from tsogrid.engine.calibration import make_ready
from tsogrid.engine.centering import find_centers
from tsogrid.engine.detector import Correction
from tsogrid.engine.photometry import measure_apertures
from tsogrid.engine.recipe import Recipe
from tsogrid.engine.registering import registered_places
from tsogrid.flags import ApertureFlag, SourceFlag
from tsogrid.kernels import aperture, centroid
from tsogrid.kernels.box import GRID
from tsogrid.kernels.displacement import common_displacement
from tsogrid.kernels.frame_level import background_level
from tsogrid.kernels.neighbours import marked_about
from tsogrid.kernels.widths import median_fwhm, seen_fwhm

REGISTER, PREDICT, CENTER, PLACE, PHOTOMETRY = "register", "predict", "center", "place", "photometry"
FARTHEST = 2.0  # pixels from the place that a registration gives: a centre beyond is not the source's
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pixels:
    """The pixels of a window of a block of frames.

    Parameters
    ----------
    data : ndarray, shape (n, ny, nx)
        In the unit of the files.
    error : ndarray, shape (n, ny, nx), or None
        1 sigma.
    dq : ndarray of uint32, shape (n, ny, nx), or None
        Quality words.
    origin : (int, int)
        Row and column of the window's first pixel in the frame.
    shape : (int, int)
        Rows and columns of the frame.
    kept : (int, int), optional
        First and last + 1 of the frames that are measured; the others serve the filter along time. None: all.
    correction : Correction, optional
        What the detector put on the pixels and is to be taken off.
    """

    data: np.ndarray
    error: np.ndarray | None
    dq: np.ndarray | None
    origin: tuple[int, int]
    shape: tuple[int, int]
    kept: tuple[int, int] | None = None
    correction: Correction | None = None


def stages_of(recipe: Recipe) -> tuple[tuple[str, ...], ...]:
    """Group the stages into passes: a new pass begins where a number of the whole series is needed.

    Parameters
    ----------
    recipe : Recipe
        What will be measured.

    Returns
    -------
    tuple of tuple of str
        One tuple of stages a pass; almost always one pass, two for a median position or where centres are repaired.
    """
    center = recipe.center
    if recipe.pattern is not None:  # nothing of the series is needed: what follows it is refused beside a registration
        return ((REGISTER, PHOTOMETRY) if center.method == "none" else (REGISTER, CENTER, PHOTOMETRY),)
    if center.method == "none":
        return ((PHOTOMETRY,),)
    passes: list[list[str]] = [[PREDICT]] if center.predict != "none" else [[]]
    if passes[0] and center.guess == "median":
        passes.append([])
    passes[-1].append(CENTER)
    if center.position in ("median", "smooth") or (center.position == "frame" and center.repair is not None):
        passes.append([])
    passes[-1].append(PHOTOMETRY)
    return tuple(tuple(stages) for stages in passes)


class Measurement:
    """A block of frames while it is measured: stage after stage, all sources together.

    Parameters
    ----------
    pixels : list of Pixels
        The pixels of each window.
    recipe : Recipe
        What to measure.
    planned : list of ndarray, shape (n, n_sources, 2)
        Planned positions (x, y) in the frame of each window's sources, of all frames of the pixels.
    given : list of dict of ndarray, shape (n, n_sources)
        What earlier passes and the whole series give: ``x_guess``, ``y_guess`` for the centre, ``x``, ``y`` and ``fwhm`` for
        the photometry, ``flags`` so far.
    """

    def __init__(self, pixels: list[Pixels], recipe: Recipe, planned: list[np.ndarray], given: list[Arrays]) -> None:
        self.recipe = recipe
        with _nan_is_a_value():
            self._blocks = [_Block(*each, recipe) for each in zip(pixels, planned, given, strict=True)]

    def do(self, stages: Sequence[str]) -> "Measurement":
        """Do stages, in order; photometry finds places where PLACE has not."""
        with _nan_is_a_value():
            for stage in stages:
                self._do(stage)
        return self

    def _do(self, stage: str) -> None:
        blocks = self._blocks
        if stage == PHOTOMETRY:
            if "x" not in blocks[0].result:
                self._do(PLACE)
            if self.recipe.needs_width:
                _share_width(blocks)
        if stage == PLACE and self.recipe.center.position == "common" and "x" not in blocks[0].given:
            _share_displacement(blocks)
        for block in blocks:
            _STAGES[stage](block)

    @property
    def results(self) -> list[Arrays]:
        """Variables of the result so far (see `tsogrid.schema`) of each window's sources, time first."""
        return [block.result | {"flags": block.flags.astype(np.int32)} for block in self._blocks]


def _nan_is_a_value() -> np.errstate:
    """NaN says that something could not be measured."""
    return np.errstate(invalid="ignore", divide="ignore", over="ignore")


def shared_width(sigma_x: np.ndarray, sigma_y: np.ndarray) -> np.ndarray:
    """FWHM of the stars of each frame, (n,), by the widths of all sources, (n, n_sources)."""
    return median_fwhm(seen_fwhm(sigma_x), seen_fwhm(sigma_y))


def _share_width(blocks: list["_Block"]) -> None:
    """Let the sources of all windows share one width a frame."""
    if "fwhm" in blocks[0].given:
        for block in blocks:
            block.fwhm = block.given["fwhm"]
        return
    sigma_x = np.concatenate([block.result["sigma_x"] for block in blocks], axis=1)
    sigma_y = np.concatenate([block.result["sigma_y"] for block in blocks], axis=1)
    width = shared_width(sigma_x, sigma_y)
    for block in blocks:
        block.fwhm = np.repeat(width[:, None], block.fwhm.shape[1], axis=1)


def _share_displacement(blocks: list["_Block"]) -> None:
    """Let the sources of all windows share one displacement from their planned places a frame."""
    dx = np.concatenate([block.found[0] - block.x_planned for block in blocks], axis=1)
    dy = np.concatenate([block.found[1] - block.y_planned for block in blocks], axis=1)
    light = np.concatenate([block.result["amplitude"] for block in blocks], axis=1)
    # On the grid of all centres, so that the places are the same in any window.
    x, y = (np.rint(each * GRID) / GRID for each in common_displacement(dx, dy, light))
    for block in blocks:
        block.found = block.x_planned + x[:, None], block.y_planned + y[:, None]


class _Block:
    """The state of one block between its stages; positions are in pixels of the window."""

    def __init__(self, pixels: Pixels, planned: np.ndarray, given: Arrays, recipe: Recipe) -> None:
        self.recipe = recipe
        self.shape = pixels.shape
        self.origin = pixels.origin
        self.row, self.column = pixels.origin
        self.ready = make_ready(pixels, recipe, planned)
        self.data, self.error, self.center_data, self.outliers = self.ready[:4]
        planned = planned if pixels.kept is None else planned[slice(*pixels.kept)]
        self.x_planned = np.ascontiguousarray(planned[:, :, 0]) - self.column
        self.y_planned = np.ascontiguousarray(planned[:, :, 1]) - self.row
        self.given = given
        self.result: Arrays = {}
        self.flags = given.get("flags", np.zeros(planned.shape[:2], np.int32)).astype(np.int64)
        self.fwhm: np.ndarray = np.full(planned.shape[:2], np.nan)
        self.x_guess, self.y_guess = self.x_planned, self.y_planned
        if "x_guess" in given:
            self.x_guess, self.y_guess = self._known(*self._local(given["x_guess"], given["y_guess"]))
        self._sky_level: np.ndarray | None = None
        self.found: tuple[np.ndarray, np.ndarray] = self.x_planned, self.y_planned

    def _local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x - self.column, y - self.row

    def _known(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions, with the planned one where none was found."""
        missing = ~(np.isfinite(x) & np.isfinite(y))
        return np.where(missing, self.x_planned, x), np.where(missing, self.y_planned, y)

    def _save(self, name: str, x: np.ndarray, y: np.ndarray) -> None:
        self.result[f"x_{name}"], self.result[f"y_{name}"] = x + self.column, y + self.row

    def _raise_flag(self, flag: SourceFlag, where: Any) -> None:
        self.flags |= np.multiply(where, int(flag))

    def _framewide_level(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Median of the frame away from the sources, for ``center.sky: frame``; shape (n, n_sources)."""
        steps = [step for chain in self.recipe.sky for step in chain]
        inner = [step.inner for step in steps if getattr(step, "inner", None) is not None]
        radius = inner[0] if inner else min(self.recipe.aperture_reach, max(self.shape))
        # A pixel at exactly this distance belongs to the sky, and one that is bad for the centre alone takes part.
        level = background_level(self.data, x, y, np.nextafter(radius, 0.0))
        return np.repeat(level[:, None], x.shape[1], axis=1)

    def center_sky(self, x: np.ndarray, y: np.ndarray, box: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels less the models of ``center.sky``, and the level that is left, for boxes about x, y."""
        asked = self.recipe.center.sky
        if asked == "frame":
            return self.center_data, self._framewide_level(x, y)
        if asked == "auto":
            return self.center_data, centroid.box_edge_level(self.center_data, x, y, box)
        background = Background(self.recipe, self.center_data, self.error, Places(x, y, self.fwhm), x, y, origin=self.origin)
        state = background.chain(tuple(asked))
        if any(isinstance(step, Local | NoSky) for step in asked):
            return state.data, state.level
        return state.data, centroid.box_edge_level(state.data, x, y, box)

    def _moment(self, data: np.ndarray, x: np.ndarray, y: np.ndarray, box: int, level: np.ndarray) -> centroid.Center:
        """Centre of mass; none about a place outside the frame, where the part of the box inside holds but noise."""
        inside = self._inside(x, y)
        return centroid.center_of_mass(data, np.where(inside, x, np.nan), np.where(inside, y, np.nan), box, level)

    def _inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether positions, in pixels of the window, lie on the frame."""
        ny, nx = self.shape
        x, y = x + self.column, y + self.row
        return (x >= -0.5) & (x <= nx - 0.5) & (y >= -0.5) & (y <= ny - 0.5)

    def register(self) -> None:
        assert self.recipe.pattern is not None
        found = registered_places(self.center_data, self.recipe, self.x_planned, self.y_planned)
        self.x_planned, self.y_planned = self.x_guess, self.y_guess = found.x, found.y
        self.center_data = found.data
        self.result |= found.values
        self.flags |= found.flags[:, None]

    def predict(self) -> None:
        center = self.recipe.center
        x, y = self.x_planned, self.y_planned
        if center.predict == "cross-correlation":
            found = centroid.cross_correlation(self.center_data, x, y, center.search_box, self.recipe.psf)
            self._save("cc", found.x, found.y)
        else:
            data, level = self.center_sky(x, y, center.search_box)
            found = self._moment(data, x, y, center.search_box, level)
            self._save("predicted", found.x, found.y)
        self._raise_flag(SourceFlag.PREDICT_FAILED, ~np.isfinite(found.x))
        self.x_guess, self.y_guess = self._known(found.x, found.y)

    def center(self) -> None:
        center, recipe = self.recipe.center, self.recipe
        x, y = self.x_guess, self.y_guess
        data, level = self.center_sky(x, y, center.fit_box)
        moment = self._moment(data, x, y, center.fit_box, level)
        self._save("com", moment.x, moment.y)
        if center.method != "gaussian":  # about a place outside the frame the part of the box inside holds but noise
            inside = self._inside(x, y)
            x, y = np.where(inside, x, np.nan), np.where(inside, y, np.nan)
        found = find_centers(recipe, data, self.error, level, (x, y), moment)
        if recipe.pattern is not None:  # the registration knows better than a centre that went to something else
            away = np.hypot(found.x - self.x_planned, found.y - self.y_planned) > FARTHEST
            found = found._replace(x=np.where(away, np.nan, found.x), y=np.where(away, np.nan, found.y))
        if found.name != "com":
            self._save(found.name, found.x, found.y)
        self.result |= found.values
        self._raise_flag(SourceFlag.CENTER_FAILED, ~np.isfinite(found.x))
        self.found = found.x, found.y

    def place(self) -> None:
        """Say where the apertures go."""
        x, y = self._place()
        self.result["x"], self.result["y"] = x + self.column, y + self.row

    def _place(self) -> tuple[np.ndarray, np.ndarray]:
        position = self.recipe.center.position
        if "x" in self.given:
            return self._local(self.given["x"], self.given["y"])
        if position in ("fixed", "file") or self.recipe.center.method == "none":
            return self.x_planned, self.y_planned
        x, y = self.found
        if self.recipe.center.fallback == "planned" or self.recipe.pattern is not None:
            self._raise_flag(SourceFlag.POSITION_FALLBACK, ~np.isfinite(x))
            return self._known(x, y)
        return x, y

    def photometry(self) -> None:
        # By way of the frame's pixels: the same places in any window.
        x, y = self._local(self.result["x"], self.result["y"])
        self._raise_flag(SourceFlag.POSITION_OFF_FRAME, ~self._inside(x, y))
        places = Places(x, y, self.fwhm, keep=self.recipe.has_line_sky)
        known = self._known(x, y)
        self.result |= measure_apertures(self.recipe, self.ready, places, known, self.origin, self.shape)
        self._raise_flag(SourceFlag.SKY_FAILED, ~np.isfinite(self.result["sky_level"]).all(axis=2))
        self._raise_flag(SourceFlag.NO_DATA, ~self._any_pixel(*known))
        saturated = (self.result["aperture_flags"] & int(ApertureFlag.SATURATED)) != 0
        self._raise_flag(SourceFlag.SATURATED, saturated.any(axis=2))
        if self.outliers is not None:
            self.result["outliers"] = self._outlying(self.outliers, places)
            self._raise_flag(SourceFlag.OUTLIERS, self.result["outliers"] > 0)

    def _outlying(self, outliers: np.ndarray, places: Places) -> np.ndarray:
        """Number of outlying pixels that the apertures touch, or in the frame if that is summed; (n, n_sources)."""
        if self.recipe.whole_frames.any():
            return np.repeat(outliers.sum(axis=(1, 2), dtype=np.int32)[:, None], places.x.shape[1], axis=1)
        reach = np.fmax.reduce([reach_of(group, places) for group in self.recipe.groups])
        n, sources = reach.shape
        frame, source, row, column = marked_about(outliers, places.x, places.y, reach + 1.0)
        dx, dy = np.abs(column - places.x[frame, source]), np.abs(row - places.y[frame, source])
        # A pixel is touched where its nearest point is; about an unknown place none is.
        near = np.hypot(np.maximum(dx - 0.5, 0.0), np.maximum(dy - 0.5, 0.0)) < reach[frame, source]
        counts = np.bincount((frame * sources + source)[near], minlength=n * sources)
        return counts.reshape(n, sources).astype(np.int32)

    def _any_pixel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether a good pixel lies within reach of the apertures, or in the frame if that is summed; (n, n_sources)."""
        reach = self.recipe.aperture_reach
        if reach > max(self.shape):
            return np.repeat(np.isfinite(self.data).any(axis=(1, 2))[:, None], x.shape[1], axis=1)
        # Where an aperture holds good pixels they are within reach: only the others have to be looked at.
        found: np.ndarray = np.zeros(x.shape, bool)
        if self.recipe.photometry.off_frame != "frame":
            found = np.asarray((self.result["aperture_area"] > 0).any(axis=2))
        if not found.all():
            x, y = np.where(found, np.nan, x), np.where(found, np.nan, y)
            found |= aperture.circle_sums(self.data, None, x, y, [reach]).area[:, :, 0] > 0
        return found


_STAGES = {
    REGISTER: _Block.register,
    PREDICT: _Block.predict,
    CENTER: _Block.center,
    PLACE: _Block.place,
    PHOTOMETRY: _Block.photometry,
}
