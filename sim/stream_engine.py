"""Samples one after another through one copy of the network, or a few copies, in a compiled C++ simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.decoding import decode
from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.sim.engine import Engine, OnProgress, Simulated
from spikebridge.sim.sample_process import Played, SampleProcess, StepEvents
from spikebridge.sim.stream_project import Prepared


@final
class StreamEngine(Engine):
    """One running simulation; its cost per sample does not depend on how many there are."""

    def __init__(self, grid: GridNetwork, prepared: Prepared, *, keep_readout: bool) -> None:
        self._grid, self._prepared, self._keep = grid, prepared, keep_readout
        spec = grid.spec
        readouts = prepared.lanes * spec.sizes[spec.readout.population]
        self._process = SampleProcess(prepared, len(spec.spiking_populations), readouts)

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def run(
        self, inputs: Mapping[str, SpikeTrains], on_progress: OnProgress, numbers: IntArray | None = None
    ) -> Simulated:
        """See `Engine.run`."""
        lanes, samples = self._prepared.lanes, next(iter(inputs.values())).n_samples
        numbers = np.arange(samples) if numbers is None else numbers
        parts = []
        for first in range(0, samples, lanes):
            picked = np.arange(first, min(first + lanes, samples))
            chosen = [inputs[node.name].select(picked) for node in self._grid.spec.inputs]
            events = [side_by_side(trains) for trains in chosen]
            if self._prepared.numbered:
                events.append(_numbered(numbers[picked], lanes))
            played = self._process.play(events, self._grid.n_steps)
            parts.append(self._simulated(played, picked.size))
            on_progress((first + picked.size) / samples)
        return Simulated.joined(parts)

    def _simulated(self, played: Played, samples: int) -> Simulated:
        spec = self._grid.spec
        lanes = played.trace.reshape(self._grid.n_steps, self._prepared.lanes, -1)[:, :samples]
        readout = np.ascontiguousarray(lanes.swapaxes(0, 1)) / self._prepared.potential_unit
        scores = decode(
            readout, spec.readout.decoding, step_ms=self._grid.step_ms, training_step_ms=spec.training_step_ms
        )
        spikes = {
            name: one_by_one(events, samples, spec.sizes[name], self._grid)
            for name, events in zip(spec.spiking_populations, played.spikes, strict=True)
        }
        return Simulated(spikes, scores, readout if self._keep else None)


def _numbered(numbers: IntArray, lanes: int) -> StepEvents:
    """The number of the sample in each lane, in the form in which a compiled simulation takes it."""
    of_lane = np.zeros(lanes, np.int32)
    of_lane[: numbers.size] = numbers
    return StepEvents(np.arange(lanes, dtype=np.int32), of_lane)


def side_by_side(trains: SpikeTrains) -> StepEvents:
    """The spikes of some samples, one per lane, as those of one large group, by step."""
    order = np.argsort(trains.step, kind="stable")
    neuron = trains.sample * trains.n_neurons + trains.neuron
    return StepEvents(trains.step[order], neuron[order].astype(np.int32))


def one_by_one(events: StepEvents, samples: int, size: int, grid: GridNetwork) -> SpikeTrains:
    """The inverse for a population of `size`, of which only the first `samples` lanes ran with a sample."""
    lane, neuron = np.divmod(events.neuron, np.int32(size))
    taken = np.flatnonzero(lane < samples)
    taken = taken[np.argsort(lane[taken], kind="stable")]
    offsets = np.zeros(samples + 1, dtype=np.int64)
    np.cumsum(np.bincount(lane[taken], minlength=samples), out=offsets[1:])
    return SpikeTrains(events.step[taken], neuron[taken], offsets, grid.n_steps, size, grid.step_ms)


def spikes_per_channel(inputs: Mapping[str, SpikeTrains]) -> int:
    """Room that generators need: the most spikes of a sample in one step, per channel, as a power of two of at least 4.

    A power of two, because it is part of the compiled simulation.
    """
    most = 4
    for trains in inputs.values():
        places = trains.sample * trains.n_steps + trains.step  # ascending
        if places.size:
            first = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
            longest = int(np.diff(np.append(first, places.size)).max())
            most = max(most, -(-longest // trains.n_neurons))
    return 1 << (most - 1).bit_length()
