"""Where blocks are measured: one small builder a kind of cluster, each a context that gives a client, or none.

``none`` measures in this process; ``local`` starts one worker process a core on this machine, reachable from it alone;
``address`` joins a scheduler that runs already; ``slurm`` and ``pbs`` submit jobs; ``kubernetes`` asks an operator for pods;
``auto`` is ``none`` for work of a few seconds, else ``local``. A client that is active in this process is used before any
cluster is started.
"""

import importlib.util
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tsogrid.config import AddressCluster, ClusterConfig, KubernetesCluster, LocalCluster, QueueCluster
from tsogrid.config.cluster import DEFAULT_WORKERS
from tsogrid.engine.block_size import BLOCKS_A_WORKER, LEAST_SECONDS, MOST_SECONDS, frames_in_memory
from tsogrid.engine.dask_settings import SETTINGS
from tsogrid.engine.job_queues import job_cluster, jobs_folder
from tsogrid.engine.kubernetes import kubernetes_cluster
from tsogrid.engine.security import of_address
from tsogrid.errors import RunError

SHORT_WORK = 3.0  # seconds of CPU below which starting workers costs more than it gains
CONNECT_TIMEOUT = 30.0
WORKER_TTL = "90s"  # without a word from a worker, after which it is given up and started anew
# Of local workers, which their nannies start anew. Sooner, dask looks whether one that died is back, and takes its nanny
# away for good where it has just died again.
LOST_TIMEOUT = "1d"
ACTIVE = "active"  # the kind of a client that was there before


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
        A kind of the configuration but auto, or active.
    """
    elsewhere = kind_elsewhere(config)
    if elsewhere is not None:
        return elsewhere
    if config.kind != "auto":
        return config.kind
    return "none" if cpu_seconds < SHORT_WORK or n_workers(config) == 1 else "local"


def kind_elsewhere(config: ClusterConfig) -> str | None:
    """Decide the kind of a cluster that is known before any cost is, and whose workers may run on other machines.

    Parameters
    ----------
    config : ClusterConfig
        As configured.

    Returns
    -------
    str or None
        As from `resolve_kind`; None where blocks are measured on this machine.
    """
    if config.kind not in ("none", "address") and active_client() is not None:
        return ACTIVE
    return config.kind if config.kind in ("address", "slurm", "pbs", "kubernetes") else None


def active_client() -> Any | None:
    """Find the ``distributed.Client`` that is active in this process, if there is one."""
    if "distributed" not in sys.modules:
        return None
    from distributed import Client

    try:
        client = Client.current()
    except ValueError:
        return None
    return client if client.status == "running" and not client.asynchronous else None


def n_workers(config: ClusterConfig, kind: str | None = None) -> int:
    """Give the number of workers: as configured or as there are, else the processors that this process may use.

    Parameters
    ----------
    config : ClusterConfig
        As configured.
    kind : str, optional
        From `resolve_kind`.

    Returns
    -------
    int
    """
    if kind == ACTIVE:
        return max(1, len(active_client().nthreads()))  # type: ignore[union-attr]
    if config.workers:
        return config.workers
    adaptive = getattr(config, "adaptive", None)
    if adaptive is not None:
        return int(adaptive.max)
    if config.kind in ("slurm", "pbs", "kubernetes"):
        return DEFAULT_WORKERS
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _no_cluster(config: ClusterConfig, n_blocks: int, store: Path | None) -> Iterator[None]:
    yield None


@contextmanager
def _active(config: ClusterConfig, n_blocks: int, store: Path | None) -> Iterator[Any]:
    yield active_client()


@contextmanager
def _local(config: ClusterConfig, n_blocks: int, store: Path | None) -> Iterator[Any]:
    from distributed import Client
    from distributed import LocalCluster as Local

    settings = config if isinstance(config, LocalCluster) else _as_local(config)
    workers = max(1, min(n_workers(settings), n_blocks))
    adaptive = settings.adaptive
    with ExitStack() as stack:
        stack.enter_context(watchful({"distributed.deploy.lost-worker-timeout": LOST_TIMEOUT}))
        with _interrupts_held():
            try:
                local = Local(
                    n_workers=workers if adaptive is None else adaptive.min,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=None if settings.dashboard == "none" else settings.dashboard,
                    silence_logs=logging.CRITICAL,  # failures come back as exceptions; a log would print them again
                    memory_limit=settings.memory or "auto",
                    local_directory=settings.scratch,
                )
            except RuntimeError as error:
                raise RunError(
                    f"cluster: local workers did not start ({error}). In a script, put the call under "
                    'if __name__ == "__main__": (workers import the script), or use the cluster kind none.'
                ) from None
            cluster = stack.enter_context(local)
        if adaptive is not None:
            cluster.adapt(minimum=adaptive.min, maximum=min(adaptive.max, max(workers, adaptive.min)))
        yield stack.enter_context(Client(cluster, set_as_default=False))


@contextmanager
def watchful(more: dict[str, str] | None = None) -> Iterator[None]:
    """Have a cluster of our own notice sooner than by default what hangs, outlive a cut of the network, and cost little."""
    import dask

    settings = {
        "distributed.scheduler.worker-ttl": WORKER_TTL,
        "distributed.scheduler.allowed-failures": 2,
        **SETTINGS,
        **(more or {}),
    }
    with dask.config.set(settings):
        yield


def _as_local(config: ClusterConfig) -> LocalCluster:
    return LocalCluster(workers=config.workers, worker_timeout=config.worker_timeout)


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
def _address(config: AddressCluster, n_blocks: int, store: Path | None) -> Iterator[Any]:
    from distributed import Client

    security = of_address(config)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a lost scheduler is told of in our own words
    try:
        client = Client(config.address, timeout=CONNECT_TIMEOUT, set_as_default=False, security=security)
    except (OSError, TimeoutError) as error:
        raise RunError(
            f"cluster: no dask scheduler answered at {config.address} within {CONNECT_TIMEOUT:g} s ({error}). "
            "Start one with `dask scheduler`, or use --cluster local."
        ) from None
    with client:
        yield client


@contextmanager
def _jobs(config: QueueCluster, n_blocks: int, store: Path | None) -> Iterator[Any]:
    from distributed import Client

    with (
        watchful(),
        job_cluster(config, jobs_folder(config, store)) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _pods(config: KubernetesCluster, n_blocks: int, store: Path | None) -> Iterator[Any]:
    from distributed import Client

    with kubernetes_cluster(config) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


_BUILDERS: dict[str, Callable[[Any, int, Path | None], Any]] = {
    "none": _no_cluster,
    ACTIVE: _active,
    "local": _local,
    "address": _address,
    "slurm": _jobs,
    "pbs": _jobs,
    "kubernetes": _pods,
}


def connect(config: ClusterConfig, kind: str, n_blocks: int = 1_000_000, store: Path | None = None) -> Any:
    """Connect to a cluster.

    Parameters
    ----------
    config : ClusterConfig
        As configured.
    kind : str
        From `resolve_kind`.
    n_blocks : int
        How many blocks there are: no more local workers than these are started.
    store : Path, optional
        Where the result will be: jobs leave their logs beside it.

    Returns
    -------
    context manager
        Of a ``distributed.Client``, or of None for measuring in this process.

    Raises
    ------
    ConfigError, RunError
        On entering: no scheduler answers, a package is missing, or the batch system refuses.
    """
    return _BUILDERS[kind](config, n_blocks, store)


def told_of(client: Any, config: ClusterConfig) -> list[str]:
    """Say where a cluster is: its scheduler's address, and its dashboard's if there is one.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    config : ClusterConfig
        As configured: at which address the dashboard listens.

    Returns
    -------
    list of str
    """
    lines = [f"scheduler: {client.scheduler.address}"]
    port = client.scheduler_info().get("services", {}).get("dashboard")
    if port is None or importlib.util.find_spec("bokeh") is None:
        return lines
    # dask's own link has the scheduler's host, where the dashboard does not listen if it is on loopback.
    host = getattr(config, "dashboard", "").rpartition(":")[0]
    return [*lines, f"dashboard: {f'http://{host}:{port}/status' if host else client.dashboard_link}"]


def measured_block(n_frames: int, seconds_per_frame: float, bytes_per_frame: int, workers: int, halo: int = 0) -> int:
    """Give a block size from the measured cost of a frame.

    A block takes 0.4 s of CPU in a short run and up to 1 s in a longer one, so that what dask does for each (some 8 ms)
    counts little, and is no shorter than a side that it reads with its own frames. Every worker has at least four blocks.
    The pixels of one are read in pieces that fit in memory; those of a block with sides stay within memory as a whole.

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
    share = seconds_per_frame * n_frames / (BLOCKS_A_WORKER * workers)
    by_cost = round(min(max(share, LEAST_SECONDS), MOST_SECONDS) / max(seconds_per_frame, 1e-6))
    by_share = math.ceil(n_frames / (4 * workers))
    room = frames_in_memory(bytes_per_frame, halo) if halo else n_frames
    return max(1, min(max(by_cost, halo), room, by_share))
