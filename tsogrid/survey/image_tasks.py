"""Images as tasks, in this process or on a cluster: what became of each, whatever it did.

An image that raises is an outcome like any other. One that kills its worker takes others with it that were waiting there:
all that are suspected are measured once more, each alone, and only what kills its worker then too is to blame.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tsogrid.config import ClusterConfig
from tsogrid.engine.worker_watch import watched
from tsogrid.errors import InputError, RunError
from tsogrid.flags import ImageFlag
from tsogrid.survey.catalogue import Catalogue, Task, checked
from tsogrid.survey.pieces import state_of

GRACE = 2.0  # seconds after which a worker has surely begun
TRIES = 3  # of a file that changes while it is read
PAUSE = 0.5  # seconds before the next: writing it may take a while
Beside = Mapping[str, Sequence[str]]
AHEAD = 2  # images in flight for each worker: one that is measured, one that waits


@dataclass(frozen=True)
class Outcome:
    """What became of an image.

    Parameters
    ----------
    state : (int, int)
        Size and time of change of the file that was read.
    catalogue : Catalogue or None
        None: the image is set aside.
    flag : int
        Why, as `ImageFlag`.
    message : str
        Why, in words.
    """

    state: tuple[int, int]
    catalogue: Catalogue | None = None
    flag: int = 0
    message: str = ""


def measure_image(task: Task, path: str, beside: Sequence[str] = ()) -> Outcome:
    """Measure one image, and look whether its file stayed as it was meanwhile.

    Parameters
    ----------
    task : Task
        Makes the catalogue.
    path : str
        Of the image.
    beside : sequence of str
        Other files that the catalogue is made from.

    Returns
    -------
    Outcome
    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        before = state_of(path, beside)
        outcome = _tried(task, path, before)
        if state_of(path, beside) == before:
            return outcome
    message = f"the file changed {TRIES} times while it was read. Run again when it is complete."
    return Outcome(before, flag=ImageFlag.CHANGED, message=message)


def measure_alone(task: Task, path: str, beside: Sequence[str] = ()) -> Outcome:
    """Measure an image that may kill its worker: not at once, since a worker that dies as it begins is not replaced."""
    time.sleep(GRACE)
    return measure_image(task, path, beside)


def _tried(task: Task, path: str, state: tuple[int, int]) -> Outcome:
    try:
        return Outcome(state, checked(task(path)))
    except (InputError, OSError) as error:
        return Outcome(state, flag=ImageFlag.UNREADABLE, message=_worded(error))
    except Exception as error:  # a defect of the task or of the image: neither stops the other images
        return Outcome(state, flag=ImageFlag.FAILED, message=_worded(error))


def _worded(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def each_here(task: Task, paths: Sequence[str], beside: Beside) -> Iterator[tuple[str, Outcome]]:
    """Measure images one after another, in this process."""
    for path in paths:
        yield path, measure_image(task, path, beside.get(path, ()))


def _same(value: Any) -> Any:
    return value


def each_on(
    client: Any,
    task: Task,
    paths: Sequence[str],
    beside: Beside,
    workers: int,
    config: ClusterConfig,
    say: Callable[[str], None],
) -> Iterator[tuple[str, Outcome]]:
    """Measure images on a cluster, and give each as soon as it is done.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    task : Task
        Makes a catalogue.
    paths : sequence of str
        The images.
    beside : dict
        Other files that the catalogue of an image is made from.
    workers : int
        How many are expected.
    config : ClusterConfig
        How long to wait for workers.
    say : callable
        Told what the user should know.

    Yields
    ------
    (str, Outcome)

    Raises
    ------
    RunError
        There were no workers, or the scheduler is gone.
    """
    # A task, not scattered data: the scheduler can make it again wherever a worker has died.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
        shared = client.submit(_same, task, pure=False, key=f"task-{id(task):x}-{time.time_ns():x}")
    suspected: list[str] = []
    yield from _in_flight(client, shared, paths, beside, workers, config, say, suspected.append)
    for path in suspected:
        guilty: list[str] = []
        yield from _in_flight(client, shared, [path], beside, 0, config, say, guilty.append)
        if guilty:
            message = "its worker died while it was measured: too little memory for it, or a defect."
            yield path, Outcome(state_of(path, beside.get(path, ())), flag=ImageFlag.FAILED, message=message)


def _in_flight(
    client: Any,
    shared: Any,
    paths: Sequence[str],
    beside: Beside,
    workers: int,
    config: ClusterConfig,
    say: Callable[[str], None],
    killed: Callable[[str], None],
) -> Iterator[tuple[str, Outcome]]:
    """Measure images, a few at a time so that no more results wait than can be written."""
    from distributed import CancelledError, KilledWorker, as_completed

    measure = measure_image if workers else measure_alone
    left = iter(paths)
    flying: dict[Any, str] = {}

    def submit() -> list[Any]:
        new = []
        for path in left:
            new.append(client.submit(measure, shared, path, beside.get(path, ()), pure=False))
            flying[new[-1]] = path
            if len(flying) >= AHEAD * max(workers, sum(client.nthreads().values()), 1):
                break
        return new

    with watched(client, config.worker_timeout, say) as watch:
        with client.as_current():
            waiting = as_completed(submit())
        watch.waiting = list(flying)
        for future in waiting:
            path, error = flying[future], None
            try:
                # A result is lost with the worker that holds it, and made again: it is waited for, and may fail this time.
                outcome = future.result()
            except Exception as found:
                error = found
            del flying[future]
            watch.ended += 1
            for new in submit() if watch.reason is None else ():
                waiting.add(new)
            watch.waiting = list(flying)
            if error is None:
                yield path, outcome
            elif watch.reason is not None:
                continue
            elif isinstance(error, KilledWorker):
                killed(path)
            elif isinstance(error, CancelledError):
                raise RunError(f"{path} was called off: the scheduler is gone. Run again: what is done is safe.") from None
            else:
                yield path, Outcome(state_of(path, beside.get(path, ())), flag=ImageFlag.FAILED, message=_worded(error))
    if watch.reason is not None:
        raise RunError(watch.reason)
