"""A projection with a trainable weight and a trainable delay per synapse: dilated convolution with learnable spacings.

During training the delay d of a synapse is spread over whole steps j by a normalised Gaussian of width sigma, which is
narrowed as training goes on (Khalfaoui-Hassani, Pellegrini & Masquelier 2023, DCLS; Hammouamri, Khalfaoui-Hassani &
Masquelier 2024, its use for delays). With the constants of the DCLS package:

    K_j = W g_j / (sum_k g_k + 1e-7),    g_j = exp(-((j - d) / (|sigma| + 0.27))^2 / 2)

At the end, and whenever the network is evaluated, the delay is the nearest whole step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SIGMA_OFFSET = 0.27
SIGMA_END_STEPS = 0.23


def delay_kernel(weight: Tensor, delay_steps: Tensor, sigma_steps: float, length: int) -> Tensor:
    """Kernel (targets, sources, length) over delays 0 .. length - 1, from weights and delays (targets, sources)."""
    steps = torch.arange(length, dtype=weight.dtype, device=weight.device)
    bump = torch.exp(-0.5 * ((steps - delay_steps[..., None]) / (abs(sigma_steps) + SIGMA_OFFSET)) ** 2)
    return weight[..., None] * bump / (bump.sum(dim=-1, keepdim=True) + 1e-7)


def rounded_kernel(weight: Tensor, delay_steps: Tensor, length: int) -> Tensor:
    """The kernel with every delay at its nearest whole step, halves up."""
    return weight[..., None] * functional.one_hot(round_delays(delay_steps), length).to(weight.dtype)


def round_delays(delay_steps: Tensor) -> Tensor:
    """Whole steps (int64), halves up as `spikebridge.bridge.timing.delay_to_steps`."""
    return torch.floor(delay_steps.detach() + 0.5).to(torch.int64)


class DelayedProjection(nn.Module):
    """Arrivals at `targets` neurons from the spikes of `sources`.

    Attributes:
        weight, delay_steps: (targets, sources); delays lie in 0 .. `max_delay_steps`.
        sigma_steps: width of the kernel while training, set by the schedule.

    With `max_delay_steps` of 0 there are no delays to train and this is a matrix product.
    """

    def __init__(self, sources: int, targets: int, max_delay_steps: int, generator: torch.Generator) -> None:
        super().__init__()
        self.max_delay_steps = max_delay_steps
        self.sigma_steps = max(max_delay_steps / 2, SIGMA_END_STEPS)
        bound = (3.0 / sources) ** 0.5
        self.weight = nn.Parameter((2 * torch.rand(targets, sources, generator=generator) - 1) * bound)
        delays = torch.rand(targets, sources, generator=generator) * max_delay_steps
        self.delay_steps = nn.Parameter(delays, requires_grad=max_delay_steps > 0)

    def forward(self, spikes: Tensor) -> Tensor:
        """Arrivals (batch, steps, targets) from spikes (batch, steps, sources)."""
        if self.max_delay_steps == 0:
            return functional.linear(spikes, self.weight)
        length = self.max_delay_steps + 1
        if self.training:
            kernel = delay_kernel(self.weight, self.delay_steps, self.sigma_steps, length)
        else:
            kernel = rounded_kernel(self.weight, self.delay_steps, length)
        # A convolution layer correlates: the earliest step of the window is the longest delay.
        padded = functional.pad(spikes.transpose(1, 2), (length - 1, 0))
        return functional.conv1d(padded, kernel.flip(-1)).transpose(1, 2)

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep delays within bounds; called after every optimiser step."""
        self.delay_steps.clamp_(0.0, float(self.max_delay_steps))
