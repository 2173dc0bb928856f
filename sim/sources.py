"""Recorded or binned spikes as Brian2 spike generators; counts above one per step included.

A `SpikeGeneratorGroup` takes one spike per neuron and step. A count is therefore written in binary: channel c has one
copy per bit, copy b fires when bit b of the count is set, and its synapses carry the weight times 2^b. Both are exact.
Where every spike of a count may be lost by itself, a channel has one copy per spike instead.

Where generated sources are to stay the same whatever is played, the sizes of a generator are given: spikes past the end
of the run, which are never played, fill it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import brian2
import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.layout import Layout


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """An input in all lanes: neuron (lane * bits + bit) * size + channel of `group`.

    Attributes:
        bits: copies of every channel.
        one_by_one: whether copy b stands for the spike b of a count, and not for 2^b spikes.
    """

    group: Any
    size: int
    bits: int
    one_by_one: bool = False

    def copies(self, lanes: int) -> tuple[IntArray, IntArray, FloatArray]:
        """Lane, first neuron and number of spikes of every copy of the channels, each (lanes * bits,)."""
        lane, bit = np.divmod(np.arange(lanes * self.bits), self.bits)
        return lane, np.arange(lanes * self.bits) * self.size, np.ones(bit.size) if self.one_by_one else 2.0**bit


@dataclass(frozen=True, slots=True)
class SourceSize:
    """The sizes of a spike generator that depend on what it plays.

    Attributes:
        bits: copies of every channel, for counts up to 2^bits - 1.
        entries: spikes it holds, those past the end of the run included.
    """

    bits: int
    entries: int


def bits_needed(trains: SpikeTrains) -> int:
    """Copies of every channel that the largest count of one channel and step takes, at least 1."""
    place = (trains.sample * trains.n_steps + trains.step) * trains.n_neurons + trains.neuron
    counts = np.unique(place, return_counts=True)[1]
    return max(int(counts.max()).bit_length(), 1) if counts.size else 1


def build_source(
    name: str,
    trains: SpikeTrains,
    layout: Layout,
    clock: Any,
    fixed: SourceSize | None = None,
    *,
    one_by_one: bool = False,
) -> Source:
    """The spike generator of one input.

    Args:
        name: of the Brian2 object.
        trains: what it plays, one entry per spike, repeated entries being counts.
        layout: where each sample runs.
        clock: the clock of the whole network.
        fixed: its sizes, at least those that the spikes need; not given, exactly those.
        one_by_one: give every spike of a count a copy of its own; not with `fixed`.
    """
    size = trains.n_neurons
    step = layout.start_step(trains.sample) + trains.step
    lane = layout.lane(trains.sample)
    # One number per (lane, step, channel), so that equal ones can be counted.
    places, counts = np.unique((lane * layout.total_steps + step) * size + trains.neuron, return_counts=True)
    bits = bits_needed(trains) if fixed is None else fixed.bits
    if one_by_one:
        bits = int(counts.max(initial=1))
    lane_step, channel = np.divmod(places, size)
    lane, step = np.divmod(lane_step, layout.total_steps)
    indices, steps = [], []
    for bit in range(bits):
        fires = counts > bit if one_by_one else (counts >> bit) & 1 == 1
        indices.append((lane[fires] * bits + bit) * size + channel[fires])
        steps.append(step[fires])
    index, when = np.concatenate(indices), np.concatenate(steps)
    order = np.lexsort((index, when))
    index, when = index[order], when[order]
    if fixed is not None:
        index, when = padded(index, when, fixed.entries, layout.lanes * bits * size, layout.total_steps)
    group = brian2.SpikeGeneratorGroup(
        layout.lanes * bits * size,
        index,
        when * clock.dt,
        clock=clock,
        sorted=True,
        name=name,
    )
    return Source(group, size, bits, one_by_one)


def padded(index: IntArray, step: IntArray, entries: int, size: int, total_steps: int) -> tuple[IntArray, IntArray]:
    """Spikes (E,) of `size` neurons, filled up to `entries` with spikes after the last of `total_steps` steps.

    They are in order and never two of one neuron in one step, as a spike generator wants it.
    """
    missing = entries - index.size
    if missing < 0:
        raise ValueError(f"{index.size} spikes do not fit into a generator of {entries}")
    late_step, late_index = np.divmod(np.arange(missing, dtype=np.int64), size)
    return np.concatenate([index, late_index]), np.concatenate([step, total_steps + 1 + late_step])
