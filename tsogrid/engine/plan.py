"""The plan of a run: which block of frames is measured how, with the shape of the result before any pixel is read.

A plan is small and picklable. Its block function takes (start, stop), reads for itself only the bytes of its windows, and
returns a dict of small arrays: pixels never travel through a graph.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import tsogrid
from tsogrid import schema
from tsogrid.config import Circle, Config, chain_label
from tsogrid.engine import plan_identity
from tsogrid.engine.allocation import memory_kept
from tsogrid.engine.block_measure import measured
from tsogrid.engine.block_size import default_block
from tsogrid.engine.calibration_plan import plan_calibration
from tsogrid.engine.detector import Detector
from tsogrid.engine.near_windows import reads_near
from tsogrid.engine.pipeline import CENTER, REGISTER, Arrays, Pixels, stages_of
from tsogrid.engine.plan_size import bytes_held
from tsogrid.engine.reading import read_but
from tsogrid.engine.recipe import Recipe, make_recipe
from tsogrid.engine.reference import with_own_places, with_registration
from tsogrid.engine.star_times import star_times
from tsogrid.engine.windows import Window, plan_windows
from tsogrid.field.listing import with_listed_sources
from tsogrid.field.sources import Sources, find_sources
from tsogrid.io.images import read_gain, read_mask, read_psf
from tsogrid.io.remote_names import is_remote
from tsogrid.kernels.centroid import gaussian_template


@dataclass(frozen=True)
class Plan:
    """What will be done, block by block.

    Parameters
    ----------
    n_frames : int
        Length of the series.
    shape : (int, int)
        Rows and columns of a frame.
    frames : Dataset
        ``data`` and, if known, ``error`` and ``dq``, lazily indexed or in memory, without coordinates.
    coordinates : Dataset
        The time coordinates and attributes of the frames.
    config : Config
        The configuration.
    recipe : Recipe
        The configuration made ready for these frames.
    sources : Sources
        Names and planned positions.
    windows : tuple of Window
        Pixels that may be needed.
    passes : tuple of tuple of str
        Stages, in passes over the series.
    block : int
        Frames in a block.
    registration : str
        Whether frames are registered to a reference frame, and why, in words.
    detector : Detector or None
        What is taken off the pixels as they are read.
    aside : frozenset of int
        Frames that are not read, since they cannot be: bad in every pixel.
    near : bool
        Whether of the windows the pixels about the sources are read first; see `tsogrid.engine.near_windows`.
    short_lines : bool
        Whether of lines about sources the amplifiers are left out that no source needs.
    """

    n_frames: int
    shape: tuple[int, int]
    frames: xr.Dataset
    coordinates: xr.Dataset
    config: Config
    recipe: Recipe
    sources: Sources
    windows: tuple[Window, ...]
    passes: tuple[tuple[str, ...], ...]
    block: int
    registration: str = ""
    detector: Detector | None = None
    aside: frozenset[int] = frozenset()
    near: bool = False
    short_lines: bool = True

    @property
    def bounds(self) -> np.ndarray:
        """First and last + 1 frame of every block; shape (n_blocks, 2)."""
        starts = np.arange(0, self.n_frames, self.block)
        return np.stack([starts, np.minimum(starts + self.block, self.n_frames)], axis=1)

    @property
    def halo(self) -> int:
        """Frames on both sides of a block that are read with it; see `Recipe.halo`."""
        return self.recipe.halo

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """First and last + 1 frame that is read for frames start … stop − 1."""
        return max(0, start - self.halo), min(self.n_frames, stop + self.halo)

    def with_block(self, block: int) -> "Plan":
        """Give the same plan with another block size; no number changes."""
        return replace(self, block=max(1, int(block)))

    def travelling(self, pixels: bool = True) -> "Plan":
        """Give the plan as workers need it: without coordinates, and without pixels if these come another way."""
        detector = None if self.detector is None else self.detector.only([window.region for window in self.windows])
        return replace(self, coordinates=xr.Dataset(), frames=self.frames if pixels else xr.Dataset(), detector=detector)

    def laid_out(self) -> "Plan":
        """Give the plan as it is needed when its store is laid out: times stand there, files are still to be named."""
        kept = {name: self.coordinates[name].variable for name in ("file",) if name in self.coordinates.coords}
        return replace(self, coordinates=xr.Dataset(coords=kept, attrs=self.coordinates.attrs))

    def read(self, window: Window, start: int, stop: int) -> Pixels:
        """Read the pixels of a window for frames start … stop − 1, and for those on both sides that they depend on."""
        first, last = self.span(start, stop)
        arrays = {str(name): self.cut(str(name), first, last, window.region) for name in self.frames}
        if self.detector is None or window.region == (0, self.shape[0], 0, self.shape[1]):
            return self.pixels(window, arrays, start, stop)
        strips = [self.cut("data", first, last, region) for region in self.detector.needed(window.region)]
        return self.pixels(window, arrays, start, stop, strips)

    def cut(self, name: str, first: int, last: int, region: tuple[int, int, int, int]) -> np.ndarray:
        """Read a region (y0, y1, x0, x1) of a variable for frames first … last − 1; frames set aside are not touched."""
        return read_but(self.frames.variables[name], first, last, region, self.aside)

    def pixels(
        self, window: Window, arrays: Arrays, start: int, stop: int, strips: list[np.ndarray] | None = None
    ) -> Pixels:
        """Wrap the arrays of a window, which span frames start … stop − 1; without strips the overscan is in them."""
        data = arrays["data"]
        if data.dtype.kind != "f":
            data = data.astype(np.float64)
        first, last = self.span(start, stop)
        kept = (start - first, stop - first) if self.halo else None
        detector, region = self.detector, window.region
        correction = None if detector is None else detector.for_block(region, strips, first, last, data)
        return Pixels(data, arrays.get("error"), arrays.get("dq"), (window.y0, window.x0), self.shape, kept, correction)

    def measure(self, start: int, stop: int, index: int = 0, given: Arrays | None = None) -> Arrays:
        """Measure one block: the block function.

        Parameters
        ----------
        start, stop : int
            Frames start … stop − 1 of the series.
        index : int
            Which pass.
        given : dict of ndarray, shape (stop − start, n_sources), optional
            Positions made from earlier passes (see `tsogrid.engine.positions`).

        Returns
        -------
        dict of ndarray
            Variables of the result, time first.
        """
        with memory_kept():
            return measured(self, start, stop, index, given)

    def measure_arrays(self, arrays: Arrays, start: int, stop: int, index: int = 0, given: Arrays | None = None) -> Arrays:
        """Measure one block whose pixels (of all frames of its span) are at hand; the plan has one window."""
        with memory_kept():
            return measured(self, start, stop, index, given, [self.pixels(self.windows[0], arrays, start, stop)])

    def planned(self, start: int, stop: int) -> np.ndarray:
        """Give the planned positions of all frames that a block reads; shape (n, n_sources, 2)."""
        first, last = self.span(start, stop)
        planned = self.sources.planned
        return planned[first:last] if planned.shape[0] > 1 else np.repeat(planned, last - first, axis=0)

    def widths(self, start: int, stop: int) -> np.ndarray | None:
        """Give the FWHM of the stars in frames start … stop − 1 if another result tells it; shape (n,)."""
        return None if self.sources.fwhm is None else self.sources.fwhm[start:stop]

    def trial(self, n: int, stage: str, first: int = 0) -> Arrays:
        """Make positions for measuring a few frames for trial, when those of the series are not there yet.

        Parameters
        ----------
        n : int
            Number of frames.
        stage : str
            The first stage of the pass.
        first : int
            Which frame is the first.

        Returns
        -------
        dict of ndarray, shape (n, n_sources)
            Planned positions, and a FWHM of 3 pixels.
        """
        known = self.sources.planned
        planned = np.broadcast_to(known[first : first + n] if len(known) > 1 else known, (n, len(self.sources.names), 2))
        x, y = np.array(planned[:, :, 0]), np.array(planned[:, :, 1])
        return {"x_guess": x, "y_guess": y} if stage == CENTER else {"x": x, "y": y, "fwhm": np.full(x.shape, 3.0)}

    def variables(self, index: int | None = None) -> list[schema.Variable]:
        """List the result's variables; of one pass those that it writes."""
        everything = schema.variables(self.config)
        if index is None or len(self.passes) == 1:
            return everything
        stages = self.passes[index]
        return [each for each in everything if each.name == "flags" or _stage_of(each.name) in stages]

    @property
    def sizes(self) -> dict[str, int]:
        labels = [label for aperture in self.config.apertures for label in aperture.labels]
        return {
            "time": self.n_frames,
            "source": len(self.sources.names),
            "aperture": len(labels),
            "sky": len(self.config.sky),
        }

    def template(self) -> xr.Dataset:
        """Give the result's coordinates and attributes; its variables are added by who makes them."""
        radius = [
            value
            for aperture in self.config.apertures
            for value in (aperture.radii if isinstance(aperture, Circle) else [math.nan] * len(aperture.labels))
        ]
        labels = [label for aperture in self.config.apertures for label in aperture.labels]
        coordinates = {
            "source": ("source", _text(self.sources.names), {"long_name": "source"}),
            "role": ("source", _text(self.sources.roles), {"long_name": "target or reference"}),
            "aperture": ("aperture", _text(labels), {"long_name": "aperture"}),
            "radius": ("aperture", np.array(radius), {"units": "pixel", "long_name": "radius of the aperture"}),
            **self._scale_factors(),
            **star_times(self.config, self.coordinates),
            "sky": ("sky", _text([chain_label(chain) for chain in self.config.sky]), {"long_name": "sky"}),
        }
        result = xr.Dataset(coords=self.coordinates.coords).assign_coords(coordinates)
        if "file" in result.coords and self.config.output.file_names != "plain":
            result["file"] = result["file"].copy(data=plan_identity.input_names(self.config, result["file"].to_numpy()))
        for name, coordinate in result.coords.items():
            if coordinate.dtype.kind == "U":  # fixed-width text has no place in the zarr 3 specification
                result[name] = coordinate.astype(object)
        result.attrs = {key: value for key, value in self.coordinates.attrs.items() if key != "inputs"}
        result.attrs["config"] = json.dumps(self.config.scientific(), sort_keys=True)
        result.attrs["data_units"] = self.recipe.unit
        result.attrs["frame_shape"] = list(self.shape)  # rows, columns
        if self.recipe.pattern is not None:
            result.attrs["registration"] = self.registration
        if self.detector is not None:
            result.attrs["calibration"] = "; ".join(f"{key} {value}" for key, value in self.detector.hashes.items())
        result.attrs |= self.config.plot.model_dump(exclude_none=True)  # time_reference: how plots show times
        result.attrs["tsogrid_version"] = tsogrid.__version__
        result.attrs["Conventions"] = "CF-1.11"
        return result

    def _scale_factors(self) -> dict[str, Any]:
        """The coordinate that tells which apertures follow the width of the stars, if any does."""
        if not self.recipe.follows_width.any():
            return {}
        factors = [factor for each in self.recipe.groups for factor in [getattr(each, "factor", math.nan)] * each.count]
        return {"scale_factor": ("aperture", np.array(factors), {"units": "1", "long_name": "factor on the median FWHM"})}

    def identity(self) -> dict[str, Any]:
        """Say what decides the numbers: the scientific configuration and the inputs."""
        return plan_identity.identity_of(self)


