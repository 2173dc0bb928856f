"""Many small networks as the disjoint blocks of one: Brian2 generates code once for all of them.

Parameters are per neuron and synapses are lists of edges, so populations of the same structure join into one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.spec import Input, NetworkSpec, Population, Projection, Readout
from spikebridge.bridge.spikes import SpikeTrains

READOUT = "readout"


class Place(NamedTuple):
    """Where the neurons of one block's population (or the channels of its input) are in the merged network."""

    group: str
    first: int
    size: int


@dataclass(frozen=True, eq=False)
class Merged:
    """One network made of blocks; places are by block and name of the block's node."""

    spec: NetworkSpec
    blocks: tuple[NetworkSpec, ...]
    places: tuple[dict[str, Place], ...]

    def inputs(self, inputs: Sequence[Mapping[str, SpikeTrains]]) -> dict[str, SpikeTrains]:
        """The inputs of the merged network from those of each block; all have the same number of samples."""
        (first, *_), samples = inputs[0].values(), next(iter(inputs[0].values())).n_samples
        counts = {node.name: np.zeros((samples, first.n_steps, node.size), dtype=np.int32) for node in self.spec.inputs}
        for places, own in zip(self.places, inputs, strict=True):
            for name, trains in own.items():
                group, start, size = places[name]
                counts[group][:, :, start : start + size] = trains.counts()
        return {name: SpikeTrains.from_counts(values, first.step_ms) for name, values in counts.items()}

    def split(self, spikes: Mapping[str, SpikeTrains]) -> list[dict[str, SpikeTrains]]:
        """Spikes per block and population of the block, from those of the merged network."""
        return [
            {name: _part(spikes[places[name].group], places[name]) for name in block.spiking_populations}
            for block, places in zip(self.blocks, self.places, strict=True)
        ]

    def split_readout(self, potentials: FloatArray) -> list[FloatArray]:
        """Readout potentials (samples, steps, classes) per block, from those of the merged network."""
        own = [places[block.readout.population] for block, places in zip(self.blocks, self.places, strict=True)]
        return [potentials[:, :, place.first : place.first + place.size] for place in own]

    def block_at(self, group: str, neuron: int) -> tuple[int, str, int]:
        """Block, population and neuron that a neuron of the merged network is."""
        for number, places in enumerate(self.places):
            for name, place in places.items():
                if place.group == group and 0 <= neuron - place.first < place.size:
                    return number, name, neuron - place.first
        raise KeyError((group, neuron))


def _part(trains: SpikeTrains, place: Place) -> SpikeTrains:
    """The spikes of some neurons."""
    own = (trains.neuron >= place.first) & (trains.neuron < place.first + place.size)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(trains.sample[own], minlength=trains.n_samples))])
    neuron = trains.neuron[own] - np.int32(place.first)
    return SpikeTrains(trains.step[own], neuron, offsets, trains.n_steps, place.size, trains.step_ms)


@dataclass(eq=False)
class _Group:
    """What is collected for one population or input of the merged network."""

    name: str
    size: int = 0
    members: list[Population] = field(default_factory=list)


def merge(blocks: Sequence[NetworkSpec], decoding: Decoding = Decoding.SOFTMAX_SUM) -> Merged:
    """The blocks side by side; populations join where executors treat them alike (see `structure`).

    Args:
        blocks: networks on one grid, of one duration, whose readouts have the same kind of synapses: a network has
            one readout population.
        decoding: of the merged network; its scores are those of no block.

    Raises:
        ValueError: the blocks do not fit together.
    """
    _check(blocks)
    inputs: dict[object, _Group] = {}
    groups: dict[object, _Group] = {}
    places: list[dict[str, Place]] = []
    for block in blocks:
        own: dict[str, Place] = {}
        for order, node in enumerate(block.inputs):
            own[node.name] = _placed(inputs.setdefault(order, _Group(f"input{order}")), node.size)
        for population in block.populations:
            key = structure(block, population)
            name = READOUT if population.name == block.readout.population else f"group{len(groups)}"
            group = groups.setdefault(key, _Group(name))
            own[population.name] = _placed(group, population.size)
            group.members.append(population)
        places.append(own)
    spec = replace(
        blocks[0],
        inputs=tuple(Input(group.name, group.size) for group in inputs.values()),
        populations=tuple(_joined_population(group) for group in groups.values()),
        projections=_joined_projections(blocks, places),
        readout=Readout(READOUT, decoding),
    )
    return Merged(spec, tuple(blocks), tuple(places))


def structure(spec: NetworkSpec, population: Population) -> tuple[object, ...]:
    """What is common to a whole population: populations that agree in it can be one."""
    incoming = spec.onto(population.name)
    receptor = incoming[0].receptor if incoming else None
    if not population.spiking:  # it is never reset, nor refractory
        return receptor, population.name == spec.readout.population
    return receptor, population.adaptive, population.reset, population.reset_value, population.refractory_ms


def _check(blocks: Sequence[NetworkSpec]) -> None:
    if not blocks:
        raise ValueError("there are no blocks to merge")
    numbers = [f.name for f in fields(NetworkSpec) if isinstance(getattr(blocks[0], f.name), float)]
    common: dict[str, set[object]] = {name: {getattr(block, name) for block in blocks} for name in numbers}
    common["readout"] = {structure(block, block.population(block.readout.population)) for block in blocks}
    for name, values in common.items():
        if len(values) > 1:
            raise ValueError(f"blocks differ in {name}: {values}")


def _placed(group: _Group, size: int) -> Place:
    place = Place(group.name, group.size, size)
    group.size += size
    return place


def _joined_population(group: _Group) -> Population:
    first = group.members[0]
    vectors: dict[str, Any] = {
        f.name: np.concatenate([getattr(member, f.name) for member in group.members])
        for f in fields(Population)
        if isinstance(getattr(first, f.name), np.ndarray)
    }
    return replace(first, name=group.name, size=group.size, **vectors)


def _joined_projections(blocks: Sequence[NetworkSpec], places: Sequence[dict[str, Place]]) -> tuple[Projection, ...]:
    """One projection per pair of groups and latency, the edges of all blocks in order."""
    edges: dict[tuple[str, str, float], list[tuple[Projection, Place, Place]]] = {}
    for block, own in zip(blocks, places, strict=True):
        for projection in block.projections:
            source, target = own[projection.source], own[projection.target]
            key = source.group, target.group, projection.latency_steps
            edges.setdefault(key, []).append((projection, source, target))
    return tuple(
        replace(
            parts[0][0],
            source=source,
            target=target,
            source_index=np.concatenate([p.source_index + np.int32(place.first) for p, place, _ in parts]),
            target_index=np.concatenate([p.target_index + np.int32(place.first) for p, _, place in parts]),
            weight=np.concatenate([p.weight for p, _, _ in parts]),
            delay_ms=np.concatenate([p.delay_ms for p, _, _ in parts]),
        )
        for (source, target, _), parts in edges.items()
    )
