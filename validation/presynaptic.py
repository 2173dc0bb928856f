"""What reaches one neuron: spikes of its sources when they arrive, and those that differ between two recordings.

A spike of step k with a delay of m steps is delivered in step k + m and first propagated in step k + m + 1, so the
potential of step n depends on nothing that arrives after step n - 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.discretise import projection_delay_steps
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains, bin_events
from spikebridge.validation.diverge import Place
from spikebridge.validation.parity import SpikeDifferences, spike_differences

NEVER = 2**40


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Spikes that arrive at one neuron in one sample, by source (in the network's order), source neuron and step.

    Attributes:
        source: (E,) name of the input or population of each.
        neuron, step: (E,) which of its neurons, and the step of arrival: emission plus delay on the recording's grid.
        weight: (E,) of the synapse.
    """

    source: tuple[str, ...]
    neuron: IntArray
    step: IntArray
    weight: FloatArray

    def __post_init__(self) -> None:
        sizes = {len(self.source), self.neuron.size, self.step.size, self.weight.size}
        if len(sizes) > 1:
            raise SpecError(f"arrivals need one source, neuron, step and weight each, got {sorted(sizes)}")


@dataclass(frozen=True, slots=True)
class SourceDifference:
    """A spike of a source that only one recording has, and the step in which it reaches the neuron.

    Attributes:
        step: in which it was emitted.
        arrival_step: of its shortest delay to the neuron, in either network.
        excess: spikes in B minus spikes in A.
    """

    source: str
    neuron: int
    step: int
    arrival_step: int
    excess: int


def played_inputs(spec: NetworkSpec, recording: Recording) -> dict[str, SpikeTrains]:
    """The recording's trials as its network saw them, on the recording's grid.

    Raises:
        SpecError: the network has more than one input; trials drive one.
    """
    if len(spec.inputs) != 1:
        raise SpecError(f"trials drive one input, but the network has {[node.name for node in spec.inputs]}")
    return {spec.inputs[0].name: bin_events(recording.trials.events, recording.step_ms, recording.n_steps)[0]}


def arrivals_at(
    spec: NetworkSpec, sources: Mapping[str, SpikeTrains], place: Place, first_step: int, last_step: int
) -> Arrivals:
    """All spikes that arrive at the neuron of `place` from `first_step` to `last_step`; weights of 0 carry nothing.

    Args:
        spec: whose synapses and delays count.
        sources: spikes of inputs and populations, all samples.
        place: the neuron and the sample.
        first_step: first step of arrival.
        last_step: last step of arrival, included.
    """
    names: list[str] = []
    parts: list[tuple[IntArray, IntArray, FloatArray]] = []
    for projection in sorted(spec.onto(place.population), key=lambda p: list(spec.sizes).index(p.source)):
        onto = (projection.target_index == place.neuron) & (projection.weight != 0)
        trains = sources[projection.source].select([place.sample])
        delay = projection_delay_steps(spec, projection, trains.step_ms)[onto]
        # Every synapse with every spike of its source: (synapses, spikes), kept where the spike is of that source.
        synapse, spike = np.nonzero(projection.source_index[onto][:, None] == trains.neuron[None, :])
        step = trains.step[spike] + delay[synapse]
        shown = (first_step <= step) & (step <= last_step)
        neuron, step = trains.neuron[spike][shown].astype(np.int64), step[shown].astype(np.int64)
        weight = projection.weight[onto][synapse][shown]
        order = np.lexsort((step, neuron))
        names += [projection.source] * order.size
        parts.append((neuron[order], step[order], weight[order]))
    if not parts:
        return Arrivals((), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
    neuron, step, weight = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Arrivals(tuple(names), neuron, step, weight)


class SourceDifferences:
    """Which spikes of a neuron's sources differ between two recordings, looked up by place."""

    def __init__(self, a: Recording, b: Recording, networks: Sequence[NetworkSpec]) -> None:
        """`a` and `b` hold the spikes that drove each executor; `networks` are those whose synapses count."""
        # Each with the delays of its own network, rounded once: places are many.
        self._projections = [
            (projection, projection_delay_steps(network, projection, a.step_ms))
            for network in networks
            for projection in network.projections
        ]
        self._sizes = {name: trains.n_neurons for name, trains in a.spikes.items()}
        self._by_sample = {
            name: _sorted(spike_differences(trains, b.spikes[name])) for name, trains in a.spikes.items()
        }

    def before(self, place: Place) -> tuple[SourceDifference, ...]:
        """Those that can act on the neuron by the step of `place`, by arrival, then network order, then neuron."""
        found = []
        for source, differences in self._by_sample.items():
            delay = self._shortest_delay(source, place)
            low, high = np.searchsorted(differences.sample, [place.sample, place.sample + 1])
            neuron, step = differences.neuron[low:high], differences.step[low:high]
            arrival = step + delay[neuron]
            found += [
                SourceDifference(
                    source, int(neuron[k]), int(step[k]), int(arrival[k]), int(differences.excess[low + k])
                )
                for k in np.flatnonzero(arrival < place.step)
            ]
        return tuple(sorted(found, key=lambda difference: difference.arrival_step))

    def _shortest_delay(self, source: str, place: Place) -> IntArray:
        """(neurons of the source,) in steps over all synapses onto the neuron and all networks; NEVER without one."""
        shortest = np.full(self._sizes[source], NEVER)
        for projection, delay in self._projections:
            if (projection.source, projection.target) == (source, place.population):
                onto = (projection.target_index == place.neuron) & (projection.weight != 0)
                np.minimum.at(shortest, projection.source_index[onto], delay[onto])
        return shortest


def _sorted(differences: SpikeDifferences) -> SpikeDifferences:
    """By sample, then step."""
    order = np.argsort(differences.sample, kind="stable")
    return SpikeDifferences(*(getattr(differences, k)[order] for k in ("step", "sample", "neuron", "excess")))
