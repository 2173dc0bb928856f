"""Recorded or binned spikes as Brian2 spike generators; counts above one per step included.

A `SpikeGeneratorGroup` takes one spike per neuron and step. A count is therefore written in binary: channel c has one
copy per bit, copy b fires when bit b of the count is set, and its synapses carry the weight times 2^b. Both are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import brian2
import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.layout import Layout


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """An input in all lanes: neuron (lane * bits + bit) * size + channel of `group`."""

    group: Any
    size: int
    bits: int

    def copies(self, lanes: int) -> tuple[IntArray, IntArray, IntArray]:
        """Lane, first neuron and bit of every copy of the channels, each (lanes * bits,)."""
        lane, bit = np.divmod(np.arange(lanes * self.bits), self.bits)
        return lane, np.arange(lanes * self.bits) * self.size, bit


def build_source(name: str, trains: SpikeTrains, layout: Layout, clock: Any) -> Source:
    """The spike generator of one input.

    Args:
        name: of the Brian2 object.
        trains: what it plays, one entry per spike, repeated entries being counts.
        layout: where each sample runs.
        clock: the clock of the whole network.
    """
    size = trains.n_neurons
    step = layout.start_step(trains.sample) + trains.step
    lane = layout.lane(trains.sample)
    # One number per (lane, step, channel), so that equal ones can be counted.
    places, counts = np.unique((lane * layout.total_steps + step) * size + trains.neuron, return_counts=True)
    bits = max(int(counts.max()).bit_length(), 1) if counts.size else 1
    lane_step, channel = np.divmod(places, size)
    lane, step = np.divmod(lane_step, layout.total_steps)
    indices, steps = [], []
    for bit in range(bits):
        fires = (counts >> bit) & 1 == 1
        indices.append((lane[fires] * bits + bit) * size + channel[fires])
        steps.append(step[fires])
    index, when = np.concatenate(indices), np.concatenate(steps)
    order = np.lexsort((index, when))
    group = brian2.SpikeGeneratorGroup(
        layout.lanes * bits * size,
        index[order],
        when[order] * clock.dt,
        clock=clock,
        sorted=True,
        name=name,
    )
    return Source(group, size, bits)
