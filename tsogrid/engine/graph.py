"""The lazy result: a dask graph over the blocks of a plan, one task a block and one cheap pick a variable.

`measure` builds it; nothing is read until it is computed. `tsogrid.run` does not go this way: it hands the blocks' results
straight to the store.
"""

import uuid
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from tsogrid import schema
from tsogrid.config import Config
from tsogrid.engine.pipeline import Arrays
from tsogrid.engine.plan import Plan, make_plan
from tsogrid.engine.positions import gathered, series_positions
from tsogrid.errors import ConfigError
from tsogrid.field.listing import with_listed_sources
from tsogrid.field.selection import frames_containing
from tsogrid.io.frames import open_frames

plan = make_plan


def _block_cell(bounds: np.ndarray, *arrays: np.ndarray, plan: Plan, index: int, given: Any, names: Any) -> np.ndarray:
    """Measure one block and put its dict of arrays into an object cell."""
    start, stop = (int(value) for value in bounds.reshape(-1)[:2])
    part = {name: values[start:stop] for name, values in (given or {}).items()}
    if arrays:
        found = plan.measure_arrays(dict(zip(names, arrays, strict=True)), start, stop, index, part)
    else:
        found = plan.measure(start, stop, index, part)
    cell = np.empty(1, dtype=object)
    cell[0] = found
    return cell


def _pick(cell: np.ndarray, variable: str) -> np.ndarray:
    return cell[0][variable]


def _gather(cells: list[np.ndarray], names: tuple[str, ...], plan: Plan, stage: str) -> Arrays:
    """Make the next pass's positions from the centres of all blocks."""
    measured = {name: np.concatenate([cell[0][name] for cell in cells]) for name in names}
    return series_positions(plan.recipe, stage, measured, plan.sources.planned)


def _spans(plan: Plan) -> list[tuple[int, int]]:
    """First and last + 1 frame that each block reads."""
    return [plan.span(int(start), int(stop)) for start, stop in plan.bounds]


def _with_halo(array: da.Array, plan: Plan) -> da.Array:
    """Frames of every block one after another, with those on both sides that it depends on: some come more than once."""
    return da.concatenate([array[first:last] for first, last in _spans(plan)]) if plan.halo else array


def _cells(plan: Plan) -> list[da.Array]:
    """One dask array of object cells a pass."""
    bounds = da.from_array(plan.bounds, chunks=(1, 2), name=f"bounds-{uuid.uuid4().hex}")
    sizes = tuple(int(stop - start) for start, stop in plan.bounds)
    spans = tuple(last - first for first, last in _spans(plan))
    window = plan.windows[0]
    names, pixels = [], []
    lazy = plan.frames["data"].chunks is not None
    if lazy:
        for name, variable in plan.frames.variables.items():
            array = da.asarray(variable.data)[:, window.y0 : window.y1, window.x0 : window.x1]
            names.append(name)
            pixels.append(_with_halo(array, plan).rechunk((spans, -1, -1)))
    shipped = plan.travelling(pixels=not lazy)
    # One task holds the plan; the others depend on it, so that it is sent once to a worker and not with every block.
    shared = dask.delayed(shipped, name=f"plan-{uuid.uuid4().hex}", traverse=False)
    cells: list[da.Array] = []
    given: Any = None
    for index, stages in enumerate(plan.passes):
        if index:
            blocks = list(cells[-1].to_delayed().ravel())
            names_needed = gathered(plan.recipe, stages[0])
            given = dask.delayed(_gather, pure=False)(blocks, names_needed, shared, stages[0])
        arguments = [bounds] if not pixels else [bounds[:, :, None], *pixels]
        cells.append(
            da.map_blocks(
                _block_cell,
                *arguments,
                plan=shared,
                index=index,
                given=given,
                names=tuple(names),
                dtype=object,
                drop_axis=[1, 2] if pixels else [1],
                chunks=((1,) * len(sizes),),
                name=f"blocks-{index}-{uuid.uuid4().hex}",
                meta=np.empty(0, dtype=object),
            )
        )
    return cells


