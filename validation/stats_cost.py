"""What a decision costs: spikes, synaptic operations and neuron updates per sample."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.observations import Definition, Observations, nothing
from spikebridge.validation.presynaptic import played_inputs

SPIKES = Definition(
    "spikes_per_decision",
    "Spikes per decision",
    "",
    "sample",
    "Spikes of all spiking populations in one sample, without those of the input.",
    "A definition of this project.",
)
OPERATIONS = Definition(
    "synaptic_operations",
    "Synaptic operations per decision",
    "",
    "sample",
    "Sum over all spikes of one sample, those of the input included, of the number of synapses the neuron has (its "
    "fan-out over all projections, readout included; synapses of weight 0 count). A proxy of the energy of "
    "event-driven hardware, not a measurement.",
    "The synaptic operations of Merolla et al. 2014 (Science 345:668).",
)
DENSE_SHARE = Definition(
    "synaptic_operations_share",
    "Synaptic operations, share of a dense network's",
    "share",
    "sample",
    "Synaptic operations by those of a network that uses every synapse in every step: it depends on the step.",
    "A definition of this project.",
)
UPDATES = Definition(
    "neuron_updates",
    "Neuron updates per decision",
    "",
    "sample",
    "Number of neurons, those of the readout included, times the number of steps: what a clock-driven simulation "
    "computes whether there are spikes or not.",
    "A definition of this project.",
)

NO_SYNAPSES = "the network has no synapses, or a sample no step"


def spikes_per_sample(recording: Recording) -> Observations:
    """Spikes of all recorded populations in every sample."""
    counts = np.zeros(recording.trials.n_samples)
    for trains in recording.spikes.values():
        counts += np.diff(trains.offsets)
    return Observations(counts, counts.size)


def synaptic_operations(
    recording: Recording, network: NetworkSpec, inputs: Mapping[str, SpikeTrains] | None = None
) -> Observations:
    """Synaptic operations of every sample; see `OPERATIONS`.

    Args:
        recording: of that network.
        network: for the fan-out of its neurons.
        inputs: by name, on the recording's grid, where they are at hand; else they are put there.
    """
    counts = np.zeros(recording.trials.n_samples)
    played = played_inputs(network, recording) if inputs is None else inputs
    for name, trains in {**played, **recording.spikes}.items():
        fan_out = _fan_out(network, name, trains.n_neurons)
        counts += np.bincount(trains.sample, weights=fan_out[trains.neuron], minlength=counts.size)
    return Observations(counts, counts.size)


def synaptic_operations_share(recording: Recording, network: NetworkSpec) -> Observations:
    """Synaptic operations of every sample by those of a dense network; see `DENSE_SHARE`."""
    operations = synaptic_operations(recording, network)
    dense = sum(projection.weight.size for projection in network.projections) * recording.n_steps
    if dense == 0:
        return nothing(operations.n_total, NO_SYNAPSES)
    return Observations(operations.values / dense, operations.n_total)


def neuron_updates(recording: Recording, network: NetworkSpec) -> Observations:
    """Neuron updates of every sample, all the same; see `UPDATES`."""
    updates = sum(population.size for population in network.populations) * recording.n_steps
    n_samples = recording.trials.n_samples
    return Observations(np.full(n_samples, float(updates)), n_samples)


def _fan_out(network: NetworkSpec, source: str, size: int) -> IntArray:
    """(size,) number of synapses of every neuron of a population or input."""
    total = np.zeros(size, dtype=np.int64)
    for projection in network.projections:
        if projection.source == source:
            total += np.bincount(projection.source_index, minlength=size)
    return total
