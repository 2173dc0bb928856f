"""How the kernel of a delayed projection lies in memory, for the loops of `spikebridge.training.event_kernels`."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from spikebridge.training.compiled import compiled
from spikebridge.training.event_kernels import Layout
from spikebridge.training.fused_types import Floats, Ints
from spikebridge.training.lanes import REGISTER_BYTES, rows_for
from spikebridge.training.threads import in_blocks
from spikebridge.training.timegrid import PLAIN, Unit

TAPS_TOGETHER = 4
"""Lanes of a block where lanes are delays: most kernels that are narrow have so many taps."""

EACH_COST = 0.75
"""Of an operation on the few delays of one target, in operations on whole registers at all delays: measured."""


class Packed(NamedTuple):
    """Where the weights of a kernel are.

    Attributes:
        layout: constants of the loops.
        targets: the last group may have fewer than others.
        delays: of a stretch; numbers beyond are 0.
    """

    layout: Layout
    targets: int
    delays: int

    @property
    def groups(self) -> int:
        """Of targets."""
        return -(-self.targets // self.layout.together)

    @property
    def cost(self) -> float:
        """Of an event, in operations on whole registers."""
        blocks = self.groups * self.length / self.layout.lanes
        return EACH_COST * blocks if self.layout.each else blocks

    @property
    def length(self) -> int:
        """Numbers of a stretch."""
        return self.reach * self.layout.together

    @property
    def reach(self) -> int:
        """Steps of a stretch."""
        block = self.layout.lanes if self.layout.each else self.layout.rows
        return -(-self.delays // block) * block


def lanes_of(dtype: torch.dtype) -> int:
    """Numbers in a register."""
    return REGISTER_BYTES // dtype.itemsize


def every_delay(targets: int, delays: int, dtype: torch.dtype) -> Packed:
    """Targets side by side: stretches are (delays, lanes)."""
    return Packed(Layout(rows_for(delays), lanes_of(dtype)), targets, delays)


def few_delays(targets: int, taps: int, dtype: torch.dtype) -> Packed:
    """Targets one after the other, each with its own lag: stretches are (chunks, targets, lanes)."""
    return Packed(Layout(lanes_of(dtype), 1 if taps == 1 else TAPS_TOGETHER, each=True), targets, taps)


def side_by_side(packed: Packed, values: Tensor, unit: Unit = PLAIN) -> Tensor:
    """One number per synapse (targets, sources) as (groups, sources, targets of a group), in a unit; no gradient."""
    result = values.new_empty((packed.groups, values.shape[1], packed.layout.together))
    plain = values.detach().contiguous().numpy()
    _beside(plain, plain.dtype.type(unit.plus), plain.dtype.type(unit.size), result.numpy())
    return result


def one_by_one(packed: Packed, values: Tensor, unit: Unit = PLAIN) -> Tensor:
    """The way back from `side_by_side`, of gradients."""
    result, beside = values.new_empty((packed.targets, values.shape[1])), values.numpy()
    _apart(beside, beside.dtype.type(unit.size), result.numpy())
    return result


def delays_first(packed: Packed, stretch: Tensor) -> Tensor:
    """Kernel (delays, sources, targets) from stretches with targets side by side."""
    groups, sources, _ = stretch.shape
    rows = stretch.view(groups, sources, -1, packed.layout.lanes)[:, :, : packed.delays]
    return rows.permute(2, 1, 0, 3).reshape(packed.delays, sources, -1)[:, :, : packed.targets]


def laned_factors(factors: Tensor) -> Tensor:
    """Numbers (batch, neurons) with samples side by side: (groups of samples, neurons, lanes)."""
    lanes = lanes_of(factors.dtype)
    filled = functional.pad(factors, (0, 0, 0, -len(factors) % lanes))
    return filled.view(-1, lanes, factors.shape[1]).transpose(1, 2).contiguous()


def in_turn(packed: Packed, values: Tensor) -> Tensor:
    """Weights (targets, sources, taps) as stretches (groups, sources, length) of targets one after the other."""
    rows, lanes, _ = packed.layout
    targets, sources, taps = values.shape
    filled = functional.pad(values, (0, packed.reach - taps, 0, 0, 0, packed.groups * rows - targets))
    split = filled.view(packed.groups, rows, sources, packed.reach // lanes, lanes)
    return split.permute(0, 2, 3, 1, 4).flatten(2)


def spread_out(few: Packed, stretch: Tensor, lag: Tensor, every: Packed) -> Tensor:
    """Stretches of targets one after the other, each from its `lag` on, as stretches of every delay; differentiable.

    `lag` is (groups, sources, targets of a group).
    """
    result: Tensor = _Spread.apply(stretch, lag, few, every)  # type: ignore[no-untyped-call]
    return result


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, stretch: Tensor, lag: Tensor, few: Packed, every: Packed) -> Tensor:
        out = stretch.new_zeros((every.groups, stretch.shape[1], every.length))
        arrays = (few.layout.lanes, few.delays, lag.numpy(), stretch.detach().contiguous().numpy(), out.numpy())
        in_blocks(few.groups, lambda first, last: _place(first, last, *arrays), stretch.numel())
        ctx.lag, ctx.few = lag, few
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad, few = grads[0].contiguous(), ctx.few
        into = grad.new_zeros((few.groups, grad.shape[1], few.length))
        arrays = (few.layout.lanes, few.delays, ctx.lag.numpy(), grad.numpy(), into.numpy())
        in_blocks(few.groups, lambda first, last: _pick(first, last, *arrays), into.numel())
        return into, None, None, None


@compiled
def _place(first: int, last: int, lanes: int, taps: int, lag: Ints, few: Floats, every: Floats) -> None:
    """Write the weights of groups `first .. last - 1` where they belong among all delays."""
    sources, rows = lag.shape[1:]
    for group in range(first, last):
        for i in range(sources):
            for row in range(rows):
                for m in range(taps):
                    at = (m // lanes * rows + row) * lanes + m % lanes
                    every[group, i, (lag[group, i, row] + m) * rows + row] = few[group, i, at]


@compiled
def _pick(first: int, last: int, lanes: int, taps: int, lag: Ints, every: Floats, few: Floats) -> None:
    """The way back."""
    sources, rows = lag.shape[1:]
    for group in range(first, last):
        for i in range(sources):
            for row in range(rows):
                for m in range(taps):
                    at = (m // lanes * rows + row) * lanes + m % lanes
                    few[group, i, at] = every[group, i, (lag[group, i, row] + m) * rows + row]


@compiled
def _beside(plain: Floats, plus: Any, size: Any, beside: Floats) -> None:
    """Targets that there are none of get 0."""
    groups, sources, together = beside.shape
    for group in range(groups):
        for row in range(together):
            target = group * together + row
            for i in range(sources):
                beside[group, i, row] = (plain[target, i] + plus) / size if target < plain.shape[0] else 0


@compiled
def _apart(beside: Floats, size: Any, plain: Floats) -> None:
    """The way back."""
    together = beside.shape[2]
    for target in range(plain.shape[0]):
        group, row = target // together, target % together
        for i in range(plain.shape[1]):
            plain[target, i] = beside[group, i, row] / size
