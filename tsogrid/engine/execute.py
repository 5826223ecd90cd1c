"""A pass executed: blocks measured and shards written, in this process or on a cluster.

Both ways do the same: the blocks of a shard are measured, and their results go straight to whoever writes the shard. A
file that cannot be read is set aside, and all others are finished.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tsogrid.engine.child import Child
from tsogrid.engine.on_cluster import execute_on
from tsogrid.engine.plan import Plan
from tsogrid.engine.setting_aside import Care, KilledError, Outcome, SetAside, frames_of
from tsogrid.engine.shard_work import (
    Block,
    Given,
    Listener,
    Measured,
    mark_of,
    measure_and_time,
    rescue,
    tell_failed,
    tell_written,
    write_blocks,
)
from tsogrid.engine.store import Store
from tsogrid.errors import InputError, RunError, TsogridError


def execute(
    plan: Plan,
    store: Store,
    index: int,
    shards: list[int],
    given: Given,
    client: Any | None,
    listener: Listener,
    known: Sequence[SetAside] = (),
) -> list[SetAside]:
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
    client : distributed.Client, Child or None
        None: in this process; a Child: in it.
    listener : Listener
        Who is told of what happens.
    known : sequence of SetAside
        Frames that are not read, as an earlier pass has found.

    Returns
    -------
    list of SetAside
        These, and what this pass has found.

    Raises
    ------
    TsogridError
        A block could not be measured or a shard not written; the other shards are finished first. Or there were no workers.
    """
    found = list(known)
    run = _execute_here if client is None or isinstance(client, Child) else execute_on
    failures = run(plan, store, index, shards, given, client, listener, found)
    if not failures:
        return found
    if len(failures) == 1 and isinstance(failures[0], TsogridError):
        raise failures[0]
    lines = sorted({f"  {type(failure).__name__}: {failure}" for failure in failures})
    raise RunError(
        f"{len(failures)} of {len(shards)} shards could not be measured; the others are safe in {store.path}. "
        "Mend the cause and run again. Causes:\n" + "\n".join(lines[:10])
    )


class _Here:
    """Does in this process what is asked; an error comes back in the place of a result."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def alone(self, function: Callable[..., Any], *arguments: Any) -> Outcome:
        try:
            return function(self.plan, *arguments)
        except TsogridError as error:
            return error

    once = alone

    def together(self, function: Callable[..., Any], each: Sequence[tuple[Any, ...]]) -> list[Outcome]:
        return [self.alone(function, *arguments) for arguments in each]


def _execute_here(
    plan: Plan,
    store: Store,
    index: int,
    shards: list[int],
    given: Given,
    child: Child | None,
    listener: Listener,
    known: list[SetAside],
) -> list[BaseException]:
    failures: list[BaseException] = []
    hands = _Here(plan) if child is None else child.of(plan)
    care = Care(plan, hands, known)
    for shard in shards:
        done: dict[Block, Measured] = {}
        suspects: dict[Block, BaseException] = {}
        try:
            for start, stop in store.blocks(shard):
                care.foresee(start, stop)
                aside = frames_of(known)
                outcome = hands.once(measure_and_time, start, stop, index, given(start, stop), aside)
                if isinstance(outcome, InputError | KilledError):
                    suspects[start, stop] = outcome
                elif isinstance(outcome, BaseException):
                    raise outcome
                else:
                    done[start, stop] = outcome
                listener.advance(stop - start)
            if suspects:
                rescue(care, store, index, shard, suspects, done, given)
            else:
                write_blocks(store, index, shard, list(done.values()), mark_of(plan, store, shard, frames_of(known)))
            tell_written(store, index, shard)
        except TsogridError as error:
            failures.append(error)
            tell_failed(store, index, shard, error, listener)
    return failures
