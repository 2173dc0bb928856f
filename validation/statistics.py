"""What the activity of a population looks like: each statistic is an object, so that reports and scores can list them.

A statistic observes something of every neuron, train or spike. Where it is undefined (a train with one spike has no
interval) there is no observation: the number of defined ones is kept beside the mean, and nothing is counted as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from elephant.statistics import cv, isi

from spikebridge.bridge.arrays import FloatArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.bursts import BurstCriterion, in_burst
from spikebridge.validation.trains import order_by_train


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """What a statistic saw in one population.

    Attributes:
        values: (n_defined,) one finite value per neuron, train or spike where it is defined; a yes or no is 1 or 0.
        n_total: number of neurons, trains or spikes, defined or not.
    """

    values: FloatArray
    n_total: int

    @property
    def n_defined(self) -> int:
        """How many values are defined."""
        return self.values.size

    @property
    def mean(self) -> float | None:
        """Mean of the defined values, None if there are none."""
        return float(self.values.mean()) if self.values.size else None

    @property
    def quartiles(self) -> tuple[float, float, float, float, float] | None:
        """Minimum, lower quartile, median, upper quartile, maximum; None if there are no values."""
        if not self.values.size:
            return None
        low, q1, median, q3, high = np.quantile(self.values, [0, 0.25, 0.5, 0.75, 1]).tolist()
        return low, q1, median, q3, high


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic and its definition.

    Attributes:
        key: name in files.
        title: name for readers.
        unit: `Hz`, `share` (0 .. 1), or empty where dimensionless.
        over: what is observed: `neuron`, `train` (one neuron in one sample) or `spike`.
        definition: in a sentence, with the parameters in use.
        source: who defined it, or whose code computes it, in a sentence.
        observe: from spikes to observations.
    """

    key: str
    title: str
    unit: str
    over: str
    definition: str
    source: str
    observe: Callable[[SpikeTrains], Observations]


@dataclass(frozen=True, slots=True)
class Criteria:
    """Parameters of the statistics that need one.

    Attributes:
        hyperactive_hz: a neuron whose rate over all samples is above this is hyperactive.
        burst: what a burst is.
    """

    hyperactive_hz: float = 50.0
    burst: BurstCriterion = field(default_factory=BurstCriterion)


def rates_hz(trains: SpikeTrains) -> Observations:
    """Firing rate of every neuron over all samples: its spikes by the total time.

    The mean over neurons is the mean of Elephant's `mean_firing_rate` over all trains; counting at once is only faster.
    """
    seconds = trains.n_samples * trains.duration_s
    if seconds == 0:
        return Observations(np.empty(0), trains.n_neurons)
    return Observations(np.bincount(trains.neuron, minlength=trains.n_neurons) / seconds, trains.n_neurons)


def isi_cvs(trains: SpikeTrains) -> Observations:
    """Coefficient of variation of the inter-spike intervals, of every train with at least 3 spikes (2 intervals).

    Trains with equally many spikes are stacked, so that Elephant's `isi` and `cv` see each number of spikes once.
    Intervals are in steps, which cancel; in trains whose spikes all share one step it is undefined.
    """
    spikes = order_by_train(trains)
    values = []
    for count in np.unique(spikes.count[spikes.count >= 3]):
        rows = spikes.start[spikes.count == count][:, None] + np.arange(count)
        intervals = isi(spikes.step[rows].astype(np.float64), axis=-1)
        intervals = intervals[intervals.any(axis=-1)]
        if intervals.size:
            values.append(cv(intervals, axis=-1))
    return Observations(np.concatenate(values) if values else np.empty(0), spikes.n_trains)


def spikes_in_bursts(trains: SpikeTrains, criterion: BurstCriterion) -> Observations:
    """1 for every spike in a burst, 0 for the others: the mean is the burst fraction."""
    return Observations(in_burst(trains, criterion).astype(np.float64), trains.n_spikes)


def silent_neurons(trains: SpikeTrains) -> Observations:
    """1 for every neuron without a spike in all samples, 0 for the others."""
    rates = rates_hz(trains)
    return Observations((rates.values == 0).astype(np.float64), rates.n_total)


def hyperactive_neurons(trains: SpikeTrains, above_hz: float) -> Observations:
    """1 for every neuron whose rate over all samples is above `above_hz`, 0 for the others."""
    rates = rates_hz(trains)
    return Observations((rates.values > above_hz).astype(np.float64), rates.n_total)


def standard_statistics(criteria: Criteria | None = None) -> tuple[Statistic, ...]:
    """The statistics of the report, in its order."""
    chosen = criteria or Criteria()
    burst = chosen.burst
    return (
        Statistic(
            "rate_hz",
            "Firing rate",
            "Hz",
            "neuron",
            "Spikes of a neuron over all samples by the total duration; the value is the mean over neurons.",
            "Equal to the mean of Elephant's mean_firing_rate over all trains.",
            rates_hz,
        ),
        Statistic(
            "isi_cv",
            "ISI coefficient of variation",
            "",
            "train",
            "Standard deviation of the inter-spike intervals of one neuron in one sample by their mean; defined for at "
            "least 3 spikes. 0 is a regular train; the expectation for long Poisson trains is 1, lower for short ones.",
            "Computed by Elephant's isi and cv.",
            isi_cvs,
        ),
        Statistic(
            "burst_fraction",
            "Spikes in bursts",
            "share",
            "spike",
            f"Share of spikes in bursts: runs of at least {burst.min_spikes} spikes of one neuron in one sample whose "
            f"intervals are at most {burst.max_isi_ms:g} ms, measured on the recording's own grid.",
            "A definition of this project: the maximum-interval method with one threshold, without merging.",
            lambda trains: spikes_in_bursts(trains, burst),
        ),
        Statistic(
            "silent_fraction",
            "Silent neurons",
            "share",
            "neuron",
            "Share of neurons without a spike in all samples.",
            "A definition of this project.",
            silent_neurons,
        ),
        Statistic(
            "hyperactive_fraction",
            "Hyperactive neurons",
            "share",
            "neuron",
            f"Share of neurons whose rate over all samples is above {chosen.hyperactive_hz:g} Hz.",
            "A definition of this project.",
            lambda trains: hyperactive_neurons(trains, chosen.hyperactive_hz),
        ),
    )
