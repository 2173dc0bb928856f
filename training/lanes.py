"""Values of several vector registers, for compiled loops that must keep their sums in registers.

A block is `rows` vectors of `lanes` numbers. A compiler does not keep an array in registers across a loop of unknown
length, since another array could be the same memory; a block is a value and leaves no such doubt. Arrays are
contiguous, one-dimensional and not checked: `at` is the index of the first number of the first row, and rows follow one
another unless they have offsets. A product and the sum it goes into are rounded once where the processor can do that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model


# AVX-512 has 32 registers of 64 bytes; what comes before has half as many of half the size, or smaller ones.
def _has_wide_registers() -> bool:
    try:
        return bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))
    except RuntimeError:
        return False  # not known for this kind of processor, hence not one that has them


_WIDE = _has_wide_registers()
REGISTER_BYTES = 64 if _WIDE else 32
MOST_ROWS = 28 if _WIDE else 12
"""Rows of a block that leave registers for the numbers it is combined with."""

# Every number of rows is compiled by itself, in half a second, so there are few.
_ROWS = (1, 2, 4, 8, 12, 16, 20, 25, 26, 28)


def rows_for(needed: int, most: int = MOST_ROWS) -> int:
    """Rows of a block, at most `most`, of which a few make the `needed` rows or not many more."""
    return min((rows for rows in _ROWS if rows <= most), key=lambda rows: -(-needed // rows) * (rows + 1))


class Block(types.Type):
    """The type of a block, as the compiler knows it."""

    def __init__(self, dtype: Any, rows: int, lanes: int) -> None:
        super().__init__(name=f"block({rows} x {lanes} {dtype})")
        self.dtype, self.rows, self.lanes = dtype, rows, lanes


@register_model(Block)
class _BlockModel(models.PrimitiveModel):
    def __init__(self, manager: Any, block: Block) -> None:
        number = manager.lookup(block.dtype).get_value_type()
        super().__init__(  # type: ignore[no-untyped-call]
            manager, block, ir.ArrayType(ir.VectorType(number, block.lanes), block.rows)
        )


def pointers(
    context: Any, builder: Any, array_type: Any, array: Any, at: Any, block: Block, apart: Any = None
) -> list[Any]:
    """Where each row lies, as pointers to vectors; `apart` numbers between the first ones of rows, or side by side."""
    vector = context.get_value_type(block).element
    data = context.make_array(array_type)(context, builder, array).data
    first = builder.gep(data, [at])
    apart = context.get_constant(types.intp, block.lanes) if apart is None else apart
    places = [
        builder.gep(first, [builder.mul(context.get_constant(types.intp, row), apart)]) for row in range(block.rows)
    ]
    return [builder.bitcast(place, vector.as_pointer()) for place in places]


class _Rows(NamedTuple):
    """Rows of an array, each at its distance from an index: what the compiler calls all of that."""

    array: Any
    at: Any
    offsets: Any
    first: Any


def _places(context: Any, builder: Any, types_of: _Rows, values: _Rows, block: Block) -> list[Any]:
    """Where each row lies, if `offsets` has its distance from `at`, from `first` on, as pointers to vectors."""
    vector = context.get_value_type(block).element
    data = context.make_array(types_of.array)(context, builder, values.array).data
    numbers = context.make_array(types_of.offsets)(context, builder, values.offsets).data
    begin, places = builder.gep(data, [values.at]), []
    for row in range(block.rows):
        index = builder.add(values.first, context.get_constant(types.intp, row))
        offset = context.cast(builder, builder.load(builder.gep(numbers, [index])), types_of.offsets.dtype, types.intp)
        places.append(builder.bitcast(builder.gep(begin, [offset]), vector.as_pointer()))
    return places


def vector_at(context: Any, builder: Any, pointer: Any, dtype: Any) -> Any:
    """The vector at a pointer, wherever that points."""
    vector = builder.load(pointer)
    vector.align = context.get_abi_sizeof(context.get_data_type(dtype))
    return vector


def _everywhere(builder: Any, number: Any, vector: Any) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), lanes)


def _sum(builder: Any, total: Any, factor: Any, vector: Any) -> Any:
    return builder.fadd(total, builder.fmul(factor, vector, flags=["contract"]), flags=["contract"])


def _block_of(array: Any, rows: Any, lanes: Any) -> Block:
    return Block(array.dtype, rows.literal_value, lanes.literal_value or REGISTER_BYTES * 8 // array.dtype.bitwidth)


def _zeros(_context: Any, array: Any, rows: Any, lanes: Any) -> tuple[Any, Callable[..., Any]]:
    block = _block_of(array, rows, lanes)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(block), None)

    return block(array, rows, lanes), code


def _load(_context: Any, array: Any, at: Any, rows: Any, lanes: Any) -> tuple[Any, Callable[..., Any]]:
    block = _block_of(array, rows, lanes)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = ir.Constant(context.get_value_type(block), ir.Undefined)
        for row, pointer in enumerate(pointers(context, builder, array, arguments[0], arguments[1], block)):
            value = builder.insert_value(value, vector_at(context, builder, pointer, block.dtype), row)
        return value

    return block(array, types.intp, rows, lanes), code


def _store(_context: Any, array: Any, at: Any, block: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for row, pointer in enumerate(pointers(context, builder, array, arguments[0], arguments[1], block)):
            written = builder.store(builder.extract_value(arguments[2], row), pointer)
            written.align = context.get_abi_sizeof(context.get_data_type(block.dtype))
        return context.get_dummy_value()

    return types.void(array, types.intp, block), code


def _add_product(_context: Any, array: Any, at: Any, factor: Any, block: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        everywhere = _everywhere(builder, arguments[2], context.get_value_type(block).element)
        for row, pointer in enumerate(pointers(context, builder, array, arguments[0], arguments[1], block)):
            before = vector_at(context, builder, pointer, block.dtype)
            written = builder.store(
                _sum(builder, before, everywhere, builder.extract_value(arguments[3], row)), pointer
            )
            written.align = before.align
        return context.get_dummy_value()

    return types.void(array, types.intp, block.dtype, block), code


def _times_row(_context: Any, block: Any, array: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, row_of, index = arguments
        single = Block(block.dtype, 1, block.lanes)
        (place,) = pointers(context, builder, array, row_of, index, single)
        factor = vector_at(context, builder, place, block.dtype)
        for row in range(block.rows):
            product = builder.fmul(builder.extract_value(total, row), factor)
            total = builder.insert_value(total, product, row)
        return total

    return block(block, array, types.intp), code


def _plus_product(_context: Any, block: Any, factor: Any, array: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, factor_value, rows_of, index = arguments
        everywhere = _everywhere(builder, factor_value, context.get_value_type(block).element)
        for row, pointer in enumerate(pointers(context, builder, array, rows_of, index, block)):
            vector = vector_at(context, builder, pointer, block.dtype)
            row_total = _sum(builder, builder.extract_value(total, row), everywhere, vector)
            total = builder.insert_value(total, row_total, row)
        return total

    return block(block, block.dtype, array, types.intp), code


def _add_product_each(
    _context: Any, array: Any, at: Any, offsets: Any, first: Any, factor: Any, block: Any
) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *where, factor_value, rows = arguments
        everywhere = _everywhere(builder, factor_value, context.get_value_type(block).element)
        places = _places(context, builder, _Rows(array, at, offsets, first), _Rows(*where), block)
        for row, pointer in enumerate(places):
            before = vector_at(context, builder, pointer, block.dtype)
            written = builder.store(_sum(builder, before, everywhere, builder.extract_value(rows, row)), pointer)
            written.align = before.align
        return context.get_dummy_value()

    return types.void(array, types.intp, offsets, types.intp, block.dtype, block), code


def _plus_product_each(
    _context: Any, block: Any, factor: Any, array: Any, at: Any, offsets: Any, first: Any
) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, factor_value, *where = arguments
        everywhere = _everywhere(builder, factor_value, context.get_value_type(block).element)
        places = _places(context, builder, _Rows(array, at, offsets, first), _Rows(*where), block)
        for row, pointer in enumerate(places):
            vector = vector_at(context, builder, pointer, block.dtype)
            row_total = _sum(builder, builder.extract_value(total, row), everywhere, vector)
            total = builder.insert_value(total, row_total, row)
        return total

    return block(block, block.dtype, array, types.intp, offsets, types.intp), code


def _plus_taps(
    _context: Any, block: Any, numbers: Any, first: Any, array: Any, at: Any, taps: Any
) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, factors, index, rows_of, begin, _ = arguments
        vector = context.get_value_type(block).element
        data = context.make_array(numbers)(context, builder, factors).data
        places = [
            builder.gep(data, [builder.add(index, context.get_constant(types.intp, tap))])
            for tap in range(taps.literal_value)
        ]
        everywhere = [_everywhere(builder, builder.load(place), vector) for place in places]
        sums = [builder.extract_value(total, row) for row in range(block.rows)]
        reach = Block(block.dtype, block.rows + len(places) - 1, block.lanes)
        for row, pointer in enumerate(pointers(context, builder, array, rows_of, begin, reach)):
            loaded = vector_at(context, builder, pointer, block.dtype)
            for tap, factor in enumerate(everywhere):
                if 0 <= row - tap < block.rows:
                    sums[row - tap] = _sum(builder, sums[row - tap], factor, loaded)
        for row, row_total in enumerate(sums):
            total = builder.insert_value(total, row_total, row)
        return total

    return block(block, numbers, types.intp, array, types.intp, taps), code


def _plus_outer(_context: Any, block: Any, array: Any, at: Any, vector: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, numbers, index, factor = arguments
        column = builder.extract_value(factor, 0)
        data = context.make_array(array)(context, builder, numbers).data
        for row in range(block.rows):
            place = builder.gep(data, [builder.add(index, context.get_constant(types.intp, row))])
            everywhere = _everywhere(builder, builder.load(place), column.type)
            row_total = _sum(builder, builder.extract_value(total, row), everywhere, column)
            total = builder.insert_value(total, row_total, row)
        return total

    return block(block, array, types.intp, vector), code


def _plus_inner(_context: Any, vector: Any, array: Any, at: Any, block: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, numbers, index, rows = arguments
        column = builder.extract_value(total, 0)
        data = context.make_array(array)(context, builder, numbers).data
        for row in range(block.rows):
            place = builder.gep(data, [builder.add(index, context.get_constant(types.intp, row))])
            everywhere = _everywhere(builder, builder.load(place), column.type)
            column = _sum(builder, column, everywhere, builder.extract_value(rows, row))
        return builder.insert_value(total, column, 0)

    return vector(vector, array, types.intp, block), code


# What compiled loops call; only their compiler knows the types.
zeros: Callable[..., Any] = intrinsic(prefer_literal=True)(_zeros)
"""`zeros(array, rows, lanes)`: a block of 0, of the array's type; `rows` and `lanes` are constants.

