"""A real SLURM whose jobs are lost: others are submitted in their place, and a run that goes nowhere ends and says why."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deaths.processes import Client, environment
from tests.deaths.random_kills import configuration, differences
from tests.slurm import one_machine

pytest.importorskip("dask_jobqueue")
pytestmark = [pytest.mark.slow, pytest.mark.long]
JOBS = {"kind": "slurm", "workers": 2, "memory": "700MB", "walltime": "00:20:00"}


@pytest.fixture
def slurm(tmp_path):
    """What to add to the environment for a SLURM with two nodes."""
    before = dict(os.environ)
    folder = tmp_path / "slurm"
    folder.mkdir()
    told = one_machine.start(folder)
    try:
        yield told
    finally:
        one_machine.stop(folder)
        os.environ.clear()
        os.environ.update(before)


def test_jobs_that_never_had_a_worker_are_replaced_and_so_are_those_that_are_cancelled(slurm, tmp_path):
    config = configuration(tmp_path / "frames", 480)
    assert Client(config, tmp_path / "whole.zarr", "--cluster", "none").end() == 0
    # As many jobs fail as are asked for: without others nobody would work.
    fail = [f"mkdir {tmp_path}/{number} 2>{os.devnull} && exit 1" for number in range(JOBS["workers"])]
    config["cluster"] = JOBS | {"env": fail}
    client = Client(config, tmp_path / "a.zarr", env=environment(**slurm))
    assert client.until(2), client.said
    for job in one_machine.jobs(os.environ | slurm):
        subprocess.run([shutil.which("scancel"), job], env=os.environ | slurm, check=False)
    assert client.end() == 0, client.said
    assert Path(tmp_path, "1").is_dir()
    assert "others are submitted in their place" in client.said
    assert not differences(tmp_path / "a.zarr", tmp_path / "whole.zarr")


def test_jobs_that_cannot_work_end_the_run(slurm, tmp_path):
    config = configuration(tmp_path / "frames", 40)
    config["cluster"] = JOBS | {"env": ["exit 1"]}
    client = Client(config, tmp_path / "a.zarr", env=environment(**slurm))
    assert client.end() == 1, client.said
    assert "6 jobs ended before a worker of theirs was there" in client.said.splitlines()[-1]
