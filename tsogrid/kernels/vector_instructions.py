"""Eight numbers side by side, in compiled code: what the compiler does not find by itself when lines lie beside each other.

numba turns a loop into vector instructions where one line is summed from end to end. Sums of eight neighbouring lines at
once, each with its own state, it leaves scalar. `Vector` is a type for them: a value of it is eight floats, integers or
truths in a register, written as LLVM's own vectors, which every processor has (as two or four, where registers are short).
Each lane follows the same sequence of IEEE operations, so that its bits do not depend on what its neighbours hold.
"""

import operator
from typing import Any

from numba.core import types
from numba.core.cgutils import ir  # the language of numba's compiler: its package is numba's to choose
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

WIDTH = 8


class Vector(types.Type):
    """Type of eight elements side by side.

    Parameters
    ----------
    element : numba type
        float64, float32, int32 or boolean (a mask).
    """

    def __init__(self, element: Any) -> None:
        self.element = element
        super().__init__(f"Vector({element})")


DOUBLE, SINGLE, COUNT, MASK = (Vector(each) for each in (types.float64, types.float32, types.int32, types.boolean))
_LLVM = {
    types.float64: ir.VectorType(ir.DoubleType(), WIDTH),
    types.float32: ir.VectorType(ir.FloatType(), WIDTH),
    types.int32: ir.VectorType(ir.IntType(32), WIDTH),
    types.boolean: ir.VectorType(ir.IntType(1), WIDTH),
}
_BYTES = ir.VectorType(ir.IntType(8), WIDTH)
_ORDER = ir.VectorType(ir.IntType(32), WIDTH)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Vector) -> None:
        super().__init__(manager, of, _LLVM[of.element])


def _operator(function: Any, write: Any, result: Vector | None, elements: tuple[Any, ...]) -> None:
    """Teach numba an operator between two vectors of the same element."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and args[0] == args[1] and isinstance(args[0], Vector) and args[0].element in elements:
                return signature(result or args[0], *args)
            return None

    infer_global(function)(Template)
    lower_builtin(function, Vector, Vector)(lambda context, builder, sig, args: write(builder, *args))


_FLOATS = (types.float64, types.float32)
for _function, _write in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_function, lambda builder, a, b, name=_write: getattr(builder, name)(a, b), None, _FLOATS)
for _function, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
):
    _operator(_function, lambda builder, a, b, sign=_sign: builder.fcmp_ordered(sign, a, b), MASK, _FLOATS)
_operator(operator.and_, lambda builder, a, b: builder.and_(a, b), None, (types.boolean,))
_operator(operator.or_, lambda builder, a, b: builder.or_(a, b), None, (types.boolean,))


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(result, [each.type for each in arguments])
    return builder.call(builder.module.declare_intrinsic(name, fnty=kind), arguments)


def _letters(vector: Any) -> str:
    return f"v{WIDTH}f64" if vector.element == ir.DoubleType() else f"v{WIDTH}f32"


@intrinsic
def load(typing_context, array, index):  # type: ignore[no-untyped-def]
    """Eight neighbours of a flat float64 or float32 array."""
    kind = Vector(array.dtype)

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        place = _place(context, builder, sig.args[0], args[0], args[1], _LLVM[kind.element])
        return builder.load(place, align=kind.element.bitwidth // 8)

    return kind(array, types.uintp), write


@intrinsic
def store(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    """Write eight neighbours of a flat array."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        place = _place(context, builder, sig.args[0], args[0], args[1], args[2].type)
        builder.store(args[2], place, align=sig.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, value), write


@intrinsic
def load_bits(typing_context, array, index, bit):  # type: ignore[no-untyped-def]
    """Whether each of eight neighbouring bytes has a bit of ``bit``."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        found = builder.load(_place(context, builder, sig.args[0], args[0], args[1], _BYTES), align=1)
        return builder.icmp_unsigned("!=", builder.and_(found, _filled(builder, args[2], _BYTES)), ir.Constant(_BYTES, None))

    return MASK(array, types.uintp, types.uint8), write


@intrinsic
def load_marked(typing_context, array, marks, index, bit):  # type: ignore[no-untyped-def]
    """Eight neighbours of a flat float64 array, NaN where the byte of the same place has no bit of ``bit``."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        values, bytes_, place, bits = args
        found = builder.load(_place(context, builder, sig.args[1], bytes_, place, _BYTES), align=1)
        marked = builder.icmp_unsigned("!=", builder.and_(found, _filled(builder, bits, _BYTES)), ir.Constant(_BYTES, None))
        vector = _LLVM[types.float64]
        value = builder.load(_place(context, builder, sig.args[0], values, place, vector), align=8)
        return builder.select(marked, value, ir.Constant(vector, [float("nan")] * WIDTH))

    return DOUBLE(array, marks, types.uintp, types.uint8), write


@intrinsic
def add_bits(typing_context, array, index, bit, mask):  # type: ignore[no-untyped-def]
    """Set the bit ``bit`` of those of eight neighbouring bytes whose mask is true."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        place = _place(context, builder, sig.args[0], args[0], args[1], _BYTES)
        more = builder.select(args[3], _filled(builder, args[2], _BYTES), ir.Constant(_BYTES, None))
        builder.store(builder.or_(builder.load(place, align=1), more), place, align=1)
        return context.get_dummy_value()

    return types.void(array, types.uintp, types.uint8, mask), write


def _filled(builder: Any, value: Any, vector: Any) -> Any:
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), ir.Constant(_ORDER, None))


@intrinsic
def fill(typing_context, value):  # type: ignore[no-untyped-def]
    """The same float64, float32 or truth eight times."""
    kind = Vector(value)

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return _filled(builder, args[0], _LLVM[kind.element])

    return kind(value), write


@intrinsic
def ramp(typing_context):  # type: ignore[no-untyped-def]
    """The float64 0, 1 … 7."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return ir.Constant(_LLVM[types.float64], [float(lane) for lane in range(WIDTH)])

    return DOUBLE(), write


