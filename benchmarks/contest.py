"""A contest: ways to the same numbers, which are compared before they are timed, in turns, by the CPU time of their thread.

Ratios of wall times on a shared machine would measure the neighbours; CPU times of runs that take turns are disturbed alike.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Times(NamedTuple):
    """Microseconds of thread CPU time for a frame: the median of all rounds, and the quartiles."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Runner:
    """One way: a call without arguments, and how many frames it measures.

    ``rtol`` and ``atol`` say how near its numbers, frame by frame, must be to tsogrid's for those frames; a definition that
    differs (a sampled Gaussian beside an integrated one) allows less. ``target`` is the ratio of times that is aimed at.
    """

    run: Callable[[], Any]
    frames: int
    rtol: float = 1e-9
    atol: float = 0.0
    target: float | None = None


@dataclass(frozen=True)
class Contest:
    """tsogrid and its peers on one case; ``variants`` are other ways of tsogrid's that are only timed."""

    name: str
    ours: Runner
    peers: Mapping[str, Runner]
    variants: Mapping[str, Runner] = field(default_factory=dict)

    def compare(self) -> None:
        """Raise AssertionError where a peer's numbers are not tsogrid's."""
        numbers = np.asarray(self.ours.run())
        for name, peer in self.peers.items():
            found = np.asarray(peer.run())
            np.testing.assert_allclose(
                found, numbers[: peer.frames], rtol=peer.rtol, atol=peer.atol, err_msg=f"{self.name}: {name}"
            )

    def times(self, rounds: int) -> dict[str, Times]:
        """Times of tsogrid, its variants and its peers, which take turns."""
        return interleaved({"tsogrid": self.ours, **self.variants, **self.peers}, rounds)


def interleaved(runs: Mapping[str, Runner], rounds: int) -> dict[str, Times]:
    """Time runs in turns; the first turn, in which caches fill, does not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(rounds + 1):
        # another one begins each time: who comes first finds pixels that the caches have forgotten
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            runner = runs[name]
            start = time.thread_time()
            runner.run()
            spent = time.thread_time() - start
            if turn > 0:
                times[name].append(spent / runner.frames * 1e6)
    return {name: Times(*(float(np.percentile(each, part)) for part in (50, 25, 75))) for name, each in times.items()}
