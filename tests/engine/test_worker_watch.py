"""The watch over a cluster, with a scheduler that is played: workers that are silent, come and go, and end nothing."""

import re
import time
from types import SimpleNamespace

import pytest

from tsogrid.engine import worker_watch
from tsogrid.engine.worker_watch import watched
from tsogrid.errors import RunError

LIMIT = 60.0  # seconds for anything that is waited for
EVERY = 2.0  # seconds between two looks, by a clock that is played as well


class Played:
    """A client whose scheduler tells what `workers` gives: for each address whether it speaks."""

    def __init__(self, workers):
        self.workers, self.looks, self.cancelled = workers, 0, False
        self.scheduler = SimpleNamespace(address="tcp://played:8786")

    def scheduler_info(self, n_workers):
        self.looks += 1
        told = self.workers(self.looks).items()
        return {"workers": {name: {"last_seen": self.looks if speaks else 0, "status": "running"} for name, speaks in told}}

    def get_events(self, topic):
        return ()

    def cancel(self, futures):
        self.cancelled = True


def course(monkeypatch, workers, until, timeout=60.0):
    """Watch until something holds of the watch and of what was said; both."""
    said, client = [], Played(workers)
    monkeypatch.setattr(worker_watch, "PAUSE", 0.002)
    monkeypatch.setattr(worker_watch, "time", SimpleNamespace(monotonic=lambda: EVERY * client.looks))
    with watched(client, timeout, said.append) as watch:
        deadline = time.monotonic() + LIMIT
        while not until(watch, said) and time.monotonic() < deadline:
            time.sleep(0.005)
    assert client.cancelled == (watch.reason is not None)
    return watch, "\n".join(said)


def called_off(watch, said):
    return watch.reason is not None


def test_a_worker_that_is_silent_does_not_count(monkeypatch):
    watch, said = course(monkeypatch, lambda look: {"tcp://a": False}, called_off)
    assert "worker tcp://a is not heard of" in said
    assert "none of 1 workers is heard of for 32 s; the run stops after 60 s without any" in said
    with pytest.raises(RunError, match=r"of 1 that are there none is heard of\. They hang"):
        watch.require()


def test_one_that_speaks_is_enough(monkeypatch):
    workers = {"tcp://a": False, "tcp://b": True}
    watch, said = course(monkeypatch, lambda look: workers, lambda watch, said: len(said) > 1)
    assert watch.reason is None
    lines = said.splitlines()
    assert lines[0].startswith("worker tcp://a is not heard of")
    assert re.match(r"nothing has ended for 5 min, though 1 workers are there", lines[1])


def test_workers_that_come_and_go_for_nothing(monkeypatch):
    watch, _ = course(monkeypatch, lambda look: {f"tcp://{look // 3}": True}, called_off)
    assert re.match(r"12 workers came and left again, and nothing was measured.*cluster\.walltime", watch.reason)


def test_workers_that_come_and_go_and_measure(monkeypatch):
    seen = []

    def workers(look):
        for watch in seen[:1]:
            watch.ended += 1
        return {f"tcp://{look // 3}": True}

    def until(watch, said):
        seen.append(watch)
        return watch.ended > 100

    watch, said = course(monkeypatch, workers, until)
    assert watch.reason is None
    assert not said
