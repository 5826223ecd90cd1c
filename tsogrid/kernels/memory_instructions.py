"""Vectors in memory: loads and stores at any place of an array, bits of bytes beside it, and squares that are turned.

Nothing looks whether the place lies in the array; that is for the caller to know. Arrays are C-contiguous, and all their
axes count as one.
"""

from typing import Any

from numba import types
from numba.core.cgutils import ir
from numba.extending import intrinsic

from tsogrid.kernels.vector_instructions import EIGHT, FITS, Vector, filled, lanes_of
from tsogrid.kernels.vectors import LANES

_BYTES = EIGHT.of(types.uint8)


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:
    """Pointer to the vector that begins at an element."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _load(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Vector) -> Any:
    place = _place(context, builder, array_type, array, index, kind.written)
    return builder.load(place, align=kind.element.bitwidth // 8)


def _store(context: Any, builder: Any, array_type: Any, array: Any, index: Any, value: Any) -> Any:
    place = _place(context, builder, array_type, array, index, value.type)
    builder.store(value, place, align=array_type.dtype.bitwidth // 8)
    return context.get_dummy_value()


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Eight neighbours, from an element of an array of float64 or float32 on."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return _load(context, builder, sig.args[0], values[0], values[1], sig.return_type)

    return EIGHT.of(array.dtype)(array, types.uintp), build


@intrinsic
def load_as_double(typing: Any, array: Any, index: Any) -> Any:
    """As `load`, in double precision whatever the array is in."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        kind = EIGHT.of(sig.args[0].dtype)
        vector = _load(context, builder, sig.args[0], values[0], values[1], kind)
        return vector if kind == EIGHT else builder.fpext(vector, EIGHT.written)

    return EIGHT(array, types.uintp), build


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a vector, from an element on."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return _store(context, builder, sig.args[0], *values)

    return types.void(array, types.uintp, value), build


@intrinsic
def store_rounded(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write eight float64 in the precision of the array, from an element on."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        kind = EIGHT.of(sig.args[0].dtype)
        vector = values[2] if kind == EIGHT else builder.fptrunc(values[2], kind.written)
        return _store(context, builder, sig.args[0], values[0], values[1], vector)

    return types.void(array, types.uintp, EIGHT), build


@intrinsic
def read(typing: Any, array: Any, number: Any) -> Any:
    """Vector of this number from an array (…, LANES) of fits."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        index = builder.mul(values[1], values[1].type(LANES))
        return _load(context, builder, sig.args[0], values[0], index, FITS)

    return FITS(array, types.intp), build


@intrinsic
def write(typing: Any, array: Any, number: Any, value: Any) -> Any:
    """Put a vector, or a number in all lanes, where `read` finds it."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        index = builder.mul(values[1], values[1].type(LANES))
        vector = filled(context, builder, values[2], sig.args[2], FITS)
        return _store(context, builder, sig.args[0], values[0], index, vector)

    return types.void(array, types.intp, value), build


def _marked(context: Any, builder: Any, array_type: Any, array: Any, index: Any, bit: Any) -> Any:
    """Which of eight neighbouring bytes have a bit."""
    found = _load(context, builder, array_type, array, index, _BYTES)
    bits = builder.and_(found, filled(context, builder, bit, types.uint8, _BYTES))
    return builder.icmp_unsigned("!=", bits, ir.Constant(_BYTES.written, None))


@intrinsic
def load_bits(typing: Any, array: Any, index: Any, bit: Any) -> Any:
    """Whether each of eight neighbouring bytes has a bit of ``bit``."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return _marked(context, builder, sig.args[0], *values)

    return EIGHT.of(types.boolean)(array, types.uintp, types.uint8), build


@intrinsic
def load_marked(typing: Any, array: Any, marks: Any, index: Any, bit: Any) -> Any:
    """Eight neighbours of an array of float64, NaN where the byte of the same place has no bit of ``bit``."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        marked = _marked(context, builder, sig.args[1], *values[1:])
        value = _load(context, builder, sig.args[0], values[0], values[2], EIGHT)
        return builder.select(marked, value, ir.Constant(value.type, [float("nan")] * EIGHT.width))

    return EIGHT(array, marks, types.uintp, types.uint8), build


@intrinsic
def store_bit(typing: Any, array: Any, index: Any, bit: Any, mask: Any) -> Any:
    """Write eight neighbouring bytes: ``bit`` where the mask is true, else 0."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        bits = filled(context, builder, values[2], types.uint8, _BYTES)
        found = builder.select(values[3], bits, ir.Constant(bits.type, None))
        return _store(context, builder, sig.args[0], values[0], values[1], found)

    return types.void(array, types.uintp, types.uint8, mask), build


@intrinsic
def add_bits(typing: Any, array: Any, index: Any, bit: Any, mask: Any) -> Any:
    """Set the bit ``bit`` of those of eight neighbouring bytes whose mask is true."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        more = filled(context, builder, values[2], types.uint8, _BYTES)
        more = builder.select(values[3], more, ir.Constant(more.type, None))
        before = _load(context, builder, sig.args[0], values[0], values[1], _BYTES)
        return _store(context, builder, sig.args[0], values[0], values[1], builder.or_(before, more))

    return types.void(array, types.uintp, types.uint8, mask), build


@intrinsic
def load_lines(typing: Any, pixels: Any, starts: Any, offset: Any) -> Any:
    """LANES neighbours from each of as many places: from element ``starts[k] + offset`` on, in the type of the pixels."""
    kind = FITS.of(pixels.dtype)

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        begin = context.make_array(sig.args[1])(context, builder, values[1]).data
        lines = []
        for k in range(LANES):
            start = builder.load(builder.gep(begin, [ir.IntType(64)(k)]))
            lines.append(_load(context, builder, sig.args[0], values[0], builder.add(start, values[2]), kind))
        return context.make_tuple(builder, sig.return_type, lines)

    return types.UniTuple(kind, LANES)(pixels, starts, types.intp), build


@intrinsic
def store_turned(typing: Any, array: Any, index: Any, rows: Any) -> Any:
    """Write the columns of the square whose rows are as many vectors, one after the other from an element of an array on."""

    def build(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        width = sig.args[2].dtype.width
        rows = [builder.extract_value(values[2], k) for k in range(width)]
        half = width // 2
        while half:  # blocks of this side change places with those across the diagonal
            for first in (k for k in range(width) if not k & half):
                pair = rows[first], rows[first | half]
                for row, shift in ((first, 0), (first | half, half)):
                    order = [(k & ~half) + shift + (width if k & half else 0) for k in range(width)]
                    rows[row] = builder.shuffle_vector(*pair, lanes_of(order))
            half //= 2
        kind = sig.args[2].dtype.of(sig.args[0].dtype)
        for k, row in enumerate(rows):
            column = row if row.type == kind.written else builder.fpext(row, kind.written)
            _store(context, builder, sig.args[0], values[0], builder.add(values[1], values[1].type(width * k)), column)
        return context.get_dummy_value()

    return types.void(array, types.uintp, rows), build
