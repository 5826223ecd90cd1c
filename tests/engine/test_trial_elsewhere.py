"""The trial of a run on a cluster is made by a worker; who plans and hands out loads nothing that measures."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from distributed import Client

import tsogrid
from tests.engine.test_store import config_for
from tsogrid.engine import on_cluster, trial
from tsogrid.engine.run import prepared
from tsogrid.engine.setting_aside import KilledError
from tsogrid.errors import InputError

PLANS = """
import json, sys
import distributed, tsogrid
from tsogrid.engine.run import prepared, store_place
from tsogrid.engine.store import open_result, prepare
config = tsogrid.Config.from_mapping(json.load(sys.stdin))
tsogrid.run
plan = prepared(config)[1]
prepare(store_place(config), plan.with_block(5))
open_result(config.output.store)
heavy = ("numba", "llvmlite", "astropy.units", "photutils", "matplotlib")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


@pytest.fixture
def client():
    with Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, set_as_default=False) as client:
        yield client


def test_who_plans_and_lays_out_loads_nothing_that_measures(exposure, tmp_path):
    config = config_for(exposure.files, tmp_path / "a.zarr").model_dump(mode="json")
    environment = os.environ | {"PYTHONPATH": str(Path(tsogrid.__file__).parent.parent)}
    command = [sys.executable, "-c", PLANS]
    done = subprocess.run(command, input=json.dumps(config), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
    assert json.loads(done.stdout) == []


def test_a_worker_makes_the_trial(client, exposure, tmp_path, monkeypatch):
    _, plan = prepared(config_for(exposure.files, tmp_path / "a.zarr"))
    said = []
    assert on_cluster.tried_on(client, plan, said.append) > 0
    monkeypatch.setattr(on_cluster._Workers, "alone", lambda self, function: KilledError(3))
    assert on_cluster.tried_on(client, plan, said.append) is None
    assert "died of the trial" in said[-1]
    estimate = trial.estimated(plan, plan.config, measure=lambda plan, say: None)
    assert estimate.seconds_per_frame == trial.GUESS


def test_what_the_trial_finds_is_told(client, exposure, tmp_path):
    _, plan = prepared(config_for(exposure.files, tmp_path / "a.zarr"))
    empty = xr.Dataset({"data": (("time", "y", "x"), np.full((30, *plan.shape), np.nan, np.float32))})
    plan = replace(plan, frames=empty, detector=None)
    with pytest.raises(InputError, match="None of the 30 frames"):
        on_cluster.tried_on(client, plan, lambda message: None)


def test_a_run_has_its_trial_made_where_its_blocks_are(client, exposure, tmp_path, monkeypatch):
    config = config_for(exposure.files, tmp_path / "a.zarr", cluster={"kind": "auto"})
    places = []

    def noted(client, plan, say):
        places.append(client.scheduler.address)
        return 1e-3

    monkeypatch.setattr("tsogrid.engine.run.tried_on", noted)
    with client.as_current():
        tsogrid.run(config)
        assert places == [client.scheduler.address]
        tsogrid.run(config)  # complete: nobody measures anything
    assert len(places) == 1
