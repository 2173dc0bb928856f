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
from spikebridge.training.exponential import exponential
from spikebridge.training.fused_types import Floats, Ints
from spikebridge.training.packed import Packed
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
        shape = packed.groups, weight.shape[1], packed.layout.rows
        weights, delays, inverse = (weight.new_empty(shape) for _ in range(3))
        lag = weight.new_empty(shape, dtype=torch.int32)
        bump = weight.new_empty((*shape[:2], packed.reach, packed.layout.rows))
        stretch = weight.new_empty((*shape[:2], packed.length))
        number = weights.numpy().dtype.type
        numbers = packed.delays, length, number(unit.plus), number(unit.size), number(1 / width_steps)
        plain = [synapses.detach().contiguous() for synapses in (weight, delay)]
        arrays = [tensor.numpy() for tensor in (*plain, weights, delays, lag, bump, inverse, stretch)]
        loop = _kernel(packed.layout.lanes)
        in_blocks(packed.groups, lambda first, last: loop(first, last, *numbers, *arrays), 2 * bump.numel())
        ctx.kept = weights, delays, lag, bump, inverse
        ctx.inverse_width, ctx.packed, ctx.size = numbers[-1], packed, number(unit.size)
        ctx.mark_non_differentiable(lag)
        ctx.set_materialize_grads(False)
        return stretch, lag

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        packed, kept = ctx.packed, ctx.kept
        sources = kept[0].shape[1]
        of_weight, of_delay = (kept[0].new_empty((packed.targets, sources)) for _ in range(2))
        arrays = [tensor.numpy() for tensor in (*kept, grads[0].contiguous(), of_weight, of_delay)]
        # Gradients of a source, of the weight and of the delay, one per target.
        sums = np.empty((packed.groups, 2, packed.layout.rows), arrays[0].dtype)
        loop = _gradient(packed.layout.lanes)

        def work(first: int, last: int) -> None:
            loop(first, last, ctx.inverse_width, ctx.size, sums, *arrays)

        in_blocks(packed.groups, work, 2 * kept[3].numel())
        return of_weight, of_delay, None, None, None, None


@compiled_gradient
def _beside(
    group: int,
    i: int,
    plus: Any,
    size: Any,
    plain_weight: Floats,
    plain_delay: Floats,
    weight: Floats,
    delay: Floats,
) -> None:
    """What the targets of a group have from source `i`; targets that there are none of have a weight of 0."""
    here = min(weight.shape[2], plain_weight.shape[0] - group * weight.shape[2])
    for row in range(here):
        target = group * weight.shape[2] + row
        weight[group, i, row] = plain_weight[target, i]
        delay[group, i, row] = plain_delay[target, i]
    for row in range(here, weight.shape[2]):
        weight[group, i, row], delay[group, i, row] = 0, 0
    for row in range(weight.shape[2]):
        delay[group, i, row] = (delay[group, i, row] + plus) / size


@cache
def _kernel(lanes: int) -> Callable[..., None]:
    """The loop from weights and delays to the kernel, and what it takes to go back, for groups `first .. last - 1`."""

    @compiled_gradient
    def run(
        first: int,
        last: int,
        taps: int,
        length: int,
        plus: Any,
        size: Any,
        inverse_width: Any,
        plain_weight: Floats,
        plain_delay: Floats,
        weight: Floats,
        delay: Floats,
        lag: Ints,
        bump: Floats,
        inverse: Floats,
        stretch: Floats,
    ) -> None:
        rows, number = weight.shape[2], weight.dtype.type
        for group in range(first, last):
            for i in range(weight.shape[1]):
                _beside(group, i, plus, size, plain_weight, plain_delay, weight, delay)
                for row in range(rows):
                    begin = number(min(max(np.floor(delay[group, i, row]) - (taps // 2 - 1), 0), length - taps))
                    # A delay that is not a number gives no number, but must not lead out of the memory of the loops.
                    lag[group, i, row] = np.int32(begin) if begin == begin else 0
                    inverse[group, i, row] = number(1e-7)
                for m in range(taps):
                    for row in range(rows):
                        x = (number(lag[group, i, row] + m) - delay[group, i, row]) * inverse_width
                        g = exponential(number(-0.5) * (x * x))
                        bump[group, i, m, row] = g
                        inverse[group, i, row] += g
                for row in range(rows):
                    inverse[group, i, row] = number(1) / inverse[group, i, row]
                for m in range(taps, bump.shape[2]):
                    for row in range(rows):
                        bump[group, i, m, row] = 0
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
        size: Any,
        sums: Floats,
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
            here = min(rows, of_weight.shape[0] - group * rows)
            for i in range(weight.shape[1]):
                for row in range(rows):
                    sums[group, 0, row], sums[group, 1, row] = number(0), number(0)
                for m in range(0, bump.shape[2], lanes):
                    for row in range(rows):
                        for lane in range(lanes):
                            product = grad[group, i, m * rows + row * lanes + lane] * bump[group, i, m + lane, row]
                            sums[group, 0, row] += product
                for row in range(rows):
                    sums[group, 0, row] *= inverse[group, i, row]
                for m in range(0, bump.shape[2], lanes):
                    for row in range(rows):
                        for lane in range(lanes):
                            # sum_k G_k K_k / S = W dL/dW / S
                            g = grad[group, i, m * rows + row * lanes + lane] - sums[group, 0, row]
                            x = number(lag[group, i, row] + m + lane) - delay[group, i, row]
                            sums[group, 1, row] += g * bump[group, i, m + lane, row] * x
                for row in range(here):
                    factor = weight[group, i, row] * inverse[group, i, row] * (inverse_width * inverse_width) / size
                    of_weight[group * rows + row, i] = sums[group, 0, row]
                    of_delay[group * rows + row, i] = factor * sums[group, 1, row]

    return run
