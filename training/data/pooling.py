"""Fewer input channels: neighbours are merged, no spike is lost."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.errors import SpecError
from spikebridge.bridge.spikes import Events


def pool_channels(events: Events, n_channels: int = 140) -> Events:
    """Merge groups of neighbouring channels: channel c becomes c // (channels before / channels after).

    Every spike keeps its time, so spikes of merged channels that share a bin add up to a count above one.

    Args:
        events: spikes on the original channels, for example 700.
        n_channels: channels afterwards; must divide the original number.

    Raises:
        SpecError: it does not divide, listing the numbers that do.
    """
    if n_channels < 1 or events.n_channels % n_channels:
        valid = [size for size in range(1, events.n_channels + 1) if events.n_channels % size == 0]
        raise SpecError(
            f"{events.n_channels} channels cannot be pooled to {n_channels} of equal width; choose from {valid}"
        )
    group = np.int32(events.n_channels // n_channels)
    return Events(events.time_s, events.channel // group, events.offsets, n_channels)
