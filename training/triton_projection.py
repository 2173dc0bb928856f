"""Delayed synapses on an NVIDIA GPU where kernels are narrow: the work is that of their taps, not of all delays.

Deterministic: there are no atomic operations, and every sum has one order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.training.triton_gather import correlate, gather
from spikebridge.training.triton_jit import ceiling_power

TARGETS, STEPS = 32, 128
"""Sides of a tile, at most: targets and steps of one program."""

SAMPLES = 16
"""Samples over which one program sums up gradients of weights."""


def gather_projection(spikes: Tensor, values: Tensor, lag: Tensor) -> Tensor:
    """`spikebridge.training.event_projection.event_projection` on a GPU: same arguments, values and gradients."""
    arrivals: Tensor = _Gathered.apply(spikes, values, lag)  # type: ignore[no-untyped-call]
    return arrivals


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, values: Tensor, lag: Tensor) -> Tensor:
        inputs, by_tap = spikes.transpose(1, 2).contiguous(), values.permute(2, 1, 0).contiguous()
        by_source = lag.t().contiguous()
        ctx.save_for_backward(inputs, by_tap, by_source)
        return _fetched(inputs, by_tap, by_source, sign=-1).transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        inputs, by_tap, lag = ctx.saved_tensors
        given = grads[0].transpose(1, 2).contiguous()
        grad_spikes: Tensor | None = None
        grad_values: Tensor | None = None
        if ctx.needs_input_grad[0]:
            # What a source sent late comes back early.
            backwards = by_tap.transpose(1, 2).contiguous(), lag.t().contiguous()
            grad_spikes = _fetched(given, *backwards, sign=1).transpose(1, 2)
        if ctx.needs_input_grad[1]:
            grad_values = _correlated(inputs, given, lag, len(by_tap)).permute(2, 1, 0)
        return grad_spikes, grad_values, None


def _fetched(inputs: Tensor, values: Tensor, lag: Tensor, *, sign: int) -> Tensor:
    """The sums of `gather`, (batch, targets, steps)."""
    batch, sources, steps = inputs.shape
    taps, _, targets = values.shape
    result = inputs.new_empty((batch, targets, steps))
    rows, columns = _sides(targets, steps)
    grid = (batch, -(-targets // rows), -(-steps // columns))
    gather[grid](inputs, values, lag, result, sources, targets, steps, taps, sign, rows, columns, num_warps=4)
    return result


def _correlated(inputs: Tensor, given: Tensor, lag: Tensor, taps: int) -> Tensor:
    """The sums of `correlate`, (taps, sources, targets)."""
    batch, sources, steps = inputs.shape
    targets = given.shape[1]
    parts = -(-batch // SAMPLES)
    result = inputs.new_empty((parts, taps, sources, targets))
    rows, columns = _sides(taps * targets, steps)
    grid = (sources, -(-taps * targets // rows), parts)
    sizes = (sources, targets, steps, taps, SAMPLES, rows, columns)
    correlate[grid](inputs, given, lag, result, batch, *sizes, num_warps=4)
    return result.sum(0)


def _sides(targets: int, steps: int) -> tuple[int, int]:
    return ceiling_power(targets, 1, TARGETS), ceiling_power(steps, 16, STEPS)
