"""What the kernels of the neuron model share: parameters by name, the surrogate's slope, recurrent synapses."""

from typing import Any

import triton.language as tl

from spikebridge.training.triton_jit import kernel
from spikebridge.training.triton_types import Entries


@kernel
def row_of(table: tl.tensor, row: tl.constexpr, n: tl.tensor, size: tl.constexpr) -> Any:
    """A row of a table (rows, size) for the neurons `n`, as (1, neurons)."""
    return tl.load(table + row * size + n, mask=n < size, other=0.0)[None, :]


@kernel
def entries(parameters: tl.tuple, n: tl.tensor, size: tl.constexpr) -> Any:
    """The parameters of the neurons `n`."""
    step, vectors = parameters.step, parameters.vectors
    return Entries(
        row_of(step, 0, n, size),
        row_of(step, 1, n, size),
        row_of(step, 2, n, size),
        row_of(step, 3, n, size),
        row_of(step, 4, n, size),
        row_of(step, 5, n, size),
        row_of(step, 6, n, size),
        row_of(step, 7, n, size),
        row_of(step, 8, n, size),
        row_of(step, 9, n, size),
        row_of(step, 10, n, size),
        row_of(vectors, 0, n, size),
        row_of(vectors, 1, n, size),
        row_of(vectors, 2, n, size),
    )


@kernel
def slope(distance: tl.tensor, kind: tl.constexpr) -> Any:
    """`spikebridge.training.surrogate.DERIVATIVES` of a distance to threshold."""
    x = distance / kind.width
    if kind.surrogate == 0:
        value = tl.where(tl.abs(x) <= 1, 0.5, 0.0).to(x.dtype)
    elif kind.surrogate == 1:
        value = tl.maximum(1 - tl.abs(x), 0.0)
    elif kind.surrogate == 2:
        value = 1 / ((1 + tl.abs(x)) * (1 + tl.abs(x)))
    elif kind.surrogate == 3:
        value = 1 / (1 + (3.141592653589793 * x) * (3.141592653589793 * x))
    else:
        value = tl.exp(-0.5 * x * x) * 0.3989422804014327
    return value


@kernel
def recurrent_product(
    total: tl.tensor,
    trace: tl.tensor,
    first: tl.tensor,
    there: tl.tensor,
    weights: tl.tensor,
    n: tl.tensor,
    size: tl.constexpr,
    tile: tl.constexpr,
) -> Any:
    """`total` (rows, columns) plus rows of a trace times weights (size, size), in full precision.

    `first` (rows,) is where a row of the trace begins, `there` (rows,) whether it exists. Other threads of the program
    wrote it, so there is a barrier first. Some numbers of a row at a time, since registers hold no more.
    """
    tl.debug_barrier()
    for start in range(0, tile.columns, tile.depth):
        k = start + tl.arange(0, tile.depth)
        left = tl.load(trace + first[:, None] + k[None, :], mask=there[:, None] & (k < size)[None, :], other=0.0)
        inside = (k < size)[:, None] & (n < size)[None, :]
        right = tl.load(weights + k[:, None] * size + n[None, :], mask=inside, other=0.0)
        total = tl.dot(left, right, total, input_precision="ieee", out_dtype=total.dtype)
    return total
