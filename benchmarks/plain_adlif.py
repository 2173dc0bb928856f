"""Adaptive LIF networks in plain PyTorch, from the equations of Bittar & Garner 2022, Front. Neurosci. 16:865897.

The authors' package, sparch, is not in the registry. This stands in for it: matrix products over all steps, a Python
loop over time, a boxcar surrogate, batch normalisation, parameters clipped to the published bounds. States start at 0.

    w[t] = beta w[t-1] + a u[t-1] + b s[t-1]
    u[t] = alpha (u[t-1] - s[t-1]) + (1 - alpha) (x[t] + V s[t-1] - w[t])        s[t] = u[t] >= 1
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

ALPHA = (math.exp(-1 / 5), math.exp(-1 / 25))
BETA = (math.exp(-1 / 30), math.exp(-1 / 120))
COUPLING = (-1.0, 1.0)
JUMP = (0.0, 2.0)


class _Boxcar(torch.autograd.Function):
    @staticmethod
    def forward(ctx, distance):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(distance)
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (distance,) = ctx.saved_tensors
        return grad * (distance.abs() <= 0.5)


class _Layer(nn.Module):
    def __init__(self, sources: int, size: int, *, recurrent: bool) -> None:
        super().__init__()
        self.projection = nn.Linear(sources, size, bias=False)
        self.norm = nn.BatchNorm1d(size, momentum=0.05)
        self.alpha, self.beta, self.a, self.b = (
            nn.Parameter(torch.empty(size).uniform_(*bounds)) for bounds in (ALPHA, BETA, COUPLING, JUMP)
        )
        self.recurrent = nn.Parameter(nn.init.orthogonal_(torch.empty(size, size))) if recurrent else None

    def forward(self, x: Tensor) -> Tensor:
        drive = self.norm(self.projection(x).flatten(0, 1)).unflatten(0, x.shape[:2])
        alpha, beta = self.alpha.clamp(*ALPHA), self.beta.clamp(*BETA)
        a, b = self.a.clamp(*COUPLING), self.b.clamp(*JUMP)
        u = w = s = torch.zeros_like(drive[:, 0])
        recurrent = None if self.recurrent is None else self.recurrent * (1 - torch.eye(len(self.recurrent)))
        spikes = []
        for now in drive.unbind(1):
            w = beta * w + a * u + b * s
            current = now - w if recurrent is None else now + s @ recurrent - w
            u = alpha * (u - s) + (1 - alpha) * current
            s = _Boxcar.apply(u - 1.0)
            spikes.append(s)
        return torch.stack(spikes, 1)


class PlainNetwork(nn.Module):
    """Hidden layers and a leaky readout; see `peer_models` for what goes in and comes out."""

    def __init__(self, sizes: tuple[int, ...], *, recurrent: bool) -> None:
        super().__init__()
        *hidden, classes = sizes
        self.layers = nn.ModuleList(_Layer(n, m, recurrent=recurrent) for n, m in pairwise(hidden))
        self.readout = nn.Linear(hidden[-1], classes, bias=False)
        self.norm = nn.BatchNorm1d(classes, momentum=0.05)
        self.alpha = nn.Parameter(torch.empty(classes).uniform_(*ALPHA))

    def forward(self, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, spikes = counts, []
        for layer in self.layers:
            x = layer(x)
            spikes.append(x)
        drive = self.norm(self.readout(x).flatten(0, 1)).unflatten(0, x.shape[:2])
        alpha = self.alpha.clamp(*ALPHA)
        u = torch.zeros_like(drive[:, 0])
        potentials = []
        for now in drive.unbind(1):
            u = alpha * u + (1 - alpha) * now
            potentials.append(u)
        return torch.stack(potentials, 1), spikes
