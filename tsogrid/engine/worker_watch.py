"""A cluster that does not work: seen, said within a minute, and not waited for without end.

A scheduler without workers keeps its tasks for ever, and so does one whose workers are all paused since their memory is
full, or stand still; so somebody has to look: a thread beside the run counts the workers that work. It also says which of
them are not heard of, as when a node hangs or a network is cut: dask gives up such a worker after a while, and its blocks go
elsewhere. And it says that nothing ends, though workers are there: a disk that does not answer holds the work and not them.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tsogrid.engine.log import tell
from tsogrid.engine.queued_jobs import QueuedJobs
from tsogrid.errors import RunError

PAUSE = 2.0  # seconds between two looks
SAY_AFTER = 30.0  # seconds without workers, or without a word from one
STUCK = 600.0  # seconds for which workers that are there may all be paused or silent: no queue brings better ones
SAY_STILL = 300.0  # seconds in which no task has ended, though workers are there
MOST_RESTARTS = 12  # of workers over their memory limit while no task has ended
LEAST_LEAVING = 12  # workers that leave while no task has ended, before the work is called off,
LEAVING_EACH = 3  # and for each that was there at a time
MOST_JOBS = 6  # that end without a worker while no task has ended, at least two for each that the cluster keeps
OVER_MEMORY = "worker-restart-memory"  # dask's topic of events


@dataclass
class Watch:
    """What the thread has seen.

    Parameters
    ----------
    reason : str or None
        Why the work was called off; None while it goes on.
    waiting : list of futures
        What is waited for, and cancelled when the work is called off.
    ended : int
        Tasks that have ended, well or not.
    workers : int
        Most that were there at a time.
    """

    reason: str | None = None
    waiting: list[Any] = field(default_factory=list)
    ended: int = 0
    workers: int = 0

    def require(self) -> None:
        """Refuse to go on with work that was called off.

        Raises
        ------
        RunError
        """
        if self.reason is not None:
            raise RunError(self.reason)


@contextmanager
def watched(client: Any, timeout: float, say: Callable[[str], None]) -> Iterator[Watch]:
    """Look after a cluster while it works.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    timeout : float
        Seconds without any worker that works after which the work is called off.
    say : callable
        Told once that there are none, and that they are back.

    Returns
    -------
    context manager
        Of a Watch.
    """
    watch, stop = Watch(), threading.Event()
    looker = _Looker(client, timeout, say, watch)
    thread = threading.Thread(target=looker.look, args=(stop,), daemon=True, name="tsogrid-watch")
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join(10)


def restarts(client: Any) -> int:
    """Count the workers that were ended for their memory; a scheduler that does not answer tells of none."""
    try:
        return len(client.get_events(OVER_MEMORY) or ())
    except Exception:  # of the connection, of many types
        return 0


class _Looker:
    """What the thread does."""

    def __init__(self, client: Any, timeout: float, say: Callable[[str], None], watch: Watch) -> None:
        self.client, self.timeout, self.say, self.watch = client, timeout, say, watch
        self.ended, self.restarts = 0, restarts(client)  # when a task has last ended
        self.looked = time.monotonic()
        self.heard: dict[str, tuple[float | None, float, bool]] = {}  # last word, when by this clock, whether said
        self.jobs = QueuedJobs.of(getattr(client, "cluster", None))
        self.names: list[Any] = []  # of workers
        self.left: set[str] = set()  # workers that have left since a task has ended
        self.ended_before = 0  # tasks
        self.still = 0, self.looked, False  # tasks that had ended, since when, whether said

    def look(self, stop: threading.Event) -> None:
        known, since, said, were_stuck = -1, time.monotonic(), False, False
        while not stop.wait(min(PAUSE, self.timeout / 4)):
            count, paused, silent = self._count()
            if stop.is_set():
                return
            self._look_for_ends(count)
            if self._restart_for_ever():
                self._call_off(
                    f"workers went over their memory limit {MOST_RESTARTS} times and nothing was measured. Give each more: "
                    "cluster.memory, fewer workers, or --memory-limit of dask worker"
                )
                return
            if self._jobs_end_for_nothing():
                self._call_off(
                    f"{self.jobs.lost} jobs ended before a worker of theirs was there, and nothing was measured meanwhile. "  # type: ignore[union-attr]
                    "Look at their logs: most often a line of cluster.env fails, or Python is not there"
                )
                return
            if self._leave_for_nothing():
                self._call_off(
                    f"{len(self.left)} workers came and left again, and nothing was measured meanwhile. Look at their logs. "
                    "Jobs need more time than a worker takes to begin and a block to be measured: give a longer "
                    "cluster.walltime, or begin anew with a smaller --block and --overwrite"
                )
                return
            if count != known:
                tell("workers", f"{count} workers", count=count)
                known = count
            if count:
                if said:
                    self.say(f"{count} workers are there: the work goes on")
                since, said = time.monotonic(), False
                continue
            is_stuck = paused + silent > 0
            if is_stuck != were_stuck:
                since, said, were_stuck = time.monotonic(), False, is_stuck
            missing = time.monotonic() - since
            timeout = min(self.timeout, STUCK) if is_stuck else self.timeout
            what = f"all {paused} workers are paused, their memory is full" if paused else "no workers"
            what = f"none of {paused + silent} workers is heard of" if silent else what
            if missing > min(SAY_AFTER, timeout / 2) and not said:
                limit = f"the run stops after {timeout:.0f} s without any (cluster.worker_timeout)"
                self.say(f"{what} for {missing:.0f} s; {limit}")
                said = True
            if missing > timeout:
                self._call_off(self._missing(timeout, paused, silent))
                return

    def _missing(self, timeout: float, paused: int, silent: int) -> str:
        died = restarts(self.client) - self.restarts
        if silent:
            return (
                f"no worker that works for {timeout:.0f} s at {self.client.scheduler.address}: of {paused + silent} "
                "that are there none is heard of. They hang, or their network is cut: end them and start others"
            )
        if died > 0 and not paused:
            return (
                f"no worker for {timeout:.0f} s at {self.client.scheduler.address}: they went over their memory limit "
                f"{died} times. Give each more: cluster.memory, fewer workers, or --memory-limit of dask worker"
            )
        return (
            f"no worker that works for {timeout:.0f} s: all {paused} are paused, since their memory is full. Give each "
            "more: cluster.memory, fewer workers, or --memory-limit of dask worker"
            if paused
            else f"no worker for {timeout:.0f} s at {self.client.scheduler.address}. Look at the logs of the workers' "
            "jobs and the queue, or wait longer (cluster.worker_timeout)"
        )

    def _restart_for_ever(self) -> bool:
        """Whether workers go over their memory limit again and again, and nothing comes of it."""
        now = restarts(self.client)
        if self.watch.ended != self.ended or now < self.restarts:
            self.ended, self.restarts = self.watch.ended, now
        return now - self.restarts >= MOST_RESTARTS

    def _jobs_end_for_nothing(self) -> bool:
        """Whether jobs end again and again before their workers begin, and nothing comes of it."""
        if self.jobs is None:
            return False
        if self.watch.ended != self.ended_before:
            self.jobs.lost = 0
        replaced = self.jobs.replace_lost(self.names)
        if replaced:
            self.say(f"jobs that ended without a worker, or were lost: {replaced}; others are submitted in their place")
        return self.jobs.lost >= max(MOST_JOBS, 2 * len(self.jobs.cluster.worker_spec))

    def _leave_for_nothing(self) -> bool:
        """Whether workers come and leave again and again, as jobs do whose time is too short, and nothing comes of it."""
        if self.watch.ended != self.ended_before:
            self.ended_before = self.watch.ended
            self.left.clear()
        return len(self.left) >= max(LEAST_LEAVING, LEAVING_EACH * self.watch.workers)

    def _call_off(self, mend: str) -> None:
        self.watch.reason = f"{mend}; what is measured is safe, the same command goes on."
        tell("workers", self.watch.reason, logging.ERROR, count=0)
        with suppress(Exception):  # the scheduler may be gone: then its futures are lost already
            self.client.cancel(self.watch.waiting)

    def _look_for_ends(self, count: int) -> None:
        """Say once that no task ends."""
        now = time.monotonic()
        if self.watch.ended != self.still[0] or not count:
            self.still = self.watch.ended, now, False
        elif now - self.still[1] > SAY_STILL and not self.still[2]:
            self.say(
                f"nothing has ended for {(now - self.still[1]) / 60:.0f} min, though {count} workers are there: blocks that "
                "take very long, or a disk or server that does not answer; the run waits"
            )
            self.still = self.watch.ended, self.still[1], True

    def _count(self) -> tuple[int, int, int]:
        """Workers that work, that are paused, and that are not heard of; a scheduler that does not answer has none."""
        try:
            workers = self.client.scheduler_info(n_workers=-1)["workers"]  # by default some versions of dask tell of five
        except Exception:  # of the connection, of many types
            return 0, 0, 0
        self._listen(workers)
        self.names = [each.get("name") for each in workers.values()]
        heard = [each for address, each in workers.items() if not self.heard[address][2]]
        paused = sum(each.get("status") == "paused" for each in heard)
        return len(heard) - paused, paused, len(workers) - len(heard)

    def _listen(self, workers: dict[str, Any]) -> None:
        """Say which workers are not heard of, each once; by the clock of this process, whatever the scheduler's says."""
        now = time.monotonic()
        if now - self.looked > SAY_AFTER / 3:
            self.heard.clear()  # the scheduler itself was not heard of
        self.looked = now
        self.watch.workers = max(self.watch.workers, len(workers))
        for address in self.heard.keys() - workers.keys():
            self.left.add(address)
            del self.heard[address]
        for address, worker in workers.items():
            last, since, said = self.heard.get(address, (None, now, False))
            if worker["last_seen"] != last:
                if said:
                    self.say(f"worker {address} is heard of again")
                self.heard[address] = worker["last_seen"], now, False
            elif now - since > SAY_AFTER and not said:
                self.say(
                    f"worker {address} is not heard of for {now - since:.0f} s: it hangs, or its network is cut; dask gives "
                    "it up after a while (distributed.scheduler.worker-ttl), and others do its work"
                )
                self.heard[address] = last, since, True
