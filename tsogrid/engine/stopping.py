"""When a run ends though work is left that could be done: its lock is another's, or nothing can be written any more.

A full disk fails every shard alike. Measuring all of them to write none would take the night, so a few are enough.
"""

from collections.abc import Callable
from typing import Protocol

from tsogrid.engine.lock import Held
from tsogrid.engine.store import Store
from tsogrid.errors import RunError, WritingError

Failed = Callable[[int, int, BaseException], None]  # told the pass, the shard and what was wrong with it
ENOUGH = 3  # shards that could not be written


class Told(Protocol):
    """Who is told how far a run is."""

    def begin(self, total: int, done: int) -> None: ...
    def advance(self, frames: int) -> None: ...
    def say(self, message: str) -> None: ...


class WhileHeld:
    """A progress that goes on only while the store's lock is held.

    Parameters
    ----------
    progress : Progress
        Who is told.
    held : Held
        The lock.
    """

    def __init__(self, progress: Told, held: Held) -> None:
        self.begin, self.say, self._advance, self._held = progress.begin, progress.say, progress.advance, held

    def advance(self, frames: int) -> None:
        self._held.check()
        self._advance(frames)


def giving_up(store: Store, failed: Failed) -> Failed:
    """Give a listener to failures that ends the run once writing has failed a few times.

    Parameters
    ----------
    store : Store
        Where it writes.
    failed : callable
        Who else is told.

    Returns
    -------
    callable
        Raises RunError at the last.
    """
    count = 0

    def listen(index: int, shard: int, error: BaseException) -> None:
        nonlocal count
        failed(index, shard, error)
        count += isinstance(error, WritingError)
        if count == ENOUGH:
            raise RunError(
                f"{error}\nThat was the {ENOUGH}rd shard that could not be written into {store.path}, so the run stops here."
            )

    return listen
