"""Fano factors: how much spike counts vary from sample to sample of one class.

Samples are locked to their stimulus. A Fano factor over windows *within* a sample would measure how the stimulus
modulates the rate; over samples of different classes, how well the classes are told apart. So counts are compared at
one neuron, in one window, over samples of one class. The network itself is deterministic: what varies within a class is
the stimulus (other speakers, other takes), so that the value is no measure of noise.
"""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.criteria import Criteria
from spikebridge.validation.observations import Observations, Statistic, nothing
from spikebridge.validation.windows import neuron_counts, window_steps

NO_CLASSES = "the class of the samples is unknown"
ONE_SAMPLE = "one sample of the class"
NO_SPIKE = "no spike in any sample of the class"


def fano_factors(trains: SpikeTrains, labels: IntArray | None, window_ms: float | None = None) -> Observations:
    """Variance of spike counts by their mean over the samples of a class: per neuron, class and window.

    Args:
        trains: spikes of one population.
        labels: (S,) class of each sample; without it there is nothing to compare.
        window_ms: length of windows from the start of the sample; None counts the whole sample.
    """
    steps = max(trains.n_steps, 1) if window_ms is None else window_steps(trains, window_ms)
    if isinstance(steps, str):
        return nothing(trains.n_neurons, steps)
    per_class = trains.n_neurons * (trains.n_steps // steps)
    if labels is None:
        return nothing(per_class, NO_CLASSES)
    values, n_total = [np.empty(0)], 0
    alone = silent = 0
    for label in np.unique(labels):
        samples = np.flatnonzero(labels == label)
        n_total += per_class
        if samples.size < 2:
            alone += per_class
            continue
        counts = neuron_counts(trains.select(samples), steps)
        mean, variance = counts.mean(axis=0).ravel(), counts.var(axis=0).ravel()
        values.append(variance[mean > 0] / mean[mean > 0])
        silent += int((mean == 0).sum())
    return Observations(np.concatenate(values), n_total, {ONE_SAMPLE: alone, NO_SPIKE: silent})


def fano_statistics(criteria: Criteria) -> tuple[Statistic, ...]:
    """Fano factors of whole samples and of windows."""
    window_ms = criteria.window_ms
    source = (
        "Fano 1947 (Phys. Rev. 72:26); Churchland et al. 2010 (Nat. Neurosci. 13:369). Equal to Elephant's fanofactor."
    )
    return (
        Statistic(
            "fano_factor",
            "Fano factor, whole samples",
            "",
            "neuron and class",
            "Variance (by n) of a neuron's spike count over the samples of one class by its mean; undefined where the "
            "neuron fires in none of them. 1 is a Poisson count. The network is deterministic: within a class only the "
            "stimuli differ.",
            source,
            lambda trains, labels: fano_factors(trains, labels),
        ),
        Statistic(
            "fano_factor_windows",
            f"Fano factor, {window_ms:g} ms windows",
            "",
            "neuron, class and window",
            f"The same for the count in each window of {window_ms:g} ms, compared at the same time in the samples of "
            "one class, so that the course of the response does not count as variance.",
            source,
            lambda trains, labels: fano_factors(trains, labels, window_ms),
        ),
    )
