"""Vectors as types of compiled code, and what is done with them: written as LLVM's own vectors, which every processor has.

numba turns a loop into vector instructions where one line is summed from end to end. Sums of neighbouring lines at once,
each with its own state, it leaves scalar. A value of a `Vector` is several floats, integers or truths in a register (or in
two or four, where registers are short). Each lane follows the same sequence of operations and none looks at its neighbours,
so that its bits do not depend on what they hold; where lanes would take different ways, both are worked out and one is
chosen.
"""

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from numba.core import types
from numba.core.cgutils import ir  # the language of numba's compiler: its package is numba's to choose
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

from tsogrid.kernels.vectors import LANES, WIDTH

_ELEMENTS = {
    types.float64: ir.DoubleType(),
    types.float32: ir.FloatType(),
    types.int32: ir.IntType(32),
    types.boolean: ir.IntType(1),
    types.uint8: ir.IntType(8),
}
_FLOATS = (types.float64, types.float32)
_NUMBERS = (types.Float, types.Integer)
_INDEX = ir.IntType(32)


class Vector(types.Type):
    """Type of several elements side by side.

    Parameters
    ----------
    element : numba type
        float64, float32, int32, uint8 or boolean (a mask).
    width : int
        How many.
    contract : bool
        Whether a product and a sum may be one instruction, in all lanes alike; the sign of a zero is then any.
    """

    def __init__(self, element: Any, width: int = WIDTH, contract: bool = False) -> None:
        self.element, self.width, self.contract = element, width, contract
        super().__init__(f"Vector({element}, {width}, {contract})")

    def of(self, element: Any) -> "Vector":
        """As many of another type."""
        return Vector(element, self.width, self.contract)

    @property
    def written(self) -> Any:
        """The type in LLVM's language."""
        return ir.VectorType(_ELEMENTS[self.element], self.width)

    @property
    def flags(self) -> tuple[str, ...]:
        return ("contract", "nsz") if self.contract else ()


EIGHT, FITS = Vector(types.float64), Vector(types.float64, LANES, contract=True)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Vector) -> None:
        super().__init__(manager, of, of.written)


def filled(context: Any, builder: Any, value: Any, of: Any, kind: Any) -> Any:
    """The vector that a value of the type ``of`` stands for: itself, or a number in all lanes."""
    if isinstance(of, Vector):
        return value
    number = context.cast(builder, value, of, kind.element)
    nothing = ir.Constant(kind.written, ir.Undefined)
    first = builder.insert_element(nothing, number, _INDEX(0))
    return builder.shuffle_vector(first, nothing, lanes_of([0] * kind.width))


def lanes_of(order: list[int]) -> Any:
    """Numbers of lanes, as shuffles take them."""
    return ir.Constant(ir.VectorType(_INDEX, len(order)), order)


def _beside(number: Any, vector: Any) -> bool:
    """Whether an operator takes a number of this type beside a vector: one of its elements, or any beside float64."""
    return number == vector.element or (isinstance(number, _NUMBERS) and vector.element == types.float64)


def _vector_of(left: Any, right: Any) -> Vector | None:
    """The type of the vector that both types are, or one of them beside a number; None if they are anything else."""
    if isinstance(left, Vector):
        return left if left == right or (not isinstance(right, Vector) and _beside(right, left)) else None
    return right if isinstance(right, Vector) and _beside(left, right) else None


