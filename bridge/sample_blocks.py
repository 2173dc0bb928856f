"""Spikes, scores and readout of samples in HDF5, written block by block: the one writer of recordings and their parts.

Layout below the given group: `spikes/<population>/` with `step`, `neuron` and `offsets` (attributes `order`,
`n_neurons`), `scores`, and `readout` where it was kept, of which a chunk never holds more than one sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import h5py

from spikebridge.bridge.arrays import FloatArray, Int32Array, IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.storage import create_array, write_array


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Spikes of samples that follow each other, as they lie in the file.

    Attributes:
        first: the first of these samples.
        spikes: per population, step (E,) and neuron (E,) of its spikes, in the order of `SpikeTrains`.
    """

    first: int
    spikes: Mapping[str, tuple[Int32Array, Int32Array]]


@dataclass(frozen=True, slots=True, eq=False)
class ReadoutSource:
    """Readout (S, T, C) to be written: T, and a function that fills the empty dataset."""

    n_steps: int
    fill: Callable[[h5py.Dataset], None]


@dataclass(frozen=True, slots=True, eq=False)
class SampleSource:
    """What is to be written: how much of everything, known beforehand, and where it comes from.

    Attributes:
        offsets: per population, in the network's order, (S + 1,): sample s owns spikes `offsets[s]:offsets[s + 1]`.
        n_neurons: per population.
        blocks: together every sample once, in order; one is in memory at a time.
        scores: (S, C).
        readout: None where it was not kept.
    """

    offsets: Mapping[str, IntArray]
    n_neurons: Mapping[str, int]
    blocks: Iterable[Block]
    scores: FloatArray
    readout: ReadoutSource | None


def in_memory(spikes: Mapping[str, SpikeTrains], scores: FloatArray, readout: FloatArray | None) -> SampleSource:
    """Samples that are in memory, as one block; nothing is copied."""

    def fill(dataset: h5py.Dataset) -> None:
        dataset[...] = readout

    return SampleSource(
        offsets={name: trains.offsets for name, trains in spikes.items()},
        n_neurons={name: trains.n_neurons for name, trains in spikes.items()},
        blocks=[Block(0, {name: (trains.step, trains.neuron) for name, trains in spikes.items()})],
        scores=scores,
        readout=None if readout is None else ReadoutSource(readout.shape[1], fill),
    )


def write_samples(content: h5py.Group, source: SampleSource) -> None:
    """Write all samples below `content`."""
    targets: dict[str, tuple[h5py.Dataset, h5py.Dataset]] = {}
    for order, (name, offsets) in enumerate(source.offsets.items()):
        group = content.create_group(f"spikes/{name}")
        group.attrs.update({"order": order, "n_neurons": source.n_neurons[name]})
        shape = (int(offsets[-1]),)
        targets[name] = (
            create_array(group, "step", shape, "int32", "step"),
            create_array(group, "neuron", shape, "int32"),
        )
        write_array(group, "offsets", offsets)
    write_array(content, "scores", source.scores)
    for block in source.blocks:
        for name, arrays in block.spikes.items():
            start = int(source.offsets[name][block.first])
            for dataset, values in zip(targets[name], arrays, strict=True):
                dataset[start : start + values.size] = values
    if source.readout is not None:
        samples, classes = source.scores.shape
        shape_of_all = (samples, source.readout.n_steps, classes)
        source.readout.fill(create_array(content, "readout", shape_of_all, "float64", rows_per_chunk=1))


def stored_populations(content: h5py.Group) -> list[tuple[str, h5py.Group]]:
    """Name and group of every population, in the network's order."""
    return sorted(content.get("spikes", {}).items(), key=lambda item: int(item[1].attrs["order"]))
