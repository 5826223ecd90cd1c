"""The store of a result: laid out before work begins, written shard by shard, each marked when it is on disk.

The verbs in order: `prepare` lays the store out, `pending` says which shards are missing, `write` writes one and marks
it, `verify` reads back what is marked, `open_result` gives the Dataset. A shard is a run of blocks: one chunk along time
of every variable, written whole by one task, so no two writers meet in a chunk. A store appears under its name only when
it is laid out (it is made beside and renamed), and a shard's mark is written after its chunks are on disk: whatever dies,
what is marked is there.
"""

import asyncio
import json
import math
import os
import shutil
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr
import zarr.api.asynchronous
from zarr.codecs import Crc32cCodec, ZstdCodec

from tsogrid import schema
from tsogrid.engine.identity import identity_of
from tsogrid.engine.marks import WHOLE, warn_of_marks
from tsogrid.engine.ownership import require
from tsogrid.engine.pipeline import Arrays
from tsogrid.engine.plan import Plan
from tsogrid.errors import StoreError

MOST_SHARDS = 48
TIMINGS = ("cpu_seconds", "elapsed_seconds", "ended")  # of every block; ended in seconds since 1970
SHARD_BYTES = 256e6  # of the result; where that many shards would be larger than this, there are more
# The default compressor gives a flipped bit back as another number, silently: every chunk ends in a checksum.
CODECS = (ZstdCodec(level=1), Crc32cCodec())
_ALONE = threading.Lock()  # zarr has one configuration for all threads: the first to leave would take it from the others
KEYS: Any = {"name": "default", "separator": "."}  # one flat folder a variable: fewer folders to make and to flush


@dataclass(frozen=True)
class Store:
    """A laid-out store and how it is divided.

    Parameters
    ----------
    path : Path
        The folder.
    n_frames, block, shard, passes : int
        Frames in all, in a block and in a shard; passes over the series.
    token : str
        Of the run that writes (see `tsogrid.engine.ownership`); empty where nobody else can be.
    """

    path: Path
    n_frames: int
    block: int
    shard: int
    passes: int
    token: str = ""

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
        return dict(zarr.open_group(self.path, mode="r").arrays())

    def marks(self, name: str = "done", mode: Any = "r") -> zarr.Array[Any]:
        """The marks, kept out of the consolidated metadata: readers of the result never look at them."""
        return zarr.open_array(self.path / "progress" / name, mode=mode)


def shard_length(plan: Plan, block: int) -> int:
    """Give the frames in a shard: whole blocks, at most `MOST_SHARDS` shards, but no more than fit in `SHARD_BYTES`."""
    sizes = plan.sizes
    of_frame = sum(
        np.dtype(each.dtype).itemsize * math.prod(sizes[dim] for dim in each.dims[1:]) for each in plan.variables()
    )
    blocks = math.ceil(math.ceil(plan.n_frames / block) / MOST_SHARDS)
    return block * max(1, min(blocks, int(SHARD_BYTES / (block * of_frame))))


def existing(path: Path) -> Store | None:
    """Find the store at a path; None where nothing stands."""
    found = identity_of(path)
    if found is None:
        return None
    layout = found["layout"]
    return Store(path, layout["frames"], layout["block"], layout["shard"], layout["passes"])


def _beside(path: Path, what: str) -> Path:
    return path.parent / f".{path.name}.{what}"


def recover(path: Path) -> None:
    """Undo what a run left behind that died while it laid out a store; the caller holds the lock."""
    old, making = _beside(path, "old"), _beside(path, "making")
    if old.exists() and not path.exists():
        old.rename(path)
    for leftover in (old, making):
        shutil.rmtree(leftover, ignore_errors=True)


def prepare(
    path: Path, plan: Plan, layout: tuple[int, int] | None = None, fill: Callable[[Store], None] | None = None
) -> Store:
    """Lay out a store for a plan; what stood under its name is replaced in one step.

    Parameters
    ----------
    path : Path
        Where; its folder must exist.
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
        The folder cannot be written, or the disk is full.
    """
    block, shard = layout or (plan.block, shard_length(plan, plan.block))
    store = Store(path, plan.n_frames, block, shard, len(plan.passes))
    making, old = _beside(path, "making"), _beside(path, "old")
    try:
        for leftover in (making, old):
            shutil.rmtree(leftover, ignore_errors=True)
        _lay_out(making, plan, store)
        if fill is not None:
            fill(replace(store, path=making))
        _flush_tree(making)
        if path.exists():
            path.rename(old)
        making.rename(path)
        _flush(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"{path}: the store could not be made: {error}.") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return store


