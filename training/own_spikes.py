"""The compiled loop of spikes that a population sends to itself: the sums of the weights of those that fire."""

from __future__ import annotations

from spikebridge.training.compiled import compiled_within
from spikebridge.training.fused_types import Floats, Ints
from spikebridge.training.lanes import REGISTER_BYTES, load, plus_product, store

ROWS = 4
"""Registers of targets side by side."""


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
