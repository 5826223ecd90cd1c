"""A real SLURM: workers in jobs, over TLS, give the bytes of one process; a submitted run and its status."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import tsogrid
from tests.engine.test_store import assert_same_bytes, config_for
from tests.slurm import one_machine
from tsogrid.engine.run import Silent
from tsogrid.errors import RunError

pytest.importorskip("dask_jobqueue")
pytestmark = pytest.mark.slow
SOURCES = str(Path(tsogrid.__file__).parents[1])
JOBS = {"kind": "slurm", "workers": 2, "memory": "700MB", "walltime": "00:20:00"}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The environment of a SLURM with two nodes."""
    folder = tmp_path_factory.mktemp("slurm")
    before = dict(os.environ)
    environment = one_machine.start(folder)
    # Jobs inherit the environment of whoever submits them.
    os.environ.update(environment, PYTHONPATH=SOURCES, PYTHONWARNINGS="ignore")
    try:
        yield dict(os.environ)
    finally:
        one_machine.stop(folder)
        os.environ.clear()
        os.environ.update(before)


class Heard(Silent):
    """Keeps what it is told, and looks at the cluster while it measures."""

    def __init__(self, folder):
        self.folder, self.lines, self.certificates = folder, [], []

    def say(self, message):
        self.lines.append(message)

    def advance(self, frames):
        self.certificates = self.certificates or list(self.folder.glob(".tls-*/*.pem"))


@pytest.mark.filterwarnings("ignore")
def test_workers_in_jobs_give_the_bytes_of_one_process(slurm, exposure, tmp_path):
    settings = {"center": {"position": "median"}}
    output = {"store": str(tmp_path / "a.zarr"), "block": 1}
    heard = Heard(tmp_path / "a.jobs")
    tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", **settings, output=output, cluster=JOBS), progress=heard)
    output = {"store": str(tmp_path / "b.zarr"), "block": 1}
    tsogrid.run(config_for(exposure.files, tmp_path / "b.zarr", **settings, output=output))
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "b.zarr")
    said = "\n".join(heard.lines)
    assert "scheduler: tls://" in said
    assert re.search(r"dashboard: http://127\.0\.0\.1:\d+/status", said)
    assert len(heard.certificates) == 3
    assert not list((tmp_path / "a.jobs").glob(".tls-*"))  # gone with the cluster
    logs = "".join(path.read_text() for path in (tmp_path / "a.jobs").glob("*.err"))
    assert "Registered to:      tls://" in logs
    deadline = time.monotonic() + 30
    while one_machine.jobs(slurm) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not one_machine.jobs(slurm)


@pytest.mark.filterwarnings("ignore")
def test_a_job_that_slurm_would_not_take_is_one_message(slurm, exposure, tmp_path):
    jobs = JOBS | {"queue": "nowhere"}
    with pytest.raises(RunError, match=r"SLURM would not take the workers' job: .*nvalid partition"):
        tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", cluster=jobs))


def command(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-m", "tsogrid.cli.main", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_submitted_run(slurm, exposure, tmp_path):
    jobs = JOBS | {"workers": 1, "client": {"memory": "900MB"}}
    config = config_for(exposure.files, "x", output={"block": 1}, cluster=jobs)
    content = config.model_dump(mode="json", exclude_unset=True)
    (tmp_path / "my night.yaml").write_text(yaml.safe_dump(content))
    done = command("submit", "my night.yaml", "--store", "night.zarr", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["job"].isdigit()
    assert told["job"] in one_machine.jobs(slurm)
    deadline = time.monotonic() + 240
    while one_machine.jobs(slurm) and time.monotonic() < deadline:
        time.sleep(1)
    log = Path(told["log"]).read_text()
    found = json.loads(command("status", "night.zarr", "--json", folder=tmp_path).stdout or "{}")
    assert found.get("state") == "complete", log
    assert found["cluster"] == "slurm"
    assert found["measured"] == found["total"] == 30
    assert found["frames_per_second"] > 0
    assert "measured 30 frames" in log
    refused = command("submit", "my night.yaml", "--store", "b.zarr", "--set", "cluster.queue=nowhere", folder=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: sbatch refused")


def test_the_script_for_one_node(slurm, exposure, tmp_path):
    content = config_for(exposure.files, "x").model_dump(mode="json", exclude_unset=True)
    del content["output"]["store"]
    (tmp_path / "night.yaml").write_text(yaml.safe_dump(content))
    script = Path(__file__).parents[2] / "deploy" / "slurm" / "one-node.sh"
    small = ["--cpus-per-task=1", "--mem=1500M", "--time=10", "--output=job.log", "--wait"]
    path = os.pathsep.join([str(Path(sys.executable).parent), slurm["PATH"]])
    done = subprocess.run(
        ["sbatch", *small, str(script), "night.yaml"], cwd=tmp_path, env=slurm | {"PATH": path}, capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip
    log = (tmp_path / "job.log").read_text()
    assert done.returncode == 0, log
    assert "30 frames" in log
    assert tsogrid.open_result(tmp_path / "night.zarr").sizes["time"] == 30
