"""SLURM on one machine, for tests: a controller and two nodes of one processor, on loopback, from a folder of its own.

It needs root, and installs SLURM with apt where that is missing. Commands find it by ``SLURM_CONF``; nothing of a SLURM that
may run here already is touched.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

PROGRAMS = ("slurmctld", "slurmd", "sbatch")
NODES = 2

CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={control}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
KillWait=5
DefMemPerCPU=512
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName=n{index} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=2000 State=UNKNOWN\n"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _require_programs() -> None:
    """Install what is missing, or skip."""
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    if os.geteuid() != 0:
        pytest.skip("a SLURM of one's own needs root")
    if all(map(shutil.which, PROGRAMS)):
        return
    if shutil.which("apt-get") is None:
        pytest.skip("there is no SLURM, and no apt-get that would install it")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", "slurm-wlm"]):
        done = subprocess.run(["apt-get", "-qq", *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not all(map(shutil.which, PROGRAMS)):
        pytest.skip(f"SLURM could not be installed: {done.stderr[-200:]}")


def start(folder: Path) -> dict[str, str]:
    """Start SLURM; skip the test where that cannot be.

    Returns
    -------
    dict
        What to add to the environment of whoever uses it.
    """
    _require_programs()
    host = socket.gethostname().partition(".")[0]
    control, *ports = _free_ports(1 + NODES)
    for name in ("state", *(f"spool-n{index}" for index in range(NODES))):
        (folder / name).mkdir()
    nodes = "".join(NODE.format(index=index, host=host, port=port) for index, port in enumerate(ports))
    conf = folder / "slurm.conf"
    head, _, partition = CONF.format(host=host, control=control, folder=folder).rpartition("PartitionName")
    conf.write_text(f"{head}{nodes}PartitionName{partition}")
    environment = {"SLURM_CONF": str(conf)}
    for words in (["slurmctld"], *(["slurmd", "-N", f"n{index}"] for index in range(NODES))):
        subprocess.run([*words, "-f", str(conf)], env=os.environ | environment, check=True, capture_output=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        shown = subprocess.run(["sinfo", "-h", "-o", "%D %T"], env=os.environ | environment, capture_output=True, text=True)
        if shown.stdout.split() == [str(NODES), "idle"]:
            return environment
        time.sleep(0.5)
    stop(folder)
    pytest.skip(f"SLURM did not come up: {shown.stdout} {shown.stderr}")


def stop(folder: Path) -> None:
    """End the daemons that were started from a folder, and their jobs."""
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True, check=False)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and jobs(environment):
        time.sleep(0.5)
    for path in folder.glob("*.pid"):
        with suppress(ValueError, ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGTERM)


def jobs(environment: dict[str, str], *options: str) -> list[str]:
    """List the jobs that there are."""
    shown = subprocess.run(
        ["squeue", "-h", "-o", "%i", *options], env=environment, capture_output=True, text=True, check=False
    )
    return shown.stdout.split()
