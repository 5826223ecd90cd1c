"""Jobs that have ended without a worker of theirs being there: dask waits for these for ever; here they are replaced.

A job may end before its worker has begun (a line of its script fails, its node is broken, somebody cancels it), or be lost
with several workers in it. The batch system is asked now and then which jobs it knows; the cluster forgets those that are
gone, and submits others in their place.
"""

import getpass
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any

ASK_EVERY = 20.0  # seconds between two questions to the batch system
ANSWER = 60.0  # seconds in which it answers
LISTING: dict[str, Callable[[], list[str]]] = {
    "sbatch": lambda: ["squeue", "-h", "-u", getpass.getuser(), "-o", "%A"],
    "qsub": lambda: ["qstat", "-u", getpass.getuser()],
}


class QueuedJobs:
    """The jobs of a cluster of dask-jobqueue.

    Parameters
    ----------
    cluster : SLURMCluster or PBSCluster
        Whose workers are jobs.
    """

    def __init__(self, cluster: Any) -> None:
        self.cluster, self.lost = cluster, 0
        self._command = LISTING[cluster.job_cls.submit_command]
        self._asked = time.monotonic()
        self._gone: set[str] = set()  # jobs that the batch system did not know when it was last asked

    @classmethod
    def of(cls, cluster: Any) -> "QueuedJobs | None":
        """Give the jobs of a cluster; None where its workers are none, or jobs of an unknown system."""
        known = getattr(getattr(cluster, "job_cls", None), "submit_command", None) in LISTING
        return cls(cluster) if known else None

    def replace_lost(self, names: Iterable[Any]) -> int:
        """Replace jobs that have ended and have no worker.

        Parameters
        ----------
        names : iterable of str
            Of the workers that are there.

        Returns
        -------
        int
            How many were replaced now; `lost` counts them.
        """
        if time.monotonic() - self._asked < ASK_EVERY:
            return 0
        self._asked = time.monotonic()
        at_work = {str(name) for name in names} | {str(name).rpartition("-")[0] for name in names}
        idle = {
            str(job.job_id): name
            for name, job in list(self.cluster.workers.items())
            if str(name) not in at_work and getattr(job, "job_id", None)
        }
        known = self._known() if idle else None
        if known is None:
            return 0
        before, self._gone = self._gone, {job for job in idle if _number(job) not in known}
        # Twice unknown: it is not one that is just being submitted, or whose end dask is just taking in.
        lost = [idle[job] for job in self._gone & before]
        if lost:
            self.lost += len(lost)
            self.cluster.loop.add_callback(self._replace, lost)
        return len(lost)

    def _known(self) -> set[str] | None:
        """Numbers of the jobs that the batch system knows; None where it does not say."""
        try:
            told = subprocess.run(self._command(), capture_output=True, text=True, check=False, timeout=ANSWER)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return None if told.returncode else {_number(line) for line in told.stdout.splitlines()}

    def _replace(self, names: list[Any]) -> None:
        """Have the cluster forget jobs, and submit what it then lacks; in the thread of its own."""
        from distributed.core import Status

        for name in names:
            job = self.cluster.workers.pop(name, None)
            if job is not None:
                job.status = Status.closed
        self.cluster.scale(len(self.cluster.worker_spec))  # no more and no fewer


def _number(text: str) -> str:
    """The number that a job's name begins with."""
    found = re.match(r"\s*(\d+)", text)
    return found[1] if found else text
