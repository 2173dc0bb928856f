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

from spikebridge.training.compiled import compiled, compiled_gradient
from spikebridge.training.exponential import exponential
from spikebridge.training.fused_types import Floats
from spikebridge.training.packed import Packed, one_by_one, side_by_side
from spikebridge.training.threads import in_blocks
from spikebridge.training.timegrid import PLAIN, Unit


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
        share, kernel = weight.new_empty(shape), weight.new_empty(shape)
        total = np.empty((packed.groups, packed.layout.lanes), weights.numpy().dtype)
        arrays = [tensor.numpy() for tensor in (weights, delays, share, kernel)]
        inverse_width = total.dtype.type(1 / width_steps)

        def work(first: int, last: int) -> None:
            _kernel(first, last, packed.delays, inverse_width, total, *arrays)

        in_blocks(packed.groups, work, 2 * share.numel())
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


@compiled_gradient
def _kernel(
    first: int,
    last: int,
    delays: int,
    inverse_width: Any,
    total: Floats,
    weight: Floats,
    delay: Floats,
    share: Floats,
    kernel: Floats,
) -> None:
    """Shares that add up to 1, for groups `first .. last - 1`, and these times the weight; 0 beyond the last delay."""
    number = weight.dtype.type
    for group in range(first, last):
        for i in range(weight.shape[1]):
            for lane in range(weight.shape[2]):
                total[group, lane] = number(1e-7)
            for d in range(delays):
                for lane in range(weight.shape[2]):
                    distance = (number(d) - delay[group, i, lane]) * inverse_width
                    g = exponential(number(-0.5) * (distance * distance))
                    share[group, i, d, lane] = g
                    total[group, lane] += g
            for lane in range(weight.shape[2]):
                total[group, lane] = number(1) / total[group, lane]
            for d in range(delays):
                for lane in range(weight.shape[2]):
                    p = share[group, i, d, lane] * total[group, lane]
                    share[group, i, d, lane] = p
                    kernel[group, i, d, lane] = weight[group, i, lane] * p
            for d in range(delays, share.shape[2]):
                for lane in range(weight.shape[2]):
                    share[group, i, d, lane] = 0
                    kernel[group, i, d, lane] = 0


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
