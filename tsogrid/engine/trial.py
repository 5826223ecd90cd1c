"""What a run will cost: a few of its frames are measured before it begins; then compiling is done, too."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from tsogrid.config import Config
from tsogrid.engine import cluster
from tsogrid.engine.block_size import BLOCK_BYTES, LONGEST_BLOCK, frames_in_memory
from tsogrid.engine.compiling import compile_kernels
from tsogrid.engine.plan import Plan
from tsogrid.engine.plan_size import bytes_held, bytes_read
from tsogrid.engine.store import Store
from tsogrid.errors import InputError

FIRST_TRIAL = 4  # frames that are measured for trial
TRIAL_SECONDS = 0.1  # of CPU that a longer trial takes at most
LONGER_TRIALS = 2  # the second where a first one of 256 frames, say, took much less than that
TRIAL_PART = 16  # of a long series is measured for trial at most
TRIAL_PLACES = 5  # in the series, where the first frames cannot be read
GUESS = 0.01  # seconds of CPU for a frame, where a trial cannot be made


@dataclass(frozen=True)
class Estimate:
    """What a run will cost, from measuring a few of its frames."""

    seconds_per_frame: float
    cpu_seconds: float
    bytes_per_frame: int
    block: int
    kind: str
    workers: int


def _nobody(said: str) -> None:
    pass


def tried(plan: Plan, say: Callable[[str], None] = _nobody) -> float:
    """Measure a few frames for trial: the CPU time of one in seconds; see `estimated`."""
    _refuse_empty(plan)
    compile_kernels(plan, say)
    count = min(FIRST_TRIAL, plan.n_frames)
    seconds, first = _tried(plan, count)
    # A call costs some milliseconds, whatever the number of frames: cheap frames are measured again, more at a time.
    room = frames_in_memory(bytes_held(plan), plan.halo)
    most = min(plan.n_frames - first, max(LONGEST_BLOCK, plan.n_frames // TRIAL_PART), room)
    for _ in range(LONGER_TRIALS):
        more = min(most, round(TRIAL_SECONDS / max(seconds, 1e-6)))
        if more <= 2 * count:
            break
        with suppress(InputError):  # of a file among them, which the run sets aside
            seconds = _seconds_per_frame(plan, first, first + more)
        count = more
    return seconds


def estimated(
    plan: Plan,
    config: Config,
    found: Store | None = None,
    say: Callable[[str], None] = _nobody,
    measure: Callable[..., float | None] = tried,
) -> Estimate:
    """Measure a few frames, so that compiling is done, broken input is found and costs are known before work begins.

    Parameters
    ----------
    plan : Plan
        What to measure.
    config : Config
        Its cluster and block size.
    found : Store, optional
        A store that goes on: its block size stays.
    say : callable
        Told of the wait while kernels are compiled.
    measure : callable
        Who measures: `tried`, here or elsewhere. It may give None where that cannot be done: what a frame costs is guessed.

    Returns
    -------
    Estimate

    Raises
    ------
    InputError
        No frame has a finite pixel, or none that was tried can be read.
    """
    measured = measure(plan, say)
    seconds = GUESS if measured is None else measured
    total = seconds * plan.n_frames
    kind = cluster.resolve_kind(config.cluster, total)
    workers = cluster.n_workers(config.cluster, kind) if kind != "none" else 1
    if found is not None:
        block = found.block
    elif config.output.block == "auto":
        cost = seconds / len(plan.passes)
        block = cluster.measured_block(plan.n_frames, cost, bytes_held(plan), workers, plan.halo)
    else:
        block = config.output.block
    return Estimate(seconds, total, bytes_read(plan), block, kind, workers)


def _tried(plan: Plan, count: int) -> tuple[float, int]:
    """Measure a few frames where they can be read: CPU time of one, and the number of the first."""
    refused: InputError | None = None
    for part in range(TRIAL_PLACES):
        first = part * (plan.n_frames - count) // (TRIAL_PLACES - 1)
        try:
            return _seconds_per_frame(plan, first, first + count), first
        except InputError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _seconds_per_frame(plan: Plan, start: int, stop: int) -> float:
    """Measure some frames in all passes: CPU time of one."""
    seconds = 0.0
    for index, stages in enumerate(plan.passes):
        given = plan.trial(stop - start, stages[0], start) if index else None
        plan.measure(start, stop, index, given)  # loads machine code, and compiles what is missing
        begin = time.thread_time()
        plan.measure(start, stop, index, given)
        seconds += (time.thread_time() - begin) / (stop - start)
    return seconds


def _refuse_empty(plan: Plan) -> None:
    """Look for one frame with a finite pixel: first in the windows of a few, then, if these are bad, in all of all."""
    n = plan.n_frames
    few = sorted({0, n // 4, n // 2, 3 * n // 4, n - 1})
    step = max(1, int(BLOCK_BYTES / (plan.shape[0] * plan.shape[1] * 8)))
    data = plan.frames["data"].variable
    refused: InputError | None = None
    places = [(index, slice(w.y0, w.y1), slice(w.x0, w.x1)) for index in few for w in plan.windows]
    every = [(slice(start, start + step), slice(None), slice(None)) for start in range(0, n, step)]
    for place in (*places, *every):
        try:
            if np.isfinite(data[place].to_numpy()).any():
                return
        except InputError as error:  # the run sets such a file aside, if there is another
            refused = refused or error
    raise refused or InputError(f"None of the {n} frames has a finite pixel: expected data (SCI), found NaN everywhere.")
