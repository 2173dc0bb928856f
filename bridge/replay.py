"""Rung 2 of the parity ladder: every population alone, driven by the spikes that were recorded for its sources.

Replay is a network like any other: each recorded population becomes an input, and every projection that starts at a
population starts at that input instead. No executor needs to know about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spec import Input, NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains

SUFFIX = "_recorded"


def replay_network(spec: NetworkSpec) -> NetworkSpec:
    """The same populations, each driven by recorded spikes only (its own included, if it is recurrent)."""
    recorded = tuple(Input(name + SUFFIX, spec.population(name).size) for name in spec.spiking_populations)
    populations = {population.name for population in spec.populations}
    projections = tuple(
        replace(p, source=p.source + SUFFIX) if p.source in populations else p for p in spec.projections
    )
    return replace(spec, inputs=(*spec.inputs, *recorded), projections=projections)


def replay_inputs(
    spec: NetworkSpec, inputs: Mapping[str, SpikeTrains], spikes: Mapping[str, SpikeTrains]
) -> dict[str, SpikeTrains]:
    """The inputs of `replay_network(spec)`.

    Args:
        spec: the original network.
        inputs: what was played into it.
        spikes: what its populations did.

    Raises:
        SpecError: a population was not recorded.
    """
    missing = [name for name in spec.spiking_populations if name not in spikes]
    if missing:
        raise SpecError(f"cannot replay: the recording has no spikes of {missing}")
    return {**inputs, **{name + SUFFIX: spikes[name] for name in spec.spiking_populations}}
