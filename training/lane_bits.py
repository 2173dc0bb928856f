"""Which numbers of an array are not 0, a register at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spikebridge.training.compiled import compiled_within
from spikebridge.training.fused_types import Floats
from spikebridge.training.lanes import REGISTER_BYTES, Block, pointers, vector_at


def _find_others(_context: Any, array: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    block = Block(array.dtype, 1, REGISTER_BYTES * 8 // array.dtype.bitwidth)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (pointer,) = pointers(context, builder, array, arguments[0], arguments[1], block)
        vector = vector_at(context, builder, pointer, block.dtype)
        differ = builder.fcmp_unordered("!=", vector, ir.Constant(vector.type, None))
        return builder.zext(builder.bitcast(differ, ir.IntType(block.lanes)), ir.IntType(64))

    return types.int64(array, types.intp), code


def _find_lowest(_context: Any, bits: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), code


_others_than_0: Callable[..., Any] = intrinsic(_find_others)
"""`_others_than_0(array, at)`: bits of an integer, lowest first, which of the numbers of a register are not 0."""

_lowest: Callable[..., Any] = intrinsic(_find_lowest)
"""`_lowest(bits)`: the number of the lowest bit that is set; one has to be."""


@compiled_within
def who_fires(spikes: Floats, at: int, size: int, found: Any) -> int:
    """The numbers other than 0 of `size` from an index on, into `found`; how many there are."""
    lanes, count = REGISTER_BYTES // spikes.itemsize, 0
    whole = size // lanes * lanes
    for n in range(0, whole, lanes):
        bits = _others_than_0(spikes, at + n)
        while bits != 0:
            found[count] = n + _lowest(bits)
            count += 1
            bits &= bits - 1
    for n in range(whole, size):
        if spikes[at + n] != 0:
            found[count] = n
            count += 1
    return count
