"""The neuron model over time in PyTorch: one function for training and for the reference run of an export.

The order within a step and the order of floating point operations are those of `spikebridge.bridge.reference`, so that
in float64, with exported weights, every executor gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.training.propagators import StepTensors
from spikebridge.training.surrogate import Surrogate


@dataclass(frozen=True, slots=True, eq=False)
class NeuronTensors:
    """One population as `scan` runs it; vectors have shape (n,).

    Attributes:
        step: exact propagators of one time step.
        pulse_steps: width of a pulse in steps, for `pulse` synapses.
        refractory_steps: r; frozen in the r - 1 steps after a spike.
        spiking: False for a leaky integrator.
    """

    step: StepTensors
    threshold: Tensor
    bias: Tensor
    adaptation_jump: Tensor
    adaptive: bool
    synapse: SynapseKind
    pulse_steps: int
    refractory_steps: int
    reset: Reset
    reset_value: float
    spiking: bool = True


def scan(
    neuron: NeuronTensors,
    arrivals: Tensor,
    surrogate: Surrogate,
    recurrent: dict[int, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run one population over all steps.

    Args:
        neuron: parameters and propagators.
        arrivals: (batch, steps, n) sums of weights delivered in each step by other populations.
        surrogate: the spike function.
        recurrent: weight matrix (n, n) from source to target per delay in steps; None without recurrence.

    Returns:
        Spikes (batch, steps, n) of 0 and 1, and potentials of the same shape after each step's propagation.
    """
    zeros = torch.zeros_like(arrivals[:, 0])
    u, w, i, p = zeros, zeros, zeros, zeros
    since_spike = torch.full(zeros.shape, 1 << 30, dtype=torch.int32, device=zeros.device)
    spikes: list[Tensor] = []
    potentials: list[Tensor] = []
    delivered: list[Tensor] = []
    for now, external in enumerate(arrivals.unbind(dim=1)):
        free = since_spike >= neuron.refractory_steps if neuron.refractory_steps > 1 else None
        u, w, i = _propagate(neuron, u, w, i, p, free)
        potentials.append(u)
        if neuron.spiking:
            fires = surrogate(u - neuron.threshold)
            if free is not None:
                fires = fires * free
            if neuron.refractory_steps > 0:
                since_spike = torch.where(fires > 0, 0, since_spike)
            spikes.append(fires)
        due = external
        for delay, weight in (recurrent or {}).items():
            if now >= delay:
                due = due + spikes[now - delay] @ weight
        delivered.append(due)
        match neuron.synapse:
            case SynapseKind.DELTA:
                blocked = since_spike < neuron.refractory_steps
                u = torch.where(blocked, u, u + due) if neuron.refractory_steps > 0 else u + due
            case SynapseKind.PULSE if neuron.pulse_steps == 1:
                p = due
            case SynapseKind.PULSE:
                p = p + due if now < neuron.pulse_steps else p + due - delivered[now - neuron.pulse_steps]
            case SynapseKind.EXPONENTIAL:
                i = i + due
        if neuron.spiking:
            u = _reset(neuron, u, fires)
            if neuron.adaptive:
                w = w + neuron.adaptation_jump * fires
        since_spike = since_spike + 1 if neuron.refractory_steps > 0 else since_spike
    stacked = torch.stack(potentials, dim=1)
    return (torch.stack(spikes, dim=1) if neuron.spiking else torch.zeros_like(stacked)), stacked


def _propagate(
    neuron: NeuronTensors, u: Tensor, w: Tensor, i: Tensor, p: Tensor, free: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    step = neuron.step
    constant = neuron.bias + p if neuron.synapse is SynapseKind.PULSE else neuron.bias
    new_u = step.u_u * u
    new_w = w
    if neuron.adaptive:
        new_u = new_u + step.u_w * w
        new_w = step.w_u * u + step.w_w * w
    if neuron.synapse is SynapseKind.EXPONENTIAL:
        new_u = new_u + step.u_i * i
        if neuron.adaptive:
            new_w = new_w + step.w_i * i
        i = step.i_i * i
    new_u = new_u + step.u_c * constant
    if neuron.adaptive:
        new_w = new_w + step.w_c * constant
        if free is not None:
            new_w = torch.where(free, new_w, step.frozen_w_u * u + step.frozen_w_w * w)
    if free is not None:
        new_u = torch.where(free, new_u, u)
    return new_u, new_w, i


def _reset(neuron: NeuronTensors, u: Tensor, fires: Tensor) -> Tensor:
    # Multiplying with exactly 0 or 1 keeps the bits of the branch that applies and lets the gradient pass.
    if neuron.reset is Reset.SUBTRACT:
        return u - neuron.threshold * fires
    return u * (1 - fires) + neuron.reset_value * fires
