"""Loops of the most frequent model, one per step: pulses of one step, and no neuron ever waits.

So the current of a step is what arrived in the step before, and the reset follows the threshold at once. The same
operations in the same order as in `fused_step`, without what these leave to one another in memory. Shapes are theirs.
The ways back are `single_pulse_back` and `recurrent_pulse_back`.
"""

from __future__ import annotations

from typing import Any

from spikebridge.training.compiled import compiled_apart, compiled_within
from spikebridge.training.fused_types import PULSE, Entries, Floats, Kind


@compiled_within
def single_pulses(kind: Kind) -> bool:
    """Whether the loops here are the model."""
    return kind.synapse == PULSE and kind.pulse_steps == 1 and kind.refractory_steps <= 1 and kind.spiking


@compiled_apart
def leaky_step(
    b: int,
    now: int,
    arrived: Floats,
    sample: int,
    before: int,
    to_value: bool,
    reset_value: Any,
    theta: Floats,
    step: Entries,
    u: Floats,
    potentials: Floats,
    spikes: Floats,
) -> None:
    """One exact step of sample `b` without adaptation; its current is `arrived[sample, before]`."""
    one, zero = u.dtype.type(1), u.dtype.type(0)
    for n in range(u.size):
        new_u = step.u_u[n] * u[n] + step.u_c[n] * (step.bias[n] + arrived[sample, before, n])
        fires = new_u >= theta[n]
        potentials[b, now, n] = new_u
        spikes[b, now, n] = one if fires else zero
        after = reset_value if to_value else new_u - theta[n]
        u[n] = after if fires else new_u


@compiled_apart
def adaptive_step(
    b: int,
    now: int,
    arrived: Floats,
    sample: int,
    before: int,
    to_value: bool,
    reset_value: Any,
    theta: Floats,
    step: Entries,
    u: Floats,
    w: Floats,
    potentials: Floats,
    spikes: Floats,
) -> None:
    """`leaky_step` with adaptation."""
    one, zero = u.dtype.type(1), u.dtype.type(0)
    for n in range(u.size):
        constant = step.bias[n] + arrived[sample, before, n]
        new_u = step.u_u[n] * u[n] + step.u_w[n] * w[n] + step.u_c[n] * constant
        new_w = step.w_u[n] * u[n] + step.w_w[n] * w[n] + step.w_c[n] * constant
        fires = new_u >= theta[n]
        potentials[b, now, n] = new_u
        spikes[b, now, n] = one if fires else zero
        after = reset_value if to_value else new_u - theta[n]
        u[n] = after if fires else new_u
        w[n] = new_w + step.jump[n] if fires else new_w


@compiled_apart
def note(b: int, now: int, state: Floats, trace: Floats) -> None:
    """A state into a trace."""
    for n in range(state.size):
        trace[b, now, n] = state[n]
