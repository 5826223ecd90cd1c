"""The store of a result: laid out before work begins, written shard by shard, each marked when it is on disk.

The verbs in order: `prepare` lays the store out, `pending` says which shards are missing, `write` writes one and marks
it, `verify` reads back what is marked, `open_result` gives the Dataset. A shard is a run of blocks: one chunk along time
of every variable, written whole by one task, so no two writers meet in a chunk. A store appears under its name only when
it is laid out, and a shard's mark is written after its chunks are on disk (`tsogrid.engine.place` says what that means in a
folder and in a bucket): whatever dies, what is marked is there.
"""

import asyncio
import json
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
import zarr.api.asynchronous

from tsogrid.config import Storage
from tsogrid.engine.identity import identity_of
from tsogrid.engine.layout import chunk_key, lay_out
from tsogrid.engine.marks import WHOLE, warn_of_marks
from tsogrid.engine.ownership import require
from tsogrid.engine.pipeline import Arrays
from tsogrid.engine.place import ROOT, Place, place_of
from tsogrid.engine.plan import Plan
from tsogrid.errors import StoreError, WritingError

MOST_SHARDS = 48
SHARD_BYTES = 256e6  # of the result; where that many shards would be larger than this, there are more
_ALONE = threading.Lock()  # zarr has one configuration for all threads: the first to leave would take it from the others


@dataclass(frozen=True)
class Store:
    """A laid-out store and how it is divided.

    Parameters
    ----------
    place : Folder or Bucket
        Where it lies.
    n_frames, block, shard, passes : int
        Frames in all, in a block and in a shard; passes over the series.
    token : str
        Of the run that writes (see `tsogrid.engine.ownership`); empty where nobody else can be.
    """

    place: Place
    n_frames: int
    block: int
    shard: int
    passes: int
    token: str = ""

    @property
    def path(self) -> Path | str:
        """The folder, or the URL."""
        return self.place.path

    @property
    def n_shards(self) -> int:
        return math.ceil(self.n_frames / self.shard)

    @property
    def n_blocks(self) -> int:
        return math.ceil(self.n_frames / self.block)

    def bounds(self, shard: int) -> tuple[int, int]:
        """First and last + 1 frame of a shard."""
        return shard * self.shard, min((shard + 1) * self.shard, self.n_frames)

    def blocks(self, shard: int) -> list[tuple[int, int]]:
        """First and last + 1 frame of every block of a shard."""
        start, stop = self.bounds(shard)
        return [(first, min(first + self.block, stop)) for first in range(start, stop, self.block)]

    def variables(self) -> dict[str, zarr.Array[Any]]:
        """The stored variables, to read."""
        return dict(zarr.open_group(self.place.zarr(), mode="r", zarr_format=3).arrays())

    def marks(self, name: str = "done", mode: Any = "r") -> zarr.Array[Any]:
        """The marks, kept out of the consolidated metadata: readers of the result never look at them."""
        return zarr.open_array(self.place.zarr(), path=f"progress/{name}", mode=mode, zarr_format=3)


def shard_length(plan: Plan, block: int) -> int:
    """Give the frames in a shard: whole blocks, at most `MOST_SHARDS` shards, but no more than fit in `SHARD_BYTES`."""
    sizes = plan.sizes
    of_frame = sum(
        np.dtype(each.dtype).itemsize * math.prod(sizes[dim] for dim in each.dims[1:]) for each in plan.variables()
    )
    blocks = math.ceil(math.ceil(plan.n_frames / block) / MOST_SHARDS)
    return block * max(1, min(blocks, int(SHARD_BYTES / (block * of_frame))))


def existing(where: str | Path | Place, storage: Storage | None = None) -> Store | None:
    """Find the store at a place; None where nothing stands."""
    place = place_of(where, storage)
    found = identity_of(place)
    if found is None:
        return None
    layout = found["layout"]
    return Store(place, layout["frames"], layout["block"], layout["shard"], layout["passes"])


