"""What is minimised: cross-entropy of the decoded readout, and a two-sided penalty on firing rates in Hz."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spikebridge.bridge.decoding import Decoding
from spikebridge.bridge.timing import timestep
from spikebridge.training.config_recipe import RegulariserConfig


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


def close_pairs_hz(spikes: Tensor, step_ms: float, within_ms: float) -> Tensor:
    """Pairs of spikes of a neuron at most `within_ms` apart, per second: (neurons,) from (batch, steps, neurons).

    Distances are in whole steps, so that a step longer than `within_ms` has no pairs.
    """
    reach = int(timestep(within_ms, step_ms))
    before = _running_sum(spikes)
    # Spikes in the `reach` steps before each: all before it, less those longer ago.
    recent = functional.pad(before, (0, 0, 1, 0))[:, :-1]
    recent = recent - functional.pad(before, (0, 0, reach + 1, 0))[:, : -reach - 1]
    return rates_hz(spikes * recent, step_ms)


def _running_sum(spikes: Tensor) -> Tensor:
    """Sums over all steps so far, (batch, steps, neurons).

    On a GPU PyTorch's own sum has no fixed order, and is refused where one is asked for.
    """
    return spikes.cumsum(dim=1) if spikes.device.type == "cpu" else _sum_by_product(spikes)


def _sum_by_product(spikes: Tensor) -> Tensor:
    """`_running_sum` as a matrix product: of 0 and 1 exact."""
    steps = spikes.shape[1]
    so_far = torch.ones(steps, steps, dtype=spikes.dtype, device=spikes.device).tril()
    return torch.einsum("st,btn->bsn", so_far, spikes)


def rate_penalty(spikes: list[Tensor], step_ms: float, config: RegulariserConfig, progress: float = 1.0) -> Tensor:
    """Penalty on firing rates, summed over layers.

    low_strength * mean(max(0, 1 - r / low_hz)^2)
        + warmth * (high_strength * mean(max(0, r / high_hz - 1)^2)
                    + target_strength * log((mean(r) / target_rate_hz + 0.1) / 1.1)^2 + spike_strength * mean(r)
                    + burst_strength * mean(pairs))

    with r a neuron's mean rate over the batch, pairs the rate of its `close_pairs_hz` and means over the neurons of a
    layer: the bounds are after the idea of the lower and upper bound losses of Zenke & Vogels 2021, but per neuron,
    over the batch and in Hz.

    Args:
        spikes: (batch, steps, neurons) of every layer.
        step_ms: time step.
        config: strengths and rates; a strength of 0, or no target, leaves its term out.
        progress: of the training, from 0 to 1; `warmth` rises with it over the warm-up.
    """
    total = torch.zeros(())
    warmth = config.warmth(progress)
    for layer in spikes:
        rate = rates_hz(layer, step_ms)
        low = functional.relu(1 - rate / config.low_hz) ** 2
        high = functional.relu(rate / config.high_hz - 1) ** 2
        total = total + config.low_strength * low.mean() + warmth * config.high_strength * high.mean()
        if config.target_rate_hz is not None:
            # By ratios, so that a rate ten times the target and a tenth of it cost alike; bounded for silence.
            off = torch.log((rate.mean() / config.target_rate_hz + 0.1) / 1.1)
            total = total + warmth * config.target_strength * off**2
        if config.spike_strength > 0:
            total = total + warmth * config.spike_strength * rate.mean()
        if config.burst_strength > 0:
            pairs_hz = close_pairs_hz(layer, step_ms, config.burst_ms)
            total = total + warmth * config.burst_strength * pairs_hz.mean()
    return total
