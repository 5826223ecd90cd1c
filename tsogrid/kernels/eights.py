"""What the compiler does not find by itself: eight numbers at once, and memory asked for before it is read.

A row of a box, or a line of pixels cut by a circle, is a few dozen numbers. Loops over so few that become vector
instructions spend most of their time on whether arrays overlap, and on the numbers that are left over. Here vectors are
written down, in the compiler's own general language: they become the instructions of whatever processor it is.

Functions that `emit` makes are called in kernels and parts with whole arrays and the place where to begin. They look
at nothing but that memory; that there are eight numbers is for the caller to know.
"""

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

EIGHT = 8
_BYTE, _INT32, _INT64, _DOUBLE = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_WIDE = ir.VectorType(_DOUBLE, EIGHT)


class Eight:
    """Eight numbers of double precision, in a function that is being written; a float among them is all eight.

    ``exactly`` rounds every product before it is added; else both may be one instruction, in every lane alike.
    """

    def __init__(self, builder: Any, value: Any, contract: bool = True) -> None:
        self.builder, self.value = builder, value
        self.flags = ("contract",) if contract else ()

    def exactly(self) -> "Eight":
        return Eight(self.builder, self.value, contract=False)

    def _made(self, value: Any) -> "Eight":
        return Eight(self.builder, value, bool(self.flags))

    def _other(self, other: "Eight | float") -> Any:
        return other.value if isinstance(other, Eight) else ir.Constant(_WIDE, [float(other)] * EIGHT)

    def __add__(self, other: "Eight | float") -> "Eight":
        return self._made(self.builder.fadd(self.value, self._other(other), flags=self.flags))

    def __sub__(self, other: "Eight | float") -> "Eight":
        return self._made(self.builder.fsub(self.value, self._other(other), flags=self.flags))

    def __mul__(self, other: "Eight | float") -> "Eight":
        return self._made(self.builder.fmul(self.value, self._other(other), flags=self.flags))

    def __neg__(self) -> "Eight":
        return self._made(self.builder.fsub(self._other(-0.0), self.value))

    def __gt__(self, other: "Eight | float") -> Any:
        return self.builder.fcmp_ordered(">", self.value, self._other(other))

    def __le__(self, other: "Eight | float") -> Any:
        return self.builder.fcmp_ordered("<=", self.value, self._other(other))

    def where(self, condition: Any, other: "Eight | float") -> "Eight":
        """This where the condition holds, else the other."""
        return self._made(self.builder.select(condition, self.value, self._other(other)))

    def least(self, other: "Eight | float") -> "Eight":
        """The larger of both: at least the other."""
        return self.where(self > other, other)

    def most(self, other: "Eight | float") -> "Eight":
        """The smaller of both: at most the other."""
        return self.where(self <= other, other)

    def count(self) -> "Eight":
        """0 … 7."""
        return self._made(ir.Constant(_WIDE, [float(lane) for lane in range(EIGHT)]))

    def _by(self, name: str) -> "Eight":
        function = self.builder.module.globals.get(f"{name}.v8f64") or ir.Function(
            self.builder.module, ir.FunctionType(_WIDE, [_WIDE]), f"{name}.v8f64"
        )
        return self._made(self.builder.call(function, [self.value]))

    def root(self) -> "Eight":
        return self._by("llvm.sqrt")

    def floor(self) -> "Eight":
        return self._by("llvm.floor")


