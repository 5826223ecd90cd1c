"""The batch job that runs the client: its script, and handing it in.

The job runs ``tsogrid run``, which starts a scheduler where the job lies and submits the workers' jobs from there. Every
word of the script is checked or quoted; only ``cluster.env`` is shell.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tsogrid.config import PbsCluster, QueueCluster, SlurmCluster
from tsogrid.engine.job_queues import check_walltime, require_command, walltime_text
from tsogrid.errors import RunError


@dataclass(frozen=True)
class Submitted:
    """A job that was handed in.

    Parameters
    ----------
    job : str
        What the batch system calls it.
    kind : str
        slurm or pbs.
    script, log : str
        Paths; of the log a pattern where the batch system fills in the job.
    """

    job: str
    kind: str
    script: str
    log: str


def client_script(config: QueueCluster, arguments: Sequence[str], folder: Path, name: str, working: Path) -> str:
    """Write the script of the client's job.

    Parameters
    ----------
    config : SlurmCluster or PbsCluster
        As configured.
    arguments : sequence of str
        What follows ``tsogrid``.
    folder : Path
        For the log.
    name : str
        Of the job; what a batch system would not take in a name is replaced.
    working : Path
        The folder in which the command runs.

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        The workers' walltime is too short.
    """
    check_walltime(config)
    head = _HEADS[type(config)](config, folder, _name(name))
    mark = "#SBATCH" if config.kind == "slurm" else "#PBS"
    command = [config.python or sys.executable, "-m", "tsogrid.cli.main", *arguments]
    lines = [
        "#!/usr/bin/env bash",
        *(f"{mark} {line}" for line in [*head, *config.client.directives]),
        "",
        *config.env,
        f"cd {shlex.quote(str(working))} || exit 1",
        f"exec {shlex.join(command)}",
    ]
    return "\n".join(lines) + "\n"


def _name(name: str) -> str:
    return re.sub(r"[^\w-]", "-", name, flags=re.ASCII).strip("-")[:60] or "tsogrid"


def _slurm(config: QueueCluster, folder: Path, name: str) -> list[str]:
    optional = {"--partition": config.queue, "--account": config.account}
    lines = [
        f"--job-name={name}",
        f"--output={folder}/{name}-%j.log",
        "--ntasks=1",
        f"--cpus-per-task={config.client.cores}",
        f"--mem={_mebibytes(config.client.memory)}M",
        f"--time={walltime_text(config, config.client.walltime)}",
        "--signal=B:TERM@60",  # a minute to end in, and to take the workers' jobs back
        *(f"{option}={value}" for option, value in optional.items() if value),
    ]
    return _kept(lines, config)


def _pbs(config: QueueCluster, folder: Path, name: str) -> list[str]:
    lines = [
        f"-N {name[:15]}",
        f"-l select=1:ncpus={config.client.cores}:mem={_mebibytes(config.client.memory)}mb",
        f"-l walltime={walltime_text(config, config.client.walltime)}",
        "-j oe",
        f"-o {folder}/",
    ]
    lines += [f"-q {config.queue}"] if config.queue else []
    lines += [f"-A {config.account}"] if config.account else []
    return _kept(lines, config)


_HEADS: dict[type, Callable[[QueueCluster, Path, str], list[str]]] = {SlurmCluster: _slurm, PbsCluster: _pbs}


def _kept(lines: list[str], config: QueueCluster) -> list[str]:
    return [line for line in lines if not any(skipped in line for skipped in config.skip_directives)]


def _mebibytes(size: str) -> int:
    from dask.utils import parse_bytes

    return max(1, round(parse_bytes(size) / 2**20))


def submit(config: QueueCluster, script: str, folder: Path, name: str) -> Submitted:
    """Hand in the client's job.

    Parameters
    ----------
    config : SlurmCluster or PbsCluster
        As configured.
    script : str
        From `client_script`.
    folder : Path
        Where the script is written; made if it is not there.
    name : str
        As the script was made with.

    Returns
    -------
    Submitted

    Raises
    ------
    RunError
        The batch system is not there, or refuses.
    """
    command = require_command(config.kind)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_name(name)}.sh"
    path.write_text(script)
    done = subprocess.run([command, str(path)], capture_output=True, text=True, check=False)
    found = re.search(r"\d[\w.\[\]-]*", done.stdout)
    if done.returncode or found is None:
        words = " ".join((done.stderr or done.stdout).split())
        raise RunError(f"{Path(command).name} refused {path}: {words}. Mend cluster: in the configuration.")
    log = f"{folder}/{_name(name)}-{found[0]}.log" if config.kind == "slurm" else f"{folder}/"
    return Submitted(found[0], config.kind, str(path), log)
