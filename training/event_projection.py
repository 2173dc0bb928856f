"""Delayed synapses driven by events: the work is proportional to the number of spikes, not to steps times channels.

This replaces the dense convolution of `spikebridge.training.delays`; values and gradients are the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.training import spike_transform
from spikebridge.training.event_kernels import arrive, gather
from spikebridge.training.event_lists import EventLists
from spikebridge.training.lane_kernel import lane_kernel
from spikebridge.training.lanes import MOST_ROWS, rows_for
from spikebridge.training.packed import Packed, delays_first, every_delay, few_delays, lanes_of, stretches
from spikebridge.training.spike_kernels import from_lanes, spread_back, to_lanes
from spikebridge.training.threads import in_blocks

BUFFER_BYTES = 32 * 1024
"""What arrives at a register of targets in a block of samples stays in a first-level cache of this size."""

STEPS_TOGETHER = MOST_ROWS - 3
"""At most so many steps stay in registers for the gradient of the spikes: with more it was slower."""

TAPS_PER_PRODUCT = 1.5
"""Multiply-adds per second of the loop over taps relative to that of transforms: measured."""


class Taps(NamedTuple):
    """The few delays at which synapses have weight: (targets, sources, taps) from (targets, sources) on."""

    values: Tensor
    lag: Tensor


def event_projection(spikes: Tensor, values: Tensor, lag: Tensor) -> Tensor:
    """Arrivals at the targets, differentiable in `spikes` and `values`.

    Args:
        spikes: (batch, steps, sources), most of them 0; any value.
        values: (targets, sources, taps) weight of a synapse at its delays.
        lag: (targets, sources) whole number of at least 0, the first of these delays in steps; what arrives after the
            last step is lost.

    Returns:
        (batch, steps, targets).
    """
    targets, _, taps = values.shape
    # What comes after the last step is lost, however late it comes.
    lag = lag.clamp(max=spikes.shape[1])
    delays = int(lag.max()) + taps if lag.numel() else taps
    packed = every_delay(targets, delays, values.dtype)
    few = few_delays(targets, taps, values.dtype)
    if few.cost < packed.cost:
        packed = few
    stretch = stretches(values, lag, packed)
    starts = lag if packed is few else lag.new_zeros((packed.groups, lag.shape[1]))
    return _arrivals(spikes, stretch, packed, starts, Taps(values.detach(), lag))


def kernel_projection(spikes: Tensor, weight: Tensor, delay_steps: Tensor, width_steps: float, length: int) -> Tensor:
    """Arrivals through Gaussian kernels over the delays 0 .. length - 1, see `lane_kernel`; differentiable in tensors.

    Args:
        spikes: (batch, steps, sources), most of them 0; any value.
        weight: (targets, sources).
        delay_steps: (targets, sources).
        width_steps: standard deviation of the Gaussian.
        length: delays in steps.

    Returns:
        (batch, steps, targets).
    """
    packed = every_delay(len(weight), length, weight.dtype)
    stretch = lane_kernel(weight, delay_steps, width_steps, packed)
    starts = torch.zeros((packed.groups, weight.shape[1]), dtype=torch.int32)
    return _arrivals(spikes, stretch, packed, starts, None)


def _arrivals(spikes: Tensor, stretch: Tensor, packed: Packed, lag: Tensor, taps: Taps | None) -> Tensor:
    arrivals: Tensor = _Arrivals.apply(spikes, stretch, packed, lag, taps)  # type: ignore[no-untyped-call]
    return arrivals


class _Arrivals(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, stretch: Tensor, packed: Packed, lag: Tensor, taps: Taps | None) -> Tensor:
        ctx.journey = Journey.of(spikes, packed, lag.numpy())
        ctx.save_for_backward(stretch)
        ctx.packed, ctx.taps = packed, taps
        arrivals = spikes.new_empty((*spikes.shape[:2], packed.targets))
        ctx.journey.run(arrive, packed, stretch.detach().contiguous(), arrivals)
        return arrivals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (stretch,) = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_spikes: Tensor | None = None
        grad_stretch: Tensor | None = None
        if ctx.needs_input_grad[1]:
            grad_stretch = torch.zeros_like(stretch, memory_format=torch.contiguous_format)
            ctx.journey.run(gather, ctx.packed, grad_stretch, grad)
        if ctx.needs_input_grad[0]:
            grad_spikes = _spread_back(ctx.packed, stretch, ctx.taps, grad)
        return grad_spikes, grad_stretch, None, None, None


class Journey(NamedTuple):
    """The events of a batch, and how far they go.

    Attributes:
        events: in blocks of samples whose arrivals fit the cache.
        stride: steps of a sample and of the longest delay.
        lag: (groups, sources) steps.
    """

    events: EventLists
    stride: int
    lag: np.ndarray

    @classmethod
    def of(cls, spikes: Tensor, packed: Packed, lag: np.ndarray) -> Journey:
        """Lists for spikes (batch, steps, sources)."""
        stride = spikes.shape[1] + int(lag.max(initial=0)) + packed.length // packed.layout.unit
        numbers = BUFFER_BYTES // spikes.element_size()
        samples = max(1, min(numbers // (stride * packed.layout.unit * packed.layout.across), len(spikes)))
        return cls(EventLists.of(spikes, samples, stride), stride, lag)

    def run(self, kernel: Any, packed: Packed, stretch: Tensor, arrivals: Tensor) -> None:
        """`arrive` or `gather` on threads, each with a buffer of its own."""
        layout, events = packed.layout, self.events
        size = layout.across * events.samples * self.stride * layout.unit + packed.length
        lists = (events.place, events.position, events.value, events.samples, self.stride, self.lag)
        stretch_array, arrivals_array = stretch.numpy(), arrivals.numpy()

        def work(first: int, last: int) -> None:
            # PyTorch's memory starts at a cache line, so that no register straddles two.
            buffer = stretch.new_empty(size).numpy()
            kernel(layout)(first, last, *lists, stretch_array, buffer, arrivals_array)

        in_blocks(-(-packed.groups // layout.across), work)


def _spread_back(packed: Packed, stretch: Tensor, taps: Taps | None, grad_arrivals: Tensor) -> Tensor:
    """Gradient of the spikes, (batch, steps, sources)."""
    batch, steps, targets = grad_arrivals.shape
    sources = stretch.shape[1]
    delays = packed.delays if taps is None else int(taps.lag.max()) + taps.values.shape[2]
    count = delays if taps is None else taps.values.shape[2]
    products = spike_transform.products(batch, steps, delays, sources, targets)
    if count * batch * steps * sources * targets < TAPS_PER_PRODUCT * products:
        if taps is None:
            values = delays_first(packed, stretch).permute(2, 1, 0)
            taps = Taps(values, torch.zeros((targets, sources), dtype=torch.int32))
        return _spread_taps_back(taps, grad_arrivals)
    if taps is not None:
        packed = every_delay(targets, delays, grad_arrivals.dtype)
        stretch = stretches(taps.values, taps.lag, packed)
    return spike_transform.spread_back(packed, stretch, grad_arrivals)


def _spread_taps_back(taps: Taps, grad_arrivals: Tensor) -> Tensor:
    """The same, tap by tap."""
    batch, steps, targets = grad_arrivals.shape
    sources = taps.values.shape[1]
    lanes = lanes_of(grad_arrivals.dtype)
    groups = -(-batch // lanes)
    rows = rows_for(steps, STEPS_TOGETHER)
    whole = -(-steps // rows) * rows
    longest = int(taps.lag.max()) + taps.values.shape[2]
    arrived = grad_arrivals.new_zeros((groups, targets, whole + longest, lanes)).numpy()
    into = grad_arrivals.new_zeros((groups, sources, whole, lanes)).numpy()
    plain = grad_arrivals.numpy()
    in_blocks(groups, lambda first, last: to_lanes(lanes)(first, last, plain, arrived))
    arrays = (taps.lag.numpy(), taps.values.contiguous().numpy(), arrived, into)
    in_blocks(sources, lambda first, last: spread_back(rows, lanes)(first, last, *arrays))
    result = torch.empty((batch, steps, sources), dtype=grad_arrivals.dtype)
    in_blocks(groups, lambda first, last: from_lanes(lanes)(first, last, into, result.numpy()))
    return result
