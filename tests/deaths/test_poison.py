"""Files that kill who reads them, and workers without memory: a run ends with names and reason, and all else is done."""

import json
import subprocess
import sys

import numpy as np
import pytest

import tsogrid
from tests.deaths import poison
from tests.deaths.processes import Client, environment
from tests.deaths.random_kills import configuration, differences
from tsogrid.flags import SourceFlag
from tsogrid.simulate import simulate_night

pytestmark = [pytest.mark.slow, pytest.mark.long]


def told_status(store):
    words = [sys.executable, "-m", "tsogrid.cli.main", "status", str(store), "--json"]
    return json.loads(subprocess.run(words, env=environment(), capture_output=True, text=True, check=True).stdout)


def test_a_file_that_kills_workers_is_named_and_all_others_are_done(tmp_path):
    simulate_night(tmp_path / "frames", frames=16, shape=(48, 56), stars=[(28, 22, 1.0)], seed=4)
    files = sorted(map(str, (tmp_path / "frames").glob("*.fits")))
    config = {
        "input": {"files": files},
        "output": {"block": 2},
        "sources": [{"name": "star", "x": 28, "y": 22}],
        "apertures": [{"radius": [3, 5]}],
        "sky": [{"method": "annulus", "inner": 8, "outer": 12}],
        "cluster": {"kind": "local", "workers": 2},
    }
    here = ("--cluster", "none")
    assert Client(config, tmp_path / "whole.zarr", *here).end() == 0
    bad = environment(paths=[poison.prepare(tmp_path / "site")], POISON="night-0006")
    client = Client(config, tmp_path / "a.zarr", env=bad)
    assert client.end() == 1, client.said
    assert "1 file could not be read and was set aside" in client.said
    assert "night-0006.fits, frame 5: 3 workers died that read it" in client.said
    told = told_status(tmp_path / "a.zarr")
    assert told["state"] == "failed"
    assert [(item["file"], item["first"], item["killed"]) for item in told["set_aside"]] == [("night-0006.fits", 5, True)]
    with pytest.warns(tsogrid.errors.TsogridWarning, match="could not be read"):
        found = tsogrid.open_result(tmp_path / "a.zarr").load()
    whole = tsogrid.open_result(tmp_path / "whole.zarr").load()
    others = np.arange(16) != 5
    for name in whole.data_vars:
        assert found[name].to_numpy()[others].tobytes() == whole[name].to_numpy()[others].tobytes(), name
    assert int(found.flags[5, 0]) & SourceFlag.UNREADABLE
    client = Client(config, tmp_path / "a.zarr", *here)  # mended
    assert client.end() == 0, client.said
    assert "going on: 7 of 8 shards are done, 1 to measure" in client.said
    assert not differences(tmp_path / "a.zarr", tmp_path / "whole.zarr")


def test_workers_without_enough_memory_end_a_run_with_the_reason(tmp_path):
    config = configuration(tmp_path / "frames", 40)
    config["cluster"] = {"kind": "local", "workers": 1, "memory": "120MB", "worker_timeout": 20}
    client = Client(config, tmp_path / "a.zarr")
    assert client.end() == 1, client.said
    # A worker that is ended before it has registered is just not there.
    last = client.said.splitlines()[-1]
    assert last.startswith("error: "), client.said
    assert "memory" in last or "no worker" in last, client.said
