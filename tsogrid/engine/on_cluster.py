"""A pass on a cluster: one task a block and one a shard, and what is done when workers die, or the scheduler is lost.

The plan is one task on which all blocks depend, so that it travels once to a worker and is made again when a worker dies.
Dask moves the work of a dead worker to others; a task that sees several workers die is given up. Such blocks, and those
whose files cannot be read, are looked at with care when all others are done.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tsogrid.engine.plan import Plan
from tsogrid.engine.setting_aside import Care, KilledError, Outcome, SetAside, frames_of
from tsogrid.engine.shard_work import (
    Block,
    Given,
    Listener,
    mark_of,
    measure_and_time,
    rescue,
    tell_failed,
    tell_written,
    write_blocks,
)
from tsogrid.engine.store import Store, pending
from tsogrid.engine.worker_watch import Watch, restarts, watched
from tsogrid.errors import InputError, RunError

RECONNECT = 60.0  # seconds for a scheduler that was lost to be there again
IDLE_ROUNDS = 4  # in which nothing was written, one after the other: then a run gives up


class _LostError(Exception):
    """The scheduler was lost, and everything it knew."""


@dataclass
class _Round:
    """What became of shards that were submitted together."""

    written: int = 0
    failures: list[BaseException] = field(default_factory=list)
    suspects: dict[int, dict[Block, BaseException]] = field(default_factory=dict)  # of shards
    left: list[int] = field(default_factory=list)  # called off or lost
    is_lost: bool = False
    is_over_memory: bool = False


def _identity(value: Any) -> Any:
    return value


class _Workers:
    """Has workers do what is asked, and waits for it."""

    def __init__(self, client: Any, plan: Plan, watch: Watch) -> None:
        self.client, self.watch = client, watch
        self._plan = plan.travelling()
        self._shared: Any = None
        self._restarts = restarts(client)

    def shared(self) -> Any:
        """The plan as a task's result: the scheduler can make it again wherever a worker has died, unlike scattered data."""
        if self._shared is None or self._shared.status in ("error", "cancelled", "lost"):
            with warnings.catch_warnings():
                # With thousands of moving sources it is tens of megabytes, sent once.
                warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
                key = f"plan-{id(self):x}-{time.time_ns():x}"
                self._shared = self.client.submit(_identity, self._plan, pure=False, key=key)
        return self._shared

    def alone(self, function: Callable[..., Any], *arguments: Any) -> Outcome:
        return self.together(function, [arguments])[0]

    def together(self, function: Callable[..., Any], each: Sequence[tuple[Any, ...]]) -> list[Outcome]:
        shared = self.shared()
        futures = [self.client.submit(function, shared, *arguments, pure=False) for arguments in each]
        return [self._outcome(future) for future in futures]

    def _outcome(self, future: Any) -> Outcome:
        from distributed import CancelledError, KilledWorker

        self.watch.waiting = [future]
        try:
            return future.result()
        except CancelledError:
            raise _LostError from None
        except KilledWorker as error:
            return self.killed(error)
        except Exception as error:
            return error
        finally:
            self.watch.ended += 1

    def killed(self, error: Any) -> KilledError:
        """Word the end of a task that several workers have died of."""
        before, self._restarts = self._restarts, restarts(self.client)
        return KilledError(error.allowed_failures + 1, self._restarts > before)


