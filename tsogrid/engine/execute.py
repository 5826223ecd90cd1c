"""Blocks measured and shards written, in this process or on a cluster.

Both ways do the same: the blocks of a shard are measured, and their results go straight to the one task that writes the
shard. On a cluster the plan is one task on which all blocks depend, so that it travels once to a worker and is made again
when a worker dies.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tsogrid.engine.pipeline import Arrays
from tsogrid.engine.plan import Plan
from tsogrid.engine.store import Store, write
from tsogrid.errors import RunError, TsogridError

Given = Callable[[int, int], Arrays | None]
Advance = Callable[[int], None]
Failed = Callable[[int, int, BaseException], None]


def unnoted(index: int, shard: int, error: BaseException) -> None:
    """The listener to failures that keeps nothing."""


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
    advance: Advance,
    failed: Failed,
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
    advance : callable
        Told the number of frames of each block that is measured.
    failed : callable
        Told the pass, the shard and what was wrong with it.

    Raises
    ------
    TsogridError
        A block could not be measured or a shard not written; the other shards are finished first.
    """
    run = _execute_here if client is None else _execute_on
    failures = run(plan, store, index, shards, given, client, advance, failed)
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
    plan: Plan, store: Store, index: int, shards: list[int], given: Given, client: None, advance: Advance, failed: Failed
) -> list[BaseException]:
    failures: list[BaseException] = []
    for shard in shards:
        try:
            blocks = []
            for start, stop in store.blocks(shard):
                blocks.append(measure_and_time(plan, start, stop, index, given(start, stop)))
                advance(stop - start)
            write_blocks(store, index, shard, blocks)
        except TsogridError as error:
            failures.append(error)
            failed(index, shard, error)
    return failures


def _identity(value: Any) -> Any:
    return value


def _execute_on(
    plan: Plan, store: Store, index: int, shards: list[int], given: Given, client: Any, advance: Advance, failed: Failed
) -> list[BaseException]:
    from distributed import as_completed

    # A task, not scattered data: the scheduler can make it again wherever a worker has died.
    shared = client.submit(_identity, plan.travelling(), pure=False, key=f"plan-{id(plan):x}-{time.time_ns():x}")
    frames: dict[Any, int] = {}
    writes: dict[Any, int] = {}
    for order, shard in enumerate(shards):
        # Earlier shards first: their blocks' results leave the cluster's memory soon.
        options = {"priority": -order, "pure": False}
        blocks = []
        for start, stop in store.blocks(shard):
            future = client.submit(measure_and_time, shared, start, stop, index, given(start, stop), **options)
            frames[future] = stop - start
            blocks.append(future)
        writes[client.submit(write_blocks, store, index, shard, blocks, **options)] = shard
    failures: list[BaseException] = []
    with client.as_current():
        waiting = as_completed([*frames, *writes])
    for future in waiting:
        if future in frames:
            if future.status == "finished":
                advance(frames[future])
            del frames[future]  # its result stays only until its shard is written
        elif future.status != "finished":
            failures.append(future.exception() or RunError(f"shard {writes[future]} was {future.status}"))
            failed(index, writes[future], failures[-1])
    return failures
