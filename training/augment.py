"""Variations of training samples that a listener would not call another word, at the spikes' true times."""

from __future__ import annotations

import numpy as np
import torch

from spikebridge.bridge.spikes import Events


def shift_channels(events: Events, largest: int) -> Events:
    """Move each sample along the channel axis by a whole number of channels drawn from -largest .. largest.

    Neighbouring channels are neighbouring frequencies, so this is a change of pitch, as between speakers; spikes that
    leave the channels are lost (the shift augmentation of Nowotny, Turner & Knight 2025 for SHD).

    Args:
        events: one batch.
        largest: 0 returns the batch unchanged.
    """
    if largest == 0:
        return events
    shift = torch.randint(-largest, largest + 1, (events.n_samples,)).numpy()
    channel = events.channel + shift[events.sample]
    inside = (channel >= 0) & (channel < events.n_channels)
    counts = np.bincount(events.sample[inside], minlength=events.n_samples)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Events(events.time_s[inside], channel[inside].astype(np.int32), offsets, events.n_channels)


def stretch_time(events: Events, largest: float) -> Events:
    """Play each sample faster or slower by a factor drawn log-uniformly from 1 / (1 + largest) .. 1 + largest.

    Args:
        events: one batch.
        largest: 0 returns the batch unchanged.
    """
    if largest == 0:
        return events
    factor = ((1 + largest) ** (2 * torch.rand(events.n_samples, dtype=torch.float64) - 1)).numpy()
    return Events(events.time_s * factor[events.sample], events.channel, events.offsets, events.n_channels)
