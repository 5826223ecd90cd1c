"""Commands on a store in a bucket: all that a user types for a folder, and a run that is killed."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr
import yaml

import tsogrid as package
from tests.buckets import SECRET, aws, server  # noqa: F401
from tsogrid.config import Storage

pytestmark = pytest.mark.slow


@pytest.fixture
def reached(server, monkeypatch):  # noqa: F811
    """As the tools of the provider are told where the server is."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    return server


def test_all_commands(tsogrid, write_config, data, here, reached):
    where = "s3://night/commands.zarr"
    config = write_config(output={"block": 5, "store": where}, apertures=[{"radius": [3]}])
    dry = tsogrid("run", config, "--dry-run")
    assert f"{where} (new)" in dry.out, dry
    assert tsogrid("run", config, "data/*seg001*", "--log-json").status == 0
    extended = tsogrid("run", config, "--extend", "--log-json")
    assert extended.status == 0, extended
    assert f"tsogrid export {where}" in extended.out
    assert (here / "commands.jsonl").exists()
    assert SECRET not in (here / "commands.jsonl").read_text()
    assert "exists and is complete" in tsogrid("run", config, "--dry-run").out
    assert "complete: nothing to do" in tsogrid("run", config).out
    assert f"{where}: complete" in tsogrid("status", where).out
    assert json.loads(tsogrid("verify", where, "--json").out)["damaged"] == []
    assert "10 frames" in tsogrid("stats", where, "--storage", f"endpoint_url={reached.url}").out
    assert tsogrid("export", where).status == 0
    assert (here / "commands.ecsv").exists()
    report = tsogrid("report", where)
    assert report.status == 0, report
    assert (here / "commands.html").exists()
    assert tsogrid("detrend", where, "--transit", "none").status == 0
    refused = tsogrid("run", config, "--set", "sky.0.inner=8")
    assert (refused.status, "config.sky" in refused.err) == (1, True)
    assert tsogrid("watch", "data", config).err.count("a watch keeps its store in a folder") == 1
    assert tsogrid("status", where, "--storage", "anonymous=true").status == 2
    missing = tsogrid("status", "s3://nowhere/a.zarr")
    assert (missing.status, "expected an existing bucket" in missing.err) == (1, True)


@pytest.mark.long
@pytest.mark.parametrize("cluster", ["local"])
def test_a_run_that_is_killed_goes_on(tsogrid, write_config, data, here, reached, cluster):
    where = f"s3://night/killed-{cluster}.zarr"
    config = write_config(output={"block": 1}, apertures=[{"radius": [3]}], cluster={"kind": "none"})
    assert tsogrid("run", config, "--store", "whole.zarr").status == 0
    command = [sys.executable, "-m", "tsogrid.cli.main", "run", str(config), "--store", where, "--cluster", cluster]
    command += ["--workers", "2"] if cluster == "local" else []
    with (here / "killed.out").open("w") as out:
        run = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    end = time.monotonic() + 300
    while run.poll() is None and time.monotonic() < end:
        if any("progress/done/c" in path for method, path in reached.requests() if method == "PUT" and where[11:] in path):
            break
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    found = json.loads(tsogrid("status", where, "--json").out)
    assert found["shards_done"] > 0, (here / "killed.out").read_text()
    again = tsogrid("run", config, "--store", where, "--cluster", cluster, *(["--workers", 2] if cluster == "local" else []))
    assert again.status == 0, again
    assert "damaged" not in again.out
    result = package.open_result(where, Storage(endpoint_url=reached.url)).load()
    xr.testing.assert_identical(result, package.open_result("whole.zarr").load())


def test_the_pages_own_commands(tsogrid, write_config, data, here, reached):
    text = (Path(__file__).parents[2] / "docs" / "hpc.md").read_text(encoding="utf-8").partition("## A store in a bucket")[2]
    config = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    config["output"]["storage"]["endpoint_url"] = reached.url
    config["output"]["store"] = "s3://night/night.zarr"
    write_config(output=config["output"], apertures=[{"radius": [3]}])
    commands = re.search(r"```sh\n(.*?)```", text, re.DOTALL)[1].splitlines()
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command.replace("s3://bucket/", "s3://night/").replace("https://s3.example.org", reached.url))
        assert words[:2] == ["AWS_PROFILE=observatory", "tsogrid"]
        outcome = tsogrid(*words[2:])
        assert outcome.status == 0, outcome
    assert (here / "night.ecsv").exists()
