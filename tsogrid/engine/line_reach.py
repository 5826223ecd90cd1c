"""How far sky steps that work on lines look beyond the lines that are wanted: what is read of a frame follows from it.

The level of a line alone needs its own pixels; one that is smoothed those of the lines in the filter's window; what belongs
to columns those of all lines. All this within an amplifier: those that no source touches need not be there, unless a step
looks at amplifiers together. Steps of a chain are taken off one after the other: the lines that the last one looks at are
wanted of the one before.
"""

from collections.abc import Sequence
from typing import Any

from tsogrid.config import AmplifierStep, ReadoutProcess
from tsogrid.kernels.line_levels import rows_to_smooth

Lines = tuple[int, int]  # first line, and one past the last


def need_lines(skies: Sequence[Sequence[Any]]) -> bool:
    """Whether a step of some chains needs whole lines of amplifiers."""
    return any(isinstance(step, AmplifierStep) for steps in skies for step in steps)


def lend_levels(step: Any) -> bool:
    """Whether amplifiers lend each other their levels in a step."""
    return bool(getattr(step, "fill", False)) or getattr(step, "reference_pixels", None) is not None


def amplifiers_together(step: Any) -> bool:
    """Whether a step looks at all lines of all amplifiers of a frame together."""
    return isinstance(step, ReadoutProcess) or lend_levels(step)


def lines_leveled(step: Any, wanted: Lines, lines: int) -> Lines:
    """Lines, of so many, whose levels a step measures to give those that are wanted."""
    if amplifiers_together(step):
        return 0, lines
    smooth = getattr(step, "smooth", None)
    return wanted if smooth is None else rows_to_smooth(wanted, lines, smooth)


def lines_read(skies: Sequence[Sequence[Any]], wanted: Lines, lines: int) -> Lines:
    """Lines, of so many, that chains look at to know what they leave of the lines that are wanted.

    Parameters
    ----------
    skies : sequence of sequence
        Sky steps, each chain in order.
    wanted : (int, int)
        First line, and one past the last, that lie about the sources.
    lines : int
        Of the frame.

    Returns
    -------
    (int, int)
        First line, and one past the last. A range within ``wanted`` gives a range within this one.
    """
    first, stop = wanted
    for steps in skies:
        its = wanted
        for step in reversed(steps):
            if isinstance(step, AmplifierStep):
                of_columns = step.even_odd or getattr(step, "each_column", False)
                its = (0, lines) if of_columns else lines_leveled(step, its, lines)
        first, stop = min(first, its[0]), max(stop, its[1])
    return first, stop