def required(where: str | Path | Place, storage: Storage | None = None) -> Store:
    """Find the store at a place, or say that nothing stands there."""
    store = existing(where, storage)
    if store is None:
        raise StoreError(f"{where}: expected a tsogrid store, found nothing. `tsogrid run` makes one.")
    return store


def prepare(
    where: str | Path | Place, plan: Plan, layout: tuple[int, int] | None = None, fill: Callable[[Store], None] | None = None
) -> Store:
    """Lay out a store for a plan; what stood under its name is replaced in one step.

    Parameters
    ----------
    where : path-like or place
        Where; a folder that holds it must exist.
    plan : Plan
        What will be written, with its block size.
    layout : (int, int), optional
        Frames in a block and in a shard, where they are not to be chosen.
    fill : callable, optional
        Takes the new store before it appears under its name, and writes what is known already.

    Returns
    -------
    Store

    Raises
    ------
    StoreError
        The place cannot be written, or the disk is full.
    """
    block, shard = layout or (plan.block, shard_length(plan, plan.block))
    place: Any = place_of(where)
    store, making = Store(place, plan.n_frames, block, shard, len(plan.passes)), place.beside("making")
    try:
        making.remove()
        with making.staging() as target:
            lay_out(target, plan, store.passes, block, shard)
        if fill is not None:
            fill(replace(store, place=making))
        place.become(making)
    except place.failures as error:
        with suppress(*place.failures):
            place.recover()
        raise StoreError(f"{place}: the store could not be made: {error}.") from None
    return store


def pending(store: Store, index: int) -> list[int]:
    """List the shards of a pass that are not marked, or marked as written with frames set aside.

    Parameters
    ----------
    store : Store
        A laid-out store.
    index : int
        Which pass.

    Returns
    -------
    list of int
    """
    done = np.asarray(store.marks()[index])
    return [int(shard) for shard in np.flatnonzero(done != WHOLE)]


def write(
    store: Store, index: int, shard: int, results: list[Arrays], timings: np.ndarray | None = None, mark: int = WHOLE
) -> int:
    """Write one shard, flush it to disk, and mark it.

    Parameters
    ----------
    store : Store
        A laid-out store.
    index, shard : int
        Which pass and shard.
    results : list of dict of ndarray
        The results of its blocks, in order.
    timings : ndarray, shape (n_blocks, 3), optional
        When each block was measured and what it took, in the columns of `TIMINGS`, for the record.
    mark : int
        `WHOLE`, or `SOME_ASIDE` where frames could not be read.

    Returns
    -------
    int
        The shard.

    Raises
    ------
    StoreError
        The blocks are not the shard's, or the disk is full or not writable.
    """
    start, stop = store.bounds(shard)
    found = sum(len(result["flags"]) for result in results)
    if found != stop - start:
        raise StoreError(f"{store.path}: shard {shard} holds frames {start} … {stop - 1}, its blocks hold {found} frames.")
    require(store.place, store.token)
    try:
        values = {name: np.concatenate([result[name] for result in results]) for name in results[0]}
        with (
            store.place.staging() as target,
            _ALONE,
            zarr.config.set({"array.write_empty_chunks": True}),
            ThreadPoolExecutor(1) as pool,  # a thread of its own: a notebook's has an event loop already
        ):
            pool.submit(asyncio.run, _write_chunks(target, slice(start, stop), values)).result()
        store.place.flush([chunk_key(name, shard, array.ndim) for name, array in values.items()])
        if timings is not None:
            # A record, that may be damaged or (in a store of an older version) missing: it stops no work.
            with suppress(Exception):
                first = start // store.block
                store.marks("blocks", "r+")[index, first : first + len(timings)] = timings
        require(store.place, store.token)
        store.marks("done", "r+")[index, shard] = mark
        store.place.flush([f"progress/done/c.{index}.{shard}"])
    except StoreError:
        raise
    except store.place.failures as error:
        raise WritingError(
            f"{store.path}: shard {shard} could not be written: {error}. What is marked is safe; mend this and run again."
        ) from None
    return shard


