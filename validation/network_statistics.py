"""Statistics of a whole network's decisions: latency, spikes and energy, per sample."""

from __future__ import annotations

from collections.abc import Mapping

from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.validation.observations import Definition, Observations
from spikebridge.validation.stats_cost import (
    DENSE_SHARE,
    OPERATIONS,
    SPIKES,
    UPDATES,
    neuron_updates,
    spikes_per_sample,
    synaptic_operations,
    synaptic_operations_share,
)
from spikebridge.validation.stats_decision import LATENCY, decision_latencies_ms

NETWORK_DEFINITIONS: tuple[Definition, ...] = (LATENCY, SPIKES, OPERATIONS, DENSE_SHARE, UPDATES)


def observe_network(recording: Recording, network: NetworkSpec) -> Mapping[str, Observations]:
    """Every statistic of `NETWORK_DEFINITIONS`, by its key, in that order."""
    return {
        LATENCY.key: decision_latencies_ms(recording, network),
        SPIKES.key: spikes_per_sample(recording),
        OPERATIONS.key: synaptic_operations(recording, network),
        DENSE_SHARE.key: synaptic_operations_share(recording, network),
        UPDATES.key: neuron_updates(recording, network),
    }
