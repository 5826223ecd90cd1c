"""Registering frames by their stars against astroalign: the same places first, then the time of one core, in turns.

``python benchmarks/bench_registration.py`` prints milliseconds per frame; the classes are run by asv. astroalign is no
dependency: without it (``pip install astroalign``) the times of this project stand alone.
"""

import time
import warnings

import numpy as np

from tsogrid.kernels.pattern_match import Pattern
from tsogrid.kernels.registration import positions_in_frames, register
from tsogrid.kernels.star_finder import star_field
from tsogrid.simulate.wandering import WanderingFrames, simulate_wandering


def night(stars: int, size: int, frames: int = 6) -> WanderingFrames:
    """Frames that jump by up to a quarter of their side, with hot pixels."""
    return simulate_wandering(frames, (size, size), stars=stars, hot_pixels=size, jump=0.25, seed=5)


def patterns(data: np.ndarray) -> list[Pattern]:
    """The stars of each frame."""
    found = star_field(data)
    return [Pattern(*(each[frame, : found.number[frame]] for each in found[:4])) for frame in range(len(data))]


class Registration:
    """Finding the stars of a frame, and matching them with those of another; six frames."""

    params = ([20, 500, 2000], [1024, 2048])
    param_names = ("stars", "side")

    def setup(self, stars: int, size: int) -> None:
        self.data = night(stars, size).data
        self.found = patterns(self.data)
        self.time_register(stars, size)

    def time_find(self, stars: int, size: int) -> None:
        star_field(self.data)

    def time_register(self, stars: int, size: int) -> None:
        register(self.found, self.found[0], self.data.shape[1:])


def _milliseconds(action, number: int, repeat: int = 5) -> float:  # type: ignore[no-untyped-def]
    times = []
    for _ in range(repeat):
        begin = time.thread_time()
        action()
        times.append(1e3 * (time.thread_time() - begin) / number)
    return float(np.median(times))


def _peer(truth: WanderingFrames) -> str:
    try:
        import astroalign
    except ImportError:
        return "astroalign is not installed"
    worst, seconds, lost = 0.0, 0.0, 0
    data = truth.data.astype(np.float64)
    inside = (truth.x[0] > 0) & (truth.x[0] < data.shape[2]) & (truth.y[0] > 0) & (truth.y[0] < data.shape[1])
    for frame in range(1, len(data)):
        begin = time.thread_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                transform, _ = astroalign.find_transform(data[0], data[frame])
        except Exception:
            lost += 1
            continue
        finally:
            seconds += time.thread_time() - begin
        there = transform(np.stack([truth.x[0, inside], truth.y[0, inside]], axis=-1))
        away = np.hypot(there[:, 0] - truth.x[frame, inside], there[:, 1] - truth.y[frame, inside])
        worst = max(worst, float(np.median(away)))
    return f"astroalign {1e3 * seconds / (len(data) - 1):8.1f} ms, {lost} lost, off by {worst:.3f} pixels at most"


def main() -> None:
    for stars, size in ((20, 1024), (500, 1024), (2000, 1024), (500, 2048)):
        truth = night(stars, size)
        shape = truth.data.shape[1:]
        found = patterns(truth.data)
        registered = register(found, found[0], shape)
        n = len(found)
        x, y = positions_in_frames(registered, np.repeat(truth.x[:1], n, 0), np.repeat(truth.y[:1], n, 0), shape)
        inside = (truth.x[0] > 0) & (truth.x[0] < size) & (truth.y[0] > 0) & (truth.y[0] < size)
        worst = np.median(np.hypot(x - truth.x, y - truth.y)[:, inside], axis=1).max()
        find = _milliseconds(lambda truth=truth: star_field(truth.data), n)
        match = _milliseconds(lambda found=found, shape=shape: register(found, found[0], shape), n)
        print(f"{size:5d}² {stars:5d} stars: find {find:6.1f} ms, match {match:5.2f} ms, off by {worst:.3f} pixels at most")
        print(f"{'':20}{_peer(truth)}")


if __name__ == "__main__":
    main()
