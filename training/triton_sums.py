"""Gradients of a population's parameters from the traces of both ways: sums over samples and steps.

A program sums up some rows (a row is a step of a sample) for some neurons; the sums of programs are added afterwards,
always in the same order.
"""

import triton.language as tl

from spikebridge.training.triton_jit import kernel
from spikebridge.training.triton_step import row_of

SUMS = 13
"""Rows of the result: gradients of the eleven entries of the propagator, of the bias and of the adaptation jump."""


@kernel
def add_up(
    p: tl.tuple,
    traces: tl.tuple,
    g: tl.tuple,
    result: tl.tensor,
    total: tl.tensor,
    kind: tl.constexpr,
    tile: tl.constexpr,
    chunk: tl.constexpr,
) -> None:
    """Write `result` (programs, SUMS, size) from `total` rows of the traces, `chunk` rows per program."""
    n = tl.program_id(1) * tile.columns + tl.arange(0, tile.columns)
    bias, theta = row_of(p.vectors, 0, n, kind.size), row_of(p.vectors, 1, n, kind.size)
    u_c, w_c = row_of(p.step, 3, n, kind.size), row_of(p.step, 7, n, kind.size)
    shape: tl.constexpr = (tile.rows, tile.columns)
    zero = tl.zeros(shape, traces.raw.dtype.element_ty)
    a_u, a_w, a_i, a_c, b_u, b_w, b_i, b_c = zero, zero, zero, zero, zero, zero, zero, zero
    c_i, held_u, held_w, shared, jumps, b, w, held, current = zero, zero, zero, zero, zero, zero, zero, zero, zero
    for start in range(0, chunk, tile.rows):
        row = tl.program_id(0) * chunk + start + tl.arange(0, tile.rows)
        inside = (row < total)[:, None] & (n < kind.size)[None, :]
        here = row.to(tl.int64)[:, None] * kind.size + n[None, :]
        # The state before the step; 0 before the first.
        there = inside & (row % kind.steps > 0)[:, None]
        u = tl.load(traces.reached + here - kind.size, mask=there, other=0.0)
        if kind.spiking:
            fired = tl.load(traces.spikes + here - kind.size, mask=there, other=0.0)
            u = tl.where(fired > 0, kind.reset_value, u) if kind.to_value else u - theta * fired
        if not kind.jumps:
            current = tl.load(traces.current + here - kind.size, mask=there, other=0.0)
        constant = bias + current if kind.pulses else bias + zero
        a = tl.load(g.u + here, mask=inside, other=0.0)
        if kind.freezes:
            held = tl.load(traces.held + here, mask=inside, other=0).to(a.dtype)
        if kind.adaptive:
            b = tl.load(g.w + here, mask=inside, other=0.0)
            w = tl.load(traces.w + here - kind.size, mask=there, other=0.0)
            jumps += b * tl.load(traces.spikes + here, mask=inside, other=0.0)
            held_u, held_w = held_u + held * b * u, held_w + held * b * w
            b = b - held * b
        a = a - held * a
        a_u, a_w, a_c = a_u + a * u, a_w + a * w, a_c + a * constant
        b_u, b_w, b_c = b_u + b * u, b_w + b * w, b_c + b * constant
        if kind.decays:
            a_i, b_i = a_i + a * current, b_i + b * current
            c_i += current * tl.load(g.due + here, mask=inside, other=0.0)
        shared += u_c * a + w_c * b
    into, some = result + tl.program_id(0) * 13 * kind.size + n, n < kind.size
    parts = (a_u, a_w, a_i, a_c, b_u, b_w, b_i, b_c, c_i, held_u, held_w, shared, jumps)
    for number in tl.static_range(13):
        tl.store(into + number * kind.size, tl.sum(parts[number], axis=0), mask=some)