async def _write_chunks(target: Any, frames: slice, values: Arrays) -> None:
    """Write one chunk of every variable, all at once: one by one, zarr spends most of the time on handing over."""
    group = await zarr.api.asynchronous.open_group(target, mode="r+", zarr_format=3)
    arrays: list[Any] = [await group.getitem(name) for name in values]
    await asyncio.gather(*(array.setitem(frames, new) for array, new in zip(arrays, values.values(), strict=True)))


def show_as(store: Store, attributes: dict[str, Any]) -> None:
    """Put attributes that decide no number, such as what plots take off the times, into a store that is there."""
    content = json.loads(store.place.read(ROOT))
    if attributes.items() <= content["attributes"].items():
        return
    content["attributes"] |= attributes
    store.place.write(ROOT, json.dumps(content, indent=2).encode())


def verify(store: Store, plan: Plan) -> list[str]:
    """Read back every marked shard, and take the mark off those that cannot be read.

    Parameters
    ----------
    store : Store
        A laid-out store.
    plan : Plan
        What it holds: the variables of each pass.

    Returns
    -------
    list of str
        What was found missing or damaged, one line a chunk; empty if all is well.
    """
    done, there = _readable_marks(store), store.place.names()
    arrays = store.variables()
    written = [{variable.name for variable in plan.variables(index)} for index in range(store.passes)]
    chunks = [
        (int(shard), name)
        for shard in np.flatnonzero(done.any(axis=0))
        for name in sorted(set().union(*(written[index] for index in np.flatnonzero(done[:, shard]))))
    ]

    def wrong(chunk: tuple[int, str]) -> str | None:
        shard, name = chunk
        start, stop = store.bounds(shard)
        if chunk_key(name, shard, arrays[name].ndim) not in there:
            return f"{name} frames {start} … {stop - 1}: missing"
        found = unreadable(store.place, arrays[name], slice(start, stop))
        return None if found is None else f"{name} frames {start} … {stop - 1}: {found}"

    with ThreadPoolExecutor(store.place.at_once) as pool:
        lines = list(pool.map(wrong, chunks))
    for shard in sorted({shard for (shard, _), line in zip(chunks, lines, strict=True) if line is not None}):
        store.marks("done", "r+")[:, shard] = 0
    return [line for line in lines if line is not None]


def unreadable(place: Place, array: zarr.Array[Any], where: Any) -> str | None:
    """Say what is wrong with a part of an array; None if it can be read.

    Raises
    ------
    StoreError
        A server did not give it: that says nothing of what it keeps.
    """
    try:
        array[where]
    except place.unreachable as error:
        raise StoreError(
            f"{place}: what is stored could not be read back: {error}. Nothing was changed; run again."
        ) from None
    except Exception as error:  # the codecs raise errors of many types
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _readable_marks(store: Store) -> np.ndarray:
    """The marks; one that cannot be read is taken off."""
    marks = store.marks("done", "r+")
    with suppress(Exception):  # the codecs raise errors of many types
        return np.asarray(marks[:])
    for index, shard in np.ndindex(store.passes, store.n_shards):
        if unreadable(store.place, marks, (index, shard)) is not None:
            marks[index, shard] = 0
    return np.asarray(marks[:])


def open_result(path: str | Path | Place, storage: Storage | dict[str, Any] | None = None) -> xr.Dataset:
    """Open a result.

    Parameters
    ----------
    path : path-like or str
        A store made by `tsogrid.run`: a folder, or ``s3://bucket/name``.
    storage : Storage or dict, optional
        How a bucket is reached, as ``output.storage``.

    Returns
    -------
    Dataset
        Dask-backed, dims (time, source, aperture, sky); the accessor ``.tso`` is registered.

    Raises
    ------
    StoreError
        There is no tsogrid store.
    """
    place = place_of(path, Storage(**storage) if isinstance(storage, dict) else storage)
    store = required(place)
    with place.told():
        warn_of_marks(path, np.asarray(store.marks()[store.passes - 1]))
        result = xr.open_zarr(place.zarr(), consolidated=True)
    result.encoding["source"] = str(path)
    return result
