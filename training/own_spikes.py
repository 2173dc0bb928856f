"""Compiled loops of spikes that a population sends to itself: who fires in a step, and the sums of their weights."""

from __future__ import annotations

from spikebridge.training.compiled import compiled_within
from spikebridge.training.event_lists import Floats, Ints
from spikebridge.training.lane_bits import lowest, others_than_0
from spikebridge.training.lanes import REGISTER_BYTES, load, plus_product, store

ROWS = 4
"""Registers of targets side by side."""


@compiled_within
def who_fires(spikes: Floats, at: int, size: int, found: Ints) -> int:
    """The numbers other than 0 of `size` from an index on, into `found`; how many there are."""
    lanes, count = REGISTER_BYTES // spikes.itemsize, 0
    whole = size // lanes * lanes
    for n in range(0, whole, lanes):
        bits = others_than_0(spikes, at + n)
        while bits != 0:
            found[count] = n + lowest(bits)
            count += 1
            bits &= bits - 1
    for n in range(whole, size):
        if spikes[at + n] != 0:
            found[count] = n
            count += 1
    return count


@compiled_within
def add_rows(found: Ints, count: int, weights: Floats, begin: int, size: int, into: Floats, at: int) -> None:
    """Add the rows of weights of those found, of `size` numbers from `begin` on, to the numbers at an index."""
    lanes = REGISTER_BYTES // into.itemsize
    one, done = into.dtype.type(1), 0
    while done + ROWS * lanes <= size:
        total = load(into, at + done, ROWS, 0)
        for event in range(count):
            total = plus_product(total, one, weights, begin + found[event] * size + done)
        store(into, at + done, total)
        done += ROWS * lanes
    for event in range(count):
        for n in range(done, size):
            into[at + n] += weights[begin + found[event] * size + n]
