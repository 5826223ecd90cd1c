"""Real processes for tests of death: a night to measure, its client, a scheduler and workers, and who they are.

Nothing is killed but what was started here.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import yaml

import tsogrid

SOURCES = str(Path(tsogrid.__file__).parents[1])
LIMIT = 400.0  # seconds for anything that is waited for: machines may be loaded


def environment(**more):
    """The environment of every process: this copy of tsogrid, and no news of other packages."""
    paths = [str(path) for path in more.pop("paths", ())]
    return os.environ | {"PYTHONPATH": os.pathsep.join([*paths, SOURCES]), "PYTHONWARNINGS": "ignore"} | more


class Client:
    """A run of the command line, in a session of its own; what it prints goes into a file."""

    def __init__(self, config, store, *options, env=None, prefix=()):
        self.store = Path(store)
        self.log = self.store.with_suffix(".out")
        name = self.store.with_suffix(".yaml")
        name.write_text(yaml.safe_dump(config))
        words = [*prefix, sys.executable, "-m", "tsogrid.cli.main", "run", str(name), "--store", str(store), *options]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                words, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env=env or environment()
            )

    @property
    def marks(self):
        """Shards that are marked."""
        return len(list((self.store / "progress" / "done").glob("c.*")))

    @property
    def said(self):
        return self.log.read_text()

    @property
    def workers(self):
        """The worker processes of a local cluster."""
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.process.pid).children(recursive=True)
            return [each for each in below if is_worker(each)]
        return []

    def until(self, marks):
        """Wait until so many shards are marked, or the run is over; whether it goes on."""
        deadline = time.monotonic() + LIMIT
        while self.marks < marks and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.process.poll() is None

    def end(self, limit=LIMIT):
        """Wait for the end; the exit status, or None where it hangs and was killed."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def is_worker(process):
    """Whether a process is a spawned worker, and not the tracker of resources beside it."""
    with suppress(psutil.Error):
        return "spawn_main" in " ".join(process.cmdline())
    return False


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Cluster:
    """A scheduler and its workers, each a process of ``dask``, with a nanny each."""

    def __init__(self, folder, count=2, options=(), env=None, prefixes=(), host="127.0.0.1"):
        self.folder, self.options, self.env, self.host = Path(folder), options, env or environment(), host
        self.prefixes = prefixes or ((),)
        self.address = f"tcp://{host}:{free_port()}"
        self.workers, self.scheduler = [], None
        self.begin()
        for _ in range(count):
            self.add()

    def begin(self):
        """Start the scheduler, again at the same address."""
        words = ["scheduler", "--host", self.host, "--port", self.address.rpartition(":")[2], "--no-dashboard"]
        self.scheduler = self._start(*words, name="scheduler", prefix=self.prefixes[0])

    def add(self):
        """Start a worker."""
        words = ["worker", self.address, "--nthreads", "1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        local = ["--local-directory", str(self.folder)]
        self.workers.append(
            self._start(*words, *local, *self.options, name=f"worker-{len(self.workers)}", prefix=self.prefixes[-1])
        )

    def _start(self, program, *words, name, prefix):
        with (self.folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(
                [*prefix, sys.executable, "-m", "dask", program, *words],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.folder,
                start_new_session=True,
            )

    @property
    def nannies(self):
        return [each for each in self.workers if each.poll() is None]

    @property
    def processes(self):
        """The workers themselves, below their nannies."""
        found = []
        for nanny in self.nannies:
            with suppress(psutil.NoSuchProcess):
                found += [each for each in psutil.Process(nanny.pid).children(recursive=True) if is_worker(each)]
        return found

    def stop(self):
        for each in [*self.workers, self.scheduler]:
            with suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()


@contextmanager
def cluster_of(folder, **options):
    cluster = Cluster(folder, **options)
    try:
        yield cluster
    finally:
        cluster.stop()
