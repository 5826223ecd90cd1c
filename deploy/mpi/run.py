# Edit: nothing for SLURM; launch.sh starts this file in every task.
# Edit: with mpirun, in place of SLURMRunner: `from dask_mpi import initialize`, `initialize(nthreads=1)`, `Client()`.
# Edit: mode="resume", "overwrite" or "extend" of tsogrid.run, where that is meant.
"""One launch: the first task is the scheduler, the second runs the lines at the end, all others are workers."""

import os
import sys

from dask.distributed import Client
from dask_jobqueue.slurm import SLURMRunner

import tsogrid

if __name__ == "__main__":
    where = os.path.join(os.environ.get("TSOGRID_PRIVATE", "."), "scheduler-{job_id}.json")
    dashboard = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    one_thread = {"nthreads": 1, **dashboard}
    runner = SLURMRunner(scheduler_file=where, scheduler_options=dashboard, worker_options=one_thread)
    with Client(runner.scheduler_address) as client:  # with the certificates that launch.sh made
        try:
            result = tsogrid.run(tsogrid.Config.from_yaml(sys.argv[1]))  # uses the client that is active
            print(f"{result.sizes['time']} frames are measured", flush=True)
        finally:
            runner.scheduler_comm = None  # the runner's own farewell knows no TLS
            client.shutdown()  # scheduler and workers end, and with them their tasks
