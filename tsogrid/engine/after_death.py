"""A run whose forerunner died: what may have killed it is read in a child process from then on.

A run that is killed leaves its lock behind. Who takes it over cannot know whether a user killed the run, the end of its
memory, or a file that kills whoever reads it; so it plans, tries and (without workers) measures in a child, which changes
no number and costs a second. So does a run that tries a file again that was set aside as a killer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tsogrid.config import Config
from tsogrid.engine import trial
from tsogrid.engine.child import Child
from tsogrid.engine.lock import Held
from tsogrid.engine.place import Place
from tsogrid.engine.plan import Plan
from tsogrid.engine.setting_aside import KilledError
from tsogrid.engine.status import killers
from tsogrid.errors import InputError


@contextmanager
def child_where_due(place: Place, held: Held, say: Callable[[str], None]) -> Iterator[Child | None]:
    """Give a child process to read in, if an earlier run has died here.

    Parameters
    ----------
    place : Folder or Bucket
        Of the store.
    held : Held
        Its lock.
    say : callable
        Told why.

    Returns
    -------
    context manager
        Of a Child, or None.
    """
    guilty = killers(place)
    if not held.after_death and not guilty:
        yield None
        return
    why = f"{', '.join(guilty[:3])} killed who read it" if guilty else "the run before this one was killed"
    say(f"{why}: frames are read in a process of their own, so that a file that kills its reader can be set aside")
    with Child() as child:
        yield child


def planned(prepare: Callable[[Config], Plan], config: Config, child: Child | None) -> Plan:
    """Plan a run, in the child if there is one.

    Parameters
    ----------
    prepare : callable
        Plans it; a function of a module.
    config : Config
        What to measure.
    child : Child or None
        Where.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        A file kills who reads its header, or its frame for a reference. A run cannot be planned without: it is named.
    TsogridError
        Whatever planning raises.
    """
    if child is None:
        return prepare(config)
    outcome = child.call(prepare, config)
    if isinstance(outcome, KilledError):
        last = f"The last file that it opened: {child.opened}. " if child.opened else ""
        raise InputError(
            f"expected files that a run can be planned with, found one that kills who reads it: {outcome.count} processes "
            f"died, one after the other ({outcome.how}). {last}Mend it, or list it under input.exclude, and run again."
        )
    if isinstance(outcome, BaseException):
        raise outcome
    plan: Plan = outcome
    return plan


def trial_in(child: Child | None) -> Callable[..., float | None]:
    """Give the trial of a run's cost, in the child if there is one; it gives None where the trial kills.

    Parameters
    ----------
    child : Child or None
        Where.

    Returns
    -------
    callable
        See `tsogrid.engine.trial.tried`.
    """
    if child is None:
        return trial.tried

    def tried(plan: Plan, say: Callable[[str], None]) -> float | None:
        outcome: Any = child.of(plan).alone(trial.tried)
        child.end()  # workers need its memory
        if isinstance(outcome, KilledError):
            say(f"{outcome.count} processes died of the trial of a few frames: the run begins without one")
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        seconds: float = outcome
        return seconds

    return tried
