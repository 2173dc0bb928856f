"""Spikes as lists of events: what the loops of `spikebridge.training.event_kernels` walk through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from spikebridge.bridge.arrays import IntArray
from spikebridge.training.compiled import compiled
from spikebridge.training.lane_bits import who_fires
from spikebridge.training.threads import in_blocks

type Floats = npt.NDArray[Any]
"""float32 or float64, the same in one call."""
type Ints = npt.NDArray[Any]
"""int32 or int64."""


@dataclass(frozen=True, slots=True, eq=False)
class EventLists:
    """Events by block of samples, then source, then sample, then time.

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
        blocks = -(-batch // samples)
        room = samples * steps * sources
        source, step = np.empty((blocks, room), dtype=np.int32), np.empty((blocks, room), dtype=np.int32)
        number = np.empty((blocks, room), dtype=dense.dtype)
        counts = np.zeros((blocks, sources), dtype=np.int64)
        found = (dense, factor, samples, stride, source, step, number, counts)
        in_blocks(blocks, lambda first, last: _find_events(first, last, *found), dense.size)
        ends = np.cumsum(counts.ravel()).reshape(blocks, sources)
        place = np.concatenate([ends[:, :1] - counts[:, :1], ends], axis=1)
        total = int(counts.sum())
        position, value = np.empty(total, dtype=np.int64), np.empty(total, dtype=dense.dtype)
        lists = (source, step, number, place, position, value)
        in_blocks(blocks, lambda first, last: _list_events(first, last, *lists), total)
        return cls(place, position, value, samples)


@compiled
def _find_events(
    first: int,
    last: int,
    spikes: Floats,
    factor: Floats,
    samples: int,
    stride: int,
    source: Ints,
    position: Ints,
    value: Floats,
    counts: Ints,
) -> None:
    """The events of blocks `first .. last - 1` by sample and time, and how many there are per source."""
    batch, steps, sources = spikes.shape
    numbers, fires = spikes.ravel(), np.empty(sources, np.int64)
    for block in range(first, last):
        found = 0
        for b in range(block * samples, min((block + 1) * samples, batch)):
            for t in range(steps):
                at = (b * steps + t) * sources
                for event in range(who_fires(numbers, at, sources, fires)):
                    i = fires[event]
                    if factor[b, i] != 0:
                        source[block, found], value[block, found] = i, numbers[at + i] * factor[b, i]
                        position[block, found] = (b - block * samples) * stride + t
                        counts[block, i] += 1
                        found += 1


@compiled
def _list_events(
    first: int,
    last: int,
    source: Ints,
    found_position: Ints,
    found_value: Floats,
    place: Ints,
    position: Ints,
    value: Floats,
) -> None:
    """The events of blocks `first .. last - 1` by source."""
    for block in range(first, last):
        free = place[block, :-1].copy()
        for event in range(place[block, -1] - place[block, 0]):
            i = source[block, event]
            position[free[i]], value[free[i]] = found_position[block, event], found_value[block, event]
            free[i] += 1
