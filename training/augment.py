"""Variations of training samples that a listener would not call another word."""

from __future__ import annotations

import torch
from torch import Tensor


def shift_channels(counts: Tensor, largest: int) -> Tensor:
    """Move each sample along the channel axis by a whole number of channels drawn from -largest .. largest.

    Neighbouring channels are neighbouring frequencies, so this is a change of pitch, as between speakers; channels that
    move in from outside are silent (the shift augmentation of Nowotny, Turner & Knight 2025 for SHD).

    Args:
        counts: (batch, steps, channels).
        largest: 0 returns the batch unchanged.
    """
    if largest == 0:
        return counts
    batch, _, channels = counts.shape
    shift = torch.randint(-largest, largest + 1, (batch, 1))
    source = torch.arange(channels) - shift
    inside = (source >= 0) & (source < channels)
    index = source.clamp(0, channels - 1)[:, None, :].expand_as(counts)
    return counts.gather(2, index) * inside[:, None, :]


def stretch_time(counts: Tensor, largest: float) -> Tensor:
    """Play each sample faster or slower by a factor drawn log-uniformly from 1 / (1 + largest) .. 1 + largest.

    Every count moves as a whole to the step its start falls into; what passes the end is lost.

    Args:
        counts: (batch, steps, channels).
        largest: 0 returns the batch unchanged.
    """
    if largest == 0:
        return counts
    batch, steps, _ = counts.shape
    factor = (1 + largest) ** (2 * torch.rand(batch, 1) - 1)
    target = (torch.arange(steps) * factor).long()
    stretched = counts.new_zeros((batch, steps + 1, counts.shape[2]))
    index = target.clamp(max=steps)[:, :, None].expand_as(counts)
    return stretched.scatter_add_(1, index, counts)[:, :steps]