def _assemble(plan: Plan) -> xr.Dataset:
    cells = _cells(plan)
    result = plan.template()
    frames = tuple(int(stop - start) for start, stop in plan.bounds)
    for index in range(len(plan.passes)):
        for variable in plan.variables(index):
            shape = [plan.sizes[dim] for dim in variable.dims]
            chunks = (frames, *((size,) for size in shape[1:]))
            array = da.map_blocks(
                _pick,
                cells[index],
                name=f"{variable.name}-{index}-{uuid.uuid4().hex}",
                dtype=np.dtype(variable.dtype),
                new_axis=list(range(1, len(shape))),
                chunks=chunks,
                meta=np.empty((0,) * len(shape), np.dtype(variable.dtype)),
                variable=variable.name,
            )
            result[variable.name] = (variable.dims, array, schema.attributes(variable, plan.recipe.unit))
    return result[[variable.name for variable in plan.variables()]]


def measure(
    frames: Any,
    config: Config | None = None,
    *,
    x: Any = None,
    y: Any = None,
    radius: Any = None,
    fit_box: int | None = None,
    block: int | None = None,
    **settings: Any,
) -> xr.Dataset:
    """Measure sources in a series of frames; nothing is read before the result is computed.

    Parameters
    ----------
    frames : Dataset, path, list of paths, or 2-D or 3-D array(s)
        Whatever `tsogrid.open_frames` takes; arrays are (y, x) or (time, y, x).
    config : Config, optional
        What to measure.
    x, y : float or sequence of float, optional
        Positions in 0-based pixels, in place of ``sources``; without any, the header's reference pixel, else the centre.
    radius : float, sequence of float or str, optional
        Radii of circular apertures in pixels, in place of ``apertures``; ``"3:20:0.5"`` is a range with its end.
    fit_box : int, optional
        Full width of the box of the centre's fit, in place of ``center.fit_box``.
    block : int, optional
        Frames in a block; it changes no number.
    **settings
        Further sections of the configuration, for example ``sky=[{"method": "annulus", "inner": 8, "outer": 12}]``.

    Returns
    -------
    Dataset
        Dask-backed, with dims (time, source, aperture, sky); the variables are listed in `tsogrid.schema`.

    Raises
    ------
    ConfigError, InputError
        A wrong setting, or frames that cannot be read.

    Examples
    --------
    >>> import numpy as np, tsogrid
    >>> result = tsogrid.measure(np.ones((5, 64, 64)), x=30, y=31, radius=[3, 4])  # doctest: +SKIP
    >>> result.flux.sel(radius=4)  # doctest: +SKIP
    """
    config = with_settings(config, x=x, y=y, radius=radius, fit_box=fit_box, **settings)
    observed = config.observed
    frames = open_frames(frames, **{name: getattr(observed, name) for name in observed.model_fields_set - {"files"}})
    config = with_listed_sources(config, frames)
    frames = frames_containing(frames, config)
    lazy = frames["data"].chunks is not None
    return _assemble(make_plan(frames, config, block, single_window=lazy))


def with_settings(
    config: Config | None, *, x: Any = None, y: Any = None, radius: Any = None, fit_box: int | None = None, **settings: Any
) -> Config:
    """Put the short settings of `measure` into a configuration.

    Parameters
    ----------
    config : Config or None
        Where to begin.
    x, y, radius, fit_box, **settings
        See `measure`.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        x without y, or a wrong setting.
    """
    if (x is None) != (y is None):
        raise ConfigError("measure: expected x and y, or neither of them.")
    # Sections that were given are kept whole (with the tags that tell their kinds); the others follow the new settings.
    content = {} if config is None else config.model_dump(mode="json", include=config.model_fields_set)
    content |= settings
    if x is not None:
        positions = np.column_stack([np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))])
        single = len(positions) == 1
        content["sources"] = [
            {"name": "target" if single else f"source{index}", "x": float(px), "y": float(py)}
            for index, (px, py) in enumerate(positions)
        ]
    if radius is not None:
        radii = radius if isinstance(radius, str) else [float(value) for value in np.atleast_1d(radius)]
        content["apertures"] = [{"shape": "circle", "radius": radii}]
    if fit_box is not None:
        content["center"] = {**content.get("center", {}), "fit_box": int(fit_box)}
    return Config.from_mapping(content, where="measure()")
