"""`spikebridge.training.scan` as one compiled loop over time, forwards and backwards: same values, same gradients.

PyTorch runs about twenty operations per step and keeps their results; this runs one loop per sample and keeps the
potential, the adaptation and the current, from which the way back finds the rest. Steps of 1 ms need that: a sample has
a thousand of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.training import fused_types
from spikebridge.training.fused_backward import backward
from spikebridge.training.fused_forward import forward
from spikebridge.training.propagators import in_one
from spikebridge.training.recurrent_pulse_back import backward_recurrent
from spikebridge.training.scan import NeuronTensors
from spikebridge.training.single_pulse import single_pulses
from spikebridge.training.single_pulse_back import backward_alone
from spikebridge.training.surrogate import Surrogate
from spikebridge.training.threads import in_blocks
from spikebridge.training.tile_product import panels_across

KINDS = {
    SynapseKind.DELTA: fused_types.DELTA,
    SynapseKind.PULSE: fused_types.PULSE,
    SynapseKind.EXPONENTIAL: fused_types.EXPONENTIAL,
}
RECURRENT_WEIGHTS_PER_NUMBER = 64
"""Multiply-adds of a matrix product in the time of one number of a loop."""

SURROGATES = {
    "boxcar": fused_types.BOXCAR,
    "triangle": fused_types.TRIANGLE,
    "fast_sigmoid": fused_types.FAST_SIGMOID,
    "arctan": fused_types.ARCTAN,
    "gaussian": fused_types.GAUSSIAN,
}


def fused_scan(
    neuron: NeuronTensors,
    arrivals: Tensor,
    surrogate: Surrogate,
    recurrent: dict[int, Tensor] | None = None,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Arguments and results of `scan`, on the CPU. The threshold has no gradient here: it is 1 by definition.

    With `scale`, (n,), it is `scan` of `arrivals * scale`.
    """
    lags = sorted(recurrent or {})
    size = arrivals.shape[2]
    each = [recurrent[lag] for lag in lags] if recurrent else []
    weights = arrivals.new_zeros((0, size, size))
    if each:
        weights = each[0][None] if len(each) == 1 else torch.stack(each)
    spikes, potentials = _Scan.apply(  # type: ignore[no-untyped-call]
        neuron,
        surrogate,
        tuple(lags),
        arrivals,
        in_one(neuron.step),
        neuron.bias,
        neuron.adaptation_jump,
        arrivals.new_empty(0) if scale is None else scale,
        weights,
    )
    return spikes, potentials


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        neuron: NeuronTensors,
        surrogate: Surrogate,
        lags: tuple[int, ...],
        arrivals: Tensor,
        step: Tensor,
        bias: Tensor,
        jump: Tensor,
        scale: Tensor,
        recurrent: Tensor,
    ) -> tuple[Tensor, Tensor]:
        raw = arrivals.contiguous()
        kind = _kind(neuron, raw)
        # What the population adds to itself must not change the arrivals of others.
        due = torch.empty_like(raw) if lags or (len(scale) and not _scales_again(kind, lags)) else raw
        spikes = torch.empty_like(due) if neuron.spiking else torch.zeros_like(due)
        potentials, nothing = torch.empty_like(due), due.new_empty((0, 0, 0))
        keep = any(ctx.needs_input_grad)
        frozen = torch.empty_like(due) if neuron.refractory_steps > 1 and neuron.spiking else due.new_zeros((1, 1, 1))
        w = torch.empty_like(due) if keep and neuron.adaptive else nothing
        current = torch.empty_like(due) if keep and _has_current(neuron) else nothing
        jumps = neuron.synapse is SynapseKind.DELTA
        reached = (torch.empty_like(due) if keep else nothing) if jumps else potentials
        ctx.neuron, ctx.surrogate, ctx.lags = neuron, surrogate, lags
        kept = (step, bias, jump, scale, recurrent, raw, due, spikes, potentials, reached, frozen, w, current)
        constants, traces = _views(neuron, lags, kept)
        in_blocks(len(due), lambda first, last: forward(first, last, kind, constants, traces), _numbers(due, recurrent))
        if keep:
            # Arrivals before they were scaled are needed for the gradient of the scale alone.
            needed = raw if raw is due or len(scale) else nothing
            ctx.save_for_backward(*kept[:5], needed, *kept[6:])
        # Where nothing depends on the potentials of a hidden population, zeros would only be written and added.
        ctx.set_materialize_grads(False)
        return spikes, potentials

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        kept: tuple[Tensor, ...] = ctx.saved_tensors
        constants, traces = _views(ctx.neuron, ctx.lags, kept)
        recurrent, due = kept[4], kept[6]
        kind = _kind(ctx.neuron, due)
        if not _has_current(ctx.neuron):
            traces = traces._replace(current=traces.due)
        if ctx.lags:
            constants = constants._replace(panels=panels_across(constants.recurrent))
        width = traces.due.dtype.type(ctx.surrogate.width)
        spikes, potentials = (_numpy(due.new_empty((0, 0, 0)) if g is None else g) for g in grads)
        grad_raw = torch.empty_like(due)
        from_spikes = spikes.size > 0 and potentials.size == 0
        way_back = backward
        if from_spikes and single_pulses(kind):
            way_back = backward_recurrent if ctx.lags else backward_alone
        if len(constants.scale) and _scales_again(kind, ctx.lags) and not from_spikes:
            arrived = traces.raw * constants.scale
            traces = traces._replace(due=arrived, current=arrived)

        def work(first: int, last: int) -> list[fused_types.Floats]:
            sums = [np.zeros(shape, width.dtype) for shape in ((fused_types.SUMS, due.shape[2]), recurrent.shape)]
            into = fused_types.Gradients(spikes, potentials, grad_raw.numpy(), *sums)
            way_back(first, last, kind, constants, traces, SURROGATES[ctx.surrogate.name], width, into)
            return sums

        blocks = in_blocks(len(due), work, _numbers(due, recurrent))
        sums, grad_recurrent = (torch.from_numpy(sum(parts[1:], parts[0])) for parts in zip(*blocks, strict=True))
        grad_step, (bias, jump, scale) = sums[: fused_types.ENTRIES], sums[fused_types.ENTRIES :]
        grad_scale = scale if len(constants.scale) else None
        return None, None, None, grad_raw, grad_step, bias, jump, grad_scale, grad_recurrent


