"""The grid that one batch runs on. The network itself has no step: its parameters are times."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikebridge.bridge.timing import aligned_delay_to_steps, delay_to_steps


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """A time step, and what it means for delays.

    Attributes:
        step_ms: length of a step.
        latency_ms: what the coarsest training grid adds to every delay by itself; 0 where delays are not aligned.
    """

    step_ms: float
    latency_ms: float

    def fractional_steps(self, delay_ms: Tensor) -> Tensor:
        """Delays in steps, differentiable: what remains of delay and latency after the grid's own half step."""
        if self.latency_ms == 0:
            return delay_ms / self.step_ms
        return (delay_ms + self.latency_ms) / self.step_ms - 0.5

    def whole_steps(self, delay_ms: Tensor) -> Tensor:
        """Delays in whole steps (int64), as every executor of the export rounds them."""
        exact = delay_ms.detach().cpu().double().numpy()
        if self.latency_ms == 0:
            steps = delay_to_steps(exact, self.step_ms)
        else:
            steps = aligned_delay_to_steps(exact, self.latency_ms, self.step_ms)
        return torch.from_numpy(steps).to(delay_ms.device)
