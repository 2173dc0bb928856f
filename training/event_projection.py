"""Delayed synapses driven by events: the work is proportional to the number of spikes, not to steps times channels.

For a narrow delay kernel (few steps per synapse) this replaces the dense convolution of `spikebridge.training.delays`;
values and gradients are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.bridge.arrays import IntArray
from spikebridge.training import event_kernels as kernels
from spikebridge.training.threads import in_blocks


@dataclass(frozen=True, slots=True, eq=False)
class EventLists:
    """Events by sample and source.

    Attributes:
        place: (batch, sources + 1) where the events of each source start and end in the lists.
        step, value: (E,) step and value of each event.
    """

    place: IntArray
    step: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, spikes: Tensor) -> EventLists:
        """The entries other than 0 of (batch, steps, sources)."""
        dense = spikes.detach().contiguous().numpy()
        batch, _, sources = dense.shape
        counts = np.zeros((batch, sources), dtype=np.int64)
        in_blocks(batch, lambda first, last: kernels.count_events(first, last, dense, counts))
        ends = np.cumsum(counts.ravel()).reshape(batch, sources)
        place = np.concatenate([ends[:, :1] - counts[:, :1], ends], axis=1)
        total = int(counts.sum())
        step, value = np.empty(total, dtype=np.int32), np.empty(total, dtype=dense.dtype)
        in_blocks(batch, lambda first, last: kernels.list_events(first, last, dense, place, step, value))
        return cls(place, step, value)


def event_projection(spikes: Tensor, values: Tensor, lag: Tensor) -> Tensor:
    """Arrivals at the targets, differentiable in `spikes` and `values`.

    Args:
        spikes: (batch, steps, sources), most of them 0; any value.
        values: (targets, sources, taps) weight of a synapse at its delays.
        lag: (targets, sources) whole number, the first of these delays in steps; what arrives before step 0 or after
            the last step is lost.

    Returns:
        (batch, steps, targets).
    """
    arrivals: Tensor = _Arrivals.apply(spikes, values, lag)  # type: ignore[no-untyped-call]
    return arrivals.transpose(1, 2).contiguous()


class _Arrivals(torch.autograd.Function):
    """Arrivals with time last, (batch, targets, steps)."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor, values: Tensor, lag: Tensor) -> Tensor:
        events = EventLists.of(spikes)
        out = spikes.new_zeros((spikes.shape[0], values.shape[0], spikes.shape[1]))
        arrays = (
            events.place,
            events.step,
            events.value,
            lag.numpy(),
            values.detach().contiguous().numpy(),
            out.numpy(),
        )
        in_blocks(len(out), lambda first, last: kernels.arrive(first, last, *arrays))
        ctx.events = events
        ctx.save_for_backward(values, lag)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        values, lag = ctx.saved_tensors
        events: EventLists = ctx.events
        grad_out = grads[0].contiguous()
        dense, at, weights = grad_out.numpy(), lag.numpy(), values.detach().contiguous().numpy()
        grad_spikes: Tensor | None = None
        grad_values: Tensor | None = None
        if ctx.needs_input_grad[1]:
            grad_values = torch.zeros_like(values, memory_format=torch.contiguous_format)
            found = (events.place, events.step, events.value, at, dense, grad_values.numpy())
            in_blocks(len(values), lambda first, last: kernels.gather_values(first, last, *found))
        if ctx.needs_input_grad[0]:
            into = grad_out.new_zeros((len(grad_out), values.shape[1], grad_out.shape[2]))
            in_blocks(
                len(into), lambda first, last: kernels.gather_spikes(first, last, at, weights, dense, into.numpy())
            )
            grad_spikes = into.transpose(1, 2)
        return grad_spikes, grad_values, None
