"""Synchrony of a population within samples: SPIKE-contrast, and the Fano factor of the population count."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import BoolArray, FloatArray, IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.criteria import Criteria
from spikebridge.validation.observations import Measure, Observations, Statistic, nothing
from spikebridge.validation.shuffle import shuffle_samples
from spikebridge.validation.stats_fano import NO_CLASSES
from spikebridge.validation.trains import order_by_train
from spikebridge.validation.windows import population_counts, window_steps

MIN_BIN_MS = 10.0
BIN_SHRINK_FACTOR = 0.9
"""Elephant's defaults."""

ONE_NEURON = "a population of fewer than 2 neurons"
NO_INTERVAL = "no neuron with 2 spikes in the sample"
SHORT_SAMPLE = f"a sample is shorter than two bins of {MIN_BIN_MS:g} ms"
NO_SPIKE = "no spike in the sample"
ONE_BIN = "a sample has one bin"


def spike_contrasts(trains: SpikeTrains) -> Observations:
    """SPIKE-contrast of every sample over all neurons of the population, silent ones included.

    The algorithm of Elephant's `spike_contrast` with its defaults, for all samples at once: bins that overlap by half
    shrink from half the sample by a factor of 0.9 down to the larger of 10 ms and half the smallest interval of any
    neuron; the value is the largest product of contrast and share of active trains.
    """
    n_samples, duration_ms = trains.n_samples, trains.n_steps * trains.step_ms
    if trains.n_neurons < 2:
        return nothing(n_samples, ONE_NEURON)
    if duration_ms / 2 < MIN_BIN_MS:
        return nothing(n_samples, SHORT_SAMPLE)
    spikes = order_by_train(trains)
    sample = spikes.train // trains.n_neurons
    time_ms = spikes.step.astype(np.float64) * trains.step_ms
    same = np.diff(spikes.train) == 0
    shortest = np.full(n_samples, np.inf)
    np.minimum.at(shortest, sample[1:][same], np.diff(time_ms)[same])
    defined = np.isfinite(shortest)
    smallest_bin = np.maximum(shortest / 2, MIN_BIN_MS)
    best = np.full(n_samples, -np.inf)
    bin_ms = duration_ms / 2
    while bin_ms >= MIN_BIN_MS:
        wanted = defined & (bin_ms >= smallest_bin)
        kept = wanted[sample]
        if kept.any():
            edges = _Edges(shortest, duration_ms, bin_ms / 2)
            value = _contrast_times_active(
                sample[kept], spikes.train[kept], edges.number(time_ms[kept], sample[kept]), edges.n, trains.n_neurons
            )
            best[wanted] = np.maximum(best[wanted], value[wanted])
        bin_ms *= BIN_SHRINK_FACTOR
    return Observations(best[defined], n_samples, {NO_INTERVAL: int((~defined).sum())})


class _Edges:
    """The edges that `numpy.arange(start, stop + step, step)` gives Elephant, for every sample, to the last bit.

    The sample is widened on both sides by its shortest interval; a spike on an edge belongs to the later bin.
    """

    def __init__(self, shortest: FloatArray, duration_ms: float, step: float) -> None:
        finite = np.where(np.isfinite(shortest), shortest, 0.0)
        self.start = 0.0 - finite
        # arange continues with the rounded difference of its first two values.
        self.step = (self.start + step) - self.start
        self.n = np.ceil((duration_ms + finite + step - self.start) / step).astype(np.int64) - 1
        """Bins of half a width, per sample."""

    def number(self, time_ms: FloatArray, sample: IntArray) -> IntArray:
        start, step = self.start[sample], self.step[sample]
        number = np.floor((time_ms - start) / step).astype(np.int64)
        number += start + (number + 1) * step <= time_ms
        number -= start + number * step > time_ms
        return number


