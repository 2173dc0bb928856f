"""Bursts: runs of spikes with short intervals.

The criterion is our own stated definition: the maximum-interval method, as NeuroExplorer and Eglen's sjemea have it,
with one threshold for the beginning and the end of a burst, and without merging bursts or asking for a minimum length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import BoolArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.bridge.timing import timestep
from spikebridge.validation.trains import order_by_train


@dataclass(frozen=True, slots=True)
class BurstCriterion:
    """A burst is a run of at least `min_spikes` spikes of one train whose intervals are at most `max_isi_ms`.

    Intervals are measured on the recording's own grid, so that on a coarse one they are whole steps.
    """

    max_isi_ms: float = 20.0
    min_spikes: int = 3

    def __post_init__(self) -> None:
        if not (np.isfinite(self.max_isi_ms) and self.max_isi_ms > 0):
            raise SpecError(f"max_isi_ms of a burst is {self.max_isi_ms}; it must be above 0")
        if self.min_spikes < 2:
            raise SpecError(f"min_spikes of a burst is {self.min_spikes}; one spike has no interval, so at least 2")


def in_burst(trains: SpikeTrains, criterion: BurstCriterion) -> BoolArray:
    """(E,) whether each spike lies in a burst, in the order of `order_by_train`."""
    spikes = order_by_train(trains)
    if spikes.step.size == 0:
        return np.empty(0, dtype=np.bool_)
    # In whole steps: a difference of floating point times could miss the threshold by its last bit.
    max_steps = int(timestep(criterion.max_isi_ms, trains.step_ms))
    joined = (np.diff(spikes.step) <= max_steps) & (np.diff(spikes.train) == 0)
    run = np.concatenate([[0], np.cumsum(~joined)])
    return np.asarray(np.bincount(run)[run] >= criterion.min_spikes)
