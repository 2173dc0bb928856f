"""SpikingJelly's neurons, with delays by DCLS and without; what goes in and comes out is in `peer_models`."""

from __future__ import annotations

from itertools import pairwise

import torch
from peer_shape import STEP_MS, TAU_MEMBRANE_MS, Shape
from torch import Tensor, nn
from torch.nn import functional

NARROWEST_STEPS = 0.23
"""Standard deviation of delay kernels from the end of their narrowing on."""


class DclsSpikingJelly(nn.Module):
    """The published set-up of trained delays (Hammouamri et al. 2024): Dcls1d, batch normalisation, LIF, dropout.

    Delays are causal: the published one pads 12 more steps on the right in every layer, which costs it an eighth.
    """

    def __init__(self, shape: Shape, dropout: float = 0.4) -> None:
        super().__init__()
        from DCLS.construct.modules import Dcls1d
        from spikingjelly.activation_based import layer, neuron, surrogate

        def lif(threshold: float) -> nn.Module:
            return neuron.LIFNode(  # type: ignore[no-any-return]
                tau=TAU_MEMBRANE_MS / STEP_MS,
                v_threshold=threshold,
                surrogate_function=surrogate.ATan(alpha=5.0),
                detach_reset=True,
                step_mode="m",
                decay_input=False,
                store_v_seq=True,
            )

        length = max(shape.delay_steps, 1)
        pairs = list(pairwise(shape.sizes))
        self.length = length
        self.projections = nn.ModuleList(
            Dcls1d(n, m, kernel_count=1, dilated_kernel_size=length, bias=False, version="gauss") for n, m in pairs
        )
        self.norms = nn.ModuleList(layer.BatchNorm1d(m, step_mode="m") for _, m in pairs[:-1])
        self.neurons = nn.ModuleList([*(lif(1.0) for _ in pairs[:-1]), lif(1e9)])
        self.dropouts = nn.ModuleList(layer.Dropout(dropout, step_mode="m") for _ in pairs[:-1])
        for projection in self.projections:
            nn.init.kaiming_uniform_(projection.weight, nonlinearity="relu")
            nn.init.uniform_(projection.P, -(length // 2), length // 2)
            projection.SIG.requires_grad = False
        self.set_sigma(length / 2)
        self.clamp_()

    def set_sigma(self, steps: float) -> None:
        for projection in self.projections:
            nn.init.constant_(projection.SIG, steps)

    @property
    def sigma_steps(self) -> float:
        """Standard deviation of the delay kernels."""
        return float(self.projections[0].SIG.flatten()[0])

    def narrow(self, share: float) -> None:
        """Kernels after a share of their narrowing, from half the delays to 0.23 steps, geometrically as published."""
        start = self.length / 2
        self.set_sigma(start * (NARROWEST_STEPS / start) ** min(share, 1.0))

    def set_dropout(self, share: float) -> None:
        for dropout in self.dropouts:
            dropout.p = share

    @torch.no_grad()
    def clamp_(self) -> None:
        for projection in self.projections:
            projection.clamp_parameters()

    @torch.no_grad()
    def round_delays_(self) -> None:
        for projection in self.projections:
            projection.P.round_()

    def forward(self, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        from spikingjelly.activation_based.functional import reset_net

        reset_net(self)
        x, spikes = counts.transpose(0, 1), []
        for projection, norm, neuron, dropout in zip(
            self.projections, self.norms, self.neurons, self.dropouts, strict=False
        ):
            arrivals = self._delayed(projection, x)
            fired = neuron(norm(arrivals.unsqueeze(3)).squeeze(3))
            spikes.append(fired.transpose(0, 1))
            x = dropout(fired)
        self.neurons[-1](self._delayed(self.projections[-1], x))
        return self.neurons[-1].v_seq.transpose(0, 1), spikes

    def _delayed(self, projection: nn.Module, x: Tensor) -> Tensor:
        padded = functional.pad(x.permute(1, 2, 0), (self.length - 1, 0))
        return projection(padded).permute(2, 0, 1)  # type: ignore[no-any-return]


class SpikingJelly(nn.Module):
    """Multi-step parametric LIF neurons between matrix products, with batch normalisation, without delays."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        from spikingjelly.activation_based import layer, neuron, surrogate

        pairs = list(pairwise(shape.sizes))

        def lif(threshold: float) -> nn.Module:
            return neuron.ParametricLIFNode(  # type: ignore[no-any-return]
                init_tau=TAU_MEMBRANE_MS / STEP_MS,
                v_threshold=threshold,
                surrogate_function=surrogate.ATan(),
                detach_reset=True,
                step_mode="m",
                decay_input=False,
                store_v_seq=threshold > 1,
            )

        self.projections = nn.ModuleList(layer.Linear(n, m, bias=False, step_mode="m") for n, m in pairs)
        self.norms = nn.ModuleList(layer.BatchNorm1d(m, step_mode="m") for _, m in pairs[:-1])
        self.neurons = nn.ModuleList([*(lif(1.0) for _ in pairs[:-1]), lif(1e9)])

    def forward(self, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        from spikingjelly.activation_based.functional import reset_net

        reset_net(self)
        x, spikes = counts.transpose(0, 1), []
        for projection, norm, neuron in zip(self.projections, self.norms, self.neurons, strict=False):
            x = neuron(norm(projection(x).unsqueeze(3)).squeeze(3))
            spikes.append(x.transpose(0, 1))
        self.neurons[-1](self.projections[-1](x))
        return self.neurons[-1].v_seq.transpose(0, 1), spikes
