"""A pass on a cluster: one task a block and one a shard, and what is done when workers die, or the scheduler is lost.

The plan is one task on which all blocks depend, so that it travels once to a worker and is made again when a worker dies;
and shards are submitted as earlier ones are written, so that client and scheduler hold as little of a long series as of a
short one. Dask moves the work of a dead worker to others; a task that sees several workers die is given up. Such blocks, and
those whose files cannot be read, are looked at with care when all others are done.
"""

import pickle
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tsogrid.engine import errand
from tsogrid.engine.cluster import n_workers
from tsogrid.engine.plan import Plan
from tsogrid.engine.setting_aside import Care, KilledError, Outcome, SetAside, frames_of
from tsogrid.engine.shard_work import (
    Block,
    Given,
    Listener,
    mark_of,
    rescue,
    tell_failed,
    tell_written,
)
from tsogrid.engine.store import Store, pending
from tsogrid.engine.trial import tried
from tsogrid.engine.worker_watch import Watch, restarts, watched
from tsogrid.errors import InputError, RunError

OPEN_BLOCKS = 128  # that a cluster has at least to do; a task takes some 10 kB of client and scheduler
OPEN_A_WORKER = 8
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


class _Workers:
    """Has workers do what is asked, and waits for it."""

    def __init__(self, client: Any, plan: Plan, watch: Watch) -> None:
        self.client, self.watch, self.plan = client, watch, plan
        self._shared: dict[int, Any] = {}
        self._restarts = restarts(client)
        with suppress(Exception):  # the scheduler may be gone: then its futures tell
            watch.workers = max(watch.workers, len(client.nthreads()))

    def shared(self, name: str, value: Any) -> Any:
        """A value as a task's result: the scheduler can make it again wherever a worker has died, unlike scattered data."""
        found = self._shared.get(id(value))
        if found is None or found.status in ("error", "cancelled", "lost"):
            sent = value.travelling() if isinstance(value, Plan) else value
            with warnings.catch_warnings():
                # With thousands of moving sources it is tens of megabytes, sent once.
                warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
                key = f"{name}-{id(self):x}-{time.time_ns():x}"
                found = self.client.submit(errand.unpacked, pickle.dumps(sent), pure=False, key=key)
            self._shared[id(value)] = found
        return found

    def alone(self, function: Callable[..., Any], *arguments: Any) -> Outcome:
        return self.together(function, [arguments])[0]

    def together(self, function: Callable[..., Any], each: Sequence[tuple[Any, ...]]) -> list[Outcome]:
        shared, name = self.shared("plan", self.plan), (function.__module__, function.__qualname__)
        futures = [self.client.submit(errand.done, *name, shared, *arguments, pure=False) for arguments in each]
        return [self._outcome(future) for future in futures]

    def room(self, before: int) -> int:
        """Give the blocks that may be open at a time: enough for all workers, also those still to come.

        The watch counts them: to ask the scheduler after every block took a tenth of what a block costs it and the client.
        """
        return max(before, OPEN_A_WORKER * max(n_workers(self.plan.config.cluster), self.watch.workers))

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


def tried_on(client: Any, plan: Plan, say: Callable[[str], None]) -> float | None:
    """Have a worker measure a few frames for trial: this machine may be another one, and need not load what measures.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    plan : Plan
        What to measure.
    say : callable
        Told what the user should know.

    Returns
    -------
    float or None
        Seconds of CPU for a frame, as `tsogrid.engine.trial.tried` gives; None where workers die of it.

    Raises
    ------
    RunError
        There are no workers.
    TsogridError
        What the trial raises.
    """
    with watched(client, plan.config.cluster.worker_timeout, say) as watch:
        try:
            outcome = _Workers(client, plan, watch).alone(tried)
        except _LostError:
            outcome = KilledError(0)
        watch.require()
    if isinstance(outcome, KilledError):
        say("workers died of the trial of a few frames: the run begins without one")
        return None
    if isinstance(outcome, BaseException):
        raise outcome
    return float(outcome)


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
                    "workers die, or their scheduler is lost, before anything is measured. Look at their logs; most often "
                    "they have too little memory (cluster.memory). What is measured is safe, the same command goes on."
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
    from distributed import as_completed

    client, aside = workers.client, frames_of(care.known)
    shared, target = workers.shared("plan", care.plan), workers.shared("store", store)
    frames: dict[Any, tuple[int, Block]] = {}
    writes: dict[Any, int] = {}
    following = enumerate(shards)
    done, room, called_off = _Round(), workers.room(OPEN_BLOCKS), False
    with client.as_current():
        waiting = as_completed()

    def submit_more() -> None:
        while len(frames) < room and (each := next(following, None)) is not None:
            order, shard = each
            # Earlier shards first: their blocks' results leave the cluster's memory soon.
            options = {"priority": -order, "pure": False}
            blocks = []
            for block in store.blocks(shard):
                part = given(*block)
                future = client.submit(errand.measure_and_time, shared, *block, index, part, aside, step, **options)
                frames[future] = shard, block
                blocks.append(future)
            mark = mark_of(care.plan, store, shard, aside)
            write = client.submit(errand.write_blocks, target, index, shard, blocks, mark, **options)
            writes[write] = shard
            waiting.update([*blocks, write])
        workers.watch.waiting = [*writes, *frames]

    def goes_on() -> bool:
        return workers.watch.reason is None and not (done.is_lost or done.is_over_memory)

    try:
        submit_more()
        for future in waiting:
            workers.watch.ended += 1
            if future in frames:
                _note_block(done, workers, future, *frames.pop(future), listener, counted)
            else:
                _note_write(done, future, writes.pop(future), {shared.key, target.key}, index, store, listener)
            if goes_on():
                room = workers.room(room)
                submit_more()
            elif not called_off:
                called_off = True
                client.cancel([*writes, *frames])  # they would go the same way
    except BaseException:  # whoever listens has ended the run: what is open belongs to nobody
        with suppress(Exception):
            client.cancel([*writes, *frames])
        raise
    done.left = sorted({*done.left, *(shard for _, shard in following)} - done.suspects.keys())
    return done


def _note_block(
    done: _Round, workers: _Workers, future: Any, shard: int, block: Block, listener: Listener, counted: set[Block]
) -> None:
    """Take in how a block ended; its result stays only until its shard is written."""
    from distributed import KilledWorker

    error = future.exception() if future.status == "error" else None
    if future.status == "finished" and block not in counted:
        counted.add(block)
        listener.advance(block[1] - block[0])
    elif isinstance(error, InputError):
        done.suspects.setdefault(shard, {})[block] = error
    elif isinstance(error, KilledWorker) and error.task == future.key:
        killed = workers.killed(error)
        done.suspects.setdefault(shard, {})[block] = killed
        done.is_over_memory |= killed.of_memory


def _note_write(
    done: _Round, future: Any, shard: int, shared: set[str], index: int, store: Store, listener: Listener
) -> None:
    """Take in how the writing of a shard ended."""
    from distributed import KilledWorker

    error = future.exception() if future.status == "error" else None
    if future.status == "finished":
        done.written += 1
        tell_written(store, index, shard)
    elif isinstance(error, KilledWorker) and error.task in shared:
        done.left.append(shard)
    elif isinstance(error, InputError | KilledWorker):
        done.suspects.setdefault(shard, {})
    elif error is not None:
        done.failures.append(error)
        tell_failed(store, index, shard, error, listener)
    else:
        done.left.append(shard)
        done.is_lost |= not done.is_over_memory


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
