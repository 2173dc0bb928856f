"""Memory that is asked for before it is needed, where the processor cannot guess it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spikebridge.training.compiled import compiled_within
from spikebridge.training.fused_types import Floats


def _fetch_early(_context: Any, array: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        prefetch = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
            builder.module, kind, "llvm.prefetch.p0"
        )
        builder.call(prefetch, [place, *(ir.Constant(number, k) for k in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), code


fetch_early: Callable[..., Any] = intrinsic(_fetch_early)
"""`fetch_early(array, at)`: ask for the cache line at an index, some time before it is read."""


@compiled_within
def fetch_row_early(b: int, now: int, trace: Floats) -> None:
    """Ask for a row that the next step reads: rows of a step lie too far apart for the processor to guess it."""
    size, line = trace.shape[2], 64 // trace.itemsize
    at = (b * trace.shape[1] + now) * size
    for n in range(0, size, line):
        fetch_early(trace, at + n)
