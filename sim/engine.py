"""What simulates: given the input spikes of some samples, it returns what the network did with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.spikes import SpikeTrains

type OnProgress = Callable[[float], None]
"""Called with the share of the samples that are done, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """Spikes by population, scores (S, C) and readout traces (S, T, C) of the same samples; traces may be dropped."""

    spikes: dict[str, SpikeTrains]
    scores: FloatArray
    readout: FloatArray | None

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The samples of all parts, at least one, in order."""
        traces = [part.readout for part in parts if part.readout is not None]
        return cls(
            {name: SpikeTrains.joined([part.spikes[name] for part in parts]) for name in parts[0].spikes},
            np.concatenate([part.scores for part in parts]),
            np.concatenate(traces) if len(traces) == len(parts) else None,
        )


class Engine(ABC):
    """Simulates samples of one network at one step, any number of times."""

    @abstractmethod
    def run(
        self, inputs: Mapping[str, SpikeTrains], on_progress: OnProgress, numbers: IntArray | None = None
    ) -> Simulated:
        """Simulate some samples, at least one, each from the initial state.

        Args:
            inputs: one entry per input of the network, on its grid.
            on_progress: told how far it is.
            numbers: (S,) number of every sample among the trials, on which the random numbers of a disturbance depend;
                0, 1, ... if not given.

        Raises:
            SpecError: the result is not finite.
            WorkerError: a process that simulates was lost; the same call may succeed if repeated.
        """

    @abstractmethod
    def close(self) -> None:
        """End what was started; the engine is not used again."""
