"""A run that is killed goes on where it stopped, and ends in the bytes of an undisturbed one."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import tsogrid
from tests.engine.test_store import assert_same_bytes, config_for
from tsogrid.engine import store
from tsogrid.engine.run import Silent, prepared
from tsogrid.engine.trial import estimated
from tsogrid.errors import ConfigError, InputError, RunError, StoreError

SCRIPT = """
import sys, yaml, tsogrid
if __name__ == "__main__":
    tsogrid.run(tsogrid.Config.from_yaml(sys.argv[1]))
"""


def start(config, folder):
    """Run a configuration in a process group of its own."""
    import yaml

    (folder / "run.py").write_text(SCRIPT)
    (folder / "run.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)))
    return subprocess.Popen(
        [sys.executable, "run.py", "run.yaml"],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_when(process, path, wanted):
    """Kill the whole process group once so many shards are marked; give the number found."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        marks = len(list((path / "progress" / "done").glob("c.*"))) if path.exists() else 0
        if marks >= wanted or process.poll() is not None:
            break
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return marks


class Count(Silent):
    """Counts the frames that are measured."""

    def __init__(self):
        self.frames = 0

    def advance(self, frames):
        self.frames += frames


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "position"), [("none", "median"), pytest.param("local", "frame", marks=pytest.mark.long)])
def test_kill_nine_of_the_whole_group(exposure, tmp_path, kind, position):
    settings = {"center": {"position": position}, "output": {"store": str(tmp_path / "a.zarr"), "block": 1}}
    config = config_for(exposure.files, tmp_path / "a.zarr", **settings, cluster={"kind": kind, "workers": 2})
    for wanted in (1, 7, 20):
        marks = kill_when(start(config, tmp_path), tmp_path / "a.zarr", wanted)
        assert marks >= wanted
    missing = [store.pending(store.existing(tmp_path / "a.zarr"), index) for index in range(1 + (position == "median"))]
    assert missing[-1]  # killed in the midst of work
    (tmp_path / "a.zarr" / "flux" / "c.3.0.0.0.4f1c.partial").write_bytes(b"torn")
    count = Count()
    here = config_for(exposure.files, tmp_path / "a.zarr", **settings)
    tsogrid.run(here, progress=count)
    assert count.frames == sum(map(len, missing))  # only unmarked shards, of one frame each
    settings["output"] = {"store": str(tmp_path / "b.zarr"), "block": 1}
    tsogrid.run(config_for(exposure.files, tmp_path / "b.zarr", **settings))
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_what_a_worker_left_that_died_while_it_wrote_is_gone_in_the_end(exposure, tmp_path):
    class Torn(Silent):
        def advance(self, frames):
            (tmp_path / "a.zarr" / "flux" / "c.3.0.0.0.4f1c.partial").write_bytes(b"torn")

    tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr"), progress=Torn())
    assert not list((tmp_path / "a.zarr").rglob("*.partial"))
    tsogrid.run(config_for(exposure.files, tmp_path / "b.zarr"))
    assert_same_bytes(tmp_path / "a.zarr", tmp_path / "b.zarr")


@pytest.mark.parametrize("kind", ["none", "local"])
def test_workers_give_the_bytes_of_one_process(exposure, tmp_path, kind):
    center = {"position": "median"}
    found = tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", center=center, cluster={"kind": kind, "workers": 2}))
    lazy = tsogrid.measure(tsogrid.open_frames(exposure.files), config_for([], "x", center=center)).compute()
    for name in lazy.data_vars:
        assert found[name].to_numpy().tobytes() == lazy[name].to_numpy().tobytes(), name


def test_a_running_scheduler_is_used(exposure, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
    ) as cluster:
        address = {"kind": "address", "address": cluster.scheduler_address}
        result = tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", cluster=address))
    assert np.isfinite(result.flux[0]).all()


def test_no_scheduler_is_one_message(exposure, tmp_path, monkeypatch):
    monkeypatch.setattr("tsogrid.engine.cluster.CONNECT_TIMEOUT", 0.5)
    address = {"kind": "address", "address": "tcp://127.0.0.1:9"}
    with pytest.raises(RunError, match=r"no dask scheduler answered at tcp://127\.0\.0\.1:9"):
        tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr", cluster=address))


def test_a_file_that_breaks_on_the_way_names_itself_and_the_rest_is_done(exposure, tmp_path):
    files = [tmp_path / name.rsplit("/", 1)[1] for name in exposure.files]
    for copy, file in zip(files, exposure.files, strict=True):
        shutil.copy(file, copy)
    config = config_for(files, tmp_path / "a.zarr")
    whole = files[1].read_bytes()

    class Break(Silent):
        """Truncates the second file after the first frames."""

        def advance(self, frames):
            files[1].write_bytes(whole[: len(whole) // 50])

    with pytest.raises(RunError, match=r"(?s)1 file could not be read and was set aside.*seg002.*truncated"):
        tsogrid.run(config, progress=Break())
    files[1].write_bytes(whole)
    count = Count()
    result = tsogrid.run(config, progress=count)
    assert 0 < count.frames < 30
    assert np.isfinite(result.flux[~np.isin(np.arange(30), exposure.bad_frames)]).all()


def test_bad_frames_are_nan_and_a_flag(exposure, tmp_path):
    result = tsogrid.run(config_for(exposure.files, tmp_path / "a.zarr")).load()
    bad = result.isel(time=exposure.bad_frames)
    assert np.isnan(bad.flux).all()
    assert (bad.flags != 0).all()
    assert (bad.aperture_flags != 0).all()
    good = result.drop_isel(time=exposure.bad_frames)
    assert (good.flags == 0).all()
    np.testing.assert_allclose(good.x[:, 0], np.delete(exposure.x, exposure.bad_frames), atol=0.02)


def test_nothing_is_left_after_input_without_a_finite_pixel(exposure, tmp_path):
    from astropy.io import fits

    files = []
    for file in exposure.files:
        with fits.open(file) as hdus:
            hdus["SCI"].data[:] = np.nan
            files.append(tmp_path / file.rsplit("/", 1)[1])
            hdus.writeto(files[-1])
    with pytest.raises(InputError, match="None of the 30 frames has a finite pixel"):
        tsogrid.run(config_for(files, tmp_path / "a.zarr"))
    assert not (tmp_path / "a.zarr").exists()


def test_a_run_needs_files_and_a_store(exposure, tmp_path):
    with pytest.raises(ConfigError, match=r"input\.files"):
        tsogrid.run(config_for([], tmp_path / "a.zarr"))
    with pytest.raises(ConfigError, match=r"output\.store"):
        tsogrid.run(tsogrid.Config.from_mapping({"input": {"files": exposure.files}}))
    with pytest.raises(StoreError, match="expected an existing folder"):
        tsogrid.run(config_for(exposure.files, tmp_path / "no" / "a.zarr"))


def test_the_estimate_chooses_the_cluster(exposure, tmp_path):
    _, plan = prepared(config_for(exposure.files, tmp_path / "a.zarr"))
    auto = tsogrid.Config.from_mapping({"input": {"files": exposure.files}})
    estimate = estimated(plan, auto)
    assert estimate.kind == "none"  # thirty frames are work of a moment
    assert 1 <= estimate.block <= 30
