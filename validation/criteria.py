"""Parameters of the statistics that need one, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from spikebridge.bridge.errors import SpecError
from spikebridge.validation.bursts import BurstCriterion


@dataclass(frozen=True, slots=True)
class Criteria:
    """Parameters of the statistics that need one; every definition in a report states those in use.

    Attributes:
        hyperactive_hz: a neuron whose rate over all samples is above this is hyperactive.
        burst: what a burst is.
        window_ms: windows in which spikes are counted for the Fano factor over time and for correlations.
        bin_ms: bins of the population count whose Fano factor measures synchrony.
        refractoriness_ms: R of the revised local variation LvR.
        max_pair_neurons: correlations are those of at most so many neurons, chosen at random once for all.
    """

    hyperactive_hz: float = 50.0
    burst: BurstCriterion = field(default_factory=BurstCriterion)
    window_ms: float = 100.0
    bin_ms: float = 10.0
    refractoriness_ms: float = 5.0
    max_pair_neurons: int = 1000

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            low = 0.0 if each.name in ("hyperactive_hz", "refractoriness_ms") else np.nextafter(0.0, 1.0)
            if not isinstance(value, BurstCriterion) and not (np.isfinite(value) and value >= low):
                relation = "at least 0" if low == 0.0 else "above 0"
                raise SpecError(f"{each.name} of the statistics is {value}; it must be {relation} and finite")
        if self.max_pair_neurons < 2:
            raise SpecError(f"max_pair_neurons is {self.max_pair_neurons}; a pair needs 2 neurons")
