"""One population over all steps as one kernel: `spikebridge.training.scan` forwards.

A program runs some neurons of some samples through time, with the state in registers. With recurrence it has all
neurons of its samples, and reads back the spikes it has just written; programs never wait for each other.
"""

from typing import Any

import triton.language as tl

from spikebridge.training.triton_jit import kernel
from spikebridge.training.triton_step import entries, recurrent_product


@kernel
def run_forward(
    p: tl.tuple, traces: tl.tuple, batch: tl.tensor, kind: tl.constexpr, tile: tl.constexpr, keep: tl.constexpr
) -> None:
    """Fill the `traces` of `batch` samples; with `keep` also what the way back needs."""
    b = tl.program_id(0) * tile.rows + tl.arange(0, tile.rows)
    n = tl.program_id(1) * tile.columns + tl.arange(0, tile.columns)
    inside = (b < batch)[:, None] & (n < kind.size)[None, :]
    sample = b.to(tl.int64) * (kind.steps * kind.size)
    e = entries(p, n, kind.size)
    shape: tl.constexpr = (tile.rows, tile.columns)
    u = tl.zeros(shape, traces.raw.dtype.element_ty)
    w, current, fires = u, u, u
    wait = tl.zeros(shape, tl.int32)
    for now in range(kind.steps):
        here = sample[:, None] + (now * kind.size + n)[None, :]
        if kind.waits:
            wait = tl.maximum(wait - 1, 0)
        u, w = propagated(u, w, current, wait, e, kind)
        tl.store(traces.potentials + here, u, mask=inside)
        if kind.freezes and keep:
            tl.store(traces.held + here, (wait > 0).to(tl.int8), mask=inside)
        if kind.spiking:
            fires = ((u >= e.theta) & (wait == 0)).to(u.dtype)
            tl.store(traces.spikes + here, fires, mask=inside)
            if kind.waits:
                wait = tl.where(fires > 0, kind.refractory_steps, wait)
        due = tl.load(traces.raw + here, mask=inside, other=0.0)
        if kind.lag >= 0:
            first, there = sample + (now - kind.lag) * kind.size, (b < batch) & (now >= kind.lag)
            due = recurrent_product(due, traces.spikes, first, there, p.recurrent, n, kind.size, tile)
            if keep or kind.long_pulses:
                tl.store(traces.due + here, due, mask=inside)
        if kind.jumps:
            u = tl.where(wait > 0, u, u + due)
            if keep:
                tl.store(traces.reached + here, u, mask=inside)
        else:
            ended = traces.due + here - kind.pulse_steps * kind.size
            current = current_after(current, due, ended, inside & (now >= kind.pulse_steps), e, kind)
            if keep and (kind.decays or kind.long_pulses):
                tl.store(traces.current + here, current, mask=inside)
        if kind.spiking:
            u = tl.where(fires > 0, kind.reset_value, u) if kind.to_value else tl.where(fires > 0, u - e.theta, u)
            if kind.adaptive:
                w = tl.where(fires > 0, w + e.jump, w)
        if keep and kind.adaptive:
            tl.store(traces.w + here, w, mask=inside)


@kernel
def propagated(u: tl.tensor, w: tl.tensor, current: tl.tensor, wait: tl.tensor, e: tl.tuple, kind: tl.constexpr) -> Any:
    """The potential and the adaptation after one exact step; frozen neurons keep the potential."""
    new_u = e.u_u * u
    new_w = w
    if kind.adaptive:
        new_u = new_u + e.u_w * w
        new_w = e.w_u * u + e.w_w * w
    if kind.decays:
        new_u = new_u + e.u_i * current
        if kind.adaptive:
            new_w = new_w + e.w_i * current
    constant = e.bias + current if kind.pulses else e.bias
    new_u = new_u + e.u_c * constant
    if kind.adaptive:
        new_w = new_w + e.w_c * constant
    if kind.freezes:
        new_u = tl.where(wait > 0, u, new_u)
        if kind.adaptive:
            new_w = tl.where(wait > 0, e.frozen_w_u * u + e.frozen_w_w * w, new_w)
    return new_u, new_w


@kernel
def current_after(
    current: tl.tensor, due: tl.tensor, ended: tl.tensor, ends: tl.tensor, e: tl.tuple, kind: tl.constexpr
) -> Any:
    """The current with what arrives; `ended` points to the arrivals whose pulses end where `ends` is true."""
    if kind.decays:
        current = e.i_i * current + due
    elif kind.long_pulses:
        current = current + due - tl.load(ended, mask=ends, other=0.0)
    else:
        current = due
    return current
