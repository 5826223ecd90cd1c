"""The work on one shard: its blocks measured, its chunks written, and what is told of it; the same wherever it is done.

A block can be measured in pieces: no number depends on it, and it takes less memory.
"""

import logging
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tsogrid.engine.log import tell
from tsogrid.engine.marks import SOME_ASIDE, WHOLE
from tsogrid.engine.pipeline import Arrays
from tsogrid.engine.plan import Plan
from tsogrid.engine.setting_aside import Care, KilledError, Outcome, frames_of
from tsogrid.engine.store import Store, write
from tsogrid.errors import InputError, RunError

Given = Callable[[int, int], Arrays | None]
Failed = Callable[[int, int, BaseException], None]
Block = tuple[int, int]  # first and last + 1 frame
Timing = tuple[float, float, float]  # see `tsogrid.engine.store.TIMINGS`
Measured = tuple[Arrays, Timing]
TRIES = 3  # looks at one block that goes on failing


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


def measure_and_time(
    plan: Plan,
    start: int,
    stop: int,
    index: int,
    given: Arrays | None,
    aside: Set[int] = frozenset(),
    step: int | None = None,
) -> Measured:
    """Measure one block, with the times that it took.

    Parameters
    ----------
    plan : Plan
        What to measure.
    start, stop : int
        The block.
    index : int
        Which pass.
    given : dict of ndarray or None
        Positions from earlier passes.
    aside : set of int
        Frames of the series that are not to be read.
    step : int, optional
        Frames that are measured at a time; None: all of the block.

    Returns
    -------
    result : dict of ndarray
    timing : (float, float, float)
    """
    plan = replace(plan, aside=frozenset(aside))
    cpu, begin = time.thread_time(), time.monotonic()
    parts = []
    for first in range(start, stop, step or stop - start):
        last = min(first + (step or stop), stop)
        parts.append(plan.measure(first, last, index, part_of(given, first - start, last - start)))
    result = parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return result, (time.thread_time() - cpu, time.monotonic() - begin, time.time())


def part_of(given: Arrays | None, first: int, last: int) -> Arrays | None:
    """Give the positions of some frames of a block."""
    return None if given is None else {name: values[first:last] for name, values in given.items()}


def write_blocks(store: Store, index: int, shard: int, blocks: list[Measured], mark: int = WHOLE) -> int:
    """Write one shard from the results of its blocks."""
    timings = np.array([timing for _, timing in blocks])
    return write(store, index, shard, [result for result, _ in blocks], timings, mark)


def mark_of(plan: Plan, store: Store, shard: int, aside: Set[int]) -> int:
    """Give the mark of a shard: also frames beside it may be set aside that its own depend on."""
    first, last = plan.span(*store.bounds(shard))
    return SOME_ASIDE if any(first <= frame < last for frame in aside) else WHOLE


def rescue(
    care: Care,
    store: Store,
    index: int,
    shard: int,
    suspects: dict[Block, BaseException],
    done: dict[Block, Measured],
    given: Given,
) -> None:
    """Measure with care what is missing of a shard some of whose blocks have failed, and write it, in this process.

    Parameters
    ----------
    care : Care
        Who finds what is to be set aside.
    store : Store
        Where to write.
    index, shard : int
        Which.
    suspects : dict
        How blocks failed: an InputError or KilledError each.
    done : dict
        Blocks that are measured already.
    given : callable
        (start, stop) → positions from earlier passes, or None.

    Raises
    ------
    RunError
        Workers have too little memory for a block even when its frames are measured one at a time.
    Exception
        Whatever else a block fails with.
    """
    blocks = store.blocks(shard)
    others = [block for block in blocks if block not in done and block not in suspects]
    arguments = [(*block, index, given(*block), frames_of(care.known)) for block in others]
    outcomes: dict[Block, Outcome] = dict(zip(others, care.hands.together(measure_and_time, arguments), strict=True))
    for block in blocks:
        if block in done:
            outcomes[block] = done[block]
            continue
        found = suspects.get(block, outcomes.get(block))
        if isinstance(found, InputError | KilledError):
            found = _measured_with_care(care, block, index, given(*block), found)
        if isinstance(found, BaseException):
            raise found
        outcomes[block] = found
    mark = mark_of(care.plan, store, shard, frames_of(care.known))
    write_blocks(store, index, shard, [outcomes[block] for block in blocks], mark)


def _measured_with_care(care: Care, block: Block, index: int, given: Arrays | None, error: BaseException) -> Outcome:
    outcome: Outcome = error
    for _ in range(TRIES):
        found = care.find(*block, outcome)
        if isinstance(outcome, KilledError) and not found and outcome is not error:
            if outcome.of_memory:
                raise RunError(
                    f"workers went over their memory limit with frames {block[0]} … {block[1] - 1}, though measured one at "
                    "a time. Give each more (cluster.memory, fewer workers, or --memory-limit of dask worker), or begin "
                    "anew with a smaller --block and --overwrite. What is measured is safe, the same command goes on."
                )
            _find_by_measuring(care, block, index, given)
        step = 1 if isinstance(outcome, KilledError) else None
        outcome = care.hands.alone(measure_and_time, *block, index, given, frames_of(care.known), step)
        if not isinstance(outcome, InputError | KilledError):
            break
    return outcome


def _find_by_measuring(care: Care, block: Block, index: int, given: Arrays | None) -> None:
    """Where reading kills nobody: find the frames that kill who measures them."""
    start, stop = block
    for frame in range(start, stop):
        if frame in frames_of(care.known):
            continue
        part = part_of(given, frame - start, frame + 1 - start)
        outcome = care.hands.alone(measure_and_time, frame, frame + 1, index, part, frames_of(care.known), 1)
        if isinstance(outcome, KilledError):
            care.condemn(frame, frame + 1, str(outcome), True)


def tell_written(store: Store, index: int, shard: int) -> None:
    """Log that a shard is on disk."""
    start, stop = store.bounds(shard)
    fields: dict[str, Any] = {"pass": index, "shard": shard, "frames": [start, stop - 1]}
    tell("shard", f"frames {start} … {stop - 1} are on disk", **fields)


def tell_failed(store: Store, index: int, shard: int, error: BaseException, listener: Listener) -> None:
    """Log that a shard could not be measured or written, and tell who listens."""
    start, stop = store.bounds(shard)
    fields: dict[str, Any] = {"pass": index, "shard": shard, "frames": [start, stop - 1], "error": type(error).__name__}
    tell("failed", f"frames {start} … {stop - 1} could not be measured: {error}", logging.ERROR, **fields)
    listener.failed(index, shard, error)
