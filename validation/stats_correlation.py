"""Pairwise correlation of spike counts: of all that two neurons share, and of what their class does not explain."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.criteria import Criteria
from spikebridge.validation.observations import Observations, Statistic, nothing
from spikebridge.validation.stats_fano import NO_CLASSES
from spikebridge.validation.windows import neuron_counts, window_steps

CONSTANT = "a neuron of the pair has a constant count"
LEFT_OUT = "left out: neurons beyond the largest number that is compared"


def count_correlations(trains: SpikeTrains, window_ms: float, max_neurons: int) -> Observations:
    """Pearson correlation of the counts in windows over all samples, of every pair of neurons.

    Windows never cross samples. Equal to Elephant's `correlation_coefficient` of the samples put one after another.
    """
    steps = window_steps(trains, window_ms)
    if isinstance(steps, str):
        return nothing(_n_pairs(trains.n_neurons), steps)
    chosen = _choose(trains, max_neurons)
    counts = neuron_counts(chosen, steps)
    counts = counts.reshape(counts.shape[0] * counts.shape[1], chosen.n_neurons)
    return _pearson(counts - counts.mean(axis=0) if len(counts) else counts.astype(np.float64), trains.n_neurons)


def residual_correlations(trains: SpikeTrains, labels: IntArray | None, max_neurons: int) -> Observations:
    """Pearson correlation of the counts per sample after the mean of the sample's class is taken away."""
    if labels is None:
        return nothing(_n_pairs(trains.n_neurons), NO_CLASSES)
    chosen = _choose(trains, max_neurons)
    counts = neuron_counts(chosen, max(trains.n_steps, 1)).sum(axis=1).astype(np.float64)
    for label in np.unique(labels):
        counts[labels == label] -= counts[labels == label].mean(axis=0)
    # A class with one sample leaves exact zeros; sums of rounding errors are no variance either.
    return _pearson(counts, trains.n_neurons)


def _n_pairs(neurons: int) -> int:
    return neurons * (neurons - 1) // 2


def _choose(trains: SpikeTrains, max_neurons: int) -> SpikeTrains:
    """At most `max_neurons` neurons, chosen from a fixed seed so that executors share them."""
    if trains.n_neurons <= max_neurons:
        return trains
    picked = np.sort(np.random.default_rng(0).choice(trains.n_neurons, max_neurons, replace=False))
    number = np.full(trains.n_neurons, -1, dtype=np.int32)
    number[picked] = np.arange(max_neurons, dtype=np.int32)
    kept = number[trains.neuron] >= 0
    offsets = np.concatenate([[0], np.cumsum(kept)])[trains.offsets]
    return SpikeTrains(
        trains.step[kept], number[trains.neuron[kept]], offsets, trains.n_steps, max_neurons, trains.step_ms
    )


def _pearson(centred: FloatArray, n_neurons: int) -> Observations:
    """From counts (observations, neurons) without their mean; neurons that do not vary leave their pairs undefined."""
    looked_at = _n_pairs(centred.shape[1])
    squares = (centred**2).sum(axis=0)
    varies = squares > 1e-9
    scaled = centred[:, varies] / np.sqrt(squares[varies])
    correlation = scaled.T @ scaled
    values = np.clip(correlation[np.triu_indices(scaled.shape[1], k=1)], -1.0, 1.0)
    total = _n_pairs(n_neurons)
    return Observations(values, total, {CONSTANT: looked_at - values.size, LEFT_OUT: total - looked_at})


def correlation_statistics(criteria: Criteria) -> tuple[Statistic, ...]:
    """Correlations of counts in windows, and of what the class leaves of counts per sample."""
    window_ms, most = criteria.window_ms, criteria.max_pair_neurons
    limit = f" Of populations with more than {most} neurons, {most} are drawn from a fixed seed."
    return (
        Statistic(
            "count_correlation",
            f"Count correlation, {window_ms:g} ms windows",
            "",
            "pair",
            f"Pearson correlation of two neurons' spike counts in windows of {window_ms:g} ms over all samples; "
            "windows never cross samples. A stimulus that drives both at the same time counts as correlation." + limit,
            "Cohen & Kohn 2011 (Nat. Neurosci. 14:811); equal to Elephant's correlation_coefficient.",
            lambda trains, _: count_correlations(trains, window_ms, most),
        ),
        Statistic(
            "residual_correlation",
            "Count correlation within classes",
            "",
            "pair",
            "Pearson correlation of two neurons' spike counts per sample after the mean of the sample's class is taken "
            "away (called noise correlation where stimuli are repeated; here samples of a class differ, and the "
            "network is deterministic)." + limit,
            "Cohen & Kohn 2011 (Nat. Neurosci. 14:811).",
            lambda trains, labels: residual_correlations(trains, labels, most),
        ),
    )
