"""Instructions written by hand over parts of arrays: eight numbers at once, and memory asked for before it is read.

A row of a box, or a line of pixels cut by a circle, is a few dozen numbers. Loops over so few that become vector
instructions spend most of their time on whether arrays overlap, and on the numbers that are left over. `emit` makes of a
Python function that writes the instructions one that kernels and parts call, with whole arrays and the place where to begin.
It looks at nothing but that memory; that there are eight numbers is for the caller to know.

Where vectors go from loop to loop, `tsogrid.kernels.vectors` is the one to take: compiled code has them as values there.
Here none is left when the function ends. In return it is no function of numba, so that it costs no call, no counting of
references to arrays and hardly any time to compile; its constants are known when it is written, and it chooses operation by
operation which product is rounded before it is added.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

EIGHT = 8
ARRAY, PLACE, NUMBER = "array", "place", "number"  # what a function is called with: uintp is a place, float64 a number
NOTHING, WHOLE = "nothing", "whole"  # what it returns: WHOLE is an int64; and as what it is called with, any integer


class _Emitted:
    """A function that writes instructions, for compiled code; numba is loaded when that is made."""

    def __init__(self, function: Callable[..., Any], kinds: tuple[str, ...], result: str) -> None:
        self.made_of = function, kinds, result

    @cached_property
    def _numba_type_(self) -> Any:
        from tsogrid.kernels import eight_instructions, machine_code

        return machine_code.type_of(eight_instructions.intrinsic_of(*self.made_of))


def emit(*kinds: str, result: str = NOTHING) -> Callable[[Callable[..., Any]], Any]:
    """Make of a function that writes instructions one that kernels and parts call.

    Parameters
    ----------
    *kinds : {ARRAY, PLACE, NUMBER, WHOLE}
        What it is called with.
    result : {NOTHING, WHOLE}
        What it returns.

    Returns
    -------
    callable
        A decorator. The function takes the builder of instructions, and for each argument a
        `tsogrid.kernels.eight_instructions.Memory` (an array), an `Eight` (a number, eight times) or the bare value (a
        place, an integer).
    """
    return lambda function: _Emitted(function, kinds, result)


def place_of(index: int) -> Any:
    """A place in an array, known when the function is written."""
    from tsogrid.kernels import eight_instructions

    return eight_instructions.place_of(index)


@emit(ARRAY, PLACE)
def prefetch(builder, array, at):  # type: ignore[no-untyped-def]
    """Ask for the memory of an element, into the second-level cache; no element need be there."""
    from tsogrid.kernels import eight_instructions

    eight_instructions.prefetch(builder, array, at)


@emit(ARRAY, PLACE, ARRAY, ARRAY, PLACE, PLACE, result=WHOLE)
def load_good(builder, data, at, value, outward, place, before):  # type: ignore[no-untyped-def]
    """Copy eight pixels, 0 where one is not finite, and add them to the sums before; return a bit for each bad one."""
    from tsogrid.kernels import eight_instructions

    pixels = data.load(at)
    finite = (pixels - pixels) <= 0.0
    good = pixels.where(finite, 0.0)
    value.store(place, good)
    outward.store(place, outward.load(before) + good)
    return eight_instructions.bits_of(builder, builder.not_(finite))


@emit(ARRAY, ARRAY, PLACE, ARRAY, ARRAY, PLACE, PLACE)
def load_squares(builder, data, error, at, square, outward, place, before):  # type: ignore[no-untyped-def]
    """Write the squares of eight errors, 0 where the pixel is not finite, and add them to the sums before."""
    pixels, errors = data.load(at), error.load(at).exactly()
    squares = (errors * errors).where((pixels - pixels) <= 0.0, 0.0)
    square.store(place, squares)
    outward.store(place, outward.load(before) + squares)
