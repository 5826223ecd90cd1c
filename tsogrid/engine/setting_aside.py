"""A file that cannot be read, or kills who reads it, costs its own frames and no others.

A block that failed is looked at with care: its files are read one by one, with nothing else going on if workers have died,
so that the blame is sure. The frames that fail are set aside (NaN, and flagged), and the block is measured with the
others. What was blamed for standing beside a guilty one is measured here as if nothing had happened.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from tsogrid.engine import plan_identity
from tsogrid.engine.plan import Plan
from tsogrid.errors import InputError, RunError

MOST_NAMED = 20  # files in a message


class KilledError(Exception):
    """Workers, or other processes, died of a task, one after the other.

    Parameters
    ----------
    count : int
        How many.
    of_memory : bool
        Whether dask ended them since they went over their memory limit.
    who : str
        What they were.
    how : str
        How they died, where that is known.
    """

    def __init__(self, count: int, of_memory: bool = False, who: str = "workers", how: str = "") -> None:
        why = ", over their memory limit" if of_memory else ""
        died = f"died ({how})" if how else "died"
        super().__init__(f"{count} {who} {died} that read it, one after the other, with nothing else going on{why}")
        self.count, self.of_memory, self.how = count, of_memory, how


@dataclass(frozen=True)
class SetAside:
    """Frames of a file that were set aside.

    Parameters
    ----------
    file : str
        Its name, as the result has it.
    first, last : int
        Frames of the series.
    reason : str
        What happened, in words.
    killed : bool
        Whether it killed workers.
    of_memory : bool
        Whether dask ended them since they went over their memory limit.
    """

    file: str
    first: int
    last: int
    reason: str
    killed: bool = False
    of_memory: bool = False

    def __str__(self) -> str:
        frames = f"frame {self.first}" if self.first == self.last else f"frames {self.first} … {self.last}"
        return f"{self.file}, {frames}: {self.reason}"


Outcome = Any  # a result, or the InputError, KilledError or other exception in its place


class Hands(Protocol):
    """Who does what is asked: a function of a plan, with arguments that a worker can be sent."""

    def alone(self, function: Callable[..., Any], *arguments: Any) -> Outcome:
        """Do one thing, with nothing else going on."""

    def together(self, function: Callable[..., Any], each: Sequence[tuple[Any, ...]]) -> list[Outcome]:
        """Do many things."""


def frames_of(known: Collection[SetAside]) -> frozenset[int]:
    """Give the frames that are set aside."""
    return frozenset(frame for each in known for frame in range(each.first, each.last + 1))


def read_frames(plan: Plan, first: int, last: int) -> None:
    """Read what a block needs of frames first … last − 1, and of no others."""
    for window in plan.windows:
        strips = [] if plan.detector is None else [("data", region) for region in plan.detector.needed(window.region)]
        for name, region in [*((str(name), window.region) for name in plan.frames), *strips]:
            plan.cut(name, first, last, region)


def file_names(plan: Plan) -> np.ndarray:
    """Name the file of every frame, (frames,); without files, frames are told apart by their number."""
    if "file" in plan.coordinates.coords:
        return plan_identity.input_names(plan.config, plan.coordinates["file"].to_numpy())
    return np.array([f"frame {frame}" for frame in range(plan.n_frames)])


@dataclass
class Care:
    """The careful look at blocks that failed, one after the other; it remembers what it found.

    Parameters
    ----------
    plan : Plan
        What is measured.
    hands : Hands
        Who does it.
    known : list of SetAside
        What is set aside already; more is added here.
    """

    plan: Plan
    hands: Hands
    known: list[SetAside]

    @cached_property
    def files(self) -> np.ndarray:
        """The file of every frame; made when the first one is to be named."""
        return file_names(self.plan)

    def find(self, start: int, stop: int, error: BaseException) -> bool:
        """Set aside what cannot be read of a block; whether there was something.

        Parameters
        ----------
        start, stop : int
            The block.
        error : InputError or KilledError
            How it failed.
        """
        before = len(self.known)
        if isinstance(error, KilledError):
            for first, last in self._by_file(start, stop):
                if not self._is_known(first, last):
                    self._read(first, last)
        else:
            frames = [frame for frame in range(*self.plan.span(start, stop)) if frame not in frames_of(self.known)]
            outcomes = self.hands.together(read_frames, [(frame, frame + 1) for frame in frames])
            for frame, outcome in zip(frames, outcomes, strict=True):
                self._judge(frame, frame + 1, outcome)
        return len(self.known) > before

    def foresee(self, start: int, stop: int) -> None:
        """Set aside what a block would read of files that have killed before."""
        if any(each.killed for each in self.known):
            for first, last in self._by_file(start, stop):
                self._is_known(first, last)

    def _read(self, first: int, last: int) -> None:
        """Read frames first … last − 1 of one file, for trial; one by one where together they need too much memory."""
        outcome = self.hands.alone(read_frames, first, last)
        if not isinstance(outcome, KilledError) or not outcome.of_memory:
            self._judge(first, last, outcome)
        elif last - first > 1:
            for frame in range(first, last):
                if not self._is_known(frame, frame + 1):
                    self._read(frame, frame + 1)
        elif greedy := next((each for each in self.known if each.of_memory), None):
            raise RunError(
                f"workers went over their memory limit when they read one frame of {greedy.file} alone, and then of "
                f"{self.files[first]}. Give each more (cluster.memory, fewer workers, or --memory-limit of dask worker). "
                "What is measured is safe, the same command goes on."
            )
        else:
            self.condemn(first, last, str(outcome), True, of_memory=True)

    def _is_known(self, first: int, last: int) -> bool:
        """Whether a file has killed before; its frames first … last − 1 are set aside then."""
        name = str(self.files[first])
        guilty = next((each for each in self.known if each.killed and each.file == name), None)
        if guilty is not None:
            self.condemn(first, last, guilty.reason, True)
        return guilty is not None

    def _judge(self, first: int, last: int, outcome: Outcome) -> None:
        if isinstance(outcome, InputError | KilledError):
            self.condemn(first, last, str(outcome), isinstance(outcome, KilledError))
        elif isinstance(outcome, BaseException):
            raise outcome

    def condemn(self, first: int, last: int, reason: str, killed: bool, of_memory: bool = False) -> None:
        """Set frames first … last − 1 of one file aside."""
        self.known.append(SetAside(str(self.files[first]), first, last - 1, reason, killed, of_memory))

    def _by_file(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Cut the frames that a block reads, and that are not set aside, into runs of one file: first and last + 1."""
        aside = frames_of(self.known)
        frames = [frame for frame in range(*self.plan.span(start, stop)) if frame not in aside]
        runs = [list(run) for _, run in groupby(enumerate(frames), lambda each: (self.files[each[1]], each[1] - each[0]))]
        return [(run[0][1], run[-1][1] + 1) for run in runs]


