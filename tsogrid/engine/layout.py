"""A store laid out: coordinates, attributes and empty variables, with marks and times; its numbers come later.

The same bytes go into a folder and into the memory from which a bucket is filled.
"""

import json
import math
import warnings
from typing import Any

import dask.array as da
import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from tsogrid import schema
from tsogrid.engine.plan import Plan

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
    sizes = plan.sizes
    encoding: dict[str, dict[str, Any]] = {}
    for variable in plan.variables():
        shape = tuple(sizes[dim] for dim in variable.dims)
        chunks = (shard, *shape[1:])
        empty = da.empty(shape, chunks=chunks, dtype=variable.dtype)
        template[variable.name] = (variable.dims, empty, schema.attributes(variable, plan.recipe.unit))
        fill = {"_FillValue": np.nan} if np.dtype(variable.dtype).kind == "f" else {}
        encoding[variable.name] = {"chunks": chunks, **fill}
    for name in template.variables:
        encoding.setdefault(str(name), {"chunks": template[name].shape or None})
        encoding[str(name)] |= {"compressors": CODECS, "chunk_key_encoding": KEYS}
    layout = {"frames": plan.n_frames, "block": block, "shard": shard, "passes": passes}
    template.attrs["layout"] = json.dumps(layout)
    template.attrs["identity"] = json.dumps(plan.identity(), sort_keys=True)
    with zarr.config.set({"array.write_empty_chunks": True}), warnings.catch_warnings():
        # Consolidated metadata is read by every zarr library that is in use; only its place in the standard is open.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        template.to_zarr(target, mode="w", compute=False, encoding=encoding, zarr_format=3, consolidated=True)
        progress = zarr.open_group(target, mode="r+").create_group("progress")
        shape = (passes, math.ceil(plan.n_frames / shard))
        progress.create_array("done", shape=shape, chunks=(1, 1), dtype="uint8", chunk_key_encoding=KEYS)
        shape, chunks = (passes, math.ceil(plan.n_frames / block), len(TIMINGS)), (1, shard // block, len(TIMINGS))
        timings = progress.create_array(
            "blocks", shape=shape, chunks=chunks, dtype="float64", fill_value=math.nan, chunk_key_encoding=KEYS
        )
        timings.attrs["columns"] = list(TIMINGS)
