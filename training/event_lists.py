"""Spikes as lists of events: what the loops of `spikebridge.training.event_kernels` walk through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from spikebridge.bridge.arrays import IntArray
from spikebridge.training.compiled import compiled, compiled_within
from spikebridge.training.fused_types import Floats, Ints
from spikebridge.training.lane_bits import memory_for, who_fires
from spikebridge.training.threads import in_blocks


@dataclass(frozen=True, slots=True, eq=False)
class EventLists:
    """Events by block of samples, then source; within, see `list_events`.

    Attributes:
        place: (blocks, sources + 1) where the events of each source start and end in the lists.
        position: (E,) step of each event plus `stride` times the sample's number within its block.
        value: (E,) what the event is multiplied by; events that dropout silences are not there.
        samples: of a block; the last block may have fewer.
    """

    place: IntArray
    position: IntArray
    value: np.ndarray
    samples: int

    @classmethod
    def of(cls, spikes: Tensor, samples: int, stride: int, kept: Tensor | None = None) -> EventLists:
        """The entries other than 0 of (batch, steps, sources), times `kept` (batch, sources)."""
        dense = spikes.detach().contiguous().numpy()
        factor = (spikes.new_ones((len(spikes), spikes.shape[2])) if kept is None else kept.contiguous()).numpy()
        batch, steps, sources = dense.shape
        blocks, room = -(-batch // samples), samples * steps * sources
        place = np.empty((blocks, sources + 1), dtype=np.int64)
        # How many there are is known afterwards; until then a block has room for as many as there can be.
        position, value = np.empty(blocks * room, dtype=np.int32), np.empty(blocks * room, dtype=dense.dtype)

        def work(first: int, last: int) -> None:
            found_source, found_position = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
            found = found_source, found_position, np.empty(room, dtype=dense.dtype)
            list_events(first, last, dense, factor, samples, stride, *found, place, position, value)

        in_blocks(blocks, work, dense.size)
        return cls(*joined(place, position, value), samples)


@compiled
def joined(place: Ints, position: Ints, value: Floats) -> tuple[Ints, Ints, Floats]:
    """The events of all rows of `place` without the room between: kept until the way back, they must not be larger."""
    blocks, total = place.shape[0], 0
    for block in range(blocks):
        total += place[block, -1] - place[block, 0]
    at, new_position, new_value = 0, np.empty(total, position.dtype), np.empty(total, value.dtype)
    for block in range(blocks):
        start, count = place[block, 0], place[block, -1] - place[block, 0]
        new_position[at : at + count] = position[start : start + count]
        new_value[at : at + count] = value[start : start + count]
        for i in range(place.shape[1]):
            place[block, i] += at - start
        at += count
    return place, new_position, new_value


@compiled
def list_events(
    first: int,
    last: int,
    spikes: Floats,
    factor: Floats,
    samples: int,
    stride: int,
    found_source: Ints,
    found_position: Ints,
    found_value: Floats,
    place: Ints,
    position: Ints,
    value: Floats,
) -> None:
    """The events of blocks `first .. last - 1`, found by sample and time, by source.

    Those of the second half of the events of a source lie between those of the first: what the loops add to for one
    event then was written for the one before the last, and is no longer on its way. The loop of
    `spikebridge.training.narrow_events` is 5 to 8 % faster so: measured.
    """
    batch, steps, sources = spikes.shape
    numbers, fires, seen = spikes.ravel(), memory_for(sources), np.empty(sources, np.int64)
    for block in range(first, last):
        found, seen[:] = 0, 0
        for b in range(block * samples, min((block + 1) * samples, batch)):
            for t in range(steps):
                at = (b * steps + t) * sources
                for event in range(who_fires(numbers, at, sources, fires)):
                    i = fires[event]
                    # Without a branch: whom dropout silences, a processor cannot guess either.
                    found_source[found], found_value[found] = i, numbers[at + i] * factor[b, i]
                    found_position[found] = (b - block * samples) * stride + t
                    arrives = 1 if factor[b, i] != 0 else 0
                    seen[i] += arrives
                    found += arrives
        place[block, 0] = block * found_source.size
        for i in range(sources):
            place[block, i + 1] = place[block, i] + seen[i]
        seen[:] = 0
        for event in range(found):
            i = found_source[event]
            start, number = place[block, i], seen[i]
            half = (place[block, i + 1] - start + 1) // 2
            here = start + (2 * number if number < half else 2 * (number - half) + 1)
            position[here], value[here] = found_position[event], found_value[event]
            seen[i] += 1


@compiled_within
def count_events(spikes: Floats, every: int) -> int:
    """How many entries of every so many samples are not 0."""
    total = 0
    for b in range(0, spikes.shape[0], every):
        for now in range(spikes.shape[1]):
            for i in range(spikes.shape[2]):
                total += 1 if spikes[b, now, i] != 0 else 0
    return total
