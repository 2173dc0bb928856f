"""The adjoint of `spikebridge.training.fused_forward`: back through all steps with the surrogate's slope for a spike.

Short loops over few arrays, since only those become vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from spikebridge.training.compiled import compiled
from spikebridge.training.fused_types import (
    ARCTAN,
    BIAS,
    BOXCAR,
    DELTA,
    EXPONENTIAL,
    FAST_SIGMOID,
    PULSE,
    TRIANGLE,
    Adjoint,
    Constants,
    Entries,
    Floats,
    Gradients,
    Kind,
    Traces,
    Work,
)


@compiled
def backward(
    first: int, last: int, kind: Kind, constants: Constants, traces: Traces, surrogate: int, width: Any, grad: Gradients
) -> None:
    """Samples `first .. last - 1`; gradients of parameters are added to."""
    steps, size, dtype = traces.due.shape[1], traces.due.shape[2], traces.due.dtype
    nothing, u, slope = np.zeros(size, dtype), np.zeros(size, dtype), np.zeros(size, dtype)
    held, free = np.zeros(size, dtype), np.ones(size, dtype)
    constant, window = constants.bias.copy(), np.zeros(size, dtype)
    step, work = entries(constants.step), Work(np.zeros(size, dtype), np.zeros(size, dtype), np.zeros(size, dtype))
    # A running sum over `pulse_steps` steps needs the values that leave it.
    use = np.zeros((kind.pulse_steps + 1, size), dtype)
    for b in range(first, last):
        g = Adjoint(np.zeros(size, dtype), np.zeros(size, dtype), np.zeros(size, dtype), np.zeros(size, dtype))
        step_sum, jump_sum = np.zeros((12, size), dtype), np.zeros(size, dtype)
        sums, bias_sum = entries(step_sum), step_sum[BIAS]
        use[:], window[:] = 0, 0
        for now in range(steps - 1, -1, -1):
            if kind.refractory_steps > 1:
                frozen = traces.frozen[b, now]
                for n in range(size):
                    held[n] = frozen[n]
                    free[n] = 1 - frozen[n]
            delivered = g.current if kind.synapse == EXPONENTIAL else window if kind.synapse == PULSE else g.u
            grad.due[b, now] = delivered
            if kind.spiking:
                if grad.spikes.size:
                    g.spikes[:] = grad.spikes[b, now]
                else:
                    g.spikes[:] = 0
                add_product(jump_sum, traces.spikes[b, now], g.w)
                reset_adjoint(kind, constants, traces, b, now, held, g, grad.due[b, now])
                slopes(surrogate, width, traces.potentials[b, now], constants.theta, free, slope)
                recurrent_adjoint(constants, now, traces.spikes[b, now], slope, grad.due[b], g.spikes, grad.recurrent)
                add_product(g.u, slope, g.spikes)
            if grad.potentials.size:
                add(g.u, grad.potentials[b, now])
            before_w, before_current = nothing, nothing
            u[:] = 0
            if now > 0:
                state_before(kind, constants, traces, b, now - 1, u)
                before_w = traces.w[b, now - 1] if kind.adaptive else nothing
                before_current = traces.current[b, now - 1] if kind.synapse != DELTA else nothing
            used = use[now % use.shape[0]]
            if kind.synapse == PULSE:
                # use[now] enters the sums of the `pulse_steps` steps before it, use[now + pulse_steps] leaves.
                subtract(window, use[(now + kind.pulse_steps) % use.shape[0]])
                for n in range(size):
                    constant[n] = constants.bias[n] + before_current[n]
            propagate_adjoint(kind, step, constant, free, held, u, before_w, before_current, g, used, sums, work)
            add(bias_sum, used)
            if kind.synapse == PULSE:
                add(window, used)
        grad.step[:] += step_sum
        grad.jump[:] += jump_sum


@compiled
def add(total: Floats, x: Floats) -> None:
    """In place: total + x."""
    for n in range(total.size):
        total[n] += x[n]


@compiled
def subtract(total: Floats, x: Floats) -> None:
    """In place: total - x."""
    for n in range(total.size):
        total[n] -= x[n]


@compiled
def add_product(total: Floats, x: Floats, y: Floats) -> None:
    """In place: total + x y."""
    for n in range(total.size):
        total[n] += x[n] * y[n]


@compiled
def product(result: Floats, x: Floats, y: Floats) -> None:
    """In place: x y."""
    for n in range(result.size):
        result[n] = x[n] * y[n]


@njit(nogil=True, fastmath={"reassoc", "contract"})
def weighted_sum(weights: Floats, row: int, values: Floats) -> Any:
    """Sum of products with a row; the compiler may reorder it, which a gradient allows and vector instructions need."""
    total = weights[row, 0] * values[0]
    for m in range(1, values.size):
        total += weights[row, m] * values[m]
    return total


@compiled
def slopes(name: int, width: Any, potential: Floats, theta: Floats, free: Floats, slope: Floats) -> None:
    """`spikebridge.training.surrogate.DERIVATIVES` of all neurons of a step, 0 where they are refractory."""
    number = slope.dtype.type
    zero, half, one, pi, area = number(0), number(0.5), number(1), number(np.pi), number(0.3989422804014327)
    for n in range(slope.size):
        x = (potential[n] - theta[n]) / width
        size = abs(x)
        if name == BOXCAR:
            value = half if size <= one else zero
        elif name == TRIANGLE:
            value = max(one - size, zero)
        elif name == FAST_SIGMOID:
            value = one / ((one + size) * (one + size))
        elif name == ARCTAN:
            value = one / (one + (pi * x) * (pi * x))
        else:
            value = np.exp(-half * x * x) * area
        slope[n] = value * free[n]


@compiled
def reset_adjoint(
    kind: Kind, constants: Constants, traces: Traces, b: int, now: int, held: Floats, g: Adjoint, due: Floats
) -> None:
    """Back through reset and delivery of one step: `g.u`; `g.spikes` added to; `due` corrected for dropped jumps."""
    one = g.u.dtype.type(1)
    potential, arrivals, spikes = traces.potentials[b, now], traces.due[b, now], traces.spikes[b, now]
    add_product(g.spikes, constants.jump, g.w)
    for n in range(g.u.size):
        f = spikes[n]
        arrives = (one - f) * (one - held[n]) if kind.refractory_steps > 0 else one
        if kind.to_value:
            before = potential[n] + arrivals[n] * arrives if kind.synapse == DELTA else potential[n]
            g.spikes[n] += (kind.reset_value - before) * g.u[n]
            g.u[n] = g.u[n] * (one - f)
        else:
            g.spikes[n] -= constants.theta[n] * g.u[n]
        if kind.synapse == DELTA:
            due[n] = g.u[n] * arrives


@compiled
def recurrent_adjoint(
    constants: Constants, now: int, spikes: Floats, slope: Floats, due: Floats, into: Floats, recurrent: Floats
) -> None:
    """Gradient of spikes through recurrent synapses, where a spike has a slope, and of the weights of who fired."""
    for k in range(constants.lags.size):
        if now + constants.lags[k] >= due.shape[0]:
            continue
        weights, arrived, sums = constants.recurrent[k], due[now + constants.lags[k]], recurrent[k]
        for n in range(spikes.size):
            if slope[n] != 0:
                into[n] += weighted_sum(weights, n, arrived)
            if spikes[n] != 0:
                add(sums[n], arrived)


@compiled
def state_before(kind: Kind, constants: Constants, traces: Traces, b: int, now: int, u: Floats) -> None:
    """The potential at the end of step `now`, from that after its propagation."""
    one = u.dtype.type(1)
    potential, arrivals, spikes = traces.potentials[b, now], traces.due[b, now], traces.spikes[b, now]
    u[:] = potential
    if kind.synapse == DELTA and kind.refractory_steps > 1:
        frozen = traces.frozen[b, now]
        for n in range(u.size):
            u[n] += arrivals[n] * (one - spikes[n]) * (one - frozen[n])
    elif kind.synapse == DELTA:
        for n in range(u.size):
            u[n] += arrivals[n] * (one - spikes[n]) if kind.refractory_steps == 1 else arrivals[n]
    for n in range(u.size):
        after = kind.reset_value if kind.to_value else u[n] - constants.theta[n]
        u[n] = after if spikes[n] != 0 else u[n]


@compiled
def entries(rows: Floats) -> Entries:
    """Views of the rows of an array of propagator entries."""
    return Entries(rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7], rows[8], rows[9], rows[10])


@compiled
def propagate_adjoint(
    kind: Kind,
    step: Entries,
    constant: Floats,
    free: Floats,
    held: Floats,
    u: Floats,
    w: Floats,
    current: Floats,
    g: Adjoint,
    use: Floats,
    sums: Entries,
    work: Work,
) -> None:
    """Back through one exact step, from the state before it; `sums` are added to, `use` is set for the constant."""
    a, b, stuck = work.a, work.b, work.stuck
    product(a, g.u, free)
    add_product(sums.u_u, a, u)
    add_product(sums.u_c, a, constant)
    product(use, step.u_c, a)
    product(g.u, g.u, held)
    add_product(g.u, step.u_u, a)
    if kind.adaptive:
        product(b, g.w, free)
        product(stuck, g.w, held)
        add_product(sums.u_w, a, w)
        add_product(sums.w_u, b, u)
        add_product(sums.w_w, b, w)
        add_product(sums.w_c, b, constant)
        add_product(sums.frozen_w_u, stuck, u)
        add_product(sums.frozen_w_w, stuck, w)
        add_product(use, step.w_c, b)
        add_product(g.u, step.w_u, b)
        add_product(g.u, step.frozen_w_u, stuck)
        product(g.w, step.u_w, a)
        add_product(g.w, step.w_w, b)
        add_product(g.w, step.frozen_w_w, stuck)
    if kind.synapse == EXPONENTIAL:
        add_product(sums.i_i, g.current, current)
        add_product(sums.u_i, a, current)
        product(g.current, g.current, step.i_i)
        add_product(g.current, step.u_i, a)
        if kind.adaptive:
            add_product(sums.w_i, b, current)
            add_product(g.current, step.w_i, b)
