"""Spikes as lists of events: what the loops of `spikebridge.training.event_kernels` walk through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from spikebridge.bridge.arrays import IntArray
from spikebridge.training.compiled import compiled
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
        value: (E,) what the event is multiplied by.
        samples: of a block; the last block may have fewer.
    """

    place: IntArray
    position: IntArray
    value: np.ndarray
    samples: int

    @classmethod
    def of(cls, spikes: Tensor, samples: int, stride: int) -> EventLists:
        """The entries other than 0 of (batch, steps, sources)."""
        dense = spikes.detach().contiguous().numpy()
        batch, steps, sources = dense.shape
        blocks = -(-batch // samples)
        room = samples * steps * sources
        source, step = np.empty((blocks, room), dtype=np.int32), np.empty((blocks, room), dtype=np.int32)
        counts = np.zeros((blocks, sources), dtype=np.int64)
        in_blocks(blocks, lambda first, last: _find_events(first, last, dense, samples, stride, source, step, counts))
        ends = np.cumsum(counts.ravel()).reshape(blocks, sources)
        place = np.concatenate([ends[:, :1] - counts[:, :1], ends], axis=1)
        total = int(counts.sum())
        position, value = np.empty(total, dtype=np.int64), np.empty(total, dtype=dense.dtype)
        found = (dense, samples, stride, source, step, place, position, value)
        in_blocks(blocks, lambda first, last: _list_events(first, last, *found))
        return cls(place, position, value, samples)


@compiled
def _find_events(
    first: int, last: int, spikes: Floats, samples: int, stride: int, source: Ints, position: Ints, counts: Ints
) -> None:
    """Source and position of the events of blocks `first .. last - 1`, by sample and time, and counts per source."""
    for block in range(first, last):
        sources_found, positions_found, count = source[block], position[block], counts[block]
        found = 0
        for b in range(block * samples, min((block + 1) * samples, spikes.shape[0])):
            for t in range(spikes.shape[1]):
                row, before = spikes[b, t], found
                # No branch: which neuron fires cannot be predicted, and a wrong guess costs more than the store.
                for i in range(row.size):
                    sources_found[found] = i
                    found += row[i] != 0
                for event in range(before, found):
                    positions_found[event] = (b - block * samples) * stride + t
                    count[sources_found[event]] += 1


@compiled
def _list_events(
    first: int,
    last: int,
    spikes: Floats,
    samples: int,
    stride: int,
    source: Ints,
    found_position: Ints,
    place: Ints,
    position: Ints,
    value: Floats,
) -> None:
    """The events of blocks `first .. last - 1` by source."""
    sources = spikes.shape[2]
    for block in range(first, last):
        free = place[block, :sources].copy()
        for event in range(place[block, sources] - place[block, 0]):
            i, at = source[block, event], found_position[block, event]
            position[free[i]] = at
            value[free[i]] = spikes[block * samples + at // stride, at % stride, i]
            free[i] += 1