class Memory:
    """An array that is given to a function that is being written."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        self.builder, self.kind = builder, kind
        self.element = context.get_data_type(kind.dtype)
        self.start = context.make_array(kind)(context, builder, value).data

    def place(self, at: Any) -> Any:
        return self.builder.gep(self.start, [at])

    def every(self, index: int) -> Eight:
        """One number, eight times."""
        return Eight(self.builder, _eight_times(self.builder, self.builder.load(self.place(place_of(index)))))

    def _eight(self, at: Any, element: Any) -> Any:
        return self.builder.bitcast(self.place(at), ir.VectorType(element, EIGHT).as_pointer())

    def load(self, at: Any) -> Eight:
        """Eight numbers in a row, from any place on."""
        vector = self.builder.load(self._eight(at, self.element), align=self.kind.dtype.bitwidth // 8)
        return Eight(self.builder, vector if self.element == _DOUBLE else self.builder.fpext(vector, _WIDE))

    def store(self, at: Any, numbers: Eight) -> None:
        self.builder.store(numbers.value, self._eight(at, self.element), align=8)

    def store_whole(self, at: Any, numbers: Eight) -> None:
        """Write into an array of whole numbers."""
        vector = self.builder.fptosi(numbers.value, ir.VectorType(self.element, EIGHT))
        self.builder.store(vector, self._eight(at, self.element), align=self.kind.dtype.bitwidth // 8)


def place_of(index: int) -> Any:
    """A place in an array, known when the function is written."""
    return ir.Constant(_INT64, index)


def _eight_times(builder: Any, number: Any) -> Any:
    one = builder.insert_element(ir.Constant(_WIDE, ir.Undefined), number, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INT32, EIGHT), [0] * EIGHT))


def _given(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        return Memory(context, builder, kind, value)
    if kind == types.float64:
        return Eight(builder, _eight_times(builder, value))
    return value


def emit(*kinds: Any, result: Any = types.void) -> Callable[[Callable[..., Any]], Any]:
    """Make of a function that writes instructions one that kernels and parts call.

    Parameters
    ----------
    *kinds : numba type, or None
        What it is called with: ``types.float64``, ``types.uintp`` for places, None for an array.
    result : numba type
        What it returns.

    Returns
    -------
    callable
        A decorator. The function takes the builder of instructions, and for each argument a `Memory` (an array), an
        `Eight` (a number, eight times) or the bare value (a place).
    """

    def decorate(function: Callable[..., Any]) -> Any:
        def typed(typingctx: Any, *arguments: Any) -> Any:
            signature = result(*(kind or argument for kind, argument in zip(kinds, arguments, strict=True)))

            def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                given = [_given(context, builder, *each) for each in zip(signature.args, values, strict=True)]
                made = function(builder, *given)
                return context.get_dummy_value() if made is None else made

            return signature, build

        # numba looks at the arguments that a function names
        names = ["typingctx", *list(inspect.signature(function).parameters)[1:]]
        typed.__name__ = typed.__qualname__ = function.__name__
        typed.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        )
        return intrinsic(typed)

    return decorate


@emit(None, types.uintp)
def prefetch(builder, array, at):  # type: ignore[no-untyped-def]
    """Ask for the memory of an element, into the second-level cache; no element need be there."""
    place = builder.bitcast(array.place(at), _BYTE.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [place.type, _INT32, _INT32, _INT32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
    to_read, near, data = (ir.Constant(_INT32, number) for number in (0, 2, 1))
    builder.call(function, [place, to_read, near, data])


@emit(None, types.uintp, None, None, types.uintp, types.uintp, result=types.int64)
def load_good(builder, data, at, value, outward, place, before):  # type: ignore[no-untyped-def]
    """Copy eight pixels, 0 where one is not finite, and add them to the sums before; return a bit for each bad one."""
    pixels = data.load(at)
    finite = (pixels - pixels) <= 0.0
    good = pixels.where(finite, 0.0)
    value.store(place, good)
    outward.store(place, outward.load(before) + good)
    return builder.zext(builder.bitcast(builder.not_(finite), _BYTE), _INT64)


@emit(None, None, types.uintp, None, None, types.uintp, types.uintp)
def load_squares(builder, data, error, at, square, outward, place, before):  # type: ignore[no-untyped-def]
    """Write the squares of eight errors, 0 where the pixel is not finite, and add them to the sums before."""
    pixels, errors = data.load(at), error.load(at).exactly()
    squares = (errors * errors).where((pixels - pixels) <= 0.0, 0.0)
    square.store(place, squares)
    outward.store(place, outward.load(before) + squares)
