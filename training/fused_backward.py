"""The adjoint of `spikebridge.training.fused_forward`: back through all steps with the surrogate's slope for a spike.

Short loops over few arrays, since only those become vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from spikebridge.training.fused_types import (
    ARCTAN,
    BIAS,
    BOXCAR,
    DELTA,
    EXPONENTIAL,
    FAST_SIGMOID,
    FROZEN_W_U,
    FROZEN_W_W,
    I_I,
    PULSE,
    TRIANGLE,
    U_C,
    U_I,
    U_U,
    U_W,
    W_C,
    W_I,
    W_U,
    W_W,
    Adjoint,
    Constants,
    Floats,
    Gradients,
    Kind,
    Traces,
)


@njit(nogil=True, cache=True)
def backward(
    first: int, last: int, kind: Kind, constants: Constants, traces: Traces, surrogate: int, width: Any, grad: Gradients
) -> None:
    """Samples `first .. last - 1`; gradients of parameters are added to."""
    steps, size, dtype = traces.due.shape[1], traces.due.shape[2], traces.due.dtype
    nothing, u, slope = np.zeros(size, dtype), np.zeros(size, dtype), np.zeros(size, dtype)
    held, free, work = np.zeros(size, dtype), np.ones(size, dtype), np.zeros((3, size), dtype)
    constant, window = constants.bias.copy(), np.zeros(size, dtype)
    # A running sum over `pulse_steps` steps needs the values that leave it.
    use = np.zeros((kind.pulse_steps + 1, size), dtype)
    for b in range(first, last):
        g = Adjoint(np.zeros(size, dtype), np.zeros(size, dtype), np.zeros(size, dtype), np.zeros(size, dtype))
        step_sum, jump_sum = np.zeros((12, size), dtype), np.zeros(size, dtype)
        use[:], window[:] = 0, 0
        for now in range(steps - 1, -1, -1):
            if kind.refractory_steps > 1:
                held[:] = traces.frozen[b, now]
                free[:] = 1 - held
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
                constant[:] = constants.bias + before_current
            propagate_adjoint(
                kind, constants.step, constant, free, held, u, before_w, before_current, g, used, step_sum, work
            )
            if kind.synapse == PULSE:
                add(window, used)
        grad.step[:] += step_sum
        grad.jump[:] += jump_sum


@njit(nogil=True, cache=True)
def add(total: Floats, x: Floats) -> None:
    """In place: total + x."""
    for n in range(total.size):
        total[n] += x[n]


@njit(nogil=True, cache=True)
def subtract(total: Floats, x: Floats) -> None:
    """In place: total - x."""
    for n in range(total.size):
        total[n] -= x[n]


@njit(nogil=True, cache=True)
def add_product(total: Floats, x: Floats, y: Floats) -> None:
    """In place: total + x y."""
    for n in range(total.size):
        total[n] += x[n] * y[n]


@njit(nogil=True, cache=True)
def product(result: Floats, x: Floats, y: Floats) -> None:
    """In place: x y."""
    for n in range(result.size):
        result[n] = x[n] * y[n]


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def weighted_sum(weights: Floats, values: Floats) -> Any:
    """Sum of products; the compiler may reorder it, which a gradient allows and vector instructions need."""
    total = weights[0] * values[0]
    for m in range(1, weights.size):
        total += weights[m] * values[m]
    return total


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def recurrent_adjoint(
    constants: Constants, now: int, spikes: Floats, slope: Floats, due: Floats, into: Floats, recurrent: Floats
) -> None:
    """Gradient of spikes through recurrent synapses, where a spike has a slope, and of the weights of who fired."""
    for n in range(spikes.size):
        if slope[n] == 0 and spikes[n] == 0:
            continue
        for k in range(constants.lags.size):
            arrives = now + constants.lags[k]
            if arrives < due.shape[0]:
                into[n] += weighted_sum(constants.recurrent[k, n], due[arrives])
                if spikes[n] != 0:
                    add(recurrent[k, n], due[arrives])


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def propagate_adjoint(
    kind: Kind,
    step: Floats,
    constant: Floats,
    free: Floats,
    held: Floats,
    u: Floats,
    w: Floats,
    current: Floats,
    g: Adjoint,
    use: Floats,
    total: Floats,
    work: Floats,
) -> None:
    """Back through one exact step, from the state before it; `total` (12, n) is added to, `use` for the constant."""
    a, b, stuck = work[0], work[1], work[2]
    product(a, g.u, free)
    add_product(total[U_U], a, u)
    add_product(total[U_C], a, constant)
    product(use, step[U_C], a)
    product(g.u, g.u, held)
    add_product(g.u, step[U_U], a)
    if kind.adaptive:
        product(b, g.w, free)
        product(stuck, g.w, held)
        for row, x, y in ((U_W, a, w), (W_U, b, u), (W_W, b, w), (W_C, b, constant)):
            add_product(total[row], x, y)
        add_product(total[FROZEN_W_U], stuck, u)
        add_product(total[FROZEN_W_W], stuck, w)
        add_product(use, step[W_C], b)
        add_product(g.u, step[W_U], b)
        add_product(g.u, step[FROZEN_W_U], stuck)
        product(g.w, step[U_W], a)
        add_product(g.w, step[W_W], b)
        add_product(g.w, step[FROZEN_W_W], stuck)
    add(total[BIAS], use)
    if kind.synapse == EXPONENTIAL:
        add_product(total[I_I], g.current, current)
        add_product(total[U_I], a, current)
        product(g.current, g.current, step[I_I])
        add_product(g.current, step[U_I], a)
        if kind.adaptive:
            add_product(total[W_I], b, current)
            add_product(g.current, step[W_I], b)
