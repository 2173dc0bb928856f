"""Rungs 1 and 2 of the parity ladder: are the spikes of two executors the same, one by one.

Rung 1 compares whole networks on the training grid. Rung 2 (replay) runs every population alone on the recorded spikes
of its inputs; it is a recording with the same populations, so the same function compares it, and the first population
with a mismatch is the one whose own dynamics or incoming synapses are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.compatibility import (
    require_same_grid,
    require_same_network,
    require_same_populations,
    require_same_trials,
)

READOUT_TOLERANCE = 1e-9
"""Largest difference of readout potentials that still counts as the same (thresholds are of order 1)."""


@dataclass(frozen=True, slots=True, eq=False)
class SpikeDifferences:
    """Where the spike counts of two populations differ, ordered by step, then sample, then neuron.

    Attributes:
        step, sample, neuron: (D,) places.
        excess: (D,) count in the other minus count in the reference, never 0.
    """

    step: IntArray
    sample: IntArray
    neuron: IntArray
    excess: IntArray

    @property
    def n_mismatches(self) -> int:
        """Size of the symmetric difference of the two multisets of spikes."""
        return int(np.abs(self.excess).sum())


@dataclass(frozen=True, slots=True)
class FirstMismatch:
    """The earliest place where two executors differ.

    Attributes:
        time_ms: start of the step, from the start of the sample.
        executor: the one that fired there (or fired more often).
        reference_spikes, other_spikes: how often each fired there.
    """

    population: str
    neuron: int
    sample: int
    step: int
    time_ms: float
    executor: str
    reference_spikes: int
    other_spikes: int


@dataclass(frozen=True, slots=True)
class PopulationParity:
    """The comparison of one population.

    Attributes:
        reference_spikes, other_spikes: spikes over all samples.
        mismatches: size of the symmetric multiset difference: a moved spike counts 2, a missing or doubled one 1.
        samples_affected: samples with at least one mismatch.
        first_mismatch: earliest step over all samples, then lowest sample, then lowest neuron; None without mismatch.
    """

    population: str
    reference_spikes: int
    other_spikes: int
    mismatches: int
    samples_affected: int
    first_mismatch: FirstMismatch | None


@dataclass(frozen=True, slots=True)
class Parity:
    """The comparison of two recordings on one grid.

    Attributes:
        reference, other: names of the executors.
        samples: how many were compared.
        populations: in the network's order.
        samples_affected: samples with a mismatch in any population.
        readout_max_difference: largest absolute difference of readout potentials; None if one has no readout.
        score_max_difference: largest absolute difference of class scores.
        decisions_changed: samples that were assigned to another class.
        same_network: whether both ran the same network.
    """

    reference: str
    other: str
    samples: int
    populations: tuple[PopulationParity, ...]
    samples_affected: int
    readout_max_difference: float | None
    score_max_difference: float
    decisions_changed: int
    same_network: bool

    @property
    def spikes(self) -> int:
        """Spikes of the reference."""
        return sum(p.reference_spikes for p in self.populations)

    @property
    def other_spikes(self) -> int:
        """Spikes of the other executor."""
        return sum(p.other_spikes for p in self.populations)

    @property
    def mismatches(self) -> int:
        """Mismatches over all populations."""
        return sum(p.mismatches for p in self.populations)

    @property
    def first_mismatch(self) -> FirstMismatch | None:
        """Earliest step over all populations; at equal steps the population that comes first in the network."""
        found = [p.first_mismatch for p in self.populations if p.first_mismatch is not None]
        return min(found, key=lambda first: first.step, default=None)

    @property
    def first_broken_population(self) -> str | None:
        """The first population, in the network's order, with a mismatch. In a replay: where the fault is."""
        return next((p.population for p in self.populations if p.mismatches), None)

    @property
    def ok(self) -> bool:
        """No mismatch, and the readout (the scores, where no potentials were kept) within `READOUT_TOLERANCE`."""
        readout = self.score_max_difference if self.readout_max_difference is None else self.readout_max_difference
        return self.mismatches == 0 and readout <= READOUT_TOLERANCE


