"""The grid that one batch runs on, and its delays. The network itself has no step: its parameters are times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from spikebridge.bridge.timing import aligned_delay_to_steps


class Unit(NamedTuple):
    """What numbers are counted in: (number + plus) / size."""

    plus: float = 0.0
    size: float = 1.0


PLAIN = Unit()


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """A time step, and what it means for the delays of one projection.

    Attributes:
        step_ms: length of a step.
        reference_step_ms: the grid on which delays are what they are; see `spikebridge.bridge.timing.aligned_delay_ms`.
        latency_steps: what a grid adds to a delay by itself, in its own steps; 0 where delays are not aligned.
    """

    step_ms: float
    reference_step_ms: float
    latency_steps: float

    @property
    def unit(self) -> Unit:
        """Of delays in steps, fractions of one included."""
        return Unit(self.latency_steps * (self.reference_step_ms - self.step_ms), self.step_ms)

    def fractional_steps(self, delay_ms: Tensor) -> Tensor:
        """Delays in steps, differentiable."""
        return (delay_ms + self.unit.plus) / self.unit.size

    def whole_steps(self, delay_ms: Tensor) -> Tensor:
        """Delays in whole steps (int64), as every executor of the export rounds them."""
        exact = delay_ms.detach().cpu().double().numpy()
        steps = aligned_delay_to_steps(exact, self.latency_steps, self.reference_step_ms, self.step_ms)
        return torch.as_tensor(steps, device=delay_ms.device)

    def longest_steps(self, delay_ms: float, dtype: torch.dtype) -> int:
        """`whole_steps` of a delay that is as exact as those of a tensor, which it is a bound of."""
        return _longest_steps(self, delay_ms, dtype)


@lru_cache(maxsize=64)
def _longest_steps(grid: TimeGrid, delay_ms: float, dtype: torch.dtype) -> int:
    return int(grid.whole_steps(torch.tensor(delay_ms, dtype=dtype)))
