"""The adjoint of `spikebridge.training.triton_forward`: back through all steps with the surrogate's slope for a spike.

It writes the gradients of the arrivals, and of u and w after each propagation, from which `triton_sums` makes those of
the parameters: these sums need no order in time, and the loop over time keeps its registers.
"""

from typing import Any

import triton.language as tl

from spikebridge.training.triton_jit import kernel
from spikebridge.training.triton_step import entries, recurrent_product, slope


@kernel
def run_backward(
    p: tl.tuple,
    traces: tl.tuple,
    g: tl.tuple,
    batch: tl.tensor,
    kind: tl.constexpr,
    tile: tl.constexpr,
    wanted: tl.constexpr,
) -> None:
    """Fill `g` for `batch` samples; `wanted`: of spikes given, of potentials given, of parameters asked for."""
    b = tl.program_id(0) * tile.rows + tl.arange(0, tile.rows)
    n = tl.program_id(1) * tile.columns + tl.arange(0, tile.columns)
    inside = (b < batch)[:, None] & (n < kind.size)[None, :]
    sample = b.to(tl.int64) * (kind.steps * kind.size)
    e = entries(p, n, kind.size)
    shape: tl.constexpr = (tile.rows, tile.columns)
    g_u = tl.zeros(shape, traces.raw.dtype.element_ty)
    g_w, g_current, g_spikes, fired, held = g_u, g_u, g_u, g_u, g_u
    for back in range(kind.steps):
        now = kind.steps - 1 - back
        here = sample[:, None] + (now * kind.size + n)[None, :]
        if kind.freezes:
            held = tl.load(traces.held + here, mask=inside, other=0).to(g_u.dtype)
        if kind.spiking:
            fired = tl.load(traces.spikes + here, mask=inside, other=0.0)
            g_spikes = tl.load(g.of_spikes + here, mask=inside, other=0.0) if wanted[0] else tl.zeros_like(g_u)
            g_u, g_spikes = before_reset(g_u, g_w, g_spikes, fired, traces.reached + here, inside, e, kind)
        g_due = g_current
        if kind.jumps:
            g_due = g_u * (1 - fired) * (1 - held) if kind.refractory_steps > 0 else g_u
        tl.store(g.due + here, g_due, mask=inside)
        if kind.lag >= 0:
            first, there = sample + (now + kind.lag) * kind.size, (b < batch) & (now + kind.lag < kind.steps)
            g_spikes = recurrent_product(g_spikes, g.due, first, there, p.recurrent, n, kind.size, tile)
        if kind.spiking:
            lean = slope(tl.load(traces.potentials + here, mask=inside, other=0.0) - e.theta, kind)
            g_u = g_u + (lean if kind.slope_while_frozen else lean * (1 - held)) * g_spikes
        if wanted[1]:
            g_u = g_u + tl.load(g.of_potentials + here, mask=inside, other=0.0)
        if wanted[2]:
            tl.store(g.u + here, g_u, mask=inside)
            if kind.adaptive:
                tl.store(g.w + here, g_w, mask=inside)
        later = g.constant + here + kind.pulse_steps * kind.size
        ends = inside & (now + kind.pulse_steps < kind.steps)
        g_u, g_w, g_current = before_step(g_u, g_w, g_current, held, g.constant + here, inside, later, ends, e, kind)


@kernel
def before_reset(
    g_u: tl.tensor,
    g_w: tl.tensor,
    g_spikes: tl.tensor,
    fired: tl.tensor,
    reached: tl.tensor,
    inside: tl.tensor,
    e: tl.tuple,
    kind: tl.constexpr,
) -> Any:
    """Back through the reset: gradients of the potential before it, and of the spikes."""
    if kind.adaptive:
        g_spikes = g_spikes + e.jump * g_w
    if kind.to_value:
        u = tl.load(reached, mask=inside, other=0.0)
        g_spikes = g_spikes - (u - kind.reset_value) * g_u
        g_u = g_u * (1 - fired)
    else:
        g_spikes = g_spikes - e.theta * g_u
    return g_u, g_spikes


@kernel
def before_step(
    g_u: tl.tensor,
    g_w: tl.tensor,
    g_current: tl.tensor,
    held: tl.tensor,
    constant: tl.tensor,
    inside: tl.tensor,
    later: tl.tensor,
    ends: tl.tensor,
    e: tl.tuple,
    kind: tl.constexpr,
) -> Any:
    """Back through one exact step. A frozen neuron keeps its u, and its w goes on by itself.

    A long pulse is in the constant current of as many steps as it lasts: of their sum one gradient, at `constant`, is
    the first and one, at `later`, is no part any more.
    """
    free_u, free_w = (g_u - held * g_u, g_w - held * g_w) if kind.freezes else (g_u, g_w)
    g_constant = e.u_c * free_u + e.w_c * free_w if kind.adaptive else e.u_c * free_u
    if kind.decays:
        g_current = e.i_i * g_current + e.u_i * free_u
        if kind.adaptive:
            g_current = g_current + e.w_i * free_w
    elif kind.long_pulses:
        tl.store(constant, g_constant, mask=inside)
        g_current = g_current + g_constant - tl.load(later, mask=ends, other=0.0)
    else:
        g_current = g_constant
    new_u = e.u_u * free_u + e.w_u * free_w if kind.adaptive else e.u_u * free_u
    new_w = e.u_w * free_u + e.w_w * free_w if kind.adaptive else g_w
    if kind.freezes:
        new_u = new_u + held * g_u
        if kind.adaptive:
            new_u = new_u + e.frozen_w_u * (held * g_w)
            new_w = new_w + e.frozen_w_w * (held * g_w)
    return new_u, new_w, g_current
