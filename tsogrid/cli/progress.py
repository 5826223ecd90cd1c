"""How a run tells of itself: a bar on a terminal, a line now and then in a batch log.

Both count for the summary at the end what was measured and how long it took; what an earlier run had measured is left out.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

LOG = logging.getLogger("tsogrid")  # the log file holds what is said
PAUSE = 10.0  # seconds between two lines of a log
STEP = 0.01  # share of the run between two lines of a log: no run writes more than a hundred


class Counted:
    """What both kinds count.

    Attributes
    ----------
    total : int
        Frames times passes.
    measured : int
        Of these, by this run.
    seconds : float
        Since measuring began.
    """

    def __init__(self) -> None:
        self.total = self.done = self.measured = 0
        self._began = self._last = time.perf_counter()

    def begin(self, total: int, done: int) -> None:
        self.total, self.done = total, done
        self._began = self._last = time.perf_counter()

    def advance(self, frames: int) -> None:
        self.done += frames
        self.measured += frames
        self._last = time.perf_counter()

    def say(self, message: str) -> None:
        raise NotImplementedError

    @property
    def seconds(self) -> float:
        return self._last - self._began


class Lines(Counted):
    """Plain lines, for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stdout
        self._next_time = self._next_done = 0.0

    def begin(self, total: int, done: int) -> None:
        super().begin(total, done)
        self._plan_next()

    def advance(self, frames: int) -> None:
        super().advance(frames)
        if self._last < self._next_time or self.done < self._next_done or self.done >= self.total:
            return
        self._plan_next()
        left = self.seconds / self.measured * (self.total - self.done)
        rate = self.measured / max(self.seconds, 1e-9)
        share = 100 * self.done / self.total
        self.say(f"{self.done} of {self.total} frames ({share:.0f} %), {rate:.0f} frames/s, {duration(left)} left")

    def say(self, message: str) -> None:
        LOG.info(message)
        print(f"{time.strftime('%H:%M:%S')} {message}", file=self._stream, flush=True)

    def _plan_next(self) -> None:
        self._next_time = self._last + PAUSE
        self._next_done = self.done + STEP * self.total


class Bar(Counted):
    """A bar on a terminal."""

    def __init__(self, bar: Any) -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("preparing", total=None, rate="")

    def begin(self, total: int, done: int) -> None:
        super().begin(total, done)
        self._bar.reset(self._task, total=total, completed=done, description="measuring", rate="")

    def advance(self, frames: int) -> None:
        super().advance(frames)
        rate = f"{self.measured / max(self.seconds, 1e-9):.0f} frames/s"
        self._bar.update(self._task, completed=self.done, rate=rate)

    def say(self, message: str) -> None:
        LOG.info(message)
        self._bar.console.print(message, markup=False, highlight=False)


@contextmanager
def progress_on(stream: TextIO) -> Iterator[Counted]:
    """Give the progress that suits a stream.

    Parameters
    ----------
    stream : text stream
        Where it is shown; a bar if that is a terminal.

    Returns
    -------
    context manager
        Of a progress as `tsogrid.run` takes it.
    """
    if not stream.isatty():
        yield Lines(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        yield Bar(bar)


def duration(seconds: float) -> str:
    """Word a time span: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{max(seconds, 0.1):.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Word a number of bytes: ``12 kB``, ``3.4 GB``."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
