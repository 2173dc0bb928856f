"""Everything a report rests on, computed once: comparisons, accuracies and statistics of a set of recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.network_file import network_sha256
from spikebridge.bridge.recording import Recording
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.validation.accuracy import Accuracy, Proportion, accuracy, changed_decisions
from spikebridge.validation.compatibility import (
    on_same_grid,
    require_same_duration,
    require_same_network,
    require_same_populations,
    require_same_trials,
)
from spikebridge.validation.labelled import CONTINUOUS, GRID, REPLAY, TRAINING, Labelled, is_physical
from spikebridge.validation.network_statistics import observe_network
from spikebridge.validation.parity import Parity, compare_spikes
from spikebridge.validation.refinement import Refinement, measure_refinement
from spikebridge.validation.statistics import Criteria, Observations, Statistic, rates_hz, standard_statistics
from spikebridge.validation.stats_rates import LogNormalFit, lognormal_fit
from spikebridge.validation.stats_spectrum import PowerSpectrum, power_spectrum


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A network, its recordings, and what comparing and measuring them gave.

    Attributes:
        reference: the training's recording.
        simulations: in the order given.
        parity: by label, `replay` included; a simulation on another grid has none. Against the reference, but a
            simulation in physical units against the dimensionless one on its grid.
        accuracy: by label, the reference's included.
        decisions_changed: by label of the simulation, against the reference.
        refinement: rungs 3 and 4, what changes with the step.
        statistics: which were observed.
        observations: by label, population and key of the statistic.
        network_observations: latency, spikes and energy per decision, by label and key.
        rate_fits: log-normal fits of the rates by label and population, or why there is none.
        spectra: power spectra of the population rates by label and population, or why there is none.
    """

    network: NetworkSpec
    reference: Labelled
    simulations: tuple[Labelled, ...]
    parity: Mapping[str, Parity]
    accuracy: Mapping[str, Accuracy]
    decisions_changed: Mapping[str, Proportion | None]
    refinement: Refinement
    statistics: tuple[Statistic, ...]
    observations: Mapping[str, Mapping[str, Mapping[str, Observations]]]
    network_observations: Mapping[str, Mapping[str, Observations]]
    rate_fits: Mapping[str, Mapping[str, LogNormalFit | str]]
    spectra: Mapping[str, Mapping[str, PowerSpectrum | str]]

    @property
    def executors(self) -> tuple[Labelled, ...]:
        """The reference, then the simulations."""
        return (self.reference, *self.simulations)

    @property
    def primary(self) -> Labelled:
        """The simulation that pictures show: `grid` if there is one, else the first."""
        return next((s for s in self.simulations if s.label == GRID), self.simulations[0])

    @property
    def headline(self) -> tuple[Labelled, ...]:
        """What a summary and open tables show: the reference, the primary simulation, and that in continuous time."""
        continuous = (s for s in self.simulations if s.label == CONTINUOUS and s is not self.primary)
        return (self.reference, self.primary, *continuous)

    @property
    def n_samples(self) -> int:
        """Number of samples that every recording holds."""
        return self.reference.recording.trials.n_samples

    def mean_rate_hz(self, label: str) -> float | None:
        """Mean over all neurons of all spiking populations, in Hz; None without samples or neurons."""
        recording = next(e.recording for e in self.executors if e.label == label)
        rates = [rates_hz(trains).values for trains in recording.spikes.values()]
        pooled = np.concatenate(rates) if rates else np.empty(0)
        return float(pooled.mean()) if pooled.size else None