def _is_afar(frames: xr.Dataset) -> bool:
    return "file" in frames.coords and is_remote(str(frames["file"][0].item()))


def _text(labels: Any) -> np.ndarray:
    return np.array(list(labels), dtype=object)


def _stage_of(name: str) -> str:
    if name.startswith("frame_"):
        return REGISTER
    if name in ("x_cc", "y_cc", "x_predicted", "y_predicted"):
        return "predict"
    of_source = schema.BY_NAME[name].dims == ("time", "source")
    return "center" if of_source and name not in ("x", "y", "outliers") else "photometry"


def make_plan(
    frames: xr.Dataset, config: Config, block: int | None = None, single_window: bool = False, keep: bool = True
) -> Plan:
    """Plan the measurement of a series.

    Parameters
    ----------
    frames : Dataset
        From `tsogrid.open_frames`.
    config : Config
        What to measure.
    block : int, optional
        Frames in a block; it changes no number.
    single_window : bool
        Read one window for all sources.
    keep : bool
        Whether masters that are made of calibration frames are kept on the disk.

    Returns
    -------
    Plan

    Raises
    ------
    InputError, ConfigError
        The configuration asks for what the frames do not have.
    """
    config = with_listed_sources(config, frames)
    attributes = frames.attrs | {
        name: value
        for name, key in (("gain", "gain"), ("read_noise", "read_noise"), ("integration_time_s", "integration_time"))
        if isinstance(value := getattr(config.input, key), int | float)
    }
    shape = (frames.sizes["y"], frames.sizes["x"])
    gain_image = None
    if config.input.units == "electron" and "gain_file" in attributes:
        gain_image = read_gain(Path(str(attributes["gain_file"])), attributes, shape)
    bad_pixels = None if config.calibrate.mask is None else read_mask(Path(config.calibrate.mask), shape)
    detector, bad = plan_calibration(frames, config, attributes, keep)
    if bad is not None:
        bad_pixels = bad if bad_pixels is None else bad_pixels | bad
    center = config.center
    psf = gaussian_template(center.psf_sigma) if center.psf == "gaussian" else read_psf(Path(center.psf))
    dq_attributes = dict(frames["dq"].attrs) if "dq" in frames else {}
    has_error = "error" in frames or (detector is not None and detector.has_gain)
    recipe = make_recipe(config, attributes, dq_attributes, shape, has_error, psf, gain_image, bad_pixels)
    # The header's own position may lie outside: the centre is searched round it, and what is not found there is NaN.
    from_header = not config.sources and config.center.position != "file"
    reach = math.inf if from_header else recipe.aperture_reach
    wcs = frames["wcs"].to_numpy() if "wcs" in frames.coords else None
    by_file = "file" in frames.coords and (config.center.position == "file" or config.center.drift is not None)
    files = [str(name) for name in frames["file"].to_numpy()] if by_file else []
    sources = find_sources(config, attributes, frames.sizes["time"], shape, reach, wcs, files)
    # Of a packed frame everything is unpacked for any window: one window is read, and overscans out of a whole frame.
    single_window = single_window or "packed" in frames["data"].attrs
    windows = plan_windows(recipe, sources.planned, shape, single=single_window)
    if single_window and detector is not None and detector.strips:
        windows = (Window(0, shape[0], 0, shape[1], windows[0].sources),)
    pixels = frames[[name for name in ("data", "error", "dq") if name in frames]]
    if not recipe.dq_mask | recipe.center_dq_mask:
        pixels = pixels.drop_vars("dq", errors="ignore")
    made = Plan(
        n_frames=frames.sizes["time"],
        shape=shape,
        frames=pixels.drop_vars(list(pixels.coords)).drop_attrs(),
        coordinates=frames.drop_vars([*frames.data_vars, "wcs", "exposure", "filter"], errors="ignore"),
        config=config,
        recipe=recipe,
        sources=sources,
        windows=windows,
        passes=stages_of(recipe),
        block=block or 1,
        detector=detector,
    )
    made = with_own_places(with_registration(made))
    if detector is None and not single_window and frames["data"].chunks is None:
        # From afar a whole line is one range, and amplifiers of it are many.
        made = replace(made, near=reads_near(made.recipe, len(sources.names)), short_lines=not _is_afar(frames))
    return made if block else made.with_block(default_block(made.n_frames, bytes_held(made), halo=made.halo))
