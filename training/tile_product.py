"""Products of small dense matrices within compiled loops, on the thread that calls.

A recurrent population needs one product per step on the way back. BLAS has threads and locks of its own, which fight
with those of `spikebridge.training.threads`; PyTorch cannot be called from a compiled loop. So one tile of the result
is kept in registers here, which plain loops do not achieve: vector instructions are written down for the compiler. The
order of sums depends on the shape alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikebridge.training.compiled import compiled, compiled_within

WIDE = bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))
TILE_ROWS, TILE_VECTORS, VECTOR_BYTES = (8, 2, 64) if WIDE else (4, 2, 32)
"""Accumulators fill half of the vector registers: 32 with AVX-512, 16 without."""


class _Tile(NamedTuple):
    """What the generated code works with: vectors of `kind`, and how to find, load and fuse them."""

    builder: Any
    element: Any
    vector: Any
    lanes: int
    itemsize: int

    def place(self, array: Any, *index: Any) -> Any:
        """Pointer to an entry of a contiguous array, from its LLVM value and index."""
        shape = cgutils.unpack_tuple(self.builder, array.shape)
        offset = index[0]
        for extent, i in zip(shape[1:], index[1:], strict=True):
            offset = self.builder.add(self.builder.mul(offset, extent), i)
        return self.builder.gep(array.data, [offset])

    def part(self, pointer: Any, number: int) -> Any:
        """Pointer to the vector `number` from there."""
        moved = self.builder.gep(pointer, [ir.Constant(ir.IntType(64), number * self.lanes)])
        return self.builder.bitcast(moved, self.vector.as_pointer())

    def same(self, pointer: Any) -> Any:
        """A vector whose lanes are all the number at a pointer."""
        number, first = self.builder.load(pointer), ir.Constant(ir.IntType(32), 0)
        one = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), number, first)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(self.vector, ir.Undefined), lanes)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c, in one instruction where there is one."""
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self.itemsize}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), [a, b, c])


def _generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
    kinds = signature.args[:3]
    into, left, panels = (
        context.make_array(kind)(context, builder, value) for kind, value in zip(kinds, arguments[:3], strict=True)
    )
    row, panel = arguments[3:]
    element = context.get_data_type(kinds[0].dtype)
    itemsize = kinds[0].dtype.bitwidth // 8
    lanes = VECTOR_BYTES // itemsize
    tile = _Tile(builder, element, ir.VectorType(element, lanes), lanes, itemsize)
    zero = ir.Constant(ir.IntType(64), 0)
    column = builder.mul(panel, ir.Constant(ir.IntType(64), TILE_VECTORS * lanes))
    rows = [builder.add(row, ir.Constant(ir.IntType(64), k)) for k in range(TILE_ROWS)]
    ends = [tile.place(into, r, column) for r in rows]
    sums = [[cgutils.alloca_once(builder, tile.vector) for _ in range(TILE_VECTORS)] for _ in rows]
    for end, of_row in zip(ends, sums, strict=True):
        for v, total in enumerate(of_row):
            builder.store(builder.load(tile.part(end, v), align=itemsize), total)
    starts = [tile.place(left, r, zero) for r in rows]
    with cgutils.for_range(builder, cgutils.unpack_tuple(builder, panels.shape)[1]) as loop:
        from_panel = tile.place(panels, panel, loop.index, zero)
        right = [builder.load(tile.part(from_panel, v), align=itemsize) for v in range(TILE_VECTORS)]
        for start, of_row in zip(starts, sums, strict=True):
            factor = tile.same(builder.gep(start, [loop.index]))
            for value, total in zip(right, of_row, strict=True):
                builder.store(tile.fused(factor, value, builder.load(total)), total)
    for end, of_row in zip(ends, sums, strict=True):
        for v, total in enumerate(of_row):
            builder.store(builder.load(total), tile.part(end, v), align=itemsize)
    return context.get_dummy_value()


@intrinsic
def _add_tile(typing: Any, into: Any, left: Any, panels: Any, row: Any, panel: Any) -> Any:
    """Add the product of `TILE_ROWS` rows of `left` with one panel; contiguous arrays of one floating point type."""
    return types.void(into, left, panels, types.int64, types.int64), _generate


def panel_width(dtype: np.dtype[Any]) -> int:
    """Columns of a panel; what `add_product` adds to has a multiple of it."""
    return TILE_VECTORS * VECTOR_BYTES // dtype.itemsize


def padded(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple


def panels_of(matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A matrix (depth, columns) as `add_product` reads it: (panels, depth, panel width), filled up with 0."""
    depth, columns = matrix.shape
    width = panel_width(matrix.dtype)
    whole = np.zeros((depth, padded(columns, width)), matrix.dtype)
    whole[:, :columns] = matrix
    return np.ascontiguousarray(whole.reshape(depth, -1, width).swapaxes(0, 1))


def panels_across(matrices: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Square matrices (count, n, n) as `add_product` reads their transposes: (count, panels, n, panel width)."""
    count, size, width = *matrices.shape[:2], panel_width(matrices.dtype)
    panels = np.empty((count, padded(size, width) // width, size, width), matrices.dtype)
    panels[:, size // width :] = 0
    _across(matrices, panels)
    return panels


@compiled
def _across(matrices: npt.NDArray[Any], panels: npt.NDArray[Any]) -> None:
    width = panels.shape[3]
    for k in range(matrices.shape[0]):
        for column in range(matrices.shape[1]):
            for row in range(matrices.shape[2]):
                panels[k, column // width, row, column % width] = matrices[k, column, row]


@compiled_within
def add_product(into: npt.NDArray[Any], left: npt.NDArray[Any], panels: npt.NDArray[Any]) -> None:
    """`into` + `left` times the matrix of the panels, in place.

    Args:
        into: (rows, columns), contiguous: rows a multiple of `TILE_ROWS`, columns panels times panel width.
        left: (rows, at least depth), contiguous.
        panels: see `panels_of`.
    """
    for panel in range(panels.shape[0]):
        for row in range(0, into.shape[0], TILE_ROWS):
            _add_tile(into, left, panels, row, panel)  # type: ignore[call-arg]  # numba passes its context itself
