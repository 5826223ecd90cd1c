"""Runs that nobody watches: `submit`, `status`, the log file, and the cluster on the command line."""

import json
import shlex
import shutil

import numpy as np
import pytest
import zarr

from tests.cli.conftest import FRAMES, snapshot

SLURM = {"kind": "slurm", "queue": "long", "workers": 3, "walltime": "02:00:00", "env": ["module load python"]}


def commands_of(script):
    return [line for line in script.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(("kind", "mark"), [("slurm", "#SBATCH"), ("pbs", "#PBS")])
def test_the_job_that_runs_the_client(tsogrid, write_config, here, kind, mark):
    client = {"memory": "2GiB", "walltime": "10:00:00", "directives": ["--qos=high"]}
    config = write_config("my night.yaml", cluster=SLURM | {"kind": kind, "client": client, "folder": "/logs"})
    before = snapshot(here)
    words = ("--store", "it's.zarr", "--set", "sky.0.inner=8", "--set", "sources.0.name=$(touch pwned)", "--block", "2")
    outcome = tsogrid("submit", config, "data/a b.fits", *words, "--overwrite", "--log-json", "--dry-run")
    assert outcome.status == 0, outcome
    assert snapshot(here) == before
    head = [line.removeprefix(f"{mark} ") for line in outcome.out.splitlines() if line.startswith(mark)]
    said = " ".join(head)
    assert head[-1] == "--qos=high"
    for word in ("my-night", "long", "10:00:00", "2048"):
        assert word in said
    setup, change, run = commands_of(outcome.out)
    assert setup == "module load python"
    assert shlex.split(change)[1] == str(here)
    arguments = shlex.split(run)
    assert arguments[:1] == ["exec"]
    assert arguments[arguments.index("-m") + 1 :][:2] == ["tsogrid.cli.main", "run"]
    options = {"--set=sky.0.inner=8", "--set=sources.0.name=$(touch pwned)", f"--cluster={kind}", "--block=2", "--overwrite"}
    assert options | {"--log-json", f"--store={here / chr(39).join(['it', 's.zarr'])}"} <= set(arguments)
    assert arguments[-3:] == ["--", str(config), "data/a b.fits"]


def test_submit_needs_a_batch_system(tsogrid, write_config, refused, monkeypatch, here):
    refused(
        "submit", write_config(), status=2, words=["expected a batch system, found cluster kind none", "--cluster slurm"]
    )
    monkeypatch.setenv("PATH", str(here))
    refused("submit", "night.yaml", "--cluster", "pbs", "--set", "cluster.folder=/logs", words=["qsub", "login node"])


def test_a_job_is_submitted(tsogrid, write_config, here, monkeypatch):
    program, shell = here / "bin" / "sbatch", shutil.which("sh")
    program.parent.mkdir()
    program.write_text(f"#!{shell}\necho Submitted batch job 4711\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    outcome = tsogrid("submit", write_config(cluster=SLURM), "--json")
    told = json.loads(outcome.out)
    folder = here / "night.jobs"
    log = str(folder / "night-4711.log")
    assert told == {
        "job": "4711", "kind": "slurm", "script": str(folder / "night.sh"), "log": log, "store": str(here / "night.zarr"),
    }  # fmt: skip
    assert "tsogrid.cli.main run --cluster=slurm" in (folder / "night.sh").read_text()
    program.write_text(f"#!{shell}\necho sbatch: error: Invalid account >&2\nexit 1\n")
    outcome = tsogrid("submit", "night.yaml")
    assert outcome.status == 1
    assert outcome.err.startswith("error: sbatch refused")
    assert "Invalid account" in outcome.err


@pytest.mark.parametrize(
    ("section", "options", "expected"),
    [
        (SLURM, ["--cluster", "none"], "none"),  # what only slurm knows is forgotten
        (SLURM, ["--cluster", "local"], "local, "),
        (SLURM, ["--cluster", "local", "--workers", "5"], "local, 5 workers"),
        (SLURM, ["--cluster", "slurm"], "slurm, 3 workers"),
        (SLURM, ["--set", "cluster.kind=pbs"], "pbs, 3 workers"),
        ({"workers": 9}, ["--cluster", "slurm", "--set", "cluster.queue=q"], "slurm, 9 workers"),
        ({"kind": "slurm", "adaptive": {"min": 1, "max": 7}}, [], "slurm, 7 workers"),
        ({"kind": "slurm", "adaptive": {"min": 1, "max": 7}}, ["--workers", "2"], "slurm, 2 workers"),
        ("slurm", ["--set", "cluster.adaptive.max=6", "--set", "cluster.client.memory=1GB"], "slurm, 6 workers"),
    ],
)
def test_the_command_line_sets_the_cluster(tsogrid, write_config, data, section, options, expected):
    outcome = tsogrid("run", write_config(cluster=section), "--dry-run", *options)
    assert outcome.status == 0, outcome
    assert f"cluster    {expected}" in outcome.out


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--cluster", "cloud"], "cloud"),
        (["--cluster", "slurm", "--set", "cluster.que=q"], "did you mean queue?"),
        (["--set", "cluster.queue=q"], "cluster.queue: unknown key"),
        (["--cluster", "slurm", "--set", "cluster.queue=a; b"], "expected a name"),
        (["--cluster", "kubernetes"], "image"),
    ],
)
def test_a_cluster_that_cannot_be(refused, write_config, data, options, word):
    refused("run", write_config(), *options, status=2, words=[word])


