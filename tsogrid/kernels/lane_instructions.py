"""Vectors of a few float64 numbers as a type of compiled code: several fits side by side, each in a lane of its own.

A kernel that works on lanes reads like one that works on numbers: it adds, multiplies and compares. Every lane goes through
the same operations and none looks at its neighbours, so that the bits of a result do not depend on what shares the vector
with it; where lanes would take different ways, both are worked out and one is selected. Sums stay in registers, which loops
over arrays would not give. Arrays of lanes are float64, C-contiguous, of shape (n, LANES) or, with more axes, (…, LANES).
"""

import math
import operator
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from tsogrid.kernels.lanes import LANES

ir = cgutils.ir  # the language of numba's compiler: its package is numba's to choose
# A product and a sum may be one instruction; the same for all lanes.
_FLAGS = ("contract", "nsz")
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_BITS = ir.VectorType(ir.IntType(64), LANES)
_FLAGS_OF_LANES = ir.VectorType(ir.IntType(1), LANES)


class Lanes(types.Type):
    """LANES float64 numbers."""


class Mask(types.Type):
    """LANES truth values."""


_LANES, _MASK = Lanes("lanes"), Mask("mask of lanes")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, _VECTOR)


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, _FLAGS_OF_LANES)


def _spread(context: Any, builder: Any, value: Any, of: Any) -> Any:
    """The vector that a number, or a vector, stands for."""
    if isinstance(of, Lanes):
        return value
    number = context.cast(builder, value, of, types.float64)
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), places)


def _define(symbol: Any, result: Any, build: Callable[..., Any]) -> None:
    """Teach compiled code an operator of two vectors, or of a vector and a number."""

    def typer(context: Any) -> Callable[..., Any]:
        def of(left: Any, right: Any) -> Any:
            both = (left, right)
            if any(isinstance(each, Lanes) for each in both) and all(
                isinstance(each, (Lanes, types.Float, types.Integer)) for each in both
            ):
                return result
            return None

        return of

    type_callable(symbol)(typer)

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, right = (_spread(context, builder, *each) for each in zip(values, signature.args, strict=True))
        return build(builder, left, right)

    for pair in ((Lanes, Lanes), *((Lanes, each) for each in _NUMBERS), *((each, Lanes) for each in _NUMBERS)):
        lower_builtin(symbol, *pair)(lower)


_NUMBERS = (types.Float, types.Integer)
for _symbols, _name in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _symbol in _symbols:
        _define(_symbol, _LANES, lambda builder, left, right, name=_name: getattr(builder, name)(left, right, flags=_FLAGS))
for _symbol, _sign in (
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.eq, "=="),
):
    _define(_symbol, _MASK, lambda builder, left, right, sign=_sign: builder.fcmp_ordered(sign, left, right))


def _define_logic(symbol: Any, name: str) -> None:
    @type_callable(symbol)
    def typer(context: Any) -> Callable[..., Any]:
        return lambda left, right: _MASK if isinstance(left, Mask) and isinstance(right, Mask) else None

    @lower_builtin(symbol, Mask, Mask)
    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return getattr(builder, name)(*values)


_define_logic(operator.and_, "and_")
_define_logic(operator.or_, "or_")


@type_callable(operator.invert)
def _type_invert(context: Any) -> Callable[..., Any]:
    return lambda value: _MASK if isinstance(value, Mask) else None


