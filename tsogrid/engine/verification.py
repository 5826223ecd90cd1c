"""Whether a store still holds what was written: every chunk of every marked shard is read back, and nothing is changed.

Chunks end in a checksum, so a flipped bit and a cut file are found. What is damaged, the next run finds as well and
measures again.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from tsogrid import schema
from tsogrid.config import Storage
from tsogrid.engine.layout import chunk_key
from tsogrid.engine.place import place_of
from tsogrid.engine.store import required, unreadable


@dataclass(frozen=True)
class Verified:
    """What was found.

    Parameters
    ----------
    store : str
        Its path.
    shards, marked : int
        Of all passes; and those that are marked as written.
    chunks : int
        Chunks that were read.
    damaged : list of str
        What is missing or damaged, one line a chunk.
    """

    store: str
    shards: int
    marked: int
    chunks: int
    damaged: list[str]


def verified(path: str | Path, storage: Storage | None = None) -> Verified:
    """Read back what a store holds.

    Parameters
    ----------
    path : path-like
        A store of `tsogrid.run`, finished or not.
    storage : Storage, optional
        How a bucket is reached.

    Returns
    -------
    Verified

    Raises
    ------
    StoreError
        There is no store, or a server does not give it.
    """
    store = required(place_of(path, storage))
    marks, there = store.marks(), store.place.names()
    done, damaged = np.zeros((store.passes, store.n_shards), bool), []
    for index, shard in np.ndindex(*done.shape):
        wrong = unreadable(store.place, marks, (index, shard))
        done[index, shard] = wrong is None and bool(marks[index, shard])
        damaged += [f"the mark of shard {shard}, pass {index}: {wrong}"] if wrong else []
    arrays = store.variables()
    parts: list[tuple[str, zarr.Array[Any], Any, str | None]] = []  # what to call it, and the key that must be there
    for shard in (int(number) for number in np.flatnonzero(done.any(axis=0))):
        start, stop = store.bounds(shard)
        for name in sorted(arrays.keys() & schema.BY_NAME.keys()):
            key = chunk_key(name, shard, arrays[name].ndim)
            # Of a shard that only an earlier pass has written, nobody knows here which chunks should be there.
            if key in there or done[-1, shard]:
                parts.append((f"{name} frames {start} … {stop - 1}", arrays[name], slice(start, stop), key))
    parts += [(name, arrays[name], ..., None) for name in sorted(arrays.keys() - schema.BY_NAME.keys())]

    def line(part: tuple[str, zarr.Array[Any], Any, str | None]) -> str | None:
        name, array, where, key = part
        wrong = "missing" if key is not None and key not in there else unreadable(store.place, array, where)
        return f"{name}: {wrong}" if wrong else None

    with ThreadPoolExecutor(store.place.at_once) as pool:
        damaged += [found for found in pool.map(line, parts) if found is not None]
    return Verified(str(path), done.size, int(done.sum()), len(parts), damaged)
