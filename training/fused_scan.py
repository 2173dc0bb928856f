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
from spikebridge.training.scan import NeuronTensors
from spikebridge.training.surrogate import Surrogate
from spikebridge.training.threads import in_blocks

KINDS = {
    SynapseKind.DELTA: fused_types.DELTA,
    SynapseKind.PULSE: fused_types.PULSE,
    SynapseKind.EXPONENTIAL: fused_types.EXPONENTIAL,
}
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
) -> tuple[Tensor, Tensor]:
    """Arguments and results of `scan`, on the CPU. The threshold has no gradient here: it is 1 by definition."""
    lags = sorted(recurrent or {})
    size = arrivals.shape[2]
    weights = torch.stack([recurrent[lag] for lag in lags]) if recurrent else arrivals.new_zeros((0, size, size))
    spikes, potentials = _Scan.apply(  # type: ignore[no-untyped-call]
        neuron,
        surrogate,
        tuple(lags),
        arrivals,
        torch.stack(list(neuron.step)),
        neuron.bias,
        neuron.adaptation_jump,
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
        recurrent: Tensor,
    ) -> tuple[Tensor, Tensor]:
        due = arrivals.contiguous().clone()
        spikes, potentials = torch.zeros_like(due), torch.empty_like(due)
        nothing = due.new_empty((0, 0, 0))
        keep = any(ctx.needs_input_grad)
        frozen = torch.empty_like(due) if neuron.refractory_steps > 1 and neuron.spiking else due.new_zeros((1, 1, 1))
        w = torch.empty_like(due) if keep and neuron.adaptive else nothing
        current = torch.empty_like(due) if keep and neuron.synapse is not SynapseKind.DELTA else nothing
        ctx.neuron, ctx.surrogate, ctx.lags = neuron, surrogate, lags
        kept = (step, bias, jump, recurrent, due, spikes, potentials, frozen, w, current)
        kind, constants, traces = _views(neuron, lags, kept)
        in_blocks(len(due), lambda first, last: forward(first, last, kind, constants, traces))
        if keep:
            ctx.save_for_backward(*kept)
        return spikes, potentials

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        kept: tuple[Tensor, ...] = ctx.saved_tensors
        kind, constants, traces = _views(ctx.neuron, ctx.lags, kept)
        _, _, _, recurrent, due, *_ = kept
        width = traces.due.dtype.type(ctx.surrogate.width)
        spikes, potentials = (_numpy(due.new_empty((0, 0, 0)) if g is None else g) for g in grads)
        grad_due = torch.empty_like(due)

        def work(first: int, last: int) -> list[Tensor]:
            sums = [due.new_zeros((12, due.shape[2])), due.new_zeros(due.shape[2]), torch.zeros_like(recurrent)]
            into = fused_types.Gradients(spikes, potentials, _numpy(grad_due), *(_numpy(total) for total in sums))
            backward(first, last, kind, constants, traces, SURROGATES[ctx.surrogate.name], width, into)
            return sums

        blocks = in_blocks(len(due), work)
        step_and_bias, grad_jump, grad_recurrent = (torch.stack(parts).sum(0) for parts in zip(*blocks, strict=True))
        return None, None, None, grad_due, step_and_bias[:11], step_and_bias[11], grad_jump, grad_recurrent


def _views(
    neuron: NeuronTensors, lags: tuple[int, ...], kept: tuple[Tensor, ...]
) -> tuple[fused_types.Kind, fused_types.Constants, fused_types.Traces]:
    """The same memory as the compiled loops see it."""
    step, bias, jump, recurrent, *traces = (_numpy(tensor) for tensor in kept)
    # A population that never spikes is never refractory.
    refractory_steps = neuron.refractory_steps if neuron.spiking else 0
    kind = fused_types.Kind(
        synapse=KINDS[neuron.synapse],
        pulse_steps=neuron.pulse_steps,
        refractory_steps=refractory_steps,
        adaptive=neuron.adaptive,
        spiking=neuron.spiking,
        to_value=neuron.reset is Reset.TO_VALUE,
        reset_value=traces[0].dtype.type(neuron.reset_value),
    )
    at = np.array(lags, dtype=np.int64)
    return (
        kind,
        fused_types.Constants(step, _numpy(neuron.threshold), bias, jump, at, recurrent),
        fused_types.Traces(*traces),
    )


def _numpy(tensor: Tensor) -> fused_types.Floats:
    return tensor.detach().contiguous().numpy()
