"""Rungs 3 and 4 of the parity ladder: what the network does at other steps than the one it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.timing import timestep, whole_steps
from spikebridge.validation.accuracy import Proportion, accuracy, changed_decisions
from spikebridge.validation.coincidence import coincident_share
from spikebridge.validation.crossing import crossing_within_step
from spikebridge.validation.labelled import CONTINUOUS, PHYSICAL, TRAINING
from spikebridge.validation.spike_distance import van_rossum
from spikebridge.validation.statistics import rates_hz


@dataclass(frozen=True, slots=True)
class PopulationChange:
    """One population at one step, against the training.

    Attributes:
        rate_hz: mean over neurons; None without neurons or samples.
        rate_ratio: that by the training's; None where the training's is 0.
        distance: normalised van Rossum distance from the training's spikes, 0 .. 1.
        distance_of_binning: the part of it that binning alone makes: the finer of the two recordings against itself on
            the grid of the coarser one. Equal spikes on different grids have this distance, not 0.
        coincidence: share of the training's spikes with one of the same neuron close by; None if it has no spikes.
    """

    rate_hz: float | None
    rate_ratio: float | None
    distance: float
    distance_of_binning: float
    coincidence: float | None

    @property
    def rate_change(self) -> float | None:
        """Relative change of the rate, -1 for a population that fell silent; None where the training's is 0."""
        return None if self.rate_ratio is None else self.rate_ratio - 1.0


@dataclass(frozen=True, slots=True)
class Unrelated:
    """For scale: the training's spikes against those of the same neurons in another sample.

    Attributes:
        distance, coincidence: as in `PopulationChange`.
    """

    distance: float
    coincidence: float | None


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one simulation, or the training itself, did.

    Attributes:
        label: of the recording.
        step_ms: its step.
        accuracy: over all samples; None without samples.
        decisions_changed: samples decided otherwise than in training.
        populations: by name, in the network's order.
    """

    label: str
    step_ms: float
    accuracy: Proportion | None
    decisions_changed: Proportion | None
    populations: Mapping[str, PopulationChange]

    @property
    def largest_rate_change(self) -> tuple[str, float] | None:
        """Population whose mean rate changes most in proportion, and by how much; None where none is defined."""
        changes = [(name, p.rate_change) for name, p in self.populations.items() if p.rate_change is not None]
        return max(changes, key=lambda change: abs(change[1]), default=None)


@dataclass(frozen=True, slots=True)
class Refinement:
    """All steps, from coarse to fine.

    Attributes:
        training: the reference against itself, so with the distance 0.
        steps: every simulation of the dimensionless network, the one on the training's grid included.
        unrelated: by population; empty with fewer than two samples.
    """

    training: StepResult
    steps: tuple[StepResult, ...]
    unrelated: Mapping[str, Unrelated]

    @property
    def other_steps(self) -> tuple[StepResult, ...]:
        """Those at another step than the training's."""
        return tuple(step for step in self.steps if step.step_ms != self.training.step_ms)

    @property
    def continuous(self) -> StepResult | None:
        """Rung 4: the one that stands for continuous time, or None if it was not run."""
        return next((step for step in self.steps if step.label == CONTINUOUS), None)

    def accuracy_lost_points(self, step: StepResult) -> float | None:
        """Accuracy of the training minus that of a step, in percentage points; negative if the step is better."""
        if self.training.accuracy is None or step.accuracy is None:
            return None
        return 100.0 * (self.training.accuracy.value - step.accuracy.value)


def measure_refinement(network: NetworkSpec, reference: Recording, simulations: Mapping[str, Recording]) -> Refinement:
    """Measure every simulation against the training's reference; the recordings must belong together.

    Args:
        network: what was recorded; says where in its step each population crosses its threshold.
        reference: what the training did.
        simulations: by label. Rung 5, the same network in other units, is no further step and is left out.
    """
    within_step = {name: crossing_within_step(network, name) for name in reference.spikes}
    steps = [
        _measure(label, reference, found, within_step) for label, found in simulations.items() if label != PHYSICAL
    ]
    return Refinement(
        training=_measure(TRAINING, reference, reference, within_step),
        steps=tuple(sorted(steps, key=lambda step: -step.step_ms)),
        unrelated=MappingProxyType({name: _unrelated(t) for name, t in reference.spikes.items() if t.n_samples > 1}),
    )


def on_grid(trains: SpikeTrains, step_ms: float, *, within_step: float = 0.5) -> SpikeTrains:
    """The same spikes on a coarser grid: each in the step whose `within_step` is nearest to that of its own.

    For centres (1/2) that is the step that holds the centre of its own, for starts (0) the nearest start, halves up.

    Raises:
        SpecError: the sample is no whole number of steps, or `within_step` is not 0 .. 1.
    """
    n_steps = whole_steps("sample", trains.n_steps * trains.step_ms, step_ms)
    nearest = timestep(trains.crossing_ms(within_step) + (0.5 - within_step) * step_ms, step_ms)
    # The nearest one may lie just outside of the sample.
    step = np.clip(nearest, 0, n_steps - 1).astype(np.int32)
    return SpikeTrains(step, trains.neuron, trains.offsets, n_steps, trains.n_neurons, step_ms)


def _measure(label: str, reference: Recording, found: Recording, within_step: Mapping[str, float]) -> StepResult:
    populations = {
        name: _population(ours, found.spikes[name], within_step[name]) for name, ours in reference.spikes.items()
    }
    changed = changed_decisions(reference, found)
    return StepResult(label, found.step_ms, accuracy(found).all, changed, MappingProxyType(populations))


def _population(reference: SpikeTrains, found: SpikeTrains, within_step: float) -> PopulationChange:
    before, rate_hz = rates_hz(reference).mean, rates_hz(found).mean
    fine, coarse = (found, reference) if found.step_ms <= reference.step_ms else (reference, found)
    binning = 0.0
    if fine.step_ms < coarse.step_ms:
        binned = on_grid(fine, coarse.step_ms, within_step=within_step)
        binning = van_rossum(binned, fine, within_step=within_step).normalised
    return PopulationChange(
        rate_hz=rate_hz,
        rate_ratio=rate_hz / before if before and rate_hz is not None else None,
        distance=van_rossum(reference, found, within_step=within_step).normalised,
        distance_of_binning=binning,
        coincidence=coincident_share(reference, found, within_step=within_step),
    )


def _unrelated(reference: SpikeTrains) -> Unrelated:
    # Half the set further on, because neighbours in a file are often of one class. Both are on one grid, where it does
    # not matter in which part of a step spikes are.
    samples = np.roll(np.arange(reference.n_samples), reference.n_samples // 2)
    other = reference.select(samples)
    return Unrelated(van_rossum(reference, other).normalised, coincident_share(reference, other))