def _binary(symbol: Any, elements: tuple[Any, ...], result: Any, build: Callable[..., Any]) -> None:
    """Teach compiled code an operator of two vectors of a type, or of one and a number."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            kind = _vector_of(*args) if len(args) == 2 else None
            return signature(kind.of(result or kind.element), *args) if kind and kind.element in elements else None

    infer_global(symbol)(Template)

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        kind = _vector_of(*sig.args)
        left, right = (filled(context, builder, *each, kind) for each in zip(values, sig.args, strict=True))
        return build(builder, left, right, sig.return_type.flags)

    for pair in ((Vector, Vector), *((Vector, each) for each in _NUMBERS), *((each, Vector) for each in _NUMBERS)):
        lower_builtin(symbol, *pair)(lower)


def _arithmetic(builder: Any, a: Any, b: Any, flags: Any, name: str) -> Any:
    whole = isinstance(a.type.element, ir.IntType)
    return getattr(builder, name)(a, b) if whole else getattr(builder, f"f{name}")(a, b, flags=flags)


for _symbols, _name, _elements in (
    ((operator.add, operator.iadd), "add", (*_FLOATS, types.int32)),
    ((operator.sub, operator.isub), "sub", (*_FLOATS, types.int32)),
    ((operator.mul, operator.imul), "mul", _FLOATS),
    ((operator.truediv, operator.itruediv), "div", _FLOATS),
):
    for _symbol in _symbols:
        _binary(_symbol, _elements, None, partial(_arithmetic, name=_name))
for _symbol, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
):
    _binary(_symbol, _FLOATS, types.boolean, lambda builder, a, b, flags, sign=_sign: builder.fcmp_ordered(sign, a, b))
for _symbol, _name in ((operator.and_, "and_"), (operator.or_, "or_")):
    _binary(_symbol, (types.boolean,), None, lambda builder, a, b, flags, name=_name: getattr(builder, name)(a, b))


def _unary(symbol: Any, elements: tuple[Any, ...], build: Callable[..., Any]) -> None:
    """Teach compiled code an operator or a function of one vector."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            fits = len(args) == 1 and isinstance(args[0], Vector) and args[0].element in elements
            return signature(args[0], *args) if fits else None

    infer_global(symbol)(Template)
    lower_builtin(symbol, Vector)(lambda context, builder, sig, values: build(builder, sig.return_type, values[0]))


def _call(builder: Any, name: str, kind: Vector, arguments: list[Any]) -> Any:
    function = ir.FunctionType(kind.written, [kind.written] * len(arguments))
    name = f"llvm.{name}.v{kind.width}f{kind.element.bitwidth}"
    return builder.call(builder.module.declare_intrinsic(name, fnty=function), arguments)


_unary(operator.invert, (types.boolean,), lambda builder, kind, value: builder.not_(value))
_unary(operator.neg, _FLOATS, lambda builder, kind, value: builder.fneg(value))
for _function, _name in ((math.sqrt, "sqrt"), (math.floor, "floor"), (abs, "fabs")):
    _unary(_function, _FLOATS, lambda builder, kind, value, name=_name: _call(builder, name, kind, [value]))


@intrinsic
def fill(typing: Any, value: Any) -> Any:
    """The same float64, float32 or truth eight times."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return filled(context, builder, values[0], sig.args[0], sig.return_type)

    return EIGHT.of(value)(value), build


@intrinsic
def spread(typing: Any, value: Any) -> Any:
    """A number, as float64, in the lane of each fit."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return filled(context, builder, values[0], sig.args[0], FITS)

    return FITS(value), build


@intrinsic
def ramp(typing: Any) -> Any:
    """The float64 0, 1 … 7."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return ir.Constant(EIGHT.written, [float(lane) for lane in range(WIDTH)])

    return EIGHT(), build


@intrinsic
def no_count(typing: Any) -> Any:
    """Eight integers 0."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return ir.Constant(sig.return_type.written, None)

    return EIGHT.of(types.int32)(), build


@intrinsic
def counted(typing: Any, count: Any, mask: Any) -> Any:
    """Integers, one more where the mask is true."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.sub(values[0], builder.sext(values[1], values[0].type))

    return count(count, mask), build


def _either(sign: str) -> Callable[..., Any]:
    """Choose, lane by lane, what is on this side of the other."""
    return lambda context, builder, sig, values: builder.select(builder.icmp_unsigned(sign, *values), *values)


@intrinsic
def least(typing: Any, left: Any, right: Any) -> Any:
    """Of integers the smaller, negative ones being larger than all others."""
    return left(left, left), _either("<")


@intrinsic
def most(typing: Any, left: Any, right: Any) -> Any:
    """Of integers the larger, likewise."""
    return left(left, left), _either(">")


@intrinsic
def as_bits(typing: Any, value: Any) -> Any:
    """The bits of float32 as integers, which are in the same order unless negative; of integers the float32 again."""
    kind = value.of(types.int32 if value.element == types.float32 else types.float32)
    return kind(value), lambda context, builder, sig, values: builder.bitcast(values[0], kind.written)


@intrinsic
def as_single(typing: Any, value: Any) -> Any:
    """float64 or integers, rounded to float32."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        convert = builder.sitofp if sig.args[0].element == types.int32 else builder.fptrunc
        return convert(values[0], sig.return_type.written)

    return value.of(types.float32)(value), build


