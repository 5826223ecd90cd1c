"""How much memory one worker takes for an exposure of several GB: simulated once, measured by a worker with a limit of 1 GB.

``python benchmarks/memory.py FOLDER [INTEGRATIONS]``; 2800 integrations of 256 × 256 are 4.4 GB of files.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

import tsogrid
from tsogrid.simulate import simulate_exposure

ADDRESS = "tcp://127.0.0.1:18786"
CASES = {
    "stamp": {},
    "rows of the amplifier": {"sky": [[{"method": "rowamp"}, {"method": "annulus", "inner": 8, "outer": 14}]]},
    "whole frame (jwst preset, three passes)": {"preset": "jwst"},
}


def main(folder: Path, integrations: int) -> None:
    files = sorted(str(path) for path in folder.glob("big-seg*_calints.fits"))
    if not files:
        files = simulate_exposure(folder, name="big", integrations=integrations, shape=(256, 256), amplifiers=1).files
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    host = ["--host", "127.0.0.1", "--port", "18786", "--no-dashboard"]
    scheduler = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", *host], **quiet)
    limits = ["--nworkers", "1", "--nthreads", "1", "--memory-limit", "1GB"]
    worker = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_worker", ADDRESS, *limits], **quiet)
    peak = {"bytes": 0}
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.1):
            for child in psutil.Process(worker.pid).children(recursive=True):
                peak["bytes"] = max(peak["bytes"], child.memory_info().rss)

    try:
        time.sleep(5)
        threading.Thread(target=watch, daemon=True).start()
        for name, sections in CASES.items():
            peak["bytes"] = 0
            content = {
                "input": {"files": files},
                "output": {"store": str(folder / "memory.zarr")},
                "cluster": {"kind": "address", "address": ADDRESS},
                **sections,
            }
            begin = time.perf_counter()
            result = tsogrid.run(tsogrid.Config.from_mapping(content), mode="overwrite")
            seconds = time.perf_counter() - begin
            print(f"{name}: {result.sizes['time']} frames, {seconds:.1f} s, worker at most {peak['bytes'] / 1e6:.0f} MB")
    finally:
        watching.set()
        worker.terminate()
        scheduler.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2800)
