"""Instructions on eight numbers of double precision, written in the compiler's own general language (LLVM's).

They become the instructions of whatever processor it is. `tsogrid.kernels.eights` loads this page, and with it numba, when a
function that `emit` has made is compiled.
"""

import inspect
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.cgutils import ir  # the language of numba's compiler: its package is numba's to choose
from numba.extending import intrinsic

from tsogrid.kernels.eights import ARRAY, EIGHT, NOTHING, NUMBER, PLACE, WHOLE

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

    def eight(self, at: Any, element: Any) -> Any:
        """Where eight elements in a row are, as a vector of a type of their size."""
        return self.builder.bitcast(self.place(at), ir.VectorType(element, EIGHT).as_pointer())

    def load(self, at: Any) -> Eight:
        """Eight numbers in a row, from any place on."""
        vector = self.builder.load(self.eight(at, self.element), align=self.kind.dtype.bitwidth // 8)
        return Eight(self.builder, vector if self.element == _DOUBLE else self.builder.fpext(vector, _WIDE))

    def store(self, at: Any, numbers: Eight) -> None:
        self.builder.store(numbers.value, self.eight(at, self.element), align=8)

    def store_whole(self, at: Any, numbers: Eight) -> None:
        """Write into an array of whole numbers."""
        vector = self.builder.fptosi(numbers.value, ir.VectorType(self.element, EIGHT))
        self.builder.store(vector, self.eight(at, self.element), align=self.kind.dtype.bitwidth // 8)


def _eight_times(builder: Any, number: Any) -> Any:
    kind = ir.VectorType(number.type, EIGHT)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INT32, EIGHT), [0] * EIGHT))


def _given(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        return Memory(context, builder, kind, value)
    if kind == types.float64:
        return Eight(builder, _eight_times(builder, value))
    return value


_TYPES = {ARRAY: None, PLACE: types.uintp, NUMBER: types.float64, WHOLE: None}
_RESULTS = {NOTHING: types.void, WHOLE: types.int64}


def intrinsic_of(function: Callable[..., Any], kinds: tuple[str, ...], result: str) -> Any:
    """Make of a function that writes instructions one that compiled code calls; see `tsogrid.kernels.eights.emit`."""
    given_types = [_TYPES[kind] for kind in kinds]

    def typed(typingctx: Any, *arguments: Any) -> Any:
        signature = _RESULTS[result](*(kind or argument for kind, argument in zip(given_types, arguments, strict=True)))

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


def place_of(index: int) -> Any:
    """A place in an array, known when the function is written."""
    return ir.Constant(_INT64, index)


def prefetch(builder: Any, array: Memory, at: Any) -> None:
    place = builder.bitcast(array.place(at), _BYTE.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [place.type, _INT32, _INT32, _INT32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
    to_read, near, data = (ir.Constant(_INT32, number) for number in (0, 2, 1))
    builder.call(function, [place, to_read, near, data])


def bits_of(builder: Any, truths: Any) -> Any:
    """Eight truths as the lowest bits of an int64."""
    return builder.zext(builder.bitcast(truths, _BYTE), _INT64)


def copy(builder: Any, given: Memory, at: Any, copied: Memory, place: Any) -> None:
    """Copy eight elements in a row."""
    align = given.kind.dtype.bitwidth // 8
    elements = builder.load(given.eight(at, given.element), align=align)
    builder.store(elements, copied.eight(place, given.element), align=align)


def less(builder: Any, pixels: Memory, at: Any, level: Eight) -> Any:
    """Eight pixels less a level, in the precision of the pixels."""
    size = pixels.kind.dtype.bitwidth
    numbers = builder.load(pixels.eight(at, pixels.element), align=size // 8)
    return builder.fsub(numbers, level.value if size == 64 else builder.fptrunc(level.value, numbers.type))


def store_keys(builder: Any, pixels: Memory, at: Any, level: Eight, keys: Memory, place: Any) -> None:
    """Write the keys (see `tsogrid.kernels.statistics`) of eight pixels less a level, in the precision of the pixels."""
    size = pixels.kind.dtype.bitwidth
    whole = ir.VectorType(keys.element, EIGHT)

    def each(number: int) -> Any:
        return ir.Constant(whole, [number] * EIGHT)

    bad, infinite = (0x7FFFFFFF, 0x7F800000) if size == 32 else (0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000)
    bits = builder.bitcast(less(builder, pixels, at, level), whole)
    # the lower bits of negative numbers are flipped
    flipped = builder.xor(bits, builder.lshr(builder.ashr(bits, each(size - 1)), each(1)))
    finite = builder.icmp_signed("<", builder.and_(bits, each(bad)), each(infinite))
    builder.store(builder.select(finite, flipped, each(bad)), keys.eight(place, keys.element), align=size // 8)


def sum_squares(
    builder: Any, keys: Memory, low: Any, high: Any, error: Memory, at: Any, runs: Any, sums: Memory, count: int
) -> None:
    """Write, of ``runs * count`` errors from ``at`` on, the sums of every ``count``-th square whose key is in low … high."""
    low, high = _eight_times(builder, low), _eight_times(builder, high)
    totals = [cgutils.alloca_once_value(builder, ir.Constant(_WIDE, [0.0] * EIGHT)) for _ in range(0, count, EIGHT)]
    with cgutils.for_range(builder, runs) as run:
        start = builder.mul(run.index, place_of(count))
        for place, total in zip(range(0, count, EIGHT), totals, strict=True):
            first = builder.add(start, place_of(place))
            key = builder.load(keys.eight(first, keys.element), align=keys.kind.dtype.bitwidth // 8)
            inside = builder.and_(builder.icmp_signed(">=", key, low), builder.icmp_signed("<=", key, high))
            errors = error.load(builder.add(at, first)).exactly()
            before = Eight(builder, builder.load(total)).exactly()
            builder.store((before + (errors * errors).where(inside, 0.0)).value, total)
    for place, total in zip(range(0, count, EIGHT), totals, strict=True):
        sums.store(place_of(place), Eight(builder, builder.load(total)))


def fold(builder: Any, lanes: Memory, count: int) -> None:
    """Write the sum of the first ``count`` numbers, a power of two of at least eight, by halves, to the first place."""
    parts = [lanes.load(place_of(at)) for at in range(0, count, EIGHT)]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [one + other for one, other in zip(parts[:half], parts[half:], strict=True)]
    total, width = parts[0].value, EIGHT
    while width > 1:
        width //= 2
        order = ir.Constant(ir.VectorType(_INT32, width), list(range(width)))
        upper = ir.Constant(ir.VectorType(_INT32, width), list(range(width, 2 * width)))
        total = builder.fadd(builder.shuffle_vector(total, total, order), builder.shuffle_vector(total, total, upper))
    builder.store(builder.extract_element(total, ir.Constant(_INT32, 0)), lanes.place(place_of(0)))
