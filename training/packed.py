"""How the kernel of a delayed projection lies in memory, for the loops of `spikebridge.training.event_kernels`."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from spikebridge.training.compiled import compiled
from spikebridge.training.event_kernels import Layout
from spikebridge.training.event_lists import Floats, Ints
from spikebridge.training.lanes import REGISTER_BYTES, rows_for
from spikebridge.training.threads import in_blocks

TAPS_SIDE_BY_SIDE = 4
"""Lanes of a block where lanes are delays: most kernels that are narrow enough for that have so many taps."""


class Packed(NamedTuple):
    """Where the weights of a kernel are.

    Attributes:
        layout: constants of the loops.
        targets: the last group may have fewer than lanes.
        delays: of a stretch; numbers beyond are 0.
    """

    layout: Layout
    targets: int
    delays: int

    @property
    def groups(self) -> int:
        """Of targets."""
        return -(-self.targets // self.layout.unit)

    @property
    def cost(self) -> float:
        """Of an event, in operations on whole registers: measured. Few lanes, anywhere in a line, take longer."""
        blocks = self.groups * self.length / self.layout.lanes
        if self.layout.unit > 1:
            return blocks
        return blocks * (1.9 if self.layout.lanes == 1 else 3.4)

    @property
    def length(self) -> int:
        """Numbers of a stretch."""
        block = self.layout.rows * self.layout.lanes
        return -(-self.delays * self.layout.unit // block) * block


def lanes_of(dtype: torch.dtype) -> int:
    """Numbers in a register."""
    return REGISTER_BYTES // dtype.itemsize


def every_delay(targets: int, delays: int, dtype: torch.dtype) -> Packed:
    """Targets side by side: stretches are (delays, lanes)."""
    lanes = lanes_of(dtype)
    return Packed(Layout(rows_for(delays), lanes, lanes, 1), targets, delays)


def few_delays(targets: int, taps: int, dtype: torch.dtype) -> Packed:
    """One target at a time: stretches are its taps."""
    lanes = 1 if taps == 1 else TAPS_SIDE_BY_SIDE
    return Packed(Layout(rows_for(-(-taps // lanes)), lanes, 1, lanes_of(dtype)), targets, taps)


def side_by_side(packed: Packed, values: Tensor) -> Tensor:
    """One number per synapse (targets, sources) as (groups, sources, lanes)."""
    lanes = packed.layout.unit
    filled = functional.pad(values, (0, 0, 0, packed.groups * lanes - packed.targets))
    return filled.view(packed.groups, lanes, values.shape[1]).transpose(1, 2).contiguous()


def one_by_one(packed: Packed, values: Tensor) -> Tensor:
    """The way back from `side_by_side`."""
    return values.transpose(1, 2).reshape(-1, values.shape[1])[: packed.targets].contiguous()


def delays_first(packed: Packed, stretch: Tensor) -> Tensor:
    """Kernel (delays, sources, targets) from stretches with targets side by side."""
    groups, sources, _ = stretch.shape
    rows = stretch.view(groups, sources, -1, packed.layout.unit)[:, :, : packed.delays]
    return rows.permute(2, 1, 0, 3).reshape(packed.delays, sources, -1)[:, :, : packed.targets]


def stretches(values: Tensor, lag: Tensor, packed: Packed) -> Tensor:
    """Stretches (groups, sources, length) of weights (targets, sources, taps) from a delay on, differentiable in these.

    With one target at a time a stretch starts at its `lag`, with targets side by side at 0.
    """
    if packed.layout.unit == 1:
        return functional.pad(values, (0, packed.length - values.shape[2]))
    result: Tensor = _Stretches.apply(values, lag, packed)  # type: ignore[no-untyped-call]
    return result


class _Stretches(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, lag: Tensor, packed: Packed) -> Tensor:
        out = values.new_zeros((packed.groups, values.shape[1], packed.length))
        arrays = (packed.layout.unit, lag.numpy(), values.detach().contiguous().numpy(), out.numpy())
        in_blocks(packed.groups, lambda first, last: _place(first, last, *arrays))
        ctx.lag, ctx.packed, ctx.taps = lag, packed, values.shape[2]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad = grads[0].contiguous()
        into = grad.new_empty((*ctx.lag.shape, ctx.taps))
        arrays = (ctx.packed.layout.unit, ctx.lag.numpy(), grad.numpy(), into.numpy())
        in_blocks(ctx.packed.groups, lambda first, last: _pick(first, last, *arrays))
        return into, None, None


@compiled
def _place(first: int, last: int, lanes: int, lag: Ints, values: Floats, stretch: Floats) -> None:
    """Write `values` into the stretches of groups `first .. last - 1`, targets side by side."""
    targets, sources, taps = values.shape
    for j in range(first * lanes, min(last * lanes, targets)):
        for i in range(sources):
            row = stretch[j // lanes, i]
            for m in range(taps):
                row[(lag[j, i] + m) * lanes + j % lanes] = values[j, i, m]


@compiled
def _pick(first: int, last: int, lanes: int, lag: Ints, stretch: Floats, values: Floats) -> None:
    """The way back."""
    targets, sources, taps = values.shape
    for j in range(first * lanes, min(last * lanes, targets)):
        for i in range(sources):
            row = stretch[j // lanes, i]
            for m in range(taps):
                values[j, i, m] = row[(lag[j, i] + m) * lanes + j % lanes]
