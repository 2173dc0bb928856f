"""Statistics of bursts; what a burst is, is said in `bursts.py`."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.bursts import BurstCriterion, find_bursts, in_burst
from spikebridge.validation.criteria import Criteria
from spikebridge.validation.observations import Observations, Statistic, nothing
from spikebridge.validation.stats_rates import NO_TIME

NO_EVENT = "no spike in any sample"


def spikes_in_bursts(trains: SpikeTrains, criterion: BurstCriterion) -> Observations:
    """1 for every spike in a burst, 0 for the others: the mean is the burst fraction."""
    return Observations(in_burst(trains, criterion).astype(np.float64), trains.n_spikes)


def spikes_per_burst(trains: SpikeTrains, criterion: BurstCriterion) -> Observations:
    """Number of spikes of every burst."""
    counts = find_bursts(trains, criterion).n_spikes
    return Observations(counts.astype(np.float64), counts.size)


def burst_rates_hz(trains: SpikeTrains, criterion: BurstCriterion) -> Observations:
    """Bursts per second of every neuron, over all samples."""
    seconds = trains.n_samples * trains.duration_s
    if seconds == 0:
        return nothing(trains.n_neurons, NO_TIME)
    return Observations(_bursts_per_neuron(trains, criterion) / seconds, trains.n_neurons)


def burst_indices(trains: SpikeTrains, criterion: BurstCriterion) -> Observations:
    """Share of a neuron's events that are bursts, where an event is a burst or a spike outside of bursts."""
    found = find_bursts(trains, criterion)
    bursts = _bursts_per_neuron(trains, criterion)
    single = np.bincount(found.spikes.train[~found.contains] % max(trains.n_neurons, 1), minlength=trains.n_neurons)
    events = bursts + single
    fires = events > 0
    return Observations(bursts[fires] / events[fires], trains.n_neurons, {NO_EVENT: int((~fires).sum())})


def _bursts_per_neuron(trains: SpikeTrains, criterion: BurstCriterion) -> np.ndarray:
    neuron = find_bursts(trains, criterion).train % max(trains.n_neurons, 1)
    return np.bincount(neuron, minlength=trains.n_neurons)


def burst_statistics(criteria: Criteria) -> tuple[Statistic, ...]:
    """Fraction of spikes in bursts, burst index, spikes per burst and rate of bursts."""
    burst = criteria.burst
    method = "Bursts by the Max Interval method, see Cotterill et al. 2016 (J. Neurophysiol. 116:306)"
    ours = "; its thresholds, for samples of about a second, are those of this project."
    return (
        Statistic(
            "burst_fraction",
            "Spikes in bursts",
            "share",
            "spike",
            f"Share of spikes in bursts: {burst.text}, measured on the recording's own grid.",
            method + ours,
            lambda trains, _: spikes_in_bursts(trains, burst),
        ),
        Statistic(
            "burst_index",
            "Burst index",
            "share",
            "neuron",
            "Share of a neuron's events that are bursts, where an event is a burst or a spike outside of bursts.",
            "Naud & Sprekeler 2018 (PNAS 115:E6329), who read bursts as a share of events; with the bursts above.",
            lambda trains, _: burst_indices(trains, burst),
        ),
        Statistic(
            "spikes_per_burst",
            "Spikes per burst",
            "",
            "burst",
            "Number of spikes of a burst; undefined without bursts.",
            method + ".",
            lambda trains, _: spikes_per_burst(trains, burst),
        ),
        Statistic(
            "burst_rate_hz",
            "Rate of bursts",
            "Hz",
            "neuron",
            "Bursts of a neuron over all samples by the total duration.",
            method + ".",
            lambda trains, _: burst_rates_hz(trains, burst),
        ),
    )
