"""Variations of training samples that a listener would not call another word, at the spikes' true times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spikebridge.bridge.arrays import BoolArray, FloatArray, Int32Array, IntArray
from spikebridge.bridge.spikes import Events
from spikebridge.training.config_recipe import AugmentationConfig


def augmented(events: Events, labels: Tensor, picked: Tensor, config: AugmentationConfig) -> Events:
    """The picked samples with every variation of the configuration, drawn from PyTorch's generator.

    A variation that is switched off draws nothing, so that the others stay as they are.

    Args:
        events: all training samples.
        labels: (samples,) their classes.
        picked: (batch,) which samples.
        config: how much of which variation.
    """
    if config.blend_share > 0:
        batch = blend_samples(events, labels, picked, config.blend_share)
    else:
        batch = events.select(picked.numpy())
    batch = shift_channels(batch, config.shift_channels)
    batch = stretch_time(batch, config.stretch_time)
    batch = shift_time(batch, config.shift_time_ms)
    return drop_spikes(batch, config.drop_spikes)


def _kept(events: Events, time_s: FloatArray, channel: Int32Array, keep: BoolArray) -> Events:
    """The spikes of a mask (spikes,), at other times and channels than they were."""
    offsets = np.concatenate([[0], np.cumsum(keep)])[events.offsets]
    return Events(time_s[keep], channel[keep], offsets, events.n_channels)


def _of_each[Number: np.generic](events: Events, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """(spikes,) what the sample of each spike has, from (samples,)."""
    return np.repeat(values, np.diff(events.offsets))


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
    shift = torch.randint(-largest, largest + 1, (events.n_samples,)).numpy().astype(np.int32)
    channel = events.channel + _of_each(events, shift)
    return _kept(events, events.time_s, channel, (channel >= 0) & (channel < events.n_channels))


def stretch_time(events: Events, largest: float) -> Events:
    """Play each sample faster or slower by a factor drawn log-uniformly from 1 / (1 + largest) .. 1 + largest.

    Args:
        events: one batch.
        largest: 0 returns the batch unchanged.
    """
    if largest == 0:
        return events
    factor = ((1 + largest) ** (2 * torch.rand(events.n_samples, dtype=torch.float64) - 1)).numpy()
    return Events(events.time_s * _of_each(events, factor), events.channel, events.offsets, events.n_channels)


def shift_time(events: Events, largest_ms: float) -> Events:
    """Begin each sample earlier or later by a time drawn uniformly from -largest_ms .. largest_ms.

    Spikes that would come before time 0 are lost; what comes after the end of the sample is cut with everything else.

    Args:
        events: one batch.
        largest_ms: 0 returns the batch unchanged.
    """
    if largest_ms == 0:
        return events
    shift_s = (largest_ms / 1000.0 * (2 * torch.rand(events.n_samples, dtype=torch.float64) - 1)).numpy()
    time_s = events.time_s + _of_each(events, shift_s)
    return _kept(events, time_s, events.channel, time_s >= 0)


def drop_spikes(events: Events, share: float) -> Events:
    """Lose each spike with a probability of `share`, independently.

    Args:
        events: one batch.
        share: 0 returns the batch unchanged.
    """
    if share == 0:
        return events
    keep = (torch.rand(events.time_s.size, dtype=torch.float64) >= share).numpy()
    return _kept(events, events.time_s, events.channel, keep)


def blend_samples(events: Events, labels: Tensor, picked: Tensor, share: float) -> Events:
    """Replace a share of the picked samples by a blend of two of the same class.

    Of each of the two samples every spike is taken with a probability of one half; the partner is first moved so that
    the mean time and the mean channel of both agree (the blend augmentation of Nowotny, Turner & Knight 2025 for SHD).
    Partner spikes that leave the channels, or would come before time 0, are lost.

    Args:
        events: all samples.
        labels: (samples,) their classes.
        picked: (batch,) which samples.
        share: probability of each picked sample to be replaced, above 0. The partner may be the sample itself, which
            then loses half of its spikes and gets half of them again.
    """
    blended = torch.rand(picked.numel()) < share
    partner = picked.clone()
    for place in torch.nonzero(blended).flatten().tolist():
        same = torch.nonzero(labels == labels[picked[place]]).flatten()
        partner[place] = same[int(torch.randint(same.numel(), ()))]
    first, second = events.select(picked.numpy()), events.select(partner.numpy())
    mixed = blended.numpy()
    take_first, take_second = (_half(sample.sample, mixed) for sample in (first, second))
    offset_s = _means(first.time_s, first) - _means(second.time_s, second)
    offset_channel = np.rint(_means(first.channel, first) - _means(second.channel, second)).astype(np.int64)
    time_s = second.time_s + offset_s[second.sample]
    channel = second.channel + offset_channel[second.sample]
    take_second &= mixed[second.sample] & (time_s >= 0) & (channel >= 0) & (channel < events.n_channels)
    take_first |= ~mixed[first.sample]
    sample = np.concatenate([first.sample[take_first], second.sample[take_second]])
    order = np.argsort(sample, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=picked.numel()))])
    return Events(
        np.concatenate([first.time_s[take_first], time_s[take_second]])[order],
        np.concatenate([first.channel[take_first], channel[take_second]])[order].astype(np.int32),
        offsets,
        events.n_channels,
    )


def _half(sample: IntArray, mixed: BoolArray) -> BoolArray:
    """(spikes,) True with probability one half; drawn for spikes of blended samples only."""
    taken = np.zeros(sample.size, dtype=bool)
    of_mixed = mixed[sample]
    taken[of_mixed] = (torch.rand(int(of_mixed.sum()), dtype=torch.float64) < 0.5).numpy()
    return taken


def _means(values: FloatArray | Int32Array, events: Events) -> FloatArray:
    """(samples,) mean over the spikes of each sample, 0 where there are none."""
    sums = np.bincount(events.sample, weights=values, minlength=events.n_samples)
    means: FloatArray = sums / np.maximum(np.bincount(events.sample, minlength=events.n_samples), 1)
    return means