@intrinsic
def no_count(typing_context):  # type: ignore[no-untyped-def]
    """Eight integers 0."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return ir.Constant(_LLVM[types.int32], None)

    return COUNT(), write


@intrinsic
def counted(typing_context, count, mask):  # type: ignore[no-untyped-def]
    """Integers, one more where the mask is true."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.sub(args[0], builder.sext(args[1], args[0].type))

    return COUNT(count, mask), write


@intrinsic
def as_single(typing_context, value):  # type: ignore[no-untyped-def]
    """float64 or integers, rounded to float32."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        if sig.args[0] == COUNT:
            return builder.sitofp(args[0], _LLVM[types.float32])
        return builder.fptrunc(args[0], _LLVM[types.float32])

    return SINGLE(value), write


@intrinsic
def as_double(typing_context, value):  # type: ignore[no-untyped-def]
    """float32 or integers as float64."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        if sig.args[0] == COUNT:
            return builder.sitofp(args[0], _LLVM[types.float64])
        return builder.fpext(args[0], _LLVM[types.float64])

    return DOUBLE(value), write


@intrinsic
def where(typing_context, mask, yes, no):  # type: ignore[no-untyped-def]
    """Lane by lane one of two."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.select(*args)

    return yes(mask, yes, yes), write


@intrinsic
def fused(typing_context, a, b, c):  # type: ignore[no-untyped-def]
    """a b + c, rounded once where the processor can."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return _call(builder, f"llvm.fmuladd.{_letters(args[0].type)}", args[0].type, list(args))

    return a(a, a, a), write


@intrinsic
def absolute(typing_context, value):  # type: ignore[no-untyped-def]
    """|value|."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return _call(builder, f"llvm.fabs.{_letters(args[0].type)}", args[0].type, list(args))

    return value(value), write


@intrinsic
def floor(typing_context, value):  # type: ignore[no-untyped-def]
    """Largest integer that is not larger."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return _call(builder, f"llvm.floor.{_letters(args[0].type)}", args[0].type, list(args))

    return value(value), write


@intrinsic
def store_turned(typing_context, array, index, a, b, c, d, e, f, g, h):  # type: ignore[no-untyped-def]
    """Write the columns of the square whose rows are eight vectors, one after the other into a flat array."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        rows = list(args[2:])
        for width in (1, 2, 4):  # blocks of this side change places with those across the diagonal
            for first in (row for row in range(WIDTH) if not row & width):
                upper, lower = rows[first], rows[first | width]
                for row, shift in ((first, 0), (first | width, width)):
                    order = [(k & ~width) + shift + (WIDTH if k & width else 0) for k in range(WIDTH)]
                    rows[row] = builder.shuffle_vector(upper, lower, ir.Constant(_ORDER, order))
        for row, value in enumerate(rows):
            where_to = builder.add(args[1], args[1].type(WIDTH * row))
            place = _place(context, builder, sig.args[0], args[0], where_to, value.type)
            builder.store(value, place, align=8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, a, a, a, a, a, a, a, a), write


@intrinsic
def truths(typing_context, mask):  # type: ignore[no-untyped-def]
    """The eight truths as the bits of a byte, the first the lowest."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], ir.IntType(WIDTH))

    return types.uint8(mask), write


@intrinsic
def number_of(typing_context, mask):  # type: ignore[no-untyped-def]
    """How many of eight are true."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.zext(builder.ctpop(builder.bitcast(args[0], ir.IntType(WIDTH))), ir.IntType(64))

    return types.int64(mask), write


def _halves(builder: Any, value: Any, combine: Any) -> Any:
    """Combine all eight, by halves."""
    for width in (4, 2, 1):
        order = ir.Constant(_ORDER, [(k + width) % WIDTH for k in range(WIDTH)])
        value = combine(value, builder.shuffle_vector(value, value, order))
    return builder.extract_element(value, ir.IntType(32)(0))


@intrinsic
def total_of(typing_context, value):  # type: ignore[no-untyped-def]
    """Sum of eight, by halves."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return _halves(builder, args[0], builder.fadd if sig.args[0] != COUNT else builder.add)

    return value.element(value), write


@intrinsic
def smallest_of(typing_context, value):  # type: ignore[no-untyped-def]
    """Smallest of eight numbers."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        def smaller(a, b):  # type: ignore[no-untyped-def]
            return builder.select(builder.fcmp_ordered("<", a, b), a, b)

        return _halves(builder, args[0], smaller)

    return value.element(value), write


@intrinsic
def lane(typing_context, value, index):  # type: ignore[no-untyped-def]
    """One of the eight."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.extract_element(args[0], args[1])

    return value.element(value, types.uintp), write


@intrinsic
def with_lane(typing_context, value, index, element):  # type: ignore[no-untyped-def]
    """The eight, one of them replaced."""

    def write(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.insert_element(args[0], args[2], args[1])

    return value(value, types.uintp, value.element), write
