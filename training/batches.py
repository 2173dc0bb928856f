"""The batches of an epoch: samples drawn, varied and put on a grid, where the network is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from spikebridge.training.augment import augmented
from spikebridge.training.config import TrainingConfig
from spikebridge.training.dataset import Samples, dense_counts


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples to train on.

    Attributes:
        counts: (batch, steps, channels) float32.
        labels: (batch,) int64.
        step_ms: the grid.
        begins, middle: how far the training is before it and half-way through it, from 0 to 1.
    """

    counts: Tensor
    labels: Tensor
    step_ms: float
    begins: float
    middle: float


def number_of_batches(samples: Samples, config: TrainingConfig) -> int:
    """Batches of an epoch."""
    return -(-len(samples.labels) // config.optimiser.batch_size)


def epoch_batches(samples: Samples, config: TrainingConfig, epoch: int, device: torch.device) -> Iterator[Batch]:
    """Every sample once, in an order drawn from PyTorch's generator, each batch drawn when it is asked for."""
    steps_ms = config.phases[config.phase_of_epoch(epoch)].steps_ms
    batches = torch.split(torch.randperm(len(samples.labels)), config.optimiser.batch_size)
    for number, picked in enumerate(batches):
        begins = (epoch + number / len(batches)) / config.optimiser.epochs
        step_ms = steps_ms[int(torch.randint(len(steps_ms), ())) if len(steps_ms) > 1 else 0]
        events = augmented(samples.events, samples.labels, picked, config.augmentation)
        yield Batch(
            dense_counts(events, samples.duration_ms, step_ms, device),
            samples.labels[picked].to(device),
            step_ms,
            begins,
            begins + 0.5 / len(batches) / config.optimiser.epochs,
        )
