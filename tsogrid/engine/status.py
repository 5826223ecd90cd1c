"""How far a run is: the little that it notes beside its marks, and what anybody can tell from the store alone.

The one process that holds the store's lock keeps ``progress/run.json``: when it began, on which cluster, what failed. With
the marks and the times of the blocks this is enough to say how far a run is, how fast, and what is wrong, without asking
the run.
"""

import json
import math
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tsogrid
from tsogrid.config import Storage
from tsogrid.engine.lock import holder
from tsogrid.engine.marks import SOME_ASIDE
from tsogrid.engine.place import Place, place_of
from tsogrid.engine.store import Store, existing, required
from tsogrid.errors import StoreError

NOTES = "progress/run.json"
MOST_FAILURES = 1000  # that are noted one by one


@dataclass
class Course:
    """What a run notes of itself in its store.

    Parameters
    ----------
    store : Store
        Where it writes.
    content : dict
        What ``progress/run.json`` holds.
    """

    store: Store
    content: dict[str, Any] = field(default_factory=dict)

    def failed(self, index: int, shard: int, error: BaseException) -> None:
        """Note a shard that could not be measured."""
        start, stop = self.store.bounds(shard)
        noted = self.content.setdefault("failed", [])
        if len(noted) < MOST_FAILURES:
            text = f"{type(error).__name__}: {error}"
            noted.append({"pass": index, "shard": shard, "frames": [start, stop - 1], "error": text})
            self.save()

    def set_aside(self, lines: Sequence[Any]) -> None:
        """Note the frames that were set aside, in place of those that were noted before."""
        if lines or self.content.get("set_aside"):
            self.content["set_aside"] = [asdict(line) for line in lines[:MOST_FAILURES]]
            self.save()

    def save(self) -> None:
        """Write the notes whole; that they cannot be written stops no run."""
        with suppress(*self.store.place.failures):
            self.store.place.write(NOTES, json.dumps(self.content, indent=1).encode())


