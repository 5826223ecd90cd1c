"""A run of many integrations through a real scheduler, real workers and a real store: what each process takes.

``python -m benchmarks.scale --integrations 1000000 --block 256`` writes segments of tiny frames (a star in noise, 20 × 20
pixels, with their times), starts `dask scheduler` and `dask worker` as processes of their own, runs the default chain
through them from a third, and samples CPU time and resident memory of each. ``--kernels none`` replaces the measurement of a
block by NaN: what is left is dask, the store and Python. ``--size 256`` makes frames as large as a subarray's: then the cost
of dask can be held against that of the work, at the block that the run chooses itself.

CPU times are of whole processes, user and system, from the first task to the last mark: neighbours on the machine count less
than in wall times. Dask's part is told besides: all of the scheduler and the client, and of a worker the thread that talks
to them and looks after it; blocks are measured and shards written in others. ``--workers 0 1`` also compares the sums with
and without dask. They differ too by what a worker loads with its first block and shard, and by what the machine does.
"""

import argparse
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale_frames import write_segments
from tsogrid.engine.dask_settings import settings_in_environment

ROOT = Path(__file__).parents[1]
BUDGET = 200e6  # bytes that client and scheduler may take
ANNULUS = {"method": "annulus", "inner": 12, "outer": 30}


def configuration(
    files: list[Path], store: Path, size: int, block: int | None, cluster: dict[str, Any], whole: bool = False
) -> dict[str, Any]:
    """The default chain on a star in the middle: predicted, fitted, circles, a clipped-median annulus.

    With `whole` the sky is what reads the whole frame: levels of the amplifiers' even and odd columns under that annulus,
    and a polynomial about the star.
    """
    middle = (size - 1) / 2
    sky: list[Any] = [{"method": "annulus", "inner": 6, "outer": 9} if size < 64 else ANNULUS]
    if whole:
        levels = {"method": "rowamp", "mask_radius": 20, "even_odd": True}
        sky = [[levels, ANNULUS], {"method": "colrow", "inner": 12, "outer": 30}]
    return {
        "input": {"files": [str(path) for path in files], "gain": 2.0, "read_noise": 5.0},
        "sources": [{"name": "star", "x": middle, "y": middle}],
        "center": {"search_box": 11, "fit_box": 11} if size < 64 else {},
        "apertures": [{"shape": "circle", "radius": [3, 4, 5] if size < 64 else "3:9:0.5"}],
        "sky": sky,
        "output": {"store": str(store), "block": block or "auto"},
        "cluster": cluster,
    }


def be_client(config: Path, kernels: str, notes: Path) -> None:
    """The process that a user starts: it runs the configuration and notes when it was where."""
    import distributed

    import tsogrid
    from tsogrid.engine import run as composition

    file = notes.open("a", buffering=1)
    told = {"submit": 0.0}

    def note(event: str, **fields: Any) -> None:
        times = {"time": time.time(), "cpu": time.process_time(), "submit": told["submit"]}
        file.write(json.dumps({"event": event, **times, "rss": resident(os.getpid()), **fields}) + "\n")

    class Told(composition.Silent):
        def begin(self, total: int, done: int) -> None:
            note("begin")

        def say(self, message: str) -> None:
            note("say", message=message)

    submit = distributed.Client.submit

    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.thread_time()
        try:
            return submit(*arguments, **options)
        finally:
            told["submit"] += time.thread_time() - begin

    distributed.Client.submit = timed
    plan, execute = composition.make_plan, composition.execute
    if kernels == "none":
        from benchmarks.no_kernels import without_kernels

        composition.make_plan = lambda *arguments, **options: without_kernels(plan(*arguments, **options))

    def noted(*arguments: Any) -> Any:
        note("execute")
        found = execute(*arguments)
        note("executed")
        return found

    composition.execute = noted
    note("imported")
    prepared = composition.prepared

    def opened(*arguments: Any) -> Any:
        found = prepared(*arguments)
        note("planned")
        return found

    composition.prepared = opened
    tsogrid.run(tsogrid.Config.from_mapping(json.loads(config.read_text())), mode="overwrite", progress=Told())
    note("end")


def cpu_seconds(folder: Path) -> float:
    """CPU time, user and system, of a process or a thread of /proc."""
    stat = (folder / "stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> tuple[int, int]:
    """Resident memory of a process in bytes: all of it, and what no file backs (code of libraries is left out)."""
    fields = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "RssAnon"):
            fields[key] = int(value.split()[0]) * 1024
    return fields["VmRSS"], fields["RssAnon"]