def _contrast_times_active(
    sample: IntArray, train: IntArray, half_bin: IntArray, n_half_bins: IntArray, n_neurons: int
) -> FloatArray:
    """Per sample, with spikes ordered by train and time: contrast times the share of active trains."""
    n_samples, width = n_half_bins.size, int(n_half_bins.max())
    flat = sample * width + half_bin
    spikes = np.bincount(flat, minlength=n_samples * width).reshape(n_samples, width)
    same_train = np.diff(train) == 0
    first = np.concatenate([[True], ~(same_train & (np.diff(half_bin) == 0))])  # of its train in its half bin
    train_once, bin_once, flat_once = train[first], half_bin[first], flat[first]
    active = np.bincount(flat_once, minlength=n_samples * width).reshape(n_samples, width)
    neighbours = (np.diff(train_once) == 0) & (np.diff(bin_once) == 1)
    both = np.bincount(flat_once[:-1][neighbours], minlength=n_samples * width).reshape(n_samples, width)
    # A bin is two half bins; a train that fires in both is one active train.
    theta = spikes[:, :-1] + spikes[:, 1:]
    n_active = active[:, :-1] + active[:, 1:] - both[:, :-1]
    exists: BoolArray = np.arange(width - 1) < (n_half_bins - 1)[:, None]
    theta, n_active = theta * exists, n_active * exists
    changes = np.abs(np.diff(theta, axis=1)) * exists[:, 1:]
    total = np.bincount(sample, minlength=n_samples)
    busy = np.maximum(theta.sum(axis=1), 1)
    share = ((n_active * theta).sum(axis=1) / busy - 1) / (n_neurons - 1)
    contrast = changes.sum(axis=1) / (2 * np.maximum(total, 1))
    return np.asarray(contrast * share)


def population_fanos(trains: SpikeTrains, bin_ms: float) -> Observations:
    """Variance of the population's count by its mean over the bins of a sample, for every sample with a spike."""
    steps = window_steps(trains, bin_ms)
    if isinstance(steps, str):
        return nothing(trains.n_samples, steps)
    counts = population_counts(trains, steps)
    if counts.shape[1] < 2:
        return nothing(trains.n_samples, ONE_BIN)
    mean = counts.mean(axis=1)
    fires = mean > 0
    return Observations(counts.var(axis=1)[fires] / mean[fires], trains.n_samples, {NO_SPIKE: int((~fires).sum())})


def shuffled(measure: Measure) -> Measure:
    """The same statistic after samples were exchanged within classes; undefined where classes are unknown."""

    def measure_shuffled(trains: SpikeTrains, labels: IntArray | None) -> Observations:
        if labels is None:
            return nothing(trains.n_samples, NO_CLASSES)
        return measure(shuffle_samples(trains, labels), labels)

    return measure_shuffled


def synchrony_statistics(criteria: Criteria) -> tuple[Statistic, ...]:
    """SPIKE-contrast and population Fano factor, each with its control."""

    def contrast(trains: SpikeTrains, _: IntArray | None) -> Observations:
        return spike_contrasts(trains)

    def fano(trains: SpikeTrains, _: IntArray | None) -> Observations:
        return population_fanos(trains, criteria.bin_ms)

    control = (
        "The same after every neuron's samples were exchanged at random among those of one class: what the stimulus "
        "alone synchronises, and rates do. What the value above has more is synchrony within single samples."
    )
    return (
        Statistic(
            "spike_contrast",
            "Synchrony (SPIKE-contrast)",
            "",
            "sample",
            "SPIKE-contrast over all neurons of the population in one sample, silent ones included, with bins of at "
            f"least {MIN_BIN_MS:g} ms: 0 to 1, high where neurons fire together. It needs a neuron with two spikes. "
            "What the stimulus drives at the same time is synchrony too, and it rises with the rate.",
            "Ciba et al. 2018 (J. Neurosci. Methods 293:136); equal to Elephant's spike_contrast with its defaults.",
            contrast,
        ),
        Statistic(
            "spike_contrast_shuffled",
            "SPIKE-contrast, samples exchanged",
            "",
            "sample",
            control,
            "A control of this project, a form of trial shuffling.",
            shuffled(contrast),
        ),
        Statistic(
            "population_fano",
            "Synchrony (population Fano factor)",
            "",
            "sample",
            f"Variance (by n) of the population's spike count in bins of {criteria.bin_ms:g} ms by its mean, over the "
            "bins of one sample. Independent Poisson neurons at constant rates give 1; synchrony, but also a rate that "
            "follows the stimulus, gives more.",
            "As a measure of synchrony: Kumar et al. 2008 (Neural Comput. 20:1). Equal to Elephant's fanofactor.",
            fano,
        ),
        Statistic(
            "population_fano_shuffled",
            "Population Fano, samples exchanged",
            "",
            "sample",
            control,
            "A control of this project, a form of trial shuffling.",
            shuffled(fano),
        ),
    )
