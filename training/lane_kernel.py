"""The delay kernel of `spikebridge.training.delays`, made where the events of a projection need it.

K_d = W p_d,    p_d = g_d / (sum_k g_k + 1e-7),    g_d = exp(-((d - delay) / s)^2 / 2)

dK_d / dW = p_d,    dK_d / ddelay = W p_d / s^2 (d - delay - sum_k p_k (k - delay))
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.training.compiled import compiled
from spikebridge.training.event_lists import Floats
from spikebridge.training.packed import Packed, one_by_one, side_by_side
from spikebridge.training.threads import in_blocks
from spikebridge.training.timegrid import PLAIN, Unit

LEAST_EXPONENT = -64.0
"""Below, g_d is 0: beside that of the nearest delay it is nothing, and processors are slow with such small numbers."""


def lane_kernel(weight: Tensor, delay: Tensor, width_steps: float, packed: Packed, unit: Unit = PLAIN) -> Tensor:
    """Stretches (groups, sources, length), differentiable in weights and delays.

    Args:
        weight: (targets, sources).
        delay: (targets, sources), steps in this unit.
        width_steps: s, the standard deviation of the Gaussian.
        packed: targets side by side.
        unit: see `delay`.
    """
    result: Tensor = _LaneKernel.apply(weight, delay, width_steps, packed, unit)  # type: ignore[no-untyped-call]
    return result


class _LaneKernel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, delay: Tensor, width_steps: float, packed: Packed, unit: Unit) -> Tensor:
        weights, delays = side_by_side(packed, weight), side_by_side(packed, delay, unit)
        shape = (packed.groups, weight.shape[1], packed.reach, packed.layout.lanes)
        share = weight.new_empty(shape)
        exponents = (packed.delays, delays.numpy(), 1 / width_steps, share.numpy())
        in_blocks(packed.groups, lambda first, last: _exponents(first, last, *exponents), share.numel())
        torch.exp(share, out=share)
        kernel = torch.empty_like(share)
        arrays = (weights.numpy(), share.numpy(), kernel.numpy())
        in_blocks(packed.groups, lambda first, last: _normalise(first, last, *arrays), share.numel())
        ctx.kept = weights, delays, share
        ctx.width_steps, ctx.packed, ctx.unit = width_steps, packed, unit
        return kernel.flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weights, delays, share = ctx.kept
        grad = grads[0].contiguous().view_as(share)
        grad_weight, grad_delay = torch.empty_like(weights), torch.empty_like(weights)
        arrays = [tensor.numpy() for tensor in (weights, delays, share, grad, grad_weight, grad_delay)]
        in_blocks(len(weights), lambda first, last: _gradient(first, last, *arrays), share.numel())
        grad_delay *= ctx.width_steps**-2
        of_delay = one_by_one(ctx.packed, grad_delay, ctx.unit)
        return one_by_one(ctx.packed, grad_weight), of_delay, None, None, None


@compiled
def _exponents(first: int, last: int, delays: int, delay: Floats, inverse_width: float, exponent: Floats) -> None:
    """What the exponential is taken of, for groups `first .. last - 1`; minus infinity beyond the longest delay."""
    for group in range(first, last):
        for i in range(delay.shape[1]):
            at = delay[group, i]
            scale = at.dtype.type(inverse_width)
            for d in range(exponent.shape[2]):
                row = exponent[group, i, d]
                step = at.dtype.type(d)
                for lane in range(row.size):
                    distance = (step - at[lane]) * scale
                    power = -distance * distance / 2
                    row[lane] = -np.inf if power < LEAST_EXPONENT else power
                if d >= delays:
                    row[:] = -np.inf


@compiled
def _normalise(first: int, last: int, weight: Floats, share: Floats, kernel: Floats) -> None:
    """From Gaussians to shares that add up to 1, and these times the weight."""
    total = weight[0, 0].copy()
    for group in range(first, last):
        for i in range(weight.shape[1]):
            total[:] = 1e-7
            for d in range(share.shape[2]):
                row = share[group, i, d]
                for lane in range(row.size):
                    total[lane] += row[lane]
            for lane in range(total.size):
                total[lane] = 1 / total[lane]
            weights = weight[group, i]
            for d in range(share.shape[2]):
                row, out = share[group, i, d], kernel[group, i, d]
                for lane in range(row.size):
                    row[lane] *= total[lane]
                    out[lane] = weights[lane] * row[lane]


@compiled
def _gradient(
    first: int,
    last: int,
    weight: Floats,
    delay: Floats,
    share: Floats,
    grad: Floats,
    of_weight: Floats,
    of_delay: Floats,
) -> None:
    """Gradients of groups `first .. last - 1`, that of the delay times the squared width."""
    mean = weight[0, 0].copy()
    for group in range(first, last):
        for i in range(weight.shape[1]):
            total, moment, at = of_weight[group, i], of_delay[group, i], delay[group, i]
            total[:], moment[:], mean[:] = 0, 0, 0
            for d in range(share.shape[2]):
                step = at.dtype.type(d)
                shares, grads = share[group, i, d], grad[group, i, d]
                for lane in range(at.size):
                    distance = step - at[lane]
                    part = shares[lane] * grads[lane]
                    total[lane] += part
                    moment[lane] += part * distance
                    mean[lane] += shares[lane] * distance
            for lane in range(at.size):
                moment[lane] = weight[group, i, lane] * (moment[lane] - total[lane] * mean[lane])
