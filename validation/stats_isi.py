"""Irregularity of spike trains from inter-spike intervals (ISI), which never reach from one sample into another.

Elephant takes one train at a time. CV goes through Elephant with all trains of equally many spikes stacked; Cv2, Lv and
LvR are computed here for all trains at once, and tests compare them with Elephant's on random trains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.criteria import Criteria
from spikebridge.validation.elephant_functions import cv, isi
from spikebridge.validation.observations import Observations, Statistic
from spikebridge.validation.trains import order_by_train

TOO_FEW = "fewer than 3 spikes"
NO_TIME_BETWEEN = "3 or more spikes in one step"


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Pairs of neighbouring intervals within trains.

    Attributes:
        first, second: (P,) intervals in ms.
        train: (P,) which of the trains with at least 3 spikes, 0 .. n_trains - 1.
        n_trains: number of trains with at least 3 spikes.
        n_total: number of all trains.
    """

    first: FloatArray
    second: FloatArray
    train: IntArray
    n_trains: int
    n_total: int


def isi_cvs(trains: SpikeTrains) -> Observations:
    """Coefficient of variation of the inter-spike intervals, of every train with at least 3 spikes (2 intervals).

    Trains with equally many spikes are stacked, so that Elephant's `isi` and `cv` see each number of spikes once.
    Intervals are in steps, which cancel; in trains whose spikes all share one step it is undefined.
    """
    spikes = order_by_train(trains)
    values, n_long = [], int((spikes.count >= 3).sum())
    for count in np.unique(spikes.count[spikes.count >= 3]):
        rows = spikes.start[spikes.count == count][:, None] + np.arange(count)
        intervals = isi(spikes.step[rows].astype(np.float64), axis=-1)
        intervals = intervals[intervals.any(axis=-1)]
        if intervals.size:
            values.append(cv(intervals, axis=-1))
    found = np.concatenate(values) if values else np.empty(0)
    return Observations(
        found, spikes.n_trains, {TOO_FEW: spikes.n_trains - n_long, NO_TIME_BETWEEN: n_long - found.size}
    )


def cv2s(trains: SpikeTrains) -> Observations:
    """Cv2 of every train with at least 3 spikes: mean of 2 |I' - I| / (I' + I) over neighbouring intervals."""
    return _mean_over_pairs(trains, lambda first, second: 2.0 * np.abs(second - first) / (first + second))


def lvs(trains: SpikeTrains) -> Observations:
    """Local variation Lv of every train with at least 3 spikes: mean of 3 (I - I')^2 / (I + I')^2."""
    return _mean_over_pairs(trains, lambda first, second: 3.0 * ((first - second) / (first + second)) ** 2)


def lvrs(trains: SpikeTrains, refractoriness_ms: float) -> Observations:
    """Revised local variation: mean of 3 (1 - 4 I I' / (I + I')^2) (1 + 4 R / (I + I')), R the refractoriness."""

    def term(first: FloatArray, second: FloatArray) -> FloatArray:
        total = first + second
        return np.asarray(3.0 * (1.0 - 4.0 * first * second / total**2) * (1.0 + 4.0 * refractoriness_ms / total))

    return _mean_over_pairs(trains, term)


def _mean_over_pairs(trains: SpikeTrains, term: Callable[[FloatArray, FloatArray], FloatArray]) -> Observations:
    pairs = _neighbours(trains)
    empty = pairs.first + pairs.second == 0
    # As in Elephant, where such a pair is 0 / 0, one of them leaves the train undefined.
    defined = np.bincount(pairs.train[empty], minlength=pairs.n_trains) == 0
    values = np.zeros(pairs.first.size)
    values[~empty] = term(pairs.first[~empty], pairs.second[~empty])
    sums = np.bincount(pairs.train, weights=values, minlength=pairs.n_trains)
    means = sums[defined] / np.bincount(pairs.train, minlength=pairs.n_trains)[defined]
    reasons = {TOO_FEW: pairs.n_total - pairs.n_trains, NO_TIME_BETWEEN: int((~defined).sum())}
    return Observations(means, pairs.n_total, reasons)


def _neighbours(trains: SpikeTrains) -> _Pairs:
    spikes = order_by_train(trains)
    interval_ms = np.diff(spikes.step) * trains.step_ms
    within = spikes.train[2:] == spikes.train[:-2]
    _, train = np.unique(spikes.train[2:][within], return_inverse=True)
    return _Pairs(
        interval_ms[:-1][within],
        interval_ms[1:][within],
        train.astype(np.int64),
        int((spikes.count >= 3).sum()),
        spikes.n_trains,
    )


def isi_statistics(criteria: Criteria) -> tuple[Statistic, ...]:
    """CV, Cv2, Lv and LvR of inter-spike intervals."""
    refractoriness_ms = criteria.refractoriness_ms
    return (
        Statistic(
            "isi_cv",
            "ISI coefficient of variation",
            "",
            "train",
            "Standard deviation of the inter-spike intervals of one neuron in one sample by their mean; defined for at "
            "least 3 spikes. 0 is a regular train; the expectation for long Poisson trains is 1, lower for short ones.",
            "Computed by Elephant's isi and cv.",
            lambda trains, _: isi_cvs(trains),
        ),
        Statistic(
            "isi_cv2",
            "ISI CV2",
            "",
            "train",
            "Mean of 2 |I' - I| / (I' + I) over neighbouring intervals I, I' of one neuron in one sample; defined for "
            "at least 3 spikes. Slow changes of the rate do not raise it; 0 is a regular train, 1 a Poisson train.",
            "Holt et al. 1996 (J. Neurophysiol. 75:1806); equal to Elephant's cv2.",
            lambda trains, _: cv2s(trains),
        ),
        Statistic(
            "isi_lv",
            "ISI local variation (LV)",
            "",
            "train",
            "Mean of 3 (I - I')^2 / (I + I')^2 over neighbouring intervals of one neuron in one sample; defined for at "
            "least 3 spikes. 0 is a regular train, 1 a Poisson train.",
            "Shinomoto, Shima & Tanji 2003 (Neural Comput. 15:2823); equal to Elephant's lv.",
            lambda trains, _: lvs(trains),
        ),
        Statistic(
            "isi_lvr",
            "ISI revised local variation (LvR)",
            "",
            "train",
            "Mean of 3 (1 - 4 I I' / (I + I')^2) (1 + 4 R / (I + I')) over neighbouring intervals of one neuron in one "
            f"sample, with the refractoriness R = {refractoriness_ms:g} ms; defined for at least 3 spikes.",
            "Shinomoto et al. 2009 (PLoS Comput. Biol. 5:e1000433); equal to Elephant's lvr.",
            lambda trains, _: lvrs(trains, refractoriness_ms),
        ),
    )
