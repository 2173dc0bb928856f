"""Compiled loops of `spikebridge.training.spike_rows`: events of a step are found a register of inputs at a time.

Weights and their gradients are rows of targets, one per source, filled up to whole registers; arrivals and their
gradients (batch, steps, targets) are not, so what is beyond the last whole register passes through memory of its own.
"""

from __future__ import annotations

import numpy as np

from spikebridge.training.compiled import compiled, compiled_within
from spikebridge.training.fused_types import Floats, Ints
from spikebridge.training.lane_bits import memory_for, who_fires
from spikebridge.training.lanes import REGISTER_BYTES, add_product, load, plus_product, store, zeros

ROWS = 8
"""Registers of targets side by side; what is left goes one by one."""


@compiled
def list_steps(first: int, last: int, spikes: Floats, kept: Floats, place: Ints, source: Ints, value: Floats) -> None:
    """The events of samples `first .. last - 1` that are not silenced, by step; a sample has room for all its inputs.

    `place` (batch, steps + 1) is where the events of each step start and end.
    """
    steps, sources = spikes.shape[1:]
    found, numbers = memory_for(sources), spikes.ravel()
    for b in range(first, last):
        at = b * steps * sources
        place[b, 0] = at
        for now in range(steps):
            for event in range(who_fires(numbers, (b * steps + now) * sources, sources, found)):
                i = found[event]
                # Without a branch: whom dropout silences, a processor cannot guess.
                source[at], value[at] = i, spikes[b, now, i] * kept[b, i]
                at += 1 if kept[b, i] != 0 else 0
            place[b, now + 1] = at


@compiled
def arrive(first: int, last: int, place: Ints, source: Ints, value: Floats, rows: Floats, arrivals: Floats) -> None:
    """Arrivals of samples `first .. last - 1`: the sum of the rows of weights of all sources that fire."""
    steps, targets = arrivals.shape[1:]
    rest = np.empty(REGISTER_BYTES // value.itemsize, value.dtype)
    weights, into = rows.ravel(), arrivals.ravel()
    for b in range(first, last):
        for now in range(steps):
            events = place[b, now], place[b, now + 1], source, value
            add_up(*events, weights, rows.shape[1], into, (b * steps + now) * targets, targets, rest)


@compiled
def collect(first: int, last: int, place: Ints, source: Ints, value: Floats, given: Floats, total: Floats) -> None:
    """Add the gradients of arrivals of samples `first .. last - 1` to the rows of each source that fires."""
    steps, targets = given.shape[1:]
    rest = np.zeros(REGISTER_BYTES // value.itemsize, value.dtype)
    gradients, into = given.ravel(), total.ravel()
    for b in range(first, last):
        for now in range(steps):
            events = place[b, now], place[b, now + 1], source, value
            add_to_each(*events, gradients, (b * steps + now) * targets, targets, rest, into, total.shape[1])


@compiled_within
def add_up(
    start: int,
    end: int,
    source: Ints,
    value: Floats,
    weights: Floats,
    width: int,
    into: Floats,
    at: int,
    targets: int,
    rest: Floats,
) -> None:
    """Write the sum of the rows of events, each times its value, to the `targets` numbers at an index."""
    lanes, done = rest.size, 0
    while done + ROWS * lanes <= targets:
        total = zeros(into, ROWS, 0)
        for event in range(start, end):
            total = plus_product(total, value[event], weights, source[event] * width + done)
        store(into, at + done, total)
        done += ROWS * lanes
    while done < targets:
        one = zeros(into, 1, 0)
        for event in range(start, end):
            one = plus_product(one, value[event], weights, source[event] * width + done)
        if done + lanes <= targets:
            store(into, at + done, one)
        else:
            store(rest, 0, one)
            for n in range(targets - done):
                into[at + done + n] = rest[n]
        done += lanes


@compiled_within
def add_to_each(
    start: int,
    end: int,
    source: Ints,
    value: Floats,
    gradients: Floats,
    at: int,
    targets: int,
    rest: Floats,
    into: Floats,
    width: int,
) -> None:
    """Add the `targets` numbers at an index, times the value of each, to the rows of events."""
    lanes, done = rest.size, 0
    while done + ROWS * lanes <= targets:
        row = load(gradients, at + done, ROWS, 0)
        for event in range(start, end):
            add_product(into, source[event] * width + done, value[event], row)
        done += ROWS * lanes
    while done < targets:
        whole = done + lanes <= targets
        if not whole:
            for n in range(targets - done):
                rest[n] = gradients[at + done + n]
        one = load(gradients, at + done, 1, 0) if whole else load(rest, 0, 1, 0)
        for event in range(start, end):
            add_product(into, source[event] * width + done, value[event], one)
        done += lanes