def test_status_tells_from_the_store_alone(tsogrid, write_config, data, here):
    config = write_config()
    assert tsogrid("run", config, "--block", "2").status == 0
    found = json.loads(tsogrid("status", "night.zarr", "--json").out)
    assert (found["state"], found["measured"], found["total"], found["shards"]) == ("complete", FRAMES, FRAMES, 5)
    assert found["frames_per_second"] > 0
    assert found["slowest"]["seconds"] >= found["block_seconds"] >= found["block_cpu_seconds"] * 0.5 > 0
    assert found["failed"] == []
    # As a killed run leaves it: two shards without their marks.
    marks = zarr.open_array(here / "night.zarr" / "progress" / "done", mode="r+")
    marks[0, 3:] = 0
    before = snapshot(here)
    outcome = tsogrid("status", "night.zarr")
    assert outcome.status == 0
    assert "night.zarr: stopped" in outcome.out
    assert "measured  6 of 10 frames (60 %)" in outcome.out
    assert "again goes on with what is missing" in outcome.out
    assert snapshot(here) == before
    from tsogrid.engine.lock import locked

    with locked(here / "night.zarr"):
        assert json.loads(tsogrid("status", "night.zarr", "--json").out)["state"] == "running"


def test_status_names_what_failed(tsogrid, write_config, data, here, monkeypatch):
    from tsogrid.engine import execute, shard_work
    from tsogrid.errors import InputError

    measure = shard_work.measure_and_time

    def broken(plan, start, *others):
        if start == 4:
            raise InputError("data/x.fits: expected a whole file, found 3 bytes.")
        return measure(plan, start, *others)

    for module in (execute, shard_work):  # first, and when the block is looked at with care
        monkeypatch.setattr(module, "measure_and_time", broken)
    config = write_config()
    assert tsogrid("run", config, "--block", "2").status == 1
    outcome = tsogrid("status", "night.zarr")
    assert "night.zarr: failed" in outcome.out
    assert "failed    frames 4 … 5: InputError: data/x.fits: expected a whole file" in outcome.out
    (failed,) = json.loads(tsogrid("status", "night.zarr", "--json").out)["failed"]
    assert failed["frames"] == [4, 5]
    assert "could not be measured: data/x.fits" in (here / "night.log").read_text()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert tsogrid("run", config).status == 0
    assert json.loads(tsogrid("status", "night.zarr", "--json").out)["failed"] == []


def test_status_of_what_is_no_store(refused, here):
    refused("status", "night.zarr", words=["expected a tsogrid store, found nothing"])
    (here / "night.zarr").mkdir()
    (here / "night.zarr" / "x").write_text("x")
    refused("status", "night.zarr", words=["expected a tsogrid store"])


def test_timings_of_every_block_are_kept(tsogrid, write_config, data, here):
    assert tsogrid("run", write_config(), "--block", "2").status == 0
    blocks = zarr.open_array(here / "night.zarr" / "progress" / "blocks", mode="r")
    assert blocks.attrs["columns"] == ["cpu_seconds", "elapsed_seconds", "ended"]
    assert blocks.shape == (1, 5, 3)
    assert np.isfinite(blocks[:]).all()


def test_a_run_leaves_a_log(tsogrid, write_config, data, here):
    config = write_config()
    assert tsogrid("run", config).status == 0
    lines = (here / "night.log").read_text().splitlines()
    assert "tsogrid" in lines[0]
    assert "frames 0 … 4 are on disk" in "\n".join(lines)
    assert lines[-1].endswith("done")
    before = snapshot(here)
    assert tsogrid("run", config).status == 0  # nothing to do
    assert snapshot(here) == before
    assert tsogrid("run", config, "--overwrite", "--log-json", "--log", "run.jsonl").status == 0
    events = [json.loads(line) for line in (here / "run.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1], kinds.count("shard")) == ("command", "end", 2)
    assert {"time", "level", "message"} <= events[0].keys()
    assert [event["frames"] for event in events if event["event"] == "shard"] == [[0, 4], [5, 9]]


def test_a_log_that_cannot_be(refused, write_config, data):
    refused("run", write_config(), "--log", "no/run.log", words=["--log no/run.log: expected an existing folder"])


@pytest.mark.parametrize("damage", ["flip", "cut", "lose"])
def test_verify_finds_what_was_damaged(tsogrid, write_config, data, here, damage):
    config = write_config()
    assert tsogrid("run", config, "--block", "2").status == 0
    whole = json.loads(tsogrid("verify", "night.zarr", "--json").out)
    assert (whole["marked"], whole["shards"], whole["damaged"]) == (5, 5, [])
    chunk = here / "night.zarr" / "flux" / "c.3.0.0.0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 4
    if damage == "lose":
        chunk.unlink()
    else:
        chunk.write_bytes(content if damage == "flip" else content[:-3])
    before = snapshot(here)
    outcome = tsogrid("verify", "night.zarr")
    assert outcome.status == 1
    assert "damaged: flux frames 6 … 7: " in outcome.out
    assert outcome.err.startswith("error: night.zarr: 1 chunks are missing or damaged")
    assert snapshot(here) == before
    again = tsogrid("run", config, "--resume")
    assert "measured 2 frames" in again.out
    assert tsogrid("verify", "night.zarr").status == 0


def test_verify_of_a_store_that_is_half_written(tsogrid, write_config, data, here):
    config = write_config(center={"search_box": 11, "fit_box": 9, "position": "median"})
    assert tsogrid("run", config, "--block", "2").status == 0
    marks = zarr.open_array(here / "night.zarr" / "progress" / "done", mode="r+")
    marks[1, 2:] = 0
    (here / "night.zarr" / "flux" / "c.4.0.0.0").unlink()  # of the second pass, which is not marked
    assert tsogrid("verify", "night.zarr").status == 0
    (here / "night.zarr" / "flux" / "c.1.0.0.0").unlink()
    assert tsogrid("verify", "night.zarr").status == 1
