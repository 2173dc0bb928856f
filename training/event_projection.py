"""Delayed synapses driven by events: the work is proportional to the number of spikes, not to steps times channels.

This replaces the dense convolution of `spikebridge.training.delays`. Values and gradients are the same, except that
`narrow_projection` leaves out the delays where the weight is negligible.
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
from spikebridge.training.narrow_events import arrive_each, gather_each
from spikebridge.training.narrow_lanes import narrow_lanes
from spikebridge.training.packed import (
    Packed,
    delays_first,
    every_delay,
    few_delays,
    in_turn,
    laned_factors,
    lanes_of,
    side_by_side,
    spread_out,
)
from spikebridge.training.spike_kernels import spread_back, to_lanes
from spikebridge.training.threads import in_blocks
from spikebridge.training.timegrid import PLAIN, Unit

BUFFER_BYTES = 32 * 1024
"""What arrives at a register of targets in a block of samples stays in a first-level cache of this size."""

STEPS_TOGETHER = MOST_ROWS - 3
"""At most so many steps stay in registers for the gradient of the spikes: with more it was slower."""

TAPS_PER_PRODUCT = 1.5
"""Multiply-adds per second of the loop over taps relative to that of transforms: measured."""


class Few(NamedTuple):
    """The few delays at which synapses have weight.

    Attributes:
        packed: targets one after the other.
        stretch: (groups, sources, length).
        lag: (groups, sources, targets of a group) whole number of at least 0, the first of these delays in steps.
        longest: the longest of these lags, or more.
    """

    packed: Packed
    stretch: Tensor
    lag: Tensor
    longest: int

    @classmethod
    def of(cls, values: Tensor, lag: Tensor) -> Few:
        """Of (targets, sources, taps) from (targets, sources) on.

        Raises:
            ValueError: a lag is negative; compiled loops would write outside their memory.
        """
        if lag.numel() and int(lag.min()) < 0:
            raise ValueError(f"a delay of {int(lag.min())} steps: delays are at least 0")
        packed = few_delays(len(values), values.shape[2], values.dtype)
        return cls(packed, in_turn(packed, values), side_by_side(packed, lag), int(lag.max()) if lag.numel() else 0)

    @property
    def delays(self) -> int:
        """Of all targets, from 0 on."""
        return self.longest + self.packed.delays

    def every(self) -> tuple[Packed, Tensor]:
        """The same with all delays, targets side by side."""
        packed = every_delay(self.packed.targets, self.delays, self.stretch.dtype)
        return packed, spread_out(self.packed, self.stretch, self.lag, packed)


def event_projection(spikes: Tensor, values: Tensor, lag: Tensor, kept: Tensor | None = None) -> Tensor:
    """Arrivals at the targets, differentiable in `spikes` and `values`.

    Args:
        spikes: (batch, steps, sources), most of them 0; any value.
        values: (targets, sources, taps) weight of a synapse at its delays.
        lag: (targets, sources) whole number of at least 0, the first of these delays in steps; what arrives after the
            last step is lost.
        kept: (batch, sources) what spikes are multiplied by, None for 1; it gets no gradient.

    Returns:
        (batch, steps, targets).
    """
    return few_projection(spikes, Few.of(values, lag), kept)


def few_projection(spikes: Tensor, few: Few, kept: Tensor | None = None) -> Tensor:
    """`event_projection` through weights that are packed already."""
    steps = spikes.shape[1]
    if few.longest > steps:  # what comes after the last step is lost, however late it comes
        few = few._replace(lag=few.lag.clamp(max=steps), longest=steps)
    if few.packed.cost < every_delay(few.packed.targets, few.delays, few.stretch.dtype).cost:
        return _arrivals(spikes, few.packed, few.stretch, few, kept)
    return _arrivals(spikes, *few.every(), few, kept)


def kernel_projection(
    spikes: Tensor,
    weight: Tensor,
    delay: Tensor,
    width_steps: float,
    length: int,
    kept: Tensor | None = None,
    unit: Unit = PLAIN,
) -> Tensor:
    """Arrivals through Gaussian kernels over the delays 0 .. length - 1, see `lane_kernel`; differentiable.

    Args:
        spikes: (batch, steps, sources), most of them 0; any value.
        weight: (targets, sources).
        delay: (targets, sources), steps in this unit.
        width_steps: standard deviation of the Gaussian.
        length: delays in steps.
        kept: see `event_projection`.
        unit: see `delay`.

    Returns:
        (batch, steps, targets).
    """
    packed = every_delay(len(weight), length, weight.dtype)
    return _arrivals(spikes, packed, lane_kernel(weight, delay, width_steps, packed, unit), None, kept)


def narrow_projection(
    spikes: Tensor,
    weight: Tensor,
    delay: Tensor,
    width_steps: float,
    length: int,
    taps: int,
    kept: Tensor | None = None,
    unit: Unit = PLAIN,
) -> Tensor:
    """`kernel_projection` at the `taps` delays nearest to that of each synapse alone, see `narrow_lanes`."""
    packed = few_delays(len(weight), taps, weight.dtype)
    stretch, lag = narrow_lanes(weight, delay, width_steps, length, packed, unit)
    return few_projection(spikes, Few(packed, stretch, lag, length - taps), kept)


def _arrivals(spikes: Tensor, packed: Packed, stretch: Tensor, few: Few | None, kept: Tensor | None) -> Tensor:
    few = None if few is None else few._replace(stretch=few.stretch.detach())
    kept = None if kept is None else kept.detach().to(spikes.dtype)  # the loops take one type for all
    arrivals: Tensor = _Arrivals.apply(spikes, stretch, packed, few, kept)  # type: ignore[no-untyped-call]
    return arrivals


class _Arrivals(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, spikes: Tensor, stretch: Tensor, packed: Packed, few: Few | None, kept: Tensor | None
    ) -> Tensor:
        ctx.journey = Journey.of(spikes, packed, few, kept)
        ctx.kept = spikes.new_ones((len(spikes), spikes.shape[2])) if kept is None else kept
        ctx.save_for_backward(stretch)
        ctx.packed, ctx.few = packed, few
        arrivals = spikes.new_empty((*spikes.shape[:2], packed.targets))
        ctx.journey.run(arrive_each if packed.layout.each else arrive, packed, stretch.detach().contiguous(), arrivals)
        return arrivals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (stretch,) = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_spikes: Tensor | None = None
        grad_stretch: Tensor | None = None
        if ctx.needs_input_grad[1]:
            new = torch.empty_like if len(grad) else torch.zeros_like  # the first block of samples writes it
            grad_stretch = new(stretch, memory_format=torch.contiguous_format)
            ctx.journey.run(gather_each if ctx.packed.layout.each else gather, ctx.packed, grad_stretch, grad)
        if ctx.needs_input_grad[0]:
            grad_spikes = _spread_back(ctx.packed, stretch, ctx.few, ctx.kept, grad)
        return grad_spikes, grad_stretch, None, None, None


class Journey(NamedTuple):
    """The events of a batch, and how far they go.

    Attributes:
        events: in blocks of samples whose arrivals fit the cache.
        stride: steps of a sample and of the longest delay.
        offset: of targets that have a lag of their own, see `spikebridge.training.narrow_events`.
    """

    events: EventLists
    stride: int
    offset: np.ndarray | None

    @classmethod
    def of(cls, spikes: Tensor, packed: Packed, few: Few | None, kept: Tensor | None) -> Journey:
        """Lists for spikes (batch, steps, sources)."""
        each = few if packed.layout.each else None
        stride = spikes.shape[1] + packed.reach + (0 if each is None else each.longest)
        numbers = BUFFER_BYTES // spikes.element_size()
        samples = max(1, min(numbers // (stride * packed.layout.together), len(spikes)))
        offset = None
        if each is not None:
            offset = each.lag.numpy() + np.arange(packed.layout.together, dtype=np.int32) * (samples * stride)
        return cls(EventLists.of(spikes, samples, stride, kept), stride, offset)

    def run(self, kernel: Any, packed: Packed, stretch: Tensor, arrivals: Tensor) -> None:
        """The loop of the layout on threads, each with a buffer of its own."""
        together, events = packed.layout.together, self.events
        own = () if self.offset is None else (self.offset,)
        lists = (events.place, events.position, events.value, events.samples, self.stride, *own)
        stretch_array, arrivals_array = stretch.numpy(), arrivals.numpy()

        def work(first: int, last: int) -> None:
            # PyTorch's memory starts at a cache line, so that no register straddles two.
            buffer = stretch.new_empty((events.samples * self.stride + packed.reach) * together).numpy()
            kernel(packed.layout)(first, last, *lists, stretch_array, buffer, arrivals_array)

        in_blocks(packed.groups, work, len(events.position) * packed.groups * packed.length)


def _spread_back(packed: Packed, stretch: Tensor, few: Few | None, kept: Tensor, grad_arrivals: Tensor) -> Tensor:
    """Gradient of the spikes, (batch, steps, sources)."""
    batch, steps, targets = grad_arrivals.shape
    sources = stretch.shape[1]
    delays, taps = (packed.delays, packed.delays) if few is None else (few.delays, few.packed.delays)
    products = spike_transform.products(batch, steps, delays, sources, targets)
    if taps * batch * steps * sources * targets < TAPS_PER_PRODUCT * products:
        if few is None:
            values = delays_first(packed, stretch).permute(2, 1, 0)
            few = Few.of(values, torch.zeros((targets, sources), dtype=torch.int32))
        return _spread_taps_back(few, kept, grad_arrivals)
    if packed.layout.each:
        assert few is not None
        packed, stretch = few.every()
    return spike_transform.spread_back(packed, stretch, kept, grad_arrivals)


def _spread_taps_back(few: Few, kept: Tensor, grad_arrivals: Tensor) -> Tensor:
    """The same, tap by tap."""
    batch, steps, targets = grad_arrivals.shape
    sources = few.lag.shape[1]
    lanes = lanes_of(grad_arrivals.dtype)
    groups = -(-batch // lanes)
    rows = rows_for(steps, STEPS_TOGETHER)
    whole = -(-steps // rows) * rows
    longest = few.delays + few.packed.reach - few.packed.delays
    arrived = grad_arrivals.new_empty((groups, targets, whole + longest, lanes)).numpy()
    plain, result = grad_arrivals.numpy(), grad_arrivals.new_empty((batch, steps, sources))
    in_blocks(groups, lambda first, last: to_lanes(lanes)(first, last, plain, arrived), arrived.size)
    arrays = (few.lag.numpy(), few.stretch.contiguous().numpy(), laned_factors(kept).numpy(), arrived)
    loop = spread_back(rows, lanes, few.packed.layout)

    def work(first: int, last: int) -> None:
        memory = grad_arrivals.new_empty((last - first) * rows * lanes).numpy()
        loop(first, last, *arrays, memory, result.numpy())

    in_blocks(sources, work, arrived.size * sources)
    return result
