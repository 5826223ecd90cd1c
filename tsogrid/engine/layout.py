"""A store laid out: coordinates, attributes and empty variables, with marks and times; its numbers come later.

The same bytes go into a folder and into the memory from which a bucket is filled.
"""

import json
import math
import warnings
from typing import Any

import numpy as np
import xarray as xr
import zarr
from xarray.coding.strings import create_vlen_dtype
from zarr.codecs import Crc32cCodec, ZstdCodec

from tsogrid import schema
from tsogrid.engine.plan import Plan

LONGEST_CHUNK = 1 << 17  # frames in a chunk of a coordinate, which is written in pieces
TEXT_CHUNK = 1 << 15  # for text, since while it is written every label is an object of its own
TIMINGS = ("cpu_seconds", "elapsed_seconds", "ended")  # of every block; ended in seconds since 1970
# The default compressor gives a flipped bit back as another number, silently: every chunk ends in a checksum.
CODECS = (ZstdCodec(level=1), Crc32cCodec())
KEYS: Any = {"name": "default", "separator": "."}  # one flat folder a variable: fewer folders to make and to flush


def chunk_key(name: str, shard: int, ndim: int) -> str:
    """The key of a shard's chunk of a variable."""
    return f"{name}/" + ".".join(["c", str(shard), *["0"] * (ndim - 1)])


def lay_out(target: Any, plan: Plan, passes: int, block: int, shard: int) -> None:
    """Write all of a store that is known before its numbers.

    Parameters
    ----------
    target : path-like or zarr store
        Where; what stands there is replaced.
    plan : Plan
        What will be written.
    passes, block, shard : int
        Passes over the series; frames in a block and in a shard.
    """
    template = plan.template()
    template.attrs["layout"] = json.dumps({"frames": plan.n_frames, "block": block, "shard": shard, "passes": passes})
    template.attrs["identity"] = json.dumps(plan.identity(), sort_keys=True)
    encoding: dict[str, dict[str, Any]] = {}
    for name, coordinate in template.variables.items():
        most = TEXT_CHUNK if coordinate.dtype.kind == "O" else LONGEST_CHUNK
        encoding[str(name)] = {"chunks": tuple(min(n, most) for n in coordinate.shape) or None}
    short = _without_frames(template)
    for variable in plan.variables():
        of_frame = tuple(plan.sizes[dim] for dim in variable.dims[1:])
        nothing = np.empty((0, *of_frame), variable.dtype)
        short[variable.name] = (variable.dims, nothing, schema.attributes(variable, plan.recipe.unit))
        fill = {"_FillValue": np.nan} if nothing.dtype.kind == "f" else {}
        encoding[variable.name] = {"chunks": (shard, *of_frame), **fill}
    for each in encoding.values():
        each |= {"compressors": CODECS, "chunk_key_encoding": KEYS}
    with zarr.config.set({"array.write_empty_chunks": True}), warnings.catch_warnings():
        # Consolidated metadata is read by every zarr library that is in use; only its place in the standard is open.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        short.to_zarr(target, mode="w", encoding=encoding, zarr_format=3, consolidated=False)
        for name, array in zarr.open_group(target, mode="r+", zarr_format=3).arrays():
            if "time" in short[name].dims:
                array.resize((plan.n_frames, *array.shape[1:]))
            if "time" in short[name].dims and name in template.variables:
                _fill(array, template.variables[name])
        zarr.consolidate_metadata(target, zarr_format=3)
        progress = zarr.open_group(target, mode="r+").create_group("progress")
        shape = (passes, math.ceil(plan.n_frames / shard))
        progress.create_array("done", shape=shape, chunks=(1, 1), dtype="uint8", chunk_key_encoding=KEYS)
        blocks, chunks = (passes, math.ceil(plan.n_frames / block), len(TIMINGS)), (1, shard // block, len(TIMINGS))
        timings = progress.create_array(
            "blocks", shape=blocks, chunks=chunks, dtype="float64", fill_value=math.nan, chunk_key_encoding=KEYS
        )
        timings.attrs["columns"] = list(TIMINGS)


def _without_frames(template: xr.Dataset) -> xr.Dataset:
    """Give the coordinates of no frame at all: xarray lays them out without a copy of the long ones, or dask."""
    short = template.isel(time=slice(0, 0))
    for name, coordinate in list(short.variables.items()):
        if coordinate.dtype.kind == "O" and "time" in coordinate.dims:  # no label would tell that it is text
            short[name] = (coordinate.dims, np.empty(coordinate.shape, create_vlen_dtype(str)), coordinate.attrs)
    return short


def _fill(array: zarr.Array[Any], coordinate: xr.Variable) -> None:
    """Write a coordinate chunk by chunk."""
    step = array.chunks[0]
    for start in range(0, array.shape[0], step):
        array[start : start + step] = coordinate[start : start + step].to_numpy()
