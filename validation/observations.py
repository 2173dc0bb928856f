"""What a statistic saw: values where it is defined, and how often and why it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from spikebridge.bridge.arrays import FloatArray, IntArray
from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import SpikeTrains


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """What a statistic saw in one population, or in a network.

    Attributes:
        values: (n_defined,) one finite value per neuron, train, spike, ... where it is defined; a yes or no is 1 or 0.
        n_total: number of neurons, trains, spikes, ..., defined or not.
        undefined: why the others have no value, and how many for each reason; empty where no reason was given.
    """

    values: FloatArray
    n_total: int
    undefined: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        reasons = {reason: int(count) for reason, count in self.undefined.items() if count}
        if values.ndim != 1 or not np.isfinite(values).all():
            raise SpecError("observations are a vector of finite values; leave out what is undefined and count it")
        missing = self.n_total - values.size
        if missing < 0 or (reasons and sum(reasons.values()) != missing):
            raise SpecError(f"{values.size} of {self.n_total} observations have a value, but reasons are {reasons}")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "undefined", MappingProxyType(reasons))

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


def nothing(n_total: int, reason: str) -> Observations:
    """A statistic that is undefined everywhere, for one reason."""
    return Observations(np.empty(0), n_total, {reason: n_total})


type Measure = Callable[[SpikeTrains, IntArray | None], Observations]
"""From the spikes of a population, and the class of each sample where it is known, to observations."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a statistic is.

    Attributes:
        key: name in files.
        title: name for readers.
        unit: `Hz`, `ms`, `share` (0 .. 1), or empty where dimensionless.
        over: what is observed, in the singular: `neuron`, `train` (one neuron in one sample), `spike`, ...
        definition: in a sentence, with the parameters in use.
        source: who defined it, and whose code computes it, in a sentence.
    """

    key: str
    title: str
    unit: str
    over: str
    definition: str
    source: str


@dataclass(frozen=True, slots=True)
class Statistic(Definition):
    """A statistic of the spikes of one population.

    Attributes:
        measure: see `Measure`; `observe` calls it.
    """

    measure: Measure

    def observe(self, trains: SpikeTrains, labels: IntArray | None = None) -> Observations:
        """Observe it.

        Args:
            trains: spikes of one population.
            labels: (S,) class of each sample, None where unknown: then what compares samples of one class is undefined.
        """
        return self.measure(trains, labels)
