"""A cluster without workers: seen, said within a minute, and not waited for without end.

A scheduler without workers keeps its tasks for ever, so somebody has to look: a thread beside the run counts the workers.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tsogrid.engine.log import tell

PAUSE = 2.0  # seconds between two looks
SAY_AFTER = 30.0  # seconds without workers


@dataclass
class Watch:
    """What the thread has seen.

    Parameters
    ----------
    reason : str or None
        Why the work was called off; None while it goes on.
    """

    reason: str | None = None


@contextmanager
def watched(client: Any, timeout: float, say: Callable[[str], None], call_off: Callable[[], None]) -> Iterator[Watch]:
    """Look after a cluster while it works.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    timeout : float
        Seconds without any worker after which the work is called off.
    say : callable
        Told once that there are none, and that they are back.
    call_off : callable
        Cancels the work.

    Returns
    -------
    context manager
        Of a Watch.
    """
    watch, stop = Watch(), threading.Event()
    arguments = (client, timeout, say, call_off, watch, stop)
    thread = threading.Thread(target=_look, args=arguments, daemon=True, name="tsogrid-watch")
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join(10)


def _look(
    client: Any,
    timeout: float,
    say: Callable[[str], None],
    call_off: Callable[[], None],
    watch: Watch,
    stop: threading.Event,
) -> None:
    known, since, said = -1, time.monotonic(), False
    while not stop.wait(min(PAUSE, timeout / 4)):
        count = _count(client)
        if stop.is_set():
            return
        if count != known:
            tell("workers", f"{count} workers", count=count)
            known = count
        if count:
            if said:
                say(f"{count} workers are there: the work goes on")
            since, said = time.monotonic(), False
            continue
        missing = time.monotonic() - since
        if missing > min(SAY_AFTER, timeout / 2) and not said:
            say(f"no workers for {missing:.0f} s; the run stops after {timeout:.0f} s without any (cluster.worker_timeout)")
            said = True
        if missing > timeout:
            watch.reason = (
                f"no worker for {timeout:.0f} s at {client.scheduler.address}. Look at the logs of the workers' jobs and "
                "the queue, or wait longer (cluster.worker_timeout); what is measured is safe, the same command goes on."
            )
            tell("workers", watch.reason, logging.ERROR, count=0)
            with suppress(Exception):  # the scheduler may be gone: then its futures are lost already
                call_off()
            return


def _count(client: Any) -> int:
    """Workers that the scheduler knows; a scheduler that does not answer has none."""
    try:
        return len(client.nthreads())
    except Exception:  # of the connection, of many types
        return 0
