"""Where blocks are measured: one small builder a kind of cluster, each a context that gives a client, or none.

``none`` measures in this process; ``local`` starts one worker process a core on this machine, reachable from it alone;
``address`` joins a scheduler that runs already; ``auto`` is ``none`` for work of a few seconds, else ``local``.
"""

import logging
import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tsogrid.config import ClusterConfig
from tsogrid.engine.block_size import frames_in_memory
from tsogrid.errors import RunError

SHORT_WORK = 3.0  # seconds of CPU below which starting workers costs more than it gains
CONNECT_TIMEOUT = 30.0


def resolve_kind(config: ClusterConfig, cpu_seconds: float) -> str:
    """Decide the kind of cluster.

    Parameters
    ----------
    config : ClusterConfig
        As configured.
    cpu_seconds : float
        Estimated CPU time of the run.

    Returns
    -------
    str
        none, local or address.
    """
    if config.kind != "auto":
        return config.kind
    return "none" if cpu_seconds < SHORT_WORK or n_workers(config) == 1 else "local"


def n_workers(config: ClusterConfig) -> int:
    """Give the number of local workers: as configured, else the processors that this process may use."""
    if config.workers:
        return config.workers
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _no_cluster(config: ClusterConfig, n_blocks: int) -> Iterator[None]:
    yield None


@contextmanager
def _local(config: ClusterConfig, n_blocks: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    workers = max(1, min(n_workers(config), n_blocks))
    with ExitStack() as stack:
        with _interrupts_held():
            try:
                local = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",  # loopback, any free port
                    silence_logs=logging.CRITICAL,  # failures come back as exceptions; a log would print them again
                )
            except RuntimeError as error:
                raise RunError(
                    f"cluster: local workers did not start ({error}). In a script, put the call under "
                    'if __name__ == "__main__": (workers import the script), or use the cluster kind none.'
                ) from None
            cluster = stack.enter_context(local)
        yield stack.enter_context(Client(cluster, set_as_default=False))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hide Ctrl-C from the processes started meanwhile: they end with their cluster, not each with a traceback of its own.

    A process inherits the signals that are blocked where it is started; here they are delivered when the block ends.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _address(config: ClusterConfig, n_blocks: int) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(config.address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise RunError(
            f"cluster: no dask scheduler answered at {config.address} within {CONNECT_TIMEOUT:g} s ({error}). "
            "Start one with `dask scheduler`, or use --cluster local."
        ) from None
    with client:
        yield client


_BUILDERS: dict[str, Callable[[ClusterConfig, int], Any]] = {"none": _no_cluster, "local": _local, "address": _address}


def connect(config: ClusterConfig, kind: str, n_blocks: int = 1_000_000) -> Any:
    """Connect to a cluster.

    Parameters
    ----------
    config : ClusterConfig
        As configured.
    kind : str
        From `resolve_kind`.
    n_blocks : int
        How many blocks there are: no more local workers than these are started.

    Returns
    -------
    context manager
        Of a ``distributed.Client``, or of None for measuring in this process.

    Raises
    ------
    RunError
        On entering: no scheduler answers.
    """
    return _BUILDERS[kind](config, n_blocks)


def measured_block(n_frames: int, seconds_per_frame: float, bytes_per_frame: int, workers: int, halo: int = 0) -> int:
    """Give a block size from the measured cost of a frame.

    A block takes about 150 ms of CPU, so that dask's own few milliseconds do not count, and is no shorter than a side
    that it reads with its own frames; every worker has at least four blocks; a block's pixels stay within memory.

    Parameters
    ----------
    n_frames : int
        Length of the series.
    seconds_per_frame : float
        Measured CPU time of a frame.
    bytes_per_frame : int
        Bytes that a frame takes.
    workers : int
        How many blocks are measured at a time.
    halo : int
        Frames on each side of a block that are read with it.

    Returns
    -------
    int
    """
    by_cost = round(0.15 / max(seconds_per_frame, 1e-6))
    by_share = math.ceil(n_frames / (4 * workers))
    return max(1, min(max(by_cost, halo), frames_in_memory(bytes_per_frame, halo), by_share))