0 lanes are as many as a register has, here and below."""

load: Callable[..., Any] = intrinsic(prefer_literal=True)(_load)
"""`load(array, at, rows, lanes)`: the block at an index; `rows` and `lanes` are constants."""

store: Callable[..., Any] = intrinsic(_store)
"""`store(array, at, block)`: write a block at an index."""

add_product: Callable[..., Any] = intrinsic(_add_product)
"""`add_product(array, at, factor, block)`: add a number times a block to what is at an index."""

times_row: Callable[..., Any] = intrinsic(_times_row)
"""`times_row(block, array, at)`: each row times the numbers at an index, lane by lane."""

plus_product: Callable[..., Any] = intrinsic(_plus_product)
"""`plus_product(block, factor, array, at)`: the block plus a number times the rows at an index."""

add_product_each: Callable[..., Any] = intrinsic(_add_product_each)
"""`add_product_each(array, at, offsets, first, factor, block)`: `add_product` to rows apart.

Each lies at its offset from `at`; that of the first row is `offsets[first]`, and so on."""

plus_product_each: Callable[..., Any] = intrinsic(_plus_product_each)
"""`plus_product_each(block, factor, array, at, offsets, first)`: `plus_product` with rows that lie like that."""

plus_taps: Callable[..., Any] = intrinsic(prefer_literal=True)(_plus_taps)
"""`plus_taps(block, numbers, first, array, at, taps)`: `plus_product` for `taps` numbers, a constant, from `first` on.

The rows begin one later for each of them, and each is loaded once for all."""

plus_outer: Callable[..., Any] = intrinsic(_plus_outer)
"""`plus_outer(block, array, at, vector)`: each row plus its number, from an index on, times a block of one row."""

plus_inner: Callable[..., Any] = intrinsic(_plus_inner)
"""`plus_inner(vector, array, at, block)`: a block of one row plus the rows of another, each times its number."""
