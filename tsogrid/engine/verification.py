"""Whether a store still holds what was written: every chunk of every marked shard is read back, and nothing is changed.

Chunks end in a checksum, so a flipped bit and a cut file are found. What is damaged, the next run finds as well and
measures again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from tsogrid import schema
from tsogrid.engine.store import Store, existing
from tsogrid.errors import StoreError


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


def verified(path: str | Path) -> Verified:
    """Read back what a store holds.

    Parameters
    ----------
    path : path-like
        A store of `tsogrid.run`, finished or not.

    Returns
    -------
    Verified

    Raises
    ------
    StoreError
        There is no store.
    """
    store = existing(Path(path))
    if store is None:
        raise StoreError(f"{path}: expected a tsogrid store, found nothing. `tsogrid run` makes one.")
    marks = store.marks()
    done, damaged, count = np.zeros((store.passes, store.n_shards), bool), [], 0
    for index, shard in np.ndindex(*done.shape):
        try:
            done[index, shard] = bool(marks[index, shard])
        except Exception as error:  # the codecs raise errors of many types
            damaged.append(f"the mark of shard {shard}, pass {index}: {error}")
    arrays = store.variables()
    for shard in (int(number) for number in np.flatnonzero(done.any(axis=0))):
        start, stop = store.bounds(shard)
        for name in sorted(arrays.keys() & schema.BY_NAME.keys()):
            chunk = _chunk(store, arrays[name], name, shard)
            # Of a shard that only an earlier pass has written, nobody knows here which chunks should be there.
            if not chunk.exists() and not done[-1, shard]:
                continue
            count += 1
            wrong = _wrong(chunk, arrays[name], slice(start, stop))
            damaged += [f"{name} frames {start} … {stop - 1}: {wrong}"] if wrong else []
    for name in sorted(arrays.keys() - schema.BY_NAME.keys()):
        count += 1
        wrong = _wrong(None, arrays[name], ...)
        damaged += [f"{name}: {wrong}"] if wrong else []
    return Verified(str(path), done.size, int(done.sum()), count, damaged)


def _chunk(store: Store, array: zarr.Array[Any], name: str, shard: int) -> Path:
    """The file of a shard's chunk of a variable."""
    key = array.metadata.encode_chunk_key((shard, *[0] * (array.ndim - 1)))
    return store.path / name / key


def _wrong(chunk: Path | None, array: zarr.Array[Any], where: Any) -> str | None:
    """Say what is wrong with a part of an array; None if it can be read."""
    if chunk is not None and not chunk.exists():
        return "missing"
    try:
        array[where]
    except Exception as error:  # the codecs raise errors of many types
        return " ".join(str(error).split()) or type(error).__name__
    return None