def compare_spikes(reference: Recording, other: Recording, *, same_network: bool = True) -> Parity:
    """Compare two recordings spike by spike.

    Args:
        reference: what is to be reproduced.
        other: what should be the same.
        same_network: False allows another network with the same populations, to see what a planted fault does.

    Raises:
        SpecError: trials, populations, grids or networks differ (it says which), or a readout is not finite.
    """
    require_same_trials(reference, other)
    require_same_populations(reference, other)
    require_same_grid(reference, other)
    if same_network:
        require_same_network(reference, other)
    affected: IntArray = np.empty(0, dtype=np.int64)
    populations = []
    for name, trains in reference.spikes.items():
        differences = spike_differences(trains, other.spikes[name])
        samples = np.unique(differences.sample)
        affected = np.union1d(affected, samples)
        first = _first_mismatch(name, differences, reference, other)
        populations.append(
            PopulationParity(
                name, trains.n_spikes, other.spikes[name].n_spikes, differences.n_mismatches, samples.size, first
            )
        )
    return Parity(
        reference=reference.executor,
        other=other.executor,
        samples=reference.trials.n_samples,
        populations=tuple(populations),
        samples_affected=affected.size,
        readout_max_difference=_readout_difference(reference, other),
        score_max_difference=_largest_difference(reference.scores, other.scores),
        decisions_changed=int((reference.decisions != other.decisions).sum()),
        same_network=reference.network_sha256 == other.network_sha256,
    )


def spike_differences(reference: SpikeTrains, other: SpikeTrains) -> SpikeDifferences:
    """The symmetric difference of two multisets of spikes of one population on one grid.

    Raises:
        SpecError: the two have different numbers of samples, steps or neurons.
    """
    shape = (reference.n_steps, reference.n_samples, reference.n_neurons)
    if shape != (other.n_steps, other.n_samples, other.n_neurons):
        found = (other.n_steps, other.n_samples, other.n_neurons)
        raise SpecError(f"spikes on {shape} steps x samples x neurons cannot be compared with spikes on {found}")
    same = all(np.array_equal(getattr(reference, k), getattr(other, k)) for k in ("offsets", "step", "neuron"))
    if same or 0 in shape:  # spike trains are kept in one canonical order: equal multisets are equal arrays
        nothing: IntArray = np.empty(0, dtype=np.int64)
        return SpikeDifferences(nothing, nothing, nothing, nothing)
    keys = np.concatenate([np.ravel_multi_index((t.step, t.sample, t.neuron), shape) for t in (reference, other)])
    signs = np.repeat(np.array([-1, 1]), [reference.n_spikes, other.n_spikes])
    place, inverse = np.unique(keys, return_inverse=True)
    # Weights of bincount are float64: exact, as no count comes near 2^53.
    excess = np.bincount(inverse, weights=signs).astype(np.int64)
    step, sample, neuron = np.unravel_index(place[excess != 0], shape)
    return SpikeDifferences(step, sample, neuron, excess[excess != 0])


def _first_mismatch(
    population: str, differences: SpikeDifferences, reference: Recording, other: Recording
) -> FirstMismatch | None:
    if differences.step.size == 0:
        return None
    step, sample, neuron = (int(v[0]) for v in (differences.step, differences.sample, differences.neuron))
    counts = []
    for recording in (reference, other):
        trains = recording.spikes[population].select([sample])
        counts.append(int(((trains.step == step) & (trains.neuron == neuron)).sum()))
    executor = reference.executor if counts[0] > counts[1] else other.executor
    return FirstMismatch(population, neuron, sample, step, step * reference.step_ms, executor, counts[0], counts[1])


def _readout_difference(reference: Recording, other: Recording) -> float | None:
    if reference.readout is None or other.readout is None:
        return None
    for recording in (reference, other):
        if recording.readout is not None and not np.isfinite(recording.readout).all():
            raise SpecError(f"the readout of {recording.executor} is not finite: the simulation diverged")
    return max((_largest_difference(a, b) for a, b in zip(reference.readout, other.readout, strict=True)), default=0.0)


def _largest_difference(a: FloatArray, b: FloatArray) -> float:
    return float(np.abs(a - b).max()) if a.size else 0.0
