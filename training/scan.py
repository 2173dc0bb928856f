"""The neuron model over time in PyTorch: one function for training and for the reference run of an export.

The order within a step and the order of floating point operations are those of `spikebridge.bridge.reference`, so that
in float64, with exported weights, every executor gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.training.propagators import StepTensors, entries_of
from spikebridge.training.surrogate import Surrogate


@dataclass(frozen=True, slots=True, eq=False)
class NeuronTensors:
    """One population as `scan` runs it; vectors have shape (n,).

    Attributes:
        step: exact propagators of one time step; as one tensor the same entries, (entries, n).
        pulse_steps: width of a pulse in steps, for `pulse` synapses.
        refractory_steps: r; frozen in the r - 1 steps after a spike.
        spiking: False for a leaky integrator.
        slope_while_frozen: whether a spike that refractoriness prevents has the surrogate's slope all the same.
    """

    step: StepTensors | Tensor
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
    slope_while_frozen: bool = False


class _State(NamedTuple):
    """What a step leaves to the next: u, w, i, running pulse current p, steps since the last spike, each (batch, n).

    `spikes` and `delivered` are the last steps of both, (batch, steps, n), as far as delays and pulses reach back.
    """

    u: Tensor
    w: Tensor
    i: Tensor
    p: Tensor
    since_spike: Tensor
    spikes: Tensor
    delivered: Tensor


def scan(
    neuron: NeuronTensors,
    arrivals: Tensor,
    surrogate: Surrogate,
    recurrent: dict[int, Tensor] | None = None,
    *,
    segment_steps: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Run one population over all steps.

    Args:
        neuron: parameters and propagators.
        arrivals: (batch, steps, n) sums of weights delivered in each step by other populations.
        surrogate: the spike function.
        recurrent: weight matrix (n, n) from source to target per delay in steps; None without recurrence.
        segment_steps: keep only the state between segments of so many steps, and run each segment again on the way
            back (Chen et al. 2016, arXiv:1604.06174): memory grows with the segments' number plus their length instead
            of the product. None keeps everything.

    Returns:
        Spikes (batch, steps, n) of 0 and 1, and potentials of the same shape after each step's propagation.
    """
    recurrent = recurrent or {}
    zeros = torch.zeros_like(arrivals[:, 0])
    state = _State(
        *(zeros, zeros, zeros, zeros),
        torch.full(zeros.shape, 1 << 30, dtype=torch.int32, device=zeros.device),
        arrivals.new_zeros((len(arrivals), max(recurrent, default=0), arrivals.shape[2])),
        arrivals.new_zeros((len(arrivals), neuron.pulse_steps, arrivals.shape[2])),
    )
    if segment_steps is None:
        spikes, potentials, _ = _segment(neuron, arrivals, state, surrogate, recurrent)
        return spikes, potentials
    parts = []
    for segment in torch.split(arrivals, segment_steps, dim=1):
        *part, state = checkpoint(_segment, neuron, segment, state, surrogate, recurrent, use_reentrant=False)
        parts.append(part)
    spikes, potentials = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
    return spikes, potentials


def _segment(
    neuron: NeuronTensors, arrivals: Tensor, state: _State, surrogate: Surrogate, recurrent: dict[int, Tensor]
) -> tuple[Tensor, Tensor, _State]:
    """Spikes and potentials of some steps from the state before them, and the state after them."""
    neuron = replace(neuron, step=entries_of(neuron.step))
    u, w, i, p, since_spike, *_ = state
    spikes: list[Tensor] = list(state.spikes.unbind(dim=1))
    delivered: list[Tensor] = list(state.delivered.unbind(dim=1))
    potentials: list[Tensor] = []
    for external in arrivals.unbind(dim=1):
        free = since_spike >= neuron.refractory_steps if neuron.refractory_steps > 1 else None
        u, w, i = _propagate(neuron, u, w, i, p, free)
        potentials.append(u)
        fires = surrogate(u - neuron.threshold) if neuron.spiking else torch.zeros_like(u)
        if neuron.spiking:
            if free is not None:
                allowed = fires * free
                # The same value; the difference has no gradient.
                fires = fires + (allowed - fires).detach() if neuron.slope_while_frozen else allowed
            if neuron.refractory_steps > 0:
                since_spike = torch.where(fires > 0, 0, since_spike)
        spikes.append(fires)
        due = external
        for delay, weight in recurrent.items():
            due = due + spikes[-1 - delay] @ weight
        match neuron.synapse:
            case SynapseKind.DELTA:
                blocked = since_spike < neuron.refractory_steps
                u = torch.where(blocked, u, u + due) if neuron.refractory_steps > 0 else u + due
            case SynapseKind.PULSE if neuron.pulse_steps == 1:
                p = due
            case SynapseKind.PULSE:
                p = p + due - delivered[-neuron.pulse_steps]
            case SynapseKind.EXPONENTIAL:
                i = i + due
        delivered.append(due)
        if neuron.spiking:
            u = _reset(neuron, u, fires)
            if neuron.adaptive:
                w = w + neuron.adaptation_jump * fires
        since_spike = since_spike + 1 if neuron.refractory_steps > 0 else since_spike
    kept = arrivals.shape[1]
    after = _State(u, w, i, p, since_spike, _last(spikes, state.spikes), _last(delivered, state.delivered))
    return torch.stack(spikes[-kept:], dim=1), torch.stack(potentials, dim=1), after


def _last(steps: list[Tensor], before: Tensor) -> Tensor:
    """The end of a list of steps, as long as what was handed over before."""
    reach = before.shape[1]
    return torch.stack(steps[-reach:], dim=1) if reach else before


def _propagate(
    neuron: NeuronTensors, u: Tensor, w: Tensor, i: Tensor, p: Tensor, free: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    step = neuron.step
    assert isinstance(step, StepTensors)
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
