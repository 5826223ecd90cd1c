"""What is free stays in the process for the next block, unless a worker's memory is scarce."""

import platform
import subprocess
import sys

import pytest

BLOCK = """
import numpy as np, psutil
from tsogrid.engine.allocation import give_back, memory_kept

def resident():
    return psutil.Process().memory_info().rss / 1e6

def block():
    with memory_kept():
        return sum(float(each.sum()) for each in [np.ones(2_000_000) for _ in range(8)])
"""
ALONE = """
block()
kept = resident()
give_back()
assert kept - resident() > 30, (kept, resident())
"""
WORKER = """
def grown(factor):
    from distributed import get_worker
    memory = get_worker().memory_manager
    memory.memory_pause_fraction = memory.memory_spill_fraction = memory.memory_target_fraction = False
    before = resident()
    memory.memory_limit = int(factor * before * 1e6)
    block()
    memory.memory_limit = None
    return resident() - before

def main():
    from distributed import Client, LocalCluster
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            scarce = client.submit(grown, 1.2, pure=False).result()
            enough = client.submit(grown, 4, pure=False).result()
    assert scarce < 15 and enough > 30, (scarce, enough)

if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
@pytest.mark.parametrize("script", [ALONE, WORKER], ids=["alone", "worker"])
def test_free_memory_is_kept_where_there_is_enough(tmp_path, script):
    (tmp_path / "script.py").write_text(BLOCK + script)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
