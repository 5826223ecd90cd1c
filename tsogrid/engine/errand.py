"""What travels to a cluster: errands that the scheduler can hold without knowing what they are.

A scheduler unpacks the tasks that it is sent. If they held plans and stores, it would have to load numba, xarray and zarr,
three times its own memory, for nothing. So a task is a function of this page, which imports nothing, with plain numbers and
bytes; the worker that runs it unpacks the bytes.
"""

import pickle
from typing import Any


def unpacked(content: bytes) -> Any:
    """Unpack what was pickled; on a worker, so that the scheduler never sees more than bytes.

    Parameters
    ----------
    content : bytes
        From `pickle.dumps`, in the process that also sends the task.

    Returns
    -------
    object
    """
    return pickle.loads(content)


def measure_and_time(plan: Any, start: int, stop: int, index: int, given: Any, aside: Any, step: int | None) -> Any:
    """Measure one block; see `tsogrid.engine.shard_work.measure_and_time`."""
    from tsogrid.engine import shard_work

    return shard_work.measure_and_time(plan, start, stop, index, given, aside, step)


def write_blocks(store: Any, index: int, shard: int, blocks: list[Any], mark: int) -> int:
    """Write one shard; see `tsogrid.engine.shard_work.write_blocks`."""
    from tsogrid.engine import shard_work

    return shard_work.write_blocks(store, index, shard, blocks, mark)


def done(module: str, function: str, *arguments: Any) -> Any:
    """Do anything else, by its name."""
    from importlib import import_module

    return getattr(import_module(module), function)(*arguments)


def scanned(paths: list[str]) -> Any:
    """Read the headers of files for a manifest; see `tsogrid.io.manifest.scanned`."""
    from functools import partial

    from tsogrid.io.fits import scan
    from tsogrid.io.manifest import scanned as scanned_files

    return scanned_files(paths, partial(map, scan))
