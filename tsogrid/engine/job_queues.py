"""Workers in jobs of a batch system: what SLURM and PBS are told, through dask-jobqueue.

A job is ``cores`` worker processes of one thread each. Workers leave a little before their job's walltime, one after the
other, and lost ones are replaced: the number of workers is kept by adapting, also where it is fixed.
"""

import math
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tsogrid.config import PbsCluster, QueueCluster, SlurmCluster
from tsogrid.config.cluster import DEFAULT_WORKERS, PATH_CHARACTERS, walltime_seconds
from tsogrid.engine.dask_settings import settings_in_environment
from tsogrid.engine.security import of_jobs
from tsogrid.errors import ConfigError, RunError, TsogridWarning

# Seconds before the walltime at which a worker begins to leave: a fifth of it, but within these. Workers leave half that
# time sooner or later, and Python itself may take half a minute to begin, which no clock in the job's script has seen.
LEAVING = 60.0, 300.0
LEAST_WALLTIME = 120.0  # seconds below which a job would spend its time on beginning and leaving
SHORT_WALLTIME = 600.0  # seconds below which it spends much of it so
SUBMIT = {"slurm": "sbatch", "pbs": "qsub"}


def jobs_folder(config: QueueCluster, store: Path | None) -> Path:
    """Name the folder of job scripts, logs and certificates: as configured, else beside the store.

    Parameters
    ----------
    config : SlurmCluster or PbsCluster
        As configured.
    store : Path or None
        The result's.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        Its path cannot stand in a job's script.
    """
    folder = Path(config.folder) if config.folder else (store or Path.cwd() / "tsogrid").with_suffix(".jobs")
    if not re.fullmatch(PATH_CHARACTERS, str(folder)):
        raise ConfigError(
            f"cluster.folder: expected a path without spaces and signs that a shell acts on, found {str(folder)!r}. "
            "Set cluster.folder to another place that all nodes see."
        )
    return folder


def job_options(config: QueueCluster, folder: Path) -> dict[str, Any]:
    """Say to dask-jobqueue what a worker's job is.

    Parameters
    ----------
    config : SlurmCluster or PbsCluster
        As configured.
    folder : Path
        For the jobs' logs.

    Returns
    -------
    dict
        Keyword arguments of SLURMCluster and PBSCluster.
    """
    walltime = walltime_seconds(config.walltime)
    leaving = min(max(LEAVING[0], walltime / 5), LEAVING[1])
    # SECONDS: since the job's script began, whose lines before this one may take long.
    lifetime = [f"--lifetime=$(({walltime - leaving:.0f}-SECONDS))s", f"--lifetime-stagger={leaving / 2:.0f}s"]
    return {
        "queue": config.queue,
        "account": config.account,
        "walltime": walltime_text(config),
        "cores": config.cores,
        "processes": config.cores,
        "memory": config.memory,
        "job_name": "tsogrid-worker",
        "job_extra_directives": list(config.directives),
        "job_directives_skip": list(config.skip_directives),
        "job_script_prologue": [
            *(f"export {name}={value}" for name, value in settings_in_environment().items()),
            *config.env,
        ],
        "worker_extra_args": [*lifetime, "--no-dashboard", "--dashboard-address=127.0.0.1:0"],
        "local_directory": None if config.scratch is None else f'"{config.scratch}"',
        "log_directory": str(folder),
        "python": shlex.quote(config.python or sys.executable),
        "interface": config.interface,
        "scheduler_options": {
            "dashboard": config.dashboard != "none",
            "dashboard_address": "127.0.0.1:0" if config.dashboard == "none" else config.dashboard,
        },
        "silence_logs": "critical",
    }


def check_walltime(config: QueueCluster) -> None:
    """Refuse a walltime in which hardly a block would be measured, and warn of a short one.

    Parameters
    ----------
    config : SlurmCluster or PbsCluster
        As configured.

    Raises
    ------
    ConfigError
        It is below `LEAST_WALLTIME`.
    """
    walltime = walltime_seconds(config.walltime)
    costs = "a worker takes up to half a minute to begin, and leaves a minute or so before its job's end"
    if walltime < LEAST_WALLTIME:
        raise ConfigError(
            f"cluster.walltime: expected 00:02:00 or more, found {config.walltime}: {costs}, so jobs would come and go and "
            "measure nothing. An hour or two serve well."
        )
    if walltime < SHORT_WALLTIME:
        warnings.warn(
            f"cluster.walltime: {config.walltime} is short: {costs}. Ten minutes or more lose less.",
            TsogridWarning,
            stacklevel=3,
        )


