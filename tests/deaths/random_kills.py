"""Random kills: a run is hurt at a moment drawn at random, goes on, and must end in the bytes of an undisturbed one.

``python -m tests.deaths.random_kills --rounds 50 --seed 1 --cluster local`` draws a victim and a moment for every round: a
worker, all of them, the nanny (of ``local`` it lives in the client), the scheduler, the client, by SIGKILL, SIGTERM,
SIGINT or SIGSTOP, and often a second victim soon after, also in the run that goes on. What a round needs again (a
scheduler, a worker, the same command) is started again. Shards that were marked when it was hurt must not be measured again.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import zarr

from tests.deaths.processes import Client, cluster_of, environment
from tsogrid.simulate import simulate_exposure

MOST_COMMANDS = 6  # that a round may take to end
PAUSES = (2.0, 8.0)  # seconds for which somebody stands still
TWICE = 0.4  # of the rounds have a second victim,
SOON = (0.0, 6.0)  # so many seconds after the first


def configuration(folder, frames):
    """A run of a few seconds and up to 48 shards."""
    made = simulate_exposure(folder, name="night", integrations=frames, segments=4, shape=(64, 64), seed=7)
    return {
        "input": {"files": [str(Path(file).resolve()) for file in made.files]},
        "output": {"block": 2},
        "center": {"search_box": 15, "fit_box": 11},
        "apertures": [{"radius": "2:25:0.05"}],
        "sky": [{"method": "annulus", "inner": inner, "outer": 31} for inner in range(20, 28)],
    }


def differences(first, second):
    """Files of two stores that are not the same, beside what progress/ says of times."""
    names = [
        {path.relative_to(root) for path in root.rglob("*") if path.is_file() and "progress" not in path.parts}
        for root in (first, second)
    ]
    both = names[0] & names[1]
    return sorted(map(str, names[0] ^ names[1])) + [
        str(name) for name in sorted(both) if (first / name).read_bytes() != (second / name).read_bytes()
    ]


def measured_at(store):
    """When the blocks of marked shards were measured, NaN elsewhere, (passes, blocks); None before there is a store."""
    try:
        done = zarr.open_array(store / "progress" / "done", mode="r")[:]
        ended = zarr.open_array(store / "progress" / "blocks", mode="r")[:][:, :, 2]
    except (OSError, KeyError):
        return None
    length = -(-ended.shape[1] // done.shape[1])
    ended[done[:, np.arange(ended.shape[1]) // length] == 0] = np.nan
    return ended


@dataclass
class Told:
    """What became of a round."""

    victim: str
    moment: float
    seconds: float
    commands: int
    marked: int
    again: int
    wrong: list


def _kill(process, number=signal.SIGKILL):
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        process.send_signal(number)


def _of(processes, chance):
    return [chance.choice(processes)] if processes else []


def _paused(processes, seconds):
    for each in processes:
        _kill(each, signal.SIGSTOP)
    time.sleep(seconds)
    for each in processes:
        _kill(each, signal.SIGCONT)


class Rounds:
    """Rounds of one kind of cluster."""

    def __init__(self, folder, kind, frames, seed, span=None):
        self.folder, self.kind, self.span = Path(folder), kind, span
        self.config = configuration(self.folder / "frames", frames)
        self.chance = random.Random(seed)
        self.whole = self.folder / "whole.zarr"
        self.stack = ExitStack()
        self.cluster = None

    def __enter__(self):
        client = Client(self.config, self.whole, "--cluster", "none", env=environment())
        assert client.end() == 0, client.said
        if self.kind == "address":
            self.cluster = self.stack.enter_context(cluster_of(self.folder))
        if self.span is None:
            self.span = self._calm()
        return self

    def _calm(self):
        """Let a run be, and give the seconds that it takes: within these the moments are drawn."""
        began = time.monotonic()
        client = self._client(self.folder / "calm.zarr")
        assert client.end() == 0, client.said
        assert not differences(self.whole, self.folder / "calm.zarr")
        return time.monotonic() - began

    def __exit__(self, *error):
        self.stack.close()

    def _client(self, store):
        where = ["--workers", "2", "--cluster", "local"] if self.cluster is None else ["--cluster", self.cluster.address]
        return Client(self.config, store, *where, env=environment())

    def victims(self):
        """Name those that this kind of cluster has."""
        of_all = ["worker", "all workers", "worker, SIGTERM", "still", "all still", "client still"]
        of_all += ["client", "client, SIGTERM", "client, SIGINT"]
        if self.cluster is None:
            return of_all
        return [*of_all, "nanny", "nanny, SIGTERM", "nanny still", "all nannies", "scheduler", "scheduler still"]

    def _workers(self, client):
        return client.workers if self.cluster is None else self.cluster.processes

    def hurt(self, victim, client):
        """Do it."""
        workers = self._workers(client)
        nannies = [] if self.cluster is None else self.cluster.nannies
        scheduler = [] if self.cluster is None else [self.cluster.scheduler]
        of_name = {
            "worker": _of(workers, self.chance),
            "all workers": workers,
            "still": _of(workers, self.chance),
            "all still": workers,
            "client": [client.process],
            "client still": [client.process],
            "nanny": _of(nannies, self.chance),
            "nanny still": _of(nannies, self.chance),
            "all nannies": nannies,
            "scheduler": scheduler,
            "scheduler still": scheduler,
        }
        name, _, number = victim.partition(", ")
        if name.endswith("still"):
            _paused(of_name[name], self.chance.uniform(*PAUSES))
        for each in () if name.endswith("still") else of_name[name]:
            _kill(each, signal.Signals[number or "SIGKILL"])

    def mend(self):
        """Start again what a scheduler of somebody's has lost, as its owner would."""
        if self.cluster is None:
            return
        if self.cluster.scheduler.poll() is not None:
            self.cluster.begin()
        time.sleep(1.0)
        while len(self.cluster.nannies) < 2:
            self.cluster.add()

    def round(self, number, victim=None):
        """One round."""
        store = self.folder / f"round-{number}.zarr"
        victims = [victim or self.chance.choice(self.victims())]
        if victim is None and self.chance.random() < TWICE:
            victims.append(self.chance.choice(self.victims()))
        moment, soon = self.chance.uniform(0.0, self.span), self.chance.uniform(*SOON)
        began = time.monotonic()
        client, commands = self._client(store), 1
        time.sleep(moment)
        before = measured_at(store)
        self.hurt(victims[0], client)
        for second in victims[1:]:
            time.sleep(soon)
            if client.process.poll() is not None:
                self.mend()
                client, commands = self._client(store), commands + 1
                time.sleep(soon)  # the second victim is of the run that goes on
            self.hurt(second, client)
        self.mend()
        status = client.end()
        while status != 0 and commands < MOST_COMMANDS:
            self.mend()
            client, commands = self._client(store), commands + 1
            status = client.end()
        victim = " + ".join(victims)
        after = measured_at(store)
        marked = 0 if before is None else int(np.isfinite(before).sum())
        again = 0 if before is None else int((np.isfinite(before) & (before != after)).sum())
        wrong = differences(self.whole, store) if status == 0 else [f"exit status {status}", client.said[-2000:]]
        if not wrong:
            shutil.rmtree(store)
        return Told(victim, moment, time.monotonic() - began, commands, marked, again, wrong)


def main(arguments=None):
    """Run rounds and print a tally; the exit status is the number of rounds that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cluster", choices=("local", "address"), default="local")
    parser.add_argument("--frames", type=int, default=480)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args(arguments)
    tally, bad = Counter(), 0
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        rounds = stack.enter_context(Rounds(folder, given.cluster, given.frames, given.seed))
        print(f"undisturbed: {rounds.span:.1f} s", flush=True)
        for number in range(given.rounds):
            told = rounds.round(number)
            fine = not told.wrong and not told.again
            tally.update(told.victim.split(" + "))
            bad += not fine
            where = f"{number + 1:3d} {told.victim:32s} at {told.moment:5.1f} s, {told.marked:3d} blocks on disk"
            what = f"{told.again} of them again; {told.commands} commands, {told.seconds:5.1f} s"
            print(f"{where}, {what}: {'the same bytes' if fine else told.wrong[:5]}", flush=True)
    print(f"{given.rounds - bad} of {given.rounds} rounds ended in the same bytes: {dict(tally)}")
    return bad


if __name__ == "__main__":
    sys.exit(main())
