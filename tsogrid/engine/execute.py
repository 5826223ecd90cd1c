"""Blocks measured and shards written, in this process or on a cluster.

Both ways do the same: the blocks of a shard are measured, and their results go straight to the one task that writes the
shard. On a cluster the plan is one task on which all blocks depend, so that it travels once to a worker and is made again
when a worker dies; and shards are submitted as earlier ones are written, so that client and scheduler hold as little of a
long series as of a short one.
"""

import logging
import pickle
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsogrid.engine import errand
from tsogrid.engine.cluster import n_workers
from tsogrid.engine.log import tell
from tsogrid.engine.pipeline import Arrays
from tsogrid.engine.plan import Plan
from tsogrid.engine.store import Store, write
from tsogrid.engine.worker_watch import watched
from tsogrid.errors import RunError, TsogridError

OPEN_BLOCKS = 512  # that a cluster has at least to do; a task takes some 10 kB of client and scheduler
OPEN_A_WORKER = 8
Given = Callable[[int, int], Arrays | None]
Failed = Callable[[int, int, BaseException], None]


def unnoted(index: int, shard: int, error: BaseException) -> None:
    """The listener to failures that keeps nothing."""


@dataclass(frozen=True)
class Listener:
    """Who is told of what happens.

    Parameters
    ----------
    advance : callable
        Told the number of frames of each block that is measured.
    say : callable
        Told what the user should know.
    failed : callable
        Told the pass, the shard and what was wrong with it.
    """

    advance: Callable[[int], None]
    say: Callable[[str], None]
    failed: Failed = unnoted


Timing = tuple[float, float, float]  # see `tsogrid.engine.store.TIMINGS`


def measure_and_time(plan: Plan, start: int, stop: int, index: int, given: Arrays | None) -> tuple[Arrays, Timing]:
    """Measure one block, with the times that it took."""
    cpu, begin = time.thread_time(), time.monotonic()
    result = plan.measure(start, stop, index, given)
    return result, (time.thread_time() - cpu, time.monotonic() - begin, time.time())


def write_blocks(store: Store, index: int, shard: int, blocks: list[tuple[Arrays, Timing]]) -> int:
    """Write one shard from the results of its blocks."""
    return write(store, index, shard, [result for result, _ in blocks], np.array([timing for _, timing in blocks]))


def execute(
    plan: Plan,
    store: Store,
    index: int,
    shards: list[int],
    given: Given,
    client: Any | None,
    listener: Listener,
) -> None:
    """Measure and write shards.

    Parameters
    ----------
    plan : Plan
        What to measure.
    store : Store
        Where to write.
    index : int
        Which pass.
    shards : list of int
        Which shards.
    given : callable
        (start, stop) → positions from earlier passes, or None.
    client : distributed.Client or None
        None: in this process.
    listener : Listener
        Who is told of what happens.

    Raises
    ------
    TsogridError
        A block could not be measured or a shard not written; the other shards are finished first. Or there were no workers.
    """
    run = _execute_here if client is None else _execute_on
    failures = run(plan, store, index, shards, given, client, listener)
    if not failures:
        return
    if len(failures) == 1 and isinstance(failures[0], TsogridError):
        raise failures[0]
    lines = sorted({f"  {type(failure).__name__}: {failure}" for failure in failures})
    raise RunError(
        f"{len(failures)} of {len(shards)} shards could not be measured; the others are safe in {store.path}. "
        "Mend the cause and run again. Causes:\n" + "\n".join(lines[:10])
    )


def _execute_here(
    plan: Plan, store: Store, index: int, shards: list[int], given: Given, client: None, listener: Listener
) -> list[BaseException]:
    failures: list[BaseException] = []
    for shard in shards:
        try:
            blocks = []
            for start, stop in store.blocks(shard):
                blocks.append(measure_and_time(plan, start, stop, index, given(start, stop)))
                listener.advance(stop - start)
            write_blocks(store, index, shard, blocks)
            _tell_written(store, index, shard)
        except TsogridError as error:
            failures.append(error)
            _tell_failed(store, index, shard, error, listener)
    return failures


def _tell_written(store: Store, index: int, shard: int) -> None:
    start, stop = store.bounds(shard)
    fields: dict[str, Any] = {"pass": index, "shard": shard, "frames": [start, stop - 1]}
    tell("shard", f"frames {start} … {stop - 1} are on disk", **fields)


def _tell_failed(store: Store, index: int, shard: int, error: BaseException, listener: Listener) -> None:
    start, stop = store.bounds(shard)
    fields: dict[str, Any] = {"pass": index, "shard": shard, "frames": [start, stop - 1], "error": type(error).__name__}
    tell("failed", f"frames {start} … {stop - 1} could not be measured: {error}", logging.ERROR, **fields)
    listener.failed(index, shard, error)


def _execute_on(
    plan: Plan, store: Store, index: int, shards: list[int], given: Given, client: Any, listener: Listener
) -> list[BaseException]:
    from distributed import as_completed

    # Tasks, not scattered data: the scheduler can make them again wherever a worker has died.
    with warnings.catch_warnings():
        # With thousands of moving sources it is tens of megabytes, sent once.
        warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
        shared, target = (
            client.submit(errand.unpacked, pickle.dumps(each), pure=False, key=f"{name}-{id(each):x}-{time.time_ns():x}")
            for name, each in (("plan", plan.travelling()), ("store", store))
        )
    frames: dict[Any, int] = {}
    writes: dict[Any, int] = {}
    failures: list[BaseException] = []
    following = enumerate(shards)
    room = _room(client, plan, OPEN_BLOCKS)
    with client.as_current():
        waiting = as_completed()

    def submit_more() -> None:
        while len(frames) < room and (each := next(following, None)) is not None:
            order, shard = each
            # Earlier shards first: their blocks' results leave the cluster's memory soon.
            options = {"priority": -order, "pure": False}
            blocks = []
            for start, stop in store.blocks(shard):
                part = given(start, stop)
                blocks.append(client.submit(errand.measure_and_time, shared, start, stop, index, part, **options))
                frames[blocks[-1]] = stop - start
            write = client.submit(errand.write_blocks, target, index, shard, blocks, **options)
            writes[write] = shard
            waiting.update([*blocks, write])

    def call_off() -> None:
        client.cancel([*writes, *frames])

    with watched(client, plan.config.cluster.worker_timeout, listener.say, call_off) as watch:
        submit_more()
        for future in waiting:
            if future in frames:
                if future.status == "finished":
                    listener.advance(frames[future])
                del frames[future]  # its result stays only until its shard is written
            elif future.status == "finished":
                _tell_written(store, index, writes.pop(future))
                room = _room(client, plan, room)
            else:
                shard = writes.pop(future)
                if watch.reason is None:
                    failures.append(future.exception() or RunError(f"shard {shard} was {future.status}"))
                    _tell_failed(store, index, shard, failures[-1], listener)
            if watch.reason is None:
                submit_more()
            if watch.reason is not None:  # also where it was called off just now
                call_off()
    if watch.reason is not None:
        raise RunError(watch.reason)
    return failures


def _room(client: Any, plan: Plan, before: int) -> int:
    """Give the blocks that a cluster may have to do at a time: enough for its workers, also those still to come."""
    workers = n_workers(plan.config.cluster)
    with suppress(Exception):  # the scheduler may be gone: then its futures tell
        workers = max(workers, len(client.nthreads()))
    return max(before, OPEN_A_WORKER * workers)
