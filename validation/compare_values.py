"""Values per neuron of the statistics that are compared: plain arrays, one number per neuron where it is defined.

Intervals and pairs of intervals are pooled over the trials of a neuron and never reach across two trials, so that
trials with few spikes count as far as they go. On a single train the values are Elephant's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.bursts import BurstCriterion, in_burst
from spikebridge.validation.trains import order_by_train

MIN_INTERVALS = 5
"""A neuron with fewer intervals (or pairs of intervals) over all trials has no CV (CV2, LV, LvR)."""

LVR_REFRACTORINESS_MS = 5.0
"""R of the revised local variation, as Shinomoto et al. 2009 and Elephant have it."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """One statistic of one population.

    Attributes:
        key: name in files.
        title: name for readers.
        unit: `Hz`, `share` (0 .. 1), or empty where dimensionless.
        definition: in a sentence.
        values: (n_defined,) one finite value per neuron where it is defined.
        n_total: number of neurons, defined or not.
    """

    key: str
    title: str
    unit: str
    definition: str
    values: FloatArray
    n_total: int

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise SpecError(
                f"{self.key}: give one finite value per neuron where it is defined, and leave out the others"
            )
        if values.size > self.n_total:
            raise SpecError(f"{self.key}: {values.size} values of {self.n_total} neurons")

    @property
    def n_undefined(self) -> int:
        """How many neurons have no value."""
        return self.n_total - self.values.size


def neuron_values(trains: SpikeTrains, burst: BurstCriterion | None = None) -> dict[str, Values]:
    """Rate, ISI CV, CV2, LV, LvR and the share of spikes in bursts of every neuron, by key."""
    criterion = burst or BurstCriterion()
    n = trains.n_neurons
    count = np.bincount(trains.neuron, minlength=n)
    seconds = trains.n_samples * trains.duration_s
    rate = count / seconds if seconds else np.empty(0)
    spikes = order_by_train(trains)
    bursting = np.bincount(spikes.train % max(n, 1), in_burst(trains, criterion).astype(np.float64), minlength=n)
    share = bursting[count > 0] / count[count > 0]
    enough = f"defined for at least {MIN_INTERVALS}"
    pooled = "pooled over the trials of a neuron"
    found = (
        Values("rate_hz", "Firing rate", "Hz", "Spikes of a neuron over all trials by the total time.", rate, n),
        Values(
            "isi_cv",
            "ISI CV",
            "",
            f"Standard deviation of the inter-spike intervals {pooled} by their mean; {enough} intervals.",
            _interval_cv(trains),
            n,
        ),
        *_local_variation(trains, f"{pooled}; {enough} pairs of adjacent intervals"),
        Values(
            "burst_fraction",
            "Spikes in bursts",
            "share",
            f"Share of a neuron's spikes in runs of at least {criterion.min_spikes} spikes with intervals of at most "
            f"{criterion.max_isi_ms:g} ms, on the recording's own grid; defined for neurons with a spike.",
            share,
            n,
        ),
    )
    return {values.key: values for values in found}


def interval_steps(trains: SpikeTrains) -> tuple[IntArray, IntArray]:
    """Intervals in steps and the train (`sample * n_neurons + neuron`) of each, ordered by train and time."""
    spikes = order_by_train(trains)
    within = np.diff(spikes.train) == 0
    return np.diff(spikes.step).astype(np.int64)[within], np.asarray(spikes.train[1:][within], dtype=np.int64)


def _interval_cv(trains: SpikeTrains) -> FloatArray:
    interval, train = interval_steps(trains)
    n = trains.n_neurons
    neuron = train % max(n, 1)
    count, total = np.bincount(neuron, minlength=n), np.bincount(neuron, interval, minlength=n)
    kept = (count >= MIN_INTERVALS) & (total > 0)
    mean = np.divide(total, count, out=np.zeros(n), where=kept)
    squares = np.bincount(neuron, (interval - mean[neuron]) ** 2, minlength=n)
    return np.asarray(np.sqrt(squares[kept] / count[kept]) / mean[kept])


def _local_variation(trains: SpikeTrains, where: str) -> tuple[Values, ...]:
    interval, train = interval_steps(trains)
    n = trains.n_neurons
    both = (train[1:] == train[:-1]) & (interval[1:] + interval[:-1] > 0)
    first, second = interval[:-1][both].astype(np.float64), interval[1:][both].astype(np.float64)
    neuron = train[1:][both] % max(n, 1)
    count = np.bincount(neuron, minlength=n)
    kept = count >= MIN_INTERVALS

    def mean(value: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(neuron, value, minlength=n)[kept] / count[kept])

    contrast = np.abs(first - second) / (first + second)
    correction = 1.0 + 4.0 * LVR_REFRACTORINESS_MS / ((first + second) * trains.step_ms)
    return (
        Values("cv2", "CV2", "", f"Mean of 2 |I - J| / (I + J), {where} (Holt et al. 1996).", mean(2 * contrast), n),
        Values(
            "lv",
            "LV",
            "",
            f"Mean of 3 (I - J)^2 / (I + J)^2, {where} (Shinomoto et al. 2003).",
            mean(3 * contrast**2),
            n,
        ),
        Values(
            "lvr",
            "LvR",
            "",
            f"Mean of 3 (1 - 4 I J / (I + J)^2) (1 + 4 R / (I + J)) with R = {LVR_REFRACTORINESS_MS:g} ms, {where} "
            "(Shinomoto et al. 2009).",
            mean(3 * contrast**2 * correction),
            n,
        ),
    )
