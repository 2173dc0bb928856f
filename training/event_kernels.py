"""Compiled loops of `spikebridge.training.event_projection`: delayed synapses driven by events.

An event adds a stretch of numbers, the weights of its synapses at several delays, to what arrives from its step on. A
stretch is a block of registers (`spikebridge.training.lanes`), loaded once for all events that a source has in a block
of samples, and what arrives lies in a buffer that stays in the cache. Two layouts are the same loops:

- `unit` targets side by side, as many as a register has lanes, and every delay: rows of the block are delays. One
  operation serves a whole register of targets at one delay, whether or not their weight there is 0.
- one target (`unit` 1) and the few delays at which a synapse has weight, side by side from `lag` on.

Shapes: `stretch` (groups of targets, sources, length), where length = chunks x rows x lanes; `lag` (groups, sources) in
steps; `arrivals` (batch, steps, targets). A buffer holds (across, samples, stride, unit); stride
is the steps of a sample and as many more as the longest delay, for what comes too late to count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from spikebridge.training.compiled import compiled
from spikebridge.training.event_lists import Floats, Ints
from spikebridge.training.lanes import add_product, load, plus_product, store

type Kernel = Callable[..., None]


class Layout(NamedTuple):
    """Constants of the compiled loops: rows and lanes of a block, targets side by side, groups that share a buffer."""

    rows: int
    lanes: int
    unit: int
    across: int


@cache
def arrive(layout: Layout) -> Kernel:
    """The loop that adds up arrivals; `first` and `last` count buffers, each of `across` groups of targets."""
    rows, lanes, unit, across = layout

    @compiled
    def run(
        first: int,
        last: int,
        place: Ints,
        position: Ints,
        value: Floats,
        samples: int,
        stride: int,
        lag: Ints,
        stretch: Floats,
        buffer: Floats,
        arrivals: Floats,
    ) -> None:
        groups, sources = lag.shape
        batch, steps, targets = arrivals.shape
        length, weights, into = stretch.shape[2], stretch.ravel(), arrivals.ravel()
        for some in range(first, last):
            for block in range(place.shape[0]):
                buffer[:] = 0
                for group in range(some * across, min((some + 1) * across, groups)):
                    origin = (group - some * across) * samples * stride
                    for i in range(sources):
                        start, end = place[block, i], place[block, i + 1]
                        if start == end:
                            continue
                        for c in range(0, length, rows * lanes):
                            block_of_weights = load(weights, (group * sources + i) * length + c, rows, lanes)
                            offset = (origin + lag[group, i]) * unit + c
                            for event in range(start, end):
                                at = offset + position[event] * unit
                                add_product(buffer, at, value[event], block_of_weights)
                for b in range(min(samples, batch - block * samples)):
                    for t in range(steps):
                        at = ((block * samples + b) * steps + t) * targets
                        for group in range(some * across, min((some + 1) * across, groups)):
                            begin = (((group - some * across) * samples + b) * stride + t) * unit
                            if (group + 1) * unit <= targets:
                                store(into, at + group * unit, load(buffer, begin, 1, unit))
                            else:
                                for n in range(targets - group * unit):
                                    into[at + group * unit + n] = buffer[begin + n]

    return run


@cache
def gather(layout: Layout) -> Kernel:
    """The loop for the gradient of `stretch`: each event meets the gradient of what it added to."""
    rows, lanes, unit, across = layout

    @compiled
    def run(
        first: int,
        last: int,
        place: Ints,
        position: Ints,
        value: Floats,
        samples: int,
        stride: int,
        lag: Ints,
        grad_stretch: Floats,
        buffer: Floats,
        grad_arrivals: Floats,
    ) -> None:
        groups, sources = lag.shape
        batch, steps, targets = grad_arrivals.shape
        length, into, arrived = grad_stretch.shape[2], grad_stretch.ravel(), grad_arrivals.ravel()
        for some in range(first, last):
            for block in range(place.shape[0]):
                buffer[:] = 0
                for b in range(min(samples, batch - block * samples)):
                    for t in range(steps):
                        at = ((block * samples + b) * steps + t) * targets
                        for group in range(some * across, min((some + 1) * across, groups)):
                            begin = (((group - some * across) * samples + b) * stride + t) * unit
                            if (group + 1) * unit <= targets:
                                store(buffer, begin, load(arrived, at + group * unit, 1, unit))
                            else:
                                for n in range(targets - group * unit):
                                    buffer[begin + n] = arrived[at + group * unit + n]
                for group in range(some * across, min((some + 1) * across, groups)):
                    origin = (group - some * across) * samples * stride
                    for i in range(sources):
                        start, end = place[block, i], place[block, i + 1]
                        if start == end:
                            continue
                        for c in range(0, length, rows * lanes):
                            at = (group * sources + i) * length + c
                            total = load(into, at, rows, lanes)
                            offset = (origin + lag[group, i]) * unit + c
                            for event in range(start, end):
                                total = plus_product(total, value[event], buffer, offset + position[event] * unit)
                            store(into, at, total)

    return run
