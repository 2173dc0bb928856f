"""Loops of the way forward: one step of samples side by side, number `k` of them being sample `first + k`.

Whole arrays with indices, since a view costs as much as the arithmetic on it. Shapes: traces (batch, steps, n), states
(samples, n), parameters (n,). Strict arithmetic in the order of `spikebridge.bridge.reference`.
"""

from __future__ import annotations

from typing import Any

from spikebridge.training.compiled import compiled_apart
from spikebridge.training.fused_types import EXPONENTIAL, PULSE, Entries, Floats


@compiled_apart
def scaled(b: int, sample: int, scale: Floats, raw: Floats, due: Floats) -> None:
    """Arrivals from outside, all steps of sample `b`, to `due[sample]`."""
    for now in range(raw.shape[1]):
        for n in range(raw.shape[2]):
            due[sample, now, n] = raw[b, now, n] * scale[n]


@compiled_apart
def keep(first: int, now: int, state: Floats, trace: Floats) -> None:
    """A state into a trace."""
    for k in range(len(state)):
        for n in range(state.shape[1]):
            trace[first + k, now, n] = state[k, n]


@compiled_apart
def fetch(first: int, now: int, trace: Floats, state: Floats) -> None:
    """A trace into a state."""
    for k in range(len(state)):
        for n in range(state.shape[1]):
            state[k, n] = trace[first + k, now, n]


@compiled_apart
def tick(wait: Floats, held: Floats) -> None:
    """One step less to wait; who still waits is held."""
    one, zero = wait.dtype.type(1), wait.dtype.type(0)
    for k in range(len(wait)):
        for n in range(wait.shape[1]):
            left = max(wait[k, n] - one, zero)
            wait[k, n] = left
            held[k, n] = one if left > zero else zero


@compiled_apart
def start_waiting(first: int, now: int, steps: int, spikes: Floats, wait: Floats) -> None:
    """Who fired is free again after so many steps."""
    length = wait.dtype.type(steps)
    for k in range(len(wait)):
        for n in range(wait.shape[1]):
            wait[k, n] = length if spikes[first + k, now, n] != 0 else wait[k, n]


@compiled_apart
def propagate(
    first: int,
    now: int,
    synapse: int,
    step: Entries,
    current: Floats,
    held: Floats,
    u: Floats,
    potentials: Floats,
) -> None:
    """One exact step without adaptation."""
    for k in range(len(u)):
        for n in range(u.shape[1]):
            new_u = step.u_u[n] * u[k, n]
            if synapse == EXPONENTIAL:
                new_u = new_u + step.u_i[n] * current[k, n]
            constant = step.bias[n] + current[k, n] if synapse == PULSE else step.bias[n]
            new_u = new_u + step.u_c[n] * constant
            potentials[first + k, now, n] = new_u if held[k, n] == 0 else u[k, n]


@compiled_apart
def propagate_adaptive(
    first: int,
    now: int,
    synapse: int,
    step: Entries,
    current: Floats,
    held: Floats,
    u: Floats,
    w: Floats,
    potentials: Floats,
) -> None:
    """One exact step with adaptation."""
    for k in range(len(u)):
        for n in range(u.shape[1]):
            new_u = step.u_u[n] * u[k, n] + step.u_w[n] * w[k, n]
            new_w = step.w_u[n] * u[k, n] + step.w_w[n] * w[k, n]
            if synapse == EXPONENTIAL:
                new_u = new_u + step.u_i[n] * current[k, n]
                new_w = new_w + step.w_i[n] * current[k, n]
            constant = step.bias[n] + current[k, n] if synapse == PULSE else step.bias[n]
            new_u = new_u + step.u_c[n] * constant
            new_w = new_w + step.w_c[n] * constant
            frozen_w = step.frozen_w_u[n] * u[k, n] + step.frozen_w_w[n] * w[k, n]
            potentials[first + k, now, n] = new_u if held[k, n] == 0 else u[k, n]
            w[k, n] = new_w if held[k, n] == 0 else frozen_w


@compiled_apart
def fire(first: int, now: int, theta: Floats, held: Floats, potentials: Floats, spikes: Floats) -> None:
    """Test the threshold."""
    one, zero = spikes.dtype.type(1), spikes.dtype.type(0)
    for k in range(len(held)):
        for n in range(held.shape[1]):
            fires = (potentials[first + k, now, n] >= theta[n]) & (held[k, n] == zero)
            spikes[first + k, now, n] = one if fires else zero


@compiled_apart
def send(lag: int, source: int, b: int, arrives: int, weights: Floats, due: Floats) -> None:
    """One spike at all its targets."""
    for m in range(due.shape[2]):
        due[b, arrives, m] += weights[lag, source, m]


@compiled_apart
def land(first: int, now: int, due: Floats, wait: Floats, potentials: Floats, reached: Floats) -> None:
    """Arrivals that are jumps, but not of neurons that wait."""
    for k in range(len(wait)):
        for n in range(wait.shape[1]):
            u = potentials[first + k, now, n]
            reached[k, n] = u if wait[k, n] > 0 else u + due[first + k, now, n]


@compiled_apart
def decay(first: int, now: int, i_i: Floats, due: Floats, current: Floats) -> None:
    """A decaying current after the step, with what arrives."""
    for k in range(len(current)):
        for n in range(current.shape[1]):
            current[k, n] = i_i[n] * current[k, n] + due[first + k, now, n]


@compiled_apart
def run_on(first: int, now: int, before: int, ends: int, due: Floats, current: Floats) -> None:
    """The sum of the pulses that have begun and not ended; those of the step `before` end if `ends` is 1."""
    for k in range(len(current)):
        for n in range(current.shape[1]):
            begun = current[k, n] + due[first + k, now, n]
            current[k, n] = begun - due[first + k, before, n] if ends else begun


@compiled_apart
def settle(reached: Floats, u: Floats) -> None:
    """Without a reset the potential stays where it is."""
    for k in range(len(u)):
        for n in range(u.shape[1]):
            u[k, n] = reached[k, n]


@compiled_apart
def reset(
    first: int,
    now: int,
    to_value: bool,
    reset_value: Any,
    theta: Floats,
    jump: Floats,
    spikes: Floats,
    reached: Floats,
    u: Floats,
    w: Floats,
) -> None:
    """What a spike does to its own neuron."""
    for k in range(len(u)):
        for n in range(u.shape[1]):
            after = reset_value if to_value else reached[k, n] - theta[n]
            fires = spikes[first + k, now, n] != 0
            u[k, n] = after if fires else reached[k, n]
            w[k, n] = w[k, n] + jump[n] if fires else w[k, n]
