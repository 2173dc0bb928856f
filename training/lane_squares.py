"""Squares of as many rows as lanes, whose rows and columns are exchanged in registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spikebridge.training.lanes import Block, pointers, vector_at


def _transpose(
    _context: Any, into: Any, to: Any, to_apart: Any, array: Any, at: Any, apart: Any, lanes: Any
) -> tuple[Any, Callable[..., Any]]:
    block = Block(array.dtype, lanes.literal_value, lanes.literal_value)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, start, target_apart, source, begin, source_apart, _ = arguments
        places = pointers(context, builder, array, source, begin, block, source_apart)
        rows = [vector_at(context, builder, place, block.dtype) for place in places]
        step = 1
        while step < block.lanes:
            # Squares of `step` rows and lanes change places across the diagonal of a square twice as large.
            low = [lane if not lane & step else block.lanes + lane - step for lane in range(block.lanes)]
            high = [lane + step if not lane & step else block.lanes + lane for lane in range(block.lanes)]
            masks = [ir.Constant(ir.VectorType(ir.IntType(32), block.lanes), mask) for mask in (low, high)]
            for row in (row for row in range(block.rows) if not row & step):
                pair = rows[row], rows[row + step]
                rows[row], rows[row + step] = (builder.shuffle_vector(*pair, mask) for mask in masks)
            step *= 2
        for row, pointer in zip(
            rows, pointers(context, builder, into, target, start, block, target_apart), strict=True
        ):
            written = builder.store(row, pointer)
            written.align = context.get_abi_sizeof(context.get_data_type(block.dtype))
        return context.get_dummy_value()

    return types.void(into, types.intp, types.intp, array, types.intp, types.intp, lanes), code


transpose: Callable[..., Any] = intrinsic(prefer_literal=True)(_transpose)
"""`transpose(into, to, to_apart, array, at, apart, lanes)`: a square of `lanes` rows with rows and columns exchanged.

The first numbers of rows lie `apart`, or `to_apart` where they are written. `lanes` is a constant, a power of two."""