def joined(known: Sequence[SetAside]) -> list[SetAside]:
    """Put frames of one file that follow each other, and failed for one reason, into one line."""
    lines: list[SetAside] = []
    for each in sorted(known, key=lambda each: each.first):
        last = lines[-1] if lines else None
        if last and (last.file, last.killed, last.last + 1) == (each.file, each.killed, each.first):
            lines[-1] = replace(last, last=each.last)
        else:
            lines.append(each)
    return lines


def refusal(known: Sequence[SetAside], store: Any) -> RunError:
    """Word the end of a run that had to set files aside.

    Parameters
    ----------
    known : sequence of SetAside
        What was set aside.
    store : path-like
        Where everything else is.

    Returns
    -------
    RunError
    """
    lines = joined(known)
    named = [f"  {line}" for line in lines[:MOST_NAMED]]
    more = [f"  and {len(lines) - MOST_NAMED} more (`tsogrid status` names them)"] if len(lines) > MOST_NAMED else []
    files = len({line.file for line in lines})
    return RunError(
        f"{files} file{'s' if files > 1 else ''} could not be read and {'were' if files > 1 else 'was'} set aside: NaN and "
        f"the flag unreadable in {len(frames_of(lines))} frames. All others are measured and safe in {store}. Mend what is "
        "named and give the same command again: it measures these frames. To go without, list them under input.exclude and "
        "add --overwrite.\n" + "\n".join([*named, *more])
    )
