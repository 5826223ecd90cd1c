"""Kernels are compiled before the work is handed out: workers only load machine code."""

import pytest

import tsogrid
from tests.engine.test_store import config_for
from tsogrid.kernels import compile as compiling


def misses():
    """How often this process has looked for machine code that was not there."""
    return [sum(kernel.compiled.stats.cache_misses.values()) for kernel in compiling._KERNELS], len(compiling._KERNELS)


@pytest.mark.slow
def test_workers_find_machine_code(exposure, tmp_path):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", output={"store": str(tmp_path / "a.zarr"), "block": 3}))
        everywhere = list(client.run(misses).values())
        assert all(count > 0 for _, count in everywhere)
        assert sum(sum(found) > 0 for found, _ in everywhere) <= 1  # the one that measured a few frames for trial