def _lay_out(path: Path, plan: Plan, store: Store) -> None:
    template = plan.template()
    sizes = plan.sizes
    encoding: dict[str, dict[str, Any]] = {}
    for variable in plan.variables():
        shape = tuple(sizes[dim] for dim in variable.dims)
        chunks = (store.shard, *shape[1:])
        empty = da.empty(shape, chunks=chunks, dtype=variable.dtype)
        template[variable.name] = (variable.dims, empty, schema.attributes(variable, plan.recipe.unit))
        fill = {"_FillValue": np.nan} if np.dtype(variable.dtype).kind == "f" else {}
        encoding[variable.name] = {"chunks": chunks, **fill}
    for name in template.variables:
        encoding.setdefault(str(name), {"chunks": template[name].shape or None})
        encoding[str(name)] |= {"compressors": CODECS, "chunk_key_encoding": KEYS}
    layout = {"frames": store.n_frames, "block": store.block, "shard": store.shard, "passes": store.passes}
    template.attrs["layout"] = json.dumps(layout)
    template.attrs["identity"] = json.dumps(plan.identity(), sort_keys=True)
    with zarr.config.set({"array.write_empty_chunks": True}), warnings.catch_warnings():
        # Consolidated metadata is read by every zarr library that is in use; only its place in the standard is open.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        template.to_zarr(path, mode="w", compute=False, encoding=encoding, zarr_format=3, consolidated=True)
        progress = zarr.open_group(path, mode="r+").create_group("progress")
        shape = (store.passes, store.n_shards)
        progress.create_array("done", shape=shape, chunks=(1, 1), dtype="uint8", chunk_key_encoding=KEYS)
        shape, chunks = (store.passes, store.n_blocks, len(TIMINGS)), (1, store.shard // store.block, len(TIMINGS))
        timings = progress.create_array(
            "blocks", shape=shape, chunks=chunks, dtype="float64", fill_value=math.nan, chunk_key_encoding=KEYS
        )
        timings.attrs["columns"] = list(TIMINGS)


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
    require(store.path, store.token)
    try:
        values = {name: np.concatenate([result[name] for result in results]) for name in results[0]}
        with _ALONE, zarr.config.set({"array.write_empty_chunks": True}), ThreadPoolExecutor(1) as pool:
            # A thread of its own: a notebook's has an event loop already.
            pool.submit(asyncio.run, _write_chunks(store.path, slice(start, stop), values)).result()
        chunks = [chunk_path(store.path / name, shard, array.ndim) for name, array in values.items()]
        _flush_all([*chunks, *(chunk.parent for chunk in chunks)])
        if timings is not None:
            with suppress(FileNotFoundError):  # a store of an older version
                first = start // store.block
                store.marks("blocks", "r+")[index, first : first + len(timings)] = timings
        require(store.path, store.token)
        store.marks("done", "r+")[index, shard] = mark
        file = store.path / "progress" / "done" / f"c.{index}.{shard}"
        _flush_all([file, file.parent])
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"{store.path}: shard {shard} could not be written: {error}. What is marked is safe; mend this and run again."
        ) from None
    return shard


async def _write_chunks(path: Path, frames: slice, values: Arrays) -> None:
    """Write one chunk of every variable, all at once: one by one, zarr spends most of the time on handing over."""
    group = await zarr.api.asynchronous.open_group(path, mode="r+")
    arrays: list[Any] = [await group.getitem(name) for name in values]
    await asyncio.gather(*(array.setitem(frames, new) for array, new in zip(arrays, values.values(), strict=True)))


def chunk_path(folder: Path, shard: int, ndim: int) -> Path:
    """The file of a shard's chunk of a variable."""
    return folder / ".".join(["c", str(shard), *["0"] * (ndim - 1)])


def _flush_all(paths: list[Path]) -> None:
    """Flush many files and folders; together, the disk joins them into few writes."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_flush, paths))


def _flush(path: Path) -> None:
    """Force a file, or the names in a folder, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_tree(path: Path) -> None:
    _flush_all([path, *path.rglob("*")])


def tidy(store: Store) -> None:
    """Remove the half-written files that a killed run left in a store; the caller holds its lock."""
    for leftover in store.path.rglob("*.partial"):
        leftover.unlink(missing_ok=True)


def show_as(store: Store, attributes: dict[str, Any]) -> None:
    """Put attributes that decide no number, such as what plots take off the times, into a store that is there."""
    path = store.path / "zarr.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    if attributes.items() <= content["attributes"].items():
        return
    content["attributes"] |= attributes
    part = path.with_name("zarr.json.part")
    part.write_text(json.dumps(content, indent=2), encoding="utf-8")
    _flush(part)
    part.replace(path)


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
    done = _readable_marks(store)
    damaged: dict[int, list[str]] = {}
    arrays = store.variables()
    written = [{variable.name for variable in plan.variables(index)} for index in range(store.passes)]
    for shard in (int(index) for index in np.flatnonzero(done.any(axis=0))):
        start, stop = store.bounds(shard)
        for name in sorted(set().union(*(written[index] for index in np.flatnonzero(done[:, shard])))):
            array = arrays[name]
            chunk = chunk_path(store.path / name, shard, array.ndim)
            try:
                if not chunk.exists():
                    raise FileNotFoundError("missing")
                array[start:stop]
            except Exception as error:  # the codecs raise errors of many types
                damaged.setdefault(shard, []).append(f"{name} frames {start} … {stop - 1}: {error}")
    for shard in damaged:
        store.marks("done", "r+")[:, shard] = 0
    return [line for lines in damaged.values() for line in lines]


def _readable_marks(store: Store) -> np.ndarray:
    """The marks; one that cannot be read is taken off."""
    marks = store.marks("done", "r+")
    for index in range(store.passes):
        for shard in range(store.n_shards):
            try:
                marks[index, shard]
            except Exception:  # the codecs raise errors of many types
                marks[index, shard] = 0
    return np.asarray(marks[:])


def open_result(path: str | Path) -> xr.Dataset:
    """Open a result.

    Parameters
    ----------
    path : path-like
        A store made by `tsogrid.run`.

    Returns
    -------
    Dataset
        Dask-backed, dims (time, source, aperture, sky); the accessor ``.tso`` is registered.

    Raises
    ------
    StoreError
        There is no tsogrid store.
    """
    path = Path(path)
    store = existing(path)
    if store is None:
        raise StoreError(f"{path}: expected a tsogrid store, found nothing. `tsogrid run` makes one.")
    warn_of_marks(path, np.asarray(store.marks()[store.passes - 1]))
    return xr.open_zarr(path, consolidated=True)