def walltime_text(config: QueueCluster, walltime: str | None = None) -> str:
    """Write a walltime, or the workers', as this batch system reads it: PBS knows no days."""
    walltime = walltime or config.walltime
    if isinstance(config, SlurmCluster):
        return walltime
    minutes, seconds = divmod(round(walltime_seconds(walltime)), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def _cluster_class(config: QueueCluster) -> Any:
    before = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError:
        raise ConfigError(
            f'kind: {config.kind} needs the package dask-jobqueue, found none: python -m pip install "tsogrid[hpc]"'
        ) from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, before)  # which the import replaced: Ctrl-C would end a run as if all were well
    return _CLASSES[type(config)](dask_jobqueue)


_CLASSES: dict[type, Callable[[Any], Any]] = {
    SlurmCluster: lambda package: package.SLURMCluster,
    PbsCluster: lambda package: package.PBSCluster,
}


def require_command(kind: str) -> str:
    """Give the command that submits a job.

    Raises
    ------
    RunError
        There is none on this machine.
    """
    command = shutil.which(SUBMIT[kind])
    if command is None:
        raise RunError(
            f"cluster: expected the command {SUBMIT[kind]} on this machine, found none. Run where jobs are submitted, "
            "such as a login node, or use --cluster local."
        )
    return command


def worker_script(config: QueueCluster, folder: Path) -> str:
    """Give the script of a worker's job, without a scheduler.

    Parameters
    ----------
    config : SlurmCluster or PbsCluster
        As configured.
    folder : Path
        For the jobs' logs.

    Returns
    -------
    str
    """
    made = _cluster_class(config)
    options = job_options(config, folder)
    for key in ("scheduler_options", "silence_logs"):
        options.pop(key)
    scheme = "tcp" if config.security == "none" else "tls"
    return str(made.job_cls(f"{scheme}://SCHEDULER:8786", name="worker", **options).job_script())


@contextmanager
def job_cluster(config: QueueCluster, folder: Path) -> Iterator[Any]:
    """Start a scheduler here, and workers in jobs.

    Parameters
    ----------
    config : SlurmCluster or PbsCluster
        As configured.
    folder : Path
        For logs and certificates; made if it is not there.

    Returns
    -------
    context manager
        Of a dask-jobqueue cluster.

    Raises
    ------
    ConfigError, RunError
        On entering: a package or command is missing, or the batch system refuses the job.
    """
    check_walltime(config)
    made = _cluster_class(config)
    require_command(config.kind)
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_impossible(config, worker_script(config, folder))
    with ExitStack() as stack:
        security = stack.enter_context(of_jobs(config, folder))
        cluster = made(**job_options(config, folder), **security)
        stack.callback(_close, cluster)
        cluster.adapt(**kept(config), interval="2s", wait_count=10)
        yield cluster


def kept(config: QueueCluster) -> dict[str, int]:
    if config.adaptive is not None:
        return {"minimum": config.adaptive.min, "maximum": config.adaptive.max}
    workers = config.cores * math.ceil((config.workers or DEFAULT_WORKERS) / config.cores)
    return {"minimum": workers, "maximum": workers}


def _refuse_impossible(config: QueueCluster, script: str) -> None:
    """Ask SLURM whether it would take such a job; later its refusal would be seen by nobody."""
    if config.kind != "slurm":
        return
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        tried = subprocess.run(["sbatch", "--test-only", file.name], capture_output=True, text=True, check=False)
    if tried.returncode:
        words = " ".join(line.removeprefix("allocation failure: ") for line in tried.stderr.split("\n") if line).strip()
        raise RunError(
            f"cluster: SLURM would not take the workers' job: {words}. Mend the section cluster: of the configuration."
        )


def _close(cluster: Any) -> None:
    # Closing can stumble over a job that was lost while the cluster ran: the work is done by then.
    with suppress(AssertionError, RuntimeError, TimeoutError, OSError):
        cluster.close()
