"""The lock: one run at a time, whoever begins at the same moment, on whichever machine, whatever its clock says."""

import json
import os
import subprocess
import sys
import time

import pytest

from tsogrid.engine import file_lock, lock
from tsogrid.engine.file_lock import lock_path, me
from tsogrid.engine.lock import holder, locked
from tsogrid.errors import StoreError

RACE = """
import json, multiprocessing, os, sys, time
from pathlib import Path
from tsogrid.engine.file_lock import lock_path, me
from tsogrid.engine.lock import locked
from tsogrid.errors import StoreError

def racer(store, barrier, found, number):
    inside = store.with_name("inside")
    for turn in range(int(sys.argv[2])):
        if number == 0:
            lock_path(store).unlink(missing_ok=True)
            if turn % 2:  # of a run that was killed
                lock_path(store).write_text(json.dumps(me() | {"born": -1000.0}))
        barrier.wait()
        try:
            with locked(store):
                os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails where somebody else is inside
                time.sleep(0.01)
                inside.unlink()
                found.put("ran")
        except StoreError as error:
            found.put("refused" if "another run" in str(error) else str(error))
        except FileExistsError:
            found.put("two at once")
        barrier.wait()

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    barrier, found = context.Barrier(4), context.Queue()
    racers = [context.Process(target=racer, args=(Path(sys.argv[1]), barrier, found, n)) for n in range(4)]
    for each in racers: each.start()
    answers = [found.get() for _ in range(4 * int(sys.argv[2]))]
    for each in racers: each.join()
    print(json.dumps({each: answers.count(each) for each in set(answers)}))
"""


def test_of_runs_that_begin_at_once_one_has_the_lock(tmp_path):
    turns = 40
    command = [sys.executable, "-c", RACE, str(tmp_path / "a.zarr"), str(turns)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = json.loads(done.stdout)
    assert set(found) <= {"ran", "refused"}, found
    assert found["ran"] >= turns
    assert not [path for path in tmp_path.iterdir() if path.name != "a.zarr"]


def other(**changes):
    return json.dumps(me() | changes)


@pytest.fixture
def path(tmp_path):
    return lock_path(tmp_path / "a.zarr")


def refused(tmp_path):
    with pytest.raises(StoreError, match="another run is writing this store"), locked(tmp_path / "a.zarr"):
        pass
    return holder(tmp_path / "a.zarr")


def test_who_ended_has_no_lock(path, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    path.write_text(other(pid=ended.pid, born=0.0))
    ended.wait()
    assert holder(tmp_path / "a.zarr") is None
    with locked(tmp_path / "a.zarr"):
        assert holder(tmp_path / "a.zarr") == f"process {os.getpid()} on {me()['host']}"
    assert not list(tmp_path.iterdir())


def test_process_numbers_of_another_system_say_nothing(path, tmp_path):
    """A container that shares the host's name, or the same machine before it was started anew."""
    path.write_text(other(system="another boot pid:[1]", pid=2**22 + 1))
    assert refused(tmp_path) == f"process {2**22 + 1} on {me()['host']}"
    old = time.time() - 2 * file_lock.STALE
    os.utime(path, (old, old))
    with locked(tmp_path / "a.zarr"):
        pass


def test_a_container_holds_its_lock(path, tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from tsogrid.engine.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", script, str(tmp_path / "a.zarr")]
    if os.geteuid() or subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode:
        pytest.skip("process numbers of one's own need root")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout.readline() == "held\n"
        assert json.loads(path.read_text())["pid"] < 100  # a number that is another process here
        assert refused(tmp_path) is not None
        held.stdin.close()
    with locked(tmp_path / "a.zarr"):
        pass


def test_clocks_of_other_machines_do_not_count(path, tmp_path, monkeypatch):
    path.write_text(other(system="elsewhere"))
    monkeypatch.setattr(time, "time", lambda: 4e9)
    refused(tmp_path)


def test_a_torn_lock_counts_while_it_is_fresh(path, tmp_path):
    path.write_bytes(b"")
    assert refused(tmp_path) == "an unknown process"
    os.utime(path, (1e9, 1e9))
    with locked(tmp_path / "a.zarr"):
        pass


def test_who_lost_the_lock_stops(path, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    with locked(tmp_path / "a.zarr") as held:
        before = path.stat().st_mtime_ns
        _until(lambda: path.stat().st_mtime_ns != before)  # it is kept fresh
        held.check()
        path.write_text(other(token="another", host="elsewhere"))
        _until(lambda: held.lost)
        with pytest.raises(StoreError, match=r"another took the lock over \(process .* on elsewhere\)"):
            held.check()
    assert json.loads(path.read_text())["token"] == "another"  # it is not ours to remove


def _until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
