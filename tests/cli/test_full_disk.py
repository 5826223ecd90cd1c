"""A disk without room: the run ends soon and says so, what is marked is whole, and the same command goes on."""

import errno
import json
import os
import shutil
import subprocess

import pytest

from tests.engine.test_store import assert_same_bytes
from tsogrid.engine import place, store
from tsogrid.engine.verification import verified

SIZE = 3_000_000


@pytest.fixture
def disk(here):
    """A small file system of its own."""
    folder = here / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and os.geteuid() == 0
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if not mounted or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def room(disk):
    free = os.statvfs(disk)
    return free.f_bavail * free.f_bsize


def leave(disk, much):
    """Leave so many bytes of room."""
    (disk / "ballast").unlink(missing_ok=True)
    with (disk / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, room(disk) - much))


def test_wherever_the_disk_is_full_nothing_is_lost(tsogrid, write_config, data, here, disk):
    config = write_config(apertures=[{"radius": [3]}])
    command = ("run", config, "--block", 1, "--store")
    assert tsogrid(*command, "whole.zarr").status == 0
    before = room(disk)
    assert tsogrid(*command, "disk/night.zarr").status == 0
    whole = before - room(disk)
    shutil.rmtree(disk / "night.zarr")
    (disk / "night.log").unlink()
    stopped = 0
    for share in (0.0, 0.01, 0.2, 0.2, 0.02, 0.3):
        log = here / f"{share}.jsonl"
        log.unlink(missing_ok=True)
        leave(disk, int(share * whole))
        outcome = tsogrid(*command, "disk/night.zarr", "--log", log, "--log-json")
        assert outcome.status == 1, (share, outcome)
        assert outcome.err.count("error: ") == 1, outcome
        assert "No space left on device" in outcome.err
        assert not (disk / ".night.zarr.lock").exists()
        assert {path.name for path in disk.iterdir()} <= {"ballast", "night.zarr"}
        if (disk / "night.zarr").exists():
            assert verified(disk / "night.zarr").damaged == []
            events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
            assert events.count("failed") <= 3
            stopped += "so the run stops here" in outcome.err
            assert not list((disk / "night.zarr").rglob("*.partial"))
    assert stopped
    (disk / "ballast").unlink()
    outcome = tsogrid(*command, "disk/night.zarr")
    assert outcome.status == 0, outcome
    assert_same_bytes(disk / "night.zarr", here / "whole.zarr")


def test_a_store_that_cannot_be_replaced_stays(tsogrid, write_config, data, here, disk):
    config = write_config(apertures=[{"radius": [3]}])
    command = ("run", config, "--block", 5, "--store", "disk/night.zarr")
    assert tsogrid(*command).status == 0
    shutil.copytree(disk / "night.zarr", here / "before.zarr")
    leave(disk, 20_000)
    outcome = tsogrid(*command, "--overwrite", "--set", "sky.0.inner=8")
    assert outcome.status == 1, outcome
    assert "the store could not be made" in outcome.err
    assert_same_bytes(disk / "night.zarr", here / "before.zarr")
    assert "complete" in tsogrid("status", "disk/night.zarr").out


def test_a_quota_that_is_told_only_when_flushed(tsogrid, write_config, data, here, monkeypatch):
    config = write_config(apertures=[{"radius": [3]}])
    assert tsogrid("run", config, "--block", 1, "--store", "whole.zarr").status == 0
    flush = place._flush

    def refused(path):
        if path.name.startswith(("c.4.", "c.5.", "c.6.", "c.7.", "c.8.")):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(path))
        flush(path)

    monkeypatch.setattr(place, "_flush", refused)
    outcome = tsogrid("run", config, "--block", 1)
    assert outcome.status == 1, outcome
    assert "Disk quota exceeded" in outcome.err
    assert "the 3rd shard that could not be written" in outcome.err
    monkeypatch.undo()
    os.chdir(here)
    assert store.pending(store.existing(here / "night.zarr"), 0) == [4, 5, 6, 7, 8, 9]
    outcome = tsogrid("run", config, "--block", 1)
    assert outcome.status == 0, outcome
    assert_same_bytes(here / "night.zarr", here / "whole.zarr")
