"""Bursts: groups of spikes with short intervals, by the Max Interval method.

The method is that of NeuroExplorer (Nex Technologies), as compared with others by Cotterill et al. 2016 (J.
Neurophysiol. 116:306). Its thresholds have to be chosen for the data: those of Cotterill et al. (170, 300, 200, 10 ms,
3 spikes) are for cultures that are silent for seconds and would join most spikes of a sample shorter than one. Those
here are one threshold of 20 ms for the first and for every further interval, 3 spikes, no merging, no minimum duration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import BoolArray, IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.timing import timestep
from spikebridge.validation.trains import OrderedSpikes, order_by_train


@dataclass(frozen=True, slots=True)
class BurstCriterion:
    """What a burst is. Times are measured on the recording's own grid, so that on a coarse one they are whole steps.

    Attributes:
        max_isi_ms: a burst begins with an interval of at most this.
        min_spikes: it has at least so many spikes.
        max_end_isi_ms: it goes on while intervals are at most this; None is `max_isi_ms`, otherwise at least that.
        min_gap_ms: bursts of one train that are less than this apart are one; what lies between is then part of it.
        min_duration_ms: it lasts at least this from its first spike to its last.
    """

    max_isi_ms: float = 20.0
    min_spikes: int = 3
    max_end_isi_ms: float | None = None
    min_gap_ms: float = 0.0
    min_duration_ms: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.max_isi_ms) and self.max_isi_ms > 0):
            raise SpecError(f"max_isi_ms of a burst is {self.max_isi_ms}; it must be above 0")
        if self.min_spikes < 2:
            raise SpecError(f"min_spikes of a burst is {self.min_spikes}; one spike has no interval, so at least 2")
        if not (np.isfinite(self.end_isi_ms) and self.end_isi_ms >= self.max_isi_ms):
            raise SpecError(
                f"max_end_isi_ms of a burst is {self.end_isi_ms}; it must be at least max_isi_ms, {self.max_isi_ms}"
            )
        for name in ("min_gap_ms", "min_duration_ms"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise SpecError(f"{name} of a burst is {value}; it must be at least 0")

    @property
    def end_isi_ms(self) -> float:
        """The longest interval within a burst."""
        return self.max_isi_ms if self.max_end_isi_ms is None else self.max_end_isi_ms

    @property
    def text(self) -> str:
        """The criterion in words."""
        parts = [f"at least {self.min_spikes} spikes of one neuron in one sample"]
        if self.end_isi_ms == self.max_isi_ms:
            parts.append(f"intervals of at most {self.max_isi_ms:g} ms")
        else:
            parts.append(
                f"a first interval of at most {self.max_isi_ms:g} ms and others of at most {self.end_isi_ms:g} ms"
            )
        if self.min_duration_ms:
            parts.append(f"lasting at least {self.min_duration_ms:g} ms")
        if self.min_gap_ms:
            parts.append(f"joined where less than {self.min_gap_ms:g} ms apart")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Bursts:
    """Bursts of a population, ordered by train and time.

    Attributes:
        spikes: all spikes of the population, ordered by train.
        first, last: (B,) place of each burst's first and last spike in `spikes`.
    """

    spikes: OrderedSpikes
    first: IntArray
    last: IntArray

    @property
    def n_spikes(self) -> IntArray:
        """(B,) spikes of each burst."""
        return self.last - self.first + 1

    @property
    def train(self) -> IntArray:
        """(B,) the train each burst is in."""
        return self.spikes.train[self.first]

    @property
    def contains(self) -> BoolArray:
        """(E,) whether each of the ordered spikes lies in a burst."""
        change = np.zeros(self.spikes.step.size + 1, dtype=np.int64)
        change[self.first] += 1
        np.subtract.at(change, self.last + 1, 1)
        return np.asarray(np.cumsum(change)[:-1] > 0)


def find_bursts(trains: SpikeTrains, criterion: BurstCriterion) -> Bursts:
    """All bursts of a population; none reaches from one sample into another."""
    spikes = order_by_train(trains)
    n_spikes = spikes.step.size
    if n_spikes == 0:
        return Bursts(spikes, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    # In whole steps: a difference of floating point times could miss a threshold by its last bit.
    begin, end = (int(timestep(ms, trains.step_ms)) for ms in (criterion.max_isi_ms, criterion.end_isi_ms))
    interval, same = np.diff(spikes.step), np.diff(spikes.train) == 0
    joined = same & (interval <= end)
    run = np.concatenate([[0], np.cumsum(~joined)])
    # A burst is the rest of its run from the first interval that is short enough to begin one.
    opens = np.flatnonzero(joined & (interval <= begin))
    runs, where = np.unique(run[opens], return_index=True)
    first = opens[where]
    last = np.searchsorted(run, runs, side="right") - 1
    first, last = _merge(spikes, first, last, trains.step_ms, criterion.min_gap_ms)
    duration = spikes.step[last] - spikes.step[first]
    long_enough = duration >= _at_least(criterion.min_duration_ms, trains.step_ms)
    kept = (last - first + 1 >= criterion.min_spikes) & long_enough
    return Bursts(spikes, first[kept], last[kept])


def in_burst(trains: SpikeTrains, criterion: BurstCriterion) -> BoolArray:
    """(E,) whether each spike lies in a burst, in the order of `order_by_train`."""
    return find_bursts(trains, criterion).contains


def _at_least(time_ms: float, step_ms: float) -> int:
    """The fewest steps that are no shorter than a time."""
    return int(np.ceil(time_ms / step_ms - 1e-3))  # with the tolerance of `timestep`


def _merge(
    spikes: OrderedSpikes, first: IntArray, last: IntArray, step_ms: float, min_gap_ms: float
) -> tuple[IntArray, IntArray]:
    gap = spikes.step[first[1:]] - spikes.step[last[:-1]]
    apart = (spikes.train[first[1:]] != spikes.train[last[:-1]]) | (gap >= _at_least(min_gap_ms, step_ms))
    return first[np.concatenate([[True], apart])[: first.size]], last[np.concatenate([apart, [True]])[: last.size]]