def execute_on(
    plan: Plan,
    store: Store,
    index: int,
    shards: list[int],
    given: Given,
    client: Any,
    listener: Listener,
    known: list[SetAside],
) -> list[BaseException]:
    """Measure and write shards on a cluster; see `tsogrid.engine.execute.execute`, which calls this.

    Returns
    -------
    list of Exception
        Why shards could not be measured or written.
    """
    failures: list[BaseException] = []
    left, idle, step = list(shards), 0, None
    with watched(client, plan.config.cluster.worker_timeout, listener.say) as watch:
        workers = _Workers(client, plan, watch)
        care = Care(plan, workers, known)
        counted: set[Block] = set()
        while left:
            done = _round(workers, store, index, left, given, listener, care, step, counted)
            watch.require()
            failures += done.failures
            left = done.left
            try:
                found = _rescue_all(care, store, index, done, given, listener, failures, counted)
            except _LostError:
                watch.require()
                done.is_lost, left = True, sorted({*left, *done.suspects})
            else:
                done.suspects.clear()
            missing = set(pending(store, index))
            left = [shard for shard in left if shard in missing]  # what was written, but not told of any more
            idle = 0 if done.written else idle + 1
            if left and idle >= IDLE_ROUNDS:
                raise RunError(
                    "workers die, or their scheduler is lost, before anything is measured: look at their logs. What is "
                    "measured is safe, the same command goes on."
                )
            if done.is_lost:
                _wait_for_scheduler(client, listener)
            elif done.is_over_memory and not found:
                step = max(1, (step or store.block) // 4)
                listener.say(
                    f"workers went over their memory limit: blocks are measured {step} frames at a time from here on "
                    "(more memory for a worker, or a smaller --block, is quicker)"
                )
    return failures


def _round(
    workers: _Workers,
    store: Store,
    index: int,
    shards: list[int],
    given: Given,
    listener: Listener,
    care: Care,
    step: int | None,
    counted: set[Block],
) -> _Round:
    """Submit shards, and wait until each is written, has failed or is lost."""
    from distributed import KilledWorker, as_completed

    client, shared, aside = workers.client, workers.shared(), frames_of(care.known)
    frames: dict[Any, tuple[int, Block]] = {}
    writes: dict[Any, int] = {}
    for order, shard in enumerate(shards):
        # Earlier shards first: their blocks' results leave the cluster's memory soon.
        options = {"priority": -order, "pure": False}
        blocks = []
        for block in store.blocks(shard):
            future = client.submit(measure_and_time, shared, *block, index, given(*block), aside, step, **options)
            frames[future] = shard, block
            blocks.append(future)
        mark = mark_of(care.plan, store, shard, aside)
        writes[client.submit(write_blocks, store, index, shard, blocks, mark, **options)] = shard
    done = _Round()
    with client.as_current():
        waiting = as_completed([*frames, *writes])
    workers.watch.waiting = [*writes, *frames]
    for future in waiting:
        workers.watch.ended += 1
        error = future.exception() if future.status == "error" else None
        if future in frames:
            shard, block = frames.pop(future)  # its result stays only until its shard is written
            if future.status == "finished" and block not in counted:
                counted.add(block)
                listener.advance(block[1] - block[0])
            elif isinstance(error, InputError):
                done.suspects.setdefault(shard, {})[block] = error
            elif isinstance(error, KilledWorker) and error.task == future.key:
                killed = workers.killed(error)
                done.suspects.setdefault(shard, {})[block] = killed
                if killed.of_memory and not done.is_over_memory:
                    done.is_over_memory = True
                    client.cancel([*writes, *frames])  # they would go the same way
        elif future.status == "finished":
            done.written += 1
            tell_written(store, index, writes[future])
        elif isinstance(error, InputError | KilledWorker):
            by_plan = isinstance(error, KilledWorker) and error.task == shared.key
            if by_plan:
                done.left.append(writes[future])
            else:
                done.suspects.setdefault(writes[future], {})
        elif error is not None:
            done.failures.append(error)
            tell_failed(store, index, writes[future], error, listener)
        else:
            done.left.append(writes[future])
            done.is_lost |= not done.is_over_memory
    done.left = sorted({*done.left} - done.suspects.keys())
    return done


def _rescue_all(
    care: Care,
    store: Store,
    index: int,
    done: _Round,
    given: Given,
    listener: Listener,
    failures: list[BaseException],
    counted: set[Block],
) -> bool:
    """Look with care at the shards whose blocks have failed; whether there was something to set aside."""
    before = len(care.known)
    if done.suspects:
        listener.say(f"blocks of {len(done.suspects)} shards killed workers or could not be read: they are tried one by one")
    for shard, suspects in sorted(done.suspects.items()):
        try:
            rescue(care, store, index, shard, suspects, {}, given)
        except (_LostError, RunError):
            raise
        except Exception as error:
            failures.append(error)
            tell_failed(store, index, shard, error, listener)
            continue
        for block in {*store.blocks(shard)} - counted:
            listener.advance(block[1] - block[0])
        tell_written(store, index, shard)
        done.written += 1
    return len(care.known) > before


def _wait_for_scheduler(client: Any, listener: Listener) -> None:
    """Wait until the client has its scheduler back.

    Raises
    ------
    RunError
        It has not.
    """
    address = client.scheduler.address if client.scheduler is not None else "its address"
    gone = RunError(
        f"the scheduler at {address} is gone. What is measured is safe: start it and its workers again (or leave --cluster "
        "out), and give the same command again."
    )
    listener.say(f"the scheduler at {address} is lost; waiting for it for up to {RECONNECT:.0f} s")
    deadline = time.monotonic() + RECONNECT
    while client.status != "running":
        if client.status in ("closed", "closing") or time.monotonic() > deadline:
            raise gone
        time.sleep(0.2)
    listener.say("the scheduler is there again: the work goes on")
