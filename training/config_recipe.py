"""How a network is trained: rates that are wanted, variations of the samples, and the optimiser."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from spikebridge.training.config_fields import STRICT, NonNegative, Positive, Share, low_to_high


@dataclass(frozen=True, config=STRICT)
class RegulariserConfig:
    """Firing rates over the batch: bounds for each neuron, a target for populations, a cost of every spike.

    Attributes:
        low_hz, low_strength: strength * mean(max(0, 1 - rate / low_hz)^2) over neurons: against silent ones.
        high_hz, high_strength: strength * mean(max(0, rate / high_hz - 1)^2): against hyperactive ones.
        target_rate_hz, target_strength: strength * log((mean rate / target + 0.1) / 1.1)^2 for every hidden population:
            its mean rate is drawn to the target from both sides, single neurons stay free within their bounds.
        spike_strength: strength * mean rate in Hz of every hidden population: a cost of every spike, whatever the rate.
        burst_ms, burst_strength: strength * mean rate in Hz of pairs of spikes of a neuron at most `burst_ms` apart,
            for every hidden population: a cost of bursts in the place of a refractory period.
        warm_up_share: share of training over which all but the floor against silent neurons rises linearly from
            nothing, so that a network first learns to tell classes apart and then to do it with fewer spikes. No epoch
            within it is chosen, so that one must follow it.
    """

    low_hz: Positive = 0.5
    low_strength: NonNegative = 0.1
    high_hz: Positive = 5.0
    high_strength: NonNegative = 0.1
    target_rate_hz: Positive | None = None
    target_strength: NonNegative = 1.0
    spike_strength: NonNegative = 0.0
    burst_ms: Positive = 10.0
    burst_strength: NonNegative = 0.0
    warm_up_share: Share = 0.0

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        low_to_high("low_hz, high_hz", (self.low_hz, self.high_hz))
        target = self.target_rate_hz
        if target is not None and not self.low_hz <= target <= self.high_hz:
            raise ValueError(
                f"target_rate_hz is {target}, outside of what single neurons are kept within, low_hz = {self.low_hz} "
                f"to high_hz = {self.high_hz}; the two would pull against each other"
            )
        return self

    def warmth(self, progress: float) -> float:
        """The part of its strength that all but the floor has; `progress` runs from 0 to 1."""
        return 1.0 if progress >= self.warm_up_share else progress / self.warm_up_share


@dataclass(frozen=True, config=STRICT)
class AugmentationConfig:
    """Variations of the training samples, drawn anew in every epoch; none by default.

    Attributes:
        shift_channels: largest shift along the (pooled) channel axis, a change of pitch.
        stretch_time: largest change of speed; 0.2 plays between 1 / 1.2 and 1.2 times as slow.
        shift_time_ms: largest shift in time, earlier or later.
        drop_spikes: share of input spikes that are lost, each by itself.
        blend_share: share of samples that are replaced by a blend: half of the spikes of the sample and half of those
            of another one of the same class, moved to the same mean time and channel.
    """

    shift_channels: Annotated[int, Field(ge=0)] = 0
    stretch_time: NonNegative = 0.0
    shift_time_ms: NonNegative = 0.0
    drop_spikes: Share = 0.0
    blend_share: Annotated[float, Field(ge=0, le=1)] = 0.0


@dataclass(frozen=True, config=STRICT)
class OptimiserConfig:
    """Adam with one learning rate per kind of parameter, a warm-up and a cosine to zero.

    Attributes:
        epochs, batch_size: length of training, and samples per step of it.
        weight_rate: learning rate of weights.
        delay_rate_ms: learning rate of delays; published recipes take 100 times that of the weights, in steps.
        neuron_rate: learning rate of log time constants, adaptation, bias and batch normalisation.
        weight_decay: of weights.
        warm_up_share: share of training over which the rate rises linearly.
        sigma_share: share of training over which the delay kernel narrows from half the maximum delay to 0.23 steps.
        gradient_norm: gradients are clipped to this norm.
    """

    epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=1)] = 64
    weight_rate: Positive = 2e-3
    delay_rate_ms: Positive = 2.0
    neuron_rate: Positive = 1e-2
    weight_decay: NonNegative = 1e-5
    warm_up_share: Share = 0.1
    sigma_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    gradient_norm: Positive = 1.5
