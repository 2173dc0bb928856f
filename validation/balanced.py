"""A few samples that stand for all: equally many of every class."""

from __future__ import annotations

import numpy as np

from spikebridge.bridge.arrays import IntArray
from spikebridge.bridge.errors import ConfigError


def balanced_samples(labels: IntArray, number: int, seed: int) -> IntArray:
    """Draw samples without repetition, from every class equally many but for one, as long as a class has so many.

    Args:
        labels: (S,) class of each sample.
        number: of samples, 1 to S.
        seed: of the draw.

    Returns:
        (number,) their indices, rising.

    Raises:
        ConfigError: there are fewer samples.
    """
    if not 1 <= number <= labels.size:
        raise ConfigError(f"{number} samples are asked for, but there are {labels.size}; give 1 to {labels.size}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(labels.size)
    classes = rng.permutation(np.unique(labels))
    turn = np.empty(labels.size, dtype=np.int64)
    for place, label in enumerate(classes):
        members = np.flatnonzero(labels[order] == label)
        turn[members] = np.arange(members.size) * classes.size + place  # one of every class, then a second one, ...
    return np.sort(order[np.argsort(turn)[:number]]).astype(np.int64)