def collect_evidence(
    network: NetworkSpec,
    reference: Recording,
    simulations: Mapping[str, Recording],
    *,
    replay: Recording | None = None,
    same_network: bool = True,
    criteria: Criteria | None = None,
) -> Evidence:
    """Compare every simulation with the reference and observe all statistics.

    Raises:
        SpecError: no simulation or no sample, a reserved label, or recordings that do not belong together.
    """
    if not simulations:
        raise SpecError("a report compares at least one simulation with the reference; none was given")
    if reference.trials.n_samples == 0:
        raise SpecError("a report needs at least one sample; the recordings have none")
    reserved = {TRAINING, REPLAY} & set(simulations)
    if reserved:
        raise SpecError(f"{sorted(reserved)} cannot label a simulation: the report uses it for something else")
    _require_network(network, reference)
    parity = {}
    for label, simulation in simulations.items():
        require_same_trials(reference, simulation)
        require_same_populations(reference, simulation)
        require_same_duration(reference, simulation)
        if same_network:
            require_same_network(reference, simulation)
        if is_physical(simulation):
            parity[label] = _physical_parity(label, reference, simulations, same_network=same_network)
        elif on_same_grid(reference, simulation):
            parity[label] = compare_spikes(reference, simulation, same_network=same_network)
    if replay is not None:
        parity[REPLAY] = compare_spikes(reference, replay, same_network=same_network)
    labelled = tuple(Labelled(label, simulation) for label, simulation in simulations.items())
    executors = (Labelled(TRAINING, reference), *labelled)
    statistics = standard_statistics(criteria)
    return Evidence(
        network=network,
        reference=executors[0],
        simulations=labelled,
        parity=parity,
        accuracy={e.label: accuracy(e.recording) for e in executors},
        decisions_changed={s.label: changed_decisions(reference, s.recording) for s in labelled},
        refinement=measure_refinement(network, reference, simulations),
        statistics=statistics,
        observations={e.label: _observe(e.recording, statistics) for e in executors},
        network_observations={e.label: observe_network(e.recording, network) for e in executors},
        rate_fits={e.label: {n: lognormal_fit(t) for n, t in e.recording.spikes.items()} for e in executors},
        spectra={e.label: {n: power_spectrum(t) for n, t in e.recording.spikes.items()} for e in executors},
    )


def _physical_parity(
    label: str, reference: Recording, simulations: Mapping[str, Recording], *, same_network: bool
) -> Parity:
    """A simulation in physical units against the dimensionless simulation on its grid, else the reference if on it.

    Raises:
        SpecError: nothing dimensionless ran on its grid.
    """
    simulation = simulations[label]
    dimensionless = {k: s for k, s in simulations.items() if not is_physical(s)} | {TRAINING: reference}
    base = next((Labelled(k, r) for k, r in dimensionless.items() if on_same_grid(r, simulation)), None)
    if base is None:
        raise SpecError(
            f"the simulation in physical units ran at {simulation.step_ms:g} ms, and no simulation without units on "
            f"that grid was given to compare it with; make one with `spikebridge simulate ... --step-ms "
            f"{simulation.step_ms:g}` and give it too"
        )
    # Both are of one executor: their labels tell them apart.
    named = [replace(e.recording, executor=e.title) for e in (base, Labelled(label, simulation))]
    return compare_spikes(*named, same_network=same_network)


def _observe(recording: Recording, statistics: tuple[Statistic, ...]) -> dict[str, dict[str, Observations]]:
    return {
        name: {statistic.key: statistic.observe(trains, recording.trials.labels) for statistic in statistics}
        for name, trains in recording.spikes.items()
    }


def _require_network(network: NetworkSpec, recording: Recording) -> None:
    """The recording has the network's spiking populations, so it can be a recording of that network."""
    expected = {name: network.population(name).size for name in network.spiking_populations}
    found = {name: trains.n_neurons for name, trains in recording.spikes.items()}
    if expected != found:
        raise SpecError(
            f"the network has spiking populations {expected}, the recording of {recording.executor} has {found}; "
            "give the network that was recorded"
        )
    if network_sha256(network) != recording.network_sha256:
        raise SpecError(
            f"the recording of {recording.executor} is of network {recording.network_sha256[:12]}..., this is "
            f"{network_sha256(network)[:12]}...; give the network that was recorded"
        )