@contextmanager
def noted(store: Store, cluster: str) -> Iterator[Course]:
    """Note a run's course in its store while it lasts.

    Parameters
    ----------
    store : Store
        A laid-out store, whose lock the caller holds.
    cluster : str
        The kind of cluster.

    Returns
    -------
    context manager
        Of a Course, which is told of failures.
    """
    content = {"began": time.time(), "host": socket.gethostname(), "process": os.getpid(), "cluster": cluster}
    content |= {"version": tsogrid.__version__, "ended": None, "error": None, "failed": []}
    # What was set aside before stays noted until this run has tried it again.
    course = Course(store, content | {"set_aside": _course(store).get("set_aside", [])})
    course.save()
    try:
        yield course
    except Exception as error:
        course.content["error"] = f"{type(error).__name__}: {error}"
        raise
    finally:
        course.content["ended"] = time.time()
        course.save()


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Parameters
    ----------
    store : str
        Its path.
    state : str
        complete, running, failed (it ended, and said why) or stopped (it ended otherwise, or was killed).
    holder : str or None
        The process that runs.
    cluster : str or None
        The kind of cluster of the last run.
    frames, passes : int
        Length of the series, and how often it is gone through.
    measured, total : int
        Frames times passes that are on disk, and in all.
    shards, shards_done : int
        Of all passes.
    frames_per_second : float or None
        Of the last run, frames times passes.
    seconds_left : float or None
        At this rate.
    seconds_since : float or None
        Since the last block that is on disk was measured.
    block_cpu_seconds, block_seconds : float or None
        Median of all blocks.
    slowest : dict or None
        The block that took longest: ``pass``, ``frames``, ``seconds``.
    began : float or None
        When the last run did, in seconds since 1970.
    error : str or None
        What ended the last run; None also where a signal did.
    failed : list of dict
        Of the last run: ``pass``, ``shard``, ``frames`` (first and last), ``error``.
    set_aside : list of dict
        Files that could not be read: ``file``, ``first`` and ``last`` frame, ``reason``, ``killed`` (whether workers died).
    """

    store: str
    state: str
    holder: str | None
    cluster: str | None
    frames: int
    passes: int
    measured: int
    total: int
    shards: int
    shards_done: int
    frames_per_second: float | None
    seconds_left: float | None
    seconds_since: float | None
    block_cpu_seconds: float | None
    block_seconds: float | None
    slowest: dict[str, Any] | None
    began: float | None
    error: str | None
    failed: list[dict[str, Any]]
    set_aside: list[dict[str, Any]]


def status(path: str | Path, storage: Storage | None = None) -> Status:
    """Tell from a store how far its run is.

    Parameters
    ----------
    path : path-like
        A store of `tsogrid.run`, finished or not.
    storage : Storage, optional
        How a bucket is reached.

    Returns
    -------
    Status

    Raises
    ------
    StoreError
        There is no store, or its marks cannot be read.
    """
    store = required(place_of(path, storage))
    try:
        marks = np.asarray(store.marks()[:])
    except store.place.unreachable as error:
        raise StoreError(f"{path}: its marks were not given by the server: {error}. Ask again.") from None
    except Exception as error:  # the codecs raise errors of many types
        raise StoreError(f"{path}: its marks cannot be read ({error}). `tsogrid run` finds and mends that.") from None
    done, aside = marks != 0, marks == SOME_ASIDE
    course = _course(store)
    lengths = np.array([stop - start for start, stop in map(store.bounds, range(store.n_shards))])
    measured, total = int((done * lengths).sum()), store.passes * store.n_frames
    times = _times(store, done)
    rate, since = _rate(store, times, course.get("began"))
    running = holder(store.place)
    return Status(
        store=str(path),
        state=_state(measured == total and not aside.any(), running, course),
        holder=running,
        cluster=course.get("cluster"),
        frames=store.n_frames,
        passes=store.passes,
        measured=measured,
        total=total,
        shards=done.size,
        shards_done=int(done.sum()),
        frames_per_second=rate,
        seconds_left=(total - measured) / rate if rate else None,
        seconds_since=since,
        block_cpu_seconds=_median(times[:, :, 0]),
        block_seconds=_median(times[:, :, 1]),
        slowest=_slowest(store, times),
        began=course.get("began"),
        error=course.get("error"),
        failed=[item for item in course.get("failed", []) if not done[item["pass"], item["shard"]]],
        set_aside=[item for item in course.get("set_aside", []) if aside[:, item["first"] // store.shard].any()],
    )


def killers(place: Place) -> list[str]:
    """Name the files that the last run has set aside since they killed who read them; none where a place does not tell."""
    aside: list[dict[str, Any]] = []
    with suppress(StoreError, *place.failures):  # the run itself words what is wrong there
        store = existing(place)
        aside = [] if store is None else _course(store).get("set_aside", [])
    return list(dict.fromkeys(str(item["file"]) for item in aside if item.get("killed")))


def _course(store: Store) -> dict[str, Any]:
    with suppress(ValueError, *store.place.failures):
        content = json.loads(store.place.read(NOTES))
        if isinstance(content, dict):
            return content
    return {}


def _state(whole: bool, running: str | None, course: dict[str, Any]) -> str:
    if whole:
        return "complete"
    if running is not None:
        return "running"
    return "failed" if course.get("error") else "stopped"


def _times(store: Store, done: np.ndarray) -> np.ndarray:
    """CPU time, elapsed time and end of every block, NaN where its shard is not marked; (passes, blocks, 3)."""
    try:
        times = np.array(store.marks("blocks")[:])
    except Exception:  # an older store has none; the codecs raise errors of many types
        return np.full((store.passes, store.n_blocks, 3), math.nan)
    shard = np.arange(store.n_blocks) * store.block // store.shard
    times[~done[:, shard]] = math.nan
    return times


def _rate(store: Store, times: np.ndarray, began: float | None) -> tuple[float | None, float | None]:
    """Frames a second of the blocks that the last run measured, and the seconds since its last one."""
    elapsed, ended = times[:, :, 1], times[:, :, 2]
    mine = ended >= (began or 0.0)
    if not mine.any():
        return None, None
    starts = np.arange(store.n_blocks) * store.block
    lengths = np.minimum(starts + store.block, store.n_frames) - starts
    frames = (mine * lengths).sum()
    span = ended[mine].max() - (ended - elapsed)[mine].min()
    return float(frames / max(span, 1e-3)), max(0.0, time.time() - float(ended[mine].max()))


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def _slowest(store: Store, times: np.ndarray) -> dict[str, Any] | None:
    elapsed = times[:, :, 1]
    if not np.isfinite(elapsed).any():
        return None
    index, block = np.unravel_index(np.nanargmax(elapsed), elapsed.shape)
    start = int(block) * store.block
    last = min(start + store.block, store.n_frames) - 1
    return {"pass": int(index), "frames": [start, last], "seconds": float(elapsed[index, block])}