@intrinsic
def as_double(typing: Any, value: Any) -> Any:
    """float32 or integers as float64."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        convert = builder.sitofp if sig.args[0].element == types.int32 else builder.fpext
        return convert(values[0], sig.return_type.written)

    return value.of(types.float64)(value), build


@intrinsic
def where(typing: Any, mask: Any, yes: Any, no: Any) -> Any:
    """Lane by lane ``yes`` where the mask is true, else ``no``: vectors, or numbers. Of one truth, one number."""
    vectors = {each for each in (yes, no) if isinstance(each, Vector)}
    if len(vectors) > 1:
        return None
    number = mask.of(types.float64) if isinstance(mask, Vector) else types.float64
    kind = vectors.pop() if vectors else number

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        ways = zip(values[1:], sig.args[1:], strict=True)
        if kind == types.float64:
            return builder.select(values[0], *(context.cast(builder, *each, types.float64) for each in ways))
        return builder.select(values[0], *(filled(context, builder, *each, kind) for each in ways))

    return kind(mask, yes, no), build


@intrinsic
def fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once where the processor can."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return _call(builder, "fmuladd", sig.return_type, list(values))

    return a(a, a, a), build


@intrinsic
def power_of_two(typing: Any, rounded: Any) -> Any:
    """2 to the whole number that stands in the lowest bits of a float64; of a vector or a number."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        width = getattr(rounded, "width", 0)
        whole = ir.VectorType(ir.IntType(64), width) if width else ir.IntType(64)
        bias, places = ([1023] * width, [52] * width) if width else (1023, 52)
        exponent = builder.add(builder.bitcast(values[0], whole), ir.Constant(whole, bias))
        return builder.bitcast(builder.shl(exponent, ir.Constant(whole, places)), values[0].type)

    return rounded(rounded), build


def _bits(builder: Any, mask: Any) -> Any:
    """Truths as the bits of an integer of as many, the first the lowest."""
    return builder.bitcast(mask, ir.IntType(mask.type.count))


@intrinsic
def truths(typing: Any, mask: Any) -> Any:
    """Eight truths as the bits of a byte, the first the lowest."""
    return types.uint8(mask), lambda context, builder, sig, values: _bits(builder, values[0])


@intrinsic
def any_of(typing: Any, mask: Any) -> Any:
    """Whether the mask is true in any lane."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        whole = _bits(builder, values[0])
        return builder.icmp_unsigned("!=", whole, whole.type(0))

    return types.boolean(mask), build


@intrinsic
def all_of(typing: Any, mask: Any) -> Any:
    """Whether the mask is true in every lane."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        whole = _bits(builder, values[0])
        return builder.icmp_unsigned("==", whole, whole.type((1 << sig.args[0].width) - 1))

    return types.boolean(mask), build


@intrinsic
def number_of(typing: Any, mask: Any) -> Any:
    """In how many lanes the mask is true."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.zext(builder.ctpop(_bits(builder, values[0])), ir.IntType(64))

    return types.int64(mask), build


def _halves(builder: Any, value: Any, combine: Any) -> Any:
    """Combine all lanes, by halves."""
    count = value.type.count
    half = count // 2
    while half:
        order = lanes_of([(k + half) % count for k in range(count)])
        value, half = combine(value, builder.shuffle_vector(value, value, order)), half // 2
    return builder.extract_element(value, _INDEX(0))


@intrinsic
def total_of(typing: Any, value: Any) -> Any:
    """Sum of all lanes, by halves."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return _halves(builder, values[0], builder.fadd if sig.args[0].element in _FLOATS else builder.add)

    return value.element(value), build


@intrinsic
def smallest_of(typing: Any, value: Any) -> Any:
    """Smallest number of all lanes."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return _halves(builder, values[0], lambda a, b: builder.select(builder.fcmp_ordered("<", a, b), a, b))

    return value.element(value), build


@intrinsic
def lane(typing: Any, value: Any, index: Any) -> Any:
    """The number of one lane."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.extract_element(*values)

    return value.element(value, types.uintp), build


@intrinsic
def with_lane(typing: Any, value: Any, index: Any, element: Any) -> Any:
    """The vector with the number of one lane replaced."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.insert_element(values[0], values[2], values[1])

    return value(value, types.uintp, value.element), build