def _numbers(due: Tensor, recurrent: Tensor) -> int:
    """How many numbers a loop over all steps goes through, about: recurrent weights of all sources on the way back."""
    return due.numel() * (1 + recurrent.shape[0] * recurrent.shape[1] // RECURRENT_WEIGHTS_PER_NUMBER)


def _has_current(neuron: NeuronTensors) -> bool:
    """Whether there is a current other than the arrivals of the step before."""
    return neuron.synapse is SynapseKind.EXPONENTIAL or (neuron.synapse is SynapseKind.PULSE and neuron.pulse_steps > 1)


def _scales_again(kind: fused_types.Kind, lags: tuple[int, ...]) -> bool:
    """Whether arrivals are scaled on the way, and on the way back again, instead of kept, see `run_single_pulses`."""
    return single_pulses(kind) and not lags


def _kind(neuron: NeuronTensors, like: Tensor) -> fused_types.Kind:
    """Which model it is, with numbers of the type of a tensor."""
    return fused_types.Kind(
        synapse=KINDS[neuron.synapse],
        pulse_steps=neuron.pulse_steps,
        # A population that never spikes is never refractory.
        refractory_steps=neuron.refractory_steps if neuron.spiking else 0,
        adaptive=neuron.adaptive,
        spiking=neuron.spiking,
        to_value=neuron.reset is Reset.TO_VALUE,
        reset_value=_numpy(like).dtype.type(neuron.reset_value),
        slope_while_frozen=neuron.slope_while_frozen,
    )


def _views(
    neuron: NeuronTensors, lags: tuple[int, ...], kept: tuple[Tensor, ...]
) -> tuple[fused_types.Constants, fused_types.Traces]:
    """The same memory as the compiled loops see it."""
    step, bias, jump, scale, recurrent, *traces = (_numpy(tensor) for tensor in kept)
    at = np.array(lags, dtype=np.int64)
    no_panels = np.empty((0, 0, 0, 0), step.dtype)
    return (
        fused_types.Constants(step, _numpy(neuron.threshold), bias, jump, scale, at, recurrent, no_panels),
        fused_types.Traces(*traces),
    )


def _numpy(tensor: Tensor) -> fused_types.Floats:
    return tensor.detach().contiguous().numpy()
