"""A projection without delays, driven by events: the work is proportional to the number of spikes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from spikebridge.training.compiled import compiled_gradient, compiled_within
from spikebridge.training.event_lists import joined
from spikebridge.training.fused_types import Floats
from spikebridge.training.lanes import REGISTER_BYTES
from spikebridge.training.row_kernels import arrive, collect, list_steps
from spikebridge.training.threads import in_blocks
from spikebridge.training.tile_product import TILE_ROWS, add_product, padded, panel_width, panels_of

EVENT_COST, TARGET_COST, INPUT_GAIN = 300.0, 4.6, 8.0
"""In multiplications of a dense product: an event, each of its targets, and what an input costs beside its products.

Measured at 140 and 256 sources, 10 to 256 targets, densities of 0.01 to 0.7, dropout, AVX-512, both ways. Events pay up
to a density of 0.18 at 256 targets and of 0.07 at 20.
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
    kept = None if kept is None else kept.detach().to(spikes.dtype)
    events = StepLists.where_they_pay(spikes, kept, len(weight))
    if events is None:
        dense: Tensor = functional.linear(spikes if kept is None else spikes * kept[:, None], weight)
        return dense
    arrivals: Tensor = _Rows.apply(spikes, weight, kept, events)  # type: ignore[no-untyped-call]
    return arrivals


class StepLists(NamedTuple):
    """Events by sample, then step, then source.

    Attributes:
        place: (batch, steps + 1) where the events of each step start and end in the lists.
        source: (E,) which input it is.
        value: (E,) what the weights of its synapses are multiplied by; events that dropout silences are not there.
    """

    place: np.ndarray
    source: np.ndarray
    value: np.ndarray

    @classmethod
    def where_they_pay(cls, spikes: Tensor, kept: Tensor | None, targets: int) -> StepLists | None:
        """The entries other than 0 of (batch, steps, sources), times `kept` (batch, sources); None where too many."""
        dense, factors = spikes.detach().contiguous().numpy(), _factors(spikes, kept).numpy()
        place = np.empty((len(dense), dense.shape[1] + 1), np.int64)
        # How many there are is known afterwards; until then a sample has room for as many as there can be.
        lists = place, np.empty(dense.size, np.int32), np.empty(dense.size, dense.dtype)
        in_blocks(len(dense), lambda first, last: list_steps(first, last, dense, factors, *lists), dense.size)
        count = int((place[:, -1] - place[:, 0]).sum())
        return cls(*joined(*lists)) if events_pay(count, dense.size, targets) else None


def _factors(spikes: Tensor, kept: Tensor | None) -> Tensor:
    return spikes.new_ones((len(spikes), spikes.shape[2])) if kept is None else kept.contiguous()


def events_pay(events: int, inputs: int, targets: int) -> bool:
    """Whether `events` among so many inputs are less work than a dense product."""
    return events * (EVENT_COST + TARGET_COST * targets) < (INPUT_GAIN + targets) * inputs


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor, kept: Tensor | None, events: StepLists) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.events, ctx.kept = events, _factors(spikes, kept) if ctx.needs_input_grad[0] else None
        rows = functional.pad(weight.detach().t(), (0, _width(weight) - len(weight))).contiguous().numpy()
        arrivals: Tensor = spikes.new_empty((*spikes.shape[:2], len(weight)))
        in_blocks(len(spikes), lambda first, last: arrive(first, last, *events, rows, arrivals.numpy()))
        return arrivals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        events: StepLists = ctx.events
        given = grads[0].contiguous()
        grad_spikes = _product(given, weight, ctx.kept) if ctx.needs_input_grad[0] else None
        grad_weight: Tensor | None = None
        if ctx.needs_input_grad[1]:

            def work(first: int, last: int) -> Tensor:
                total: Tensor = weight.new_zeros((weight.shape[1], _width(weight)))
                collect(first, last, *events, given.numpy(), total.numpy())
                return total

            totals = in_blocks(len(given), work)
            grad_weight = sum(totals[1:], totals[0])[:, : len(weight)].t()
        return grad_spikes, grad_weight, None, None


def _width(weight: Tensor) -> int:
    """Numbers of a row of targets in whole registers."""
    return padded(len(weight), REGISTER_BYTES // weight.itemsize)


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
