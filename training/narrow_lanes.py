"""The delay kernel of `spikebridge.training.delays` at the few delays where it is not negligible, in one pass.

With the delays j nearest to that of the synapse, d, and the width s (see `spikebridge.training.lane_kernel`):

    K_j = W g_j / S,    S = sum_k g_k + 1e-7,    g_j = exp(-x_j^2 / 2),    x_j = (j - d) / s

    dL/dW = sum_j G_j g_j / S,    dL/dg_j = (G_j - dL/dW) W / S,    dL/dd = sum_j dL/dg_j g_j x_j / s
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikebridge.training.compiled import compiled_gradient
from spikebridge.training.event_lists import Floats, Ints
from spikebridge.training.packed import Packed, one_by_one, side_by_side
from spikebridge.training.threads import in_blocks
from spikebridge.training.timegrid import PLAIN, Unit


def narrow_lanes(
    weight: Tensor, delay: Tensor, width_steps: float, length: int, packed: Packed, unit: Unit = PLAIN
) -> tuple[Tensor, Tensor]:
    """Stretches (groups, sources, length of a stretch), differentiable in weights and delays, and their lags.

    Args:
        weight: (targets, sources).
        delay: (targets, sources), steps in this unit.
        width_steps: s, the standard deviation of the Gaussian.
        length: delays in steps; taps lie in 0 .. length - 1.
        packed: targets one after the other, with as many taps.
        unit: see `delay`.

    Returns:
        Stretches, and the delay of the first tap (groups, sources, targets of a group), int32.
    """
    found: tuple[Tensor, Tensor] = _NarrowLanes.apply(weight, delay, width_steps, length, packed, unit)  # type: ignore[no-untyped-call]
    return found


class _NarrowLanes(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, delay: Tensor, width_steps: float, length: int, packed: Packed, unit: Unit
    ) -> tuple[Tensor, Tensor]:
        weights, delays = side_by_side(packed, weight), side_by_side(packed, delay, unit)
        lag = torch.empty_like(delays, dtype=torch.int32)
        inverse_width = weights.numpy().dtype.type(1 / width_steps)
        bump = weight.new_empty((packed.groups, weight.shape[1], packed.reach, packed.layout.rows))
        arrays = (packed.delays, length, inverse_width, *(tensor.numpy() for tensor in (delays, lag, bump)))
        in_blocks(packed.groups, lambda first, last: _exponents(first, last, *arrays), bump.numel())
        torch.exp(bump, out=bump)
        inverse, stretch = torch.empty_like(weights), weight.new_empty((packed.groups, weight.shape[1], packed.length))
        outputs = [tensor.numpy() for tensor in (weights, bump, inverse, stretch)]
        loop = _normalise(packed.layout.lanes)
        in_blocks(packed.groups, lambda first, last: loop(first, last, *outputs), bump.numel())
        ctx.kept = inverse_width, weights, delays, lag, bump, inverse
        ctx.packed, ctx.unit = packed, unit
        ctx.mark_non_differentiable(lag)
        ctx.set_materialize_grads(False)
        return stretch, lag

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        packed, (inverse_width, *kept) = ctx.packed, ctx.kept
        of_weight, of_delay = torch.empty_like(kept[0]), torch.empty_like(kept[0])
        arrays = [tensor.numpy() for tensor in (*kept, grads[0].contiguous(), of_weight, of_delay)]
        loop = _gradient(packed.layout.lanes)
        in_blocks(packed.groups, lambda first, last: loop(first, last, inverse_width, *arrays), 2 * kept[3].numel())
        return one_by_one(packed, of_weight), one_by_one(packed, of_delay, ctx.unit), None, None, None, None


@compiled_gradient
def _exponents(
    first: int,
    last: int,
    taps: int,
    length: int,
    inverse_width: Any,
    delay: Floats,
    lag: Ints,
    exponent: Floats,
) -> None:
    """What the exponential is taken of, for groups `first .. last - 1`, and the delay of the first tap."""
    half, number = delay.dtype.type(-0.5), delay.dtype.type
    for group in range(first, last):
        for i in range(delay.shape[1]):
            for row in range(delay.shape[2]):
                begin = number(min(max(np.floor(delay[group, i, row]) - (taps // 2 - 1), 0), length - taps))
                # A delay that is not a number gives no number, but must not lead out of the memory of the loops.
                lag[group, i, row] = np.int32(begin) if begin == begin else 0
            for m in range(taps):
                for row in range(delay.shape[2]):
                    x = (number(lag[group, i, row] + m) - delay[group, i, row]) * inverse_width
                    exponent[group, i, m, row] = half * (x * x)
            exponent[group, i, taps:] = -np.inf


@cache
def _normalise(lanes: int) -> Callable[..., None]:
    """The loop from Gaussians to the kernel, and what they were divided by, inverted."""

    @compiled_gradient
    def run(first: int, last: int, weight: Floats, bump: Floats, inverse: Floats, stretch: Floats) -> None:
        rows, tiny, one = weight.shape[2], weight.dtype.type(1e-7), weight.dtype.type(1)
        for group in range(first, last):
            for i in range(weight.shape[1]):
                for row in range(rows):
                    total = tiny
                    for m in range(bump.shape[2]):
                        total += bump[group, i, m, row]
                    inverse[group, i, row] = one / total
                for m in range(0, bump.shape[2], lanes):
                    for row in range(rows):
                        factor = weight[group, i, row] * inverse[group, i, row]
                        for lane in range(lanes):
                            stretch[group, i, m * rows + row * lanes + lane] = factor * bump[group, i, m + lane, row]

    return run


@cache
def _gradient(lanes: int) -> Callable[..., None]:
    """The loop for the gradients of groups `first .. last - 1`."""

    @compiled_gradient
    def run(
        first: int,
        last: int,
        inverse_width: Any,
        weight: Floats,
        delay: Floats,
        lag: Ints,
        bump: Floats,
        inverse: Floats,
        grad: Floats,
        of_weight: Floats,
        of_delay: Floats,
    ) -> None:
        rows, number = weight.shape[2], weight.dtype.type
        for group in range(first, last):
            for i in range(weight.shape[1]):
                for row in range(rows):
                    of_weight[group, i, row], of_delay[group, i, row] = number(0), number(0)
                for m in range(0, bump.shape[2], lanes):
                    for row in range(rows):
                        for lane in range(lanes):
                            product = grad[group, i, m * rows + row * lanes + lane] * bump[group, i, m + lane, row]
                            of_weight[group, i, row] += product
                for row in range(rows):
                    of_weight[group, i, row] *= inverse[group, i, row]
                for m in range(0, bump.shape[2], lanes):
                    for row in range(rows):
                        for lane in range(lanes):
                            # sum_k G_k K_k / S = W dL/dW / S
                            g = grad[group, i, m * rows + row * lanes + lane] - of_weight[group, i, row]
                            x = number(lag[group, i, row] + m + lane) - delay[group, i, row]
                            of_delay[group, i, row] += g * bump[group, i, m + lane, row] * x
                for row in range(rows):
                    factor = weight[group, i, row] * inverse[group, i, row] * inverse_width
                    of_delay[group, i, row] *= factor * inverse_width

    return run
