"""Workers that stand still for good, and workers whose memory is too small for a block: the run ends in the same numbers."""

import signal
import time
from contextlib import suppress

import psutil
import pytest

import tsogrid
from tests.deaths.processes import Client, cluster_of, environment
from tests.deaths.random_kills import configuration, differences
from tsogrid.simulate import simulate_exposure

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.mark.parametrize("goes_on", [False, True])
def test_the_only_worker_stands_still(tmp_path, goes_on):
    config = configuration(tmp_path / "frames", 120)
    assert Client(config, tmp_path / "whole.zarr", "--cluster", "none").end() == 0
    # After this time dask's scheduler gives a silent worker up, and its nanny starts another.
    told = environment(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="120s" if goes_on else "20s")
    with cluster_of(tmp_path, count=1, env=told) as cluster:
        client = Client(config, tmp_path / "a.zarr", "--cluster", cluster.address)
        assert client.until(2), client.said
        (worker,) = cluster.processes
        worker.suspend()
        try:
            if goes_on:
                time.sleep(40)
                worker.resume()
            assert client.end() == 0, client.said
        finally:
            with suppress(psutil.NoSuchProcess):
                worker.send_signal(signal.SIGCONT)
    assert "is not heard of" in client.said
    assert ("is heard of again" in client.said) == goes_on
    assert not differences(tmp_path / "a.zarr", tmp_path / "whole.zarr")


@pytest.mark.parametrize("filtered", [True, False])
def test_a_worker_with_little_memory(tmp_path, filtered):
    """A block with sides is read whole, and kills its worker: it is measured in pieces. What is free is given back."""
    made = simulate_exposure(tmp_path / "frames", name="night", integrations=200, segments=2, shape=(512, 512), seed=7)
    config = {
        "input": {"files": list(map(str, made.files))},
        "sources": [{"name": "a", "x": 60, "y": 60}, {"name": "b", "x": 450, "y": 450}],
        "center": {"search_box": 15, "fit_box": 11},
        "apertures": [{"radius": "2:12:1"}],
        "sky": [{"method": "rowamp", "amplifiers": [[0, 512]]}],
        "output": {"block": 100},
    }
    if filtered:
        config["calibrate"] = {"outliers": {"window": 3}}
    assert Client(config, tmp_path / "whole.zarr", "--cluster", "none", "--block", "8").end() == 0
    memory = "600MB" if filtered else "500MB"  # of the second a worker would be paused for good if it kept what is free
    config["cluster"] = {"kind": "local", "workers": 1, "memory": memory, "worker_timeout": 120}
    client = Client(config, tmp_path / "a.zarr")
    assert client.end() == 0, client.said
    if filtered:
        assert "killed workers or could not be read: they are tried one by one" in client.said
    found, whole = (tsogrid.open_result(tmp_path / f"{name}.zarr").load() for name in ("a", "whole"))
    for name in whole.data_vars:
        assert found[name].to_numpy().tobytes() == whole[name].to_numpy().tobytes(), name
