"""Kernels of a projection whose synapses have few delays: numbers are fetched from where they were some steps before.

A multiprocessor does 128 multiply-adds or 32 loads per cycle, so that one whose operand is fetched costs about four
dense ones: few delays of many are fetched, and everything else is a dense convolution.
"""

import triton.language as tl

from spikebridge.training.triton_jit import kernel


@kernel
def gather(
    inputs: tl.tensor,
    values: tl.tensor,
    lag: tl.tensor,
    result: tl.tensor,
    sources: tl.constexpr,
    targets: tl.constexpr,
    steps: tl.constexpr,
    taps: tl.constexpr,
    sign: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """`result[b, j, t]`, the sum over sources i and taps m of `values[m, i, j] inputs[b, i, t + sign (lag[i, j] + m)]`.

    Time comes last in inputs (batch, sources, steps) and result (batch, targets, steps), so that threads next to each
    other read numbers next to each other. `values` (taps, sources, targets), `lag` (sources, targets).
    """
    b = tl.program_id(0).to(tl.int64)
    j = tl.program_id(1) * rows + tl.arange(0, rows)
    t = tl.program_id(2) * columns + tl.arange(0, columns)
    shape: tl.constexpr = (rows, columns)
    total = tl.zeros(shape, values.dtype.element_ty)
    for i in range(sources):
        first = tl.load(lag + i * targets + j, mask=j < targets, other=0)
        line = inputs + b * (sources * steps) + i * steps
        for m in range(taps):
            weight = tl.load(values + (m * sources + i) * targets + j, mask=j < targets, other=0.0)
            at = t[None, :] + sign * (first[:, None] + m)
            total += weight[:, None] * tl.load(line + at, mask=(at >= 0) & (at < steps), other=0.0)
    there = (j < targets)[:, None] & (t < steps)[None, :]
    tl.store(result + b * (targets * steps) + j[:, None] * steps + t[None, :], total, mask=there)


@kernel
def correlate(
    inputs: tl.tensor,
    given: tl.tensor,
    lag: tl.tensor,
    result: tl.tensor,
    batch: tl.tensor,
    sources: tl.constexpr,
    targets: tl.constexpr,
    steps: tl.constexpr,
    taps: tl.constexpr,
    samples: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """`result[part, m, i, j]`, the sum over t of `given[b, j, t] inputs[b, i, t - lag[i, j] - m]` and some samples b.

    The gradient of `values` of `gather`. A program has `samples` samples; rows of a tile are pairs of tap and target.
    """
    i = tl.program_id(0)
    row = tl.program_id(1) * rows + tl.arange(0, rows)
    m, j = row // targets, row % targets
    real = row < taps * targets
    late = tl.load(lag + i * targets + j, mask=real, other=0) + m
    shape: tl.constexpr = (rows, columns)
    total = tl.zeros(shape, given.dtype.element_ty)
    for k in range(samples):
        b = (tl.program_id(2) * samples + k).to(tl.int64)
        for start in range(0, steps, columns):
            t = start + tl.arange(0, columns)
            there = real[:, None] & (t < steps)[None, :] & (b < batch)
            at = t[None, :] - late[:, None]
            before = tl.load(inputs + (b * sources + i) * steps + at, mask=there & (at >= 0), other=0.0)
            total += before * tl.load(given + (b * targets + j[:, None]) * steps + t[None, :], mask=there, other=0.0)
    into = ((tl.program_id(2) * taps + m) * sources + i) * targets + j
    tl.store(result + into, tl.sum(total, axis=1), mask=real)
