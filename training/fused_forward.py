"""One population over all steps, compiled. The order of operations is that of `spikebridge.bridge.reference`.

So in float64 with exported weights the bits are the same. A step is a few loops over neurons without branches inside,
which the compiler turns into vector instructions; Python's lock is released, so that blocks of samples run on threads.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikebridge.training.compiled import compiled
from spikebridge.training.fused_types import (
    DELTA,
    EXPONENTIAL,
    FROZEN_W_U,
    FROZEN_W_W,
    I_I,
    PULSE,
    U_C,
    U_I,
    U_U,
    U_W,
    W_C,
    W_I,
    W_U,
    W_W,
    Constants,
    Floats,
    Kind,
    State,
    Traces,
)

NEVER = -(1 << 30)


@compiled
def forward(first: int, last: int, kind: Kind, constants: Constants, traces: Traces) -> None:
    """Run samples `first .. last - 1`; `traces.due` holds the external arrivals and is completed."""
    steps, size = traces.due.shape[1], traces.due.shape[2]
    dtype = traces.due.dtype
    last_spike = np.empty(size, np.int64)
    for b in range(first, last):
        state = State(np.zeros(size, dtype), np.zeros(size, dtype), np.zeros(size, dtype), np.ones(size, dtype))
        last_spike[:] = NEVER
        for now in range(steps):
            if kind.refractory_steps > 1:
                for n in range(size):
                    state.free[n] = now - last_spike[n] >= kind.refractory_steps
                    traces.frozen[b, now, n] = now - last_spike[n] < kind.refractory_steps
            propagate(kind, constants.step, constants.bias, state.u, state.w, state.current, state.free)
            for n in range(size):
                traces.potentials[b, now, n] = state.u[n]
            if kind.spiking:
                fire(constants, now, state, last_spike, traces.spikes[b, now], traces.due[b])
            deliver(kind, now, traces.due[b], state, last_spike)
            if kind.spiking:
                reset(kind, constants, state, traces.spikes[b, now])
            if traces.w.size:
                for n in range(size):
                    traces.w[b, now, n] = state.w[n]
            if traces.current.size:
                for n in range(size):
                    traces.current[b, now, n] = state.current[n]


@compiled
def propagate(kind: Kind, step: Floats, bias: Floats, u: Floats, w: Floats, current: Floats, free: Floats) -> None:
    """One exact step of one sample."""
    for n in range(u.size):
        constant = bias[n] + current[n] if kind.synapse == PULSE else bias[n]
        new_u = step[U_U, n] * u[n]
        new_w = w[n]
        if kind.adaptive:
            new_u = new_u + step[U_W, n] * w[n]
            new_w = step[W_U, n] * u[n] + step[W_W, n] * w[n]
        if kind.synapse == EXPONENTIAL:
            new_u = new_u + step[U_I, n] * current[n]
            if kind.adaptive:
                new_w = new_w + step[W_I, n] * current[n]
            current[n] = step[I_I, n] * current[n]
        new_u = new_u + step[U_C, n] * constant
        if kind.adaptive:
            new_w = new_w + step[W_C, n] * constant
            held = step[FROZEN_W_U, n] * u[n] + step[FROZEN_W_W, n] * w[n]
            w[n] = new_w if free[n] != 0 else held
        u[n] = new_u if free[n] != 0 else u[n]


@compiled
def fire(
    constants: Constants, now: int, state: State, last_spike: npt.NDArray[np.int64], spikes: Floats, due: Floats
) -> None:
    """Test the threshold and send recurrent spikes on their way; `due` is (steps, n)."""
    for n in range(spikes.size):
        spikes[n] = state.free[n] if state.u[n] >= constants.theta[n] else 0
        last_spike[n] = now if spikes[n] != 0 else last_spike[n]
    for k in range(constants.lags.size):
        arrives = now + constants.lags[k]
        if arrives < due.shape[0]:
            into = due[arrives]
            for n in range(spikes.size):
                if spikes[n] != 0:
                    weights = constants.recurrent[k, n]
                    for m in range(into.size):
                        into[m] += weights[m]


@compiled
def deliver(kind: Kind, now: int, due: Floats, state: State, last_spike: npt.NDArray[np.int64]) -> None:
    """Arrivals of a step, `due[now]`, touch the state."""
    u, current, arrivals = state.u, state.current, due[now]
    if kind.synapse == DELTA:
        for n in range(u.size):
            u[n] = u[n] if now - last_spike[n] < kind.refractory_steps else u[n] + arrivals[n]
    elif kind.synapse == EXPONENTIAL:
        for n in range(u.size):
            current[n] = current[n] + arrivals[n]
    elif kind.pulse_steps == 1:
        for n in range(u.size):
            current[n] = arrivals[n]
    elif now < kind.pulse_steps:
        for n in range(u.size):
            current[n] = current[n] + arrivals[n]
    else:
        ended = due[now - kind.pulse_steps]
        for n in range(u.size):
            current[n] = current[n] + arrivals[n] - ended[n]


@compiled
def reset(kind: Kind, constants: Constants, state: State, spikes: Floats) -> None:
    """What a spike does to its own neuron."""
    u, w = state.u, state.w
    for n in range(u.size):
        after = kind.reset_value if kind.to_value else u[n] - constants.theta[n]
        u[n] = after if spikes[n] != 0 else u[n]
        w[n] = w[n] + constants.jump[n] if spikes[n] != 0 else w[n]
