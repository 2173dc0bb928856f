"""Where each sample runs: side by side in lanes, one after another in rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.discretise import GridNetwork


@dataclass(frozen=True, slots=True)
class Layout:
    """Sample s runs in lane s % lanes and round s // lanes; all on one clock.

    Attributes:
        lanes: copies of the network side by side.
        rounds: samples each lane runs one after another.
        active_steps: steps of a sample.
        gap_steps: silent steps after each sample, in which spikes still in flight arrive and no neuron may fire, long
            enough for the last delay, pulse and refractory period to end. The state is set to 0 after the gap.
    """

    lanes: int
    rounds: int
    active_steps: int
    gap_steps: int

    @property
    def period_steps(self) -> int:
        """Steps from the start of one sample to the start of the next in its lane."""
        return self.active_steps + self.gap_steps

    @property
    def total_steps(self) -> int:
        """Steps of the whole simulation; nothing follows the last sample, so it needs no gap."""
        return self.rounds * self.period_steps - self.gap_steps

    def lane(self, sample: IntArray) -> IntArray:
        """The lane of each sample."""
        return sample % self.lanes

    def start_step(self, sample: IntArray) -> IntArray:
        """The step in which each sample starts."""
        return sample // self.lanes * self.period_steps

    def sample(self, lane: IntArray, step: IntArray) -> IntArray:
        """The sample that a lane is running in a step of its active part."""
        return step // self.period_steps * self.lanes + lane


def plan_layout(network: GridNetwork, samples: int, lanes: int) -> Layout:
    """The layout of `samples` samples in at most `lanes` lanes."""
    lanes = min(lanes, samples)
    tail = max((max(grid.pulse_steps, grid.refractory_steps) for grid in network.populations), default=0)
    return Layout(
        lanes=lanes,
        rounds=-(-samples // lanes),
        active_steps=network.n_steps,
        # A spike of the last active step is delivered max_delay_steps later and its pulse ends pulse_steps after that;
        # one step more so that the last effect is over before the state is set to 0.
        gap_steps=network.max_delay_steps + tail + 1,
    )


def batches(network: GridNetwork, samples: int, classes: int, lanes: int, limit_mib: int) -> list[IntArray]:
    """Samples of each Network, so that the readout traces of one stay within the limit (but at least one per lane)."""
    per_sample = 8 * network.n_steps * classes
    size = max(limit_mib * 2**20 // per_sample, 1)
    size = max(size // lanes * lanes, min(lanes, samples))
    return np.split(np.arange(samples), range(size, samples, size))
