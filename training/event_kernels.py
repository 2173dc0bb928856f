"""Compiled loops of `spikebridge.training.event_projection`: delayed synapses driven by events.

An event adds a stretch of numbers, the weights of its synapses at several delays, to what arrives from its step on. A
stretch is a block of registers (`spikebridge.training.lanes`), loaded once for all events that a source has in a block
of samples, and what arrives lies in a buffer that stays in the cache. In a stretch as many targets as a register has
lanes lie side by side, and rows are all delays from 0 on: one operation serves a whole register of targets at one
delay, whether or not their weight there is 0. `spikebridge.training.narrow_events` is for kernels of few delays.

Shapes: `stretch` (groups of targets, sources, length), where length = chunks x rows x lanes; `arrivals` (batch, steps,
targets). A buffer holds (samples, stride, lanes); stride is the steps of a sample and as many more as the longest
delay, for what comes too late to count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from spikebridge.training.compiled import compiled
from spikebridge.training.fused_types import Floats, Ints
from spikebridge.training.lanes import add_product, load, plus_product, store, zeros

type Kernel = Callable[..., None]


class Layout(NamedTuple):
    """Constants of the compiled loops.

    Attributes:
        rows, lanes: of a block.
        each: whether rows are targets and lanes delays, for `spikebridge.training.narrow_events`; else lanes are
            targets and rows delays.
    """

    rows: int
    lanes: int
    each: bool = False

    @property
    def together(self) -> int:
        """Targets of a group."""
        return self.rows if self.each else self.lanes


@cache
def arrive(layout: Layout) -> Kernel:
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
        stretch: Floats,
        buffer: Floats,
        arrivals: Floats,
    ) -> None:
        batch, steps, targets = arrivals.shape
        sources, length = stretch.shape[1:]
        weights, into = stretch.ravel(), arrivals.ravel()
        for group in range(first, last):
            here = min(lanes, targets - group * lanes)
            for block in range(place.shape[0]):
                buffer[:] = 0
                for i in range(sources):
                    start, end = place[block, i], place[block, i + 1]
                    if start == end:
                        continue
                    for c in range(0, length, rows * lanes):
                        block_of_weights = load(weights, (group * sources + i) * length + c, rows, lanes)
                        for event in range(start, end):
                            add_product(buffer, position[event] * lanes + c, value[event], block_of_weights)
                for b in range(min(samples, batch - block * samples)):
                    for t in range(steps):
                        at = ((block * samples + b) * steps + t) * targets + group * lanes
                        begin = (b * stride + t) * lanes
                        if here == lanes:
                            store(into, at, load(buffer, begin, 1, lanes))
                        else:
                            for n in range(here):
                                into[at + n] = buffer[begin + n]

    return run


@cache
def gather(layout: Layout) -> Kernel:
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
        grad_stretch: Floats,
        buffer: Floats,
        grad_arrivals: Floats,
    ) -> None:
        batch, steps, targets = grad_arrivals.shape
        sources, length = grad_stretch.shape[1:]
        into, arrived = grad_stretch.ravel(), grad_arrivals.ravel()
        for group in range(first, last):
            here = min(lanes, targets - group * lanes)
            for block in range(place.shape[0]):
                buffer[:] = 0
                for b in range(min(samples, batch - block * samples)):
                    for t in range(steps):
                        at = ((block * samples + b) * steps + t) * targets + group * lanes
                        begin = (b * stride + t) * lanes
                        if here == lanes:
                            store(buffer, begin, load(arrived, at, 1, lanes))
                        else:
                            for n in range(here):
                                buffer[begin + n] = arrived[at + n]
                for i in range(sources):
                    start, end = place[block, i], place[block, i + 1]
                    if start == end and block:
                        continue
                    for c in range(0, length, rows * lanes):
                        at = (group * sources + i) * length + c
                        total = load(into, at, rows, lanes) if block else zeros(into, rows, lanes)
                        for event in range(start, end):
                            total = plus_product(total, value[event], buffer, position[event] * lanes + c)
                        store(into, at, total)

    return run
