"""Where each sample runs: side by side in lanes, one after another in rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.discretise import GridNetwork
from spikebridge.bridge.errors import SpecError

MIB = 2**20
MAX_STEPS = 2**31 - 1
"""Brian2's spike generators count steps in int32."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Sample s runs in lane s % lanes and round s // lanes, all on one clock.

    Attributes:
        lanes: copies of the network side by side.
        rounds: samples each lane runs one after another.
        active_steps: steps of a sample.
        gap_steps: steps after each sample in which no neuron fires and spikes still in flight arrive, enough for the
            last delay, pulse and refractory period to end; the state is set to 0 after it.
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
        """The sample that each lane runs in each step."""
        return step // self.period_steps * self.lanes + lane


def gap_steps(network: GridNetwork) -> int:
    """How long what a sample started can last: a spike of its last step arrives, its pulse ends, and one step more."""
    tail = max(max(grid.pulse_steps, grid.refractory_steps) for grid in network.populations)
    return network.max_delay_steps + tail + 1


def plan_layout(network: GridNetwork, samples: int, lanes: int) -> Layout:
    """The layout of `samples` samples, at least one, in at most `lanes` lanes."""
    lanes = min(lanes, samples)
    return Layout(lanes, -(-samples // lanes), network.n_steps, gap_steps(network))


def batches(
    network: GridNetwork, samples: int, lanes: int, limit_mib: int, *, one_round: bool = False
) -> list[IntArray]:
    """The samples of each Network, so that the readout traces of one stay within the limit, but at least one per lane.

    Args:
        network: the network on its grid.
        samples: how many there are.
        lanes: copies of the network side by side.
        limit_mib: of the readout traces.
        one_round: never more than one per lane.

    Raises:
        SpecError: there are no samples, or one is too long for Brian2.
    """
    if samples < 1:
        raise SpecError("there are no samples to simulate")
    period = network.n_steps + gap_steps(network)
    if period > MAX_STEPS:
        raise SpecError(f"a sample of {period} steps is too long; Brian2 counts to {MAX_STEPS}: use a coarser step")
    per_sample = 8 * period * network.spec.sizes[network.spec.readout.population]
    rounds = 1 if one_round else min(limit_mib * MIB // (per_sample * lanes), MAX_STEPS // period)
    size = max(rounds, 1) * lanes
    return np.split(np.arange(samples, dtype=np.int64), range(size, samples, size))
