"""What is minimised: cross-entropy of the decoded readout, and a two-sided penalty on firing rates in Hz."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spikebridge.bridge.decoding import Decoding
from spikebridge.training.config import RegulariserConfig


def decode_tensor(potentials: Tensor, rule: Decoding, weight: float = 1.0) -> Tensor:
    """Scores (batch, classes) from potentials (batch, steps, classes): `spikebridge.bridge.decode`, differentiable.

    A sum over steps is multiplied by `weight`, the length of a step in training steps.
    """
    match rule:
        case Decoding.SOFTMAX_SUM:
            return potentials.softmax(dim=-1).sum(dim=1) * weight
        case Decoding.MEAN:
            return potentials.mean(dim=1)
        case Decoding.MAX:
            return potentials.amax(dim=1)
        case Decoding.LAST:
            return potentials[:, -1]


def rates_hz(spikes: Tensor, step_ms: float) -> Tensor:
    """Mean rate of each neuron over the batch, (neurons,), from spikes (batch, steps, neurons)."""
    return spikes.mean(dim=(0, 1)) * (1000.0 / step_ms)


def rate_penalty(spikes: list[Tensor], step_ms: float, config: RegulariserConfig) -> Tensor:
    """Two-sided penalty, summed over layers, mean over neurons.

    low_strength * mean(max(0, 1 - r / low_hz)^2) + high_strength * mean(max(0, r / high_hz - 1)^2)

    with r a neuron's mean rate over the batch: after the idea of the lower and upper bound losses of Zenke & Vogels
    2021, but per neuron, over the batch and in Hz.
    """
    total = torch.zeros(())
    for layer in spikes:
        rate = rates_hz(layer, step_ms)
        low = functional.relu(1 - rate / config.low_hz) ** 2
        high = functional.relu(rate / config.high_hz - 1) ** 2
        total = total + config.low_strength * low.mean() + config.high_strength * high.mean()
    return total
