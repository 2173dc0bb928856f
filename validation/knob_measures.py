"""What is kept of the simulation of one condition: decisions, and what every statistic saw, without the spikes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self, final

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.recording import Recording, Trials
from spikebridge.bridge.spec import NetworkSpec
from spikebridge.bridge.spikes import SpikeTrains
from spikebridge.validation.accuracy import Proportion, accuracy, wilson_interval
from spikebridge.validation.observations import Definition, Observations, Statistic
from spikebridge.validation.statistics import standard_statistics
from spikebridge.validation.stats_cost import OPERATIONS, SPIKES, spikes_per_sample, synaptic_operations
from spikebridge.validation.stats_decision import LATENCY, decision_latencies_ms

GROUPS = ("all", "seen", "unseen", "held_out")
"""Of samples, as in `spikebridge.validation.accuracy.Accuracy`."""

NETWORK_DEFINITIONS: tuple[Definition, ...] = (LATENCY, SPIKES, OPERATIONS)


def knob_statistics() -> tuple[Statistic, ...]:
    """Those of the report without their controls, which take as long as all others together."""
    return tuple(each for each in standard_statistics() if not each.key.endswith("_shuffled"))


@dataclass(frozen=True, slots=True)
class Summary:
    """What a statistic saw in one simulation.

    Attributes:
        value: mean of what is defined, None if nothing is.
        n_defined, n_total: neurons, trains, ... with a value, and all.
        undefined: why the others have none, and how many.
    """

    value: float | None
    n_defined: int
    n_total: int
    undefined: Mapping[str, int]

    @classmethod
    def of(cls, observed: Observations) -> Self:
        """The summary of what was observed."""
        return cls(observed.mean, observed.n_defined, observed.n_total, dict(observed.undefined))


@dataclass(frozen=True, slots=True)
class Measured:
    """One simulation of all samples.

    Attributes:
        decisions: (S,) the class that each sample was assigned to.
        correct: by group of samples, where there are any: how often that was right, and the number of samples.
        populations: by population and key of the statistic.
        network: by key of the statistic, of the whole network per sample.
        realised: what the change of the network came to, see `spikebridge.bridge.perturb`.
    """

    decisions: tuple[int, ...]
    correct: Mapping[str, tuple[int, int]]
    populations: Mapping[str, Mapping[str, Summary]]
    network: Mapping[str, Summary]
    realised: Mapping[str, float]

    @property
    def accuracy(self) -> Proportion | None:
        """Of all samples."""
        if "all" not in self.correct:
            return None
        hits, samples = self.correct["all"]
        return Proportion(hits, samples, *wilson_interval(hits, samples))

    def summary(self, population: str | None, key: str) -> Summary:
        """Of one statistic; of the whole network for `population` None."""
        return self.network[key] if population is None else self.populations[population][key]

    def to_json(self) -> dict[str, Any]:
        """For a file; `from_json` reads it."""
        return {**asdict(self), "decisions": " ".join(map(str, self.decisions))}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            tuple(int(decision) for decision in values["decisions"].split()),
            {group: (hits, samples) for group, (hits, samples) in values["correct"].items()},
            {name: _summaries(seen) for name, seen in values["populations"].items()},
            _summaries(values["network"]),
            dict(values["realised"]),
        )


@final
class Gathering:
    """The parts of one simulation until all are there; potentials of the readout are used and dropped at once.

    Args:
        network: what ran; its readout decides.
        trials: all samples, in order.
        inputs: their spikes by name of the input, on the grid.
    """

    def __init__(self, network: NetworkSpec, trials: Trials, inputs: Mapping[str, SpikeTrains]) -> None:
        self._network, self._trials, self._inputs = network, trials, inputs
        self._parts: dict[int, tuple[Recording, Observations]] = {}
        self._left = trials.n_samples

    def add(self, samples: IntArray, part: Recording) -> bool:
        """Take a part, neighbouring samples in order; returns whether it was the last one missing."""
        latencies = decision_latencies_ms(part, self._network)
        self._parts[int(samples[0])] = replace(part, readout=None), latencies
        self._left -= samples.size
        return self._left == 0

    def measured(self, realised: Mapping[str, float]) -> Measured:
        """Every statistic, of all samples together."""
        parts = [self._parts[first] for first in sorted(self._parts)]
        recordings = [recording for recording, _ in parts]
        whole = replace(
            recordings[0],
            trials=self._trials,
            spikes={
                name: SpikeTrains.joined([recording.spikes[name] for recording in recordings])
                for name in recordings[0].spikes
            },
            scores=np.concatenate([recording.scores for recording in recordings]),
        )
        found = accuracy(whole)
        groups = {group: getattr(found, group) for group in GROUPS}
        return Measured(
            decisions=tuple(whole.decisions.tolist()),
            correct={group: (share.hits, share.samples) for group, share in groups.items() if share is not None},
            populations={
                name: {each.key: Summary.of(each.observe(trains, self._trials.labels)) for each in knob_statistics()}
                for name, trains in whole.spikes.items()
            },
            network={
                LATENCY.key: Summary.of(_joined([latencies for _, latencies in parts])),
                SPIKES.key: Summary.of(spikes_per_sample(whole)),
                OPERATIONS.key: Summary.of(synaptic_operations(whole, self._network, self._inputs)),
            },
            realised=dict(realised),
        )


def _joined(observed: list[Observations]) -> Observations:
    undefined: dict[str, int] = {}
    for each in observed:
        for reason, count in each.undefined.items():
            undefined[reason] = undefined.get(reason, 0) + count
    values = np.concatenate([each.values for each in observed])
    return Observations(values, sum(each.n_total for each in observed), undefined)


def _summaries(values: Mapping[str, Any]) -> dict[str, Summary]:
    return {key: Summary(**summary) for key, summary in values.items()}
