"""Which numbers of an array are not 0, or at least some bounds, a register at a time.

Few are, in no order that a processor could guess, so that a loop over those of a register would wait at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikebridge.training.compiled import compiled, compiled_within
from spikebridge.training.fused_types import Floats, Ints
from spikebridge.training.lanes import REGISTER_BYTES, Block, pointers, vector_at


def _compresses() -> bool:
    """Whether one instruction moves the lanes of a register that are set in some bits to its beginning.

    Not where a user had Numba compile for another processor than this: the compiler would end the process.
    """
    settings = vars(numba.config)
    if settings["CPU_NAME"] is not None or settings["CPU_FEATURES"] is not None or not settings["ENABLE_AVX"]:
        return False
    return REGISTER_BYTES == 64 and bool(llvmlite.binding.get_host_cpu_features().get("avx512vl", False))


_COMPRESSES = _compresses()


def _register(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    block = Block(array_type.dtype, 1, REGISTER_BYTES * 8 // array_type.dtype.bitwidth)
    (pointer,) = pointers(context, builder, array_type, array, at, block)
    return vector_at(context, builder, pointer, block.dtype)


def _bits(builder: Any, flags: Any) -> Any:
    return builder.zext(builder.bitcast(flags, ir.IntType(flags.type.count)), ir.IntType(64))


def _find_others(_context: Any, array: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _register(context, builder, array, *arguments)
        return _bits(builder, builder.fcmp_unordered("!=", vector, ir.Constant(vector.type, None)))

    return types.int64(array, types.intp), code


def _find_reached(_context: Any, array: Any, at: Any, bounds: Any, n: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, bound = (
            _register(context, builder, kind, *where)
            for kind, where in ((array, arguments[:2]), (bounds, arguments[2:]))
        )
        return _bits(builder, builder.fcmp_ordered(">=", vector, bound))

    return types.int64(array, types.intp, bounds, types.intp), code


def _note(_context: Any, found: Any, at: Any, first: Any, bits: Any, like: Any) -> tuple[Any, Callable[..., Any]]:
    lanes = REGISTER_BYTES * 8 // like.dtype.bitwidth
    numbers, flags = ir.VectorType(ir.IntType(32), lanes), ir.IntType(lanes)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, begin, lowest, which, _ = arguments
        data = context.make_array(found)(context, builder, array).data
        count = builder.ctpop(which)
        lowest = builder.trunc(lowest, ir.IntType(32))
        if _COMPRESSES:
            none, zero = ir.Constant(numbers, ir.Undefined), ir.Constant(numbers, None)
            one = builder.insert_element(none, lowest, ir.Constant(ir.IntType(32), 0))
            own = builder.add(builder.shuffle_vector(one, none, zero), ir.Constant(numbers, list(range(numbers.count))))
            mask = builder.bitcast(builder.trunc(which, flags), ir.VectorType(ir.IntType(1), numbers.count))
            name = f"llvm.x86.avx512.mask.compress.v{numbers.count}i32"
            kind = ir.FunctionType(numbers, [numbers, numbers, mask.type])
            moved = builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [own, zero, mask])
            builder.store(moved, builder.bitcast(builder.gep(data, [begin]), numbers.as_pointer())).align = 4
            return count
        left = cgutils.alloca_once_value(builder, which)
        with cgutils.for_range(builder, count) as loop:
            bit = builder.cttz(builder.load(left), ir.Constant(ir.IntType(1), 1))
            place = builder.gep(data, [builder.add(begin, loop.index)])
            builder.store(builder.add(lowest, builder.trunc(bit, ir.IntType(32))), place)
            rest = builder.sub(builder.load(left), ir.Constant(ir.IntType(64), 1))
            builder.store(builder.and_(builder.load(left), rest), left)
        return count

    return types.int64(found, types.intp, types.intp, types.int64, like), code


_others_than_0: Callable[..., Any] = intrinsic(_find_others)
"""`_others_than_0(array, at)`: bits of an integer, lowest first, which of the numbers of a register are not 0."""

_reached: Callable[..., Any] = intrinsic(_find_reached)
"""`_reached(array, at, bounds, n)`: the same for numbers that are at least their bounds."""

_noted: Callable[..., Any] = intrinsic(_note)
"""`_noted(found, at, first, bits, like)`: write the numbers of the bits that are set, plus `first`, from an index on.

How many there are; the bits are those of a register of numbers as in `like`."""


@compiled
def memory_for(size: int) -> Ints:
    """What those of `size` that are found are written to."""
    return np.empty(size, np.int32)


@compiled_within
def who_fires(spikes: Floats, at: int, size: int, found: Ints) -> int:
    """The numbers other than 0 of `size` from an index on, into `found`, see `memory_for`; how many there are."""
    lanes, count = REGISTER_BYTES // spikes.itemsize, 0
    whole = size // lanes * lanes
    for n in range(0, whole, lanes):
        # Whole registers are written: at most n were found before, so that they end within `found`.
        count += _noted(found, count, n, _others_than_0(spikes, at + n), spikes)
    for n in range(whole, size):
        found[count] = n
        count += 1 if spikes[at + n] != 0 else 0
    return count


@compiled_within
def who_reached(potentials: Floats, at: int, theta: Floats, found: Ints) -> int:
    """The neurons whose potential, from an index on, is at least their threshold, into `found`; how many there are."""
    lanes, count = REGISTER_BYTES // potentials.itemsize, 0
    whole = theta.size // lanes * lanes
    for n in range(0, whole, lanes):
        count += _noted(found, count, n, _reached(potentials, at + n, theta, n), potentials)
    for n in range(whole, theta.size):
        found[count] = n
        count += 1 if potentials[at + n] >= theta[n] else 0
    return count
