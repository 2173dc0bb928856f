"""Compiled loops of `spikebridge.training.event_projection` for kernels of few delays: each target has its own lag.

An event adds a few numbers, the weights of one synapse at its delays, to what arrives at one target. Some targets take
turns with every event, so that what is read was written long ago: a read that overlaps a write that is on its way has
to wait for it. Their weights stay in registers for all events that a source has in a block of samples.

Shapes: `stretch` (groups of targets, sources, chunks, rows, lanes) flattened from the third on, rows being targets and
lanes delays from the lag of the synapse on; `arrivals` (batch, steps, targets). A buffer holds (rows, samples, stride)
and a stretch more; stride is the steps of a sample and as many more as the longest lag and a stretch, for what comes
too late to count. `offset` (groups, sources, rows): where in the buffer a spike of the source begins to arrive, from
the step of the spike on.
"""

from __future__ import annotations

from functools import cache

from spikebridge.training.compiled import compiled
from spikebridge.training.event_kernels import Kernel, Layout
from spikebridge.training.fused_types import Floats, Ints
from spikebridge.training.lane_squares import transpose
from spikebridge.training.lanes import add_product_each, load, plus_product_each, store, zeros


@cache
def arrive_each(layout: Layout) -> Kernel:
    """The loop that adds up arrivals at groups `first .. last - 1` of targets."""
    rows, lanes = layout.rows, layout.lanes

    @compiled
    def run(
        first: int,
        last: int,
        place: Ints,
        position: Ints,
        value: Floats,
        samples: int,
        stride: int,
        offset: Ints,
        stretch: Floats,
        buffer: Floats,
        arrivals: Floats,
    ) -> None:
        batch, steps, targets = arrivals.shape
        sources, length = stretch.shape[1:]
        weights, into, offsets = stretch.ravel(), arrivals.ravel(), offset.ravel()
        for group in range(first, last):
            for block in range(place.shape[0]):
                buffer[:] = 0
                for i in range(sources):
                    start, end = place[block, i], place[block, i + 1]
                    if start == end:
                        continue
                    at, own = (group * sources + i) * length, (group * sources + i) * rows
                    block_of_weights = load(weights, at, rows, lanes)
                    for event in range(start, end):
                        add_product_each(buffer, position[event], offsets, own, value[event], block_of_weights)
                        for c in range(1, length // (rows * lanes)):
                            more = load(weights, at + c * rows * lanes, rows, lanes)
                            add_product_each(buffer, position[event] + c * lanes, offsets, own, value[event], more)
                here = min(rows, targets - group * rows)
                for b in range(min(samples, batch - block * samples)):
                    at, begin = (block * samples + b) * steps * targets + group * rows, b * stride
                    squares = steps // rows * rows if here == rows else 0
                    for t in range(0, squares, rows):
                        transpose(into, at + t * targets, targets, buffer, begin + t, samples * stride, rows)
                    for t in range(squares, steps):
                        for row in range(here):
                            into[at + t * targets + row] = buffer[row * samples * stride + begin + t]

    return run


@cache
def gather_each(layout: Layout) -> Kernel:
    """The loop for the gradient of `stretch`, which is written: each event meets the gradient of what it added to."""
    rows, lanes = layout.rows, layout.lanes

    @compiled
    def run(
        first: int,
        last: int,
        place: Ints,
        position: Ints,
        value: Floats,
        samples: int,
        stride: int,
        offset: Ints,
        grad_stretch: Floats,
        buffer: Floats,
        grad_arrivals: Floats,
    ) -> None:
        batch, steps, targets = grad_arrivals.shape
        sources, length = grad_stretch.shape[1:]
        into, arrived, offsets = grad_stretch.ravel(), grad_arrivals.ravel(), offset.ravel()
        buffer[:] = 0
        for group in range(first, last):
            here = min(rows, targets - group * rows)
            if here < rows:
                buffer[:] = 0
            for block in range(place.shape[0]):
                for b in range(min(samples, batch - block * samples)):
                    at, begin = (block * samples + b) * steps * targets + group * rows, b * stride
                    squares = steps // rows * rows if here == rows else 0
                    for t in range(0, squares, rows):
                        transpose(buffer, begin + t, samples * stride, arrived, at + t * targets, targets, rows)
                    for t in range(squares, steps):
                        for row in range(here):
                            buffer[row * samples * stride + begin + t] = arrived[at + t * targets + row]
                for i in range(sources):
                    start, end = place[block, i], place[block, i + 1]
                    if start == end and block:
                        continue
                    own = (group * sources + i) * rows
                    for c in range(length // (rows * lanes)):
                        at = (group * sources + i) * length + c * rows * lanes
                        total = load(into, at, rows, lanes) if block else zeros(into, rows, lanes)
                        for event in range(start, end):
                            where = position[event] + c * lanes
                            total = plus_product_each(total, value[event], buffer, where, offsets, own)
                        store(into, at, total)

    return run
