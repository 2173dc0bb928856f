"""One number per population for each statistic of the plausibility card, as the published ranges have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.stats import shapiro

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.timing import timestep
from spikebridge.validation.bursts import BurstCriterion
from spikebridge.validation.compare_values import neuron_values
from spikebridge.validation.trains import order_by_train

MIN_TRIALS = 5
"""A stimulus with fewer trials has no Fano factor and does not enter the correlation."""

HIGH_RATE_HZ = 20.0
INSTANT_MS = 50.0
MIN_NEURONS = 8
BURST = BurstCriterion(max_isi_ms=10.0, min_spikes=2)

NO_LABELS = "the trials have no stimulus labels"


@dataclass(frozen=True, slots=True)
class CardValue:
    """A number, or why there is none.

    Attributes:
        value: None where undefined.
        undefined: why it is undefined; empty where it is not.
    """

    value: float | None
    undefined: str = ""


type _Compute = Callable[[SpikeTrains, IntArray | None], CardValue]


@dataclass(frozen=True, slots=True)
class CardStatistic:
    """A statistic of the card: title, unit, definition, and how it is computed from spikes and stimulus labels."""

    title: str
    unit: str
    definition: str
    compute: _Compute


def card_values(trains: SpikeTrains, labels: IntArray | None) -> dict[str, CardValue]:
    """Every statistic of the card, by key.

    Args:
        trains: one population.
        labels: (S,) stimulus of each trial, None where unknown.
    """
    return {key: statistic.compute(trains, labels) for key, statistic in CARD_STATISTICS.items()}


def _mean_over_neurons(key: str) -> _Compute:
    def compute(trains: SpikeTrains, _: IntArray | None) -> CardValue:
        values = neuron_values(trains)[key]
        if not values.values.size:
            return CardValue(None, f"none of {values.n_total} neurons has enough intervals")
        return CardValue(float(values.values.mean()))

    return compute


def _highest_rate(trains: SpikeTrains, _: IntArray | None) -> CardValue:
    rates = neuron_values(trains)["rate_hz"].values
    return CardValue(float(rates.max())) if rates.size else CardValue(None, "no neurons, or nothing was recorded")


def _lognormal(trains: SpikeTrains, _: IntArray | None) -> CardValue:
    rates = neuron_values(trains)["rate_hz"].values
    rates = rates[rates > 0]
    if not MIN_NEURONS <= rates.size <= 5000:
        return CardValue(None, f"{rates.size} neurons fire; the test needs {MIN_NEURONS} to 5,000")
    if rates.min() == rates.max():
        return CardValue(None, "all neurons that fire have the same rate")
    return CardValue(float(shapiro(np.log(rates)).pvalue))


def _share_above(trains: SpikeTrains, labels: IntArray | None) -> CardValue:
    if labels is None:
        return CardValue(None, NO_LABELS)
    per_bin = max(1, int(timestep(INSTANT_MS, trains.step_ms)))
    bins = trains.n_steps // per_bin
    classes, label, trials = np.unique(labels, return_inverse=True, return_counts=True)
    if not (bins and classes.size and trains.n_neurons):
        return CardValue(None, f"no trials of {INSTANT_MS:g} ms, or no neurons")
    kept = trains.step < bins * per_bin
    index = (label[trains.sample[kept]] * bins + trains.step[kept] // per_bin) * trains.n_neurons + trains.neuron[kept]
    counts = np.bincount(index, minlength=classes.size * bins * trains.n_neurons).reshape(classes.size, -1)
    rate_hz = counts / trials[:, None] / (per_bin * trains.step_ms / 1000.0)
    return CardValue(float((rate_hz > HIGH_RATE_HZ).mean()))


def _fano(trains: SpikeTrains, labels: IntArray | None) -> CardValue:
    if labels is None:
        return CardValue(None, NO_LABELS)
    found = []
    for counts in _counts_by_class(trains, labels):
        mean = np.asarray(counts.mean(axis=0))
        found.append(counts[:, mean > 0].var(axis=0, ddof=1) / mean[mean > 0])
    values = np.concatenate(found) if found else np.empty(0)
    if not values.size:
        return CardValue(None, f"no neuron fires for a stimulus with at least {MIN_TRIALS} trials")
    return CardValue(float(values.mean()))


def _noise_correlation(trains: SpikeTrains, labels: IntArray | None) -> CardValue:
    if labels is None:
        return CardValue(None, NO_LABELS)
    scored = []
    for counts in _counts_by_class(trains, labels):
        deviation = counts.std(axis=0)
        scored.append((counts - counts.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))
    every = np.concatenate(scored) if scored else np.empty((0, 0))
    every = every[:, every.any(axis=0)] if every.size else every
    if every.shape[1] < 2:
        return CardValue(None, f"fewer than two neurons vary over the trials of a stimulus with {MIN_TRIALS} or more")
    correlation = np.asarray(np.corrcoef(every, rowvar=False))
    return CardValue(float(correlation[np.triu_indices(every.shape[1], k=1)].mean()))


def _burst_events(trains: SpikeTrains, _: IntArray | None) -> CardValue:
    if not trains.n_spikes:
        return CardValue(None, "there are no spikes")
    spikes = order_by_train(trains)
    joined = (np.diff(spikes.step) <= int(timestep(BURST.max_isi_ms, trains.step_ms))) & (np.diff(spikes.train) == 0)
    sizes = np.bincount(np.concatenate([[0], np.cumsum(~joined)]))
    return CardValue(float((sizes >= BURST.min_spikes).mean()))


def _counts_by_class(trains: SpikeTrains, labels: IntArray) -> list[FloatArray]:
    """(trials, neurons) spike counts for every stimulus with enough trials."""
    flat = trains.sample * trains.n_neurons + trains.neuron
    flat_counts = np.bincount(flat, minlength=trains.n_samples * trains.n_neurons)
    counts: FloatArray = flat_counts.reshape(trains.n_samples, trains.n_neurons).astype(np.float64)
    return [counts[labels == label] for label in np.unique(labels) if (labels == label).sum() >= MIN_TRIALS]


CARD_STATISTICS: Mapping[str, CardStatistic] = MappingProxyType(
    {
        "highest_rate_hz": CardStatistic(
            "Rate of the most active neuron", "Hz", "Spikes over all trials by the total time.", _highest_rate
        ),
        "share_above_20_hz": CardStatistic(
            f"Neurons above {HIGH_RATE_HZ:g} Hz at an instant",
            "share",
            f"Share of neurons and bins of {INSTANT_MS:g} ms, over all stimuli, in which the mean over the trials of "
            f"the stimulus is above {HIGH_RATE_HZ:g} Hz.",
            _share_above,
        ),
        "lognormal_p": CardStatistic(
            "Log-normal rates",
            "p",
            "p value of a Shapiro-Wilk test that the logarithms of the rates of all neurons that fire are normal.",
            _lognormal,
        ),
        "isi_cv": CardStatistic("ISI CV", "", "Mean over neurons.", _mean_over_neurons("isi_cv")),
        "lvr": CardStatistic("LvR", "", "Mean over neurons.", _mean_over_neurons("lvr")),
        "fano_factor": CardStatistic(
            "Fano factor",
            "",
            f"Variance (n - 1) of the spike count of a neuron over the trials of a stimulus, at least {MIN_TRIALS}, by "
            "its mean; the mean over neurons and stimuli with a spike.",
            _fano,
        ),
        "noise_correlation": CardStatistic(
            "Spike-count correlation",
            "",
            "Pearson correlation of the spike counts of two neurons over trials, after subtracting the mean and "
            f"dividing by the deviation for each stimulus with at least {MIN_TRIALS} trials; the mean over pairs.",
            _noise_correlation,
        ),
        "burst_event_share": CardStatistic(
            "Bursts among events",
            "share",
            f"An event is a burst (at least {BURST.min_spikes} spikes, intervals of at most {BURST.max_isi_ms:g} ms) "
            "or a single spike; the share that are bursts.",
            _burst_events,
        ),
    }
)
