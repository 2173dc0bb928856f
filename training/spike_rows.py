"""A projection without delays, driven by events: the work is proportional to the number of spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from spikebridge.training.compiled import compiled_gradient, compiled_within
from spikebridge.training.fused_types import Floats
from spikebridge.training.threads import in_blocks
from spikebridge.training.tile_product import TILE_ROWS, add_product, padded, panel_width, panels_of

EVENT_COST, TARGET_COST, INPUT_COST = 500.0, 0.65, 30.0
"""In multiplications of a dense product: an event, each of its targets, and each input that has to be looked at.

Measured at 140 and 256 sources, 20 and 256 targets, densities of 0.02 to 0.3, AVX-512. Events then pay up to a density
of a third at 256 targets, and never at 20.
"""


def rows_projection(spikes: Tensor, weight: Tensor, kept: Tensor | None = None) -> Tensor:
    """`functional.linear` on the CPU, by events where these are few.

    Args:
        spikes: (batch, steps, sources), most of them 0; any value.
        weight: (targets, sources).
        kept: (batch, sources) what spikes are multiplied by; None for 1.

    Returns:
        (batch, steps, targets). The order of sums, and so the last bits, differ from those of a matrix product.
    """
    if not events_pay(count_events(spikes.detach().contiguous().numpy(), 1), spikes.numel(), len(weight)):
        dense: Tensor = functional.linear(spikes if kept is None else spikes * kept[:, None], weight)
        return dense
    kept = spikes.new_ones((len(spikes), spikes.shape[2])) if kept is None else kept.detach().to(spikes.dtype)
    arrivals: Tensor = _Rows.apply(spikes, weight, kept)  # type: ignore[no-untyped-call]
    return arrivals


def events_pay(events: int, inputs: int, targets: int) -> bool:
    """Whether `events` among so many inputs are less work than a dense product."""
    return events * (EVENT_COST + TARGET_COST * targets) + INPUT_COST * inputs < targets * inputs


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor, kept: Tensor) -> Tensor:
        ctx.save_for_backward(spikes, weight, kept)
        dense, rows = spikes.detach().contiguous().numpy(), weight.detach().t().contiguous().numpy()
        arrivals: Tensor = spikes.new_empty((*spikes.shape[:2], len(weight)))
        in_blocks(len(dense), lambda first, last: arrive(first, last, dense, kept.numpy(), rows, arrivals.numpy()))
        return arrivals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        spikes, weight, kept = ctx.saved_tensors
        given = grads[0].contiguous()
        grad_spikes = _product(given, weight, kept) if ctx.needs_input_grad[0] else None
        grad_weight: Tensor | None = None
        if ctx.needs_input_grad[1]:
            dense, rows = spikes.detach().contiguous().numpy(), given.numpy()

            def work(first: int, last: int) -> Tensor:
                total: Tensor = weight.new_zeros((weight.shape[1], weight.shape[0]))
                collect(first, last, dense, kept.numpy(), rows, total.numpy())
                return total

            grad_weight = torch.stack(in_blocks(len(dense), work)).sum(0).t()
        return grad_spikes, grad_weight, None


def _product(left: Tensor, right: Tensor, kept: Tensor) -> Tensor:
    """`left` (batch, steps, depth) times `right` (depth, columns), times `kept` (batch, columns)."""
    batch, steps, depth = left.shape
    rows, panels = left.numpy().reshape(-1, depth), panels_of(right.detach().contiguous().numpy())
    width = right.shape[1]
    result = left.new_empty((len(rows), padded(width, panel_width(rows.dtype))))
    into = result.numpy()
    tiles, rest = divmod(len(rows), TILE_ROWS)
    factor = (rows, panels, kept.numpy(), steps, into)
    in_blocks(max(tiles, 1), lambda first, last: multiply(first * TILE_ROWS, last * TILE_ROWS, *factor))
    if rest:
        of_rows = kept.numpy()[np.arange(len(rows) - rest, len(rows)) // steps]
        into[-rest:, :width] = rows[-rest:] @ right.detach().numpy() * of_rows
    product: Tensor = result[:, :width].reshape(batch, steps, width)
    return product


@compiled_within
def multiply(first: int, last: int, rows: Floats, panels: Floats, kept: Floats, steps: int, into: Floats) -> None:
    """Whole tiles of rows of the product, a few at a time so that they stay in the nearest cache."""
    last = min(last, len(rows) // TILE_ROWS * TILE_ROWS)
    for start in range(first, last, 4 * TILE_ROWS):
        end = min(start + 4 * TILE_ROWS, last)
        into[start:end] = 0
        add_product(into[start:end], rows[start:end], panels)
        for row in range(start, end):
            scale_row(row, row // steps, kept, into)


@compiled_gradient
def scale_row(row: int, b: int, kept: Floats, into: Floats) -> None:
    """A row of the product times the factors of its sample."""
    for n in range(kept.shape[1]):
        into[row, n] *= kept[b, n]


@compiled_within
def count_events(spikes: Floats, every: int) -> int:
    """How many entries of every so many samples are not 0."""
    total = 0
    for b in range(0, spikes.shape[0], every):
        for now in range(spikes.shape[1]):
            for i in range(spikes.shape[2]):
                total += 1 if spikes[b, now, i] != 0 else 0
    return total


@compiled_within
def arrive(first: int, last: int, spikes: Floats, kept: Floats, rows: Floats, arrivals: Floats) -> None:
    """The sum of the rows of weights of all sources that fire; rows (sources, targets)."""
    for b in range(first, last):
        for now in range(spikes.shape[1]):
            clear(b, now, arrivals)
            for i in range(spikes.shape[2]):
                if spikes[b, now, i] != 0 and kept[b, i] != 0:
                    add_weights(b, now, i, spikes[b, now, i] * kept[b, i], rows, arrivals)


@compiled_gradient
def clear(b: int, now: int, arrivals: Floats) -> None:
    """Nothing has arrived yet."""
    for j in range(arrivals.shape[2]):
        arrivals[b, now, j] = 0


@compiled_gradient
def add_weights(b: int, now: int, i: int, value: Any, rows: Floats, arrivals: Floats) -> None:
    """One spike at all targets."""
    for j in range(rows.shape[1]):
        arrivals[b, now, j] += value * rows[i, j]


@compiled_within
def collect(first: int, last: int, spikes: Floats, kept: Floats, given: Floats, total: Floats) -> None:
    """Add the gradients of a step to the weights of each source that fires; total (sources, targets)."""
    for b in range(first, last):
        for now in range(spikes.shape[1]):
            for i in range(spikes.shape[2]):
                if spikes[b, now, i] != 0 and kept[b, i] != 0:
                    add_gradient(b, now, i, spikes[b, now, i] * kept[b, i], given, total)


@compiled_gradient
def add_gradient(b: int, now: int, i: int, value: Any, given: Floats, total: Floats) -> None:
    """What one spike tells all its synapses."""
    for j in range(total.shape[1]):
        total[i, j] += value * given[b, now, j]
