"""The networks of this package that `peers.py` measures: sizes, kernel widths and activity set at will."""

from __future__ import annotations

from typing import NamedTuple

import torch
from peer_shape import STEP_MS, Shape
from torch import Tensor, nn

from spikebridge.training.config import NetworkConfig, NeuronConfig, OptimiserConfig, TrainingConfig
from spikebridge.training.config_data import DataConfig
from spikebridge.training.delays import SIGMA_END_STEPS
from spikebridge.training.network import SpikingNetwork, scale_weights_to_data

RATE_HZ = 5.0
"""Of hidden neurons, where nothing else is said: `regulariser.high_hz` by default, the ceiling of a trained network."""

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2)
"""Where in a training the cost of wide kernels is measured; from `sigma_share` on they are narrow."""


class Ours(NamedTuple):
    """One variant of the trainer."""

    label: str
    recurrent: bool = True
    adaptation: bool = True
    delays: bool = True


OURS = {
    "ours": Ours("recurrent adLIF with delays"),
    "ours_lif": Ours("LIF with delays, not recurrent", recurrent=False, adaptation=False),
    "ours_adlif": Ours("adLIF with delays, not recurrent", recurrent=False),
    "ours_no_delays": Ours("recurrent adLIF without delays", delays=False),
    "ours_lif_no_delays": Ours("LIF without delays, not recurrent", recurrent=False, adaptation=False, delays=False),
}


class OurNetwork(nn.Module):
    """A `SpikingNetwork` with what goes in and comes out as in `peer_models`, like DCLS with delays to the readout."""

    def __init__(
        self,
        variant: Ours,
        shape: Shape,
        counts: Tensor,
        *,
        rate_hz: float = RATE_HZ,
        done: float = 1.0,
        rate_samples: int = 16,
    ) -> None:
        """Kernels are as wide as at a share `done` of a training; the rate is set on the first `rate_samples`."""
        super().__init__()
        channels, *hidden, classes = shape.sizes
        self.config = TrainingConfig(
            threads=torch.get_num_threads(),
            data=DataConfig(channels=channels, duration_ms=counts.shape[1] * STEP_MS, step_ms=STEP_MS),
            network=NetworkConfig(
                hidden=tuple(hidden),
                recurrent=variant.recurrent,
                max_delay_ms=shape.delay_steps * STEP_MS if variant.delays else 0.0,
                readout_delays=True,
                batch_norm=True,
            ),
            neuron=NeuronConfig(adaptation=variant.adaptation),
        )
        self.network = SpikingNetwork(self.config, classes, seed=0)
        scale_weights_to_data(self.network, counts)
        self.network.set_progress(done)
        self.set_rate(counts[:rate_samples], rate_hz)

    @property
    def sigma_steps(self) -> float | None:
        """Width of the delay kernels; None without delays."""
        if self.network.layers[0].projection.max_delay_ms == 0:
            return None
        return max(self.network.layers[0].projection.sigma_ms / STEP_MS, SIGMA_END_STEPS)

    @torch.no_grad()
    def set_rate(self, counts: Tensor, rate_hz: float, rounds: int = 12) -> None:
        """Give the neurons of each layer the constant current with which they fire at a mean of `rate_hz`."""
        for number, layer in enumerate(self.network.layers[:-1]):
            assert layer.norm is not None
            low, high = -8.0, 40.0
            for _ in range(rounds):
                layer.norm.beta.fill_((low + high) / 2)
                with torch.random.fork_rng(devices=[]):  # dropout, the same in every round and every process
                    torch.manual_seed(0)
                    spikes = self.network(counts).spikes[number]
                fires = spikes.mean().item() * 1000.0 / STEP_MS
                low, high = (low, (low + high) / 2) if fires > rate_hz else ((low + high) / 2, high)

    def forward(self, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        activity = self.network(counts)
        return activity.potentials, activity.spikes


def over_a_training(narrow: float, wide: dict[float, float]) -> float:
    """The mean over a training of what was measured at some shares of it, by trapezoids; `narrow` from the end of the
    narrowing on."""
    end = OptimiserConfig().sigma_share
    shares = [*sorted(wide), end]
    values = [*(wide[share] for share in sorted(wide)), narrow]
    area = sum(
        (b - a) * (x + y) / 2 for a, b, x, y in zip(shares[:-1], shares[1:], values[:-1], values[1:], strict=True)
    )
    return area + (1 - end) * narrow
