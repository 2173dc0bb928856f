"""Where two recordings on one grid first differ, in every population and every sample.

Within a sample the earliest difference comes first. Over samples: earliest step, then network order, then sample, then
neuron. A neuron of the readout never spikes; it differs where its potentials differ by more than `READOUT_TOLERANCE`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.compatibility import on_same_grid
from spikebridge.validation.parity import READOUT_TOLERANCE, Parity, compare_spikes, spike_differences


@dataclass(frozen=True, slots=True)
class Place:
    """A neuron, a sample and a step in which two recordings, A and B, differ.

    Attributes:
        time_ms: start of the step, from the start of the sample.
        values: what A and what B recorded there: numbers of spikes, or potentials of the readout.
        spiking: False for the readout.
    """

    population: str
    neuron: int
    sample: int
    step: int
    time_ms: float
    values: tuple[float, float]
    spiking: bool

    def __post_init__(self) -> None:
        if min(self.neuron, self.sample, self.step) < 0:
            raise SpecError(f"neuron {self.neuron}, sample {self.sample}, step {self.step}: none may be negative")
        if self.values[0] == self.values[1]:
            raise SpecError(f"A and B both recorded {self.values[0]}; a place is where they differ")


@dataclass(frozen=True, slots=True)
class PopulationDivergence:
    """How one population differs.

    Attributes:
        mismatches: spikes that only one recording has (a moved spike counts 2); for the readout, potentials (one per
            sample, step and class) that differ.
        firsts: the first difference of every affected sample, by step, then sample; empty without difference.
    """

    population: str
    spiking: bool
    mismatches: int
    firsts: tuple[Place, ...]

    @property
    def first(self) -> Place | None:
        """The earliest of all samples."""
        return self.firsts[0] if self.firsts else None


@dataclass(frozen=True, slots=True)
class Divergence:
    """The comparison of two recordings.

    Attributes:
        parity: the same in numbers, as in reports.
        populations: in the network's order, the readout last if both recordings kept its potentials.
    """

    parity: Parity
    populations: tuple[PopulationDivergence, ...]

    @property
    def same(self) -> bool:
        """No spike differs, nor the readout (the class scores, where no potentials were kept)."""
        return self.parity.ok

    @property
    def first(self) -> Place | None:
        """The earliest difference; None if there is none, or only one of class scores without kept potentials."""
        return self.choose()

    def choose(self, *, sample: int | None = None, population: str | None = None) -> Place | None:
        """The first difference of one sample, of one population, or of both; None if nothing differs there.

        Raises:
            SpecError: no such sample or population.
        """
        names = [p.population for p in self.populations]
        if population is not None and population not in names:
            raise SpecError(f"no population {population!r} was recorded by both; there are {names}")
        if sample is not None and not 0 <= sample < self.parity.samples:
            raise SpecError(f"no sample {sample}; the recordings share samples 0 .. {self.parity.samples - 1}")
        found = [
            next((place for place in p.firsts if sample in (None, place.sample)), None)
            for p in self.populations
            if population in (None, p.population)
        ]
        return min((place for place in found if place is not None), key=lambda place: place.step, default=None)


def find_divergence(a: Recording, b: Recording, *, readout: str = "readout") -> Divergence:
    """Compare two recordings on one grid, whatever networks they ran.

    Args:
        a: a recording.
        b: another one of the same samples.
        readout: name of the readout population, for places.

    Raises:
        SpecError: trials, populations or grids differ, or a readout is not finite.
    """
    if not on_same_grid(a, b):
        raise SpecError(
            f"A has {a.n_steps} steps of {a.step_ms:g} ms, B {b.n_steps} of {b.step_ms:g} ms: on different grids "
            "spikes do not coincide, so none is the first to differ; simulate again with --step-ms "
            f"{a.step_ms:g} (as A) or {b.step_ms:g} (as B). `spikebridge validate` compares accuracy and rates there"
        )
    parity = compare_spikes(a, b, same_network=False)
    populations = [_spiking(name, trains, b.spikes[name]) for name, trains in a.spikes.items()]
    if a.readout is not None and b.readout is not None:
        populations.append(_readout(readout, a.readout, b.readout, a.step_ms))
    return Divergence(parity, tuple(populations))


def _spiking(name: str, a: SpikeTrains, b: SpikeTrains) -> PopulationDivergence:
    differences = spike_differences(a, b)
    firsts = []
    for k in _first_of_each_sample(differences.sample):
        step, sample, neuron = (int(v[k]) for v in (differences.step, differences.sample, differences.neuron))
        ours = a.select([sample])
        count = int(((ours.step == step) & (ours.neuron == neuron)).sum())
        values = (count, count + int(differences.excess[k]))
        firsts.append(Place(name, neuron, sample, step, step * a.step_ms, values, spiking=True))
    return PopulationDivergence(name, True, differences.n_mismatches, tuple(firsts))


def _readout(name: str, a: FloatArray, b: FloatArray, step_ms: float) -> PopulationDivergence:
    step, sample, neuron = np.nonzero((np.abs(a - b) > READOUT_TOLERANCE).transpose(1, 0, 2))
    firsts = []
    for k in _first_of_each_sample(sample):
        where = (int(sample[k]), int(step[k]), int(neuron[k]))
        values = (float(a[where]), float(b[where]))
        firsts.append(Place(name, where[2], where[0], where[1], where[1] * step_ms, values, spiking=False))
    return PopulationDivergence(name, False, step.size, tuple(firsts))


def _first_of_each_sample(sample: IntArray) -> list[int]:
    """Positions of the first entry of every sample, rising; entries are ordered by step."""
    first: list[int] = np.sort(np.unique(sample, return_index=True)[1]).tolist()
    return first