@lower_builtin(operator.invert, Mask)
def _lower_invert(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.not_(values[0])


@type_callable(operator.neg)
def _type_neg(context: Any) -> Callable[..., Any]:
    return lambda value: _LANES if isinstance(value, Lanes) else None


@lower_builtin(operator.neg, Lanes)
def _lower_neg(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.fneg(values[0])


def _define_function(symbol: Any, name: str) -> None:
    """Teach compiled code a function of a vector that is an instruction."""

    @type_callable(symbol)
    def typer(context: Any) -> Callable[..., Any]:
        return lambda value: _LANES if isinstance(value, Lanes) else None

    @lower_builtin(symbol, Lanes)
    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f64"), values)


_define_function(math.sqrt, "llvm.sqrt")
_define_function(abs, "llvm.fabs")


def _place(context: Any, builder: Any, array_type: Any, array: Any, index_type: Any, index: Any) -> Any:
    """Pointer to the vector with this number in an array of lanes."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    number = context.cast(builder, index, index_type, types.intp)
    first = builder.mul(number, ir.Constant(number.type, LANES))
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


@intrinsic
def read(typing: Any, array: Any, index: Any) -> Any:
    """Vector number ``index`` of an array of lanes, all its axes but the last counted as one."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        where = _place(context, builder, signature.args[0], values[0], signature.args[1], values[1])
        return builder.load(where, align=8)

    return _LANES(array, index), build


@intrinsic
def write(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Put a vector, or a number in all lanes, where `read` finds it."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        where = _place(context, builder, signature.args[0], values[0], signature.args[1], values[1])
        builder.store(_spread(context, builder, values[2], signature.args[2]), where, align=8)
        return context.get_dummy_value()

    return types.void(array, index, value), build


@intrinsic
def spread(typing: Any, value: Any) -> Any:
    """A number in all lanes."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _spread(context, builder, values[0], signature.args[0])

    return _LANES(value), build


@intrinsic
def select(typing: Any, mask: Any, yes: Any, no: Any) -> Any:
    """``yes`` where the mask is true, else ``no``; vectors or numbers. Of one truth value, one number."""
    one = isinstance(mask, types.Boolean)

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        ways = zip(values[1:], signature.args[1:], strict=True)
        if one:
            return builder.select(values[0], *(context.cast(builder, *each, types.float64) for each in ways))
        return builder.select(values[0], *(_spread(context, builder, *each) for each in ways))

    return (types.float64 if one else _LANES)(mask, yes, no), build


@intrinsic
def any_of(typing: Any, mask: Any) -> Any:
    """Whether the mask is true in any lane."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        whole = builder.bitcast(values[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", whole, ir.Constant(whole.type, 0))

    return types.boolean(mask), build


@intrinsic
def power_of_two(typing: Any, rounded: Any) -> Any:
    """2 to the whole number that stands in the lowest bits of a float64; of a vector or a number."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        many = isinstance(signature.args[0], Lanes)
        whole = _BITS if many else ir.IntType(64)
        bias, places = ([1023] * LANES, [52] * LANES) if many else (1023, 52)
        exponent = builder.add(builder.bitcast(values[0], whole), ir.Constant(whole, bias))
        return builder.bitcast(builder.shl(exponent, ir.Constant(whole, places)), values[0].type)

    return rounded(rounded), build


@intrinsic
def write_square(typing: Any, array: Any, index: Any, pixels: Any, starts: Any, offset: Any) -> Any:
    """Put LANES neighbours from each of LANES places among the pixels into as many vectors, from number ``index`` on.

    Lane k gets those that begin at element ``starts[k] + offset`` of ``pixels``, all its axes counted as one.
    """

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array_type, index_type, pixels_type, starts_type, offset_type = signature.args
        data = cgutils.create_struct_proxy(pixels_type)(context, builder, values[2]).data
        begin = cgutils.create_struct_proxy(starts_type)(context, builder, values[3]).data
        shift = context.cast(builder, values[4], offset_type, types.intp)
        line = ir.VectorType(context.get_value_type(pixels_type.dtype), LANES)
        rows = []
        for lane in range(LANES):
            start = builder.load(builder.gep(begin, [ir.Constant(ir.IntType(64), lane)]))
            place = builder.bitcast(builder.gep(data, [builder.add(start, shift)]), line.as_pointer())
            rows.append(builder.load(place, align=pixels_type.dtype.bitwidth // 8))
        half = LANES // 2
        while half:  # blocks of this many change places across the diagonal
            lower = [c if c & half == 0 else LANES + c - half for c in range(LANES)]
            upper = [c + half if c & half == 0 else LANES + c for c in range(LANES)]
            ways = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), way) for way in (lower, upper)]
            for k in range(LANES):
                if k & half == 0:
                    pair = rows[k], rows[k + half]
                    rows[k], rows[k + half] = (builder.shuffle_vector(*pair, way) for way in ways)
            half //= 2
        target = _place(context, builder, array_type, values[0], index_type, values[1])
        for k, row in enumerate(rows):
            wide = builder.fpext(row, _VECTOR) if line != _VECTOR else row
            builder.store(wide, builder.gep(target, [ir.Constant(ir.IntType(64), k)]), align=8)
        return context.get_dummy_value()

    return types.void(array, index, pixels, starts, offset), build