@dataclass
class Watched:
    """A process, and what was seen of it: (time, CPU seconds, of its first thread, resident, of this not from files)."""

    name: str
    process: subprocess.Popen[bytes]
    samples: list[tuple[float, float, float, int, int]] = field(default_factory=list)

    def look(self) -> None:
        pid = self.process.pid
        with suppress(OSError, KeyError, IndexError):
            whole, first = cpu_seconds(Path(f"/proc/{pid}")), cpu_seconds(Path(f"/proc/{pid}/task/{pid}"))
            self.samples.append((time.time(), whole, first, *resident(pid)))

    def between(self, begin: float, end: float) -> np.ndarray:
        """Samples of a stretch of time, (n, 5)."""
        samples = np.array(self.samples)
        return samples[(samples[:, 0] >= begin - 0.3) & (samples[:, 0] <= end + 0.3)]

    def taken(self, begin: float, end: float) -> tuple[float, float]:
        """CPU seconds in a stretch of time: of all threads, and of the first one."""
        times, whole, first = np.array(self.samples)[:, :3].T
        return tuple(float(np.diff(np.interp([begin, end], times, each))[0]) for each in (whole, first))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measured(
    folder: Path,
    files: list[Path],
    size: int,
    block: int | None = None,
    workers: int = 2,
    kernels: str = "real",
    whole: bool = False,
    pause: float = 0.2,
) -> dict[str, Any]:
    """Run an exposure through a scheduler and workers of its own.

    Parameters
    ----------
    folder : Path
        For the store and the notes.
    files : list of Path
        From `write_segments`.
    size : int
        Rows and columns of a frame.
    block : int or None
        Frames in a block; None: as the run chooses.
    workers : int
        Processes of one thread; 0: the client measures in its own process, without dask.
    kernels : {"real", "none"}
        Whether blocks are measured.
    whole : bool
        Whether the sky is what reads the whole frame.
    pause : float
        Seconds between two looks.

    Returns
    -------
    dict
        Seconds of CPU, bytes, counts.
    """
    address = f"tcp://127.0.0.1:{free_port()}"
    cluster = {"kind": "address", "address": address, "workers": workers} if workers else {"kind": "none"}
    store, config, notes = folder / "scale.zarr", folder / "scale.json", folder / "notes.jsonl"
    config.write_text(json.dumps(configuration(files, store, size, block, cluster, whole)))
    notes.unlink(missing_ok=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment |= settings_in_environment()  # as in clusters that a run starts itself
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment, "cwd": str(folder)}
    seen: list[Watched] = []
    over = threading.Event()

    def start(name: str, *words: str, **options: Any) -> Watched:
        seen.append(Watched(name, subprocess.Popen([sys.executable, "-m", *words], **{**quiet, **options})))
        return seen[-1]

    def watch() -> None:
        while not over.wait(pause):
            for each in list(seen):
                each.look()

    with ExitStack() as stack:
        stack.callback(lambda: [each.process.wait(20) for each in seen])
        stack.callback(lambda: [each.process.kill() for each in seen])  # at the end nothing is left to be put in order
        stack.callback(over.set)
        threading.Thread(target=watch, daemon=True).start()
        if workers:
            port = address.rpartition(":")[2]
            start("scheduler", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
            once = ["--no-nanny", "--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
            for number in range(workers):
                start(f"worker {number}", "distributed.cli.dask_worker", address, *once, "--local-directory", str(folder))
        words = ["benchmarks.scale", "--client", str(config), "--kernels", kernels, "--notes", str(notes)]
        client = start("client", *words, stderr=subprocess.PIPE)
        _, complaint = client.process.communicate()
        if client.process.returncode:
            raise RuntimeError(complaint.decode()[-2000:])
        for each in seen:
            each.look()
    return summary(seen, notes, store)


def summary(seen: list[Watched], notes: Path, store: Path) -> dict[str, Any]:
    """Put what was seen of the processes, what the client noted and what lies in the store together."""
    import zarr

    from tsogrid.engine.store import existing

    told = [json.loads(line) for line in notes.read_text().splitlines()]
    at = {line["event"]: line for line in told}
    begin, end = at["execute"]["time"], at["executed"]["time"]
    found = existing(store)
    assert found is not None
    blocks = np.asarray(zarr.open_array(store / "progress" / "blocks", mode="r")[:])
    processes = {}
    for each in seen:
        during = each.between(begin, end)
        every = np.array(each.samples)
        tenth = max(1, len(during) // 10)
        whole, first = each.taken(begin, end)
        processes[each.name] = {
            "cpu_s": whole,
            "dask_cpu_s": first if each.name.startswith("worker") else whole if len(seen) > 1 else 0.0,
            "at_start_mb": during[0, 3] / 1e6,
            "peak_mb": every[:, 3].max() / 1e6,
            "peak_private_mb": every[:, 4].max() / 1e6,
            "early_mb": float(np.median(during[tenth : 3 * tenth + 1, 3])) / 1e6,
            "late_mb": float(np.median(during[-2 * tenth :, 3])) / 1e6,
        }
    work = float(np.nansum(blocks[:, :, 0]))
    total = sum(each["cpu_s"] for each in processes.values())
    return {
        "frames": found.n_frames,
        "block": found.block,
        "blocks": found.n_blocks,
        "shards": found.n_shards,
        "files": sum(path.is_file() for path in store.rglob("*")),
        "store_mb": sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) / 1e6,
        "wall_s": end - begin,
        "plan_cpu_s": at["planned"]["cpu"] - at["imported"]["cpu"],
        "submit_cpu_s": at["executed"]["submit"] - at["execute"]["submit"],
        "import_mb": at["imported"]["rss"][0] / 1e6,
        "import_private_mb": at["imported"]["rss"][1] / 1e6,
        "blocks_cpu_s": work,
        "cpu_s": total,
        "dask_cpu_s": sum(each["dask_cpu_s"] for each in processes.values()),
        "other_ms_a_block": (total - work) / found.n_blocks * 1e3,
        "processes": processes,
    }


def share_of_dask(found: dict[str, Any]) -> float:
    """CPU of dask beside that of the blocks and shards."""
    return float(found["dask_cpu_s"] / (found["cpu_s"] - found["dask_cpu_s"]))


def in_lines(found: dict[str, Any]) -> list[str]:
    """Lay a measurement out for the eye."""
    beside = 100 * (found["cpu_s"] / max(found["blocks_cpu_s"], 1e-9) - 1)
    lines = [
        f"{found['frames']} frames, {found['blocks']} blocks of {found['block']}, {found['shards']} shards, "
        f"{found['files']} files, {found['store_mb']:.0f} MB, {found['wall_s']:.0f} s",
        f"opened and planned in {found['plan_cpu_s']:.2f} s, submitted in {found['submit_cpu_s']:.2f} s of CPU",
        f"CPU {found['cpu_s']:.1f} s, of it in blocks {found['blocks_cpu_s']:.1f} s: "
        f"{found['other_ms_a_block']:.1f} ms a block beside ({beside:.1f} %)",
        f"dask takes {found['dask_cpu_s']:.2f} s of CPU, {100 * share_of_dask(found):.1f} % of what all else takes",
        f"client when imported {found['import_mb']:.0f} MB ({found['import_private_mb']:.0f} private)",
    ]
    for name, each in found["processes"].items():
        start, early, late, peak, private = (
            f"{each[f'{key}_mb']:4.0f}" for key in ("at_start", "early", "late", "peak", "peak_private")
        )
        lines.append(
            f"  {name:10s} CPU {each['cpu_s']:7.2f} s (dask's {each['dask_cpu_s']:.2f}), MB: {start} at the start, "
            f"{early} early, {late} late, {peak} at most ({private} private)"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrations", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--size", type=int, default=20, help="rows and columns of a frame")
    parser.add_argument("--block", type=int, default=None, help="frames in a block [default: as the run chooses]")
    parser.add_argument("--workers", type=int, nargs="+", default=[2], help="0: without dask")
    parser.add_argument("--kernels", choices=["real", "none"], default="real")
    parser.add_argument("--whole", action="store_true", help="a sky that reads the whole frame")
    parser.add_argument("--sparse", action="store_true", help="frames that take no room on the disk, nearly all of them 0")
    parser.add_argument("--folder", type=Path, default=None, help="where frames and store lie [default: a temporary one]")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--client", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--notes", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client is not None:
        be_client(given.client, given.kernels, given.notes)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        for integrations in given.integrations:
            frames = folder / f"{integrations}x{given.size}{'s' * given.sparse}"
            files = write_segments(frames, integrations, given.size, sparse=given.sparse)
            without = math.nan
            for workers in given.workers:
                found = measured(folder, files, given.size, given.block, workers, given.kernels, given.whole)
                without = found["cpu_s"] if not workers else without
                more = 100 * (found["cpu_s"] / without - 1)  # NaN where none was asked for
                against = f", {more:+.1f} % against none" if workers and math.isfinite(more) else ""
                lines = [f"{workers} workers{against}:", *in_lines(found)]
                print(json.dumps(found) if given.json else "\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
