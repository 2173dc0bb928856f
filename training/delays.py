"""A projection with a trainable weight and a trainable delay per synapse: dilated convolution with learnable spacings.

During training the delay d of a synapse is spread over whole steps j by a normalised Gaussian of width sigma, which is
narrowed as training goes on (Khalfaoui-Hassani, Pellegrini & Masquelier 2023, DCLS; Hammouamri, Khalfaoui-Hassani &
Masquelier 2024, its use for delays). With the constants of the DCLS package:

    K_j = W g_j / (sum_k g_k + 1e-7),    g_j = exp(-((j - d) / (|sigma| + 0.27))^2 / 2)

At the end, and whenever the network is evaluated, the delay is a whole step.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikebridge.training.event_lists import count_events
from spikebridge.training.event_projection import event_projection, kernel_projection, narrow_projection
from spikebridge.training.exponential import LEAST_EXPONENT
from spikebridge.training.gpu_kernels import fetching_pays, kernels_for, projection_on_card
from spikebridge.training.spike_rows import rows_projection
from spikebridge.training.timegrid import TimeGrid

SIGMA_OFFSET = 0.27
SIGMA_END_STEPS = 0.23

# Taps of a kernel reach this many standard deviations from the delay; beyond, g is below e^-8.
REACH = 4.0

# With more spikes per neuron and step than this a dense convolution is faster than events: measured.
MOST_DENSITY = 0.7

# In about so many samples of a batch events are counted.
SAMPLES_COUNTED = 8

# Kernels of so few delays, or of a quarter of them, are computed at these alone; wider ones at every delay.
NARROW_TAPS = 10


def delay_kernel(weight: Tensor, delay_steps: Tensor, sigma_steps: float, length: int) -> Tensor:
    """Kernel (targets, sources, length) over delays 0 .. length - 1, from weights and delays (targets, sources)."""
    steps = torch.arange(length, dtype=weight.dtype, device=weight.device)
    return _weighted(weight, steps - delay_steps[..., None], sigma_steps)


def narrow_kernel(weight: Tensor, delay_steps: Tensor, sigma_steps: float, length: int) -> tuple[Tensor, Tensor]:
    """`delay_kernel` where it is not negligible, for a GPU; `narrow_lanes` has the same taps.

    Returns:
        Values (targets, sources, taps), and the delay of the first tap, (targets, sources) int32; taps lie in
        0 .. length - 1.
    """
    taps = taps_of(sigma_steps, length)
    reach = _reach(sigma_steps)
    lag = (torch.floor(delay_steps.detach()) - reach + 1).clamp(0, length - taps).to(torch.int32)
    steps = lag[..., None] + torch.arange(taps, device=weight.device)
    return _weighted(weight, steps - delay_steps[..., None], sigma_steps), lag


def taps_of(sigma_steps: float, length: int) -> int:
    """Delays at which a kernel of this width is not negligible, of `length`."""
    return min(2 * _reach(sigma_steps), length)


def _reach(sigma_steps: float) -> int:
    return math.ceil(REACH * (abs(sigma_steps) + SIGMA_OFFSET))


def _weighted(weight: Tensor, distance: Tensor, sigma_steps: float) -> Tensor:
    exponent = -0.5 * (distance / (abs(sigma_steps) + SIGMA_OFFSET)) ** 2
    bump = torch.exp(exponent.masked_fill(exponent < LEAST_EXPONENT, -torch.inf))
    return weight[..., None] * bump / (bump.sum(dim=-1, keepdim=True) + 1e-7)


class DelayedProjection(nn.Module):
    """Arrivals at `targets` neurons from the spikes of `sources`.

    Attributes:
        weight, delay_ms: (targets, sources); delays lie in 0 .. `max_delay_ms`.
        sigma_ms: width of the delay kernel while training, set by the schedule, and at least 0.23 steps.
        fused: whether kernels are driven by events, or on a GPU fetched tap by tap, where that is less work.

    With `max_delay_ms` of 0 there are no delays to train and this is a matrix product.
    """

    def __init__(
        self, sources: int, targets: int, max_delay_ms: float, generator: torch.Generator, *, fused: bool = False
    ) -> None:
        super().__init__()
        self.max_delay_ms = max_delay_ms
        self.sigma_ms = max_delay_ms / 2
        self.fused = fused
        bound = (3.0 / sources) ** 0.5
        self.weight = nn.Parameter((2 * torch.rand(targets, sources, generator=generator) - 1) * bound)
        delays = torch.rand(targets, sources, generator=generator) * max_delay_ms
        self.delay_ms = nn.Parameter(delays, requires_grad=max_delay_ms > 0)

    def forward(self, spikes: Tensor, grid: TimeGrid, kept: Tensor | None = None) -> Tensor:
        """Arrivals (batch, steps, targets) from spikes (batch, steps, sources) on a grid.

        `kept`, (batch, sources), multiplies the spikes.
        """
        longest = grid.longest_steps(self.max_delay_ms, self.delay_ms.dtype)
        kernels = kernels_for(spikes, fused=self.fused)
        by_events = kernels == "loops" and (self.max_delay_ms == 0 or not self.training or _events_pay(spikes))
        if not by_events and kept is not None:
            spikes = spikes * kept[:, None]
        if self.max_delay_ms == 0:
            arrivals = (
                rows_projection(spikes, self.weight, kept) if by_events else functional.linear(spikes, self.weight)
            )
            return later(arrivals, longest)
        length = longest + 1
        if self.training:
            sigma_steps = max(self.sigma_ms / grid.step_ms, SIGMA_END_STEPS)
            if by_events:
                width_steps, taps = sigma_steps + SIGMA_OFFSET, taps_of(sigma_steps, length)
                synapses = self.weight, self.delay_ms, width_steps, length
                if taps <= max(NARROW_TAPS, length // 4):
                    return narrow_projection(spikes, *synapses, taps, kept, grid.unit)
                return kernel_projection(spikes, *synapses, kept, grid.unit)
            delay_steps = grid.fractional_steps(self.delay_ms)
            if kernels == "card" and fetching_pays(taps_of(sigma_steps, length), length):
                return projection_on_card(spikes, *narrow_kernel(self.weight, delay_steps, sigma_steps, length))
            return _convolved(spikes, delay_kernel(self.weight, delay_steps, sigma_steps, length))
        whole = grid.whole_steps(self.delay_ms)
        if by_events:
            return event_projection(spikes, self.weight[..., None], whole.to(torch.int32), kept)
        if kernels == "card" and fetching_pays(1, length):
            return projection_on_card(spikes, self.weight[..., None], whole.to(torch.int32))
        there = whole[..., None] == torch.arange(length, device=whole.device)
        return _convolved(spikes, self.weight[..., None] * there.to(self.weight.dtype))

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep delays within bounds; called after every optimiser step."""
        self.delay_ms.clamp_(0.0, self.max_delay_ms)


def later(arrivals: Tensor, steps: int) -> Tensor:
    """Arrivals (batch, steps, targets) moved by whole steps; what passes the end is lost."""
    if steps == 0:
        return arrivals
    return functional.pad(arrivals[:, : max(arrivals.shape[1] - steps, 0)], (0, 0, min(steps, arrivals.shape[1]), 0))


def _events_pay(spikes: Tensor) -> bool:
    """Whether the work per event is less than that of a dense convolution, by some samples: see `MOST_DENSITY`."""
    dense = spikes.detach().contiguous().numpy()
    every = max(len(dense) // SAMPLES_COUNTED, 1)
    return count_events(dense, every) <= MOST_DENSITY * len(range(0, len(dense), every)) * math.prod(dense.shape[1:])


def _convolved(spikes: Tensor, kernel: Tensor) -> Tensor:
    """Arrivals by a dense convolution; `kernel` (targets, sources, delays)."""
    # A convolution layer correlates: the earliest step of the window is the longest delay.
    padded = functional.pad(spikes.transpose(1, 2), (kernel.shape[-1] - 1, 0))
    return functional.conv1d(padded, kernel.flip(-1)).transpose(1, 2)
