"""The delay kernel of `spikebridge.training.delays` at the few delays where it is not negligible, in one pass.

With the delays j nearest to that of the synapse, d, and the width s (see `spikebridge.training.lane_kernel`):

    K_j = W g_j / S,    S = sum_k g_k + 1e-7,    g_j = exp(-x_j^2 / 2),    x_j = (j - d) / s

    dL/dW = sum_j G_j g_j / S,    dL/dg_j = G_j W / S - sum_k G_k K_k / S,    dL/dd = sum_j dL/dg_j g_j x_j / s
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.training.compiled import compiled
from spikebridge.training.event_lists import Floats, Ints
from spikebridge.training.packed import Packed, one_by_one, side_by_side
from spikebridge.training.threads import in_blocks


def narrow_lanes(
    weight: Tensor, delay_steps: Tensor, width_steps: float, length: int, packed: Packed
) -> tuple[Tensor, Tensor]:
    """Stretches (groups, sources, length of a stretch), differentiable in weights and delays, and their lags.

    Args:
        weight: (targets, sources).
        delay_steps: (targets, sources).
        width_steps: s, the standard deviation of the Gaussian.
        length: delays in steps; taps lie in 0 .. length - 1.
        packed: targets one after the other, with as many taps.

    Returns:
        Stretches, and the delay of the first tap (groups, sources, targets of a group), int32.
    """
    found: tuple[Tensor, Tensor] = _NarrowLanes.apply(weight, delay_steps, width_steps, length, packed)  # type: ignore[no-untyped-call]
    return found


class _NarrowLanes(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        delay_steps: Tensor,
        width_steps: float,
        length: int,
        packed: Packed,
    ) -> tuple[Tensor, Tensor]:
        weights, delays = side_by_side(packed, weight), side_by_side(packed, delay_steps)
        lag = torch.empty_like(delays, dtype=torch.int32)
        width = weights.numpy().dtype.type(width_steps)
        bump = weight.new_empty((packed.groups, weight.shape[1], packed.delays, packed.layout.rows))
        arrays = [tensor.numpy() for tensor in (delays, lag, bump)]
        in_blocks(packed.groups, lambda first, last: _exponents(first, last, length, width, *arrays), bump.numel())
        torch.exp(bump, out=bump)
        new = weight.new_empty if packed.delays == packed.reach else weight.new_zeros
        total, stretch = torch.empty_like(weights), new((packed.groups, weight.shape[1], packed.length))
        outputs = [tensor.numpy() for tensor in (weights, bump, total, stretch)]
        in_blocks(
            packed.groups, lambda first, last: _normalise(first, last, packed.layout.lanes, *outputs), bump.numel()
        )
        ctx.kept = weights, delays, lag, bump, total
        ctx.constants, ctx.packed = (packed.layout.lanes, width), packed
        ctx.mark_non_differentiable(lag)
        return stretch, lag

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        packed, weights = ctx.packed, ctx.kept[0]
        of_weight, of_delay = torch.empty_like(weights), torch.empty_like(weights)
        arrays = [tensor.numpy() for tensor in (*ctx.kept, grads[0].contiguous(), of_weight, of_delay)]
        in_blocks(
            packed.groups, lambda first, last: _gradient(first, last, *ctx.constants, *arrays), 3 * ctx.kept[3].numel()
        )
        return one_by_one(packed, of_weight), one_by_one(packed, of_delay), None, None, None


@compiled
def _exponents(first: int, last: int, length: int, width: Any, delay: Floats, lag: Ints, exponent: Floats) -> None:
    """What the exponential is taken of, for groups `first .. last - 1`, and the delay of the first tap."""
    half, taps = delay.dtype.type(-0.5), exponent.shape[2]
    for group in range(first, last):
        for i in range(delay.shape[1]):
            for row in range(delay.shape[2]):
                begin = delay.dtype.type(min(max(np.floor(delay[group, i, row]) - (taps // 2 - 1), 0), length - taps))
                # A delay that is not a number gives no number, but must not lead out of the memory of the loops.
                lag[group, i, row] = np.int32(begin) if begin == begin else 0
            for m in range(taps):
                for row in range(delay.shape[2]):
                    x = (delay.dtype.type(lag[group, i, row] + m) - delay[group, i, row]) / width
                    exponent[group, i, m, row] = half * (x * x)


@compiled
def _normalise(first: int, last: int, lanes: int, weight: Floats, bump: Floats, total: Floats, stretch: Floats) -> None:
    """From Gaussians to the kernel, and what they were divided by."""
    rows, tiny = weight.shape[2], weight.dtype.type(1e-7)
    for group in range(first, last):
        for i in range(weight.shape[1]):
            total[group, i] = 0
            for m in range(bump.shape[2]):
                for row in range(rows):
                    total[group, i, row] += bump[group, i, m, row]
            for row in range(rows):
                total[group, i, row] += tiny
            for m in range(bump.shape[2]):
                at = m // lanes * rows * lanes + m % lanes
                for row in range(rows):
                    numerator = weight[group, i, row] * bump[group, i, m, row]
                    stretch[group, i, at + row * lanes] = numerator / total[group, i, row]


@compiled
def _gradient(
    first: int,
    last: int,
    lanes: int,
    width: Any,
    weight: Floats,
    delay: Floats,
    lag: Ints,
    bump: Floats,
    total: Floats,
    grad: Floats,
    of_weight: Floats,
    of_delay: Floats,
) -> None:
    """Gradients of groups `first .. last - 1`."""
    rows, number = weight.shape[2], weight.dtype.type
    of_total = np.empty(rows, weight.dtype)
    for group in range(first, last):
        for i in range(weight.shape[1]):
            of_weight[group, i], of_delay[group, i], of_total[:] = 0, 0, 0
            for m in range(bump.shape[2]):
                at = m // lanes * rows * lanes + m % lanes
                for row in range(rows):
                    g, s, b = grad[group, i, at + row * lanes], total[group, i, row], bump[group, i, m, row]
                    of_weight[group, i, row] += g / s * b
                    of_total[row] -= g * (weight[group, i, row] * b / s / s)
            for m in range(bump.shape[2]):
                at = m // lanes * rows * lanes + m % lanes
                for row in range(rows):
                    x = (number(lag[group, i, row] + m) - delay[group, i, row]) / width
                    of_bump = grad[group, i, at + row * lanes] / total[group, i, row] * weight[group, i, row]
                    slope = (of_bump + of_total[row]) * bump[group, i, m, row] * number(-0.5)
                    of_delay[group, i, row] -= slope * (number(2) * x) / width
